// SPDX-License-Identifier: GPL-2.0

//! The replay window beside a set of everything ever seen.

use std::collections::HashSet;
use wireguard_protocol::protocol::constants::{REJECT_AFTER_MESSAGES, REPLAY_WINDOW};
use wireguard_protocol::protocol::replay::ReplayWindow;

/// What the window is to do, without any cleverness.
#[derive(Clone, Default)]
pub struct Model {
    pub seen: HashSet<u64>,
    pub highest: Option<u64>,
}

impl Model {
    pub fn accept(&mut self, counter: u64) -> bool {
        if counter >= REJECT_AFTER_MESSAGES {
            return false;
        }
        if self
            .highest
            .is_some_and(|highest| highest - highest.min(counter) > REPLAY_WINDOW)
        {
            return false;
        }
        self.highest = self.highest.max(Some(counter));
        self.seen.insert(counter)
    }
}

pub struct Both {
    pub window: ReplayWindow,
    pub model: Model,
}

impl Both {
    pub fn new() -> Self {
        Both {
            window: ReplayWindow::new(),
            model: Model::default(),
        }
    }

    pub fn check(&mut self, counter: u64) -> bool {
        let accepted = self.window.check_and_update(counter);
        assert_eq!(accepted, self.model.accept(counter), "counter {counter}");
        assert_eq!(self.window.highest(), self.model.highest);
        assert_eq!(
            self.window.is_exhausted(),
            self.model.highest == Some(REJECT_AFTER_MESSAGES - 1)
        );
        accepted
    }

    /// The same for counters that came in as one packet: all or none.
    #[allow(dead_code)]
    pub fn check_run(&mut self, first: u64, count: u16) -> bool {
        let accepted = self.window.check_and_update_run(first, count);
        let mut model = self.model.clone();
        let expected = count != 0
            && first
                .checked_add(count.into())
                .is_some_and(|end| (first..end).all(|counter| model.accept(counter)));
        if expected {
            self.model = model;
        }
        assert_eq!(accepted, expected, "{count} counters from {first}");
        assert_eq!(self.window.highest(), self.model.highest);
        accepted
    }
}
