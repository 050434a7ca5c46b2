// SPDX-License-Identifier: GPL-2.0
//! Counters in any order: the replay window accepts what it is to accept.
#![no_main]

#[path = "../../tests/common/mod.rs"]
mod common;

use common::window::Both;
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use wireguard_protocol::protocol::constants::REPLAY_WINDOW;

#[derive(Arbitrary, Debug)]
enum Step {
    Ahead(u16),
    Behind(u16),
    /// About where the window ends.
    Edge(i8),
    To(u64),
}

fuzz_target!(|steps: Vec<Step>| {
    let mut both = Both::new();
    for step in steps {
        let highest = both.window.highest().unwrap_or(0);
        both.check(match step {
            Step::Ahead(by) => highest.saturating_add(by.into()),
            Step::Behind(by) => highest.saturating_sub(by.into()),
            Step::Edge(by) => highest
                .saturating_sub(REPLAY_WINDOW)
                .saturating_add_signed(by.into()),
            Step::To(counter) => counter,
        });
    }
});
