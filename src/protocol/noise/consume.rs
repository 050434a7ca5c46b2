// SPDX-License-Identifier: GPL-2.0

//! Messages that are opened and verified without the lock of a peer's handshake, and what becomes of
//! them.

use super::symmetric::Symmetric;
use super::timestamp::Tai64n;
use super::{Handshake, StaticIdentity};
use crate::protocol::constants::{KEY_LEN, TAG_LEN, TIMESTAMP_LEN};
use crate::protocol::crypto::{Crypto, PresharedKey, PublicKey, SecretKey, SymmetricKey};
use crate::protocol::message::{Initiation, Response};

/// An initiation whose sender claims to be [`remote_static`](Self::remote_static).
///
/// The claim is not proven before [`finish`](Self::finish) succeeds.
pub struct PendingInitiation<C: Crypto> {
    symmetric: Symmetric<C>,
    ephemeral: PublicKey,
    remote_static: PublicKey,
    sealed_timestamp: [u8; TIMESTAMP_LEN + TAG_LEN],
    sender: u32,
}

/// Opens an initiation as far as to learn whom it is from (WireGuard paper
/// section 5.4.2). Needs no peer, and costs one Diffie-Hellman operation.
///
/// `None` if it is not meant for `identity` or damaged.
pub fn consume_initiation<C: Crypto>(
    message: &Initiation,
    identity: &StaticIdentity<C>,
) -> Option<PendingInitiation<C>> {
    let mut pending = PendingInitiation {
        symmetric: Symmetric::start(&identity.public),
        ephemeral: PublicKey(message.ephemeral),
        remote_static: PublicKey([0; KEY_LEN]),
        sealed_timestamp: message.sealed_timestamp,
        sender: message.sender,
    };
    let mut key = SymmetricKey::zeroed();
    let state = &mut pending.symmetric;

    state.mix_ephemeral(&message.ephemeral);
    let opened = state.mix_dh_keyed(&mut key, &identity.secret, &pending.ephemeral)
        && state.open(&mut pending.remote_static.0, &message.sealed_static, &key);
    opened.then_some(pending)
}

impl<C: Crypto> PendingInitiation<C> {
    /// The static public key of the claimed sender, to look the peer up by.
    pub fn remote_static(&self) -> &PublicKey {
        &self.remote_static
    }

    /// Verifies that the sender holds the key of the peer that `handshake`
    /// belongs to. Cheap: hashing and one small AEAD.
    ///
    /// `None` if not, or if that peer is unusable.
    pub fn finish(&self, handshake: &Handshake<C>) -> Option<ConsumedInitiation<C>> {
        if self.remote_static != handshake.remote_static {
            return None;
        }
        let mut consumed = ConsumedInitiation {
            symmetric: self.symmetric.duplicate(),
            ephemeral: self.ephemeral,
            timestamp: Tai64n::ZERO,
            sender: self.sender,
        };
        let mut key = SymmetricKey::zeroed();
        let state = &mut consumed.symmetric;

        let opened = state.mix_shared_keyed(&mut key, &handshake.static_static)
            && state.open(&mut consumed.timestamp.0, &self.sealed_timestamp, &key);
        opened.then_some(consumed)
    }
}

/// An authentic initiation, for [`Handshake::accept_initiation`] of the peer it
/// was verified with.
pub struct ConsumedInitiation<C: Crypto> {
    pub(super) symmetric: Symmetric<C>,
    pub(super) ephemeral: PublicKey,
    pub(super) timestamp: Tai64n,
    pub(super) sender: u32,
}

impl<C: Crypto> ConsumedInitiation<C> {
    /// When the initiation was made, by the initiator's clock.
    pub fn timestamp(&self) -> Tai64n {
        self.timestamp
    }
}

/// A copy of the secrets that consuming a response takes.
pub struct PendingResponse<C: Crypto> {
    pub(super) symmetric: Symmetric<C>,
    pub(super) ephemeral: SecretKey<C>,
    pub(super) preshared: PresharedKey<C>,
    pub(super) local: u32,
}

impl<C: Crypto> PendingResponse<C> {
    /// Verifies a response (WireGuard paper section 5.4.3). Costs two
    /// Diffie-Hellman operations.
    ///
    /// `None` if it does not answer the initiation this was taken from, or is
    /// damaged.
    pub fn finish(
        &self,
        message: &Response,
        identity: &StaticIdentity<C>,
    ) -> Option<ConsumedResponse<C>> {
        if message.receiver != self.local {
            return None;
        }
        let mut consumed = ConsumedResponse {
            symmetric: self.symmetric.duplicate(),
            ephemeral: self.ephemeral.duplicate(),
            sender: message.sender,
        };
        let remote = PublicKey(message.ephemeral);
        let mut key = SymmetricKey::zeroed();
        let state = &mut consumed.symmetric;

        state.mix_ephemeral(&remote.0);
        if !(state.mix_dh(&self.ephemeral, &remote) && state.mix_dh(&identity.secret, &remote)) {
            return None;
        }
        state.mix_preshared(&mut key, &self.preshared);
        let opened = state.open(&mut [], &message.sealed_nothing, &key);
        opened.then_some(consumed)
    }
}

/// An authentic response, for [`Handshake::accept_response`] of the peer it was
/// verified with.
pub struct ConsumedResponse<C: Crypto> {
    pub(super) symmetric: Symmetric<C>,
    // Ours, to recognise the initiation that is answered.
    pub(super) ephemeral: SecretKey<C>,
    pub(super) sender: u32,
}
