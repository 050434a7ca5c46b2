// SPDX-License-Identifier: GPL-2.0

//! Token buckets.

mod common;

use common::{ms, s};
use core::net::IpAddr;
use proptest::prelude::*;
use wireguard_protocol::protocol::constants::Instant;
use wireguard_protocol::protocol::ratelimit::{
    shared_sources, Source, TokenBucket, IDLE_TIME, PACKETS_BURSTABLE, PACKETS_PER_SECOND,
};

#[test]
fn a_burst_then_twenty_a_second() {
    let mut bucket = TokenBucket::new(s(100));
    // The first one has passed already.
    for _ in 1..PACKETS_BURSTABLE {
        assert!(bucket.allow(s(100)));
    }
    assert!(!bucket.allow(s(100)));
    assert!(!bucket.allow(ms(100_049)));
    assert!(bucket.allow(ms(100_050)));
    assert!(!bucket.allow(ms(100_050)));

    let passed = (0..10_000).filter(|t| bucket.allow(ms(100_050 + t)));
    assert_eq!(passed.count() as u64, 10 * PACKETS_PER_SECOND - 1);
}

#[test]
fn idleness_fills_it_up_but_not_over() {
    let mut bucket = TokenBucket::new(s(0));
    while bucket.allow(s(0)) {}
    let now = s(1_000_000);
    let burst = (0..100).filter(|_| bucket.allow(now)).count();
    assert_eq!(burst as u64, PACKETS_BURSTABLE);
}

#[test]
fn room_for_sources_is_a_small_part_of_the_memory() {
    assert_eq!(shared_sources(0), 0);
    assert_eq!(shared_sources(128 << 20), 8192);
    assert_eq!(shared_sources(1 << 30), 65536);
    assert_eq!(shared_sources(u64::MAX), 65536);
}

#[test]
fn idle_buckets_are_full() {
    let mut bucket = TokenBucket::new(s(5));
    while bucket.allow(s(5)) {}
    assert!(!bucket.is_idle(s(5)));
    assert!(!bucket.is_idle(s(5 + IDLE_TIME)));
    let idle = Instant(s(5 + IDLE_TIME).0 + 1);
    assert!(bucket.is_idle(idle));
    // Dropping it changes nothing: a new one allows as much.
    let mut fresh = TokenBucket::new(idle);
    assert!(bucket.allow(idle));
    for _ in 1..=PACKETS_BURSTABLE {
        assert_eq!(bucket.allow(idle), fresh.allow(idle));
    }
}

#[test]
fn a_clock_read_earlier_is_harmless() {
    let mut bucket = TokenBucket::new(ms(1000));
    while bucket.allow(ms(1000)) {}
    assert!(!bucket.allow(ms(10)));
    assert!(!bucket.allow(ms(1000)));
    assert!(bucket.allow(ms(1050)));
    assert!(!bucket.is_idle(ms(10)));
}

proptest! {
    /// In no stretch of time does more pass than the burst and the rate allow.
    #[test]
    fn the_limit_holds(gaps in prop::collection::vec(0..200u64, 1..300)) {
        let mut now = 1_000;
        let mut bucket = TokenBucket::new(ms(now));
        let mut passed = vec![now];
        for gap in gaps {
            now += gap;
            if bucket.allow(ms(now)) {
                passed.push(now);
            }
        }
        for (i, from) in passed.iter().enumerate() {
            for (j, to) in passed.iter().enumerate().skip(i) {
                let allowed = PACKETS_BURSTABLE * 1000 + (to - from) * PACKETS_PER_SECOND;
                prop_assert!((j - i + 1) as u64 * 1000 <= allowed);
            }
        }
    }

    #[test]
    fn ipv6_counts_by_subnet(a: [u8; 16], b: [u8; 16], c: [u8; 4], d: [u8; 4]) {
        let of = |ip: IpAddr| Source::of(ip);
        let mut sibling = b;
        sibling[..8].copy_from_slice(&a[..8]);
        prop_assert_eq!(of(a.into()), of(sibling.into()));
        prop_assert_eq!(of(a.into()) == of(b.into()), a[..8] == b[..8]);
        prop_assert_eq!(of(c.into()) == of(d.into()), c == d);
        prop_assert_ne!(of(a.into()), of(c.into()));
    }
}
