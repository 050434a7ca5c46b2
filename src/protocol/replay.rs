// SPDX-License-Identifier: GPL-2.0

//! Which data counters have been seen: a sliding window (WireGuard paper
//! section 5.4.6) kept the way RFC 6479 describes, in whole words.

use super::constants::{REJECT_AFTER_MESSAGES, REPLAY_BITS, REPLAY_WINDOW, REPLAY_WORD_BITS};

const WORDS: usize = REPLAY_BITS / REPLAY_WORD_BITS;
// Counters find their word by masking.
const _: () = assert!(WORDS.is_power_of_two());

/// The counters received with one key.
///
/// The bitmap is a ring: the bit of counter `c` is bit `c % 64` of word
/// `c / 64 % 128`. Words are cleared as the highest counter enters them, so
/// moving the window costs no shifting. A kilobyte; keep it in place.
pub struct ReplayWindow {
    // One more than the highest counter seen.
    next: u64,
    bitmap: [u64; WORDS],
}

impl ReplayWindow {
    /// A window that has seen nothing.
    pub const fn new() -> Self {
        ReplayWindow {
            next: 0,
            bitmap: [0; WORDS],
        }
    }

    /// Number of the word that holds a counter, not yet reduced to the ring.
    #[inline]
    const fn word(counter: u64) -> u64 {
        counter / REPLAY_WORD_BITS as u64
    }

    #[inline]
    fn word_mut(&mut self, word: u64) -> Option<&mut u64> {
        self.bitmap.get_mut(word as usize % WORDS)
    }

    /// Marks the counter of an authenticated packet as seen. `false` if the
    /// packet must be dropped: its counter was seen before, lies behind the
    /// window, or is not below [`REJECT_AFTER_MESSAGES`].
    #[inline]
    #[must_use]
    pub fn check_and_update(&mut self, counter: u64) -> bool {
        if counter >= REJECT_AFTER_MESSAGES {
            return false;
        }
        if counter >= self.next {
            self.advance(counter);
        } else if counter.saturating_add(REPLAY_WINDOW) < self.next.wrapping_sub(1) {
            return false;
        }
        let bit = 1 << (counter % REPLAY_WORD_BITS as u64);
        match self.word_mut(Self::word(counter)) {
            Some(word) => {
                let fresh = *word & bit == 0;
                *word |= bit;
                fresh
            }
            None => false,
        }
    }

    /// Marks `count` counters from `first` on as seen, if
    /// [`check_and_update`](Self::check_and_update) would accept each of them,
    /// one after the other. `false` if it would not; then none is marked.
    #[must_use]
    pub fn check_and_update_run(&mut self, first: u64, count: u16) -> bool {
        let Some(end) = first.checked_add(count.into()) else {
            return false;
        };
        if count == 0 || u64::from(count) > REPLAY_WINDOW || end > REJECT_AFTER_MESSAGES {
            return false;
        }
        if first < self.next && first.saturating_add(REPLAY_WINDOW) < self.next.wrapping_sub(1) {
            return false;
        }
        // Above the highest counter the words may be of an earlier round.
        let seen = self.next.min(end);
        if self.any_in(first, seen, |word, mask| *word & mask != 0) {
            return false;
        }
        if end > self.next {
            self.advance(end.wrapping_sub(1));
        }
        self.any_in(first, end, |word, mask| {
            *word |= mask;
            false
        });
        true
    }

    /// Calls `act` with each word that has bits of the counters from `first` up to
    /// `end`, and with those bits, until it returns `true`.
    #[inline]
    fn any_in(&mut self, first: u64, end: u64, act: impl Fn(&mut u64, u64) -> bool) -> bool {
        let mut counter = first;
        while counter < end {
            let below = counter % REPLAY_WORD_BITS as u64;
            let next = counter
                .wrapping_sub(below)
                .saturating_add(REPLAY_WORD_BITS as u64);
            let above = next.saturating_sub(end).min(REPLAY_WORD_BITS as u64 - 1);
            let mask = (u64::MAX << below) & (u64::MAX >> above);
            if let Some(word) = self.word_mut(Self::word(counter)) {
                if act(word, mask) {
                    return true;
                }
            }
            counter = next;
        }
        false
    }

    /// Makes `counter` the highest, clearing the words between the old highest
    /// and it.
    #[inline]
    fn advance(&mut self, counter: u64) {
        let old = Self::word(self.next.saturating_sub(1));
        let ahead = Self::word(counter).wrapping_sub(old).min(WORDS as u64);
        for step in 1..=ahead {
            if let Some(word) = self.word_mut(old.wrapping_add(step)) {
                *word = 0;
            }
        }
        self.next = counter.wrapping_add(1);
    }

    /// The highest counter seen.
    #[inline]
    pub const fn highest(&self) -> Option<u64> {
        self.next.checked_sub(1)
    }

    /// Whether the last acceptable counter has been seen, so that the key is of
    /// no further use.
    #[inline]
    pub const fn is_exhausted(&self) -> bool {
        self.next >= REJECT_AFTER_MESSAGES
    }
}

impl Default for ReplayWindow {
    fn default() -> Self {
        Self::new()
    }
}
