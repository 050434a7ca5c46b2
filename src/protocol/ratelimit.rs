// SPDX-License-Identifier: GPL-2.0

//! How many handshake messages one source may have processed while the device
//! is under load (WireGuard paper section 5.3).
//!
//! The table of sources and its locks are the caller's. Only sources that
//! proved their address with a cookie are counted.

use super::constants::{Instant, NSEC_PER_SEC};
use core::net::IpAddr;

/// Messages a second from one source, in the long run.
pub const PACKETS_PER_SECOND: u64 = 20;
/// Messages that may come at once.
pub const PACKETS_BURSTABLE: u64 = 5;
/// Seconds after which an unused bucket may be dropped. It has long been full
/// again by then.
pub const IDLE_TIME: u64 = 1;

/// Sources that a table always has room for. Those that find none are refused, so
/// that this is how many addresses it takes to keep everybody else out.
pub const OWN_SOURCES: u32 = 1 << 13;

/// More sources that all tables of a machine with so many bytes of memory may share,
/// so that the many addresses of one flood find room and those of floods everywhere
/// do not take the memory: as many as the kernel's own module has in all.
pub const fn shared_sources(memory: u64) -> u32 {
    const BYTES_PER_SOURCE: u64 = 1 << 14;
    const MOST: u64 = 1 << 16;
    let sources = memory / BYTES_PER_SOURCE;
    if sources < MOST {
        sources as u32
    } else {
        MOST as u32
    }
}

// Tokens are nanoseconds: they accrue at the speed of the clock.
const COST: u64 = NSEC_PER_SEC / PACKETS_PER_SECOND;
const CAPACITY: u64 = COST * PACKETS_BURSTABLE;

/// The allowance of one source.
#[derive(Clone, Copy, Debug)]
pub struct TokenBucket {
    tokens: u64,
    last: Instant,
}

impl TokenBucket {
    /// A bucket for a source whose first message is being let through.
    pub const fn new(now: Instant) -> Self {
        TokenBucket {
            tokens: CAPACITY - COST,
            last: now,
        }
    }

    /// Whether another message may pass; if so it is charged for.
    pub fn allow(&mut self, now: Instant) -> bool {
        // A reading older than the last one, from another processor, earns
        // nothing and takes nothing back.
        if let Ok(elapsed) = u64::try_from(now.nanos_since(self.last)) {
            self.tokens = self.tokens.saturating_add(elapsed).min(CAPACITY);
            self.last = now;
        }
        match self.tokens.checked_sub(COST) {
            Some(rest) => {
                self.tokens = rest;
                true
            }
            None => false,
        }
    }

    /// Whether the bucket has been out of use for more than [`IDLE_TIME`].
    pub const fn is_idle(&self, now: Instant) -> bool {
        now.nanos_since(self.last.after(IDLE_TIME)) > 0
    }
}

/// What counts as one source: an IPv4 address or the upper half of an IPv6
/// address, since a host there commonly has 2^64 addresses to choose from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Source {
    /// Whether this is IPv6.
    pub v6: bool,
    /// The address, or what counts of it.
    pub bits: u64,
}

impl Source {
    /// The source that datagrams from `address` count towards.
    pub const fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(ip) => Source {
                v6: false,
                bits: ip.to_bits() as u64,
            },
            IpAddr::V6(ip) => {
                let [b0, b1, b2, b3, b4, b5, b6, b7, ..] = ip.octets();
                Source {
                    v6: true,
                    bits: u64::from_be_bytes([b0, b1, b2, b3, b4, b5, b6, b7]),
                }
            }
        }
    }
}
