// SPDX-License-Identifier: GPL-2.0

//! Handshakes: between two instances of the core, with a reference written from
//! the paper, and with the Noise implementation of the `snow` crate; and all the
//! ways in which they must fail.

mod common;
#[path = "handshake/forged.rs"]
mod forged;
#[path = "handshake/interop.rs"]
mod interop;
#[path = "handshake/repeated.rs"]
mod repeated;

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
