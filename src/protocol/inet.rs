// SPDX-License-Identifier: GPL-2.0

//! What [`gso`](super::gso) and [`gro`](super::gro) both need to know of IP,
//! TCP and UDP headers: where they end, and the Internet checksum (RFC 1071).

/// Bytes of an IPv4 header without options.
pub const IPV4_HEADER_LEN: usize = 20;
/// Bytes of an IPv6 header without extension headers.
pub const IPV6_HEADER_LEN: usize = 40;
/// Bytes of a TCP header without options.
pub const TCP_HEADER_LEN: usize = 20;
/// Bytes of a UDP header.
pub const UDP_HEADER_LEN: usize = 8;
/// Bytes of the longest header that counts its 32-bit words in four bits.
pub const MAX_COUNTED_HEADER_LEN: usize = 60;
/// The most that the length field of an IP header can say.
pub const MAX_LENGTH_FIELD: u32 = u16::MAX as u32;

/// The number of TCP in an IP header.
pub const PROTOCOL_TCP: u8 = 6;
/// The number of UDP in an IP header.
pub const PROTOCOL_UDP: u8 = 17;

/// DF, in the half-word with the fragment offset. The other bits are those of fragments,
/// and one that is reserved.
pub const DONT_FRAGMENT: u16 = 0x4000;

/// Bits of the fourteenth byte of a TCP header.
pub mod flag {
    /// No more data.
    pub const FIN: u8 = 0x01;
    /// Connection request.
    pub const SYN: u8 = 0x02;
    /// Connection refused or aborted.
    pub const RST: u8 = 0x04;
    /// Data to be handed on without delay.
    pub const PSH: u8 = 0x08;
    /// The acknowledgment number counts.
    pub const ACK: u8 = 0x10;
    /// The urgent pointer counts.
    pub const URG: u8 = 0x20;
    /// ECN echo.
    pub const ECE: u8 = 0x40;
    /// Congestion window reduced; a part of the ACE counter with accurate ECN.
    pub const CWR: u8 = 0x80;
}

/// The version of an IP header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// What an IP header says that both modules look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ip {
    /// Which version it is.
    pub version: Version,
    /// Bytes of it, IPv4 options included and IPv6 extension headers not.
    pub header_len: usize,
    /// What follows: [`PROTOCOL_TCP`], [`PROTOCOL_UDP`] or another.
    pub protocol: u8,
    /// The field of the total length, or of the payload's in IPv6.
    pub length: u16,
    /// The half-word with the fragment offset and the three bits in front; zero
    /// in IPv6.
    pub fragment: u16,
}

impl Ip {
    /// Reads the header that a packet begins with. `None` if it is neither IPv4
    /// nor IPv6, or not all there.
    #[inline]
    pub fn parse(packet: &[u8]) -> Option<Self> {
        match *packet {
            [first, _, l0, l1, _, _, f0, f1, _, protocol, ..] if first >> 4 == 4 => {
                let header_len = usize::from(first & 0xf) << 2;
                if header_len < IPV4_HEADER_LEN {
                    return None;
                }
                packet.get(..header_len)?;
                Some(Ip {
                    version: Version::V4,
                    header_len,
                    protocol,
                    length: u16::from_be_bytes([l0, l1]),
                    fragment: u16::from_be_bytes([f0, f1]),
                })
            }
            [first, _, _, _, l0, l1, protocol, ..] if first >> 4 == 6 => {
                packet.get(..IPV6_HEADER_LEN)?;
                Some(Ip {
                    version: Version::V6,
                    header_len: IPV6_HEADER_LEN,
                    protocol,
                    length: u16::from_be_bytes([l0, l1]),
                    fragment: 0,
                })
            }
            _ => None,
        }
    }

    /// What a packet of `total` bytes has in its length field: zero if it does
    /// not fit (BIG TCP).
    #[inline]
    pub const fn length_of(version: Version, total: u32) -> u16 {
        let length = match version {
            Version::V4 => total,
            Version::V6 => total.saturating_sub(IPV6_HEADER_LEN as u32),
        };
        if length <= MAX_LENGTH_FIELD {
            length as u16
        } else {
            0
        }
    }
}

/// Bytes of the TCP header that `segment` begins with, options included. `None`
/// if it says less than the least, or is not all there.
#[inline]
pub fn tcp_header_len(segment: &[u8]) -> Option<usize> {
    let offset = segment.get(12)? >> 4;
    let len = usize::from(offset) << 2;
    if len < TCP_HEADER_LEN {
        return None;
    }
    segment.get(..len)?;
    Some(len)
}

/// Bytes of the IP and UDP headers that a packet begins with. `None` if it is not of UDP,
/// a fragment, or has extension headers of IPv6 in between.
#[inline]
pub fn udp_headers_len(packet: &[u8]) -> Option<usize> {
    let ip = Ip::parse(packet)?;
    if ip.protocol != PROTOCOL_UDP || ip.fragment & !DONT_FRAGMENT != 0 {
        return None;
    }
    let len = ip.header_len.checked_add(UDP_HEADER_LEN)?;
    packet.get(..len)?;
    Some(len)
}

/// A sum of 16-bit words in one's complement.
///
/// The words are taken as they lie in memory, in the byte order of the machine,
/// as the kernel's `csum_partial()` does.
#[derive(Clone, Copy, Debug)]
pub struct Sum(u64);

impl Sum {
    /// Nothing summed yet.
    pub const ZERO: Self = Sum(0);

    /// Adds bytes that begin at an even place; an odd last one is padded with
    /// zero.
    #[inline]
    #[must_use]
    pub fn bytes(self, mut bytes: &[u8]) -> Self {
        let mut sum = self;
        while let Some((word, rest)) = bytes.split_first_chunk() {
            sum = sum.partial(u32::from_ne_bytes(*word));
            bytes = rest;
        }
        match *bytes {
            [a] => sum.partial(u32::from_ne_bytes([a, 0, 0, 0])),
            [a, b] => sum.partial(u32::from_ne_bytes([a, b, 0, 0])),
            [a, b, c] => sum.partial(u32::from_ne_bytes([a, b, c, 0])),
            _ => sum,
        }
    }

    /// Adds another sum, or two words.
    #[inline]
    #[must_use]
    pub const fn partial(self, sum: u32) -> Self {
        // No packet has the four billion words that it takes to wrap.
        Sum(self.0.wrapping_add(sum as u64))
    }

    /// Adds a number as it would lie in a header.
    #[inline]
    #[must_use]
    pub const fn number(self, number: u32) -> Self {
        self.partial(u32::from_ne_bytes(number.to_be_bytes()))
    }

    /// Takes a number away that was added.
    #[inline]
    #[must_use]
    pub const fn less(self, number: u32) -> Self {
        self.number(!number)
    }

    /// The sum in one word. Zero only if all that was added is zero.
    #[inline]
    pub const fn fold(self) -> u16 {
        // Each step at least halves the digits; the carries of the last two are
        // of one bit.
        let sum = (self.0 & 0xffff_ffff).wrapping_add(self.0 >> 32);
        let sum = (sum & 0xffff)
            .wrapping_add((sum >> 16) & 0xffff)
            .wrapping_add(sum >> 32);
        let sum = (sum & 0xffff).wrapping_add(sum >> 16);
        let sum = (sum & 0xffff).wrapping_add(sum >> 16);
        sum as u16
    }

    /// The sum as a header carries it while the rest is still to be added: the
    /// two bytes of the checksum field of a packet with `CHECKSUM_PARTIAL`.
    #[inline]
    pub const fn to_partial(self) -> [u8; 2] {
        self.fold().to_ne_bytes()
    }

    /// The two bytes of a checksum field: the complement.
    #[inline]
    pub const fn to_checksum(self) -> [u8; 2] {
        (!self.fold()).to_ne_bytes()
    }
}
