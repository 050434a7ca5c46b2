// SPDX-License-Identifier: GPL-2.0

//! The kernel's ChaCha20 and Poly1305, for the AEAD of data messages.
//!
//! C headers: `include/crypto/chacha.h`, `include/crypto/poly1305.h`.

use super::{bindings, crypto::KernelCrypto};
use crate::protocol::{
    aead::{Authenticator, Parts, Stream},
    constants::TAG_LEN,
};
use core::mem::MaybeUninit;

impl Parts for KernelCrypto {
    type Stream = ChaCha20;
    type Authenticator = Poly1305;
}

/// ChaCha20, with the state of its next block.
pub(crate) struct ChaCha20(bindings::chacha_state);

const ROUNDS: i32 = 20;

impl ChaCha20 {
    /// # Safety
    ///
    /// `to` is writable and `from` readable for `len` bytes; they are the same or do not overlap.
    #[inline]
    unsafe fn crypt(&mut self, to: *mut u8, from: *const u8, len: usize) {
        // SAFETY: By the contract. No packet has as many bytes as an `unsigned int` does not hold, and
        // of longer memory the rest would stay as it is.
        unsafe { bindings::chacha_crypt(&mut self.0, to, from, len as u32, ROUNDS) };
    }
}

impl Stream for ChaCha20 {
    #[inline]
    fn begin(key: &[u8; 32], nonce: u64) -> Self {
        let mut x = [0; bindings::CHACHA_STATE_WORDS as usize];
        let [c0, c1, c2, c3, words @ .., _, _, n0, n1] = &mut x;
        [*c0, *c1, *c2, *c3] = [
            bindings::chacha_constants_CHACHA_CONSTANT_EXPA,
            bindings::chacha_constants_CHACHA_CONSTANT_ND_3,
            bindings::chacha_constants_CHACHA_CONSTANT_2_BY,
            bindings::chacha_constants_CHACHA_CONSTANT_TE_K,
        ];
        for (word, bytes) in words.iter_mut().zip(key.chunks_exact(4)) {
            *word = bytes
                .first_chunk()
                .map_or(0, |bytes| u32::from_le_bytes(*bytes));
        }
        [*n0, *n1] = [nonce as u32, (nonce >> 32) as u32];
        Self(bindings::chacha_state { x })
    }

    #[inline]
    fn apply(&mut self, text: &mut [u8]) {
        let at = text.as_mut_ptr();
        // SAFETY: The slice is valid for its length.
        unsafe { self.crypt(at, at, text.len()) };
    }

    #[inline]
    fn apply_to(&mut self, to: &mut [u8], from: &[u8]) {
        if to.len() == from.len() {
            // SAFETY: Both slices are valid for that length, and what is borrowed mutably is not borrowed
            // twice.
            unsafe { self.crypt(to.as_mut_ptr(), from.as_ptr(), to.len()) };
        }
    }
}

impl Drop for ChaCha20 {
    #[inline]
    fn drop(&mut self) {
        let state = &raw mut self.0;
        // SAFETY: The state is ours, and plain numbers.
        unsafe { bindings::wg_memzero_explicit(state.cast(), size_of::<bindings::chacha_state>()) };
    }
}

/// Poly1305 with its key.
///
/// # Invariants
///
/// It is initialised.
pub(crate) struct Poly1305(MaybeUninit<bindings::poly1305_desc_ctx>);

impl Authenticator for Poly1305 {
    #[inline]
    fn begin(key: &[u8; 32]) -> Self {
        let mut state = MaybeUninit::uninit();
        // SAFETY: The function initialises the state, and reads 32 bytes.
        unsafe { bindings::poly1305_init(state.as_mut_ptr(), key.as_ptr()) };
        // INVARIANT: It is initialised.
        Self(state)
    }

    #[inline]
    fn update(&mut self, bytes: &[u8]) {
        // SAFETY: By the type invariant, and the slice is valid for its length, which no packet has more
        // of than an `unsigned int` holds.
        unsafe {
            bindings::poly1305_update(self.0.as_mut_ptr(), bytes.as_ptr(), bytes.len() as u32);
        }
    }

    #[inline]
    fn finish(mut self, tag: &mut [u8; TAG_LEN]) {
        // SAFETY: By the type invariant; the tag has the length of a digest. The state is wiped.
        unsafe { bindings::poly1305_final(self.0.as_mut_ptr(), tag.as_mut_ptr()) };
    }
}
