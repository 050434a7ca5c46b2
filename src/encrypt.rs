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
        cipher,
        frag::PageFrag,
        gso,
        skb::Packet,
        workqueue::Job,
    },
    keypair::Keypair,
    protocol::{
        constants::{padding_for, TAG_LEN},
        gso::Segmenter,
        message::{DATA_HEADER_LEN, DATA_MIN_LEN},
        super_packet,
    },
    send,
};

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

    fn run(mut work: InFlight<Self>, pages: &mut PageFrag) {
        let (mut packets, keypair) = work.packets();
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
        work.finish(sealed, results);
    }
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
    let segmenter = packet.segmenter()?;
    let control = packet.control();
    let (first, ds, mtu) = (control.nonce, control.ds, control.mtu as usize);
    // Each has the number that was set aside for it, and no other.
    if segmenter.segments() != u32::from(control.segments) {
        return None;
    }
    packet.note_hash();
    let message_len = |index| {
        let len = segmenter.segment_len(index)? as usize;
        len.checked_add(padding_for(len, mtu))?
            .checked_add(DATA_MIN_LEN)
    };
    let size = message_len(0)?;
    let mut list = SkbList::new();
    for part in super_packet::parts(segmenter.segments(), size)? {
        let mut messages = gso::Messages::new(pages, size)?;
        let number = first.checked_add(part.start.into())?;
        let count = u16::try_from(part.len()).ok()?;
        for index in part {
            let counter = first.checked_add(index.into())?;
            messages.add(message_len(index)?, |message| {
                write_segment(packet, &segmenter, index, message)?;
                message
                    .first_chunk_mut()
                    .map(|header| *header = keypair.header(counter))?;
                cipher::seal_message(message, counter, keypair.sending_key())
            })?;
        }
        let mut skb = messages.finish(packet)?;
        skb.packet().note_message(number, count, ds);
        list.push_back(skb);
    }
    // What comes of it counts against its sender's buffer from here on.
    packet.orphan();
    Some(list)
}

/// Writes a segment and its padding to where they are in a message.
#[inline]
fn write_segment(
    packet: &Packet<'_>,
    segmenter: &Segmenter,
    index: u32,
    message: &mut [u8],
) -> Option<()> {
    let end = message.len().checked_sub(TAG_LEN)?;
    let plain = message.get_mut(DATA_HEADER_LEN..end)?;
    let (header, rest) = plain.split_at_mut_checked(segmenter.header_len())?;
    let (offset, len) = segmenter.payload(index)?;
    let (payload, padding) = rest.split_at_mut_checked(len as usize)?;
    let sum = packet.copy_and_sum(offset, payload)?;
    padding.fill(0);
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
