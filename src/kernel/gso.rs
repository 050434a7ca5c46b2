// SPDX-License-Identifier: GPL-2.0

//! GSO: packets that the stack leaves whole for us to cut, and UDP GSO packets, which are many
//! datagrams of ours that the stack or a device cuts.
//!
//! C headers: `include/linux/skbuff.h`, `include/net/gso.h`; `net/ipv4/udp_offload.c`.

use super::{
    bindings,
    chain::SkbList,
    cipher::{self, Sealing, MESSAGE_FRONT},
    frag::PageFrag,
    layout,
    pieces::Pieces,
    skb::{Fate, Packet, Skb},
};
use crate::protocol::{
    constants::TAG_LEN,
    gso::{Gso, Segmenter, Transport},
    join::Outgoing,
};
use core::mem::offset_of;
use kernel::prelude::*;

/// What `gso_type` says, in its own type.
pub(super) mod gso_type {
    use super::bindings;

    pub(crate) const TCPV4: u32 = bindings::SKB_GSO_TCPV4 as u32;
    pub(crate) const TCPV6: u32 = bindings::SKB_GSO_TCPV6 as u32;
    pub(crate) const TCP_ECN: u32 = bindings::SKB_GSO_TCP_ECN as u32;
    pub(crate) const TCP_ACCECN: u32 = bindings::SKB_GSO_TCP_ACCECN as u32;
    pub(crate) const TCP_FIXEDID: u32 = bindings::SKB_GSO_TCP_FIXEDID as u32;
    pub(crate) const UDP_L4: u32 = bindings::SKB_GSO_UDP_L4 as u32;
    pub(crate) const DODGY: u32 = bindings::SKB_GSO_DODGY as u32;
}

/// What a TCP packet's GSO type may say for it to be plain: nothing of tunnels, and that nobody has
/// to verify what its sender claims.
const PLAIN_TCP: u32 = gso_type::TCPV4
    | gso_type::TCPV6
    | gso_type::TCP_ECN
    | gso_type::TCP_ACCECN
    | gso_type::TCP_FIXEDID;

/// What a packet that is no packet on a link yet, or not any more, says of its segments.
///
/// # Safety
///
/// `skb` is valid.
#[inline]
pub(super) unsafe fn shared_info(skb: *mut bindings::sk_buff) -> *mut bindings::skb_shared_info {
    // SAFETY: By the contract; `end` is an offset from `head` on 64-bit machines, where the structure
    // is, in the same allocation.
    unsafe { (*skb).head.add((*skb).end as usize).cast() }
}

/// What a packet says of its segments.
pub(super) struct GsoInfo {
    pub(super) size: u16,
    pub(super) segments: u16,
    pub(super) kind: u32,
    pub(super) stamps: u8,
}

impl Packet<'_> {
    /// The segments that the packet is on a link: 1 if it is no GSO packet.
    #[inline]
    pub(crate) fn gso_segments(&self) -> usize {
        usize::from(self.gso_info().segments).max(1)
    }

    /// What the packet says of its segments.
    #[inline]
    pub(super) fn gso_info(&self) -> GsoInfo {
        // SAFETY: The packet is valid, and so is its shared information. No reference is made to that:
        // others may be counting themselves in it.
        unsafe {
            let info = shared_info(self.raw());
            GsoInfo {
                size: (*info).gso_size,
                segments: (*info).gso_segs,
                kind: (*info).gso_type,
                stamps: (*info).tx_flags,
            }
        }
    }

    /// Has it say that it is `segments` of `size` bytes, but for the last, and of what kind.
    pub(super) fn set_gso(&mut self, size: u16, segments: u16, kind: u32) {
        // SAFETY: As above, and `&mut self`.
        unsafe {
            let info = shared_info(self.raw());
            (*info).gso_size = size;
            (*info).gso_segs = segments;
            (*info).gso_type = kind;
        }
    }

    /// How the packet is cut, if it is a GSO packet and nothing has to be known of it that is not in
    /// its headers.
    pub(crate) fn plain_gso(&self) -> Option<Gso> {
        let skb = self.raw();
        let GsoInfo {
            size, kind, stamps, ..
        } = self.gso_info();
        if size == 0 || u32::from(stamps) & bindings::SKBTX_ANY_TIMESTAMP != 0 {
            return None;
        }
        let transport = if kind == gso_type::UDP_L4 {
            Transport::Udp
        } else if kind & PLAIN_TCP == kind && kind & (gso_type::TCPV4 | gso_type::TCPV6) != 0 {
            Transport::Tcp
        } else {
            return None;
        };
        let headers = self.headers();
        // SAFETY: The packet is valid.
        let plain = headers.encapsulation() == 0
            && headers.ip_summed() == bindings::CHECKSUM_PARTIAL as u8
            && headers.transport_header == layout::csum_start(headers)
            && unsafe { bindings::wg_skb_owner_is_sender(skb) }
            && unsafe { bindings::wg_skb_frags_readable(skb) };
        plain.then_some(Gso {
            transport,
            size,
            fixed_id: kind & gso_type::TCP_FIXEDID != 0,
            acc_ecn: kind & gso_type::TCP_ACCECN != 0,
        })
    }

    /// What there is to know of the packet where it is to be encrypted for a `session` as a batch of its own, if
    /// it is `alone`.
    #[inline]
    pub(crate) fn outgoing(&self, session: usize, alone: bool) -> Outgoing {
        let notes = self.control();
        let skb = self.raw();
        // SAFETY: The packet is valid, and so is its shared information.
        let (len, socket, stamps, plain) = unsafe {
            (
                (*skb).len,
                (*skb).sk.addr(),
                u32::from((*shared_info(skb)).tx_flags),
                bindings::wg_skb_frags_readable(skb) && bindings::wg_skb_owner_is_sender(skb),
            )
        };
        Outgoing {
            session,
            alone,
            messages: notes.segments,
            len,
            mtu: notes.mtu,
            ds: notes.ds,
            priority: self.headers().priority,
            socket,
            stamped: stamps & bindings::SKBTX_ANY_TIMESTAMP != 0,
            plain,
        }
    }

    /// What the packet counts for against a buffer.
    #[inline]
    pub(crate) fn truesize(&self) -> u32 {
        // SAFETY: The packet is valid.
        unsafe { (*self.raw()).truesize }
    }

    /// The hash of the packet's flow, where it has been [noted](Self::note_hash).
    #[inline]
    pub(crate) fn hash(&self) -> u32 {
        self.headers().hash
    }

    /// Writes the checksum into the packet that a device was to write. `false`: there is no memory.
    #[inline]
    pub(crate) fn complete_checksum(&mut self) -> bool {
        // SAFETY: The packet is valid and ours, and stays so.
        self.headers().ip_summed() != bindings::CHECKSUM_PARTIAL as u8
            || unsafe { bindings::skb_checksum_help(self.raw()) == 0 }
    }

    /// Copies the packet's first bytes. `None`: so many are not there.
    #[inline]
    pub(crate) fn copy(&self, to: &mut [u8]) -> Option<()> {
        let len = i32::try_from(to.len()).ok()?;
        // SAFETY: The packet is valid, and the slice writable for its length.
        let error = unsafe { bindings::skb_copy_bits(self.raw(), 0, to.as_mut_ptr().cast(), len) };
        (error == 0).then_some(())
    }

    /// What cuts the packet, if it is [plain](Self::plain_gso), and the payload that is to be cut.
    pub(crate) fn segmenter(&self) -> Option<(Segmenter, Pieces<'_>)> {
        let segmenter = self.plain_segmenter()?;
        let mut payload = self.pieces();
        payload.take(segmenter.header_len());
        Some((segmenter, payload))
    }

    fn plain_segmenter(&self) -> Option<Segmenter> {
        let gso = self.plain_gso()?;
        let at = self
            .headers()
            .transport_header
            .checked_sub(self.data_offset())?;
        Segmenter::new(self.linear(), self.len(), at.into(), gso)
    }

    /// Into how many segments the packet is cut, if it is [plain](Self::plain_gso).
    pub(crate) fn plain_segments(&self) -> Option<u16> {
        u16::try_from(self.plain_segmenter()?.segments()).ok()
    }

    /// Has the packet know the hash of its flow, while it can be read.
    #[inline]
    pub(crate) fn note_hash(&mut self) {
        // SAFETY: The packet is valid and ours.
        unsafe { bindings::wg_skb_get_hash(self.raw()) };
    }

    /// Copies `to.len()` bytes from `offset` on. Returns their one's complement sum, of 32 bits and in
    /// native byte order. `None`: so many are not there.
    #[inline]
    pub(crate) fn copy_and_sum(&self, offset: u32, to: &mut [u8]) -> Option<u32> {
        let len = u32::try_from(to.len()).ok()?;
        if offset.checked_add(len)? > self.len() {
            return None;
        }
        // SAFETY: The packet is valid and has so many bytes; the slice is writable for as many.
        Some(unsafe {
            bindings::skb_copy_and_csum_bits(self.raw(), offset as i32, to.as_mut_ptr(), len as i32)
        })
    }

    /// The packet's segments, cut by the stack, as packets of their own.
    pub(crate) fn cut(&mut self) -> Result<SkbList> {
        // SAFETY: The packet is valid. It stays as it is, but for the end of its control block. The
        // segments are new packets, a null-terminated chain that is ours, each with written headers.
        unsafe { SkbList::from_segments(bindings::wg_skb_gso_segment(self.raw())) }
    }
}

/// The one's complement sum of `bytes`, as [`Packet::copy_and_sum`] returns it.
#[inline]
pub(crate) fn sum(bytes: &[u8]) -> u32 {
    // SAFETY: The slice is valid for its length, which no packet has more of than an `int` holds.
    unsafe { bindings::csum_partial(bytes.as_ptr().cast(), bytes.len() as i32, 0) }
}

impl Skb {
    /// Splits a packet that is to be segmented; any other packet comes back as a chain of one.
    /// The error comes with the packet.
    #[inline]
    pub(crate) fn segment(mut self) -> Result<SkbList, (Self, Error)> {
        // SAFETY: Valid by the type invariant.
        if !unsafe { bindings::wg_skb_is_gso(self.as_ptr()) } {
            return Ok(SkbList::from(self));
        }
        match self.packet().cut() {
            Ok(segments) => {
                self.free(Fate::Consumed);
                Ok(segments)
            }
            Err(error) => Err((self, error)),
        }
    }
}

/// A UDP GSO packet in the making: datagrams of one size, of which the last may be shorter.
pub(crate) struct Messages<'a> {
    skb: Skb,
    pages: &'a mut PageFrag,
    /// Where in the space the next message begins. There are others in front of it, or what is free.
    at: usize,
    size: usize,
    count: u16,
    complete: bool,
}

impl<'a> Messages<'a> {
    /// None yet, of `size` bytes each, in `pages`.
    pub(crate) fn new(pages: &'a mut PageFrag, size: usize) -> Option<Self> {
        Some(Self {
            skb: Skb::without_content()?,
            pages,
            at: MESSAGE_FRONT,
            size,
            count: 0,
            complete: false,
        })
    }

    /// Adds a data message of `len` bytes. `write` writes its header and the `text_len` bytes behind it, but
    /// for what is encrypted from elsewhere. `None`: it did not, there is no memory, or the message does
    /// not fit the ones before it.
    #[inline]
    pub(crate) fn add<'s>(
        &mut self,
        len: usize,
        text_len: usize,
        write: impl FnOnce(&mut [u8]) -> Option<Sealing<'s>>,
    ) -> Option<()> {
        if self.complete || len > self.size {
            return None;
        }
        let mut end = self.at.checked_add(len)?;
        if end > self.pages.left() {
            self.flush()?;
            end = MESSAGE_FRONT.checked_add(len)?;
        }
        let front = self.at.checked_sub(MESSAGE_FRONT)?;
        let buffer = self.pages.space(end)?.get_mut(front..end)?;
        let (start, padding) = buffer
            .split_last_chunk_mut::<TAG_LEN>()?
            .0
            .split_at_mut_checked(cipher::FRONT.checked_add(text_len)?)?;
        padding.fill(0);
        let sealing = write(start.get_mut(MESSAGE_FRONT..)?)?;
        cipher::seal_message(buffer, &sealing)?;
        self.at = end;
        self.count = self.count.checked_add(1)?;
        self.complete = len < self.size;
        Some(())
    }

    fn flush(&mut self) -> Option<()> {
        if self.at > MESSAGE_FRONT {
            self.skb
                .add_frag(self.pages.take(MESSAGE_FRONT..self.at)?)?;
            self.at = MESSAGE_FRONT;
        }
        Some(())
    }

    /// The packet, which takes the place of `original`: it has the same flow and priority, and counts
    /// against the same send buffer, for no less than `truesize`.
    pub(crate) fn finish(mut self, original: &Packet<'_>, truesize: u32) -> Option<Skb> {
        self.flush()?;
        let at = self.skb.data_offset();
        let mut packet = self.skb.packet();
        let (from, to) = (original.headers(), packet.headers_mut());
        to.hash = from.hash;
        to.set_l4_hash(from.l4_hash());
        to.set_sw_hash(from.sw_hash());
        to.priority = from.priority;
        to.inner_network_header = at;
        if self.count > 1 {
            // The stack sums for the pseudo header only, and leaves the rest to whoever cuts.
            let start = at.checked_sub(size_of::<bindings::udphdr>() as u16)?;
            layout::set_csum_partial(to, start, offset_of!(bindings::udphdr, check));
            let size = u16::try_from(self.size).ok()?;
            packet.set_gso(size, self.count, gso_type::UDP_L4);
        }
        // SAFETY: Both are valid, and the first has no owner yet. Whom the original counts against is
        // there as long as it counts.
        unsafe {
            (*packet.raw()).truesize = packet.truesize().max(truesize);
            bindings::wg_skb_share_owner(packet.raw(), original.raw());
        }
        Some(self.skb)
    }
}
