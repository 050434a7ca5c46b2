// SPDX-License-Identifier: GPL-2.0

//! Against other implementations of Noise: a published vector, a reference, the crate snow.

use super::*;

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
