// SPDX-License-Identifier: GPL-2.0

//! Clocks.
//!
//! C headers: `include/linux/timekeeping.h`, `include/linux/jiffies.h`.

use super::bindings;
use core::mem::MaybeUninit;
use kernel::time::msecs_to_jiffies;

/// Nanoseconds since boot, time asleep included, at the resolution of a timer tick.
#[inline]
pub(crate) fn boottime_ns() -> u64 {
    // SAFETY: Callable in every context.
    unsafe { bindings::wg_ktime_get_coarse_boottime_ns() }
}

/// Seconds since 1970, and nanoseconds.
pub(crate) fn walltime() -> (i64, u32) {
    let mut now = MaybeUninit::<bindings::timespec64>::uninit();
    // SAFETY: The function fills in the structure.
    let now = unsafe {
        bindings::ktime_get_real_ts64(now.as_mut_ptr());
        now.assume_init()
    };
    (now.tv_sec, now.tv_nsec as u32)
}

/// A duration in timer ticks.
#[derive(Clone, Copy)]
pub(crate) struct Jiffies(usize);

impl Jiffies {
    /// At least `ms` milliseconds.
    #[inline]
    pub(crate) fn from_ms(ms: u32) -> Self {
        Self(msecs_to_jiffies(ms))
    }

    /// As a number.
    #[inline]
    pub(super) fn ticks(self) -> usize {
        self.0
    }

    /// The tick that is this far from now.
    #[inline]
    pub(super) fn from_now(self) -> usize {
        // SAFETY: Reads a counter.
        unsafe { bindings::wg_jiffies() }.wrapping_add(self.0)
    }
}
