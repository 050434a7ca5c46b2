// SPDX-License-Identifier: GPL-2.0

//! The parallel stage of sending: data messages out of packets.
//!
//! A packet that the stack would have cut into segments is whole until here. Each of its segments is
//! written straight into the message that carries it, and the messages leave as UDP GSO packets, which
//! are cut behind the stack, if at all. The messages are those that the segments would have become one
//! by one.

use crate::{
    kernel::{
        batch::{InFlight, Stage},
        chain::SkbList,
        cipher::Sealing,
        frag::PageFrag,
        gso,
        skb::Packet,
        workqueue::Job,
    },
    keypair::Keypair,
    protocol::{
        constants::padding_for,
        gso::Segmenter,
        message::{DATA_HEADER_LEN, DATA_MIN_LEN},
        super_packet,
    },
    send,
};
use core::ptr;

/// Encrypts.
pub(crate) struct Encrypt;

impl Stage for Encrypt {
    type Context = Keypair;

    #[inline]
    fn finished(keypair: &Keypair) {
        send::queue_transmission(&keypair.peer);
    }
}

impl Job<InFlight<Self>> for Encrypt {
    type Tools = PageFrag;

    fn tools() -> PageFrag {
        PageFrag::new()
    }

    fn joins(last: &InFlight<Self>, next: &InFlight<Self>) -> bool {
        let facts = |batch: &InFlight<Self>| {
            let session = ptr::from_ref(batch.context()).addr();
            batch.first().outgoing(session, batch.is_one())
        };
        facts(next).joins(&facts(last)) && last.context().peer.device.udp_gso.is_on()
    }

    fn run(batches: &mut [Option<InFlight<Self>>], pages: &mut PageFrag) {
        let mut rest = &mut *batches;
        while rest.len() > 1 {
            let len = same_flow(rest);
            let Some((flow, others)) = rest.split_at_mut_checked(len) else {
                break;
            };
            seal_together(flow, pages);
            rest = others;
        }
        for batch in batches.iter_mut().filter_map(Option::take) {
            seal_alone(batch, pages);
        }
    }
}

fn seal_alone(mut batch: InFlight<Encrypt>, pages: &mut PageFrag) {
    let (mut packets, keypair) = batch.packets();
    let mut results = None;
    let sealed = packets.all(|mut packet| {
        if packet.control().segments <= 1 {
            return seal(&mut packet, keypair);
        }
        // Such a packet is a batch of its own.
        results = seal_segments(&mut packet, keypair, pages)
            .or_else(|| cut_and_seal(&mut packet, keypair));
        results.is_some()
    });
    batch.finish(sealed, results);
}

/// Of how many batches, from the first on, the packets are of one flow: at least one.
fn same_flow(batches: &mut [Option<InFlight<Encrypt>>]) -> usize {
    let mut first = None;
    let hashes = batches.iter_mut().flatten().map_while(|batch| {
        let mut packet = batch.packets().0.next()?;
        packet.note_hash();
        Some(packet.hash())
    });
    let same = |hash: &u32| *first.get_or_insert(*hash) == *hash;
    hashes.take_while(same).count().max(1)
}

/// Makes UDP GSO packets of packets that became ready at the same time, all as long and of one flow. The
/// batches stay where there is no memory, or nothing to be gained.
fn seal_together(batches: &mut [Option<InFlight<Encrypt>>], pages: &mut PageFrag) {
    if let Some(results) = seal_all(batches, pages) {
        for batch in batches.iter_mut().flatten() {
            batch.packets().0.for_each(|mut packet| packet.orphan());
        }
        InFlight::finish_together(batches.iter_mut().filter_map(Option::take), results);
    }
}

fn seal_all(batches: &mut [Option<InFlight<Encrypt>>], pages: &mut PageFrag) -> Option<SkbList> {
    let count = u32::try_from(batches.len())
        .ok()
        .filter(|&count| count > 1)?;
    for batch in batches.iter_mut().flatten() {
        if !batch
            .packets()
            .0
            .all(|mut packet| packet.complete_checksum())
        {
            return None;
        }
    }
    let (len, mtu) = {
        let packet = batches.first()?.as_ref()?.first();
        (packet.len() as usize, packet.control().mtu as usize)
    };
    let size = message_len(len, mtu)?;
    let mut list = SkbList::new();
    for part in super_packet::parts(count, size)? {
        let part = batches.get(part.start as usize..part.end as usize)?;
        let mut messages = gso::Messages::new(pages, size)?;
        // Its sender is held back as it would be by the packets themselves.
        let mut truesize = 0u32;
        for batch in part.iter().flatten() {
            let (packet, keypair) = (batch.first(), batch.context());
            truesize = truesize.saturating_add(packet.truesize());
            let counter = packet.control().nonce;
            messages.add(size, len, |message| {
                // A program may be able to write what is not linear.
                let mut from = packet.linear();
                if from.len() != len {
                    packet.copy(message.get_mut(DATA_HEADER_LEN..)?)?;
                    from = &[];
                }
                message
                    .first_chunk_mut()
                    .map(|header| *header = keypair.header(counter))?;
                Some(Sealing {
                    counter,
                    key: keypair.sending_key(),
                    written: 0,
                    elsewhere: from,
                })
            })?;
        }
        let first = part.first()?.as_ref()?.first();
        let mut skb = messages.finish(&first, truesize)?;
        let (number, ds) = (first.control().nonce, first.control().ds);
        skb.packet()
            .note_message(number, u16::try_from(part.len()).ok()?, ds);
        list.push_back(skb);
    }
    Some(list)
}

/// Bytes of the message that carries a packet of `len` bytes.
#[inline]
fn message_len(len: usize, mtu: usize) -> Option<usize> {
    len.checked_add(padding_for(len, mtu))?
        .checked_add(DATA_MIN_LEN)
}

/// Makes a message of a packet, in place.
#[inline]
fn seal(packet: &mut Packet<'_>, keypair: &Keypair) -> bool {
    let control = packet.control();
    let (counter, mtu) = (control.nonce, control.mtu);
    let padding = padding_for(packet.len() as usize, mtu as usize) as u8;
    let header = keypair.header(counter);
    let sealed = packet.seal(header, padding, counter, keypair.sending_key());
    if sealed {
        packet.scrub(true);
    }
    sealed
}

/// Makes UDP GSO packets of a GSO packet. `None`: there is no memory, and the packet is as it was.
fn seal_segments(
    packet: &mut Packet<'_>,
    keypair: &Keypair,
    pages: &mut PageFrag,
) -> Option<SkbList> {
    packet.note_hash();
    let (segmenter, mut payloads) = packet.segmenter()?;
    let control = packet.control();
    let (first, ds, mtu) = (control.nonce, control.ds, control.mtu as usize);
    // Each has the number that was set aside for it, and no other.
    if segmenter.segments() != u32::from(control.segments) {
        return None;
    }
    let size = message_len(segmenter.segment_len(0)? as usize, mtu)?;
    let mut list = SkbList::new();
    for part in super_packet::parts(segmenter.segments(), size)? {
        let mut messages = gso::Messages::new(pages, size)?;
        let number = first.checked_add(part.start.into())?;
        let count = u16::try_from(part.len()).ok()?;
        for index in part {
            let counter = first.checked_add(index.into())?;
            let (_, len) = segmenter.payload(index)?;
            let payload = payloads.take(len as usize);
            let segment_len = segmenter.segment_len(index)? as usize;
            messages.add(message_len(segment_len, mtu)?, segment_len, |message| {
                message
                    .first_chunk_mut()
                    .map(|header| *header = keypair.header(counter))?;
                write_segment(packet, &segmenter, index, payload, message)?;
                let (written, elsewhere) = match payload {
                    Some(payload) => (segmenter.header_len(), payload),
                    None => (0, &[][..]),
                };
                Some(Sealing {
                    counter,
                    key: keypair.sending_key(),
                    written,
                    elsewhere,
                })
            })?;
        }
        let mut skb = messages.finish(packet, 0)?;
        skb.packet().note_message(number, count, ds);
        list.push_back(skb);
    }
    // What comes of it counts against its sender's buffer from here on.
    packet.orphan();
    Some(list)
}

/// Writes a segment to where it is in a message, but not the payload where that can be encrypted from where
/// it is.
#[inline]
fn write_segment(
    packet: &Packet<'_>,
    segmenter: &Segmenter,
    index: u32,
    in_place: Option<&[u8]>,
    message: &mut [u8],
) -> Option<()> {
    let segment = message.get_mut(DATA_HEADER_LEN..)?;
    let (header, payload) = segment.split_at_mut_checked(segmenter.header_len())?;
    let (offset, _) = segmenter.payload(index)?;
    let sum = match in_place {
        Some(payload) => gso::sum(payload),
        None => packet.copy_and_sum(offset, payload)?,
    };
    segmenter.write(index, sum, header).then_some(())
}

/// Makes a message of each of a packet's segments, as the stack cuts it.
#[cold]
fn cut_and_seal(packet: &mut Packet<'_>, keypair: &Keypair) -> Option<SkbList> {
    let control = packet.control();
    let (first, ds, mtu) = (control.nonce, control.ds, control.mtu);
    let segments = usize::from(control.segments);
    let mut list = packet.cut().ok()?;
    if list.segments() != segments {
        return None;
    }
    for (counter, mut segment) in (first..).zip(list.iter_mut()) {
        segment.note_message(counter, 1, ds);
        segment.note_mtu(mtu);
        if !seal(&mut segment, keypair) {
            return None;
        }
    }
    Some(list)
}
