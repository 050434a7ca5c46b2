// SPDX-License-Identifier: GPL-2.0

//! Primitives that note what is wiped.

use super::Host;
use std::cell::RefCell;
use wireguard_protocol::protocol::crypto::Crypto;

thread_local! {
    /// What was in memory just before it was wiped, in this thread.
    pub static WIPED: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// The primitives on the host.
pub struct Spy;

impl Crypto for Spy {
    fn hash(out: &mut [u8; 32], parts: &[&[u8]]) {
        Host::hash(out, parts);
    }

    fn mac(out: &mut [u8; 16], key: &[u8], parts: &[&[u8]]) {
        Host::mac(out, key, parts);
    }

    fn aead_seal(dst: &mut [u8], src: &[u8], aad: &[u8], nonce: u64, key: &[u8; 32]) -> bool {
        Host::aead_seal(dst, src, aad, nonce, key)
    }

    fn aead_open(dst: &mut [u8], src: &[u8], aad: &[u8], nonce: u64, key: &[u8; 32]) -> bool {
        Host::aead_open(dst, src, aad, nonce, key)
    }

    fn xaead_seal(
        dst: &mut [u8],
        src: &[u8],
        aad: &[u8],
        nonce: &[u8; 24],
        key: &[u8; 32],
    ) -> bool {
        Host::xaead_seal(dst, src, aad, nonce, key)
    }

    fn xaead_open(
        dst: &mut [u8],
        src: &[u8],
        aad: &[u8],
        nonce: &[u8; 24],
        key: &[u8; 32],
    ) -> bool {
        Host::xaead_open(dst, src, aad, nonce, key)
    }

    fn x25519(out: &mut [u8; 32], secret: &[u8; 32], public: &[u8; 32]) -> bool {
        Host::x25519(out, secret, public)
    }

    fn x25519_public(out: &mut [u8; 32], secret: &[u8; 32]) -> bool {
        Host::x25519_public(out, secret)
    }

    fn random(out: &mut [u8]) {
        Host::random(out);
    }

    fn equal(a: &[u8], b: &[u8]) -> bool {
        Host::equal(a, b)
    }

    fn wipe(bytes: &mut [u8]) {
        // Thread-local memory may be gone at the very end of a test.
        let _ = WIPED.try_with(|wiped| wiped.borrow_mut().push(bytes.to_vec()));
        Host::wipe(bytes);
    }
}
