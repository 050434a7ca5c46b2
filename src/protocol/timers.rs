// SPDX-License-Identifier: GPL-2.0

//! When to handshake, repeat, keep alive and forget: WireGuard paper section 6.
//!
//! Each peer has five one-shot timers, which [`Host`] provides, and a
//! [`TimerState`] shared by whatever contexts send and receive for it. The
//! caller reports events; each event arms and disarms timers. When one fires,
//! [`TimerState::expired`] says what to do.
//!
//! | Timer                 | Armed by                  | Disarmed by            | After                  |
//! |-----------------------|---------------------------|------------------------|------------------------|
//! | `RetransmitHandshake` | initiation about to go    | handshake complete     | 5 s + jitter           |
//! | `SendKeepalive`       | data received, if not yet | anything sent          | 10 s                   |
//! | `NewHandshake`        | data sent, if not yet     | anything received      | 15 s + jitter          |
//! | `ZeroKeyMaterial`     | session derived, giving up|                        | 540 s                  |
//! | `PersistentKeepalive` | anything sent or received |                        | as configured          |
//!
//! The events are cheap enough to be reported once per batch of packets. State
//! is kept in relaxed atomics: an update lost to a race costs a keepalive or a
//! retry more or less, which the protocol tolerates at any time.

use super::constants::{
    Instant, KEEPALIVE_TIMEOUT, MAX_HANDSHAKE_ATTEMPTS, MSEC_PER_SEC, REJECT_AFTER_MESSAGES,
    REJECT_AFTER_TIME, REKEY_AFTER_MESSAGES, REKEY_AFTER_TIME, REKEY_TIMEOUT,
    REKEY_TIMEOUT_JITTER_MS,
};
use core::sync::atomic::{AtomicBool, AtomicU16, AtomicU32, Ordering::Relaxed};

/// A peer's timers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Timer {
    /// Repeats an initiation that was not answered.
    RetransmitHandshake = 0,
    /// Shows a peer that sends data that we are still here.
    SendKeepalive = 1,
    /// Starts over with a peer that stopped answering data.
    NewHandshake = 2,
    /// Wipes keys that have not been replaced for three times their life.
    ZeroKeyMaterial = 3,
    /// Keeps middleboxes from forgetting the flow.
    PersistentKeepalive = 4,
}

impl Timer {
    /// How many timers a peer has.
    pub const COUNT: usize = 5;

    /// All of them, each at its [`index`](Self::index).
    pub const ALL: [Timer; Self::COUNT] = [
        Timer::RetransmitHandshake,
        Timer::SendKeepalive,
        Timer::NewHandshake,
        Timer::ZeroKeyMaterial,
        Timer::PersistentKeepalive,
    ];

    /// Position in an array of timers.
    #[inline]
    pub const fn index(self) -> usize {
        self as usize
    }
}

/// What a peer's timers run on.
pub trait Host {
    /// Lets `timer` fire `after_ms` milliseconds from now, also if it was to
    /// fire at another time. Does nothing while the interface is down or once
    /// the peer is being removed.
    fn arm(&self, timer: Timer, after_ms: u64);

    /// Keeps `timer` from firing, unless it is about to. Does nothing if it is
    /// not armed.
    fn disarm(&self, timer: Timer);

    /// Whether `timer` is to fire and has not yet.
    fn is_armed(&self, timer: Timer) -> bool;

    /// Whether the interface is up.
    fn is_running(&self) -> bool;

    /// A random number below `bound`. Need not be unpredictable.
    fn random_below(&self, bound: u32) -> u32;
}

/// What is to be done now that a timer has fired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Action {
    /// Nothing.
    None,
    /// Send a keepalive, or what is staged instead if anything is. If `another`
    /// is set, call [`TimerState::rearm_keepalive`] after that.
    SendKeepalive {
        /// Data arrived while this keepalive was already due.
        another: bool,
    },
    /// Forget which local address the peer was reached from, since that may be
    /// what is wrong, and queue an initiation, reporting it to
    /// [`TimerState::handshake_queued`] with `is_retry`.
    InitiateHandshake {
        /// Whether this repeats an attempt already counted.
        is_retry: bool,
    },
    /// Drop the packets staged for the peer: it cannot be reached.
    GiveUp,
    /// Clear the handshake and all sessions of the peer.
    ZeroKeys,
}

/// What a decision about replacing a session is made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionAge {
    /// When the session was derived.
    pub birth: Instant,
    /// Whether we initiated it.
    pub initiator: bool,
    /// Packets sent with it.
    pub sent: u64,
}

impl SessionAge {
    /// Whether sending with the session calls for a new one: the initiator's
    /// duty after 120 s, anybody's after 2^60 packets.
    ///
    /// To be asked after sending, for the current session if it is still valid
    /// for sending. If so, queue an initiation that is no retry.
    #[inline]
    pub const fn wants_rekey_after_send(&self, now: Instant) -> bool {
        self.sent > REKEY_AFTER_MESSAGES
            || (self.initiator && self.birth.has_expired(REKEY_AFTER_TIME, now))
    }

    /// Whether the session is so close to its end that an initiator who only
    /// receives should replace it: late enough that a keepalive and a handshake
    /// still fit in.
    #[inline]
    pub const fn wants_rekey_after_receive(&self, now: Instant) -> bool {
        const AGE: u64 = REJECT_AFTER_TIME - KEEPALIVE_TIMEOUT - REKEY_TIMEOUT;
        self.initiator && self.birth.has_expired(AGE, now)
    }
}

/// Whether a session born at `birth` is too old to send or receive with.
#[inline]
pub const fn session_expired(birth: Instant, now: Instant) -> bool {
    birth.has_expired(REJECT_AFTER_TIME, now)
}

/// Nanoseconds until a session born at `birth` is too old. `None`: it is.
pub const fn session_left(birth: Instant, now: Instant) -> Option<u64> {
    let left = birth.after(REJECT_AFTER_TIME).nanos_since(now);
    if left > 0 {
        Some(left as u64)
    } else {
        None
    }
}

/// Whether a packet may be sent with `counter`.
#[inline]
pub const fn may_send_counter(counter: u64) -> bool {
    counter < REJECT_AFTER_MESSAGES
}

/// Whether an initiation may be sent, the last handshake message having been
/// sent at `last`. To let one out at once, set `last` to
/// `now.before(REKEY_TIMEOUT + 1)`.
#[inline]
pub const fn may_initiate(last: Instant, now: Instant) -> bool {
    last.has_expired(REKEY_TIMEOUT, now)
}

/// What a peer's timers remember.
#[derive(Debug)]
pub struct TimerState {
    handshake_attempts: AtomicU32,
    need_another_keepalive: AtomicBool,
    sent_lastminute_handshake: AtomicBool,
    // Seconds; 0 for off.
    persistent_keepalive: AtomicU16,
}

impl TimerState {
    /// The state of a new peer, without persistent keepalives.
    pub const fn new() -> Self {
        TimerState {
            handshake_attempts: AtomicU32::new(0),
            need_another_keepalive: AtomicBool::new(false),
            sent_lastminute_handshake: AtomicBool::new(false),
            persistent_keepalive: AtomicU16::new(0),
        }
    }

    /// Seconds between persistent keepalives; 0 for off.
    #[inline]
    pub fn persistent_keepalive(&self) -> u16 {
        self.persistent_keepalive.load(Relaxed)
    }

    /// Sets the seconds between persistent keepalives, 0 for off, and returns
    /// what they were. If this turns them on while the interface is up, send a
    /// keepalive: that starts the timer.
    pub fn set_persistent_keepalive(&self, seconds: u16) -> u16 {
        self.persistent_keepalive.swap(seconds, Relaxed)
    }

    /// Retransmissions of the handshake under way.
    pub fn handshake_attempts(&self) -> u32 {
        self.handshake_attempts.load(Relaxed)
    }

    /// A packet with a payload was sent.
    #[inline]
    pub fn data_sent(&self, host: &impl Host) {
        if !host.is_armed(Timer::NewHandshake) {
            let wait = (KEEPALIVE_TIMEOUT + REKEY_TIMEOUT) * MSEC_PER_SEC;
            host.arm(Timer::NewHandshake, with_jitter(host, wait));
        }
    }

    /// An authentic packet with a payload was received.
    #[inline]
    pub fn data_received(&self, host: &impl Host) {
        if !host.is_running() {
            return;
        }
        if host.is_armed(Timer::SendKeepalive) {
            self.need_another_keepalive.store(true, Relaxed);
        } else {
            host.arm(Timer::SendKeepalive, KEEPALIVE_TIMEOUT * MSEC_PER_SEC);
        }
    }

    /// Anything authenticated was or is about to be sent: handshake message,
    /// keepalive or data.
    #[inline]
    pub fn any_authenticated_sent(&self, host: &impl Host) {
        host.disarm(Timer::SendKeepalive);
    }

    /// Anything authentic was received: handshake message, keepalive or data.
    #[inline]
    pub fn any_authenticated_received(&self, host: &impl Host) {
        host.disarm(Timer::NewHandshake);
    }

    /// Anything authenticated is about to be sent or was received.
    #[inline]
    pub fn any_authenticated_traversal(&self, host: &impl Host) {
        let seconds = self.persistent_keepalive();
        if seconds != 0 {
            host.arm(
                Timer::PersistentKeepalive,
                u64::from(seconds) * MSEC_PER_SEC,
            );
        }
    }

    /// An initiation is being queued. One that is no retry starts the count of
    /// attempts afresh.
    pub fn handshake_queued(&self, is_retry: bool) {
        if !is_retry {
            self.handshake_attempts.store(0, Relaxed);
        }
    }

    /// An initiation is about to be sent. Not after it: its response would have nothing to disarm.
    pub fn handshake_initiated(&self, host: &impl Host) {
        let wait = REKEY_TIMEOUT * MSEC_PER_SEC;
        host.arm(Timer::RetransmitHandshake, with_jitter(host, wait));
    }

    /// A session was confirmed: to the initiator by the response, to the
    /// responder by the first packet. Also the time to note for "latest
    /// handshake".
    pub fn handshake_complete(&self, host: &impl Host) {
        host.disarm(Timer::RetransmitHandshake);
        self.handshake_attempts.store(0, Relaxed);
        self.sent_lastminute_handshake.store(false, Relaxed);
    }

    /// Session keys were derived: before the response is sent or after it was
    /// received.
    pub fn session_derived(&self, host: &impl Host) {
        host.arm(Timer::ZeroKeyMaterial, ZERO_KEYS_MS);
    }

    /// Whether receiving calls for a new session. `session` is asked for the
    /// current session, if it is valid for sending, unless the last-minute
    /// handshake went out already.
    ///
    /// `true` at most once per session; queue an initiation that is no retry.
    #[inline]
    #[must_use]
    pub fn wants_rekey_after_receive(
        &self,
        now: Instant,
        session: impl FnOnce() -> Option<SessionAge>,
    ) -> bool {
        if self.sent_lastminute_handshake.load(Relaxed) {
            return false;
        }
        let wanted = session().is_some_and(|age| age.wants_rekey_after_receive(now));
        wanted && !self.sent_lastminute_handshake.swap(true, Relaxed)
    }

    /// A timer fired. Timers that follow from that are dealt with; what else
    /// there is to do is returned.
    pub fn expired(&self, host: &impl Host, timer: Timer) -> Action {
        match timer {
            Timer::RetransmitHandshake => {
                // Checked before counting: one more attempt is made than the
                // limit says, on top of the first message.
                if self.handshake_attempts() <= MAX_HANDSHAKE_ATTEMPTS {
                    self.handshake_attempts.fetch_add(1, Relaxed);
                    return Action::InitiateHandshake { is_retry: true };
                }
                host.disarm(Timer::SendKeepalive);
                // What the failed exchange left behind must go as well.
                if !host.is_armed(Timer::ZeroKeyMaterial) {
                    host.arm(Timer::ZeroKeyMaterial, ZERO_KEYS_MS);
                }
                Action::GiveUp
            }
            Timer::SendKeepalive => Action::SendKeepalive {
                another: self.need_another_keepalive.swap(false, Relaxed),
            },
            Timer::NewHandshake => Action::InitiateHandshake { is_retry: false },
            Timer::ZeroKeyMaterial => Action::ZeroKeys,
            Timer::PersistentKeepalive if self.persistent_keepalive() != 0 => {
                Action::SendKeepalive { another: false }
            }
            Timer::PersistentKeepalive => Action::None,
        }
    }

    /// Follows a keepalive that [`Action::SendKeepalive`] asked for, if it also
    /// asked for this.
    pub fn rearm_keepalive(&self, host: &impl Host) {
        host.arm(Timer::SendKeepalive, KEEPALIVE_TIMEOUT * MSEC_PER_SEC);
    }
}

impl Default for TimerState {
    fn default() -> Self {
        Self::new()
    }
}

const ZERO_KEYS_MS: u64 = 3 * REJECT_AFTER_TIME * MSEC_PER_SEC;

#[inline]
fn with_jitter(host: &impl Host, ms: u64) -> u64 {
    ms.saturating_add(u64::from(host.random_below(REKEY_TIMEOUT_JITTER_MS)))
}
