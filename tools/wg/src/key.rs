// SPDX-License-Identifier: GPL-2.0
//! Keys and their spellings. Coding and decoding take the same time for every
//! key, and secret keys are wiped when they go out of use.

use base64ct::{Base64, Encoding};
use std::fmt;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// Bytes of a key.
pub const KEY_LEN: usize = 32;
/// Characters of a key in base64.
pub const BASE64_LEN: usize = 44;
/// Characters of a key in hex.
pub const HEX_LEN: usize = 64;

/// A private or preshared key. It cannot be printed by accident.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
#[cfg_attr(test, derive(PartialEq, Eq))]
pub struct SecretKey([u8; KEY_LEN]);

/// A public key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey(pub [u8; KEY_LEN]);

impl SecretKey {
    /// The key that stands for "no key".
    pub const ZERO: SecretKey = SecretKey([0; KEY_LEN]);

    /// Takes the bytes as they come off the wire.
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        let mut key = Self::ZERO;
        if bytes.len() != KEY_LEN {
            return None;
        }
        key.0.copy_from_slice(bytes);
        Some(key)
    }

    /// 32 bytes from the kernel's random number generator.
    pub fn random() -> std::io::Result<Self> {
        let mut key = Self::ZERO;
        getrandom::fill(&mut key.0).map_err(std::io::Error::from)?;
        Ok(key)
    }

    /// Sets and clears the bits that make 32 random bytes a Curve25519 scalar.
    pub fn clamp(&mut self) {
        self.0[0] &= 248;
        self.0[31] = (self.0[31] & 127) | 64;
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8; KEY_LEN] {
        &self.0
    }

    /// Whether this is [`SecretKey::ZERO`], without telling how close it is.
    pub fn is_zero(&self) -> bool {
        self.0.iter().fold(0, |acc, byte| acc | byte) == 0
    }

    /// The public key that belongs to this private key.
    pub fn public(&self) -> PublicKey {
        let secret = x25519_dalek::StaticSecret::from(self.0);
        PublicKey(x25519_dalek::PublicKey::from(&secret).to_bytes())
    }

    /// Reads the base64 form, which is exactly 44 characters long.
    pub fn from_base64(text: &[u8]) -> Option<Self> {
        let mut key = Self::ZERO;
        decode_base64(text, &mut key.0).then_some(key)
    }

    /// The base64 form.
    pub fn to_base64(&self) -> Zeroizing<String> {
        Zeroizing::new(encode_base64(&self.0))
    }

    /// Reads the hex form of the userspace protocol.
    pub fn from_hex(text: &[u8]) -> Option<Self> {
        let mut key = Self::ZERO;
        decode_hex(text, &mut key.0).then_some(key)
    }

    /// The hex form.
    pub fn to_hex(&self) -> Zeroizing<String> {
        Zeroizing::new(base16ct::lower::encode_string(&self.0))
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey(..)")
    }
}

impl PublicKey {
    /// Takes the bytes as they come off the wire.
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// Reads the base64 form.
    pub fn from_base64(text: &[u8]) -> Option<Self> {
        let mut key = [0; KEY_LEN];
        decode_base64(text, &mut key).then_some(Self(key))
    }

    /// Reads the hex form.
    pub fn from_hex(text: &[u8]) -> Option<Self> {
        let mut key = [0; KEY_LEN];
        decode_hex(text, &mut key).then_some(Self(key))
    }

    /// The hex form.
    pub fn to_hex(&self) -> String {
        base16ct::lower::encode_string(&self.0)
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [0; BASE64_LEN];
        f.write_str(Base64::encode(&self.0, &mut text).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn encode_base64(key: &[u8; KEY_LEN]) -> String {
    Base64::encode_string(key)
}

fn decode_base64(text: &[u8], key: &mut [u8; KEY_LEN]) -> bool {
    text.len() == BASE64_LEN
        && matches!(Base64::decode(text, key), Ok(bytes) if bytes.len() == KEY_LEN)
}

fn decode_hex(text: &[u8], key: &mut [u8; KEY_LEN]) -> bool {
    text.len() == HEX_LEN && base16ct::mixed::decode(text, key).is_ok()
}

/// Says what is wrong with the base64 form of a key without repeating it.
pub fn base64_complaint(text: &[u8]) -> String {
    if text.len() != BASE64_LEN {
        format!(
            "it has {} characters, a key has {BASE64_LEN} of base64",
            text.len()
        )
    } else {
        format!("a key is {BASE64_LEN} characters of base64, the last one `='")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRIVATE: &[u8] = b"qNO3/AAtC49xVUHYE1k/37egjsDgkb8Lrk8RU0H7hEo=";
    const PUBLIC: &str = "YtYKSMZRJK7ip74EWf2hnFeYvLPO5VaEalH4wIqDOCY=";
    const PRIVATE_HEX: &[u8] = b"a8d3b7fc002d0b8f715541d813593fdfb7a08ec0e091bf0bae4f115341fb844a";

    #[test]
    fn spellings_agree() {
        let key = SecretKey::from_base64(PRIVATE).unwrap();
        assert_eq!(key.to_base64().as_bytes(), PRIVATE);
        assert_eq!(key.to_hex().as_bytes(), PRIVATE_HEX);
        assert!(SecretKey::from_hex(PRIVATE_HEX).unwrap() == key);
        assert_eq!(key.public().to_string(), PUBLIC);
        let upper = PRIVATE_HEX.to_ascii_uppercase();
        assert!(SecretKey::from_hex(&upper).unwrap() == key);
    }

    #[test]
    fn broken_base64_is_refused() {
        let bad: [&[u8]; 8] = [
            b"",
            b"qNO3",
            &PRIVATE[..43],
            b"qNO3/AAtC49xVUHYE1k/37egjsDgkb8Lrk8RU0H7hEo==",
            b"qNO3/AAtC49xVUHYE1k/37egjsDgkb8Lrk8RU0H7hEoA",
            // Padding bits that are not zero.
            b"qNO3/AAtC49xVUHYE1k/37egjsDgkb8Lrk8RU0H7hEp=",
            b"qNO3/AAtC49xVUHYE1k/37egjsDgkb8Lrk8RU0H7h==",
            b"qNO3-AAtC49xVUHYE1k/37egjsDgkb8Lrk8RU0H7hEo=",
        ];
        for text in bad {
            assert!(SecretKey::from_base64(text).is_none());
            assert!(PublicKey::from_base64(text).is_none());
        }
    }

    #[test]
    fn random_keys_are_clamped() {
        let mut key = SecretKey::random().unwrap();
        key.clamp();
        assert_eq!(key.as_bytes()[0] & 7, 0);
        assert_eq!(key.as_bytes()[31] & 192, 64);
        assert!(!key.is_zero());
        assert!(SecretKey::ZERO.is_zero());
    }

    #[test]
    fn debug_output_holds_no_key() {
        let key = SecretKey::from_base64(PRIVATE).unwrap();
        assert_eq!(format!("{key:?}"), "SecretKey(..)");
    }
}
