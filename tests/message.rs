// SPDX-License-Identifier: GPL-2.0

//! Wire formats, and the clock and padding arithmetic.

mod common;

use common::{ms, s};
use proptest::prelude::*;
use wireguard_protocol::protocol::constants::{
    padding_for, Instant, PADDING, REJECT_AFTER_MESSAGES, REPLAY_WINDOW,
};
use wireguard_protocol::protocol::message::{
    classify, Authenticated, CookieReply, DataHeader, Initiation, MessageType, Response,
    COOKIE_REPLY_LEN, DATA_HEADER_LEN, DATA_MIN_LEN, INITIATION_LEN, RESPONSE_LEN,
};

const KINDS: [(MessageType, usize, usize); 4] = [
    (MessageType::Initiation, 148, 148),
    (MessageType::Response, 92, 92),
    (MessageType::CookieReply, 64, 64),
    (MessageType::Data, 16, usize::MAX),
];

#[test]
fn lengths_are_those_of_the_paper() {
    assert_eq!(INITIATION_LEN, 148);
    assert_eq!(RESPONSE_LEN, 92);
    assert_eq!(COOKIE_REPLY_LEN, 64);
    assert_eq!(DATA_HEADER_LEN, 16);
    assert_eq!(DATA_MIN_LEN, 32);
}

#[test]
#[cfg_attr(miri, ignore = "would take minutes")]
fn classification_goes_by_type_and_length() {
    for first in 0..=255 {
        for len in 0..300 {
            let expected = KINDS.into_iter().find(|(kind, header, max)| {
                *kind as u8 == first
                    && if *max == usize::MAX {
                        len >= 32
                    } else {
                        len == *header
                    }
            });
            assert_eq!(
                classify([first, 0, 0, 0], len),
                expected.map(|(kind, header, _)| (kind, header)),
                "type {first}, {len} bytes"
            );
        }
    }
    assert!(classify([4, 0, 0, 0], usize::MAX).is_some());
}

#[test]
fn reserved_bytes_are_zero() {
    for (kind, header, _) in KINDS {
        let len = header.max(32);
        assert_eq!(classify(kind.prefix(), len), Some((kind, header)));
        for bit in 8..32 {
            let mut first = kind.prefix();
            first[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(classify(first, len), None);
        }
    }
}

#[test]
fn fields_are_where_the_paper_puts_them() {
    let bytes: Vec<u8> = (0..148).map(|i| if i < 4 { 0 } else { i }).collect();

    let mut first = bytes.clone();
    first[0] = 1;
    let message = Initiation::parse(&first).unwrap();
    assert_eq!(message.sender, 0x0706_0504);
    assert_eq!(message.ephemeral[..], first[8..40]);
    assert_eq!(message.sealed_static[..], first[40..88]);
    assert_eq!(message.sealed_timestamp[..], first[88..116]);
    let written = message.to_bytes();
    assert_eq!(written[..116], first[..116]);
    assert_eq!(written[116..], [0; 32]);

    let mut second = bytes[..92].to_vec();
    second[0] = 2;
    let message = Response::parse(&second).unwrap();
    assert_eq!(message.sender, 0x0706_0504);
    assert_eq!(message.receiver, 0x0b0a_0908);
    assert_eq!(message.ephemeral[..], second[12..44]);
    assert_eq!(message.sealed_nothing[..], second[44..60]);
    let written = message.to_bytes();
    assert_eq!(written[..60], second[..60]);
    assert_eq!(written[60..], [0; 32]);

    let mut reply = bytes[..64].to_vec();
    reply[0] = 3;
    let message = CookieReply::parse(&reply).unwrap();
    assert_eq!(message.receiver, 0x0706_0504);
    assert_eq!(message.nonce[..], reply[8..32]);
    assert_eq!(message.sealed_cookie[..], reply[32..]);
    assert_eq!(message.to_bytes()[..], reply[..]);

    let mut data = bytes[..40].to_vec();
    data[0] = 4;
    let header = DataHeader::parse(&data).unwrap();
    assert_eq!(header.receiver, 0x0706_0504);
    assert_eq!(header.counter, 0x0f0e_0d0c_0b0a_0908);
    assert_eq!(header.to_bytes()[..], data[..16]);

    let parts = Authenticated::split(&second).unwrap();
    assert_eq!(parts.body, &second[..60]);
    assert_eq!(parts.mac1[..], second[60..76]);
    assert_eq!(parts.with_mac1, &second[..76]);
    assert_eq!(parts.mac2[..], second[76..]);
}

#[test]
fn parsers_insist_on_type_and_length() {
    for len in 0..200 {
        for kind in 0..=5 {
            let mut bytes = vec![0; len];
            if let Some(first) = bytes.first_mut() {
                *first = kind;
            }
            assert_eq!(
                Initiation::parse(&bytes).is_some(),
                kind == 1 && len == INITIATION_LEN
            );
            assert_eq!(
                Response::parse(&bytes).is_some(),
                kind == 2 && len == RESPONSE_LEN
            );
            assert_eq!(
                CookieReply::parse(&bytes).is_some(),
                kind == 3 && len == COOKIE_REPLY_LEN
            );
            assert_eq!(
                DataHeader::parse(&bytes).is_some(),
                kind == 4 && len >= DATA_HEADER_LEN
            );
            assert_eq!(Authenticated::split(&bytes).is_some(), len >= 32);
        }
    }
}

proptest! {
    #[test]
    fn data_headers_survive(receiver: u32, counter: u64) {
        let header = DataHeader { receiver, counter };
        prop_assert_eq!(DataHeader::parse(&header.to_bytes()), Some(header));
    }

    #[test]
    fn padding_is_minimal_and_stays_within_the_mtu(
        (len, mtu) in prop_oneof![
            (0..70_000usize, 0..10_000usize),
            (0..20usize, 1..10_000usize).prop_map(|(less, mtu)| (mtu.saturating_sub(less), mtu)),
        ],
    ) {
        let pad = padding_for(len, mtu);
        prop_assert!(pad < PADDING);
        // The part of the packet that padding applies to.
        let last = if mtu != 0 && len > mtu { len % mtu } else { len };
        let aligned = (last + pad) % PADDING == 0;
        if mtu == 0 {
            prop_assert!(aligned);
        } else {
            prop_assert!(last + pad <= mtu);
            prop_assert!(aligned || last + pad == mtu);
        }
    }

    #[test]
    fn expiry_is_a_comparison(birth in 0..1u64 << 62, age in 0..1u64 << 62, seconds in 0..1000u64) {
        let expected = age >= seconds * 1_000_000_000;
        prop_assert_eq!(
            Instant(birth).has_expired(seconds, Instant(birth + age)),
            expected
        );
        // Also where the clock would wrap.
        let late = Instant(u64::MAX - 5);
        prop_assert_eq!(
            late.has_expired(seconds, Instant(late.0.wrapping_add(age))),
            expected
        );
    }
}

#[test]
fn padding_of_known_lengths() {
    for (len, mtu, pad) in [
        (0, 1420, 0),
        (1, 1420, 15),
        (1408, 1420, 0),
        (1409, 1420, 11),
        (1419, 1420, 1),
        (1420, 1420, 0),
        (1421, 1420, 15),
        (2 * 1420 - 1, 1420, 1),
        (1409, 0, 15),
    ] {
        assert_eq!(padding_for(len, mtu), pad, "{len} of {mtu}");
    }
}

#[test]
fn instants_before_the_clock_started_are_in_the_past() {
    let now = ms(5);
    let past = now.before(6);
    assert!(past.has_expired(5, now));
    assert!(!past.has_expired(7, now));
    assert_eq!(past.after(6), now);
    assert_eq!(now.nanos_since(past), 6_000_000_000);
    assert_eq!(past.nanos_since(now), -6_000_000_000);
    // And the future has not expired.
    assert!(!s(10).has_expired(0, s(9)));
    assert!(s(10).has_expired(0, s(10)));
}

#[test]
fn counters_leave_room_for_the_window() {
    assert_eq!(REPLAY_WINDOW, 8128);
    assert_eq!(REJECT_AFTER_MESSAGES, u64::MAX - 8129);
    assert!(REJECT_AFTER_MESSAGES.checked_add(REPLAY_WINDOW).is_some());
}
