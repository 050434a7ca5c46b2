// SPDX-License-Identifier: GPL-2.0

//! How many messages leave as one UDP GSO packet.

use core::ops::Range;

/// Bytes that the messages of one packet may have. The length field of IPv4 counts all headers but the
/// link's, and a device's `gso_max_size`, 65,536 unless told otherwise, those too.
pub const MAX_LEN: usize = 65_535 - 128;
/// Messages of one packet: `UDP_MAX_SEGMENTS` is 128, but was 64 until Linux 6.9 (2024), by which
/// virtio's host may go.
pub const MAX_MESSAGES: u32 = 64;

/// Cuts `count` messages of `size` bytes into as few packets as there can be, of which none is much
/// shorter than another. `None`: one does not fit.
pub fn parts(count: u32, size: usize) -> Option<impl Iterator<Item = Range<u32>>> {
    let fit = MAX_LEN.checked_div(size)?.min(MAX_MESSAGES as usize) as u32;
    let packets = count.checked_next_multiple_of(fit)?.checked_div(fit)?;
    let (least, more) = (count.checked_div(packets)?, count.checked_rem(packets)?);
    let mut start = 0u32;
    Some((0..packets).map(move |index| {
        let end = start
            .saturating_add(least)
            .saturating_add((index < more).into());
        core::mem::replace(&mut start, end)..end
    }))
}
