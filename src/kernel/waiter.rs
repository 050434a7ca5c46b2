// SPDX-License-Identifier: GPL-2.0

//! Waiting for room in a socket's send buffer without a thread that waits.
//!
//! C header: `include/linux/wait.h`.

use super::{
    bindings,
    rcu::{RcuArc, ReadSection, Ref, Shared},
    udp::UdpSocket,
};
use core::{
    marker::{PhantomData, PhantomPinned},
    mem::MaybeUninit,
    sync::atomic::{fence, AtomicU8, Ordering},
};
use kernel::{prelude::*, types::Opaque};

/// What happens when there is room.
pub(crate) trait Room: Shared {
    /// Has the object's [`Waiter`] looked after, in process context: [`Waiter::wait`] or
    /// [`Waiter::collect`] is to be called there. Runs with interrupts disabled.
    fn has_come(this: RcuArc<Self>);
}

/// Says where in an object its waiter is; [`impl_has_waiter`] implements it.
///
/// # Safety
///
/// `OFFSET` is the offset of a field of type `Waiter<Self>` in `Self`.
pub(crate) unsafe trait HasWaiter: Room {
    /// Bytes from the start of the object.
    const OFFSET: usize;
}

/// Implements [`HasWaiter`].
macro_rules! impl_has_waiter {
    ($type:ty { self.$field:ident }) => {
        // SAFETY: The function compiles only if the field has the right type.
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

/// It waits for nothing.
const IDLE: u8 = 0;
/// It is in the wait queue of a socket.
const WAITING: u8 = 1;
/// It was taken out of it.
const WOKEN: u8 = 2;

/// A place in the wait queue of a socket.
///
/// # Invariants
///
/// `state` says where `entry` is: in the queue of a socket that has not been closed yet if it is
/// `WAITING`, in none otherwise. While it is not `IDLE` a reference to the object belongs to the
/// waiter. Only its one user makes it `WAITING` or `IDLE`, only whoever takes it out of the queue
/// makes it `WOKEN`.
#[pin_data]
pub(crate) struct Waiter<T> {
    #[pin]
    entry: Opaque<bindings::wait_queue_entry>,
    state: AtomicU8,
    _inside: PhantomData<fn(T)>,
    #[pin]
    _pin: PhantomPinned,
}

// SAFETY: The entry is under the lock of the queue that it is in, and its user's where it is in none.
unsafe impl<T> Send for Waiter<T> {}
// SAFETY: As above.
unsafe impl<T> Sync for Waiter<T> {}

impl<T: HasWaiter> Waiter<T> {
    /// One that waits for nothing.
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            // SAFETY: The slot is valid while the closure runs; all zeroes are valid: no flags, no
            // function, in no queue.
            entry <- Opaque::ffi_init(|slot: *mut bindings::wait_queue_entry| unsafe {
                slot.write(MaybeUninit::zeroed().assume_init());
                (*slot).func = Some(Self::wake);
            }),
            state: AtomicU8::new(IDLE),
            _inside: PhantomData,
            _pin: PhantomPinned,
        })
    }

    fn of(object: &RcuArc<T>) -> &Self {
        // SAFETY: By `HasWaiter`; the object lives as long as the reference to it.
        unsafe { &*object.as_ptr().byte_add(T::OFFSET).cast::<Self>() }
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
        // as long as the state is what it is; and the lock is held that the links are under.
        let (this, object) = unsafe {
            bindings::wg_list_del_init(&raw mut (*entry).entry);
            let this = entry
                .byte_sub(core::mem::offset_of!(Self, entry))
                .cast::<Self>();
            let object = Ref::from_ptr(this.byte_sub(T::OFFSET).cast::<T>().cast_const());
            (&*this, object.get())
        };
        // The reference that the waiter has is not given away: here it could not be dropped.
        // INVARIANT: It has just been taken out.
        this.state.store(WOKEN, Ordering::Release);
        if let Some(object) = object {
            T::has_come(object);
        }
        1
    }

    /// Takes note of having been woken. By the waiter's one user, in process context.
    pub(crate) fn collect(object: &RcuArc<T>) {
        let this = Self::of(object);
        if this.state.load(Ordering::Acquire) == WOKEN {
            this.state.store(IDLE, Ordering::Relaxed);
            // SAFETY: By the type invariant a reference belonged to the waiter, and does not now.
            drop(unsafe { RcuArc::from_raw(object.as_ptr()) });
        }
    }

    /// Whether there is something to wait for: then [`Room::has_come`] will be called once there is
    /// not. By the waiter's one user, in process context. `section`: the socket is in use, and whoever
    /// closes it waits for that to end.
    pub(crate) fn wait(
        object: &RcuArc<T>,
        _section: &impl ReadSection,
        socket: &UdpSocket,
    ) -> bool {
        Self::collect(object);
        let this = Self::of(object);
        let Some(task) = socket.task() else {
            return false;
        };
        if this.state.load(Ordering::Relaxed) == WAITING {
            return true;
        }
        if task.has_room() {
            return false;
        }
        let _ = object.clone().into_raw();
        // INVARIANT: The reference is the waiter's; the entry gets into a queue below, before anybody
        // else looks at the state.
        this.state.store(WAITING, Ordering::Relaxed);
        // SAFETY: The entry is in no queue, and stays where it is while it is in one, since the object
        // is kept alive; the pointer to it is made of one to the object, to which `wake` goes back. The
        // socket is open, and wakes its queue before it is closed.
        unsafe {
            let this = object.as_ptr().byte_add(T::OFFSET).cast::<Self>();
            let entry = (&raw const (*this).entry).cast::<bindings::wait_queue_entry>();
            bindings::add_wait_queue(task.wait_queue(), entry.cast_mut());
        }
        // What left before the stack could see the entry woke nobody. The stack frees, then looks at
        // the queue; here it is the other way round.
        fence(Ordering::SeqCst);
        if task.has_much_room() {
            // SAFETY: The queue is valid: the socket is open.
            unsafe { bindings::wg_wake_up_all(task.wait_queue()) };
        }
        true
    }
}
