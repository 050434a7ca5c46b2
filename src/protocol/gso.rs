// SPDX-License-Identifier: GPL-2.0

//! Cuts a GSO packet of TCP or UDP into the segments that it stands for.
//!
//! The headers come out byte for byte as the kernel's `skb_gso_segment()` writes
//! them (`tcp_gso_segment()`, `__udp_gso_segment()`, `inet_gso_segment()` and
//! `ipv6_gso_segment()`):
//!
//! * IPv4: the total length is the segment's, the ID counts up from the packet's
//!   unless it is fixed, the header checksum is made anew. IPv6: the payload
//!   length is the segment's.
//! * TCP: the sequence number advances by the payload before; FIN and PSH are on
//!   the last segment only, CWR on the first only, but on all of them with
//!   accurate ECN.
//! * UDP: the length is the segment's.
//! * The checksum is that of the segment. As in the kernel it begins with what is
//!   in the packet's checksum field, which is the sum of the pseudo header.
//! * The rest is copied, options included.

use super::inet::{
    flag, tcp_header_len, Ip, Sum, Version, DONT_FRAGMENT, MAX_COUNTED_HEADER_LEN,
    MAX_LENGTH_FIELD, PROTOCOL_TCP, PROTOCOL_UDP, TCP_HEADER_LEN, UDP_HEADER_LEN,
};

/// Bytes of the longest headers that a [`Segmenter`] takes.
pub const MAX_HEADER_LEN: usize = 2 * MAX_COUNTED_HEADER_LEN;

/// What the payload of an IP packet is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// `SKB_GSO_TCPV4` or `SKB_GSO_TCPV6`.
    Tcp,
    /// `SKB_GSO_UDP_L4`.
    Udp,
}

/// What of a GSO packet its headers do not say (`struct skb_shared_info`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gso {
    /// What it is cut up as.
    pub transport: Transport,
    /// `gso_size`: payload bytes of each segment but the last.
    pub size: u16,
    /// `SKB_GSO_TCP_FIXEDID`: all segments have the same IPv4 ID.
    pub fixed_id: bool,
    /// `SKB_GSO_TCP_ACCECN`: CWR is on all segments.
    pub acc_ecn: bool,
}

/// The headers of a GSO packet, ready to be written for each of its segments.
#[derive(Clone, Debug)]
pub struct Segmenter {
    // With a zero in the fields that differ among segments.
    header: [u8; MAX_HEADER_LEN],
    header_len: usize,
    network_len: usize,
    version: Version,
    transport: Transport,
    fixed_id: bool,
    // Bits of the TCP flags that segments behind the first keep.
    later: u8,
    // As in the packet.
    id: u16,
    sequence: u32,
    flags: [u8; 2],
    // Of `header` up to the transport header, and from there on; the latter with
    // the pseudo header, except for the length.
    network_sum: u16,
    transport_sum: u16,
    size: u32,
    payload_len: u32,
    segments: u32,
}

impl Segmenter {
    /// Takes the headers of a GSO packet.
    ///
    /// `start` is the beginning of the packet from its network header on, all
    /// headers at least; `len` is how many bytes the packet has. `transport` is
    /// where the stack has the transport header. The packet is one with
    /// `CHECKSUM_PARTIAL` whose checksum starts there.
    ///
    /// `None` if the packet is not plain, and better cut up by the kernel: there
    /// are IPv6 extension headers or fragments, lengths contradict each other,
    /// there is no more than one segment, a segment would not fit in an IP packet,
    /// or UDP has no checksum.
    pub fn new(start: &[u8], len: u32, transport: u32, gso: Gso) -> Option<Self> {
        let ip = Ip::parse(start)?;
        let network_len = ip.header_len;
        let fits = ip.length == Ip::length_of(ip.version, len);
        if !fits || ip.fragment & !DONT_FRAGMENT != 0 || transport != network_len as u32 {
            return None;
        }
        let segment = start.get(network_len..)?;
        let (protocol, transport_len) = match gso.transport {
            Transport::Tcp => (PROTOCOL_TCP, tcp_header_len(segment)?),
            Transport::Udp => (PROTOCOL_UDP, UDP_HEADER_LEN),
        };
        if ip.protocol != protocol {
            return None;
        }
        let header_len = network_len.checked_add(transport_len)?;
        let size = u32::from(gso.size);
        let payload_len = len.checked_sub(header_len as u32)?;
        let largest = transport_len
            .checked_add(match ip.version {
                Version::V4 => network_len,
                Version::V6 => 0,
            })?
            .checked_add(usize::from(gso.size))?;
        if payload_len <= size || largest > MAX_LENGTH_FIELD as usize {
            return None;
        }
        let whole = payload_len.checked_div(size)?;
        let rest = payload_len.checked_rem(size)?;

        let mut this = Segmenter {
            header: [0; MAX_HEADER_LEN],
            header_len,
            network_len,
            version: ip.version,
            transport: gso.transport,
            fixed_id: gso.fixed_id,
            later: if gso.acc_ecn { !0 } else { !flag::CWR },
            id: 0,
            sequence: 0,
            flags: [0; 2],
            network_sum: 0,
            transport_sum: 0,
            size,
            payload_len,
            segments: whole.checked_add(u32::from(rest != 0))?,
        };
        this.header
            .get_mut(..header_len)?
            .copy_from_slice(start.get(..header_len)?);
        let transport_total = len.checked_sub(network_len as u32)?;
        this.take_varying(transport_total)?;
        Some(this)
    }

    /// Moves the fields that differ among segments out of the header, and sums up
    /// the others.
    fn take_varying(&mut self, transport_total: u32) -> Option<()> {
        let (network, rest) = self.header.split_at_mut_checked(self.network_len)?;
        let transport = rest.get_mut(..self.header_len.checked_sub(self.network_len)?)?;
        match self.version {
            Version::V4 => {
                let [_, _, l0, l1, i0, i1, _, _, _, _, c0, c1, ..] = network else {
                    return None;
                };
                self.id = u16::from_be_bytes([*i0, *i1]);
                [*l0, *l1, *i0, *i1, *c0, *c1] = [0; 6];
                self.network_sum = Sum::ZERO.bytes(network).fold();
            }
            Version::V6 => {
                let [_, _, _, _, l0, l1, ..] = network else {
                    return None;
                };
                [*l0, *l1] = [0; 2];
            }
        }
        let check = match self.transport {
            Transport::Tcp => {
                let (fixed, _) = transport.split_first_chunk_mut::<TCP_HEADER_LEN>()?;
                let [_, _, _, _, s0, s1, s2, s3, _, _, _, _, f0, f1, _, _, c0, c1, _, _] = fixed;
                let check = [*c0, *c1];
                self.sequence = u32::from_be_bytes([*s0, *s1, *s2, *s3]);
                self.flags = [*f0, *f1];
                [*s0, *s1, *s2, *s3] = [0; 4];
                [*f0, *f1, *c0, *c1] = [0; 4];
                check
            }
            Transport::Udp => {
                let [_, _, _, _, l0, l1, c0, c1] = transport else {
                    return None;
                };
                let check = [*c0, *c1];
                if u32::from(u16::from_be_bytes([*l0, *l1])) != transport_total || check == [0; 2] {
                    return None;
                }
                [*l0, *l1, *c0, *c1] = [0; 4];
                check
            }
        };
        self.transport_sum = Sum::ZERO
            .bytes(transport)
            .bytes(&check)
            .less(transport_total)
            .fold();
        Some(())
    }

    /// Bytes of a segment's headers.
    #[inline]
    pub const fn header_len(&self) -> usize {
        self.header_len
    }

    /// How many segments there are; two at least.
    #[inline]
    pub const fn segments(&self) -> u32 {
        self.segments
    }

    /// Where in the packet the payload of segment `index` begins, and how long it
    /// is.
    #[inline]
    pub const fn payload(&self, index: u32) -> Option<(u32, u32)> {
        if index >= self.segments {
            return None;
        }
        // Less than the payload of the whole packet.
        let before = index.wrapping_mul(self.size);
        let left = self.payload_len.wrapping_sub(before);
        let len = if left < self.size { left } else { self.size };
        Some(((self.header_len as u32).wrapping_add(before), len))
    }

    /// Bytes of segment `index`, headers and payload.
    #[inline]
    pub const fn segment_len(&self, index: u32) -> Option<u32> {
        match self.payload(index) {
            Some((_, len)) => Some(len.wrapping_add(self.header_len as u32)),
            None => None,
        }
    }

    /// Writes the headers of segment `index` to the first
    /// [`header_len`](Self::header_len) bytes of `out`. `false` if there is no such
    /// segment, or no room.
    ///
    /// `payload_sum` is what `csum_partial()` gives for the segment's payload: the
    /// sum in one's complement of its 16-bit words as they lie in memory, an odd
    /// last byte padded with zero.
    #[inline]
    #[must_use]
    pub fn write(&self, index: u32, payload_sum: u32, out: &mut [u8]) -> bool {
        self.try_write(index, payload_sum, out).is_some()
    }

    #[inline]
    fn try_write(&self, index: u32, payload_sum: u32, out: &mut [u8]) -> Option<()> {
        let len = self.segment_len(index)?;
        let out = out.get_mut(..self.header_len)?;
        out.copy_from_slice(self.header.get(..self.header_len)?);
        let (network, transport) = out.split_at_mut_checked(self.network_len)?;

        let length = Ip::length_of(self.version, len);
        match (self.version, network) {
            (Version::V4, [_, _, l0, l1, i0, i1, _, _, _, _, c0, c1, ..]) => {
                let step = if self.fixed_id { 0 } else { index as u16 };
                let id = self.id.wrapping_add(step);
                [*l0, *l1] = length.to_be_bytes();
                [*i0, *i1] = id.to_be_bytes();
                [*c0, *c1] = Sum::ZERO
                    .partial(u32::from(self.network_sum))
                    .number(u32::from(length))
                    .number(u32::from(id))
                    .to_checksum();
            }
            (Version::V6, [_, _, _, _, l0, l1, ..]) => [*l0, *l1] = length.to_be_bytes(),
            _ => return None,
        }

        let transport_len = len.wrapping_sub(self.network_len as u32);
        let sum = Sum::ZERO
            .partial(u32::from(self.transport_sum))
            .number(transport_len)
            .partial(payload_sum);
        match self.transport {
            Transport::Tcp => {
                let (fixed, _) = transport.split_first_chunk_mut::<TCP_HEADER_LEN>()?;
                let [_, _, _, _, s0, s1, s2, s3, _, _, _, _, f0, f1, _, _, c0, c1, _, _] = fixed;
                let sequence = self.sequence.wrapping_add(index.wrapping_mul(self.size));
                let flags = self.flags_of(index);
                [*s0, *s1, *s2, *s3] = sequence.to_be_bytes();
                [*f0, *f1] = flags;
                [*c0, *c1] = sum
                    .number(sequence)
                    .number(u32::from(u16::from_be_bytes(flags)))
                    .to_checksum();
            }
            Transport::Udp => {
                let [_, _, _, _, l0, l1, c0, c1] = transport else {
                    return None;
                };
                [*l0, *l1] = (transport_len as u16).to_be_bytes();
                let check = sum.number(transport_len).to_checksum();
                // A zero would say that there is none.
                [*c0, *c1] = if check == [0; 2] { [0xff; 2] } else { check };
            }
        }
        Some(())
    }

    /// The data offset and the flags of segment `index`.
    #[inline]
    const fn flags_of(&self, index: u32) -> [u8; 2] {
        let [offset, mut flags] = self.flags;
        if index != 0 {
            flags &= self.later;
        }
        if index.wrapping_add(1) != self.segments {
            flags &= !(flag::FIN | flag::PSH);
        }
        [offset, flags]
    }
}
