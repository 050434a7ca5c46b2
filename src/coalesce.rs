// SPDX-License-Identifier: GPL-2.0

//! Which events are told, and when: pure functions, like the judgement.
//!
//! Packets can cause events as fast as they come in. What waits to be told is bounded, like events of
//! a peer become one with a count, and there is a pause between two deliveries. Whoever applies the
//! events that are told gets to the state that she would have by those that happened.

// Public for tests on the host.
#![allow(unreachable_pub)]

use core::net::SocketAddr;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The device was configured.
    DeviceChange,
    /// A peer was added.
    PeerAdd,
    /// A peer was configured.
    PeerChange,
    /// A peer was removed, and its session ended with it.
    PeerDel,
    /// A peer was heard at another endpoint.
    PeerRoam,
    /// A handshake is complete.
    SessionBegin,
    /// The last session ended without another.
    SessionEnd,
    /// The sockets were moved.
    TransitChange,
    /// The transit namespace is gone.
    TransitGone,
}

/// What is told of a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerValues {
    /// Where it is.
    pub endpoint: Option<SocketAddr>,
    /// Seconds between keepalives.
    pub keepalive: u16,
}

/// What is told of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceValues {
    /// Its own key, if it has one.
    pub public_key: Option<[u8; 32]>,
    /// UDP port.
    pub port: u16,
    /// The mark that it was given.
    pub mark: u32,
    /// The mark that packets carry.
    pub applied_mark: u32,
    /// The number of the transit namespace, `None` for its own.
    pub nsid: Option<i32>,
}

/// What changed, from and to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Nothing that has a value.
    None,
    /// Of the peer.
    Peer(PeerValues, PeerValues),
    /// Of the device.
    Device(DeviceValues, DeviceValues),
}

/// An event that is to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// What happened.
    pub kind: Kind,
    /// Number of the peer, 0 if it is about the device.
    pub peer: u64,
    /// Public key of the peer.
    pub key: [u8; 32],
    /// `WGEVENT_F_*`.
    pub flags: u32,
    /// How many events this one stands for.
    pub count: u32,
    /// Seconds since 1970, and nanoseconds, of the last of them.
    pub time: (i64, u32),
    /// From and to.
    pub change: Change,
}

/// As many events of a device wait at most.
pub const MAX_PENDING: usize = 128;

/// Nanoseconds between two deliveries of a device's events.
pub const PAUSE: u64 = 100_000_000;

/// What becomes of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// One that waits stands for it too.
    Merged,
    /// It has to be put behind those that wait.
    Append,
    /// It is not told, and that is.
    Lost,
}

/// Whether the order of two kinds of events of a peer matters.
fn related(one: Kind, other: Kind) -> bool {
    !matches!(
        (one, other),
        (
            Kind::SessionBegin | Kind::SessionEnd,
            Kind::PeerRoam | Kind::PeerChange
        ) | (
            Kind::PeerRoam | Kind::PeerChange,
            Kind::SessionBegin | Kind::SessionEnd
        )
    )
}

/// Decides what becomes of an event, given those that wait, oldest first.
pub fn record(pending: &mut [Event], new: &Event) -> Outcome {
    let len = pending.len();
    // Only packets cause many of these.
    if matches!(new.kind, Kind::PeerRoam | Kind::SessionBegin) {
        let latest = pending
            .iter_mut()
            .rev()
            .find(|event| event.peer == new.peer && related(event.kind, new.kind));
        if let Some(event) = latest.filter(|event| event.kind == new.kind) {
            event.count = event.count.saturating_add(new.count);
            event.time = new.time;
            event.change = match (event.change, new.change) {
                (Change::Peer(from, _), Change::Peer(_, to)) => Change::Peer(from, to),
                (_, change) => change,
            };
            return Outcome::Merged;
        }
    }
    if len < MAX_PENDING {
        Outcome::Append
    } else {
        Outcome::Lost
    }
}

/// How many nanoseconds from `now` events may be delivered that came up now, after a delivery at
/// `last`.
pub fn wait(last: Option<u64>, now: u64) -> u64 {
    let due = last.map_or(now, |last| last.saturating_add(PAUSE));
    // The clock of the last one was the same, and does not go back.
    due.saturating_sub(now).min(PAUSE)
}
