// SPDX-License-Identifier: GPL-2.0

//! What every event and every expiry does to the timers, one at a time. How they
//! play together is for `simulation.rs`.

mod common;

use common::{ms, s};
use std::cell::{Cell, RefCell};
use wireguard_protocol::protocol::constants::{
    Instant, REJECT_AFTER_MESSAGES, REKEY_AFTER_MESSAGES, REKEY_TIMEOUT,
};
use wireguard_protocol::protocol::timers::{
    may_initiate, may_send_counter, session_expired, session_left, Action, Host, SessionAge, Timer,
    TimerState,
};

/// Timers that only ever fire when told to.
#[derive(Default)]
struct Wheel {
    armed: RefCell<[Option<u64>; Timer::COUNT]>,
    down: Cell<bool>,
    random: Cell<u32>,
    bound: Cell<u32>,
}

impl Host for Wheel {
    fn arm(&self, timer: Timer, after_ms: u64) {
        if !self.down.get() {
            self.armed.borrow_mut()[timer.index()] = Some(after_ms);
        }
    }

    fn disarm(&self, timer: Timer) {
        self.armed.borrow_mut()[timer.index()] = None;
    }

    fn is_armed(&self, timer: Timer) -> bool {
        self.armed.borrow()[timer.index()].is_some()
    }

    fn is_running(&self) -> bool {
        !self.down.get()
    }

    fn random_below(&self, bound: u32) -> u32 {
        self.bound.set(bound);
        self.random.get()
    }
}

impl Wheel {
    fn after(&self, timer: Timer) -> Option<u64> {
        self.armed.borrow()[timer.index()]
    }

    /// All timers armed, so that it shows which are touched.
    fn full() -> Self {
        let wheel = Wheel::default();
        *wheel.armed.borrow_mut() = [Some(1); Timer::COUNT];
        wheel
    }

    /// The timers that are not as `full` left them.
    fn touched(&self) -> Vec<Timer> {
        let touched = |timer: &Timer| self.after(*timer) != Some(1);
        Timer::ALL.into_iter().filter(touched).collect()
    }

    fn fire(&self, state: &TimerState, timer: Timer) -> Action {
        self.disarm(timer);
        state.expired(self, timer)
    }
}

#[test]
fn timers_are_numbered() {
    for (index, timer) in Timer::ALL.into_iter().enumerate() {
        assert_eq!(timer.index(), index);
    }
}

#[test]
fn sending_data_awaits_an_answer() {
    let (state, wheel) = (TimerState::new(), Wheel::default());
    wheel.random.set(332);
    state.data_sent(&wheel);
    assert_eq!(wheel.after(Timer::NewHandshake), Some(15_332));
    assert_eq!(wheel.bound.get(), 333);
    // The first packet unanswered counts, not the last.
    wheel.random.set(0);
    state.data_sent(&wheel);
    assert_eq!(wheel.after(Timer::NewHandshake), Some(15_332));

    let wheel = Wheel::full();
    state.data_sent(&wheel);
    assert_eq!(wheel.touched(), []);
    state.any_authenticated_received(&wheel);
    assert_eq!(wheel.touched(), [Timer::NewHandshake]);
    assert!(!wheel.is_armed(Timer::NewHandshake));
}

#[test]
fn receiving_data_is_answered() {
    let (state, wheel) = (TimerState::new(), Wheel::default());
    state.data_received(&wheel);
    assert_eq!(wheel.after(Timer::SendKeepalive), Some(10_000));
    assert_eq!(
        wheel.fire(&state, Timer::SendKeepalive),
        Action::SendKeepalive { another: false }
    );

    let wheel = Wheel::full();
    state.any_authenticated_sent(&wheel);
    assert_eq!(wheel.touched(), [Timer::SendKeepalive]);
    assert!(!wheel.is_armed(Timer::SendKeepalive));
}

#[test]
fn data_before_a_keepalive_is_due_asks_for_another() {
    let (state, wheel) = (TimerState::new(), Wheel::default());
    state.data_received(&wheel);
    state.data_received(&wheel);
    state.data_received(&wheel);
    assert_eq!(
        wheel.fire(&state, Timer::SendKeepalive),
        Action::SendKeepalive { another: true }
    );
    assert!(!wheel.is_armed(Timer::SendKeepalive));
    state.rearm_keepalive(&wheel);
    assert_eq!(wheel.after(Timer::SendKeepalive), Some(10_000));
    // But not for more than one.
    assert_eq!(
        wheel.fire(&state, Timer::SendKeepalive),
        Action::SendKeepalive { another: false }
    );
}

#[test]
fn nothing_is_armed_while_the_interface_is_down() {
    let (state, wheel) = (TimerState::new(), Wheel::default());
    wheel.down.set(true);
    state.data_received(&wheel);
    // That would have noted the wish for another keepalive.
    wheel.arm(Timer::SendKeepalive, 1);
    state.data_received(&wheel);
    assert_eq!(
        wheel.fire(&state, Timer::SendKeepalive),
        Action::SendKeepalive { another: false }
    );
}

#[test]
fn persistent_keepalives_follow_the_last_packet() {
    let (state, wheel) = (TimerState::new(), Wheel::full());
    state.any_authenticated_traversal(&wheel);
    assert_eq!(wheel.touched(), []);
    assert_eq!(wheel.fire(&state, Timer::PersistentKeepalive), Action::None);

    assert_eq!(state.set_persistent_keepalive(25), 0);
    let wheel = Wheel::full();
    state.any_authenticated_traversal(&wheel);
    assert_eq!(wheel.touched(), [Timer::PersistentKeepalive]);
    assert_eq!(wheel.after(Timer::PersistentKeepalive), Some(25_000));
    assert_eq!(
        wheel.fire(&state, Timer::PersistentKeepalive),
        Action::SendKeepalive { another: false }
    );
    assert_eq!(state.set_persistent_keepalive(u16::MAX), 25);
    state.any_authenticated_traversal(&wheel);
    assert_eq!(wheel.after(Timer::PersistentKeepalive), Some(65_535_000));
    // A persistent keepalive does not stand in for the other kind.
    state.data_received(&wheel);
    assert_eq!(
        wheel.fire(&state, Timer::PersistentKeepalive),
        Action::SendKeepalive { another: false }
    );
    assert_eq!(state.set_persistent_keepalive(0), u16::MAX);
    assert_eq!(state.persistent_keepalive(), 0);
}

#[test]
fn initiations_are_repeated_and_given_up() {
    let (state, wheel) = (TimerState::new(), Wheel::default());
    wheel.random.set(100);
    wheel.arm(Timer::SendKeepalive, 1);
    state.handshake_queued(false);
    let mut sent = 0;
    let action = loop {
        state.handshake_initiated(&wheel);
        sent += 1;
        assert_eq!(wheel.after(Timer::RetransmitHandshake), Some(5_100));
        assert_eq!(wheel.bound.get(), 333);
        assert_eq!(state.handshake_attempts(), sent - 1);
        match wheel.fire(&state, Timer::RetransmitHandshake) {
            Action::InitiateHandshake { is_retry: true } => state.handshake_queued(true),
            action => break action,
        }
    };
    // One at once, eighteen in ninety seconds, and one for good measure.
    assert_eq!(sent, 20);
    assert_eq!(action, Action::GiveUp);
    assert!(!wheel.is_armed(Timer::SendKeepalive));
    assert_eq!(wheel.after(Timer::ZeroKeyMaterial), Some(540_000));

    // A deadline that is already set stays.
    wheel.arm(Timer::ZeroKeyMaterial, 7);
    assert_eq!(
        wheel.fire(&state, Timer::RetransmitHandshake),
        Action::GiveUp
    );
    assert_eq!(wheel.after(Timer::ZeroKeyMaterial), Some(7));

    // Something to send starts the count afresh.
    state.handshake_queued(false);
    assert_eq!(state.handshake_attempts(), 0);
}

#[test]
fn completion_ends_the_attempts() {
    let (state, wheel) = (TimerState::new(), Wheel::full());
    for _ in 0..5 {
        let _ = state.expired(&wheel, Timer::RetransmitHandshake);
    }
    assert_eq!(state.handshake_attempts(), 5);
    state.handshake_complete(&wheel);
    assert_eq!(state.handshake_attempts(), 0);
    assert_eq!(wheel.touched(), [Timer::RetransmitHandshake]);
    assert!(!wheel.is_armed(Timer::RetransmitHandshake));
}

#[test]
fn other_expiries() {
    let (state, wheel) = (TimerState::new(), Wheel::full());
    assert_eq!(
        state.expired(&wheel, Timer::NewHandshake),
        Action::InitiateHandshake { is_retry: false }
    );
    assert_eq!(
        state.expired(&wheel, Timer::ZeroKeyMaterial),
        Action::ZeroKeys
    );
    assert_eq!(wheel.touched(), []);

    state.session_derived(&wheel);
    assert_eq!(wheel.touched(), [Timer::ZeroKeyMaterial]);
    assert_eq!(wheel.after(Timer::ZeroKeyMaterial), Some(540_000));
}

const BIRTH: Instant = Instant(1_000_000_000_000);

fn age(initiator: bool, sent: u64) -> SessionAge {
    SessionAge {
        birth: BIRTH,
        initiator,
        sent,
    }
}

fn at(ms: u64) -> Instant {
    Instant(BIRTH.0 + ms * 1_000_000)
}

#[test]
fn senders_replace_sessions_in_time() {
    for (initiator, sent, after, wanted) in [
        (true, 0, 119_999, false),
        (true, 0, 120_000, true),
        (false, 0, 120_000, false),
        (false, 0, 1_000_000, false),
        (true, REKEY_AFTER_MESSAGES, 0, false),
        (true, REKEY_AFTER_MESSAGES + 1, 0, true),
        (false, REKEY_AFTER_MESSAGES, 0, false),
        (false, REKEY_AFTER_MESSAGES + 1, 0, true),
    ] {
        let wants = age(initiator, sent).wants_rekey_after_send(at(after));
        assert_eq!(wants, wanted, "{initiator} {sent} {after}");
    }
}

#[test]
fn receivers_replace_sessions_once_at_the_last_minute() {
    let wheel = Wheel::default();
    let state = TimerState::new();
    let wants = |initiator, after| {
        state.wants_rekey_after_receive(at(after), || Some(age(initiator, u64::MAX)))
    };
    assert!(!wants(true, 164_999));
    assert!(!wants(false, 165_000));
    assert!(!state.wants_rekey_after_receive(at(165_000), || None));
    assert!(wants(true, 165_000));
    assert!(!wants(true, 166_000));
    // Nor is the session looked at any more.
    assert!(!state.wants_rekey_after_receive(at(166_000), || unreachable!()));
    state.handshake_complete(&wheel);
    assert!(wants(true, 170_000));
}

#[test]
fn limits() {
    assert!(!session_expired(BIRTH, at(179_999)));
    assert!(session_expired(BIRTH, at(180_000)));
    assert_eq!(session_left(BIRTH, at(0)), Some(180_000_000_000));
    assert_eq!(session_left(BIRTH, at(179_999)), Some(1_000_000));
    assert_eq!(session_left(BIRTH, at(180_000)), None);
    assert_eq!(session_left(BIRTH, at(999_000)), None);
    assert!(may_send_counter(REJECT_AFTER_MESSAGES - 1));
    assert!(!may_send_counter(REJECT_AFTER_MESSAGES));
    assert!(!may_initiate(s(10), ms(14_999)));
    assert!(may_initiate(s(10), s(15)));
    for now in [s(0), s(3), s(1000)] {
        assert!(may_initiate(now.before(REKEY_TIMEOUT + 1), now));
    }
}
