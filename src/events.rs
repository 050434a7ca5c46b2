// SPDX-License-Identifier: GPL-2.0

//! Events: what happens to a device and its peers, for who listens.
//!
//! Whoever causes an event notes it, in whatever context. `coalesce` decides what becomes of it. What
//! is to be told waits with the device until a work item tells it, or whoever holds RTNL and has
//! changed something. While nobody listens, nothing is noted.

use crate::{
    coalesce::{self, Change, DeviceValues, Kind, Outcome, PeerValues, MAX_PENDING},
    config::ConfigGuard,
    device::{Dev, DeviceRef},
    kernel::{
        delayed::{Delayed, Later},
        genl::Family,
        lock::{new_spinlock_bh, SpinLockBh},
        rtnl::Rtnl,
        time,
    },
    netlink::{self, WireGuardFamily},
    peer::Peer,
    protocol::constants::{NSEC_PER_SEC, REJECT_AFTER_TIME},
    uapi::*,
};
use core::{mem, net::SocketAddr};
use kernel::prelude::*;

/// The events of a device.
#[pin_data]
pub(crate) struct Events {
    #[pin]
    queue: SpinLockBh<Queue>,
    #[pin]
    delivery: Delayed<Deliver>,
}

struct Queue {
    /// What is to be told, oldest first.
    pending: KVec<coalesce::Event>,
    /// How many events are not told.
    lost: u32,
    /// When there was a delivery, in nanoseconds since boot.
    last: Option<u64>,
    /// When to look for sessions that have expired.
    expiry: Option<u64>,
    /// Whether the device is ending.
    closed: bool,
}

/// Tells what there is to be told of a device.
pub(crate) struct Deliver(DeviceRef);

// A reference may be moved, whatever it refers to.
impl Unpin for Deliver {}

impl Later for Deliver {
    fn run(self) {
        let rtnl = Rtnl::lock();
        find_expired(&self.0);
        deliver(&self.0, &rtnl);
    }
}

impl Events {
    /// None.
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            queue <- new_spinlock_bh!(Queue {
                pending: KVec::new(),
                lost: 0,
                last: None,
                expiry: None,
                closed: false,
            }, "wg_events"),
            delivery <- Delayed::new(),
        })
    }

    /// Tells nothing more of a device that ends.
    pub(crate) fn close(&self, _rtnl: &Rtnl) {
        let pending = {
            let mut queue = self.queue.lock();
            queue.closed = true;
            mem::take(&mut queue.pending)
        };
        drop(pending);
    }

    /// Gives up the reference to the device that a delivery has which waits.
    pub(crate) fn withdraw(&self) {
        self.delivery.withdraw();
    }
}

/// Whether anybody listens, to devices of whatever namespace.
#[inline]
pub(crate) fn wanted() -> bool {
    Family::<WireGuardFamily>::has_listeners()
}

/// Has events delivered in `after` nanoseconds at the latest.
fn arm(dev: &Dev, after: u64) {
    let what = || Deliver(dev.get());
    dev.events.delivery.arm(&dev.handshake_send_wq, after, what);
}

/// Notes an event.
#[cold]
fn note(dev: &Dev, event: coalesce::Event) {
    let now = time::boottime_ns();
    let mut queue = dev.events.queue.lock();
    if queue.closed {
        return;
    }
    let kept = match coalesce::record(&mut queue.pending, &event) {
        Outcome::Merged => true,
        // In place of the oldest there would be a gap in what is told.
        Outcome::Append => queue.pending.push(event, GFP_ATOMIC | __GFP_NOWARN).is_ok(),
        Outcome::Lost => false,
    };
    if !kept {
        queue.lost = queue.lost.saturating_add(event.count);
    }
    if event.kind == Kind::SessionBegin && queue.expiry.is_none() {
        queue.expiry = Some(now.saturating_add(REJECT_AFTER_TIME.saturating_mul(NSEC_PER_SEC)));
    }
    // Under the lock, so that a device that was closed before is not referred to.
    arm(dev, coalesce::wait(queue.last, now));
}

fn of_device(kind: Kind, change: Change) -> coalesce::Event {
    coalesce::Event {
        kind,
        peer: 0,
        key: [0; 32],
        flags: 0,
        count: 1,
        time: time::walltime(),
        change,
    }
}

fn of_peer(kind: Kind, peer: &Peer, change: Change) -> coalesce::Event {
    coalesce::Event {
        peer: peer.id,
        key: peer.public_key.0,
        ..of_device(kind, change)
    }
}

/// A peer was heard at another endpoint.
#[cold]
pub(crate) fn roamed(peer: &Peer, old: Option<SocketAddr>, new: Option<SocketAddr>) {
    if !wanted() {
        return;
    }
    let keepalive = peer.timer_state.persistent_keepalive();
    let values = |endpoint| PeerValues {
        endpoint,
        keepalive,
    };
    let change = Change::Peer(values(old), values(new));
    note(&peer.device, of_peer(Kind::PeerRoam, peer, change));
}

/// A handshake with a peer is complete.
#[cold]
pub(crate) fn session_begun(peer: &Peer, renewed: bool) {
    if !wanted() {
        return;
    }
    let now = values_of(peer);
    let mut event = of_peer(Kind::SessionBegin, peer, Change::Peer(now, now));
    if renewed {
        event.flags = WGEVENT_F_RENEWAL;
    }
    note(&peer.device, event);
}

/// A peer has no session any more. Of one that is removed that is told by its removal.
#[cold]
pub(crate) fn session_ended(peer: &Peer) {
    if wanted() && !peer.is_dead() {
        let event = of_peer(Kind::SessionEnd, peer, Change::None);
        note(&peer.device, event);
    }
}

/// What is told of a peer.
pub(crate) fn values_of(peer: &Peer) -> PeerValues {
    PeerValues {
        endpoint: peer.endpoint.get().address(),
        keepalive: peer.timer_state.persistent_keepalive(),
    }
}

/// A peer was added by a request.
pub(crate) fn peer_added(peer: &Peer) {
    let now = values_of(peer);
    let change = Change::Peer(now, now);
    note(&peer.device, of_peer(Kind::PeerAdd, peer, change));
}

/// A request is done with a peer that was `before`; `flags` says what else it changed.
pub(crate) fn peer_changed(peer: &Peer, before: PeerValues, flags: u32) {
    let now = values_of(peer);
    if before == now && flags == 0 {
        return;
    }
    let mut event = of_peer(Kind::PeerChange, peer, Change::Peer(before, now));
    event.flags = flags;
    note(&peer.device, event);
}

/// A peer was removed by a request.
pub(crate) fn peer_removed(peer: &Peer) {
    note(&peer.device, of_peer(Kind::PeerDel, peer, Change::None));
}

/// What is told of a device.
pub(crate) fn values_of_device(config: &ConfigGuard<'_>, rtnl: &Rtnl) -> DeviceValues {
    let dev = config.dev();
    let nsid = match (dev.transit_net(rtnl), dev.netdev().net(rtnl)) {
        (None, _) => Some(NSID_NONE),
        (Some(transit), Some(own)) if !transit.same(&own) => Some(own.id_of(&transit)),
        _ => None,
    };
    let identity = dev.identity.read();
    DeviceValues {
        public_key: identity.as_ref().map(|identity| identity.public().0),
        port: config.state.port,
        mark: config.state.mark,
        applied_mark: config.state.applied_mark(),
        nsid,
    }
}

/// A request is done with a device that was `before`.
pub(crate) fn device_changed(config: &ConfigGuard<'_>, rtnl: &Rtnl, before: DeviceValues) {
    let dev = config.dev();
    let now = values_of_device(config, rtnl);
    let change = Change::Device(before, now);
    if before.nsid != now.nsid {
        note(dev, of_device(Kind::TransitChange, change));
    }
    // That a port went along with the sockets is told there.
    let rest = DeviceValues {
        nsid: now.nsid,
        port: if before.nsid == now.nsid {
            before.port
        } else {
            now.port
        },
        ..before
    };
    if rest != now {
        note(
            dev,
            of_device(Kind::DeviceChange, Change::Device(rest, now)),
        );
    }
}

/// The transit namespace of a device is gone.
pub(crate) fn transit_gone(dev: &Dev) {
    if wanted() {
        note(dev, of_device(Kind::TransitGone, Change::None));
    }
}

/// Somebody who may be listening asks for the state of a device: from now on she is told when
/// sessions expire. Of those that have expired already she sees that.
pub(crate) fn watch(config: &ConfigGuard<'_>) {
    if !wanted() || config.dev().events.queue.lock().expiry.is_some() {
        return;
    }
    look_for_sessions(config, false);
}

/// Notes which sessions have expired, if it is time to look.
fn find_expired(dev: &Dev) {
    let now = time::boottime_ns();
    {
        let mut queue = dev.events.queue.lock();
        match queue.expiry {
            Some(due) if due <= now => queue.expiry = None,
            Some(due) => return arm(dev, due.saturating_sub(now)),
            None => return,
        }
    }
    if wanted() {
        look_for_sessions(&ConfigGuard::lock(dev), true);
    }
}

/// Looks when the next session expires; those that have already are told of or not.
fn look_for_sessions(config: &ConfigGuard<'_>, tell: bool) {
    let mut next: Option<u64> = None;
    for peer in &config.peers {
        match peer.session_left() {
            Some(left) => next = Some(next.map_or(left, |next| next.min(left))),
            None if tell => peer.note_session_end(),
            None => peer.forget_session_end(),
        }
    }
    if let Some(left) = next {
        let dev = config.dev();
        // There may be many peers.
        let left = left.max(NSEC_PER_SEC);
        let mut queue = dev.events.queue.lock();
        if !queue.closed {
            queue.expiry = Some(time::boottime_ns().saturating_add(left));
            arm(dev, left);
        }
    }
}

/// Tells of events before there are too many.
pub(crate) fn make_room(dev: &Dev, rtnl: &Rtnl) {
    if dev.events.queue.lock().pending.len() >= MAX_PENDING / 2 {
        deliver(dev, rtnl);
    }
}

/// Tells what there is to be told.
pub(crate) fn deliver(dev: &Dev, rtnl: &Rtnl) {
    let (pending, mut lost) = {
        let mut queue = dev.events.queue.lock();
        if queue.pending.is_empty() && queue.lost == 0 {
            return;
        }
        queue.last = Some(time::boottime_ns());
        (mem::take(&mut queue.pending), mem::take(&mut queue.lost))
    };
    let Some(net) = dev.netdev().net(rtnl) else {
        return;
    };
    for event in &pending {
        if netlink::events::send(dev, rtnl, &net, event).is_err() {
            lost = lost.saturating_add(event.count);
        }
    }
    if lost != 0 && netlink::events::send_overrun(dev, rtnl, &net, lost).is_err() {
        let mut queue = dev.events.queue.lock();
        queue.lost = queue.lost.saturating_add(lost);
    }
}
