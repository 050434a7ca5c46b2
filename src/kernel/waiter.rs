// SPDX-License-Identifier: GPL-2.0

//! Waiting for room in a socket's send buffer without a thread that waits.
//!
//! C header: `include/linux/wait.h`.

use super::{
    bindings,
    rcu::{RcuArc, ReadSection, Ref, Shared},
    task_socket::TaskSocket,
    udp::{Receiver, Sockets, UdpSocket},
};
use core::{
    marker::{PhantomData, PhantomPinned},
    ptr,
    sync::atomic::{fence, AtomicPtr, AtomicU32, Ordering},
};
use kernel::{prelude::*, types::Opaque};

/// What happens when there is room.
pub(crate) trait WriteSpace: Shared {
    /// Has the object's [`Waiter`] looked after, in process context: [`Waiter::collect`] is to be called
    /// there. Runs with interrupts disabled.
    fn write_space(this: RcuArc<Self>);
}

/// Says where in an object its waiter is; [`impl_has_waiter`] implements it.
///
/// # Safety
///
/// `OFFSET` is the offset of a field of type `Waiter<Self>` in `Self`.
pub(crate) unsafe trait HasWaiter: WriteSpace {
    /// Bytes from the start of the object.
    const OFFSET: usize;
}

/// Implements [`HasWaiter`].
macro_rules! impl_has_waiter {
    ($type:ty { self.$field:ident }) => {
        // SAFETY: The function compiles only if the field has the right type.
        #[allow(unsafe_code)]
        unsafe impl $crate::kernel::waiter::HasWaiter for $type {
            const OFFSET: usize = {
                #[allow(dead_code)]
                fn check(this: &$type) -> &$crate::kernel::waiter::Waiter<$type> {
                    &this.$field
                }
                ::core::mem::offset_of!($type, $field)
            };
        }
    };
}
pub(crate) use impl_has_waiter;

/// The lock of a wait queue.
struct WaitQueueGuard {
    queue: *mut bindings::wait_queue_head,
    flags: usize,
}

impl WaitQueueGuard {
    /// # Safety
    ///
    /// The queue is valid for as long as the result lives.
    unsafe fn new(queue: *mut bindings::wait_queue_head) -> Self {
        // SAFETY: By the contract.
        let flags = unsafe { bindings::wg_wait_queue_lock(queue) };
        Self { queue, flags }
    }
}

impl Drop for WaitQueueGuard {
    fn drop(&mut self) {
        // SAFETY: Locked by `new`, of a queue that is valid still.
        unsafe { bindings::wg_wait_queue_unlock(self.queue, self.flags) };
    }
}

/// A place in the wait queue of a socket.
///
/// # Invariants
///
/// `queue` is null, or that of a socket which has not been closed yet, and then `entry` is in it; it
/// is set and cleared under that queue's lock. A reference to the object belongs to the waiter while
/// it is in a queue, and one for each time that it was taken out, as `woken` counts them.
#[pin_data]
pub(crate) struct Waiter<T> {
    #[pin]
    entry: Opaque<bindings::wait_queue_entry>,
    queue: AtomicPtr<bindings::wait_queue_head>,
    woken: AtomicU32,
    _inside: PhantomData<fn(T)>,
    #[pin]
    _pin: PhantomPinned,
}

// SAFETY: The entry is under the lock of the queue that it is in; who puts it into one has found, and
// said so in `queue`, that it is in none.
unsafe impl<T> Send for Waiter<T> {}
// SAFETY: As above.
unsafe impl<T> Sync for Waiter<T> {}

impl<T: HasWaiter> Waiter<T> {
    /// One that waits for nothing.
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            // SAFETY: The slot is valid while the closure runs.
            entry <- Opaque::ffi_init(|slot: *mut bindings::wait_queue_entry| unsafe {
                slot.write(pin_init::zeroed());
                (*slot).flags = bindings::WQ_FLAG_EXCLUSIVE;
                (*slot).func = Some(Self::wake);
            }),
            queue: AtomicPtr::new(ptr::null_mut()),
            woken: AtomicU32::new(0),
            _inside: PhantomData,
            _pin: PhantomPinned,
        })
    }

    fn of(object: &RcuArc<T>) -> &Self {
        // SAFETY: By `HasWaiter`; the object lives as long as the reference to it.
        unsafe { &*object.as_ptr().byte_add(T::OFFSET).cast::<Self>() }
    }

    /// The entry, by a pointer that is made of one to the object, to which `wake` goes back.
    fn entry(object: &RcuArc<T>) -> *mut bindings::wait_queue_entry {
        // SAFETY: As above; only an address is computed.
        unsafe {
            let this = object.as_ptr().byte_add(T::OFFSET).cast::<Self>();
            (&raw const (*this).entry).cast_mut().cast()
        }
    }

    /// Takes the entry out of its queue and has its object looked after. Called by whoever wakes the
    /// queue, who holds its lock.
    unsafe extern "C" fn wake(
        entry: *mut bindings::wait_queue_entry,
        _mode: u32,
        _flags: i32,
        _key: *mut kernel::ffi::c_void,
    ) -> i32 {
        // SAFETY: The entry is in the queue, so its waiter has a reference to the object that it is in
        // until that is counted below; and the lock is held that the links are under.
        let (this, object) = unsafe {
            bindings::wg_list_del_init(&raw mut (*entry).entry);
            let this = entry
                .byte_sub(core::mem::offset_of!(Self, entry))
                .cast::<Self>();
            let object = Ref::from_ptr(this.byte_sub(T::OFFSET).cast::<T>().cast_const());
            (&*this, object.get())
        };
        // INVARIANT: It has just been taken out, under the lock. The reference that it had is not given
        // away: here it could not be dropped. Release: another queue, which it may enter now, has another
        // lock, and must find the links as they were left here.
        this.queue.store(ptr::null_mut(), Ordering::Release);
        this.woken.fetch_add(1, Ordering::Release);
        if let Some(object) = object {
            T::write_space(object);
        }
        1
    }

    /// Takes note of having been woken: whether that was so. In process context.
    pub(crate) fn collect(object: &RcuArc<T>) -> bool {
        let woken = Self::of(object).woken.swap(0, Ordering::Acquire);
        for _ in 0..woken {
            // SAFETY: By the type invariant as many references belonged to the waiter, and none of
            // them does now.
            drop(unsafe { RcuArc::from_raw(object.as_ptr()) });
        }
        woken != 0
    }

    /// Whether there is something to wait for: then [`WriteSpace::write_space`] will be called once there is
    /// not, and whoever is woken so wakes the next ([`Sockets::wake_next`]) when it is done. In process
    /// context. `section`: the socket is in use, and whoever closes it waits for that to end.
    ///
    /// [`Sockets::wake_next`]: super::udp::Sockets::wake_next
    #[inline]
    pub(crate) fn wait(
        object: &RcuArc<T>,
        _section: &impl ReadSection,
        socket: &UdpSocket,
    ) -> bool {
        match socket.task() {
            Some(task) if !task.has_room() => {
                Self::join(object, task);
                true
            }
            _ => false,
        }
    }

    #[cold]
    fn join(object: &RcuArc<T>, task: &TaskSocket) {
        let this = Self::of(object);
        let queue = task.wait_queue();
        {
            // SAFETY: The socket is open.
            let _locked = unsafe { WaitQueueGuard::new(queue) };
            // Acquire: whoever took it out of another queue is done with its links.
            if this
                .queue
                .compare_exchange(ptr::null_mut(), queue, Ordering::Acquire, Ordering::Relaxed)
                .is_err()
            {
                return;
            }
            // INVARIANT: It gets into the queue, under its lock, and the reference is the waiter's.
            let _ = object.clone().into_raw();
            // SAFETY: The entry was in no queue, as the exchange found, and stays where it is while it
            // is in one, since the object is kept alive. The lock is held, and the socket wakes its
            // queue before it is closed.
            unsafe { bindings::wg_wait_queue_append(queue, Self::entry(object)) };
        }
        // What left before the stack could see the entry woke nobody. The stack frees, then looks at
        // the queue; here it is the other way round.
        fence(Ordering::SeqCst);
        if task.has_much_room() {
            task.wake_next();
        }
    }

    /// Has it wait no more, if it waits for one of these sockets.
    pub(crate) fn cancel<D: Receiver>(object: &RcuArc<T>, sockets: &Sockets<D>) {
        let this = Self::of(object);
        for task in sockets.tasks() {
            let queue = task.wait_queue();
            // SAFETY: The socket is open.
            let _locked = unsafe { WaitQueueGuard::new(queue) };
            if ptr::eq(this.queue.load(Ordering::Relaxed), queue) {
                // SAFETY: By the type invariant the entry is in this queue, whose lock is held.
                unsafe { bindings::wg_list_del_init(&raw mut (*Self::entry(object)).entry) };
                // INVARIANT: It has just been taken out. Release: as in `wake`.
                this.queue.store(ptr::null_mut(), Ordering::Release);
                this.woken.fetch_add(1, Ordering::Release);
            }
        }
        // It may have been woken in place of another, whom it cannot be relied on to wake any more.
        if Self::collect(object) {
            sockets.wake_next();
        }
    }
}
