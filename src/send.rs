// SPDX-License-Identifier: GPL-2.0

//! Packets on their way out: from the stack, through encryption on all CPUs, to the socket.

use crate::{
    device::Dev,
    encrypt::Encrypt,
    handshake,
    ip::IpHeader,
    kernel::{
        batch::{Batch, Drain, Outcome},
        chain::SkbList,
        debug,
        errno::{EDESTADDRREQ, ENOKEY, EPROTONOSUPPORT},
        netdev::Stat,
        rcu::{BhGuard, RcuArc},
        skb::{Packet, Skb},
        time,
        waiter::Waiter,
    },
    keypair::Keypair,
    peer::Peer,
    protocol::constants::{Instant, MAX_STAGED_PACKETS},
    protocol::message::DATA_MIN_LEN,
    socket,
    timers::PeerTimers,
};
use kernel::prelude::*;

/// Takes a packet from the stack.
pub(crate) fn packet(dev: &Dev, mut skb: Skb) -> Result {
    let netdev = dev.netdev();
    let Some(destination) = header(&skb.view()).map(IpHeader::destination) else {
        debug::often(netdev, c"Invalid IP packet");
        netdev.count(Stat::TxErrors, 1);
        return Err(EPROTONOSUPPORT);
    };
    let peer = {
        let bh = BhGuard::new();
        dev.allowed_ips.lookup(&bh, destination)
    };
    let Some(peer) = peer else {
        debug::no_peer_for(netdev, destination);
        return refuse(dev, skb, ENOKEY);
    };
    if !peer.endpoint.is_set() {
        debug::peer(
            netdev,
            c"No valid endpoint has been configured or discovered for",
            peer.id,
            None,
        );
        return refuse(dev, skb, EDESTADDRREQ);
    }
    let mtu = skb.mtu(netdev);
    let messages = match dev.udp_gso.is_on() {
        true => skb.view().plain_segments(),
        false => None,
    };
    let packets = match messages {
        // It is cut where its segments are encrypted.
        Some(_) => SkbList::from(skb),
        None => match skb.segment() {
            Ok(segments) => segments,
            Err((original, error)) => {
                skb = original;
                return refuse(dev, skb, error);
            }
        },
    };
    stage(&peer, packets, mtu, messages.unwrap_or(1));
    send_staged(&peer);
    Ok(())
}

/// The header that a packet from the stack begins with.
#[inline]
fn header<'a>(packet: &'a Packet<'_>) -> Option<IpHeader<'a>> {
    IpHeader::parse_as(packet.network(), packet.protocol())
}

fn refuse(dev: &Dev, mut skb: Skb, error: Error) -> Result {
    skb.refuse_unreachable();
    dev.netdev().count(Stat::TxErrors, 1);
    Err(error)
}

/// Puts packets, which become `messages` messages each, behind those that wait already, which make
/// room if there are too many of them.
#[inline]
fn stage(peer: &Peer, mut packets: SkbList, mtu: u32, messages: u16) {
    let mut ready = SkbList::new();
    while let Some(skb) = packets.pop_front() {
        if let Some(mut skb) = skb.unshare() {
            // Its route was needed for an ICMP error at most, up to here.
            skb.drop_route();
            skb.packet().note_staged(mtu, messages);
            ready.push_back(skb);
        }
    }
    let mut staged = peer.staged.lock();
    // Before the new ones come, so that segments of one packet are not torn apart.
    while staged.segments() > MAX_STAGED_PACKETS {
        let before = staged.segments();
        drop(staged.pop_front());
        let dropped = before.saturating_sub(staged.segments());
        peer.device.netdev().count(Stat::TxDropped, dropped);
    }
    staged.append(ready);
}

/// Sends an empty packet, or whatever waits.
pub(crate) fn keepalive(peer: &RcuArc<Peer>) {
    if peer.staged.lock().is_empty() {
        let dev = peer.device.netdev();
        let Some(mut skb) = Skb::empty(dev) else {
            return;
        };
        skb.packet().note_staged(dev.mtu(), 1);
        debug::peer(
            dev,
            c"Sending keepalive packet to",
            peer.id,
            peer.endpoint.address(),
        );
        peer.staged.lock().push_back(skb);
    }
    send_staged(peer);
}

/// Sends the packets that wait, or starts a handshake for them to wait for.
pub(crate) fn send_staged(peer: &RcuArc<Peer>) {
    let mut packets = peer.staged.lock().take();
    if packets.is_empty() {
        return;
    }
    let keypair = {
        let bh = BhGuard::new();
        peer.keypairs.current(&bh).and_then(|keypair| keypair.get())
    };
    if let Some(keypair) = keypair.filter(|keypair| keypair.may_send()) {
        if assign_counters(&keypair, &mut packets) {
            return encrypt(peer, packets, keypair);
        }
        keypair.stop_sending();
    }
    // Waiting may last, and must not block the sending sockets.
    for mut packet in packets.iter_mut() {
        packet.orphan();
    }
    {
        // In front of what came meanwhile.
        let mut staged = peer.staged.lock();
        let newer = staged.take();
        staged.append(packets);
        staged.append(newer);
    }
    handshake::queue_initiation(peer, false);
}

/// Numbers the packets. `false`: there are not enough numbers left.
#[inline]
fn assign_counters(keypair: &Keypair, packets: &mut SkbList) -> bool {
    for mut packet in packets.iter_mut() {
        // There is none in an empty one.
        let ds = header(&packet).map_or(0, IpHeader::ecn_for_outer);
        let messages = packet.control().segments;
        let Some(counter) = keypair.next_counters(messages) else {
            return false;
        };
        packet.note_message(counter, messages, ds);
    }
    true
}

/// Has packets encrypted: each by itself that becomes several messages, and the others together that
/// follow each other.
#[inline]
fn encrypt(peer: &RcuArc<Peer>, mut packets: SkbList, keypair: RcuArc<Keypair>) {
    let bh = BhGuard::new();
    if peer.is_dead() {
        return;
    }
    let mut single = SkbList::new();
    while let Some(mut skb) = packets.pop_front() {
        if skb.packet().control().segments <= 1 {
            single.push_back(skb);
        } else {
            queue(&bh, peer, single.take(), &keypair);
            queue(&bh, peer, SkbList::from(skb), &keypair);
        }
    }
    queue(&bh, peer, single, &keypair);
}

/// Has a batch encrypted, unless it is empty.
#[inline]
fn queue(_bh: &BhGuard, peer: &Peer, packets: SkbList, keypair: &RcuArc<Keypair>) {
    if packets.is_empty() {
        return;
    }
    let Some(batch) = Batch::new(packets, keypair.clone()) else {
        return;
    };
    let dev = &peer.device;
    // A full queue drops the batch, and so does a full ring, by which it has failed.
    if let Ok(work) = peer.tx.push(batch, 1) {
        drop(dev.encrypt.push(work, &dev.crypt_wq));
    }
}

/// Has [`transmit_finished`] called.
#[inline]
pub(crate) fn queue_transmission(peer: &RcuArc<Peer>) {
    peer.device
        .crypt_wq
        .queue_on::<Peer, { Peer::TRANSMIT_WORK }>(peer.cpu(), peer.clone());
}

/// Sends what is encrypted, in order.
pub(crate) fn transmit_finished(peer: &RcuArc<Peer>) {
    let woken = Waiter::collect(peer);
    transmit_queue(peer);
    if woken {
        // One is woken at a time.
        let bh = BhGuard::new();
        if let Some(transit) = peer.device.transit.load(&bh) {
            transit.sockets.wake_next();
        }
    }
}

/// Sends what is at the head of the queue and encrypted, as long as there is room.
fn transmit_queue(peer: &RcuArc<Peer>) {
    let Some(mut queue) = peer.tx.drain() else {
        return;
    };
    while transmit_some(peer, &mut queue) {
        crate::kernel::workqueue::yield_if_needed();
    }
}

/// Packets that are sent before softirqs may run, in which a virtual device or the loopback receives
/// them: it pays to have several there.
const BURST: usize = 32;

/// Sends some of that. `false`: there is no more for now.
fn transmit_some(peer: &RcuArc<Peer>, queue: &mut Drain<'_, Encrypt>) -> bool {
    let bh = BhGuard::new();
    let mut sent = 0usize;
    while sent < BURST {
        // What waits here still counts as its sender's, so that one is held back as well.
        if waits_for_room(&bh, peer) {
            return false;
        }
        let Some((batch, outcome)) = queue.next() else {
            return false;
        };
        let parts = batch.into_parts();
        match outcome {
            Outcome::Done => {
                let packets = parts.results.unwrap_or(parts.packets);
                sent = sent.saturating_add(packets.segments());
                transmit(peer, packets);
            }
            Outcome::Failed => drop(parts),
            Outcome::Elsewhere => parts.packets.consume(),
        }
    }
    true
}

/// Whether the socket has no room for more, as a task's socket may have: this goes on when there is.
#[inline]
fn waits_for_room(bh: &BhGuard, peer: &RcuArc<Peer>) -> bool {
    let socket = peer
        .device
        .transit
        .load(bh)
        .and_then(|transit| transit.sockets.of(peer.endpoint.version()));
    match socket {
        Some(socket) if !peer.is_dead() => Waiter::wait(peer, bh, socket),
        _ => false,
    }
}

#[inline]
fn transmit(peer: &RcuArc<Peer>, mut packets: SkbList) {
    let host = PeerTimers(peer.borrow());
    peer.timer_state.any_authenticated_traversal(&host);
    peer.timer_state.any_authenticated_sent(&host);
    let mut data_sent = false;
    while let Some(mut skb) = packets.pop_front() {
        let is_keepalive = skb.view().len() as usize == DATA_MIN_LEN;
        let ds = skb.packet().control().ds;
        let sent = socket::send_to_peer(peer, skb, ds).is_ok();
        data_sent |= sent && !is_keepalive;
    }
    if data_sent {
        peer.timer_state.data_sent(&host);
    }
    keep_key_fresh(peer);
}

/// Starts a handshake if the session that is sent under is getting old.
#[inline]
fn keep_key_fresh(peer: &RcuArc<Peer>) {
    let age = {
        let bh = BhGuard::new();
        peer.keypairs.current(&bh).and_then(|keypair| keypair.age())
    };
    if age.is_some_and(|age| age.wants_rekey_after_send(Instant(time::boottime_ns()))) {
        handshake::queue_initiation(peer, false);
    }
}
