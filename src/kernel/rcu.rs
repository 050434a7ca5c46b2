// SPDX-License-Identifier: GPL-2.0

//! Read-copy-update: evidence of a read section, and waiting for those of others. On it rest counted
//! objects that outlive every reader, and pointers that are swapped under readers.
//!
//! C header: `include/linux/rcupdate.h`.

mod arc;
mod pointer;
mod slab;

pub(crate) use {
    arc::{RcuArc, Ref, Shared},
    pointer::{RcuBox, RcuPtr, Retired},
    slab::{Slab, SlabGuard},
};

use super::bindings;
use kernel::types::NotThreadSafe;

/// Evidence that the current task is inside an RCU read section.
///
/// # Safety
///
/// While a value of the type exists, no grace period that began after its creation can end.
pub(crate) unsafe trait ReadSection {}

// SAFETY: `Guard` exists only between `rcu_read_lock()` and `rcu_read_unlock()`.
unsafe impl ReadSection for kernel::sync::rcu::Guard {}

/// Evidence that bottom halves are disabled on this CPU, which is an RCU read section too.
///
/// # Invariants
///
/// Bottom halves stay disabled on the current CPU for as long as the value exists.
pub(crate) struct BhGuard(NotThreadSafe);

impl BhGuard {
    /// Disables bottom halves and enters an RCU read section.
    #[inline]
    pub(crate) fn new() -> Self {
        // SAFETY: May be called in every context but hard interrupts, where no code of this
        // module runs; `drop` undoes it on the same CPU since the guard is not `Send`.
        unsafe { bindings::wg_rcu_read_lock_bh() };
        Self(NotThreadSafe)
    }
}

impl Drop for BhGuard {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: Pairs with the call in `new`.
        unsafe { bindings::wg_rcu_read_unlock_bh() };
    }
}

// SAFETY: Since RCU's flavours were merged, a grace period waits for BH-disabled regions as well,
// and `rcu_read_lock_bh()` begins one.
unsafe impl ReadSection for BhGuard {}

/// Evidence that bottom halves are disabled, so that what belongs to this CPU is ours.
///
/// # Safety
///
/// While a value of the type exists, bottom halves stay disabled on the current CPU.
pub(crate) unsafe trait BhDisabled: ReadSection {}

// SAFETY: By the type invariant.
unsafe impl BhDisabled for BhGuard {}

/// Evidence that a grace period has passed: whoever was in a read section has seen what was done before
/// that.
#[derive(Clone, Copy)]
pub(crate) struct GracePeriod(());

/// Waits until every read section that is running now has ended.
pub(crate) fn synchronize() -> GracePeriod {
    // SAFETY: Callers are in process context; the function checks so itself under lockdep.
    unsafe { bindings::synchronize_net() };
    GracePeriod(())
}

/// Waits until every callback that was queued before has run.
pub(crate) fn barrier() {
    // SAFETY: As for `synchronize`.
    unsafe { bindings::rcu_barrier() };
}
