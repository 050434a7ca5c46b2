// SPDX-License-Identifier: GPL-2.0

//! The little that a tunnel wants to know of the IP and UDP headers around and inside it.

use crate::protocol::inet;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

pub(crate) const ETH_P_IP: u16 = 0x0800;
pub(crate) const ETH_P_IPV6: u16 = 0x86dd;
pub(crate) const IPV4_HEADER_LEN: u32 = inet::IPV4_HEADER_LEN as u32;
pub(crate) const IPV6_HEADER_LEN: u32 = inet::IPV6_HEADER_LEN as u32;
pub(crate) const UDP_HEADER_LEN: u32 = inet::UDP_HEADER_LEN as u32;

/// Capable of congestion notification.
const ECN_ECT_0: u8 = 2;
/// Congestion experienced; the bits of the field, too.
const ECN_CE: u8 = 3;

/// Whether a DS field says that congestion was experienced.
pub(crate) fn is_congested(ds: u8) -> bool {
    ds & ECN_CE == ECN_CE
}

/// An IP header.
#[derive(Clone, Copy)]
pub(crate) enum IpHeader<'a> {
    V4(&'a [u8; IPV4_HEADER_LEN as usize]),
    V6(&'a [u8; IPV6_HEADER_LEN as usize]),
}

fn be16(bytes: [u8; 2]) -> u16 {
    u16::from_be_bytes(bytes)
}

impl<'a> IpHeader<'a> {
    /// The header that `bytes` begin with, if they are long enough for the version they claim.
    #[inline]
    pub(crate) fn parse(bytes: &'a [u8]) -> Option<Self> {
        match bytes.first()? >> 4 {
            4 => bytes.first_chunk().map(Self::V4),
            6 => bytes.first_chunk().map(Self::V6),
            _ => None,
        }
    }

    /// The header at the start of a packet of type `ethertype`, if it is one of that type.
    #[inline]
    pub(crate) fn parse_as(bytes: &'a [u8], ethertype: u16) -> Option<Self> {
        Self::parse(bytes).filter(|header| header.ethertype() == ethertype)
    }

    #[inline]
    pub(crate) fn ethertype(self) -> u16 {
        match self {
            Self::V4(_) => ETH_P_IP,
            Self::V6(_) => ETH_P_IPV6,
        }
    }

    #[inline]
    pub(crate) fn source(self) -> IpAddr {
        match self {
            Self::V4(h) => Ipv4Addr::new(h[12], h[13], h[14], h[15]).into(),
            Self::V6(h) => v6(h.split_at(8).1),
        }
    }

    #[inline]
    pub(crate) fn destination(self) -> IpAddr {
        match self {
            Self::V4(h) => Ipv4Addr::new(h[16], h[17], h[18], h[19]).into(),
            Self::V6(h) => v6(h.split_at(24).1),
        }
    }

    /// The length that the header gives for the whole packet; `None`: less than the header's.
    #[inline]
    pub(crate) fn total_len(self) -> Option<u32> {
        match self {
            Self::V4(h) => Some(be16([h[2], h[3]]).into()).filter(|&len| len >= IPV4_HEADER_LEN),
            Self::V6(h) => Some(u32::from(be16([h[4], h[5]])).wrapping_add(IPV6_HEADER_LEN)),
        }
    }

    /// The DS field, ECN bits included.
    #[inline]
    pub(crate) fn ds(self) -> u8 {
        match self {
            Self::V4(h) => h[1],
            Self::V6(h) => (be16([h[0], h[1]]) >> 4) as u8,
        }
    }

    /// The DS field for a header around this one: none but the ECN bits that belong there (RFC 6040).
    #[inline]
    pub(crate) fn ecn_for_outer(self) -> u8 {
        match self.ds() & ECN_CE {
            ECN_CE => ECN_ECT_0,
            ecn => ecn,
        }
    }
}

fn v6(bytes: &[u8]) -> IpAddr {
    let octets = bytes.first_chunk().copied().unwrap_or([0; 16]);
    Ipv6Addr::from(octets).into()
}

/// A UDP header.
#[derive(Clone, Copy)]
pub(crate) struct UdpHeader<'a>(&'a [u8; UDP_HEADER_LEN as usize]);

impl<'a> UdpHeader<'a> {
    #[inline]
    pub(crate) fn parse(bytes: &'a [u8]) -> Option<Self> {
        bytes.first_chunk().map(Self)
    }

    #[inline]
    pub(crate) fn source_port(self) -> u16 {
        be16([self.0[0], self.0[1]])
    }

    /// Bytes of the datagram, this header included.
    #[inline]
    pub(crate) fn len(self) -> u32 {
        be16([self.0[4], self.0[5]]).into()
    }
}
