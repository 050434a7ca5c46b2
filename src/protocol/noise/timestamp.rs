// SPDX-License-Identifier: GPL-2.0

//! The timestamp of an initiation (WireGuard paper section 5.1).

use crate::protocol::constants::{INITIATIONS_PER_SECOND, NSEC_PER_SEC, TIMESTAMP_LEN};

/// A TAI64N label: eight bytes of seconds and four of nanoseconds, big endian,
/// so that later labels compare greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(transparent)]
pub struct Tai64n(pub(super) [u8; TIMESTAMP_LEN]);

impl Tai64n {
    /// Earlier than any label that occurs.
    pub const ZERO: Tai64n = Tai64n([0; TIMESTAMP_LEN]);

    /// Precision in nanoseconds: the greatest power of two that still tells
    /// apart the initiations a responder would accept. The finer bits would
    /// only show observers how exactly this machine's timers fire.
    pub const GRANULARITY: u32 = {
        let interval = (NSEC_PER_SEC / INITIATIONS_PER_SECOND) as u32;
        1 << interval.ilog2()
    };

    /// The label of a wall-clock time, `seconds` since 1970 (UTC) and
    /// `nanoseconds` below 10^9, rounded down.
    pub const fn from_unix(seconds: i64, nanoseconds: u32) -> Self {
        // TAI is 10 s ahead of UTC at the Unix epoch; leap seconds since are
        // left out, which is harmless to labels that only need to increase.
        const EPOCH: u64 = (1 << 62) + 10;
        let [s0, s1, s2, s3, s4, s5, s6, s7] = EPOCH.wrapping_add(seconds as u64).to_be_bytes();
        let [n0, n1, n2, n3] = (nanoseconds & !(Self::GRANULARITY - 1)).to_be_bytes();
        Tai64n([s0, s1, s2, s3, s4, s5, s6, s7, n0, n1, n2, n3])
    }

    /// The label as transmitted.
    pub const fn as_bytes(&self) -> &[u8; TIMESTAMP_LEN] {
        &self.0
    }
}
