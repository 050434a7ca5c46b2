// SPDX-License-Identifier: GPL-2.0

//! Primitives asked of the surroundings, and what is built on them.
//!
//! [`Crypto`] names the primitives of WireGuard paper section 5.4. It is
//! implemented by a type without values: the kernel has one implementation and
//! the tests have another, and the compiler sees through both.
//!
//! Results are written to memory the caller names rather than returned, because
//! a returned array leaves copies behind that nobody wipes.

use super::constants::{
    COOKIE_LEN, COOKIE_NONCE_LEN, HASH_BLOCK_LEN, HASH_LEN, KEY_LEN, MAC_LEN, SYMMETRIC_KEY_LEN,
};
use core::marker::PhantomData;

/// The cryptographic primitives.
///
/// Functions that return `bool` report success; on failure the contents of the
/// output are unspecified and must not be used. Implementations check the
/// lengths of the slices they are given and fail on a mismatch.
pub trait Crypto: Sized + 'static {
    /// BLAKE2s-256 without a key over the concatenation of `parts`.
    fn hash(out: &mut [u8; HASH_LEN], parts: &[&[u8]]);

    /// BLAKE2s-128 keyed with `key` (1 to 32 bytes) over the concatenation of
    /// `parts`.
    fn mac(out: &mut [u8; MAC_LEN], key: &[u8], parts: &[&[u8]]);

    /// ChaCha20-Poly1305: seals `src` into `dst`, which is 16 bytes longer.
    ///
    /// The 96-bit nonce is four zero bytes and `nonce` in little endian.
    #[must_use]
    fn aead_seal(
        dst: &mut [u8],
        src: &[u8],
        aad: &[u8],
        nonce: u64,
        key: &[u8; SYMMETRIC_KEY_LEN],
    ) -> bool;

    /// ChaCha20-Poly1305: opens `src` into `dst`, which is 16 bytes shorter.
    #[must_use]
    fn aead_open(
        dst: &mut [u8],
        src: &[u8],
        aad: &[u8],
        nonce: u64,
        key: &[u8; SYMMETRIC_KEY_LEN],
    ) -> bool;

    /// XChaCha20-Poly1305: seals `src` into `dst`, which is 16 bytes longer.
    #[must_use]
    fn xaead_seal(
        dst: &mut [u8],
        src: &[u8],
        aad: &[u8],
        nonce: &[u8; COOKIE_NONCE_LEN],
        key: &[u8; SYMMETRIC_KEY_LEN],
    ) -> bool;

    /// XChaCha20-Poly1305: opens `src` into `dst`, which is 16 bytes shorter.
    #[must_use]
    fn xaead_open(
        dst: &mut [u8],
        src: &[u8],
        aad: &[u8],
        nonce: &[u8; COOKIE_NONCE_LEN],
        key: &[u8; SYMMETRIC_KEY_LEN],
    ) -> bool;

    /// Curve25519. Fails when the result is all zeros, as it is for points of
    /// small order.
    #[must_use]
    fn x25519(out: &mut [u8; KEY_LEN], secret: &[u8; KEY_LEN], public: &[u8; KEY_LEN]) -> bool;

    /// Curve25519 with the base point.
    #[must_use]
    fn x25519_public(out: &mut [u8; KEY_LEN], secret: &[u8; KEY_LEN]) -> bool;

    /// Fills `out` from a cryptographically secure generator.
    fn random(out: &mut [u8]);

    /// Whether `a` and `b` are the same bytes, in time that depends on their
    /// lengths only.
    #[must_use]
    fn equal(a: &[u8], b: &[u8]) -> bool;

    /// Overwrites `bytes` with zeros in a way the compiler must not elide.
    fn wipe(bytes: &mut [u8]);
}

/// `N` secret bytes that are wiped when dropped.
///
/// Copies are made by [`duplicate`](Self::duplicate) and
/// [`copy_from`](Self::copy_from) only, and nothing prints them. Moving one
/// may leave a copy on the stack, as everywhere in Rust; the handshake keeps
/// its secrets in place for that reason.
pub struct Secret<C: Crypto, const N: usize> {
    bytes: [u8; N],
    // A function pointer, so that being `Send` does not depend on `C`.
    crypto: PhantomData<fn() -> C>,
}

impl<C: Crypto, const N: usize> Secret<C, N> {
    /// All zeros: a place to write a secret to.
    #[inline]
    pub const fn zeroed() -> Self {
        Self::new([0; N])
    }

    /// Takes over `bytes`. The caller's own copy remains the caller's to wipe.
    #[inline]
    pub const fn new(bytes: [u8; N]) -> Self {
        Secret {
            bytes,
            crypto: PhantomData,
        }
    }

    /// `N` fresh random bytes.
    pub fn random() -> Self {
        let mut secret = Self::zeroed();
        C::random(&mut secret.bytes);
        secret
    }

    /// The bytes, to compute with.
    #[inline]
    pub const fn as_bytes(&self) -> &[u8; N] {
        &self.bytes
    }

    /// The bytes, to write to.
    #[inline]
    pub fn as_mut_bytes(&mut self) -> &mut [u8; N] {
        &mut self.bytes
    }

    /// Overwrites this secret with another.
    #[inline]
    pub fn copy_from(&mut self, other: &Self) {
        self.bytes.copy_from_slice(&other.bytes);
    }

    /// A second copy, which is wiped on its own.
    #[inline]
    pub fn duplicate(&self) -> Self {
        Self::new(self.bytes)
    }

    /// Whether all bytes are zero, in constant time.
    pub fn is_zero(&self) -> bool {
        C::equal(&self.bytes, &[0; N])
    }

    /// Whether both secrets are the same, in constant time.
    pub fn same_as(&self, other: &Self) -> bool {
        C::equal(&self.bytes, &other.bytes)
    }

    /// Overwrites the secret with zeros now.
    #[inline]
    pub fn wipe(&mut self) {
        C::wipe(&mut self.bytes);
    }
}

impl<C: Crypto, const N: usize> Drop for Secret<C, N> {
    #[inline]
    fn drop(&mut self) {
        self.wipe();
    }
}

macro_rules! secrets {
    ($($(#[$doc:meta])* $name:ident: $len:expr;)*) => {$(
        $(#[$doc])*
        pub struct $name<C: Crypto>(Secret<C, { $len }>);

        impl<C: Crypto> $name<C> {
            /// All zeros: a place to write a secret to.
            #[inline]
            pub const fn zeroed() -> Self {
                $name(Secret::zeroed())
            }

            /// Takes over `bytes`. The caller's own copy remains the caller's
            /// to wipe.
            #[inline]
            pub const fn new(bytes: [u8; $len]) -> Self {
                $name(Secret::new(bytes))
            }

            /// A second copy, which is wiped on its own.
            #[inline]
            pub fn duplicate(&self) -> Self {
                $name(self.0.duplicate())
            }

            /// Overwrites this secret with another of its kind.
            #[inline]
            pub fn copy_from(&mut self, other: &Self) {
                self.0.copy_from(&other.0);
            }
        }

        impl<C: Crypto> core::ops::Deref for $name<C> {
            type Target = Secret<C, { $len }>;

            #[inline]
            fn deref(&self) -> &Self::Target {
                &self.0
            }
        }

        impl<C: Crypto> core::ops::DerefMut for $name<C> {
            #[inline]
            fn deref_mut(&mut self) -> &mut Self::Target {
                &mut self.0
            }
        }
    )*};
}

secrets! {
    /// A Curve25519 scalar, static or ephemeral.
    SecretKey: KEY_LEN;
    /// The optional symmetric key two peers agreed on beforehand. All zeros
    /// stands for none (WireGuard paper section 5.2).
    PresharedKey: SYMMETRIC_KEY_LEN;
    /// A ChaCha20-Poly1305 key.
    SymmetricKey: SYMMETRIC_KEY_LEN;
    /// What a Diffie-Hellman operation yields.
    SharedSecret: KEY_LEN;
    /// The chaining key of a handshake.
    ChainingKey: HASH_LEN;
    /// The running hash of a handshake's transcript.
    Transcript: HASH_LEN;
    /// What a responder under load gives out to prove an address with.
    Cookie: COOKIE_LEN;
}

impl<C: Crypto> SecretKey<C> {
    /// A fresh random scalar, clamped.
    pub fn generate() -> Self {
        let mut key = SecretKey(Secret::random());
        key.clamp();
        key
    }

    /// Clears and sets the bits that RFC 7748 section 5 fixes. Changes nothing
    /// about what the scalar computes.
    #[inline]
    pub fn clamp(&mut self) {
        let bytes = self.as_mut_bytes();
        bytes[0] &= 0xf8;
        bytes[KEY_LEN - 1] &= 0x7f;
        bytes[KEY_LEN - 1] |= 0x40;
    }

    /// The matching public key, unless the primitive fails.
    pub fn public_key(&self) -> Option<PublicKey> {
        let mut public = PublicKey([0; KEY_LEN]);
        C::x25519_public(&mut public.0, self.as_bytes()).then_some(public)
    }
}

/// A Curve25519 public key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(transparent)]
pub struct PublicKey(
    /// The u-coordinate, little endian.
    pub [u8; KEY_LEN],
);

/// HMAC-BLAKE2s over `a` followed by `b` (RFC 2104, with the hash as it is; not
/// the keyed mode of BLAKE2s).
pub fn hmac<C: Crypto>(out: &mut [u8; HASH_LEN], key: &[u8; HASH_LEN], a: &[u8], b: &[u8]) {
    const INNER: u8 = 0x36;
    const OUTER: u8 = 0x5c;

    let mut pad = Secret::<C, HASH_BLOCK_LEN>::new([INNER; HASH_BLOCK_LEN]);
    for (byte, key) in pad.as_mut_bytes().iter_mut().zip(key) {
        *byte ^= *key;
    }
    let mut inner = Secret::<C, HASH_LEN>::zeroed();
    C::hash(inner.as_mut_bytes(), &[pad.as_bytes(), a, b]);

    for byte in pad.as_mut_bytes() {
        *byte ^= INNER ^ OUTER;
    }
    C::hash(out, &[pad.as_bytes(), inner.as_bytes()]);
}

/// The key derivation of WireGuard paper section 5.4 (HKDF, RFC 5869): from
/// `input` under the key `chaining`, as many blocks as `out` has places.
///
/// `chaining` may be replaced by the first block afterwards but not during, so
/// the two do not alias. No more than three blocks are ever asked for.
fn expand<C: Crypto>(out: &mut [&mut [u8; HASH_LEN]], chaining: &ChainingKey<C>, input: &[u8]) {
    let mut root = Secret::<C, HASH_LEN>::zeroed();
    hmac::<C>(root.as_mut_bytes(), chaining.as_bytes(), input, &[]);

    let mut previous: &[u8] = &[];
    for (block, number) in out.iter_mut().zip([1u8, 2, 3]) {
        hmac::<C>(block, root.as_bytes(), previous, &[number]);
        previous = block.as_slice();
    }
}

/// `Kdf1`: replaces the chaining key.
#[inline(never)]
pub fn kdf1<C: Crypto>(chaining: &mut ChainingKey<C>, input: &[u8]) {
    let mut next = ChainingKey::<C>::zeroed();
    expand(&mut [next.as_mut_bytes()], chaining, input);
    chaining.copy_from(&next);
}

/// `Kdf2`: replaces the chaining key and yields a key.
pub fn kdf2<C: Crypto>(chaining: &mut ChainingKey<C>, second: &mut SymmetricKey<C>, input: &[u8]) {
    let mut next = ChainingKey::<C>::zeroed();
    expand(
        &mut [next.as_mut_bytes(), second.as_mut_bytes()],
        chaining,
        input,
    );
    chaining.copy_from(&next);
}

/// `Kdf3`: replaces the chaining key and yields a value to mix into the
/// transcript and a key.
pub fn kdf3<C: Crypto>(
    chaining: &mut ChainingKey<C>,
    second: &mut Secret<C, HASH_LEN>,
    third: &mut SymmetricKey<C>,
    input: &[u8],
) {
    let mut next = ChainingKey::<C>::zeroed();
    expand(
        &mut [
            next.as_mut_bytes(),
            second.as_mut_bytes(),
            third.as_mut_bytes(),
        ],
        chaining,
        input,
    );
    chaining.copy_from(&next);
}

/// The two keys of a session, derived from the last chaining key (WireGuard
/// paper section 5.4.5): the first is the one the initiator sends with.
pub fn session_keys<C: Crypto>(
    chaining: &ChainingKey<C>,
    initiator_sends: &mut SymmetricKey<C>,
    responder_sends: &mut SymmetricKey<C>,
) {
    expand(
        &mut [
            initiator_sends.as_mut_bytes(),
            responder_sends.as_mut_bytes(),
        ],
        chaining,
        &[],
    );
}
