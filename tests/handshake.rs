// SPDX-License-Identifier: GPL-2.0

//! Handshakes: between two instances of the core, with a reference written from
//! the paper, and with the Noise implementation of the `snow` crate; and all the
//! ways in which they must fail.

mod common;

use common::reference::{self, Party};
use common::{hex, hex32, identity, ms, peer, s, Host, SMALL_ORDER};
use proptest::prelude::*;
use wireguard_protocol::protocol::constants::Instant;
use wireguard_protocol::protocol::crypto::{Crypto, PresharedKey, PublicKey, SecretKey};
use wireguard_protocol::protocol::message::{Initiation, Response, INITIATION_LEN, RESPONSE_LEN};
use wireguard_protocol::protocol::noise::{
    consume_initiation, ConsumedInitiation, ConsumedResponse, Handshake, InitiationRefused, Phase,
    SessionKeys, StaticIdentity, Tai64n,
};

const T: Instant = Instant(77_000_000_000);

fn stamp(seconds: i64) -> Tai64n {
    Tai64n::from_unix(seconds, 0)
}

/// Both ends, knowing each other.
struct Pair {
    alice: StaticIdentity<Host>,
    bob: StaticIdentity<Host>,
    /// Bob, as Alice sees him.
    to_bob: Handshake<Host>,
    /// Alice, as Bob sees her.
    to_alice: Handshake<Host>,
}

impl Pair {
    fn new() -> Self {
        let (alice, bob) = (identity(), identity());
        Pair {
            to_bob: peer(&alice, bob.public()),
            to_alice: peer(&bob, alice.public()),
            alice,
            bob,
        }
    }

    fn with_psk() -> Self {
        let mut pair = Self::new();
        let psk = PresharedKey::new([0x99; 32]);
        pair.to_bob.set_preshared_key(&psk);
        pair.to_alice.set_preshared_key(&psk);
        pair
    }

    fn initiate(&mut self, at: Tai64n) -> Initiation {
        self.to_bob
            .create_initiation(&self.alice, &SecretKey::generate(), at, 0xa11ce)
            .unwrap()
    }

    fn open_initiation(&self, message: &Initiation) -> Option<ConsumedInitiation<Host>> {
        consume_initiation(message, &self.bob)?.finish(&self.to_alice)
    }

    fn respond(&mut self) -> Response {
        self.to_alice
            .create_response(&SecretKey::generate(), 0xb0b)
            .unwrap()
    }

    fn open_response(&self, message: &Response) -> Option<ConsumedResponse<Host>> {
        self.to_bob.pending_response()?.finish(message, &self.alice)
    }

    /// Up to the point at which a response waits to be read.
    fn exchange(&mut self, at: Tai64n, now: Instant) -> Response {
        let first = self.initiate(at);
        let consumed = self.open_initiation(&first).unwrap();
        assert_eq!(consumed.timestamp(), at);
        self.to_alice.accept_initiation(&consumed, now).unwrap();
        self.respond()
    }

    fn complete(&mut self, at: Tai64n, now: Instant) -> (SessionKeys<Host>, SessionKeys<Host>) {
        let second = self.exchange(at, now);
        let consumed = self.open_response(&second).unwrap();
        assert!(self.to_bob.accept_response(&consumed));
        (
            self.to_bob.begin_session().unwrap(),
            self.to_alice.begin_session().unwrap(),
        )
    }
}

fn assert_matching(initiator: &SessionKeys<Host>, responder: &SessionKeys<Host>) {
    assert!(initiator.initiator);
    assert!(!responder.initiator);
    assert!(initiator.sending.same_as(&responder.receiving));
    assert!(initiator.receiving.same_as(&responder.sending));
    assert!(!initiator.sending.same_as(&initiator.receiving));
    assert_eq!(initiator.local_index, responder.remote_index);
    assert_eq!(initiator.remote_index, responder.local_index);
}

/// Without type, indices and codes: what Noise knows of a message.
fn first_body(message: &Initiation) -> Vec<u8> {
    message.to_bytes()[8..INITIATION_LEN - 32].to_vec()
}

fn second_body(message: &Response) -> Vec<u8> {
    message.to_bytes()[12..RESPONSE_LEN - 32].to_vec()
}

fn parse_first(body: &[u8], sender: u32) -> Initiation {
    let bytes = [&[1, 0, 0, 0], &sender.to_le_bytes(), body, &[0; 32]].concat();
    Initiation::parse(&bytes).unwrap()
}

fn parse_second(body: &[u8], sender: u32, receiver: u32) -> Response {
    let (sender, receiver) = (sender.to_le_bytes(), receiver.to_le_bytes());
    let bytes = [&[2, 0, 0, 0], &sender, &receiver, body, &[0; 32]].concat();
    Response::parse(&bytes).unwrap()
}

#[test]
fn both_ends_derive_the_same_keys() {
    for mut pair in [Pair::new(), Pair::with_psk()] {
        let (alice, bob) = pair.complete(stamp(1), T);
        assert_matching(&alice, &bob);
        assert_eq!((alice.local_index, bob.local_index), (0xa11ce, 0xb0b));

        // And other keys the next time.
        let (again, _) = pair.complete(stamp(2), T.after(1));
        assert!(!again.sending.same_as(&alice.sending));
        assert!(!again.receiving.same_as(&alice.receiving));
    }
}

#[test]
fn phases_follow_the_messages() {
    let mut pair = Pair::new();
    assert_eq!(pair.to_bob.phase(), Phase::Zeroed);
    assert_eq!(pair.to_bob.local_index(), None);

    let first = pair.initiate(stamp(1));
    assert_eq!(
        pair.to_bob.phase(),
        Phase::CreatedInitiation { local: 0xa11ce }
    );
    assert_eq!(pair.to_bob.local_index(), Some(0xa11ce));
    assert!(pair.to_bob.begin_session().is_none());
    assert!(pair
        .to_bob
        .create_response(&SecretKey::generate(), 1)
        .is_none());

    let consumed = pair.open_initiation(&first).unwrap();
    pair.to_alice.accept_initiation(&consumed, T).unwrap();
    assert_eq!(
        pair.to_alice.phase(),
        Phase::ConsumedInitiation {
            remote: 0xa11ce,
            ephemeral: PublicKey(first.ephemeral)
        }
    );
    assert_eq!(pair.to_alice.local_index(), None);
    assert!(pair.to_alice.begin_session().is_none());
    assert!(pair.to_alice.pending_response().is_none());

    let second = pair.respond();
    assert_eq!(second.receiver, 0xa11ce);
    assert_eq!(
        pair.to_alice.phase(),
        Phase::CreatedResponse {
            local: 0xb0b,
            remote: 0xa11ce
        }
    );
    assert_eq!(pair.to_alice.local_index(), Some(0xb0b));
    assert!(pair
        .to_alice
        .create_response(&SecretKey::generate(), 1)
        .is_none());

    let consumed = pair.open_response(&second).unwrap();
    assert!(pair.to_bob.accept_response(&consumed));
    assert_eq!(
        pair.to_bob.phase(),
        Phase::ConsumedResponse {
            local: 0xa11ce,
            remote: 0xb0b
        }
    );
    // Once is enough.
    assert!(!pair.to_bob.accept_response(&consumed));
    assert!(pair.to_bob.pending_response().is_none());

    for handshake in [&mut pair.to_bob, &mut pair.to_alice] {
        assert!(handshake.begin_session().is_some());
        assert_eq!(handshake.phase(), Phase::Zeroed);
        assert!(handshake.begin_session().is_none());
    }
}

#[test]
fn clear_abandons_everything_but_the_protection_against_replay() {
    let mut pair = Pair::new();
    let second = pair.exchange(stamp(5), T);
    let consumed = pair.open_response(&second).unwrap();
    pair.to_bob.clear();
    pair.to_alice.clear();
    assert!(!pair.to_bob.accept_response(&consumed));
    assert!(pair.to_bob.begin_session().is_none());
    assert!(pair.to_alice.begin_session().is_none());

    let first = pair.initiate(stamp(5));
    let consumed = pair.open_initiation(&first).unwrap();
    assert_eq!(
        pair.to_alice.accept_initiation(&consumed, T.after(1)),
        Err(InitiationRefused::Replay)
    );
    let (alice, bob) = pair.complete(stamp(6), T.after(2));
    assert_matching(&alice, &bob);
}

/// Test vector of the Haskell implementation "cacophony".
#[test]
fn the_reference_meets_the_published_vector() {
    let psk = hex32("54686973206973206d7920417573747269616e20706572737065637469766521");
    let initiator = Party {
        prologue: b"John Galt".to_vec(),
        secret: hex32("e61ef9919cde45dd5f82166404bd08e38bceb5dfdfded0a34c8df7ed542214d1"),
        ephemeral: hex32("893e28b9dc6ca8d611ab664754b8ceb7bac5117349a4439a6b0569da977c464a"),
        psk,
    };
    let responder = Party {
        prologue: b"John Galt".to_vec(),
        secret: hex32("4a3acbfdb163dec651dfa3194dece676d437029c62a408b4c5ea9114246e4893"),
        ephemeral: hex32("bbdb4cdbd309f1a1f2e1456967fe288cadd6f712d65dc7b7793d5e63da6b375b"),
        psk,
    };
    let first = hex(
        "ca35def5ae56cec33dc2036731ab14896bc4c75dbb07a61f879f8e3afa4c7944
         001e21de9f98ddd8e2ad57527207feb56253c9c94a9e496782ecfcb2a75fbcaf
         1b52948cc48daefe660c62119ab5000980c84831215f2441eba616548e832985
         464cf17e51ee93109008399a21f7e13f",
    );
    let second = hex(
        "95ebc60d2b1fa672c1f46a8aa265ef51bfe38e7ccb39ec5be34069f144808843
         cb765f2caef0751b8f007572dab0322217755c0632f365717edbf34d33e87a",
    );
    let remote = hex32("31e0303fd6418d2f8c0e78b91f22e8caed0fbe48656dcf4767e4834f701b8f62");
    assert_eq!(reference::public(&responder.secret), remote);

    let (state, message) = initiator.write_first(&remote, b"Ludwig von Mises");
    assert_eq!(message, first);
    let opened = responder.read_first(&first).unwrap();
    assert_eq!(opened.payload, b"Ludwig von Mises");
    assert_eq!(opened.initiator, reference::public(&initiator.secret));
    let (theirs, message) = responder.write_second(&opened, b"Murray Rothbard");
    assert_eq!(message, second);
    let (ours, payload) = initiator.read_second(&state, &second).unwrap();
    assert_eq!(payload, b"Murray Rothbard");
    let transcript = hex32("f5191b875290abcd41347ac3622d9679688a7e980229cb937ef748336cfde0e5");
    assert_eq!((ours.h, theirs.h), (transcript, transcript));

    let [there, back] = reference::transport(&ours);
    for (key, counter, text, sealed) in [
        (
            &there,
            0,
            "F. A. Hayek",
            "8153ca9833bc3c1b91a7e66e5f4d4f5b59bf9e64c2f20d15f0bba7",
        ),
        (
            &back,
            0,
            "Carl Menger",
            "07af0c9c86e1b4e80f36b04ff7688d51141af3debd0332f0a705ef",
        ),
        (
            &there,
            1,
            "Jean-Baptiste Say",
            "6ab1467c0448cc78394494abaaf23afce0e234315d6e2624dcbfa8a21c1c4d073d",
        ),
    ] {
        assert_eq!(
            reference::seal(key, counter, text.as_bytes(), &[]),
            hex(sealed)
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Byte for byte, in both roles.
    #[test]
    fn agrees_with_the_reference(
        secrets: [[u8; 32]; 2],
        ephemerals: [[u8; 32]; 2],
        psk: [u8; 32],
        seconds in 0..i64::from(u32::MAX),
        nanos in 0..1_000_000_000u32,
        indices: [u32; 2],
    ) {
        let at = Tai64n::from_unix(seconds, nanos);
        let initiator = Party::wireguard(secrets[0], ephemerals[0], psk);
        let responder = Party::wireguard(secrets[1], ephemerals[1], psk);
        let (state, first) = initiator.write_first(&reference::public(&secrets[1]), at.as_bytes());
        let opened = responder.read_first(&first).unwrap();
        let (state_after, second) = responder.write_second(&opened, &[]);
        let [there, back] = reference::transport(&state_after);
        prop_assert_eq!(
            initiator.read_second(&state, &second).map(|(state, _)| state.c),
            Some(state_after.c)
        );

        let [alice, bob] = secrets.map(|secret| {
            StaticIdentity::<Host>::new(&SecretKey::new(secret)).unwrap()
        });
        let psk = PresharedKey::new(psk);

        let mut to_bob = peer(&alice, bob.public());
        to_bob.set_preshared_key(&psk);
        let message = to_bob
            .create_initiation(&alice, &SecretKey::new(ephemerals[0]), at, indices[0])
            .unwrap();
        prop_assert_eq!(first_body(&message), &first[..]);
        prop_assert_eq!(message.sender, indices[0]);
        let consumed = to_bob
            .pending_response()
            .unwrap()
            .finish(&parse_second(&second, indices[1], indices[0]), &alice)
            .unwrap();
        prop_assert!(to_bob.accept_response(&consumed));
        let keys = to_bob.begin_session().unwrap();
        prop_assert_eq!(keys.sending.as_bytes(), &there);
        prop_assert_eq!(keys.receiving.as_bytes(), &back);
        prop_assert_eq!(keys.remote_index, indices[1]);

        let mut to_alice = peer(&bob, alice.public());
        to_alice.set_preshared_key(&psk);
        let pending = consume_initiation(&parse_first(&first, indices[0]), &bob).unwrap();
        prop_assert_eq!(pending.remote_static(), alice.public());
        let consumed = pending.finish(&to_alice).unwrap();
        prop_assert_eq!(consumed.timestamp(), at);
        prop_assert_eq!(to_alice.accept_initiation(&consumed, T), Ok(()));
        let message = to_alice
            .create_response(&SecretKey::new(ephemerals[1]), indices[1])
            .unwrap();
        prop_assert_eq!(second_body(&message), &second[..]);
        prop_assert_eq!((message.sender, message.receiver), (indices[1], indices[0]));
        let keys = to_alice.begin_session().unwrap();
        prop_assert_eq!(keys.sending.as_bytes(), &back);
        prop_assert_eq!(keys.receiving.as_bytes(), &there);
    }
}

fn snow<'a>(secret: &'a [u8; 32], psk: &'a [u8; 32]) -> snow::Builder<'a> {
    snow::Builder::new(reference::CONSTRUCTION.parse().unwrap())
        .prologue(reference::IDENTIFIER.as_bytes())
        .unwrap()
        .local_private_key(secret)
        .unwrap()
        .psk(2, psk)
        .unwrap()
}

fn sealed(key: &[u8; 32], counter: u64, text: &[u8]) -> Vec<u8> {
    let mut out = vec![0; text.len() + 16];
    assert!(Host::aead_seal(&mut out, text, &[], counter, key));
    out
}

/// Packets in both directions, with our keys and with theirs.
fn exchange_packets(keys: &SessionKeys<Host>, noise: snow::HandshakeState) {
    let mut noise = noise.into_transport_mode().unwrap();
    let mut buffer = [0; 256];
    for (counter, text) in [&b""[..], b"one", b"two"].into_iter().enumerate() {
        let ours = sealed(keys.sending.as_bytes(), counter as u64, text);
        let len = noise.read_message(&ours, &mut buffer).unwrap();
        assert_eq!(&buffer[..len], text);
        let len = noise.write_message(text, &mut buffer).unwrap();
        let theirs = sealed(keys.receiving.as_bytes(), counter as u64, text);
        assert_eq!(&buffer[..len], theirs);
    }
}

#[test]
fn initiates_to_snow() {
    for psk in [[0; 32], [0x31; 32]] {
        let (alice, bob) = (identity(), identity());
        let mut to_bob = peer(&alice, bob.public());
        to_bob.set_preshared_key(&PresharedKey::new(psk));
        let mut noise = snow(bob.secret().as_bytes(), &psk)
            .build_responder()
            .unwrap();

        let at = Tai64n::from_unix(1_600_000_000, 5);
        let first = to_bob
            .create_initiation(&alice, &SecretKey::generate(), at, 1)
            .unwrap();
        let mut buffer = [0; 256];
        let len = noise
            .read_message(&first_body(&first), &mut buffer)
            .unwrap();
        assert_eq!(&buffer[..len], at.as_bytes());
        assert_eq!(noise.get_remote_static().unwrap(), alice.public().0);

        let len = noise.write_message(&[], &mut buffer).unwrap();
        let second = parse_second(&buffer[..len], 2, 1);
        let consumed = to_bob
            .pending_response()
            .unwrap()
            .finish(&second, &alice)
            .unwrap();
        assert!(to_bob.accept_response(&consumed));
        exchange_packets(&to_bob.begin_session().unwrap(), noise);
    }
}

#[test]
fn responds_to_snow() {
    for psk in [[0; 32], [0x31; 32]] {
        let (alice, bob) = (identity(), identity());
        let mut to_alice = peer(&bob, alice.public());
        to_alice.set_preshared_key(&PresharedKey::new(psk));
        let mut noise = snow(alice.secret().as_bytes(), &psk)
            .remote_public_key(&bob.public().0)
            .unwrap()
            .build_initiator()
            .unwrap();

        let at = Tai64n::from_unix(1_600_000_000, 5);
        let mut buffer = [0; 256];
        let len = noise.write_message(at.as_bytes(), &mut buffer).unwrap();
        let first = parse_first(&buffer[..len], 1);
        let consumed = consume_initiation(&first, &bob)
            .unwrap()
            .finish(&to_alice)
            .unwrap();
        assert_eq!(consumed.timestamp(), at);
        to_alice.accept_initiation(&consumed, T).unwrap();

        let second = to_alice.create_response(&SecretKey::generate(), 2).unwrap();
        let len = noise
            .read_message(&second_body(&second), &mut buffer)
            .unwrap();
        assert_eq!(len, 0);
        exchange_packets(&to_alice.begin_session().unwrap(), noise);
    }
}

#[test]
fn a_wrong_responder_cannot_read_the_initiation() {
    let mut pair = Pair::new();
    let first = pair.initiate(stamp(1));
    assert!(consume_initiation(&first, &identity()).is_none());
}

#[test]
fn an_initiation_is_bound_to_the_peer_it_names() {
    let mut pair = Pair::new();
    let first = pair.initiate(stamp(1));
    let pending = consume_initiation(&first, &pair.bob).unwrap();
    assert_eq!(pending.remote_static(), pair.alice.public());
    let other = peer(&pair.bob, identity().public());
    assert!(pending.finish(&other).is_none());
}

#[test]
fn naming_a_peer_takes_its_key() {
    // Mallory knows Alice's public key, and that Bob knows it.
    let (mallory, alice, bob) = (identity(), identity(), identity());
    let party = Party::wireguard(*mallory.secret().as_bytes(), [3; 32], [0; 32]);
    for (name, believed) in [(alice.public(), false), (mallory.public(), true)] {
        let (_, body) = party.write_first_as(&name.0, &bob.public().0, stamp(1).as_bytes());
        let pending = consume_initiation(&parse_first(&body, 1), &bob).unwrap();
        assert_eq!(pending.remote_static(), name);
        assert_eq!(pending.finish(&peer(&bob, name)).is_some(), believed);
    }
}

#[test]
fn preshared_keys_must_agree() {
    for (ours, theirs) in [([0; 32], [1; 32]), ([1; 32], [0; 32]), ([1; 32], [2; 32])] {
        let mut pair = Pair::new();
        pair.to_bob.set_preshared_key(&PresharedKey::new(ours));
        pair.to_alice.set_preshared_key(&PresharedKey::new(theirs));
        let second = pair.exchange(stamp(1), T);
        assert!(pair.open_response(&second).is_none());
    }
}

#[test]
fn the_response_must_come_from_the_responder() {
    let mut pair = Pair::new();
    let first = pair.initiate(stamp(1));
    let consumed = pair.open_initiation(&first).unwrap();
    pair.to_alice.accept_initiation(&consumed, T).unwrap();
    let second = pair.respond();

    // Not with another static key of ours, and not to another index.
    let pending = pair.to_bob.pending_response().unwrap();
    assert!(pending.finish(&second, &identity()).is_none());
    let stray = Response {
        receiver: 0xa11cf,
        ..second.clone()
    };
    assert!(pending.finish(&stray, &pair.alice).is_none());
    assert!(pending.finish(&second, &pair.alice).is_some());
}

#[test]
fn timestamps_must_increase() {
    let mut pair = Pair::new();
    let first = pair.initiate(stamp(100));
    let consumed = pair.open_initiation(&first).unwrap();
    pair.to_alice.accept_initiation(&consumed, s(1)).unwrap();
    let mut now = s(10);
    for (seconds, nanos, expected) in [
        (100, 0, Err(InitiationRefused::Replay)),
        (99, 999_999_999, Err(InitiationRefused::Replay)),
        (0, 0, Err(InitiationRefused::Replay)),
        // Rounded down to the same label.
        (100, Tai64n::GRANULARITY - 1, Err(InitiationRefused::Replay)),
        (100, Tai64n::GRANULARITY, Ok(())),
        (100, Tai64n::GRANULARITY, Err(InitiationRefused::Replay)),
        (101, 0, Ok(())),
        (100, 999_999_999, Err(InitiationRefused::Replay)),
    ] {
        now = now.after(1);
        let first = pair.initiate(Tai64n::from_unix(seconds, nanos));
        let consumed = pair.open_initiation(&first).unwrap();
        let before = pair.to_alice.phase();
        let result = pair.to_alice.accept_initiation(&consumed, now);
        assert_eq!(result, expected, "{seconds}.{nanos:09}");
        if result.is_err() {
            assert_eq!(pair.to_alice.phase(), before);
        }
    }
}

#[test]
fn initiations_are_limited_to_fifty_a_second() {
    let mut pair = Pair::new();
    let mut offer = |seconds, now| {
        let first = pair.initiate(stamp(seconds));
        let consumed = pair.open_initiation(&first).unwrap();
        pair.to_alice.accept_initiation(&consumed, now)
    };
    // Even at the very start of the clock there is none before the first.
    assert_eq!(offer(1, ms(0)), Ok(()));
    assert_eq!(offer(2, ms(0)), Err(InitiationRefused::Flood));
    assert_eq!(offer(2, Instant(19_999_999)), Err(InitiationRefused::Flood));
    // What was refused does not count, neither its time nor its timestamp.
    assert_eq!(offer(2, ms(20)), Ok(()));
    assert_eq!(offer(3, ms(39)), Err(InitiationRefused::Flood));
    assert_eq!(offer(3, ms(40)), Ok(()));
    // Replay is the answer if it is both.
    assert_eq!(offer(3, ms(40)), Err(InitiationRefused::Replay));

    let accepted = (0..1000).filter(|i| offer(10 + i, ms(1000 + *i as u64)).is_ok());
    assert_eq!(accepted.count(), 50);
}

#[test]
fn a_superseded_initiation_does_not_complete() {
    let mut pair = Pair::new();
    let late = pair.exchange(stamp(1), T);
    let verified = pair.open_response(&late).unwrap();
    // While the response is being verified, another initiation goes out, with
    // the same index at that.
    let second = pair.exchange(stamp(2), T.after(1));
    assert!(!pair.to_bob.accept_response(&verified));
    assert!(pair.open_response(&late).is_none());
    assert!(matches!(
        pair.to_bob.phase(),
        Phase::CreatedInitiation { .. }
    ));
    let consumed = pair.open_response(&second).unwrap();
    assert!(pair.to_bob.accept_response(&consumed));
    let keys = pair.to_bob.begin_session().unwrap();
    assert_matching(&keys, &pair.to_alice.begin_session().unwrap());
}

#[test]
fn an_accepted_initiation_supersedes_our_own() {
    let mut pair = Pair::new();
    let ours = pair.initiate(stamp(1));
    let theirs = pair
        .to_alice
        .create_initiation(&pair.bob, &SecretKey::generate(), stamp(1), 7)
        .unwrap();
    let consumed = consume_initiation(&theirs, &pair.alice)
        .unwrap()
        .finish(&pair.to_bob)
        .unwrap();
    pair.to_bob.accept_initiation(&consumed, T).unwrap();
    assert!(pair.to_bob.pending_response().is_none());
    let second = pair
        .to_bob
        .create_response(&SecretKey::generate(), 8)
        .unwrap();
    let consumed = pair
        .to_alice
        .pending_response()
        .unwrap()
        .finish(&second, &pair.bob)
        .unwrap();
    assert!(pair.to_alice.accept_response(&consumed));
    assert_matching(
        &pair.to_alice.begin_session().unwrap(),
        &pair.to_bob.begin_session().unwrap(),
    );
    // The one that crossed is still good, should it arrive later.
    assert!(pair.open_initiation(&ours).is_some());
}

#[test]
fn every_flipped_bit_of_an_initiation_is_noticed() {
    let mut pair = Pair::new();
    let bytes = pair.initiate(stamp(1)).to_bytes();
    for bit in 0..(INITIATION_LEN - 32) * 8 {
        let mut damaged = bytes;
        damaged[bit / 8] ^= 1 << (bit % 8);
        let consumed = Initiation::parse(&damaged).and_then(|m| pair.open_initiation(&m));
        match bit {
            // The sender index is covered by mac1 only, and the upper bit of a
            // public key is ignored by Curve25519 but not by the transcript.
            32..64 => assert!(consumed.is_some()),
            _ => assert!(consumed.is_none(), "bit {bit}"),
        }
    }
    // The damage done to copies has not harmed anything.
    let intact = Initiation::parse(&bytes).unwrap();
    let consumed = pair.open_initiation(&intact).unwrap();
    pair.to_alice.accept_initiation(&consumed, T).unwrap();
}

#[test]
fn every_flipped_bit_of_a_response_is_noticed() {
    let mut pair = Pair::with_psk();
    let bytes = pair.exchange(stamp(1), T).to_bytes();
    for bit in 0..(RESPONSE_LEN - 32) * 8 {
        let mut damaged = bytes;
        damaged[bit / 8] ^= 1 << (bit % 8);
        let consumed = Response::parse(&damaged).and_then(|m| pair.open_response(&m));
        match bit {
            32..64 => assert!(consumed.is_some()),
            _ => assert!(consumed.is_none(), "bit {bit}"),
        }
    }
    let intact = Response::parse(&bytes).unwrap();
    let consumed = pair.open_response(&intact).unwrap();
    assert!(pair.to_bob.accept_response(&consumed));
}

#[test]
fn points_of_small_order_are_refused_everywhere() {
    let (alice, bob) = (identity(), identity());
    for point in SMALL_ORDER.map(hex32) {
        // As the peer's static key.
        let mut bad = peer(&alice, &PublicKey(point));
        assert!(bad
            .create_initiation(&alice, &SecretKey::generate(), stamp(1), 1)
            .is_none());
        assert_eq!(bad.phase(), Phase::Zeroed);

        // As the initiator's ephemeral key.
        let mut to_alice = peer(&bob, alice.public());
        let mut to_bob = peer(&alice, bob.public());
        let mut first = to_bob
            .create_initiation(&alice, &SecretKey::generate(), stamp(1), 1)
            .unwrap();
        let genuine = first.clone();
        first.ephemeral = point;
        assert!(consume_initiation(&first, &bob).is_none());

        // As the responder's.
        let consumed = consume_initiation(&genuine, &bob)
            .unwrap()
            .finish(&to_alice)
            .unwrap();
        to_alice.accept_initiation(&consumed, T).unwrap();
        let mut second = to_alice.create_response(&SecretKey::generate(), 2).unwrap();
        second.ephemeral = point;
        let pending = to_bob.pending_response().unwrap();
        assert!(pending.finish(&second, &alice).is_none());
    }
}

/// With an ephemeral key of small order that seals everything correctly, which
/// is possible because what is agreed on is known: zeros.
#[test]
fn small_order_is_not_left_to_the_seals() {
    let bob = identity();
    for point in SMALL_ORDER.map(hex32) {
        let construction = reference::hash(reference::CONSTRUCTION.as_bytes());
        let mut h = construction;
        for data in [
            reference::IDENTIFIER.as_bytes(),
            &bob.public().0[..],
            &point,
        ] {
            h = reference::hash(&[&h[..], data].concat());
        }
        let [c] = reference::kdf(&construction, &point);
        let [_, key] = reference::kdf(&c, &[0; 32]);
        let sealed_static = reference::seal(&key, 0, &[7; 32], &h);
        let body = [&point[..], &sealed_static, &[0; 28]].concat();
        assert!(consume_initiation(&parse_first(&body, 1), &bob).is_none());
    }
}

#[test]
fn without_an_identity_a_peer_is_unusable() {
    let mut pair = Pair::new();
    let first = pair.initiate(stamp(1));

    pair.to_alice.set_identity(None);
    let pending = consume_initiation(&first, &pair.bob).unwrap();
    assert!(pending.finish(&pair.to_alice).is_none());

    let mut fresh = Handshake::<Host>::new(*pair.bob.public());
    assert!(fresh
        .create_initiation(&pair.alice, &SecretKey::generate(), stamp(2), 1)
        .is_none());

    pair.to_alice.set_identity(Some(&pair.bob));
    assert!(pending.finish(&pair.to_alice).is_some());
}

#[test]
fn a_failed_initiation_leaves_the_handshake_alone() {
    let mut pair = Pair::new();
    let second = pair.exchange(stamp(1), T);
    // The precomputed secret is missing all of a sudden.
    pair.to_bob.set_identity(None);
    assert!(pair
        .to_bob
        .create_initiation(&pair.alice, &SecretKey::generate(), stamp(2), 9)
        .is_none());
    assert_eq!(pair.to_bob.local_index(), Some(0xa11ce));
    let consumed = pair.open_response(&second).unwrap();
    assert!(pair.to_bob.accept_response(&consumed));
}

#[test]
fn a_changed_identity_changes_the_handshake() {
    let mut pair = Pair::new();
    let new = identity();
    pair.to_bob.set_identity(Some(&new));
    let first = pair
        .to_bob
        .create_initiation(&new, &SecretKey::generate(), stamp(1), 1)
        .unwrap();
    let pending = consume_initiation(&first, &pair.bob).unwrap();
    assert_eq!(pending.remote_static(), new.public());
    assert!(pending.finish(&peer(&pair.bob, new.public())).is_some());
}

#[test]
fn timestamps_are_tai64n_and_rounded() {
    assert_eq!(Tai64n::GRANULARITY, 1 << 24);
    // The example of the format's author: 1992-06-02 08:07:09 TAI, that is
    // 08:06:43 UTC, of which the 16 leap seconds after the first ten are missing
    // here.
    let label = Tai64n::from_unix(707_472_403, 0);
    assert_eq!(label.as_bytes()[..8], hex("400000002a2b2c1d")[..]);

    let label = Tai64n::from_unix(0, 999_999_999);
    assert_eq!(label.as_bytes()[..8], hex("400000000000000a")[..]);
    let nanos = u32::from_be_bytes(label.as_bytes()[8..].try_into().unwrap());
    assert_eq!(nanos, 999_999_999 / (1 << 24) * (1 << 24));

    assert!(Tai64n::from_unix(-1, 0) < Tai64n::from_unix(0, 0));
    assert!(Tai64n::from_unix(0, 999_999_999) < Tai64n::from_unix(1, 0));
    assert!(Tai64n::ZERO < Tai64n::from_unix(-(1 << 40), 0));
}
