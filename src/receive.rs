// SPDX-License-Identifier: GPL-2.0

//! Packets on their way in: from the socket, through decryption on all CPUs, to the stack.

use crate::{
    device::Dev,
    endpoint::Endpoint,
    handshake,
    ip::{IpHeader, UdpHeader, IPV4_HEADER_LEN, IPV6_HEADER_LEN, UDP_HEADER_LEN},
    kernel::{
        batch::{Batch, InFlight, Outcome, Stage},
        chain::SkbList,
        debug,
        napi::PollContext,
        netdev::Stat,
        random,
        rcu::{BhGuard, RcuArc, Ref},
        ring::Received,
        skb::{Fate, Skb},
        time,
        workqueue::Job,
    },
    keypair::Keypair,
    peer::Peer,
    protocol::{
        constants::{Instant, MAX_QUEUED_HANDSHAKES},
        message::{classify, DataHeader, MessageType, DATA_MIN_LEN, TYPE_LEN},
    },
    send,
    timers::PeerTimers,
};
use core::{net::IpAddr, sync::atomic::Ordering};

/// Takes a packet from a socket. Softirq context.
pub(crate) fn packet(dev: &Dev, mut skb: Skb) {
    match strip_headers(&mut skb) {
        Some((MessageType::Data, ds)) => data(dev, skb, ds),
        Some(_) => queue_handshake(dev, skb),
        None => skb.free(Fate::Dropped),
    }
}

/// Makes a packet begin and end with its message, of which as much is contiguous as its type has
/// for a header. The outer headers stay readable; the DS field in them comes with the type. `None`: it
/// is no message.
#[inline]
fn strip_headers(skb: &mut Skb) -> Option<(MessageType, u8)> {
    let ds = {
        let view = skb.view();
        IpHeader::parse_as(view.network(), view.protocol())?.ds()
    };
    let udp = skb.transport_offset()?;
    let (len, in_packet) = {
        let view = skb.view();
        (
            UdpHeader::parse(view.transport())?.len(),
            view.len().checked_sub(udp)?,
        )
    };
    // The stack has checked this against what it received, but the buffer may hold more.
    let payload = len.checked_sub(UDP_HEADER_LEN)?;
    if len > in_packet {
        return None;
    }
    let start = udp.checked_add(UDP_HEADER_LEN)?;
    if !skb.make_linear(start.checked_add(TYPE_LEN as u32)?)
        || !skb.trim(start.checked_add(payload)?)
        || !skb.advance(start)
        || skb.view().len() != payload
    {
        return None;
    }
    let (kind, header) = classify(*skb.view().linear().first_chunk()?, payload as usize)?;
    // Pulled in with the outer headers, so that those are in the same buffer.
    let contiguous = start.checked_add(header as u32)?;
    (skb.retreat(start) && skb.make_linear(contiguous) && skb.advance(start)).then_some((kind, ds))
}

/// Queues a handshake message, for which there is process context and patience.
fn queue_handshake(dev: &Dev, skb: Skb) {
    if !random::is_seeded() {
        return skb.free(Fate::Dropped);
    }
    let item = Received::new(skb, dev.get());
    let ring = dev.handshakes.ring();
    // Before the item can be found, so that whoever deals with it takes off what was added.
    let waiting = dev.handshakes_waiting.fetch_add(1, Ordering::Relaxed);
    // In a flood, CPUs do not wait for each other to throw packets on the heap.
    let queued = if waiting as usize > MAX_QUEUED_HANDSHAKES / 2 {
        ring.try_produce(item)
    } else {
        ring.produce(item)
    };
    match queued {
        Ok(()) => dev.handshakes.kick(&dev.handshake_receive_wq),
        Err(item) => {
            dev.handshakes_waiting.fetch_sub(1, Ordering::Relaxed);
            let (skb, dev) = item.into_parts();
            debug::stranger(
                dev.netdev(),
                c"Dropping handshake packet from",
                Endpoint::of(&skb.view()).and_then(|endpoint| endpoint.address()),
            );
            skb.free(Fate::Dropped);
        }
    }
}

/// Queues a data message for decryption.
#[inline]
fn data(dev: &Dev, mut skb: Skb, ds: u8) {
    let Some(header) = DataHeader::parse(skb.view().linear()) else {
        return skb.free(Fate::Dropped);
    };
    let (counter, receiver) = (header.counter, header.receiver);
    skb.packet().note_message(counter, ds);
    let bh = BhGuard::new();
    let Some(keypair) = dev.index.keypair(&bh, receiver) else {
        return skb.free(Fate::Dropped);
    };
    if keypair.peer.is_dead() {
        return skb.free(Fate::Dropped);
    }
    let peer = keypair.peer.clone();
    let mut list = SkbList::new();
    list.push_back(skb);
    let Some(batch) = Batch::new(list, keypair) else {
        return;
    };
    // A full queue drops the packet, and so does a full ring, by which it has failed.
    if let Ok(work) = peer.rx.push(batch) {
        drop(dev.decrypt.push(work, &dev.crypt_wq));
    }
}

/// Decrypts.
pub(crate) struct Decrypt;

impl Stage for Decrypt {
    type Context = Keypair;

    #[inline]
    fn finished(keypair: &Keypair) {
        keypair.peer.schedule_delivery();
    }
}

impl Job<InFlight<Self>> for Decrypt {
    fn run(mut work: InFlight<Self>) {
        let (mut packets, keypair) = work.packets();
        let opened = packets.all(|mut packet| {
            let counter = packet.control().nonce;
            keypair
                .receiving_key()
                .is_some_and(|key| packet.open(counter, key))
        });
        work.finish(if opened {
            Outcome::Done
        } else {
            Outcome::Failed
        });
    }
}

/// Delivers what is decrypted, in order, up to `budget` packets. Returns how many there were.
pub(crate) fn deliver(peer: Ref<'_, Peer>, context: &PollContext<'_>, budget: u32) -> u32 {
    let (Some(peer), Some(mut queue)) = (peer.get(), peer.value().rx.drain()) else {
        return 0;
    };
    let mut done = 0;
    while done < budget {
        let Some((batch, outcome)) = queue.next() else {
            break;
        };
        let (mut packets, keypair) = batch.into_parts();
        done = done.wrapping_add(1);
        while let Some(mut skb) = packets.pop_front() {
            let counter = skb.packet().control().nonce;
            if outcome == Outcome::Failed {
                skb.free(Fate::Consumed);
                continue;
            }
            if !keypair.is_new(counter) {
                let (dev, address) = (peer.device.netdev(), peer.endpoint.address());
                let highest = keypair.highest_received().unwrap_or(0);
                debug::old_counter(dev, peer.id, address, counter, highest);
                skb.free(Fate::Consumed);
                continue;
            }
            consume(&peer, &keypair, context, skb);
        }
    }
    done
}

/// Takes in an authentic packet.
#[inline]
fn consume(
    peer: &RcuArc<Peer>,
    keypair: &RcuArc<Keypair>,
    context: &PollContext<'_>,
    mut skb: Skb,
) {
    let Some(endpoint) = Endpoint::of(&skb.view()) else {
        return skb.free(Fate::Consumed);
    };
    skb.packet().scrub(false);
    if let Some(transit) = peer.device.transit.load(context) {
        peer.endpoint.note(endpoint, transit.generation);
    }
    let host = PeerTimers(peer.borrow());
    if peer.keypairs.heard(&peer.device.index, keypair) {
        peer.timer_state.handshake_complete(&host);
        peer.note_handshake();
        send::send_staged(peer);
    }
    keep_key_fresh(peer, context);
    peer.timer_state.any_authenticated_received(&host);
    peer.timer_state.any_authenticated_traversal(&host);

    let netdev = peer.device.netdev();
    let len = skb.view().len();
    let count = |payload: u32| {
        let len = payload.wrapping_add(DATA_MIN_LEN as u32);
        netdev.count_received(context, len);
        peer.rx_bytes.fetch_add(len.into(), Ordering::Relaxed);
    };
    if len == 0 {
        count(0);
        debug::peer(
            netdev,
            c"Receiving keepalive packet from",
            peer.id,
            peer.endpoint.address(),
        );
        return skb.free(Fate::Consumed);
    }
    peer.timer_state.data_received(&host);
    match unwrap(peer, context, &mut skb) {
        Ok(()) => {
            context.receive(skb);
            count(len);
        }
        Err(reason) => {
            let (id, endpoint) = (peer.id, peer.endpoint.address());
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
                Dishonest::OutOfMemory => return skb.free(Fate::Consumed),
            };
            netdev.count(Stat::RxErrors, 1);
            netdev.count(stat, 1);
            skb.free(Fate::Consumed);
        }
    }
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
