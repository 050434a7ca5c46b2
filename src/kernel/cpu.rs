// SPDX-License-Identifier: GPL-2.0

//! Which CPU is to do a piece of work.
//!
//! C header: `include/linux/cpumask.h`.

use super::bindings;
use core::sync::atomic::{AtomicU32, Ordering};
use kernel::ffi::c_void;

/// The number of a CPU that was online when it was asked for.
///
/// The `kernel` crate's `CpuId` may also be a number in between that no CPU has, for which there is
/// no memory of its own.
///
/// # Invariants
///
/// A possible CPU has the number; that stays so when it goes offline.
#[derive(Clone, Copy)]
pub(crate) struct Cpu(u32);

impl Cpu {
    /// As the kernel takes it.
    #[inline]
    pub(super) fn number(self) -> u32 {
        self.0
    }

    /// All that there may be.
    pub(super) fn possible() -> impl Iterator<Item = Self> {
        // SAFETY: Reads a number.
        let all = 0..unsafe { bindings::wg_nr_cpu_ids() };
        // SAFETY: Only numbers below that one are asked about.
        // INVARIANT: Those that are left are possible.
        all.filter(|&cpu| unsafe { bindings::wg_cpu_possible(cpu) })
            .map(Self)
    }

    /// The address of its copy of a per-CPU variable.
    #[inline]
    pub(super) fn copy_of<T>(self, variable: *mut c_void) -> *mut T {
        // SAFETY: By the type invariant it has copies. Nothing but an address is computed.
        unsafe { bindings::wg_per_cpu_ptr(variable, self.0).cast() }
    }
}

/// Hands work out to the CPUs in turn.
///
/// Two callers may get the same CPU when they race; that costs nothing but evenness, and a lock
/// would cost more.
pub(crate) struct RoundRobin(AtomicU32);

impl RoundRobin {
    pub(crate) const fn new() -> Self {
        Self(AtomicU32::new(u32::MAX))
    }

    /// The next CPU that is online.
    #[inline]
    pub(crate) fn next(&self) -> Cpu {
        let last = self.0.load(Ordering::Relaxed) as i32;
        // SAFETY: Any integer is fine; past the last CPU the search ends at `nr_cpu_ids`.
        let cpu = unsafe {
            let next = bindings::wg_cpumask_next_online(last);
            if next < bindings::wg_nr_cpu_ids() {
                next
            } else {
                bindings::wg_cpumask_next_online(-1)
            }
        };
        self.0.store(cpu, Ordering::Relaxed);
        // INVARIANT: It was online just now, since one CPU always is.
        Cpu(cpu)
    }
}

/// A CPU that stays the same for as long as it is online, so that one peer's packets stay in one
/// cache.
pub(crate) struct Sticky(AtomicU32);

impl Sticky {
    pub(crate) const fn new() -> Self {
        Self(AtomicU32::new(u32::MAX))
    }

    /// The CPU chosen before, or one chosen by `id` now.
    #[inline]
    pub(crate) fn get(&self, id: u64) -> Cpu {
        let mut cpu = self.0.load(Ordering::Relaxed);
        // SAFETY: `wg_cpu_online` is asked about possible CPU numbers only. Whatever number is asked
        // for, the search ends at `nr_cpu_ids`.
        unsafe {
            let possible = bindings::wg_nr_cpu_ids();
            if cpu >= possible || !bindings::wg_cpu_online(cpu) {
                let online = u64::from(bindings::wg_num_online_cpus().max(1));
                let nth = id.checked_rem(online).unwrap_or(0);
                cpu = bindings::wg_cpumask_nth_online(nth as u32);
                if cpu >= possible {
                    // One of them has gone since they were counted; one never goes.
                    cpu = bindings::wg_cpumask_next_online(-1);
                }
                self.0.store(cpu, Ordering::Relaxed);
            }
        }
        // INVARIANT: It was online just now.
        Cpu(cpu)
    }
}
