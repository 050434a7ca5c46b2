// SPDX-License-Identifier: GPL-2.0

//! The kernel's cryptographic library, for the protocol.
//!
//! C headers: `include/crypto/blake2s.h`, `include/crypto/chacha20poly1305.h`,
//! `include/crypto/curve25519.h`.

use super::{bindings, random};
use crate::protocol::{constants::TAG_LEN, crypto::Crypto};
use core::mem::MaybeUninit;

/// lib/crypto.
pub(crate) struct KernelCrypto;

#[inline(never)]
fn blake2s(out: &mut [u8], key: &[u8], parts: &[&[u8]]) {
    let mut context = MaybeUninit::<bindings::blake2s_ctx>::uninit();
    let context = context.as_mut_ptr();
    // SAFETY: The context is initialised first; all slices are valid for their lengths. Output and
    // key are at most 32 bytes: every caller passes arrays.
    unsafe {
        if key.is_empty() {
            bindings::wg_blake2s_init(context, out.len());
        } else {
            bindings::wg_blake2s_init_key(context, out.len(), key.as_ptr().cast(), key.len());
        }
        for part in parts {
            bindings::blake2s_update(context, part.as_ptr(), part.len());
        }
        // Wipes the context as well.
        bindings::blake2s_final(context, out.as_mut_ptr());
    }
}

impl Crypto for KernelCrypto {
    fn hash(out: &mut [u8; 32], parts: &[&[u8]]) {
        blake2s(out, &[], parts);
    }

    fn mac(out: &mut [u8; 16], key: &[u8], parts: &[&[u8]]) {
        blake2s(out, key.get(..32).unwrap_or(key), parts);
    }

    fn aead_seal(dst: &mut [u8], src: &[u8], aad: &[u8], nonce: u64, key: &[u8; 32]) -> bool {
        if Some(dst.len()) != src.len().checked_add(TAG_LEN) {
            return false;
        }
        // SAFETY: All slices are valid for their lengths, and `dst` has room for the tag.
        unsafe {
            bindings::chacha20poly1305_encrypt(
                dst.as_mut_ptr(),
                src.as_ptr(),
                src.len(),
                aad.as_ptr(),
                aad.len(),
                nonce,
                key.as_ptr(),
            );
        }
        true
    }

    fn aead_open(dst: &mut [u8], src: &[u8], aad: &[u8], nonce: u64, key: &[u8; 32]) -> bool {
        if Some(src.len()) != dst.len().checked_add(TAG_LEN) {
            return false;
        }
        // SAFETY: All slices are valid for their lengths, and `dst` has room for what is left
        // without the tag.
        unsafe {
            bindings::chacha20poly1305_decrypt(
                dst.as_mut_ptr(),
                src.as_ptr(),
                src.len(),
                aad.as_ptr(),
                aad.len(),
                nonce,
                key.as_ptr(),
            )
        }
    }

    fn xaead_seal(
        dst: &mut [u8],
        src: &[u8],
        aad: &[u8],
        nonce: &[u8; 24],
        key: &[u8; 32],
    ) -> bool {
        if Some(dst.len()) != src.len().checked_add(TAG_LEN) {
            return false;
        }
        // SAFETY: As in `aead_seal`.
        unsafe {
            bindings::xchacha20poly1305_encrypt(
                dst.as_mut_ptr(),
                src.as_ptr(),
                src.len(),
                aad.as_ptr(),
                aad.len(),
                nonce.as_ptr(),
                key.as_ptr(),
            );
        }
        true
    }

    fn xaead_open(
        dst: &mut [u8],
        src: &[u8],
        aad: &[u8],
        nonce: &[u8; 24],
        key: &[u8; 32],
    ) -> bool {
        if Some(src.len()) != dst.len().checked_add(TAG_LEN) {
            return false;
        }
        // SAFETY: As in `aead_open`.
        unsafe {
            bindings::xchacha20poly1305_decrypt(
                dst.as_mut_ptr(),
                src.as_ptr(),
                src.len(),
                aad.as_ptr(),
                aad.len(),
                nonce.as_ptr(),
                key.as_ptr(),
            )
        }
    }

    fn x25519(out: &mut [u8; 32], secret: &[u8; 32], public: &[u8; 32]) -> bool {
        // SAFETY: All arrays have the length that the function takes.
        unsafe { bindings::curve25519(out.as_mut_ptr(), secret.as_ptr(), public.as_ptr()) }
    }

    fn x25519_public(out: &mut [u8; 32], secret: &[u8; 32]) -> bool {
        // SAFETY: As above.
        unsafe { bindings::curve25519_generate_public(out.as_mut_ptr(), secret.as_ptr()) }
    }

    fn random(out: &mut [u8]) {
        random::fill(out);
    }

    fn equal(a: &[u8], b: &[u8]) -> bool {
        // SAFETY: Both slices are valid for the common length.
        a.len() == b.len()
            && !unsafe { bindings::wg_crypto_memneq(a.as_ptr().cast(), b.as_ptr().cast(), a.len()) }
    }

    fn wipe(bytes: &mut [u8]) {
        // SAFETY: The slice is writable for its length.
        unsafe { bindings::wg_memzero_explicit(bytes.as_mut_ptr().cast(), bytes.len()) };
    }
}

/// A keyed hash for tables whose keys strangers choose.
pub(crate) struct SipKey(bindings::siphash_key_t);

impl SipKey {
    /// A key of its own.
    pub(crate) fn random() -> Self {
        let mut key = [0; 16];
        random::fill(&mut key);
        // SAFETY: Sixteen bytes of plain data either way.
        Self(unsafe { core::mem::transmute::<[u8; 16], bindings::siphash_key_t>(key) })
    }

    /// The hash of `data`.
    pub(crate) fn hash(&self, data: &[u8]) -> u64 {
        // SAFETY: The slice is valid for its length.
        unsafe { bindings::wg_siphash(data.as_ptr().cast(), data.len(), &self.0) }
    }
}
