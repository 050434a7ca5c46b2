// SPDX-License-Identifier: GPL-2.0

//! The symmetric state of a handshake, as in the Noise specification, section 5.2.

use crate::protocol::constants::{HASH_LEN, KEY_LEN};
use crate::protocol::crypto::{
    kdf1, kdf2, kdf3, ChainingKey, Crypto, PresharedKey, PublicKey, Secret, SecretKey,
    SharedSecret, SymmetricKey, Transcript,
};

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

/// The symmetric state of a handshake: chaining key and transcript hash.
pub(super) struct Symmetric<C: Crypto> {
    pub(super) chaining: ChainingKey<C>,
    hash: Transcript<C>,
}

impl<C: Crypto> Symmetric<C> {
    pub(super) const fn zeroed() -> Self {
        Symmetric {
            chaining: ChainingKey::zeroed(),
            hash: Transcript::zeroed(),
        }
    }

    /// The state before the first message to `responder`.
    pub(super) fn start(responder: &PublicKey) -> Self {
        let mut state = Symmetric {
            chaining: ChainingKey::new(INITIAL_CHAINING_KEY),
            hash: Transcript::new(INITIAL_HASH),
        };
        state.mix_hash(&responder.0);
        state
    }

    pub(super) fn duplicate(&self) -> Self {
        Symmetric {
            chaining: self.chaining.duplicate(),
            hash: self.hash.duplicate(),
        }
    }

    pub(super) fn copy_from(&mut self, other: &Self) {
        self.chaining.copy_from(&other.chaining);
        self.hash.copy_from(&other.hash);
    }

    pub(super) fn wipe(&mut self) {
        self.chaining.wipe();
        self.hash.wipe();
    }

    #[inline(never)]
    pub(super) fn mix_hash(&mut self, data: &[u8]) {
        let mut next = Transcript::<C>::zeroed();
        C::hash(next.as_mut_bytes(), &[self.hash.as_bytes(), data]);
        self.hash.copy_from(&next);
    }

    /// An ephemeral key goes into the transcript and, as the psk modifier of
    /// Noise wants it, into the chaining key.
    #[inline(never)]
    pub(super) fn mix_ephemeral(&mut self, public: &[u8; KEY_LEN]) {
        self.mix_hash(public);
        kdf1(&mut self.chaining, public);
    }

    /// A Diffie-Hellman result that no sealed field directly follows.
    #[must_use]
    pub(super) fn mix_dh(&mut self, secret: &SecretKey<C>, public: &PublicKey) -> bool {
        let mut shared = SharedSecret::<C>::zeroed();
        if !C::x25519(shared.as_mut_bytes(), secret.as_bytes(), &public.0) {
            return false;
        }
        kdf1(&mut self.chaining, shared.as_bytes());
        true
    }

    /// A Diffie-Hellman result that keys the next sealed field.
    #[must_use]
    pub(super) fn mix_dh_keyed(
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
    pub(super) fn mix_shared_keyed(
        &mut self,
        key: &mut SymmetricKey<C>,
        shared: &SharedSecret<C>,
    ) -> bool {
        if shared.is_zero() {
            return false;
        }
        kdf2(&mut self.chaining, key, shared.as_bytes());
        true
    }

    pub(super) fn mix_preshared(&mut self, key: &mut SymmetricKey<C>, preshared: &PresharedKey<C>) {
        let mut extra = Secret::<C, HASH_LEN>::zeroed();
        kdf3(&mut self.chaining, &mut extra, key, preshared.as_bytes());
        self.mix_hash(extra.as_bytes());
    }

    /// Every key of the handshake seals once, hence the constant nonce.
    #[must_use]
    pub(super) fn seal(&mut self, dst: &mut [u8], src: &[u8], key: &SymmetricKey<C>) -> bool {
        if !C::aead_seal(dst, src, self.hash.as_bytes(), 0, key.as_bytes()) {
            return false;
        }
        self.mix_hash(dst);
        true
    }

    #[must_use]
    pub(super) fn open(&mut self, dst: &mut [u8], src: &[u8], key: &SymmetricKey<C>) -> bool {
        if !C::aead_open(dst, src, self.hash.as_bytes(), 0, key.as_bytes()) {
            return false;
        }
        self.mix_hash(src);
        true
    }
}
