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

use super::constants::{
    Instant, HASH_LEN, INITIATIONS_PER_SECOND, KEY_LEN, NSEC_PER_SEC, TAG_LEN, TIMESTAMP_LEN,
};
use super::crypto::{
    kdf1, kdf2, kdf3, session_keys, ChainingKey, Crypto, PresharedKey, PublicKey, Secret,
    SecretKey, SharedSecret, SymmetricKey, Transcript,
};
use super::message::{Initiation, Response};

/// Name of the Noise construction.
pub const CONSTRUCTION: &[u8] = b"Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s";
/// Identifies the protocol; Noise calls it the prologue.
pub const IDENTIFIER: &[u8] = b"WireGuard v1 zx2c4 Jason@zx2c4.com";

/// `Hash(CONSTRUCTION)`.
pub const INITIAL_CHAINING_KEY: [u8; HASH_LEN] = [
    0x60, 0xe2, 0x6d, 0xae, 0xf3, 0x27, 0xef, 0xc0, 0x2e, 0xc3, 0x35, 0xe2, 0xa0, 0x25, 0xd2, 0xd0,
    0x16, 0xeb, 0x42, 0x06, 0xf8, 0x72, 0x77, 0xf5, 0x2d, 0x38, 0xd1, 0x98, 0x8b, 0x78, 0xcd, 0x36,
];

/// `Hash(INITIAL_CHAINING_KEY || IDENTIFIER)`.
pub const INITIAL_HASH: [u8; HASH_LEN] = [
    0x22, 0x11, 0xb3, 0x61, 0x08, 0x1a, 0xc5, 0x66, 0x69, 0x12, 0x43, 0xdb, 0x45, 0x8a, 0xd5, 0x32,
    0x2d, 0x9c, 0x6c, 0x66, 0x22, 0x93, 0xe8, 0xb7, 0x0e, 0xe1, 0x9c, 0x65, 0xba, 0x07, 0x9e, 0xf3,
];

/// A TAI64N label: eight bytes of seconds and four of nanoseconds, big endian,
/// so that later labels compare greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(transparent)]
pub struct Tai64n([u8; TIMESTAMP_LEN]);

impl Tai64n {
    /// Earlier than any label that occurs.
    pub const ZERO: Tai64n = Tai64n([0; TIMESTAMP_LEN]);

    /// Precision in nanoseconds: the greatest power of two that still tells
    /// apart the initiations a responder would accept. The finer bits would
    /// only show observers how exactly this machine's timers fire.
    pub const GRANULARITY: u32 = {
        let interval = (NSEC_PER_SEC / INITIATIONS_PER_SECOND) as u32;
        1 << interval.ilog2()
    };

    /// The label of a wall-clock time, `seconds` since 1970 (UTC) and
    /// `nanoseconds` below 10^9, rounded down.
    pub const fn from_unix(seconds: i64, nanoseconds: u32) -> Self {
        // TAI is 10 s ahead of UTC at the Unix epoch; leap seconds since are
        // left out, which is harmless to labels that only need to increase.
        const EPOCH: u64 = (1 << 62) + 10;
        let [s0, s1, s2, s3, s4, s5, s6, s7] = EPOCH.wrapping_add(seconds as u64).to_be_bytes();
        let [n0, n1, n2, n3] = (nanoseconds & !(Self::GRANULARITY - 1)).to_be_bytes();
        Tai64n([s0, s1, s2, s3, s4, s5, s6, s7, n0, n1, n2, n3])
    }

    /// The label as transmitted.
    pub const fn as_bytes(&self) -> &[u8; TIMESTAMP_LEN] {
        &self.0
    }
}

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

/// The symmetric state of a handshake: chaining key and transcript hash.
struct Symmetric<C: Crypto> {
    chaining: ChainingKey<C>,
    hash: Transcript<C>,
}

impl<C: Crypto> Symmetric<C> {
    const fn zeroed() -> Self {
        Symmetric {
            chaining: ChainingKey::zeroed(),
            hash: Transcript::zeroed(),
        }
    }

    /// The state before the first message to `responder`.
    fn start(responder: &PublicKey) -> Self {
        let mut state = Symmetric {
            chaining: ChainingKey::new(INITIAL_CHAINING_KEY),
            hash: Transcript::new(INITIAL_HASH),
        };
        state.mix_hash(&responder.0);
        state
    }

    fn duplicate(&self) -> Self {
        Symmetric {
            chaining: self.chaining.duplicate(),
            hash: self.hash.duplicate(),
        }
    }

    fn copy_from(&mut self, other: &Self) {
        self.chaining.copy_from(&other.chaining);
        self.hash.copy_from(&other.hash);
    }

    fn wipe(&mut self) {
        self.chaining.wipe();
        self.hash.wipe();
    }

    #[inline(never)]
    fn mix_hash(&mut self, data: &[u8]) {
        let mut next = Transcript::<C>::zeroed();
        C::hash(next.as_mut_bytes(), &[self.hash.as_bytes(), data]);
        self.hash.copy_from(&next);
    }

    /// An ephemeral key goes into the transcript and, as the psk modifier of
    /// Noise wants it, into the chaining key.
    #[inline(never)]
    fn mix_ephemeral(&mut self, public: &[u8; KEY_LEN]) {
        self.mix_hash(public);
        kdf1(&mut self.chaining, public);
    }

    /// A Diffie-Hellman result that no sealed field directly follows.
    #[must_use]
    fn mix_dh(&mut self, secret: &SecretKey<C>, public: &PublicKey) -> bool {
        let mut shared = SharedSecret::<C>::zeroed();
        if !C::x25519(shared.as_mut_bytes(), secret.as_bytes(), &public.0) {
            return false;
        }
        kdf1(&mut self.chaining, shared.as_bytes());
        true
    }

    /// A Diffie-Hellman result that keys the next sealed field.
    #[must_use]
    fn mix_dh_keyed(
        &mut self,
        key: &mut SymmetricKey<C>,
        secret: &SecretKey<C>,
        public: &PublicKey,
    ) -> bool {
        let mut shared = SharedSecret::<C>::zeroed();
        C::x25519(shared.as_mut_bytes(), secret.as_bytes(), &public.0)
            && self.mix_shared_keyed(key, &shared)
    }

    /// The same for a result computed earlier. Zeros are what a failed
    /// computation left behind and are refused.
    #[must_use]
    fn mix_shared_keyed(&mut self, key: &mut SymmetricKey<C>, shared: &SharedSecret<C>) -> bool {
        if shared.is_zero() {
            return false;
        }
        kdf2(&mut self.chaining, key, shared.as_bytes());
        true
    }

    fn mix_preshared(&mut self, key: &mut SymmetricKey<C>, preshared: &PresharedKey<C>) {
        let mut extra = Secret::<C, HASH_LEN>::zeroed();
        kdf3(&mut self.chaining, &mut extra, key, preshared.as_bytes());
        self.mix_hash(extra.as_bytes());
    }

    /// Every key of the handshake seals once, hence the constant nonce.
    #[must_use]
    fn seal(&mut self, dst: &mut [u8], src: &[u8], key: &SymmetricKey<C>) -> bool {
        if !C::aead_seal(dst, src, self.hash.as_bytes(), 0, key.as_bytes()) {
            return false;
        }
        self.mix_hash(dst);
        true
    }

    #[must_use]
    fn open(&mut self, dst: &mut [u8], src: &[u8], key: &SymmetricKey<C>) -> bool {
        if !C::aead_open(dst, src, self.hash.as_bytes(), 0, key.as_bytes()) {
            return false;
        }
        self.mix_hash(src);
        true
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
    symmetric: Symmetric<C>,
    ephemeral: PublicKey,
    timestamp: Tai64n,
    sender: u32,
}

impl<C: Crypto> ConsumedInitiation<C> {
    /// When the initiation was made, by the initiator's clock.
    pub fn timestamp(&self) -> Tai64n {
        self.timestamp
    }
}

/// A copy of the secrets that consuming a response takes.
pub struct PendingResponse<C: Crypto> {
    symmetric: Symmetric<C>,
    ephemeral: SecretKey<C>,
    preshared: PresharedKey<C>,
    local: u32,
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
    symmetric: Symmetric<C>,
    // Ours, to recognise the initiation that is answered.
    ephemeral: SecretKey<C>,
    sender: u32,
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
