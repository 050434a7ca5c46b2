// SPDX-License-Identifier: GPL-2.0

//! The replay window against a set of everything ever seen.

mod common;

use common::rounds;
use common::window::Both;
use proptest::prelude::*;
use wireguard_protocol::protocol::constants::{REJECT_AFTER_MESSAGES, REPLAY_WINDOW};
use wireguard_protocol::protocol::replay::ReplayWindow;

/// Steps that go to the interesting places: neighbours, word boundaries, both
/// edges of the window, and far ahead.
#[derive(Clone, Copy, Debug)]
enum Step {
    Ahead(u64),
    Behind(u64),
    Edge(i64),
    To(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (1..4u64).prop_map(Step::Ahead),
        4 => (1..200u64).prop_map(Step::Ahead),
        2 => (1..20_000u64).prop_map(Step::Ahead),
        1 => (0..u64::MAX / 16).prop_map(Step::Ahead),
        8 => (0..70u64).prop_map(Step::Behind),
        6 => (0..9_000u64).prop_map(Step::Behind),
        4 => (-70..70i64).prop_map(Step::Edge),
        1 => any::<u64>().prop_map(Step::To),
        1 => (0..20_000u64).prop_map(|d| Step::To(u64::MAX - d)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    #[cfg_attr(miri, ignore = "would take minutes")]
    fn agrees_with_the_model(
        start in prop_oneof![Just(0), 0..u64::MAX / 2, Just(REJECT_AFTER_MESSAGES - 10_000)],
        steps in prop::collection::vec(step(), 1..400),
    ) {
        let mut both = Both::new();
        both.check(start);
        for step in steps {
            let highest = both.window.highest().unwrap_or(0);
            let counter = match step {
                Step::Ahead(by) => highest.saturating_add(by),
                Step::Behind(by) => highest.saturating_sub(by),
                Step::Edge(by) => highest.saturating_sub(REPLAY_WINDOW).saturating_add_signed(by),
                Step::To(counter) => counter,
            };
            both.check(counter);
        }
    }

    #[test]
    #[cfg_attr(miri, ignore = "would take minutes")]
    fn runs_agree_with_the_model(
        start in prop_oneof![Just(0), 0..u64::MAX / 2, Just(REJECT_AFTER_MESSAGES - 10_000)],
        steps in prop::collection::vec((step(), prop_oneof![0..3u16, 1..200u16]), 1..200),
    ) {
        let mut both = Both::new();
        both.check(start);
        for (step, count) in steps {
            let highest = both.window.highest().unwrap_or(0);
            let first = match step {
                Step::Ahead(by) => highest.saturating_add(by),
                Step::Behind(by) => highest.saturating_sub(by),
                Step::Edge(by) => highest.saturating_sub(REPLAY_WINDOW).saturating_add_signed(by),
                Step::To(counter) => counter,
            };
            if count == 1 {
                both.check(first);
            } else {
                both.check_run(first, count);
            }
        }
    }

    /// A whole stream, delayed by up to a little more than the window.
    #[test]
    #[cfg_attr(miri, ignore = "would take minutes")]
    fn survives_reordering(seed: u64, spread in 1..9_000u64) {
        let mut both = Both::new();
        let mut random = seed | 1;
        for i in 0..3_000u64 {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            both.check((i * 7).saturating_sub(random % spread));
        }
    }
}

#[test]
fn starts_empty() {
    let window = ReplayWindow::new();
    assert_eq!(window.highest(), None);
    assert!(!window.is_exhausted());
}

#[test]
fn every_first_counter_is_accepted_once() {
    for first in [0, 1, 63, 64, 8127, 8128, 8191, 8192, 1 << 40] {
        let mut both = Both::new();
        assert!(both.check(first));
        assert!(!both.check(first));
    }
}

#[test]
fn the_window_reaches_back_exactly_that_far() {
    for highest in (REPLAY_WINDOW..).take(rounds(200)) {
        let mut both = Both::new();
        assert!(both.check(highest));
        assert!(both.check(highest - REPLAY_WINDOW));
        assert!(!both.check(highest - REPLAY_WINDOW));
        if let Some(too_old) = highest.checked_sub(REPLAY_WINDOW + 1) {
            assert!(!both.check(too_old));
        }
        assert!(both.check(highest - 1));
        assert!(both.check(highest + 1));
        assert!(!both.check(highest - REPLAY_WINDOW));
    }
}

#[test]
#[cfg_attr(miri, ignore = "would take minutes")]
fn full_windows_in_either_direction() {
    let mut both = Both::new();
    for counter in 0..30_000 {
        assert!(both.check(counter));
    }
    for counter in 0..30_000 {
        assert!(!both.check(counter));
    }
    let mut both = Both::new();
    for counter in (0..=REPLAY_WINDOW).rev() {
        assert!(both.check(counter));
    }
    assert!(both.check(REPLAY_WINDOW + 1));
    assert!(!both.check(0));
}

#[test]
#[cfg_attr(miri, ignore = "would take minutes")]
fn leaps_forget_everything() {
    for leap in [
        64,
        8127,
        8128,
        8129,
        8191,
        8192,
        8193,
        16_384,
        1 << 20,
        1 << 60,
    ] {
        let mut both = Both::new();
        for counter in 0..=8_200 {
            both.check(counter);
        }
        let highest = 8_200 + leap;
        assert!(both.check(highest));
        for back in 0..=REPLAY_WINDOW + 2 {
            both.check(highest - back);
        }
    }
}

#[test]
fn counters_end_at_the_limit() {
    let mut both = Both::new();
    for counter in [u64::MAX, u64::MAX - 1, REJECT_AFTER_MESSAGES] {
        assert!(!both.check(counter));
    }
    assert_eq!(both.window.highest(), None);
    assert!(both.check(REJECT_AFTER_MESSAGES - 2));
    assert!(!both.window.is_exhausted());
    assert!(both.check(REJECT_AFTER_MESSAGES - 1));
    assert!(both.window.is_exhausted());
    assert!(!both.check(REJECT_AFTER_MESSAGES - 1));
    for counter in [REJECT_AFTER_MESSAGES, REJECT_AFTER_MESSAGES + 1, u64::MAX] {
        assert!(!both.check(counter));
    }
    assert!(both.check(REJECT_AFTER_MESSAGES - 3));
    assert!(both.check(REJECT_AFTER_MESSAGES - 1 - REPLAY_WINDOW));
    assert!(!both.check(REJECT_AFTER_MESSAGES - 2 - REPLAY_WINDOW));
    assert!(!both.check(0));
}
