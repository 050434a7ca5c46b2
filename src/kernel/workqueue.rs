// SPDX-License-Identifier: GPL-2.0

//! Workqueues of our own, and work items on them.
//!
//! C header: `include/linux/workqueue.h`.

mod parallel;

pub(crate) use parallel::{Job, ParallelQueue};

use super::{
    bindings,
    cpu::Cpu,
    rcu::{RcuArc, Shared},
};
use core::ptr::NonNull;
use kernel::{
    prelude::*,
    str::CStr,
    workqueue::{HasWork, RawWorkItem, Work, WorkItem, WorkItemPointer},
};

// What the `kernel` crate puts into objects by its bindings, the module queues by its own.
const _: () = assert!(
    size_of::<bindings::work_struct>() == size_of::<kernel::bindings::work_struct>()
        && align_of::<bindings::work_struct>() == align_of::<kernel::bindings::work_struct>()
);

/// A workqueue.
///
/// # Invariants
///
/// The pointer is valid, and the queue belongs to this value.
pub(crate) struct Workqueue(NonNull<bindings::workqueue_struct>);

// SAFETY: Workqueues may be used from any thread.
unsafe impl Send for Workqueue {}
// SAFETY: As above.
unsafe impl Sync for Workqueue {}

/// Where a queue's work runs.
pub(crate) enum Kind {
    /// Handshakes that came in: on the CPU that they are queued for, not in the way of its other
    /// work; suspended with the machine.
    HandshakeReceive,
    /// Handshakes to be sent: on any CPU; suspended with the machine.
    HandshakeSend,
    /// Packets: on the CPU that they are queued for, also when memory is scarce.
    Crypt,
}

impl Workqueue {
    /// Creates a queue that is called `what`-`name`.
    pub(crate) fn new(what: &'static CStr, kind: Kind, name: &CStr) -> Result<Self> {
        let flags = match kind {
            Kind::HandshakeReceive => {
                bindings::wq_flags_WQ_CPU_INTENSIVE
                    | bindings::wq_flags_WQ_FREEZABLE
                    | bindings::wq_flags_WQ_PERCPU
            }
            Kind::HandshakeSend => bindings::wq_flags_WQ_UNBOUND | bindings::wq_flags_WQ_FREEZABLE,
            Kind::Crypt => {
                bindings::wq_flags_WQ_CPU_INTENSIVE
                    | bindings::wq_flags_WQ_MEM_RECLAIM
                    | bindings::wq_flags_WQ_PERCPU
            }
        };
        // SAFETY: Both strings are terminated.
        let wq =
            unsafe { bindings::wg_alloc_workqueue(what.as_char_ptr(), flags, name.as_char_ptr()) };
        Ok(Self(NonNull::new(wq).ok_or(ENOMEM)?))
    }

    /// Queues a work item of `item`'s, on any CPU. It keeps `item` alive until it has run; if it is
    /// queued already, that run does for this one too.
    #[inline]
    pub(crate) fn queue<T, const ID: u64>(&self, item: RcuArc<T>)
    where
        T: WorkItem<ID, Pointer = RcuArc<T>> + HasWork<T, ID> + Shared,
    {
        // SAFETY: The number stands for any CPU.
        unsafe { self.queue_raw(bindings::wq_misc_consts_WORK_CPU_UNBOUND, item) };
    }

    /// The same, on CPU `cpu`.
    #[inline]
    pub(crate) fn queue_on<T, const ID: u64>(&self, cpu: Cpu, item: RcuArc<T>)
    where
        T: WorkItem<ID, Pointer = RcuArc<T>> + HasWork<T, ID> + Shared,
    {
        // SAFETY: There is such a CPU. If it has gone offline meanwhile the workqueue takes another.
        unsafe { self.queue_raw(cpu.number(), item) };
    }

    /// # Safety
    ///
    /// `cpu` is the number of a possible CPU, or the one for any of them.
    #[inline]
    unsafe fn queue_raw<T, const ID: u64>(&self, cpu: u32, item: RcuArc<T>)
    where
        T: WorkItem<ID, Pointer = RcuArc<T>> + HasWork<T, ID> + Shared,
    {
        // SAFETY: By the contract; `queue_work_on` returns false only if the item is queued already or
        // being called off; the pointer is one to a `work_struct`, whichever bindings describe it.
        let queued = unsafe {
            item.__enqueue(|work| bindings::queue_work_on(cpu as i32, self.0.as_ptr(), work.cast()))
        };
        drop(queued);
    }

    pub(super) fn as_ptr(&self) -> *mut bindings::workqueue_struct {
        self.0.as_ptr()
    }

    /// Waits for all work that is queued now.
    pub(crate) fn flush(&self) {
        // SAFETY: Valid by the type invariant; callers are in process context and not on the
        // queue itself, which lockdep would report.
        unsafe { bindings::__flush_workqueue(self.0.as_ptr()) };
    }
}

/// Calls off a work item of `item`'s, on whatever queue, and waits for it if it runs. Not from that
/// work itself, and holding nothing that it takes. It does not wait for its turn, which on a queue
/// that is suspended with the machine would not come.
pub(crate) fn cancel<T, const ID: u64>(item: &RcuArc<T>)
where
    T: WorkItem<ID, Pointer = RcuArc<T>> + HasWork<T, ID> + Shared,
{
    // SAFETY: The work item is one of a live object, initialised with it. If it was queued, the
    // reference that was given up for it was not taken back, and will not be.
    unsafe {
        let work = Work::raw_get(T::raw_get_work(item.as_ptr().cast_mut()));
        if bindings::cancel_work_sync(work.cast()) {
            drop(RcuArc::from_raw(item.as_ptr()));
        }
    }
}

impl Drop for Workqueue {
    fn drop(&mut self) {
        // SAFETY: Ours by the type invariant. Waits for what is queued.
        unsafe { bindings::destroy_workqueue(self.0.as_ptr()) };
    }
}

// SAFETY: `__enqueue` uses the `work_struct` in the object's `Work<T, ID>` field, which
// `Work::new` initialised with `Self::run` since the trait bound names this pointer type.
unsafe impl<T, const ID: u64> WorkItemPointer<ID> for RcuArc<T>
where
    T: WorkItem<ID, Pointer = Self> + HasWork<T, ID> + Shared,
{
    unsafe extern "C" fn run(work: *mut kernel::bindings::work_struct) {
        // SAFETY: The pointer is that of `__enqueue`, which gave up a reference for it.
        let item = unsafe { RcuArc::from_raw(T::work_container_of(work.cast::<Work<T, ID>>())) };
        T::run(item);
    }
}

// SAFETY: The object lives during the call since `self` holds a reference, and until the work
// function runs since that reference is given up only then.
unsafe impl<T, const ID: u64> RawWorkItem<ID> for RcuArc<T>
where
    T: WorkItem<ID, Pointer = Self> + HasWork<T, ID> + Shared,
{
    type EnqueueOutput = Result<(), Self>;

    unsafe fn __enqueue<F>(self, queue_work_on: F) -> Self::EnqueueOutput
    where
        F: FnOnce(*mut kernel::bindings::work_struct) -> bool,
    {
        let item = self.into_raw();
        // SAFETY: `item` points at a live object.
        let work = unsafe { Work::raw_get(T::raw_get_work(item.cast_mut())) };
        if queue_work_on(work) {
            Ok(())
        } else {
            // SAFETY: The reference was not given up after all.
            Err(unsafe { RcuArc::from_raw(item) })
        }
    }
}

/// Lets somebody else run who is waiting for this CPU. In process context, holding no spinlock.
#[inline]
pub(crate) fn yield_if_needed() {
    // SAFETY: By the description above, which the kernel verifies where it debugs.
    unsafe {
        if bindings::wg_need_resched() {
            bindings::wg_cond_resched();
        }
    }
}
