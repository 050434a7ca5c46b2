// SPDX-License-Identifier: GPL-2.0

//! How messages are shared out among UDP GSO packets.

use wireguard_protocol::protocol::super_packet::{parts, MAX_LEN, MAX_MESSAGES};

#[test]
fn parts_are_even_and_fit() {
    for size in [32, 96, 1452, 8952, 20_000, 40_000, MAX_LEN] {
        for count in (1..300).chain([1000, 65_535]) {
            let parts: Vec<_> = parts(count, size).unwrap().collect();
            let mut next = 0;
            for part in &parts {
                assert_eq!(part.start, next, "{count} messages of {size}");
                assert!(!part.is_empty());
                assert!(part.len() as u32 <= MAX_MESSAGES && part.len() * size <= MAX_LEN);
                next = part.end;
            }
            assert_eq!(next, count);
            let lens = || parts.iter().map(ExactSizeIterator::len);
            assert!(lens().max().unwrap() - lens().min().unwrap() <= 1);
            // One packet less would not do.
            let most = (MAX_LEN / size).min(MAX_MESSAGES as usize);
            assert!((parts.len() - 1) * most < count as usize);
        }
    }
}

#[test]
fn a_message_that_does_not_fit_is_refused() {
    assert!(parts(1, MAX_LEN + 1).is_none());
    assert!(parts(1, 0).is_none());
    assert!(parts(0, 1452).is_none());
}

#[test]
fn a_packet_of_local_tcp_becomes_two() {
    let parts: Vec<_> = parts(47, 1452).unwrap().collect();
    assert_eq!(parts, [0..24, 24..47]);
}
