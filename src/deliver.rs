// SPDX-License-Identifier: GPL-2.0

//! Packets on their way in, decrypted: in order, to the stack.

use crate::{
    endpoint::Endpoint,
    handshake,
    ip::{IpHeader, IPV4_HEADER_LEN, IPV6_HEADER_LEN},
    kernel::{
        batch::{Outcome, Parts},
        debug,
        napi::PollContext,
        netdev::Stat,
        rcu::{RcuArc, Ref},
        skb::{Fate, Skb},
        time,
    },
    keypair::Keypair,
    peer::Peer,
    protocol::{constants::Instant, message::DATA_MIN_LEN},
    send,
    timers::PeerTimers,
};
use core::{net::IpAddr, sync::atomic::Ordering};

/// Delivers what is decrypted, in order, up to `budget` packets as they came in. Returns how many there
/// were.
pub(crate) fn deliver(peer: Ref<'_, Peer>, context: &PollContext<'_>, budget: u32) -> u32 {
    let (Some(peer), Some(mut queue)) = (peer.get(), peer.value().rx.drain()) else {
        return 0;
    };
    let mut done = 0;
    while done < budget {
        let Some((batch, outcome)) = queue.next() else {
            break;
        };
        done = done.wrapping_add(1);
        let parts = batch.into_parts();
        match outcome {
            Outcome::Done => arrive(&peer, context, parts),
            Outcome::Failed | Outcome::Elsewhere => parts.packets.consume(),
        }
    }
    done
}

/// Takes in the authentic messages of a packet.
#[inline]
fn arrive(peer: &RcuArc<Peer>, context: &PollContext<'_>, parts: Parts<Keypair>) {
    let Parts {
        mut packets,
        results,
        context: keypair,
    } = parts;
    let Some(mut outer) = packets.pop_front() else {
        return;
    };
    let Some(endpoint) = Endpoint::of(&outer.view()) else {
        return outer.free(Fate::Consumed);
    };
    let mut arrival = Arrival {
        peer,
        keypair: &keypair,
        context,
        endpoint,
        heard: false,
        has_data: false,
    };
    match results {
        None => {
            outer.packet().scrub(false);
            let len = outer.view().len().wrapping_add(DATA_MIN_LEN as u32);
            arrival.one(outer, len);
        }
        Some(mut results) => {
            while let Some(skb) = results.pop_front() {
                arrival.some(skb);
            }
            outer.free(Fate::Consumed);
        }
    }
}

/// What came in as one packet.
struct Arrival<'a> {
    peer: &'a RcuArc<Peer>,
    keypair: &'a RcuArc<Keypair>,
    context: &'a PollContext<'a>,
    endpoint: Endpoint,
    /// Whether the peer has been found to be there.
    heard: bool,
    /// Whether that was by more than a keepalive.
    has_data: bool,
}

impl Arrival<'_> {
    /// Takes in a packet that is several messages, perhaps.
    #[inline]
    fn some(&mut self, skb: Skb) {
        let view = skb.view();
        let control = view.control();
        let (first, messages, len) = (control.nonce, control.segments, control.wire_len);
        if self.keypair.are_new(first, messages) {
            self.deliver(skb, messages, len);
        } else if messages <= 1 {
            self.refuse(skb, first);
        } else {
            self.apart(skb);
        }
    }

    /// Takes in a packet that is one message.
    #[inline]
    fn one(&mut self, mut skb: Skb, len: u32) {
        let counter = skb.packet().control().nonce;
        if self.keypair.are_new(counter, 1) {
            self.deliver(skb, 1, len);
        } else {
            self.refuse(skb, counter);
        }
    }

    /// Takes in the segments of a packet one by one, some of which have been there before.
    #[cold]
    fn apart(&mut self, mut skb: Skb) {
        let view = skb.view();
        let control = view.control();
        let (first, messages, ds) = (control.nonce, control.segments, control.ds);
        let Ok(mut segments) = skb.packet().cut() else {
            return skb.free(Fate::Consumed);
        };
        if segments.segments() == usize::from(messages) {
            let mut counter = first;
            while let Some(mut segment) = segments.pop_front() {
                let len = segment.view().len().wrapping_add(DATA_MIN_LEN as u32);
                segment.packet().note_received(counter, 1, ds, len);
                self.one(segment, len);
                counter = counter.wrapping_add(1);
            }
        }
        skb.free(Fate::Consumed);
    }

    #[cold]
    fn refuse(&self, skb: Skb, counter: u64) {
        let (dev, address) = (self.peer.device.netdev(), self.peer.endpoint.address());
        let highest = self.keypair.highest_received().unwrap_or(0);
        debug::old_counter(dev, self.peer.id, address, counter, highest);
        skb.free(Fate::Consumed);
    }

    /// Takes note of the peer having been heard.
    fn hear(&mut self) {
        let (peer, context) = (self.peer, self.context);
        if let Some(transit) = peer.device.transit.load(context) {
            peer.heard_at(self.endpoint, transit.generation);
        }
        let host = PeerTimers(peer.borrow());
        if peer.keypairs.heard(&peer.device.index, self.keypair) {
            peer.timer_state.handshake_complete(&host);
            peer.note_handshake();
            send::send_staged(peer);
        }
        keep_key_fresh(peer, context);
        peer.timer_state.any_authenticated_received(&host);
        peer.timer_state.any_authenticated_traversal(&host);
        self.heard = true;
    }

    /// Takes in an authentic packet of `messages` new messages, which were `wire_len` bytes long.
    #[inline]
    fn deliver(&mut self, mut skb: Skb, messages: u16, wire_len: u32) {
        if !self.heard {
            self.hear();
        }
        let (peer, context) = (self.peer, self.context);
        let netdev = peer.device.netdev();
        let count = || {
            netdev.count_received(context, messages.into(), wire_len);
            peer.rx_bytes.fetch_add(wire_len.into(), Ordering::Relaxed);
        };
        if skb.view().len() == 0 {
            count();
            debug::peer(
                netdev,
                c"Receiving keepalive packet from",
                peer.id,
                peer.endpoint.address(),
            );
            return skb.free(Fate::Consumed);
        }
        if !self.has_data {
            peer.timer_state.data_received(&PeerTimers(peer.borrow()));
            self.has_data = true;
        }
        match unwrap(peer, context, &mut skb) {
            Ok(()) => {
                context.receive(skb);
                count();
            }
            Err(reason) => {
                dishonest(peer, reason, messages);
                skb.free(Fate::Consumed);
            }
        }
    }
}

/// Counts what is wrong with packets, and says it.
#[cold]
fn dishonest(peer: &Peer, reason: Dishonest, packets: u16) {
    let (netdev, id, endpoint) = (peer.device.netdev(), peer.id, peer.endpoint.address());
    let stat = match reason {
        Dishonest::Type => {
            debug::peer(
                netdev,
                c"Packet is neither ipv4 nor ipv6 from",
                id,
                endpoint,
            );
            Stat::RxFrameErrors
        }
        Dishonest::Size => {
            debug::peer(netdev, c"Packet has incorrect size from", id, endpoint);
            Stat::RxLengthErrors
        }
        Dishonest::Source(ip) => {
            debug::not_its_ip(netdev, ip, id, endpoint);
            Stat::RxFrameErrors
        }
        Dishonest::OutOfMemory => return,
    };
    netdev.count(Stat::RxErrors, packets.into());
    netdev.count(stat, packets.into());
}

/// What is wrong with a packet that an authentic peer sent.
enum Dishonest {
    Type,
    Size,
    Source(IpAddr),
    OutOfMemory,
}

/// Checks a decrypted packet, and makes it one that the device received.
#[inline]
fn unwrap(peer: &Peer, context: &PollContext<'_>, skb: &mut Skb) -> Result<(), Dishonest> {
    // As much as is needed to see the version, then as much as that version has.
    if !skb.make_network_linear(IPV4_HEADER_LEN) {
        return Err(Dishonest::Type);
    }
    if skb
        .view()
        .network()
        .first()
        .is_some_and(|byte| byte >> 4 == 6)
        && !skb.make_network_linear(IPV6_HEADER_LEN)
    {
        return Err(Dishonest::Type);
    }
    let (ethertype, ds, total, source) = {
        let view = skb.view();
        let header = IpHeader::parse(view.network()).ok_or(Dishonest::Type)?;
        let total = header.total_len().ok_or(Dishonest::Size)?;
        (header.ethertype(), header.ds(), total, header.source())
    };
    skb.arrive_on(peer.device.netdev(), ethertype);
    let outer = skb.packet().control().ds;
    skb.decapsulate_ecn(outer, ds);
    if total > skb.view().len() {
        return Err(Dishonest::Size);
    }
    if !skb.trim(total) {
        return Err(Dishonest::OutOfMemory);
    }
    if !peer.device.allowed_ips.belongs(context, source, peer) {
        return Err(Dishonest::Source(source));
    }
    Ok(())
}

/// Starts a handshake in time if the session is about to end and only we may renew it.
#[inline]
fn keep_key_fresh(peer: &RcuArc<Peer>, context: &PollContext<'_>) {
    let now = Instant(time::boottime_ns());
    let age = || peer.keypairs.current(context)?.age();
    if peer.timer_state.wants_rekey_after_receive(now, age) {
        handshake::queue_initiation(peer, false);
    }
}
