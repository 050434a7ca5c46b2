// SPDX-License-Identifier: GPL-2.0

//! The parallel stage of receiving: packets out of data messages.
//!
//! Messages that came in as one packet are decrypted to memory of ours, never where they are: others may
//! have pages of theirs in there. Consecutive TCP segments are decrypted to where their payloads follow
//! each other, and become one packet as the stack's own GRO would make it.

use crate::{
    ip::{self, ETH_P_IP, ETH_P_IPV6},
    kernel::{
        batch::{InFlight, Stage},
        chain::SkbList,
        cipher::FRONT,
        frag::PageFrag,
        gro::Datagram,
        skb::{Packet, Skb, View},
        workqueue::Job,
    },
    keypair::Keypair,
    protocol::{
        constants::TAG_LEN,
        gro::{Run, Segment, Verdict, MAX_HEADER_LEN},
        inet::{self, Version},
        join::Incoming,
        message::{DataHeader, DATA_HEADER_LEN},
    },
};
use core::{ops::Range, ptr};

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
    type Tools = PageFrag;

    fn tools() -> PageFrag {
        PageFrag::new()
    }

    fn joins(last: &InFlight<Self>, next: &InFlight<Self>) -> bool {
        let session = |batch: &InFlight<Self>| ptr::from_ref(batch.context()).addr();
        let (last_packet, next_packet) = (last.first(), next.first());
        incoming(&next_packet, session(next)).joins(&incoming(&last_packet, session(last)))
    }

    fn run(batches: &mut [Option<InFlight<Self>>], pages: &mut PageFrag) {
        if batches.len() > 1 {
            open_together(batches, pages);
        }
        for batch in batches.iter_mut().filter_map(Option::take) {
            open_alone(batch, pages);
        }
    }
}

/// What there is to know of a message for a session.
fn incoming<'a>(packet: &'a View<'_>, session: usize) -> Incoming<'a> {
    let notes = packet.control();
    Incoming {
        session,
        messages: notes.segments,
        ds: notes.ds,
        interface: packet.received_on(),
        version: match packet.protocol() {
            ETH_P_IP => Some(Version::V4),
            ETH_P_IPV6 => Some(Version::V6),
            _ => None,
        },
        network: packet.network(),
        transport: packet.transport(),
    }
}

fn open_alone(mut batch: InFlight<Decrypt>, pages: &mut PageFrag) {
    let (mut packets, keypair) = batch.packets();
    let mut results = None;
    let opened = packets.all(|mut packet| {
        let Some(key) = keypair.receiving_key() else {
            return false;
        };
        let (counter, messages) = (packet.control().nonce, packet.control().segments);
        if messages <= 1 {
            return packet.open(counter, key);
        }
        // Such a packet is a batch of its own.
        results = match open_all(&packet, keypair, key, pages) {
            Ok(packets) => Some(packets),
            Err(NoMemory) => cut_and_open(&mut packet, key),
        };
        results.is_some()
    });
    batch.finish(opened, results);
}

/// There is no page to decrypt to.
struct NoMemory;

/// Decrypts the messages of a packet that is several, all of them for the same session.
fn open_all(
    packet: &Packet<'_>,
    keypair: &Keypair,
    key: &[u8; 32],
    pages: &mut PageFrag,
) -> Result<SkbList, NoMemory> {
    let mut opened = Opened::new(pages, keypair, packet.control().ds);
    for datagram in packet.datagrams().into_iter().flatten() {
        opened.make_space(&datagram)?;
        // What fails costs itself alone.
        let _ = opened.add(&datagram, key);
    }
    Ok(opened.finish())
}

/// Decrypts messages that came in one by one, from the first of `batches` on, as if they had come in as
/// one packet. Where there is no page to decrypt to, the rest of the batches stays.
fn open_together(batches: &mut [Option<InFlight<Decrypt>>], pages: &mut PageFrag) {
    let mut pages = Some(pages);
    let mut opened = None;
    let mut count = 0usize;
    for batch in batches.iter_mut().flatten() {
        let (mut packets, keypair) = batch.packets();
        let Some(packet) = packets.next() else {
            break;
        };
        if let Some(pages) = pages.take() {
            opened = Some(Opened::new(pages, keypair, packet.control().ds));
        }
        let Some(opened) = &mut opened else {
            break;
        };
        let datagram = packet.datagram();
        if opened.make_space(&datagram).is_err() {
            break;
        }
        if let Some(key) = keypair.receiving_key() {
            let _ = opened.add(&datagram, key);
        }
        count = count.wrapping_add(1);
    }
    let results = opened.map_or(SkbList::new(), Opened::finish);
    let finished = batches.iter_mut().take(count).filter_map(Option::take);
    InFlight::finish_together(finished, results);
}

/// Decrypts the messages of such a packet in place, as the stack cuts it.
#[cold]
fn cut_and_open(packet: &mut Packet<'_>, key: &[u8; 32]) -> Option<SkbList> {
    let ds = packet.control().ds;
    let mut opened = SkbList::new();
    let mut messages = packet.cut_received()?;
    while let Some(mut skb) = messages.pop_front() {
        let header = skb
            .make_linear(DATA_HEADER_LEN as u32)
            .then(|| DataHeader::parse(skb.view().linear()))
            .flatten();
        let (Some(header), wire_len) = (header, skb.view().len()) else {
            continue;
        };
        let mut message = skb.packet();
        if message.open(header.counter, key) {
            message.scrub(false);
            message.note_received(header.counter, 1, ds, wire_len);
            opened.push_back(skb);
        }
    }
    Some(opened)
}

/// The packets that came out of messages so far.
struct Opened<'a> {
    pages: &'a mut PageFrag,
    packets: SkbList,
    /// DS field of the outer header.
    ds: u8,
    may_merge: bool,
    /// Merged packets are shorter than this.
    max_len: u32,
    run: Option<Merging>,
}

/// Segments that are about to become one packet.
struct Merging {
    run: Run,
    /// Of the first message; the others follow.
    counter: u64,
    /// Bytes of all messages.
    wire_len: u32,
    /// Where the payload is in the pages' space, which is taken up to its end.
    payload: Range<usize>,
}

/// Packets up to this length are in one piece, and as much of all others as has their headers.
const LINEAR_LEN: usize = 128;

/// What of a packet is in its linear part.
#[inline]
fn linear_len(packet: &[u8]) -> usize {
    if packet.len() <= LINEAR_LEN {
        return packet.len();
    }
    // Where there is payload behind the headers the stack's GRO chains packets, and else their pages only.
    inet::udp_headers_len(packet).unwrap_or(LINEAR_LEN)
}

impl Merging {
    /// Whether `counter` is that of the message after the last.
    fn is_next(&self, counter: u64) -> bool {
        self.counter.checked_add(self.run.segments().into()) == Some(counter)
    }
}

impl<'a> Opened<'a> {
    /// None yet. All that is added is for `keypair`, and came with `ds` in the outer header.
    fn new(pages: &'a mut PageFrag, keypair: &Keypair, ds: u8) -> Self {
        let netdev = keypair.peer.device.netdev();
        Self {
            pages,
            packets: SkbList::new(),
            ds,
            // A mark of congestion belongs into the header of each.
            may_merge: !ip::is_congested(ds) && !netdev.elides_gro(),
            max_len: netdev.gro_max_size(),
            run: None,
        }
    }

    /// The packets.
    fn finish(mut self) -> SkbList {
        let _ = self.end_run();
        self.packets
    }

    /// Sees to it that there is space for what is in a message, behind what is merged so far. Where it
    /// does not fit there the run ends, since its space must not be changed for another.
    #[inline]
    fn make_space(&mut self, datagram: &Datagram<'_>) -> Result<(), NoMemory> {
        let end = self.run.as_ref().map_or(0, |merging| merging.payload.end);
        let end = end
            .saturating_add(PageFrag::ALIGN)
            .saturating_add(FRONT)
            .saturating_add(datagram.len());
        if end > self.pages.left() {
            let _ = self.end_run();
            let len = FRONT.saturating_add(datagram.len());
            self.pages.space(len).ok_or(NoMemory)?;
        }
        Ok(())
    }

    /// Adds the packet that is in a message, for which [space was made](Self::make_space). `None`: it is
    /// not authentic, or there is no memory for a packet.
    fn add(&mut self, datagram: &Datagram<'_>, key: &[u8; 32]) -> Option<()> {
        let counter = DataHeader::parse(&datagram.start::<DATA_HEADER_LEN>()?)?.counter;
        let sealed = datagram.len().checked_sub(DATA_HEADER_LEN)?;
        let wire_len = u32::try_from(datagram.len()).ok()?;
        if let Some(merging) = &mut self.run {
            if merging.is_next(counter) {
                return match append(merging, self.pages, datagram, counter, key)? {
                    Appended::Merged => Some(()),
                    Appended::MergedLast => self.end_run(),
                    Appended::Refused => {
                        self.end_run()?;
                        self.begin(sealed, counter, wire_len)
                    }
                };
            }
            self.end_run()?;
        }
        let end = FRONT.checked_add(sealed)?;
        let space = self.pages.space(end)?.get_mut(..end)?;
        if !datagram.open(space, counter, key) {
            return None;
        }
        self.begin(sealed, counter, wire_len)
    }

    /// Takes in the packet behind the first [`FRONT`] bytes of the space, where `sealed` bytes have been
    /// decrypted.
    fn begin(&mut self, sealed: usize, counter: u64, wire_len: u32) -> Option<()> {
        let len = sealed.checked_sub(TAG_LEN)?;
        let end = FRONT.checked_add(len)?;
        let packet = self.pages.space(end)?.get(FRONT..end)?;
        let segment = match self.may_merge {
            true => Segment::parse(packet),
            false => None,
        };
        if let Some((segment, run)) = segment.and_then(|segment| {
            let mut run = Run::begin(&segment, packet.get(..segment.header_len())?)?;
            run.set_max_size(self.max_len);
            Some((segment, run))
        }) {
            self.run = Some(Merging {
                run,
                counter,
                wire_len,
                payload: FRONT.checked_add(segment.header_len())?
                    ..FRONT.checked_add(segment.total_len())?,
            });
            return Some(());
        }
        let linear = linear_len(packet);
        let mut skb = Skb::with_linear_part(packet.get(..linear)?)?;
        if linear < len {
            skb.add_frag(self.pages.take(FRONT.checked_add(linear)?..end)?)?;
        }
        skb.packet().note_received(counter, 1, self.ds, wire_len);
        self.packets.push_back(skb);
        Some(())
    }

    /// Makes a packet of the segments that have been merged, if there are any.
    fn end_run(&mut self) -> Option<()> {
        let Some(merging) = self.run.take() else {
            return Some(());
        };
        let payload = self.pages.take(merging.payload)?;
        let mut header = [0; MAX_HEADER_LEN];
        let header = header.get_mut(..merging.run.header_len())?;
        let merged = merging.run.finish(header)?;
        let mut skb = Skb::with_linear_part(header)?;
        skb.add_frag(payload)?;
        skb.set_merged(&merged)?;
        let (counter, segments) = (merging.counter, merged.segments);
        skb.packet()
            .note_received(counter, segments, self.ds, merging.wire_len);
        self.packets.push_back(skb);
        Some(())
    }
}

/// What became of a message after those that are merged.
enum Appended {
    Merged,
    MergedLast,
    /// It is authentic, but no part of the run. It is [`FRONT`] bytes behind where the space begins once
    /// the run's payload has been taken.
    Refused,
}

/// Decrypts the message after those that are merged to where its payload follows theirs. `None`: it is
/// not authentic.
#[inline]
fn append(
    merging: &mut Merging,
    pages: &mut PageFrag,
    datagram: &Datagram<'_>,
    counter: u64,
    key: &[u8; 32],
) -> Option<Appended> {
    let sealed = datagram.len().checked_sub(DATA_HEADER_LEN)?;
    let (end, header_len) = (merging.payload.end, merging.run.header_len());
    // Its header comes to be over the payload before, which is put back when that has been read.
    let start = end.checked_sub(header_len)?;
    let front = start.checked_sub(FRONT)?;
    let behind = end
        .checked_next_multiple_of(PageFrag::ALIGN)?
        .checked_add(FRONT)?;
    let space = pages.space(behind.checked_add(sealed)?)?;
    let mut saved = [0; MAX_HEADER_LEN];
    let saved = saved.get_mut(..header_len)?;
    saved.copy_from_slice(space.get(start..end)?);
    let place = space.get_mut(front..start.checked_add(sealed)?)?;
    let opened = datagram.open(place, counter, key);
    let packet = place.get(FRONT..)?.get(..sealed.checked_sub(TAG_LEN)?)?;
    let verdict = match opened.then(|| Segment::parse(packet)) {
        Some(Some(segment)) if segment.header_len() == header_len => {
            let verdict = merging.run.push(&segment, packet.get(..header_len)?);
            if verdict != Verdict::Refused {
                merging.payload.end = end.checked_add(segment.payload_len())?;
                merging.wire_len = merging.wire_len.saturating_add(datagram.len() as u32);
            }
            verdict
        }
        _ => Verdict::Refused,
    };
    if verdict == Verdict::Refused && opened {
        space.copy_within(start..start.checked_add(sealed)?, behind);
    }
    space.get_mut(start..end)?.copy_from_slice(saved);
    opened.then_some(match verdict {
        Verdict::Merged => Appended::Merged,
        Verdict::MergedLast => Appended::MergedLast,
        Verdict::Refused => Appended::Refused,
    })
}
