// SPDX-License-Identifier: GPL-2.0

//! Networks, as the bits that they have in common.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The leading bits of an address, in host order. IPv4 addresses occupy the
/// uppermost 32.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Bits {
    pub(super) high: u64,
    pub(super) low: u64,
}

impl Bits {
    #[inline]
    pub(super) const fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(ip) => Bits {
                high: (ip.to_bits() as u64) << 32,
                low: 0,
            },
            IpAddr::V6(ip) => {
                let [a0, a1, a2, a3, a4, a5, a6, a7, b0, b1, b2, b3, b4, b5, b6, b7] = ip.octets();
                Bits {
                    high: u64::from_be_bytes([a0, a1, a2, a3, a4, a5, a6, a7]),
                    low: u64::from_be_bytes([b0, b1, b2, b3, b4, b5, b6, b7]),
                }
            }
        }
    }

    /// How many leading bits agree, up to 128.
    #[inline]
    pub(super) const fn common(self, other: Bits) -> u32 {
        let high = (self.high ^ other.high).leading_zeros();
        if high < u64::BITS {
            high
        } else {
            high + (self.low ^ other.low).leading_zeros()
        }
    }

    /// Bit number `index` from the left, which selects a child. Zero past the
    /// end.
    #[inline]
    pub(super) const fn bit(self, index: u8) -> usize {
        let (half, shift) = match index {
            0..64 => (self.high, 63 - index),
            64..128 => (self.low, 127 - index),
            _ => return 0,
        };
        (half >> shift) as usize & 1
    }

    /// Without all but the first `length` bits.
    pub(super) const fn truncated(self, length: u8) -> Self {
        // Shifting by 64 is not defined, hence the detour over `checked_shr`.
        const fn mask(length: u8) -> u64 {
            match u64::MAX.checked_shr(length as u32) {
                Some(rest) => !rest,
                None => u64::MAX,
            }
        }
        Bits {
            high: self.high & mask(length),
            low: self.low & mask(length.saturating_sub(64)),
        }
    }
}

/// A network: an address and how many of its leading bits count. The others are
/// zero.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Prefix {
    pub(super) bits: Bits,
    pub(super) length: u8,
    pub(super) v6: bool,
}

impl Prefix {
    /// The network of `length` bits that `address` is in. `None` if addresses of
    /// that family are shorter.
    pub const fn new(address: IpAddr, length: u8) -> Option<Self> {
        let (v6, max) = match address {
            IpAddr::V4(_) => (false, Ipv4Addr::BITS),
            IpAddr::V6(_) => (true, Ipv6Addr::BITS),
        };
        if length as u32 > max {
            return None;
        }
        Some(Prefix {
            bits: Bits::of(address).truncated(length),
            length,
            v6,
        })
    }

    /// The lowest address of the network.
    pub const fn address(self) -> IpAddr {
        if self.v6 {
            let [a0, a1, a2, a3, a4, a5, a6, a7] = self.bits.high.to_be_bytes();
            let [b0, b1, b2, b3, b4, b5, b6, b7] = self.bits.low.to_be_bytes();
            IpAddr::V6(Ipv6Addr::from_bits(u128::from_be_bytes([
                a0, a1, a2, a3, a4, a5, a6, a7, b0, b1, b2, b3, b4, b5, b6, b7,
            ])))
        } else {
            IpAddr::V4(Ipv4Addr::from_bits((self.bits.high >> 32) as u32))
        }
    }

    /// How many bits count.
    pub const fn length(self) -> u8 {
        self.length
    }

    pub(super) fn truncated(self, length: u8) -> Self {
        Prefix {
            bits: self.bits.truncated(length),
            length,
            ..self
        }
    }

    /// Whether all of `other` lies within.
    pub(super) fn contains(self, other: Prefix) -> bool {
        self.length <= other.length && self.bits.common(other.bits) >= u32::from(self.length)
    }
}
