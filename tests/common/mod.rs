// SPDX-License-Identifier: GPL-2.0

//! What the tests share, among themselves and with the fuzz targets: primitives
//! from published crates behind the `Crypto` trait here, models in the modules.

// Every test crate uses a different part.
#![allow(dead_code)]

pub mod offload;
pub mod reference;
pub mod rules;
pub mod simulation;
pub mod spy;
pub mod trie;
pub mod window;

use blake2::digest::{consts::U16, FixedOutput, KeyInit, Update};
use blake2::{Blake2s256, Blake2sMac, Digest};
use chacha20poly1305::aead::{AeadInPlace, KeyInit as AeadKeyInit};
use chacha20poly1305::{ChaCha20Poly1305, XChaCha20Poly1305};
use subtle::ConstantTimeEq;
use wireguard_protocol::protocol::constants::Instant;
use wireguard_protocol::protocol::crypto::{Crypto, PublicKey, SecretKey};
use wireguard_protocol::protocol::noise::{Handshake, StaticIdentity};
use zeroize::Zeroize;

/// How often to repeat something: Miri is a few thousand times slower.
pub const fn rounds(usual: usize) -> usize {
    if cfg!(miri) {
        usual.div_ceil(500)
    } else {
        usual
    }
}

/// The primitives on the host.
pub struct Host;

fn seal<A: AeadInPlace>(aead: &A, nonce: &[u8], dst: &mut [u8], src: &[u8], aad: &[u8]) -> bool {
    if dst.len() != src.len() + 16 {
        return false;
    }
    let (text, tag) = dst.split_at_mut(src.len());
    text.copy_from_slice(src);
    match aead.encrypt_in_place_detached(nonce.into(), aad, text) {
        Ok(computed) => {
            tag.copy_from_slice(&computed);
            true
        }
        Err(_) => false,
    }
}

fn open<A: AeadInPlace>(aead: &A, nonce: &[u8], dst: &mut [u8], src: &[u8], aad: &[u8]) -> bool {
    if src.len() != dst.len() + 16 {
        return false;
    }
    let (text, tag) = src.split_at(dst.len());
    dst.copy_from_slice(text);
    aead.decrypt_in_place_detached(nonce.into(), aad, dst, tag.into())
        .is_ok()
}

fn wide_nonce(nonce: u64) -> [u8; 12] {
    let mut wide = [0; 12];
    wide[4..].copy_from_slice(&nonce.to_le_bytes());
    wide
}

impl Crypto for Host {
    fn hash(out: &mut [u8; 32], parts: &[&[u8]]) {
        let mut hasher = Blake2s256::new();
        for part in parts {
            Update::update(&mut hasher, part);
        }
        out.copy_from_slice(&hasher.finalize());
    }

    fn mac(out: &mut [u8; 16], key: &[u8], parts: &[&[u8]]) {
        let mut mac = <Blake2sMac<U16> as KeyInit>::new_from_slice(key).unwrap();
        for part in parts {
            mac.update(part);
        }
        out.copy_from_slice(&mac.finalize_fixed());
    }

    fn aead_seal(dst: &mut [u8], src: &[u8], aad: &[u8], nonce: u64, key: &[u8; 32]) -> bool {
        let aead = <ChaCha20Poly1305 as AeadKeyInit>::new(key.into());
        seal(&aead, &wide_nonce(nonce), dst, src, aad)
    }

    fn aead_open(dst: &mut [u8], src: &[u8], aad: &[u8], nonce: u64, key: &[u8; 32]) -> bool {
        let aead = <ChaCha20Poly1305 as AeadKeyInit>::new(key.into());
        open(&aead, &wide_nonce(nonce), dst, src, aad)
    }

    fn xaead_seal(
        dst: &mut [u8],
        src: &[u8],
        aad: &[u8],
        nonce: &[u8; 24],
        key: &[u8; 32],
    ) -> bool {
        let aead = <XChaCha20Poly1305 as AeadKeyInit>::new(key.into());
        seal(&aead, nonce, dst, src, aad)
    }

    fn xaead_open(
        dst: &mut [u8],
        src: &[u8],
        aad: &[u8],
        nonce: &[u8; 24],
        key: &[u8; 32],
    ) -> bool {
        let aead = <XChaCha20Poly1305 as AeadKeyInit>::new(key.into());
        open(&aead, nonce, dst, src, aad)
    }

    fn x25519(out: &mut [u8; 32], secret: &[u8; 32], public: &[u8; 32]) -> bool {
        *out = x25519_dalek::x25519(*secret, *public);
        *out != [0; 32]
    }

    fn x25519_public(out: &mut [u8; 32], secret: &[u8; 32]) -> bool {
        *out = x25519_dalek::x25519(*secret, x25519_dalek::X25519_BASEPOINT_BYTES);
        *out != [0; 32]
    }

    fn random(out: &mut [u8]) {
        getrandom::fill(out).unwrap();
    }

    fn equal(a: &[u8], b: &[u8]) -> bool {
        a.ct_eq(b).into()
    }

    fn wipe(bytes: &mut [u8]) {
        bytes.zeroize();
    }
}

/// Bytes from hex digits; white space is ignored.
pub fn hex(digits: &str) -> Vec<u8> {
    let digits: Vec<u8> = digits
        .chars()
        .filter(|c| !c.is_whitespace())
        .map(|c| c.to_digit(16).unwrap() as u8)
        .collect();
    digits.chunks_exact(2).map(|d| d[0] << 4 | d[1]).collect()
}

pub fn hex32(digits: &str) -> [u8; 32] {
    hex(digits).try_into().unwrap()
}

/// A point in time, in milliseconds.
pub fn ms(ms: u64) -> Instant {
    Instant(ms * 1_000_000)
}

/// A point in time, in seconds.
pub fn s(s: u64) -> Instant {
    ms(s * 1000)
}

pub fn identity() -> StaticIdentity<Host> {
    StaticIdentity::new(&SecretKey::generate()).unwrap()
}

/// The handshake state that the owner of `own` keeps for `remote`.
pub fn peer(own: &StaticIdentity<Host>, remote: &PublicKey) -> Handshake<Host> {
    let mut handshake = Handshake::new(*remote);
    handshake.set_identity(Some(own));
    handshake
}

/// The u-coordinates of all points of small order, as far as they are encoded in
/// 255 bits: 0, 1 and -1, also with the modulus added where there is room, and
/// the two of order eight.
pub const SMALL_ORDER: [&str; 7] = [
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
];
