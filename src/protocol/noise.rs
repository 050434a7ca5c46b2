// SPDX-License-Identifier: GPL-2.0

//! The handshake: Noise IKpsk2 as in WireGuard paper section 5.4.
//!
//! ```text
//! initiator                                responder
//! create_initiation  --- initiation -->  consume_initiation
//!                                        PendingInitiation::finish
//!                                        Handshake::accept_initiation
//!                    <--- response ----  create_response
//! pending_response                       begin_session
//! PendingResponse::finish
//! Handshake::accept_response
//! begin_session
//! ```
//!
//! # Locking
//!
//! One [`Handshake`] belongs to each peer, behind a lock of its own. What comes
//! from the network is worked on without that lock: `consume_initiation` needs
//! none of it, `pending_response` copies out what is needed under the read
//! lock. The results are then offered to `accept_initiation` and
//! `accept_response` under the write lock, which check that the world is still
//! as it was. Creating a message advances the peer's state and needs the write
//! lock throughout.
//!
//! # Secrets
//!
//! A handshake keeps its secrets in fixed places, which are overwritten and
//! wiped rather than moved from; [`Phase`] carries only what is public.

mod consume;
mod symmetric;
mod timestamp;

pub use consume::{
    consume_initiation, ConsumedInitiation, ConsumedResponse, PendingInitiation, PendingResponse,
};
pub use symmetric::{CONSTRUCTION, IDENTIFIER, INITIAL_CHAINING_KEY, INITIAL_HASH};
pub use timestamp::Tai64n;

use super::constants::{
    Instant, INITIATIONS_PER_SECOND, KEY_LEN, NSEC_PER_SEC, TAG_LEN, TIMESTAMP_LEN,
};
use super::crypto::{
    session_keys, Crypto, PresharedKey, PublicKey, SecretKey, SharedSecret, SymmetricKey,
};
use super::message::{Initiation, Response};
use symmetric::Symmetric;

/// A device's own static key pair.
pub struct StaticIdentity<C: Crypto> {
    secret: SecretKey<C>,
    public: PublicKey,
}

impl<C: Crypto> StaticIdentity<C> {
    /// Derives the public key. `None` if the primitive fails.
    pub fn new(secret: &SecretKey<C>) -> Option<Self> {
        let mut identity = StaticIdentity {
            secret: SecretKey::zeroed(),
            public: secret.public_key()?,
        };
        identity.secret.copy_from(secret);
        identity.secret.clamp();
        Some(identity)
    }

    /// The public key.
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// The secret key, clamped.
    pub fn secret(&self) -> &SecretKey<C> {
        &self.secret
    }
}

/// How far a handshake has come, and what is public about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Nothing under way.
    Zeroed,
    /// An initiation went out and a response is awaited.
    CreatedInitiation {
        /// Our index, to be answered at.
        local: u32,
    },
    /// An initiation came in and is to be responded to.
    ConsumedInitiation {
        /// The initiator's index.
        remote: u32,
        /// The initiator's ephemeral public key.
        ephemeral: PublicKey,
    },
    /// The response is made; a session can begin.
    CreatedResponse {
        /// Our index.
        local: u32,
        /// The initiator's index.
        remote: u32,
    },
    /// The response came in; a session can begin.
    ConsumedResponse {
        /// Our index.
        local: u32,
        /// The responder's index.
        remote: u32,
    },
}

/// Why an authentic initiation is not acted on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InitiationRefused {
    /// Its timestamp is not later than the latest one accepted (WireGuard paper
    /// section 5.1).
    Replay,
    /// Less than 1/50 s has passed since the last one accepted.
    Flood,
}

/// The handshake side of a peer: its keys and the handshake in progress.
pub struct Handshake<C: Crypto> {
    remote_static: PublicKey,
    preshared: PresharedKey<C>,
    static_static: SharedSecret<C>,
    latest_timestamp: Tai64n,
    last_initiation: Option<Instant>,
    phase: Phase,
    // Meaningful in every phase but `Zeroed`.
    symmetric: Symmetric<C>,
    // Meaningful in `CreatedInitiation` only.
    ephemeral: SecretKey<C>,
}

impl<C: Crypto> Handshake<C> {
    /// A peer known by `remote_static`, without a preshared key and not yet
    /// usable: [`set_identity`](Self::set_identity) is to follow.
    pub const fn new(remote_static: PublicKey) -> Self {
        Handshake {
            remote_static,
            preshared: PresharedKey::zeroed(),
            static_static: SharedSecret::zeroed(),
            latest_timestamp: Tai64n::ZERO,
            last_initiation: None,
            phase: Phase::Zeroed,
            symmetric: Symmetric::zeroed(),
            ephemeral: SecretKey::zeroed(),
        }
    }

    /// Precomputes what depends on the device's own key. To be called for every
    /// peer whenever that key changes.
    ///
    /// Without an identity, or with a remote key of small order, the peer
    /// remains unusable: handshakes with it fail.
    pub fn set_identity(&mut self, identity: Option<&StaticIdentity<C>>) {
        let computed = identity.is_some_and(|own| {
            C::x25519(
                self.static_static.as_mut_bytes(),
                own.secret.as_bytes(),
                &self.remote_static.0,
            )
        });
        if !computed {
            self.static_static.wipe();
        }
    }

    /// Sets the preshared key; zeros for none. Applies from the next response
    /// on.
    pub fn set_preshared_key(&mut self, key: &PresharedKey<C>) {
        self.preshared.copy_from(key);
    }

    /// The preshared key; zeros for none.
    pub fn preshared_key(&self) -> &PresharedKey<C> {
        &self.preshared
    }

    /// The peer's static public key.
    pub fn remote_static(&self) -> &PublicKey {
        &self.remote_static
    }

    /// How far the handshake has come.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// Our index of the handshake in progress, if it has one yet.
    pub fn local_index(&self) -> Option<u32> {
        match self.phase {
            Phase::Zeroed | Phase::ConsumedInitiation { .. } => None,
            Phase::CreatedInitiation { local }
            | Phase::CreatedResponse { local, .. }
            | Phase::ConsumedResponse { local, .. } => Some(local),
        }
    }

    /// Abandons the handshake in progress and wipes its secrets. The peer's
    /// keys and what protects against replay stay.
    pub fn clear(&mut self) {
        self.phase = Phase::Zeroed;
        self.symmetric.wipe();
        self.ephemeral.wipe();
    }

    /// Starts a handshake, superseding one in progress (WireGuard paper section
    /// 5.4.2).
    ///
    /// `ephemeral` is fresh, `sender` the index to be answered at. `None`, with
    /// nothing changed, if one of the keys involved is of small order.
    pub fn create_initiation(
        &mut self,
        identity: &StaticIdentity<C>,
        ephemeral: &SecretKey<C>,
        timestamp: Tai64n,
        sender: u32,
    ) -> Option<Initiation> {
        let mut message = Initiation {
            sender,
            ephemeral: ephemeral.public_key()?.0,
            sealed_static: [0; KEY_LEN + TAG_LEN],
            sealed_timestamp: [0; TIMESTAMP_LEN + TAG_LEN],
        };
        let mut key = SymmetricKey::zeroed();
        let mut state = Symmetric::start(&self.remote_static);

        state.mix_ephemeral(&message.ephemeral);
        let done = state.mix_dh_keyed(&mut key, ephemeral, &self.remote_static)
            && state.seal(&mut message.sealed_static, &identity.public.0, &key)
            && state.mix_shared_keyed(&mut key, &self.static_static)
            && state.seal(&mut message.sealed_timestamp, timestamp.as_bytes(), &key);
        if !done {
            return None;
        }

        self.symmetric.copy_from(&state);
        self.ephemeral.copy_from(ephemeral);
        self.phase = Phase::CreatedInitiation { local: sender };
        Some(message)
    }

    /// Takes over an initiation, superseding a handshake in progress, if it is
    /// neither replayed nor part of a flood.
    pub fn accept_initiation(
        &mut self,
        consumed: &ConsumedInitiation<C>,
        now: Instant,
    ) -> Result<(), InitiationRefused> {
        const INTERVAL: i64 = (NSEC_PER_SEC / INITIATIONS_PER_SECOND) as i64;

        if consumed.timestamp <= self.latest_timestamp {
            return Err(InitiationRefused::Replay);
        }
        if self
            .last_initiation
            .is_some_and(|last| now.nanos_since(last) < INTERVAL)
        {
            return Err(InitiationRefused::Flood);
        }

        self.latest_timestamp = consumed.timestamp;
        self.last_initiation = Some(now);
        self.symmetric.copy_from(&consumed.symmetric);
        self.ephemeral.wipe();
        self.phase = Phase::ConsumedInitiation {
            remote: consumed.sender,
            ephemeral: consumed.ephemeral,
        };
        Ok(())
    }

    /// Responds to the initiation accepted last (WireGuard paper section
    /// 5.4.3).
    ///
    /// `ephemeral` is fresh, `sender` our index of the session to be. `None`,
    /// with nothing changed, if no initiation waits or one of the keys involved
    /// is of small order.
    pub fn create_response(&mut self, ephemeral: &SecretKey<C>, sender: u32) -> Option<Response> {
        let Phase::ConsumedInitiation {
            remote,
            ephemeral: remote_ephemeral,
        } = self.phase
        else {
            return None;
        };
        let mut message = Response {
            sender,
            receiver: remote,
            ephemeral: ephemeral.public_key()?.0,
            sealed_nothing: [0; TAG_LEN],
        };
        let mut key = SymmetricKey::zeroed();
        let mut state = self.symmetric.duplicate();

        state.mix_ephemeral(&message.ephemeral);
        let agreed = state.mix_dh(ephemeral, &remote_ephemeral)
            && state.mix_dh(ephemeral, &self.remote_static);
        if !agreed {
            return None;
        }
        state.mix_preshared(&mut key, &self.preshared);
        if !state.seal(&mut message.sealed_nothing, &[], &key) {
            return None;
        }

        self.symmetric.copy_from(&state);
        self.phase = Phase::CreatedResponse {
            local: sender,
            remote,
        };
        Some(message)
    }

    /// Copies out what consuming a response takes, if one is awaited.
    pub fn pending_response(&self) -> Option<PendingResponse<C>> {
        let Phase::CreatedInitiation { local } = self.phase else {
            return None;
        };
        Some(PendingResponse {
            symmetric: self.symmetric.duplicate(),
            ephemeral: self.ephemeral.duplicate(),
            preshared: self.preshared.duplicate(),
            local,
        })
    }

    /// Takes over a response. `false`, with nothing changed, if the initiation
    /// it answers has been superseded meanwhile.
    #[must_use]
    pub fn accept_response(&mut self, consumed: &ConsumedResponse<C>) -> bool {
        let Phase::CreatedInitiation { local } = self.phase else {
            return false;
        };
        if !self.ephemeral.same_as(&consumed.ephemeral) {
            return false;
        }
        self.symmetric.copy_from(&consumed.symmetric);
        self.ephemeral.wipe();
        self.phase = Phase::ConsumedResponse {
            local,
            remote: consumed.sender,
        };
        true
    }

    /// Derives the keys of the session agreed on and forgets the handshake
    /// (WireGuard paper section 5.4.5).
    ///
    /// `None`, with nothing changed, if the handshake has not come that far.
    pub fn begin_session(&mut self) -> Option<SessionKeys<C>> {
        let (local, remote, initiator) = match self.phase {
            Phase::CreatedResponse { local, remote } => (local, remote, false),
            Phase::ConsumedResponse { local, remote } => (local, remote, true),
            Phase::Zeroed | Phase::CreatedInitiation { .. } | Phase::ConsumedInitiation { .. } => {
                return None
            }
        };
        let mut keys = SessionKeys {
            sending: SymmetricKey::zeroed(),
            receiving: SymmetricKey::zeroed(),
            local_index: local,
            remote_index: remote,
            initiator,
        };
        let (initiators, responders) = if initiator {
            (&mut keys.sending, &mut keys.receiving)
        } else {
            (&mut keys.receiving, &mut keys.sending)
        };
        session_keys(&self.symmetric.chaining, initiators, responders);
        self.clear();
        Some(keys)
    }
}

/// What a session starts from.
pub struct SessionKeys<C: Crypto> {
    /// Key for packets to the peer.
    pub sending: SymmetricKey<C>,
    /// Key for packets from the peer.
    pub receiving: SymmetricKey<C>,
    /// Index the peer addresses us with.
    pub local_index: u32,
    /// Index to address the peer with.
    pub remote_index: u32,
    /// Whether we initiated. The responder must hear from the initiator before
    /// it may send.
    pub initiator: bool,
}
