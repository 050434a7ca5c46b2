// SPDX-License-Identifier: GPL-2.0

//! Message authentication codes and cookies, with both sides under test and
//! against the formulas of the paper written out with crates.

mod common;

use blake2::digest::{consts::U16, Mac};
use common::{identity, ms, reference, s, Host};
use core::net::IpAddr;
use proptest::prelude::*;
use wireguard_protocol::protocol::constants::Instant;
use wireguard_protocol::protocol::cookie::{
    check_mac1, check_mac2, create_reply, CookieJar, CookieSecret, MacKeys,
};
use wireguard_protocol::protocol::crypto::PublicKey;
use wireguard_protocol::protocol::message::{
    CookieReply, MessageType, INITIATION_LEN, RESPONSE_LEN,
};

fn mac(key: &[u8], input: &[u8]) -> [u8; 16] {
    let mut mac = <blake2::Blake2sMac<U16> as Mac>::new_from_slice(key).unwrap();
    mac.update(input);
    mac.finalize().into_bytes().into()
}

fn initiation() -> [u8; INITIATION_LEN] {
    let mut message = std::array::from_fn(|i| i as u8);
    message[..4].copy_from_slice(&MessageType::Initiation.prefix());
    message
}

fn address() -> IpAddr {
    "192.0.2.7".parse().unwrap()
}

const PORT: [u8; 2] = 51820u16.to_be_bytes();

/// A responder and the jar an initiator keeps for it.
struct Pair {
    public: PublicKey,
    keys: MacKeys,
    secret: CookieSecret<Host>,
    jar: CookieJar<Host>,
}

impl Pair {
    fn new(now: Instant) -> Self {
        let public = *identity().public();
        Pair {
            public,
            keys: MacKeys::derive::<Host>(&public),
            secret: CookieSecret::new(now),
            jar: CookieJar::new(&public),
        }
    }

    /// Sends a message; tells whether the codes are right.
    fn send(&mut self, now: Instant) -> ([u8; INITIATION_LEN], bool, bool) {
        let mut message = initiation();
        self.jar.add_macs(&mut message, now);
        self.secret.renew(now);
        let cookie = self.secret.cookie(address(), PORT);
        (
            message,
            check_mac1::<Host>(&self.keys, &message),
            check_mac2(&cookie, &message),
        )
    }

    fn reply(&self, message: &[u8]) -> CookieReply {
        let cookie = self.secret.cookie(address(), PORT);
        create_reply(&self.keys, &cookie, message, 0x1234).unwrap()
    }
}

#[test]
fn a_cookie_gets_an_initiator_through() {
    let mut pair = Pair::new(s(100));
    let (message, mac1, mac2) = pair.send(s(100));
    assert_eq!((mac1, mac2), (true, false));
    assert_eq!(message[INITIATION_LEN - 16..], [0; 16]);

    let reply = pair.reply(&message);
    assert_eq!(reply.receiver, 0x1234);
    let reply = CookieReply::parse(&reply.to_bytes()).unwrap();
    assert!(pair.jar.consume_reply(&reply, s(101)));

    let (_, mac1, mac2) = pair.send(s(105));
    assert_eq!((mac1, mac2), (true, true));
}

#[test]
fn codes_and_replies_are_those_of_the_paper() {
    let mut pair = Pair::new(s(1));
    let (message, ..) = pair.send(s(1));
    let mac1_key = reference::hash(&[b"mac1----", &pair.public.0[..]].concat());
    let body = &message[..INITIATION_LEN - 32];
    let mac1 = mac(&mac1_key, body);
    assert_eq!(message[INITIATION_LEN - 32..INITIATION_LEN - 16], mac1);

    use chacha20poly1305::aead::{Aead, KeyInit, Payload};
    let reply = pair.reply(&message);
    let key = reference::hash(&[b"cookie--", &pair.public.0[..]].concat());
    let cookie = chacha20poly1305::XChaCha20Poly1305::new(&key.into())
        .decrypt(
            &reply.nonce.into(),
            Payload {
                msg: &reply.sealed_cookie,
                aad: &mac1,
            },
        )
        .unwrap();
    assert!(pair.jar.consume_reply(&reply, s(1)));
    let (message, ..) = pair.send(s(2));
    assert_eq!(
        message[INITIATION_LEN - 16..],
        mac(&cookie, &message[..INITIATION_LEN - 16])
    );

    // And it works for the other handshake message.
    let mut response = [0x5a; RESPONSE_LEN];
    pair.jar.add_macs(&mut response, s(3));
    assert_eq!(response[60..76], mac(&mac1_key, &response[..60]));
    assert_eq!(response[76..], mac(&cookie, &response[..76]));
    assert!(check_mac1::<Host>(&pair.keys, &response));
}

#[test]
#[cfg_attr(miri, ignore = "would take minutes")]
fn every_flipped_bit_breaks_the_codes() {
    let mut pair = Pair::new(s(1));
    let (message, ..) = pair.send(s(1));
    let reply = pair.reply(&message);
    assert!(pair.jar.consume_reply(&reply, s(1)));
    let (message, mac1, mac2) = pair.send(s(2));
    assert!(mac1 && mac2);
    let cookie = pair.secret.cookie(address(), PORT);
    for bit in 0..INITIATION_LEN * 8 {
        let mut damaged = message;
        damaged[bit / 8] ^= 1 << (bit % 8);
        let in_mac2 = bit >= (INITIATION_LEN - 16) * 8;
        assert_eq!(
            check_mac1::<Host>(&pair.keys, &damaged),
            in_mac2,
            "bit {bit}"
        );
        assert!(!check_mac2(&cookie, &damaged), "bit {bit}");
    }
    for len in 0..32 {
        assert!(!check_mac1::<Host>(&pair.keys, &message[..len]));
        assert!(!check_mac2(&cookie, &message[..len]));
        assert!(create_reply(&pair.keys, &cookie, &message[..len], 1).is_none());
    }
    assert!(!check_mac1::<Host>(
        &MacKeys::derive::<Host>(identity().public()),
        &message
    ));
}

#[test]
#[cfg_attr(miri, ignore = "would take minutes")]
fn every_flipped_bit_of_a_reply_is_noticed() {
    let mut pair = Pair::new(s(1));
    let (message, ..) = pair.send(s(1));
    let bytes = pair.reply(&message).to_bytes();
    for bit in 0..bytes.len() * 8 {
        let mut damaged = bytes;
        damaged[bit / 8] ^= 1 << (bit % 8);
        // The index is for finding the jar and not authenticated.
        if (32..64).contains(&bit) {
            continue;
        }
        let consumed =
            CookieReply::parse(&damaged).is_some_and(|reply| pair.jar.consume_reply(&reply, s(1)));
        assert!(!consumed, "bit {bit}");
    }
    let (_, _, mac2) = pair.send(s(1));
    assert!(!mac2);
}

#[test]
fn a_reply_answers_the_last_message_only() {
    let mut pair = Pair::new(s(1));
    let (message, ..) = pair.send(s(1));
    let reply = pair.reply(&message);

    // Nobody asked this jar's peer anything.
    let mut unused = CookieJar::<Host>::new(&pair.public);
    assert!(!unused.consume_reply(&reply, s(1)));

    // Not to another message.
    let mut other = message;
    other[10] ^= 1;
    pair.jar.add_macs(&mut other, s(1));
    assert!(!pair.jar.consume_reply(&reply, s(1)));
    let reply = pair.reply(&other);

    // Not from another peer.
    let stranger = MacKeys::derive::<Host>(identity().public());
    let cookie = pair.secret.cookie(address(), PORT);
    let forged = create_reply(&stranger, &cookie, &other, 1).unwrap();
    assert!(!pair.jar.consume_reply(&forged, s(1)));

    // And not twice.
    assert!(pair.jar.consume_reply(&reply, s(1)));
    assert!(!pair.jar.consume_reply(&reply, s(1)));
}

#[test]
fn cookies_are_given_up_before_their_secret_changes() {
    let mut pair = Pair::new(s(1000));
    let (message, ..) = pair.send(s(1000));
    let reply = pair.reply(&message);
    assert!(pair.jar.consume_reply(&reply, s(1000)));
    for (now, has_mac2) in [
        (s(1000), true),
        (ms(1_114_999), true),
        (s(1115), false),
        (s(2000), false),
    ] {
        let mut message = initiation();
        pair.jar.add_macs(&mut message, now);
        assert_eq!(message[INITIATION_LEN - 16..] != [0; 16], has_mac2);
    }
}

#[test]
fn the_secret_changes_every_two_minutes() {
    let mut secret = CookieSecret::<Host>::new(s(0));
    let first = secret.cookie(address(), PORT);
    secret.renew(ms(119_999));
    assert!(!secret.is_stale(ms(119_999)));
    assert!(secret.cookie(address(), PORT).same_as(&first));

    assert!(secret.is_stale(s(120)));
    secret.renew(s(120));
    let second = secret.cookie(address(), PORT);
    assert!(!second.same_as(&first));
    assert!(!secret.is_stale(s(239)));
    secret.renew(s(240));
    assert!(!secret.cookie(address(), PORT).same_as(&second));
}

#[test]
#[cfg_attr(miri, ignore = "would take minutes")]
fn the_initiator_gets_along_with_a_responder_under_load_for_an_hour() {
    // One sends every five seconds, the other demands a cookie always. What has
    // none is answered with one: after 115 seconds because the cookie is given
    // up, and after 120 because its successor died with the secret.
    let mut pair = Pair::new(s(0));
    let (mut passed, mut replies) = (0, 0);
    for round in 0..720 {
        let now = s(round * 5);
        let (message, mac1, mac2) = pair.send(now);
        assert!(mac1);
        if mac2 {
            passed += 1;
        } else {
            replies += 1;
            let reply = pair.reply(&message);
            assert!(pair.jar.consume_reply(&reply, now));
        }
    }
    assert_eq!(passed + replies, 720);
    assert_eq!(replies, 2 * 3600 / 120);
}

proptest! {
    #[test]
    fn a_cookie_is_for_one_source(
        v4: [u8; 4],
        v6: [u8; 16],
        port: [u8; 2],
        flip in 0..128usize,
    ) {
        let secret = CookieSecret::<Host>::new(s(0));
        let (mut other4, mut other6, mut other_port) = (v4, v6, port);
        other4[flip / 8 % 4] ^= 1 << (flip % 8);
        other6[flip / 8] ^= 1 << (flip % 8);
        other_port[flip / 8 % 2] ^= 1 << (flip % 8);
        for (address, other) in [
            (IpAddr::from(v4), IpAddr::from(other4)),
            (IpAddr::from(v6), IpAddr::from(other6)),
        ] {
            let cookie = secret.cookie(address, port);
            prop_assert!(cookie.same_as(&secret.cookie(address, port)));
            prop_assert!(!cookie.same_as(&secret.cookie(other, port)));
            prop_assert!(!cookie.same_as(&secret.cookie(address, other_port)));
            let another = CookieSecret::<Host>::new(s(0));
            prop_assert!(!cookie.same_as(&another.cookie(address, port)));
        }
        let (v4, v6) = (IpAddr::from(v4), IpAddr::from(v6));
        prop_assert!(!secret.cookie(v4, port).same_as(&secret.cookie(v6, port)));
    }
}
