// SPDX-License-Identifier: GPL-2.0

//! Rings that all CPUs work off.
//!
//! C header: `include/linux/workqueue.h`.

use super::{yield_if_needed, Workqueue};
use crate::kernel::{
    bindings,
    cpu::{Cpu, RoundRobin},
    ring::{Ring, RingItem},
};
use core::marker::PhantomData;
use kernel::{container_of, ffi::c_void, prelude::*, sync::LockClassKey};

/// What is done with an item of a [`ParallelQueue`].
pub(crate) trait Job<T> {
    /// What each CPU has to do it with, and keeps from one item to the next.
    type Tools: Send;

    /// Tools that have not been used.
    fn tools() -> Self::Tools;

    /// Whether an item is dealt with together with the `last` one, which was put in before it. A spinlock
    /// is held.
    fn joins(last: &T, next: &T) -> bool;

    /// Does it with one item or more, in process context.
    fn run(items: &mut [Option<T>], tools: &mut Self::Tools);
}

/// Items that are dealt with together, at most: about as many packets as there are in one that comes whole,
/// so that the CPUs share what there is.
const MAX_RUN: usize = 32;

/// A ring of items that every CPU takes its share of.
///
/// # Invariants
///
/// `works` holds for every possible CPU an initialised [`Worker`] that points at this queue.
#[pin_data(PinnedDrop)]
pub(crate) struct ParallelQueue<T: RingItem, J: Job<T>> {
    #[pin]
    ring: Ring<T>,
    works: *mut c_void,
    cpus: RoundRobin,
    _job: PhantomData<J>,
}

struct Worker<S> {
    work: bindings::work_struct,
    queue: *const (),
    /// Used by the work item alone, which does not run twice at a time.
    tools: S,
}

// SAFETY: The ring locks for itself, work items may be queued from everywhere.
unsafe impl<T: RingItem, J: Job<T>> Sync for ParallelQueue<T, J> {}
// SAFETY: As above.
unsafe impl<T: RingItem, J: Job<T>> Send for ParallelQueue<T, J> {}

impl<T: RingItem, J: Job<T>> ParallelQueue<T, J> {
    /// A queue for `len` items.
    pub(crate) fn new(len: i32, key: Pin<&'static LockClassKey>) -> impl PinInit<Self, Error> {
        try_pin_init!(&this in Self {
            ring <- Ring::new(len),
            works: Self::workers(this.as_ptr(), key)?,
            cpus: RoundRobin::new(),
            _job: PhantomData,
        })
    }

    fn workers(queue: *const Self, key: Pin<&'static LockClassKey>) -> Result<*mut c_void> {
        // SAFETY: Plain memory for each CPU, of which every worker is written once before use.
        unsafe {
            let works = bindings::wg_alloc_percpu(
                size_of::<Worker<J::Tools>>(),
                align_of::<Worker<J::Tools>>(),
            );
            if works.is_null() {
                return Err(ENOMEM);
            }
            for cpu in Cpu::possible() {
                let worker = cpu.copy_of::<Worker<J::Tools>>(works);
                bindings::wg_init_work(
                    &raw mut (*worker).work,
                    Some(Self::run),
                    key.as_ptr().cast(),
                );
                (&raw mut (*worker).queue).write(queue.cast());
                (&raw mut (*worker).tools).write(J::tools());
            }
            Ok(works)
        }
    }

    /// The worker of a CPU.
    #[inline]
    fn worker(&self, cpu: Cpu) -> *mut Worker<J::Tools> {
        cpu.copy_of(self.works)
    }

    unsafe extern "C" fn run(work: *mut bindings::work_struct) {
        // SAFETY: The work item is that of a `Worker`. The queue outlives its workers, since it cancels
        // them when it is dropped. Nobody but this function uses the tools, and a work item does not run
        // on two CPUs at once.
        let (queue, tools) = unsafe {
            let worker = container_of!(work, Worker<J::Tools>, work);
            (&*(*worker).queue.cast::<Self>(), &mut (*worker).tools)
        };
        let mut items = [const { None }; MAX_RUN];
        loop {
            let taken = queue.ring.consume_run(&mut items, J::joins);
            let items = items.get_mut(..taken).unwrap_or_default();
            if items.is_empty() {
                break;
            }
            J::run(items, tools);
            yield_if_needed();
        }
    }

    /// Wakes the worker of the next CPU.
    #[inline]
    pub(crate) fn kick(&self, wq: &Workqueue) {
        let cpu = self.cpus.next();
        // SAFETY: By the type invariant there is a worker for every possible CPU.
        unsafe {
            let work = &raw mut (*self.worker(cpu)).work;
            bindings::queue_work_on(cpu.number() as i32, wq.as_ptr(), work);
        }
    }

    /// Puts an item in and wakes a CPU; a full queue gives it back.
    #[inline]
    pub(crate) fn push(&self, item: T, wq: &Workqueue) -> Result<(), T> {
        self.ring.produce(item)?;
        self.kick(wq);
        Ok(())
    }

    /// Waits for workers that run, and has the others not start. What is in the ring stays there,
    /// and what is put in wakes them as ever.
    pub(crate) fn cancel(&self) {
        for cpu in Cpu::possible() {
            // SAFETY: By the type invariant there is a worker for every possible CPU. Callers are in
            // process context and no workers themselves.
            unsafe { bindings::cancel_work_sync(&raw mut (*self.worker(cpu)).work) };
        }
    }

    /// The ring alone.
    pub(crate) fn ring(&self) -> &Ring<T> {
        &self.ring
    }
}

#[pinned_drop]
impl<T: RingItem, J: Job<T>> PinnedDrop for ParallelQueue<T, J> {
    fn drop(self: Pin<&mut Self>) {
        self.cancel();
        // SAFETY: Nothing runs and, since nobody else has the queue, nothing is queued again. The
        // memory is ours by the type invariant, and the tools of every worker were written.
        unsafe {
            for cpu in Cpu::possible() {
                core::ptr::drop_in_place(&raw mut (*self.worker(cpu)).tools);
            }
            bindings::wg_free_percpu(self.works);
        }
    }
}
