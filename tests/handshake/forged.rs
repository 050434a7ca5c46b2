// SPDX-License-Identifier: GPL-2.0

//! Messages and keys that must not lead to a session.

use super::*;

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
