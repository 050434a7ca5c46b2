// SPDX-License-Identifier: GPL-2.0

//! That secrets are wiped where and when they should be. The primitives note
//! what was in memory just before it was wiped.

mod common;

use common::spy::{Spy, WIPED};
use wireguard_protocol::protocol::constants::Instant;
use wireguard_protocol::protocol::crypto::{
    ChainingKey, PresharedKey, PublicKey, Secret, SecretKey, SymmetricKey,
};
use wireguard_protocol::protocol::noise::{
    consume_initiation, Handshake, Phase, StaticIdentity, Tai64n,
};

/// How often each of `secrets` is wiped by `act`.
fn wipes<const N: usize>(secrets: [[u8; 32]; N], act: impl FnOnce()) -> [usize; N] {
    WIPED.with(|wiped| wiped.borrow_mut().clear());
    act();
    WIPED.with(|wiped| {
        let wiped = wiped.borrow();
        secrets.map(|secret| wiped.iter().filter(|bytes| **bytes == secret).count())
    })
}

#[test]
fn every_copy_is_wiped_once() {
    let secret = Secret::<Spy, 32>::new([7; 32]);
    assert_eq!(wipes([[7; 32]], || drop(secret)), [1]);

    let key = SecretKey::<Spy>::new([8; 32]);
    let mut other = SecretKey::zeroed();
    assert_eq!(wipes([[8; 32]], || other.copy_from(&key)), [0]);
    let copy = key.duplicate();
    assert_eq!(wipes([[8; 32]], || drop((key, other, copy))), [3]);

    let mut key = SymmetricKey::<Spy>::new([9; 32]);
    assert_eq!(wipes([[9; 32]], || key.wipe()), [1]);
    assert!(key.is_zero());
    assert_eq!(wipes([[9; 32]], || drop(key)), [0]);
}

#[test]
fn a_handshake_leaves_nothing_behind() {
    let identity = || StaticIdentity::<Spy>::new(&SecretKey::generate()).unwrap();
    let (alice, bob) = (identity(), identity());
    let peer = |own: &StaticIdentity<Spy>, remote: &PublicKey| {
        let mut handshake = Handshake::new(*remote);
        handshake.set_identity(Some(own));
        handshake.set_preshared_key(&PresharedKey::new([0x44; 32]));
        handshake
    };
    let mut to_bob = peer(&alice, bob.public());
    let mut to_alice = peer(&bob, alice.public());
    let [e1, e2] = [SecretKey::<Spy>::generate(), SecretKey::generate()];

    let t = Tai64n::from_unix(1, 0);
    let first = to_bob.create_initiation(&alice, &e1, t, 1).unwrap();
    let consumed = consume_initiation(&first, &bob)
        .unwrap()
        .finish(&to_alice)
        .unwrap();
    to_alice.accept_initiation(&consumed, Instant(1)).unwrap();
    let mut second = None;
    // The responder keeps no copy of its ephemeral key at all.
    let counts = wipes([*e2.as_bytes()], || {
        second = to_alice.create_response(&e2, 2);
    });
    assert_eq!(counts, [0]);

    // Of what was copied out to work with, nothing remains.
    let second = second.unwrap();
    let counts = wipes([*e1.as_bytes(), [0x44; 32]], || {
        let pending = to_bob.pending_response().unwrap();
        let consumed = pending.finish(&second, &alice).unwrap();
        assert!(to_bob.accept_response(&consumed));
    });
    // The ephemeral key: the copy, the one that came back, the original.
    assert_eq!(counts, [3, 1]);

    // The last chaining key, the session keys' origin, is known by what follows
    // from it; find it among what is wiped.
    for handshake in [&mut to_bob, &mut to_alice] {
        let mut keys = None;
        wipes([], || keys = handshake.begin_session());
        let keys = keys.unwrap();
        let first_key = if keys.initiator {
            *keys.sending.as_bytes()
        } else {
            *keys.receiving.as_bytes()
        };
        let wiped = WIPED.with(|wiped| wiped.take());
        let is_origin = |bytes: &Vec<u8>| {
            let Ok(chaining) = <[u8; 32]>::try_from(bytes.as_slice()) else {
                return false;
            };
            let (mut a, mut b) = (SymmetricKey::<Spy>::zeroed(), SymmetricKey::zeroed());
            let chaining = ChainingKey::new(chaining);
            wireguard_protocol::protocol::crypto::session_keys(&chaining, &mut a, &mut b);
            *a.as_bytes() == first_key
        };
        assert_eq!(wiped.iter().filter(|bytes| is_origin(bytes)).count(), 1);
        assert_eq!(handshake.phase(), Phase::Zeroed);
    }
}

#[test]
fn clearing_wipes_in_place() {
    let identity = || StaticIdentity::<Spy>::new(&SecretKey::generate()).unwrap();
    let (alice, bob) = (identity(), identity());
    let mut to_bob = Handshake::new(*bob.public());
    to_bob.set_identity(Some(&alice));
    let ephemeral = SecretKey::<Spy>::generate();
    let t = Tai64n::from_unix(1, 0);
    to_bob.create_initiation(&alice, &ephemeral, t, 1).unwrap();
    assert_eq!(wipes([*ephemeral.as_bytes()], || to_bob.clear()), [1]);
    // Nothing is left to be wiped again.
    assert_eq!(wipes([*ephemeral.as_bytes()], || drop(to_bob)), [0]);
}
