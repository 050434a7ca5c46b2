// SPDX-License-Identifier: GPL-2.0

//! Decides which decrypted packets become one large TCP packet.
//!
//! The rules are those of the kernel's GRO (`inet_gro_receive()`,
//! `ipv6_gro_receive()`, `tcp_gro_receive()`, `inet_gro_flush()` and
//! `skb_gro_receive()`), and the result is that of `tcp4_gro_complete()` and
//! `tcp6_gro_complete()`, byte for byte. Only the simple case is decided here:
//! what is refused is given to GRO as it is.
//!
//! Packets are merged if
//!
//! * they are of TCP with a payload, IPv4 without options or IPv6 without
//!   extension headers, not a fragment, with the header checksum right; SYN, RST
//!   and URG are not set. The checksum of TCP is not looked at: what was decrypted
//!   is as it was sent;
//! * addresses, ports, DS field, TTL or hop limit, DF, flow label,
//!   acknowledgment number, window, TCP options and flags are the same, except
//!   for FIN and PSH;
//! * each continues the one before: the sequence number by its payload, the
//!   IPv4 ID by one each, or by none;
//! * none is longer than the first. One that is shorter is the last, and so is one
//!   with FIN or PSH;
//! * the whole is smaller than the device's `gro_max_size`.
//!
//! A packet that [`Segment::parse`] does not take, or that belongs to another flow,
//! ends the run as well, so that packets stay in order.

use super::inet::{
    flag, tcp_header_len, Ip, Sum, Version, DONT_FRAGMENT, IPV4_HEADER_LEN, IPV6_HEADER_LEN,
    MAX_COUNTED_HEADER_LEN, PROTOCOL_TCP, TCP_HEADER_LEN,
};

/// Bytes of the longest headers of a [`Segment`].
pub const MAX_HEADER_LEN: usize = IPV6_HEADER_LEN + MAX_COUNTED_HEADER_LEN;
/// `GRO_LEGACY_MAX_SIZE`, the `gro_max_size` of a device that nobody changed.
pub const DEFAULT_MAX_SIZE: u32 = 65536;

/// Bits that have to be the same in the words of an IPv4 header: not the length,
/// the ID, which has a rule of its own, and the checksum.
const SAME_IPV4: [u32; IPV4_HEADER_LEN / 4] = [0xffff_0000, 0x0000_ffff, 0xffff_0000, !0, !0];
/// The same of an IPv6 header: not the length.
const SAME_IPV6: [u32; IPV6_HEADER_LEN / 4] = [!0, 0x0000_ffff, !0, !0, !0, !0, !0, !0, !0, !0];
/// The same of a TCP header: not the sequence number, which has a rule of its
/// own, FIN and PSH, the checksum, and the urgent pointer. Options are the same.
const SAME_TCP: [u32; TCP_HEADER_LEN / 4] =
    [!0, 0, !0, !(((flag::FIN | flag::PSH) as u32) << 16), 0];

/// A decrypted TCP packet that may be merged with others: what was found out about
/// its header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    version: Version,
    network_len: usize,
    header_len: usize,
    total_len: usize,
    // FIN or PSH is set.
    last: bool,
}

impl Segment {
    /// Looks at a packet, which may have padding behind it. The DS field is as
    /// it is to be handed on, after ECN decapsulation.
    ///
    /// `None` if it is never merged.
    #[inline]
    pub fn parse(packet: &[u8]) -> Option<Self> {
        let ip = Ip::parse(packet)?;
        let network_len = ip.header_len;
        let total_len = match ip.version {
            Version::V4 => usize::from(ip.length),
            Version::V6 => usize::from(ip.length).checked_add(IPV6_HEADER_LEN)?,
        };
        let packet = packet.get(..total_len)?;
        let (network, transport) = packet.split_at_checked(network_len)?;
        if ip.protocol != PROTOCOL_TCP || ip.fragment & !DONT_FRAGMENT != 0 {
            return None;
        }
        if ip.version == Version::V4
            && (network_len != IPV4_HEADER_LEN || Sum::ZERO.bytes(network).to_checksum() != [0; 2])
        {
            return None;
        }
        let header_len = network_len.checked_add(tcp_header_len(transport)?)?;
        let flags = *transport.get(13)?;
        if total_len <= header_len || flags & (flag::SYN | flag::RST | flag::URG) != 0 {
            return None;
        }
        Some(Segment {
            version: ip.version,
            network_len,
            header_len,
            total_len,
            last: flags & (flag::FIN | flag::PSH) != 0,
        })
    }

    /// Bytes of the IP and TCP headers.
    #[inline]
    pub const fn header_len(&self) -> usize {
        self.header_len
    }

    /// Bytes of the payload; one at least.
    #[inline]
    pub const fn payload_len(&self) -> usize {
        self.total_len.saturating_sub(self.header_len)
    }

    /// Bytes of the packet without padding.
    #[inline]
    pub const fn total_len(&self) -> usize {
        self.total_len
    }
}

/// What became of a packet that was offered to a [`Run`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It was appended.
    Merged,
    /// It was appended, and nothing more can be.
    MergedLast,
    /// It is no part of the run, which ends before it.
    Refused,
}

/// Packets that become one: the headers of the first, and how far they go.
#[derive(Clone, Debug)]
pub struct Run {
    // Of the first packet; FIN and PSH are those of all.
    header: [u8; MAX_HEADER_LEN],
    version: Version,
    network_len: usize,
    header_len: usize,
    // Payload of the first packet, and of all.
    size: usize,
    payload_len: usize,
    max_size: usize,
    segments: u16,
    // All have the ID of the first.
    fixed_id: bool,
    // More may follow.
    open: bool,
}

/// The big-endian word at `at`.
#[inline]
fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let (_, rest) = bytes.split_at_checked(at)?;
    rest.first_chunk().copied().map(u32::from_be_bytes)
}

/// Whether two headers are of one length and the same in the bits of `masks`, and
/// behind these in all.
#[inline]
fn same<const WORDS: usize>(a: &[u8], b: &[u8], masks: &[u32; WORDS]) -> Option<bool> {
    let (mut a, mut b) = (a, b);
    let mut differ = 0;
    for mask in masks {
        let (x, rest) = a.split_first_chunk()?;
        a = rest;
        let (y, rest) = b.split_first_chunk()?;
        b = rest;
        differ |= (u32::from_ne_bytes(*x) ^ u32::from_ne_bytes(*y)) & u32::from_be(*mask);
    }
    Some(differ == 0 && a == b)
}

impl Run {
    /// Begins with `first`, whose headers are at the beginning of `header`. `None`
    /// if they are not all there.
    ///
    /// Nothing may follow a packet with FIN or PSH: see [`takes_more`](Self::takes_more).
    #[inline]
    pub fn begin(first: &Segment, header: &[u8]) -> Option<Self> {
        let mut this = Run {
            header: [0; MAX_HEADER_LEN],
            version: first.version,
            network_len: first.network_len,
            header_len: first.header_len,
            size: first.payload_len(),
            payload_len: first.payload_len(),
            max_size: DEFAULT_MAX_SIZE as usize,
            segments: 1,
            fixed_id: false,
            open: !first.last,
        };
        this.header
            .get_mut(..first.header_len)?
            .copy_from_slice(header.get(..first.header_len)?);
        Some(this)
    }

    /// Sets what the merged packet is to be smaller than: the `gro_max_size` of the
    /// device, or less. It is [`DEFAULT_MAX_SIZE`] at the beginning.
    #[inline]
    pub fn set_max_size(&mut self, max_size: u32) {
        self.max_size = max_size as usize;
    }

    /// Offers the next packet, whose headers are at the beginning of `header`.
    #[inline]
    pub fn push(&mut self, next: &Segment, header: &[u8]) -> Verdict {
        let Some(fixed_id) = self.continued_by(next, header) else {
            return Verdict::Refused;
        };
        let len = next.payload_len();
        self.fixed_id = fixed_id;
        // Both are bounded by what the rules have let pass.
        self.payload_len = self.payload_len.saturating_add(len);
        self.segments = self.segments.saturating_add(1);
        let at = self.network_len.saturating_add(13);
        if let (Some(all), Some(flags)) = (self.header.get_mut(at), header.get(at)) {
            *all |= flags & (flag::FIN | flag::PSH);
        }
        self.open = !next.last && len == self.size;
        if self.open {
            Verdict::Merged
        } else {
            Verdict::MergedLast
        }
    }

    /// Whether the next packet belongs to this run, and if so, whether the IPv4
    /// ID is the same on all.
    #[inline]
    fn continued_by(&self, next: &Segment, header: &[u8]) -> Option<bool> {
        let len = next.payload_len();
        if !self.open
            || next.version != self.version
            || next.header_len != self.header_len
            || len > self.size
            || self.len().checked_add(len)? >= self.max_size
            || self.segments == u16::MAX
        {
            return None;
        }
        let (network, transport) = header
            .get(..self.header_len)?
            .split_at_checked(self.network_len)?;
        let (own_network, own_transport) = self
            .header
            .get(..self.header_len)?
            .split_at_checked(self.network_len)?;
        let sequence = word(own_transport, 4)?.wrapping_add(self.payload_len as u32);
        if word(transport, 4)? != sequence || !same(transport, own_transport, &SAME_TCP)? {
            return None;
        }
        match self.version {
            Version::V6 => same(network, own_network, &SAME_IPV6)?.then_some(false),
            Version::V4 if !same(network, own_network, &SAME_IPV4)? => None,
            Version::V4 => {
                let (next, own) = (word(network, 4)?, word(own_network, 4)?);
                let ahead = ((next >> 16) as u16).wrapping_sub((own >> 16) as u16);
                // The second packet decides. The stack's GRO may join runs, and then does not know of
                // their IDs, which must not change where routers cut packets.
                let fixed_id = match self.segments {
                    1 => ahead == 0 && own & u32::from(DONT_FRAGMENT) != 0,
                    _ => self.fixed_id,
                };
                (ahead == if fixed_id { 0 } else { self.segments }).then_some(fixed_id)
            }
        }
    }

    /// Whether more may follow; if not, all is refused.
    #[inline]
    pub const fn takes_more(&self) -> bool {
        self.open
    }

    /// How many packets have become one.
    #[inline]
    pub const fn segments(&self) -> u32 {
        self.segments as u32
    }

    /// Bytes of the headers.
    #[inline]
    pub const fn header_len(&self) -> usize {
        self.header_len
    }

    /// Bytes of the merged packet: one header and all payload.
    #[inline]
    #[allow(clippy::len_without_is_empty)]
    pub const fn len(&self) -> usize {
        self.header_len.saturating_add(self.payload_len)
    }

    /// Writes the headers of the merged packet to the first
    /// [`header_len`](Self::header_len) bytes of `out`, and tells what else is to
    /// be said of it. `None` if there is no room.
    ///
    /// If there is only one packet, its headers come out as they went in, with
    /// its own checksum.
    pub fn finish(&self, out: &mut [u8]) -> Option<Merged> {
        let out = out.get_mut(..self.header_len)?;
        out.copy_from_slice(self.header.get(..self.header_len)?);
        let mut merged = Merged {
            size: 0,
            segments: self.segments,
            ipv6: self.version == Version::V6,
            acc_ecn: false,
            fixed_id: false,
            transport_offset: self.network_len as u16,
        };
        if self.segments == 1 {
            return Some(merged);
        }
        let total = self.len() as u32;
        let (network, transport) = out.split_at_mut_checked(self.network_len)?;
        let (fixed, _) = transport.split_first_chunk_mut::<TCP_HEADER_LEN>()?;
        let [_, _, _, _, _, _, _, _, _, _, _, _, _, flags, _, _, c0, c1, _, _] = fixed;
        merged.size = self.size as u16;
        merged.fixed_id = self.fixed_id;
        merged.acc_ecn = *flags & flag::CWR != 0;
        let transport_len = total.checked_sub(self.network_len as u32)?;
        let length = Ip::length_of(self.version, total);
        let addresses = match self.version {
            Version::V4 => {
                let [_, _, l0, l1, _, _, _, _, _, _, c0, c1, addresses @ ..] = network else {
                    return None;
                };
                let [o0, o1] = [*l0, *l1];
                let old = u32::from(u16::from_be_bytes([o0, o1]));
                // What the sum of the rest is, without the old length.
                [*c0, *c1] = Sum::ZERO
                    .bytes(&[!*c0, !*c1])
                    .less(old | 0xffff_0000)
                    .number(u32::from(length))
                    .to_checksum();
                [*l0, *l1] = length.to_be_bytes();
                addresses
            }
            Version::V6 => {
                let [_, _, _, _, l0, l1, _, _, addresses @ ..] = network else {
                    return None;
                };
                [*l0, *l1] = length.to_be_bytes();
                addresses
            }
        };
        [*c0, *c1] = Sum::ZERO
            .bytes(addresses)
            .number(u32::from(PROTOCOL_TCP))
            .number(transport_len)
            .to_partial();
        Some(merged)
    }
}

/// What a merged packet is marked with, besides its headers.
///
/// With more than one segment it has `CHECKSUM_PARTIAL`, which starts at
/// [`transport_offset`](Self::transport_offset), and the sum of the pseudo header
/// in the checksum field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Merged {
    /// `gso_size`; zero if there is one segment only.
    pub size: u16,
    /// `gso_segs`.
    pub segments: u16,
    /// `SKB_GSO_TCPV6` rather than `SKB_GSO_TCPV4`.
    pub ipv6: bool,
    /// `SKB_GSO_TCP_ACCECN`: CWR is set, in all segments.
    pub acc_ecn: bool,
    /// `SKB_GSO_TCP_FIXEDID`: all segments have the same IPv4 ID.
    pub fixed_id: bool,
    /// Where the TCP header begins.
    pub transport_offset: u16,
}
