// SPDX-License-Identifier: GPL-2.0

//! Work that is done some time later.
//!
//! C header: `include/linux/workqueue.h`.

use super::{
    bindings,
    lock::{new_spinlock_bh, SpinLockBh},
    time::{self, Jiffies},
    workqueue::Workqueue,
};
use core::sync::atomic::{AtomicBool, Ordering};
use kernel::{prelude::*, types::Opaque};

/// Something to be done once.
pub(crate) trait Later: Send + Unpin + 'static {
    /// Does it, in process context.
    fn run(self);
}

/// At most one thing that is to be done later.
///
/// # Invariants
///
/// `work` is initialised with a function that takes it for the first field of a `Delayed<T>`, and is
/// queued only if `used` is set.
#[pin_data(PinnedDrop)]
#[repr(C)]
pub(crate) struct Delayed<T: Later> {
    #[pin]
    work: Opaque<bindings::delayed_work>,
    /// What is to be done, and when in nanoseconds since boot.
    #[pin]
    waiting: SpinLockBh<Option<(T, u64)>>,
    used: AtomicBool,
}

// SAFETY: Work may be queued from any thread, and what it works on is behind a lock.
unsafe impl<T: Later> Sync for Delayed<T> {}
// SAFETY: As above.
unsafe impl<T: Later> Send for Delayed<T> {}

impl<T: Later> Delayed<T> {
    /// Nothing to be done.
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            // SAFETY: The slot is valid while the closure runs.
            work <- Opaque::ffi_init(|slot| unsafe {
                bindings::wg_init_delayed_work(slot, Some(Self::run));
            }),
            waiting <- new_spinlock_bh!(None, "wg_delayed"),
            used: AtomicBool::new(false),
        })
    }

    /// Has something done on `wq`, `after` nanoseconds from now at the latest. If something waits to be
    /// done already, that does for this.
    pub(crate) fn arm(&self, wq: &Workqueue, after: u64, what: impl FnOnce() -> T) {
        let due = time::boottime_ns().saturating_add(after);
        let mut waiting = self.waiting.lock();
        match &mut *waiting {
            Some((_, before)) if *before <= due => return,
            Some((_, before)) => *before = due,
            None => *waiting = Some((what(), due)),
        }
        let ms = u32::try_from(after.div_ceil(1_000_000)).unwrap_or(u32::MAX);
        self.used.store(true, Ordering::Relaxed);
        let cpu = bindings::wq_misc_consts_WORK_CPU_UNBOUND as i32;
        let after = Jiffies::from_ms(ms).ticks();
        // SAFETY: Both are initialised, and the end of either waits for the work.
        unsafe { bindings::mod_delayed_work_on(cpu, wq.as_ptr(), self.work.get(), after) };
    }

    /// Gives up what is to be done. It may be being done still.
    pub(crate) fn withdraw(&self) {
        let withdrawn = self.waiting.lock().take();
        drop(withdrawn);
    }

    unsafe extern "C" fn run(work: *mut bindings::work_struct) {
        // SAFETY: By the type invariant the work is in the first field of a `Delayed<T>`, at the start of
        // that. It is not dropped before this function is done.
        let this = unsafe {
            let work = kernel::container_of!(work, bindings::delayed_work, work);
            &*work.cast::<Self>()
        };
        let taken = this.waiting.lock().take();
        if let Some((what, _)) = taken {
            what.run();
        }
    }
}

#[pinned_drop]
impl<T: Later> PinnedDrop for Delayed<T> {
    fn drop(self: Pin<&mut Self>) {
        // What was never queued may be dropped where one must not wait for work.
        if self.used.load(Ordering::Relaxed) {
            // SAFETY: Initialised by the type invariant. Nobody has it any more to queue it again, and it
            // is not dropped by its own work, which whoever drops it waits for.
            unsafe { bindings::cancel_delayed_work_sync(self.work.get()) };
        }
    }
}
