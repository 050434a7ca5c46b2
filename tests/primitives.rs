// SPDX-License-Identifier: GPL-2.0

//! The host's primitives against published vectors, and what the core builds on
//! them against other implementations. Without the former, agreement of two
//! handshakes would only show that both are wrong in the same way.

mod common;

use common::{hex, hex32, Host};
use hmac::{Mac, SimpleHmac};
use proptest::prelude::*;
use wireguard_protocol::protocol::crypto::{
    hmac as protocol_hmac, kdf1, kdf2, kdf3, session_keys, ChainingKey, Crypto, Secret, SecretKey,
    SymmetricKey,
};
use wireguard_protocol::protocol::noise::{
    CONSTRUCTION, IDENTIFIER, INITIAL_CHAINING_KEY, INITIAL_HASH,
};

type Hmac = SimpleHmac<blake2::Blake2s256>;

fn crate_hmac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = <Hmac as Mac>::new_from_slice(key).unwrap();
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

fn hash(parts: &[&[u8]]) -> [u8; 32] {
    let mut out = [0; 32];
    Host::hash(&mut out, parts);
    out
}

#[test]
fn blake2s_of_rfc_7693() {
    // Appendix B.
    let abc = hex32("508c5e8c327c14e2e1a72ba34eeb452f37458b209ed63a294d999b4c86675982");
    assert_eq!(hash(&[b"abc"]), abc);
    assert_eq!(hash(&[b"a", b"", b"bc"]), abc);
}

#[test]
fn blake2s_selftest_of_rfc_7693() {
    // Appendix E: digests of several sizes, with and without a key, of generated
    // input, hashed together.
    let fill = |len: usize, seed: u32| {
        let mut a = 0xdead_4bad_u32.wrapping_mul(seed);
        let mut b = 1u32;
        (0..len)
            .map(|_| {
                let t = a.wrapping_add(b);
                a = b;
                b = t;
                (t >> 24) as u8
            })
            .collect::<Vec<u8>>()
    };
    // Of the sizes asked for, only two are behind the trait.
    use blake2::digest::{consts, Update, VariableOutput};
    macro_rules! keyed {
        ($size:ident, $key:expr, $input:expr) => {{
            let mac = <blake2::Blake2sMac<consts::$size> as Mac>::new_from_slice($key).unwrap();
            mac.chain_update($input).finalize().into_bytes().to_vec()
        }};
    }
    let mut all = Vec::new();
    for size in [16usize, 20, 28, 32] {
        for len in [0usize, 3, 64, 65, 255, 1024] {
            let input = fill(len, len as u32);
            if size == 32 {
                all.extend(hash(&[&input]));
            } else {
                let mut hasher = blake2::Blake2sVar::new(size).unwrap();
                hasher.update(&input);
                let mut out = vec![0; size];
                hasher.finalize_variable(&mut out).unwrap();
                all.extend(out);
            }

            let key = fill(size, size as u32);
            all.extend(match size {
                16 => {
                    let mut out = [0; 16];
                    Host::mac(&mut out, &key, &[&input]);
                    out.to_vec()
                }
                20 => keyed!(U20, &key, &input),
                28 => keyed!(U28, &key, &input),
                _ => keyed!(U32, &key, &input),
            });
        }
    }
    assert_eq!(
        hash(&[&all]),
        hex32("6a411f08ce25adcdfb02aba641451cec53c598b24f4fc787fbdc88797f4c1dfe")
    );
}

#[test]
fn chacha20poly1305_of_rfc_8439() {
    // Appendix A.5; its nonce starts with four zero bytes like ours.
    let key = hex32("1c9240a5eb55d38af333888604f6b5f0473917c1402b80099dca5cbc207075c0");
    let sealed = hex(
        "64a0861575861af460f062c79be643bd5e805cfd345cf389f108670ac76c8cb2
         4c6cfc18755d43eea09ee94e382d26b0bdb7b73c321b0100d4f03b7f355894cf
         332f830e710b97ce98c8a84abd0b948114ad176e008d33bd60f982b1ff37c855
         9797a06ef4f0ef61c186324e2b3506383606907b6a7c02b0f9f6157b53c867e4
         b9166c767b804d46a59b5216cde7a4e99040c5a40433225ee282a1b0a06c523e
         af4534d7f83fa1155b0047718cbc546a0d072b04b3564eea1b422273f548271a
         0bb2316053fa76991955ebd63159434ecebb4e466dae5a1073a6727627097a10
         49e617d91d361094fa68f0ff77987130305beaba2eda04df997b714d6c6f2c29
         a6ad5cb4022b02709beead9d67890cbb22392336fea1851f38",
    );
    let aad = hex("f33388860000000000004e91");
    let nonce = 0x0807_0605_0403_0201;
    let mut text = vec![0; sealed.len() - 16];
    assert!(Host::aead_open(&mut text, &sealed, &aad, nonce, &key));
    assert!(text.starts_with("Internet-Drafts are draft documents".as_bytes()));
    assert!(text.ends_with("as /\u{201c}work in progress./\u{201d}".as_bytes()));

    let mut again = vec![0; sealed.len()];
    assert!(Host::aead_seal(&mut again, &text, &aad, nonce, &key));
    assert_eq!(again, sealed);

    assert!(!Host::aead_open(&mut text, &sealed, &aad, nonce + 1, &key));
    assert!(!Host::aead_open(&mut text[1..], &sealed, &aad, nonce, &key));
}

#[test]
fn xchacha20poly1305_of_the_draft() {
    // draft-irtf-cfrg-xchacha-03, appendix A.3.1.
    let text = b"Ladies and Gentlemen of the class of '99: If I could offer you \
                 only one tip for the future, sunscreen would be it.";
    let aad = hex("50515253c0c1c2c3c4c5c6c7");
    let key = hex32("808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f");
    let nonce = hex("404142434445464748494a4b4c4d4e4f5051525354555657")
        .try_into()
        .unwrap();
    let expected = hex(
        "bd6d179d3e83d43b9576579493c0e939572a1700252bfaccbed2902c21396cbb
         731c7f1b0b4aa6440bf3a82f4eda7e39ae64c6708c54c216cb96b72e1213b452
         2f8c9ba40db5d945b11b69b982c1bb9e3f3fac2bc369488f76b2383565d3fff9
         21f9664c97637da9768812f615c68b13b52ec0875924c1c7987947deafd8780a
         cf49",
    );
    let mut sealed = vec![0; text.len() + 16];
    assert!(Host::xaead_seal(&mut sealed, text, &aad, &nonce, &key));
    assert_eq!(sealed, expected);
    let mut opened = vec![0; text.len()];
    assert!(Host::xaead_open(&mut opened, &sealed, &aad, &nonce, &key));
    assert_eq!(opened, text);
}

#[test]
fn x25519_of_rfc_7748() {
    let mut out = [0; 32];
    // Section 5.2.
    for (scalar, point, result) in [
        (
            "a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4",
            "e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c",
            "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552",
        ),
        (
            "4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d",
            "e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493",
            "95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957",
        ),
    ] {
        assert!(Host::x25519(&mut out, &hex32(scalar), &hex32(point)));
        assert_eq!(out, hex32(result));
    }
    // Section 6.1.
    let alice = hex32("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a");
    let bob = hex32("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb");
    let shared = hex32("4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742");
    let (mut alice_public, mut bob_public) = ([0; 32], [0; 32]);
    assert!(Host::x25519_public(&mut alice_public, &alice));
    assert!(Host::x25519_public(&mut bob_public, &bob));
    assert!(Host::x25519(&mut out, &alice, &bob_public));
    assert_eq!(out, shared);
    assert!(Host::x25519(&mut out, &bob, &alice_public));
    assert_eq!(out, shared);
    // Section 5.2 again, iterated.
    let mut scalar = [0; 32];
    scalar[0] = 9;
    let mut point = scalar;
    for round in 1..=1000 {
        assert!(Host::x25519(&mut out, &scalar, &point));
        point = scalar;
        scalar = out;
        let expected = match round {
            1 => "422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079",
            1000 => "684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51",
            _ => continue,
        };
        assert_eq!(scalar, hex32(expected));
    }
}

#[test]
fn x25519_refuses_points_of_small_order() {
    let mut out = [0; 32];
    let scalar = [0x55; 32];
    for point in common::SMALL_ORDER {
        assert!(!Host::x25519(&mut out, &scalar, &hex32(point)), "{point}");
    }
}

#[test]
fn generated_keys_are_clamped_and_clamping_changes_nothing() {
    for _ in 0..20 {
        let key = SecretKey::<Host>::generate();
        let bytes = key.as_bytes();
        assert_eq!(bytes[0] & 7, 0);
        assert_eq!(bytes[31] & 0xc0, 0x40);
    }
    let raw = SecretKey::<Host>::new([0xff; 32]);
    let mut clamped = raw.duplicate();
    clamped.clamp();
    assert!(!clamped.same_as(&raw));
    assert_eq!(raw.public_key(), clamped.public_key());
}

#[test]
fn hmac_of_known_input() {
    // Computed with Python: hmac.new(key, message, hashlib.blake2s).
    let mut out = [0; 32];
    let key = std::array::from_fn(|i| i as u8);
    protocol_hmac::<Host>(&mut out, &key, b"Hi ", b"There");
    assert_eq!(
        out,
        hex32("65043ae3113da6f99a94d81b790a6a08dcddef85a14bb01d1aae2ae6d7250146")
    );
}

#[test]
fn constants_are_the_hashes_they_stand_for() {
    assert_eq!(hash(&[CONSTRUCTION]), INITIAL_CHAINING_KEY);
    assert_eq!(hash(&[&INITIAL_CHAINING_KEY, IDENTIFIER]), INITIAL_HASH);
}

proptest! {
    #[test]
    fn hmac_agrees_with_the_crate(
        key: [u8; 32],
        a in prop::collection::vec(any::<u8>(), 0..200),
        b in prop::collection::vec(any::<u8>(), 0..80),
    ) {
        let mut out = [0; 32];
        protocol_hmac::<Host>(&mut out, &key, &a, &b);
        prop_assert_eq!(out, crate_hmac(&key, &[&a, &b]));
    }

    /// The derivation as the paper writes it, spelled out with the crate's HMAC.
    #[test]
    fn key_derivation_agrees_with_the_paper(
        key: [u8; 32],
        input in prop::collection::vec(any::<u8>(), 0..80),
    ) {
        let t0 = crate_hmac(&key, &[&input]);
        let t1 = crate_hmac(&t0, &[&[1]]);
        let t2 = crate_hmac(&t0, &[&t1, &[2]]);
        let t3 = crate_hmac(&t0, &[&t2, &[3]]);

        let mut chaining = ChainingKey::<Host>::new(key);
        kdf1(&mut chaining, &input);
        prop_assert_eq!(chaining.as_bytes(), &t1);

        let mut chaining = ChainingKey::<Host>::new(key);
        let mut second = SymmetricKey::zeroed();
        kdf2(&mut chaining, &mut second, &input);
        prop_assert_eq!(chaining.as_bytes(), &t1);
        prop_assert_eq!(second.as_bytes(), &t2);

        let mut chaining = ChainingKey::<Host>::new(key);
        let (mut second, mut third) = (Secret::zeroed(), SymmetricKey::zeroed());
        kdf3(&mut chaining, &mut second, &mut third, &input);
        prop_assert_eq!(chaining.as_bytes(), &t1);
        prop_assert_eq!(second.as_bytes(), &t2);
        prop_assert_eq!(third.as_bytes(), &t3);

        let t0 = crate_hmac(&key, &[]);
        let t1 = crate_hmac(&t0, &[&[1]]);
        let t2 = crate_hmac(&t0, &[&t1, &[2]]);
        let (mut first, mut second) = (SymmetricKey::zeroed(), SymmetricKey::zeroed());
        session_keys(&ChainingKey::<Host>::new(key), &mut first, &mut second);
        prop_assert_eq!(first.as_bytes(), &t1);
        prop_assert_eq!(second.as_bytes(), &t2);
    }
}
