// SPDX-License-Identifier: GPL-2.0

//! Packets on their way in: from the socket to the queues of handshakes and of what is to be decrypted.

use crate::{
    device::Dev,
    endpoint::Endpoint,
    ip::{IpHeader, UdpHeader, UDP_HEADER_LEN},
    kernel::{
        batch::Batch,
        chain::SkbList,
        debug, random,
        rcu::BhGuard,
        ring::Received,
        skb::{Fate, Skb},
    },
    protocol::{
        constants::MAX_QUEUED_HANDSHAKES,
        message::{classify, DataHeader, MessageType, DATA_HEADER_LEN, DATA_MIN_LEN, TYPE_LEN},
    },
};
use core::sync::atomic::Ordering;

/// Takes a packet from a socket. Softirq context.
pub(crate) fn packet(dev: &Dev, mut skb: Skb) {
    match strip_headers(&mut skb) {
        Some((MessageType::Data, ds)) => match DataHeader::parse(skb.view().linear()) {
            Some(header) => data(dev, skb, header, 1, ds),
            None => skb.free(Fate::Dropped),
        },
        Some(_) => queue_handshake(dev, skb),
        None => skb.free(Fate::Dropped),
    }
}

/// Takes a packet from a socket that is several datagrams, all from one address, which begin where it
/// does. Softirq context.
pub(crate) fn super_packet(dev: &Dev, skb: Skb) {
    match one_session(&skb) {
        Some((header, messages, ds)) => data(dev, skb, header, messages, ds),
        None => {
            let mut datagrams = skb.into_datagrams();
            while let Some(skb) = datagrams.pop_front() {
                packet(dev, skb);
            }
        }
    }
}

/// Whether all of a packet's datagrams are data messages for the same session: the header of the first,
/// their number, and the DS field of the outer header.
#[inline]
fn one_session(skb: &Skb) -> Option<(DataHeader, u16, u8)> {
    let view = skb.view();
    let ds = IpHeader::parse_as(view.network(), view.protocol())?.ds();
    let mut first: Option<DataHeader> = None;
    let mut messages = 0u16;
    for datagram in view.datagrams()? {
        let header = DataHeader::parse(&datagram.start::<DATA_HEADER_LEN>()?)?;
        let receiver = first.get_or_insert(header).receiver;
        if datagram.len() < DATA_MIN_LEN || header.receiver != receiver {
            return None;
        }
        messages = messages.checked_add(1)?;
    }
    Some((first?, messages, ds))
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

/// Queues data messages of one session, in one packet, for decryption.
#[inline]
fn data(dev: &Dev, mut skb: Skb, first: DataHeader, messages: u16, ds: u8) {
    skb.packet().note_message(first.counter, messages, ds);
    let bh = BhGuard::new();
    let Some(keypair) = dev.index.keypair(&bh, first.receiver) else {
        return skb.free(Fate::Dropped);
    };
    if keypair.peer.is_dead() {
        return skb.free(Fate::Dropped);
    }
    let peer = keypair.peer.clone();
    let Some(batch) = Batch::new(SkbList::from(skb), keypair) else {
        return;
    };
    // A full queue drops the packet, and so does a full ring, by which it has failed.
    if let Ok(work) = peer.rx.push(batch, messages) {
        drop(dev.decrypt.push(work, &dev.crypt_wq));
    }
}
