// SPDX-License-Identifier: GPL-2.0

//! Two endpoints and a network in virtual time: a driver in miniature that puts
//! all parts of the core together, real messages included.

mod endpoint;

pub use endpoint::*;

use super::identity;
use wireguard_protocol::protocol::constants::REKEY_TIMEOUT;
use wireguard_protocol::protocol::timers::Timer;

pub const SECOND: u64 = 1000;
pub const MINUTE: u64 = 60 * SECOND;
pub const HOUR: u64 = 60 * MINUTE;

/// Somebody talks at regular intervals.
pub struct Traffic {
    pub from: usize,
    pub next: u64,
    pub every: u64,
    pub until: u64,
}

/// What becomes of a message sent at a time by an endpoint: the milliseconds it
/// takes, if it arrives, once for each copy.
pub type Network = Box<dyn FnMut(u64, usize) -> Vec<u64>>;

pub struct Simulation {
    pub now: u64,
    pub ends: [Endpoint; 2],
    pub in_flight: Vec<(u64, usize, Vec<u8>)>,
    pub network: Network,
    pub traffic: Vec<Traffic>,
    pub payloads: [u64; 2],
}

pub const A: usize = 0;
pub const B: usize = 1;

impl Simulation {
    pub fn new() -> Self {
        let (a, b) = (identity(), identity());
        let (to_a, to_b) = (*a.public(), *b.public());
        Simulation {
            now: 0,
            ends: [
                Endpoint::new(a, to_b, 0x1234_5678),
                Endpoint::new(b, to_a, 0x9abc_def1),
            ],
            in_flight: Vec::new(),
            network: Box::new(|_, _| vec![20]),
            traffic: Vec::new(),
            payloads: [0; 2],
        }
    }

    pub fn talk(&mut self, from: usize, every: u64, since: u64, until: u64) {
        self.traffic.push(Traffic {
            from,
            next: since,
            every,
            until,
        });
    }

    pub fn say(&mut self, from: usize) {
        let payload = self.payloads[from];
        self.payloads[from] += 1;
        self.ends[from].send(payload);
        self.flush();
    }

    pub fn flush(&mut self) {
        for from in [A, B] {
            for message in std::mem::take(&mut self.ends[from].outbox) {
                for delay in (self.network)(self.now, from) {
                    self.in_flight
                        .push((self.now + delay, 1 - from, message.clone()));
                }
            }
        }
    }

    /// Whatever happens next, if it does before `until`.
    pub fn step(&mut self, until: u64) -> bool {
        let packet = self.in_flight.iter().map(|flight| flight.0).min();
        let timer = self
            .ends
            .iter()
            .flat_map(|end| *end.wheel.due.borrow())
            .flatten()
            .min();
        let talk = self
            .traffic
            .iter()
            .filter(|talk| talk.next < talk.until)
            .map(|talk| talk.next)
            .min();
        let next = [packet, timer, talk].into_iter().flatten().min();
        let Some(next) = next.filter(|next| *next < until) else {
            self.set_now(until);
            return false;
        };
        assert!(next >= self.now);
        self.set_now(next);

        if packet == Some(next) {
            let index = self.in_flight.iter().position(|flight| flight.0 == next);
            let (_, to, message) = self.in_flight.remove(index.unwrap());
            self.ends[to].receive(&message);
        } else if timer == Some(next) {
            for end in &mut self.ends {
                for timer in Timer::ALL {
                    let due = end.wheel.due.borrow()[timer.index()];
                    if due == Some(next) {
                        end.fire(timer);
                    }
                }
            }
        } else {
            for index in 0..self.traffic.len() {
                let talk = &mut self.traffic[index];
                if talk.next == next && next < talk.until {
                    talk.next += talk.every;
                    let from = talk.from;
                    self.say(from);
                }
            }
        }
        self.flush();
        true
    }

    pub fn set_now(&mut self, now: u64) {
        self.now = now;
        for end in &self.ends {
            end.wheel.now.set(now);
        }
    }

    pub fn run(&mut self, until: u64) {
        while self.step(until) {}
        for end in &self.ends {
            for pair in end.times(Sent::Initiation).windows(2) {
                assert!(pair[1] - pair[0] >= REKEY_TIMEOUT * SECOND);
            }
        }
    }

    pub fn assert_all_delivered(&self) {
        for (from, to) in [(A, B), (B, A)] {
            let delivered = &self.ends[to].delivered;
            assert_eq!(delivered.len() as u64, self.payloads[from]);
            assert!(delivered.iter().copied().eq(0..self.payloads[from]));
        }
    }

    pub fn handshakes(&self) -> usize {
        self.ends
            .iter()
            .map(|end| end.times(Sent::Response).len())
            .sum()
    }
}
