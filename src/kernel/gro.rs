// SPDX-License-Identifier: GPL-2.0

//! GRO: datagrams that came in as one packet, and packets of ours that are several segments.
//!
//! C headers: `include/linux/skbuff.h`, `include/net/gro.h`; `net/core/gro.c`,
//! `net/ipv4/udp_offload.c`.

use super::{
    bindings,
    chain::SkbList,
    cipher,
    gso::{gso_type, GsoInfo},
    layout,
    netdev::NetDevice,
    pieces::Pieces,
    skb::{Packet, Skb, DATA_HEADER, HEADROOM},
};
use crate::{
    ip::{ETH_P_IP, ETH_P_IPV6},
    protocol::gro::Merged,
};
use core::mem::offset_of;

impl Packet<'_> {
    /// The datagrams that the packet was received as, if they are several. It begins with the first,
    /// behind the outer headers.
    pub(crate) fn datagrams(&self) -> Option<Datagrams<'_>> {
        let GsoInfo { size, kind, .. } = self.gso_info();
        if size == 0 || kind & !gso_type::DODGY != gso_type::UDP_L4 {
            return None;
        }
        Some(Datagrams {
            packet: self,
            pieces: self.pieces(),
            at: 0,
            size: size.into(),
        })
    }

    /// The packet as a datagram, which begins where it does.
    #[inline]
    pub(crate) fn datagram(&self) -> Datagram<'_> {
        Datagram {
            packet: self,
            at: 0,
            len: self.len(),
            contiguous: self.contiguous(),
        }
    }
}

/// Iterates over the datagrams of a packet.
pub(crate) struct Datagrams<'a> {
    packet: &'a Packet<'a>,
    /// From `at` on.
    pieces: Pieces<'a>,
    at: u32,
    size: u32,
}

impl<'a> Iterator for Datagrams<'a> {
    type Item = Datagram<'a>;

    #[inline]
    fn next(&mut self) -> Option<Datagram<'a>> {
        let len = self.packet.len().checked_sub(self.at)?.min(self.size);
        if len == 0 {
            return None;
        }
        let datagram = Datagram {
            packet: self.packet,
            at: self.at,
            len,
            contiguous: self.pieces.take(len as usize),
        };
        self.at = self.at.wrapping_add(len);
        Some(datagram)
    }
}

/// A datagram of a packet that is several.
pub(crate) struct Datagram<'a> {
    packet: &'a Packet<'a>,
    at: u32,
    len: u32,
    contiguous: Option<&'a [u8]>,
}

impl Datagram<'_> {
    /// Its bytes.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.len as usize
    }

    /// Copies its bytes from `offset` on. `None`: so many are not there.
    #[inline]
    fn copy(&self, offset: u32, to: &mut [u8]) -> Option<()> {
        let len = u32::try_from(to.len()).ok()?;
        if offset.checked_add(len)? > self.len {
            return None;
        }
        if let Some(bytes) = self.contiguous {
            let from = offset as usize;
            to.copy_from_slice(bytes.get(from..from.wrapping_add(to.len()))?);
            return Some(());
        }
        // SAFETY: The packet is valid, and the slice writable for its length.
        let error = unsafe {
            bindings::skb_copy_bits(
                self.packet.raw(),
                self.at.wrapping_add(offset) as i32,
                to.as_mut_ptr().cast(),
                len as i32,
            )
        };
        (error == 0).then_some(())
    }

    /// What it begins with.
    #[inline]
    pub(crate) fn start<const N: usize>(&self) -> Option<[u8; N]> {
        let mut start = [0; N];
        self.copy(0, &mut start)?;
        Some(start)
    }

    /// Decrypts it, which is a data message, to behind the first [`cipher::FRONT`] bytes of `to`, where there
    /// are as many as it has behind its header. `false`: it is not authentic, and anything may be there.
    #[inline]
    pub(crate) fn open(&self, to: &mut [u8], nonce: u64, key: &[u8; 32]) -> bool {
        match self
            .contiguous
            .and_then(|bytes| bytes.get(DATA_HEADER as usize..))
        {
            Some(sealed) => cipher::open(to, sealed, nonce, key),
            None => to.get_mut(cipher::FRONT..).is_some_and(|to| {
                self.copy(DATA_HEADER, to).is_some() && cipher::open_in_place(to, nonce, key)
            }),
        }
    }
}

impl Skb {
    /// A packet for the stack that begins with `start`, with room in front for another tunnel's headers.
    pub(crate) fn with_linear_part(start: &[u8]) -> Option<Self> {
        let mut skb = Self::with_linear(HEADROOM.wrapping_mul(2), start)?;
        skb.packet().reset_offsets();
        Some(skb)
    }

    /// Has the packet say that it is `merged` of several.
    pub(crate) fn set_merged(&mut self, merged: &Merged) -> Option<()> {
        let at = self.data_offset();
        let mut packet = self.packet();
        let transport = at.checked_add(merged.transport_offset)?;
        let headers = packet.headers_mut();
        headers.transport_header = transport;
        if merged.segments > 1 {
            layout::set_csum_partial(headers, transport, offset_of!(bindings::tcphdr, check));
            // Who cuts it goes by that.
            let (mut kind, ethertype) = match merged.ipv6 {
                true => (gso_type::TCPV6, ETH_P_IPV6),
                false => (gso_type::TCPV4, ETH_P_IP),
            };
            headers.protocol = ethertype.to_be();
            if merged.acc_ecn {
                kind |= gso_type::TCP_ACCECN;
            }
            if merged.fixed_id {
                kind |= gso_type::TCP_FIXEDID;
            }
            packet.set_gso(merged.size, merged.segments, kind);
        }
        Some(())
    }

    /// The datagrams that the packet was received as, as packets of their own. They begin with their
    /// network header.
    pub(crate) fn into_datagrams(mut self) -> SkbList {
        let segments = self.packet().segment_received();
        segments.map_or(SkbList::new(), |(list, _)| list)
    }
}

impl Packet<'_> {
    /// The datagrams that the packet was received as, as packets of their own. They begin where it
    /// does. `None`: the stack does not cut it, or there is no memory.
    #[cold]
    pub(crate) fn cut_received(&mut self) -> Option<SkbList> {
        let (mut segments, headers_len) = self.segment_received()?;
        let mut list = SkbList::new();
        while let Some(mut skb) = segments.pop_front() {
            if !skb.advance(headers_len) {
                return None;
            }
            list.push_back(skb);
        }
        Some(list)
    }

    /// What the stack cuts a packet of several datagrams into, and how long the outer headers are that each
    /// begins with.
    fn segment_received(&mut self) -> Option<(SkbList, u32)> {
        let headers = self.headers();
        let back = u32::from(self.data_offset().checked_sub(headers.network_header)?);
        if u32::from(headers.pkt_type()) == bindings::PACKET_LOOPBACK {
            // Looped back it says that there is nothing to verify; it is to be cut as it was made.
            self.headers_mut()
                .set_ip_summed(bindings::CHECKSUM_PARTIAL as u8);
        }
        let skb = self.raw();
        // SAFETY: The packet is ours, and its outer headers are in front of it. They become part of it
        // while it is cut, by which it stays as it is, but for the end of its control block. The segments
        // are new packets, a null-terminated chain that is ours, each with written headers.
        let segments = unsafe {
            bindings::skb_push(skb, back);
            let segments = bindings::wg_skb_segment_received(skb);
            bindings::skb_pull(skb, back);
            SkbList::from_segments(segments)
        };
        Some((segments.ok()?, back))
    }
}

impl NetDevice {
    /// Bytes that a packet which is merged of several is to be shorter than, whatever its version.
    pub(crate) fn gro_max_size(&self) -> u32 {
        // SAFETY: The device is valid.
        unsafe { bindings::wg_gro_max_size(self.as_ptr()) }
    }

    /// Whether packets that come in on it must not be merged.
    pub(crate) fn elides_gro(&self) -> bool {
        // SAFETY: The device is valid.
        unsafe { bindings::wg_netif_elide_gro(self.as_ptr()) }
    }
}
