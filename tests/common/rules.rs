// SPDX-License-Identifier: GPL-2.0

//! What an endpoint has to do at what time, written down once more from section
//! 6 of the paper and from what the C module adds to it, in numbers and without
//! the code under test. It goes through all that happened at an endpoint of the
//! simulation and panics at the first thing that should not have happened, or
//! that should have.

use super::simulation::{Event, Sent};
use std::collections::HashMap;
use wireguard_protocol::protocol::timers::Timer;

/// Milliseconds after which a timer is to fire: at the least, and how many more
/// it may take. Only what could keep two peers in step has such a margin.
const RETRANSMIT: (u64, u64) = (5_000, 333);
const UNANSWERED: (u64, u64) = (15_000, 333);
const KEEPALIVE: (u64, u64) = (10_000, 1);
const ZERO: (u64, u64) = (540_000, 1);

const REKEY_AGE: u64 = 120_000;
const LAST_MINUTE_AGE: u64 = 165_000;
const REJECT_AGE: u64 = 180_000;
const HANDSHAKE_PAUSE: u64 = 5_000;
/// Ninety seconds at five each, and one for good measure.
const RETRIES: u32 = 19;
const MAX_STAGED: usize = 128;

#[derive(Clone, Copy)]
struct Session {
    index: u32,
    birth: u64,
    initiator: bool,
}

/// How often something happened that a test may want to have seen.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    pub fired: [u64; Timer::COUNT],
    pub handshakes: u64,
    pub retries: u64,
    pub gave_up: u64,
    pub last_minute: u64,
    /// Handshakes called for, but too soon after another.
    pub too_soon: u64,
    /// Keepalives after which another was due.
    pub another: u64,
    /// The least and the most that was added to a time at random.
    pub jitter: Option<(u64, u64)>,
}

#[derive(Default)]
struct Rules {
    now: u64,
    /// From when and until before when each timer is to fire.
    due: [Option<(u64, u64)>; Timer::COUNT],
    interval: u64,
    births: HashMap<u32, u64>,
    current: Option<Session>,
    next: Option<Session>,
    /// The last initiation that was sent or accepted.
    last_handshake: Option<u64>,
    retries: u32,
    last_minute_used: bool,
    data_while_due: bool,
    rearm: bool,
    staged: usize,
    // What is to happen, or may happen, before time goes on.
    must_initiate: bool,
    keepalives: usize,
    must_keepalive: bool,
    must_respond: bool,
    must_give_up: bool,
    must_zero: bool,
    counts: Counts,
}

/// Judges all that happened at an endpoint before `end`.
pub fn judge(events: &[(u64, Event)], end: u64) -> Counts {
    let mut rules = Rules::default();
    for (number, (at, event)) in events.iter().enumerate() {
        rules.advance(*at);
        let context = || format!("event {number} at {at}: {event:?}");
        rules.take(*event, &context);
    }
    rules.advance(end);
    rules.counts
}

impl Rules {
    fn advance(&mut self, to: u64) {
        if to == self.now {
            return;
        }
        assert!(to > self.now, "time goes back");
        let now = self.now;
        assert!(!self.must_initiate, "no initiation at {now}");
        assert!(!self.must_keepalive, "no keepalive at {now}");
        assert!(!self.must_respond, "no response at {now}");
        assert!(!self.must_give_up, "not given up at {now}");
        assert!(!self.must_zero, "keys not wiped at {now}");
        if self.usable().is_some() {
            assert_eq!(
                self.staged, 0,
                "packets wait in spite of a session at {now}"
            );
        }
        for timer in Timer::ALL {
            if let Some((_, before)) = self.due[timer.index()] {
                assert!(to <= before, "{timer:?} did not fire before {before}");
            }
        }
        self.keepalives = 0;
        self.now = to;
    }

    fn arm(&mut self, timer: Timer, (after, margin): (u64, u64)) {
        self.due[timer.index()] = Some((self.now + after, self.now + after + margin));
    }

    fn arm_if_idle(&mut self, timer: Timer, after: (u64, u64)) {
        if self.due[timer.index()].is_none() {
            self.arm(timer, after);
        }
    }

    fn disarm(&mut self, timer: Timer) {
        self.due[timer.index()] = None;
    }

    fn age(&self, session: Session) -> u64 {
        self.now - session.birth
    }

    /// The session to send with.
    fn usable(&self) -> Option<Session> {
        self.current
            .filter(|session| self.age(*session) < REJECT_AGE)
    }

    fn may_initiate(&self) -> bool {
        self.last_handshake
            .is_none_or(|last| self.now - last >= HANDSHAKE_PAUSE)
    }

    /// Something calls for a handshake.
    fn call(&mut self, is_retry: bool) {
        if !is_retry {
            self.retries = 0;
        }
        if self.may_initiate() {
            self.must_initiate = true;
        } else {
            self.counts.too_soon += 1;
        }
    }

    /// Something calls for a packet, whatever is in it.
    fn call_for_packet(&mut self) {
        if self.usable().is_none() {
            self.call(false);
        } else if self.staged == 0 {
            self.must_keepalive = true;
            self.keepalives += 1;
        }
    }

    /// Anything authenticated passes, in either direction.
    fn passed(&mut self) {
        if self.interval != 0 {
            self.arm(Timer::PersistentKeepalive, (self.interval, 1));
        }
    }

    fn complete(&mut self) {
        self.disarm(Timer::RetransmitHandshake);
        self.retries = 0;
        self.last_minute_used = false;
    }

    fn take(&mut self, event: Event, context: &dyn Fn() -> String) {
        match event {
            Event::Wanted => {
                self.staged = (self.staged + 1).min(MAX_STAGED);
                if self.usable().is_none() {
                    self.call(false);
                }
            }
            Event::Configured(seconds) => {
                let before = std::mem::replace(&mut self.interval, u64::from(seconds) * 1000);
                if before == 0 && seconds != 0 {
                    self.call_for_packet();
                }
            }
            Event::Sent(kind, index) => self.sent(kind, index, context),
            Event::Derived(index, initiator) => self.derived(index, initiator, context),
            Event::Opened(index) => self.opened(index, context),
            Event::Heard(kind) => {
                self.disarm(Timer::NewHandshake);
                self.passed();
                if kind == Sent::Data {
                    self.data_while_due |= self.due[Timer::SendKeepalive.index()].is_some();
                    self.arm_if_idle(Timer::SendKeepalive, KEEPALIVE);
                }
            }
            Event::Fired(timer) => self.fired(timer, context),
            Event::Done(timer) => {
                if timer == Timer::SendKeepalive && std::mem::take(&mut self.rearm) {
                    self.arm(Timer::SendKeepalive, KEEPALIVE);
                }
            }
            Event::GaveUp => {
                assert!(std::mem::take(&mut self.must_give_up), "{}", context());
                self.counts.gave_up += 1;
                self.staged = 0;
                self.disarm(Timer::SendKeepalive);
                self.arm_if_idle(Timer::ZeroKeyMaterial, ZERO);
            }
            Event::Zeroed => {
                assert!(std::mem::take(&mut self.must_zero), "{}", context());
                (self.current, self.next) = (None, None);
                self.births.clear();
            }
        }
    }

    fn sent(&mut self, kind: Sent, index: u32, context: &dyn Fn() -> String) {
        match kind {
            Sent::Initiation => {
                assert!(std::mem::take(&mut self.must_initiate), "{}", context());
                self.last_handshake = Some(self.now);
            }
            Sent::Response => {
                assert!(std::mem::take(&mut self.must_respond), "{}", context());
            }
            Sent::Cookie => return,
            Sent::Keepalive => {
                assert!(self.keepalives > 0, "{}", context());
                self.keepalives -= 1;
                self.must_keepalive = false;
            }
            Sent::Data => {
                assert!(self.staged > 0, "{}", context());
                self.staged -= 1;
                // It shows that we are alive as well as a keepalive does.
                self.must_keepalive = false;
            }
        }
        self.disarm(Timer::SendKeepalive);
        self.passed();
        match kind {
            Sent::Initiation => self.arm(Timer::RetransmitHandshake, RETRANSMIT),
            Sent::Keepalive | Sent::Data => {
                let session = self.usable();
                assert_eq!(
                    session.map(|session| session.index),
                    Some(index),
                    "{}",
                    context()
                );
                if kind == Sent::Data {
                    self.arm_if_idle(Timer::NewHandshake, UNANSWERED);
                }
                // A batch is looked at once, when all of it is sent.
                let due = session.is_some_and(|s| s.initiator && self.age(s) >= REKEY_AGE);
                if due && self.staged == 0 {
                    self.call(false);
                }
            }
            _ => {}
        }
    }

    fn derived(&mut self, index: u32, initiator: bool, context: &dyn Fn() -> String) {
        let session = Session {
            index,
            birth: self.now,
            initiator,
        };
        self.births.insert(index, self.now);
        self.counts.handshakes += 1;
        self.arm(Timer::ZeroKeyMaterial, ZERO);
        if initiator {
            let asked = self.due[Timer::RetransmitHandshake.index()].is_some() || self.retries > 0;
            assert!(asked || self.last_handshake.is_some(), "{}", context());
            (self.current, self.next) = (Some(session), None);
            self.complete();
            // The responder may not send before it has heard a packet.
            self.call_for_packet();
        } else {
            self.last_handshake = Some(self.now);
            self.next = Some(session);
            self.must_respond = true;
        }
    }

    fn opened(&mut self, index: u32, context: &dyn Fn() -> String) {
        let birth = self.births.get(&index).copied();
        assert!(
            birth.is_some_and(|birth| self.now - birth < REJECT_AGE),
            "{}",
            context()
        );
        if self.next.is_some_and(|next| next.index == index) {
            self.current = self.next.take();
            self.complete();
        }
        let old = self
            .current
            .is_some_and(|s| s.initiator && self.age(s) >= LAST_MINUTE_AGE);
        if old && !std::mem::replace(&mut self.last_minute_used, true) {
            self.counts.last_minute += 1;
            self.call(false);
        }
    }

    fn fired(&mut self, timer: Timer, context: &dyn Fn() -> String) {
        let due = self.due[timer.index()].take();
        assert!(
            due.is_some_and(|(from, before)| (from..before).contains(&self.now)),
            "{}: it was due in {due:?}",
            context()
        );
        self.counts.fired[timer.index()] += 1;
        if let (Timer::RetransmitHandshake | Timer::NewHandshake, Some((from, _))) = (timer, due) {
            let extra = self.now - from;
            let (least, most) = self.counts.jitter.unwrap_or((extra, extra));
            self.counts.jitter = Some((least.min(extra), most.max(extra)));
        }
        match timer {
            Timer::RetransmitHandshake if self.retries < RETRIES => {
                self.retries += 1;
                self.counts.retries += 1;
                self.call(true);
            }
            Timer::RetransmitHandshake => self.must_give_up = true,
            Timer::SendKeepalive => {
                self.rearm = std::mem::take(&mut self.data_while_due);
                self.counts.another += u64::from(self.rearm);
                self.call_for_packet();
            }
            Timer::NewHandshake => self.call(false),
            Timer::ZeroKeyMaterial => self.must_zero = true,
            Timer::PersistentKeepalive if self.interval != 0 => self.call_for_packet(),
            Timer::PersistentKeepalive => {}
        }
    }
}
