// SPDX-License-Identifier: GPL-2.0

//! The locks that the `kernel` crate lacks: spinlocks and readers-writer locks that disable bottom
//! halves, and readers-writer semaphores.
//!
//! C headers: `include/linux/spinlock.h`, `include/linux/rwlock.h`, `include/linux/rwsem.h`.

use super::bindings;
use core::{
    cell::UnsafeCell,
    marker::PhantomPinned,
    ops::{Deref, DerefMut},
    pin::Pin,
};
use kernel::{
    prelude::*,
    str::CStr,
    sync::{lock, LockClassKey},
    types::{NotThreadSafe, Opaque},
};

// What the `kernel` crate allocates by its bindings, the module uses by its own.
const _: () = assert!(
    size_of::<bindings::lock_class_key>() == size_of::<kernel::bindings::lock_class_key>()
        && align_of::<bindings::lock_class_key>() == align_of::<kernel::bindings::lock_class_key>()
);

/// A spinlock for data that bottom halves use too.
pub(crate) type SpinLockBh<T> = lock::Lock<T, SpinLockBhBackend>;

/// The kernel's `spinlock_t`, taken with bottom halves disabled.
pub(crate) struct SpinLockBhBackend;

// SAFETY: A spinlock has one owner at a time. The default `relock` locks the same way as `lock`.
unsafe impl lock::Backend for SpinLockBhBackend {
    type State = bindings::spinlock_t;
    type GuardState = ();

    unsafe fn init(
        ptr: *mut Self::State,
        name: *const kernel::ffi::c_char,
        key: *mut kernel::bindings::lock_class_key,
    ) {
        // SAFETY: By this function's contract. Both bindings describe the same C type.
        unsafe { bindings::wg_spin_lock_init(ptr, name, key.cast()) }
    }

    #[inline]
    unsafe fn lock(ptr: *mut Self::State) {
        // SAFETY: By this function's contract the lock is initialised.
        unsafe { bindings::wg_spin_lock_bh(ptr) }
    }

    #[inline]
    unsafe fn try_lock(ptr: *mut Self::State) -> Option<()> {
        // SAFETY: As above.
        unsafe { bindings::wg_spin_trylock_bh(ptr) }.then_some(())
    }

    #[inline]
    unsafe fn unlock(ptr: *mut Self::State, _: &()) {
        // SAFETY: By this function's contract the caller owns the lock.
        unsafe { bindings::wg_spin_unlock_bh(ptr) }
    }

    #[inline]
    unsafe fn assert_is_held(ptr: *mut Self::State) {
        // Every guard asks this when it is made; without lockdep nobody could tell.
        if cfg!(CONFIG_LOCKDEP) {
            // SAFETY: By this function's contract the lock is initialised.
            unsafe { bindings::wg_spin_assert_held(ptr) }
        }
    }
}

/// Creates a [`SpinLockBh`] initialiser with a lock class of its own.
macro_rules! new_spinlock_bh {
    ($inner:expr, $name:literal) => {
        $crate::kernel::lock::SpinLockBh::new(
            $inner,
            ::kernel::c_str!($name),
            ::kernel::static_lock_class!(),
        )
    };
}
pub(crate) use new_spinlock_bh;

/// A kind of lock with many readers or one writer.
///
/// # Safety
///
/// `INIT` takes a valid lock, and a name and a key that live forever; the others take a lock that is
/// initialised, in a context that fits it. Between `READ` and `READ_UNLOCK` nobody has returned from
/// `WRITE`, and between `WRITE` and `WRITE_UNLOCK` nobody else has returned from either.
pub(crate) unsafe trait RwBackend {
    /// The C lock.
    type State;

    /// Initialises it.
    const INIT: Init<Self::State>;
    /// Take and give back the right to read, and that to write.
    const READ: Op<Self::State>;
    const READ_UNLOCK: Op<Self::State>;
    const WRITE: Op<Self::State>;
    const WRITE_UNLOCK: Op<Self::State>;
}

/// What initialises a C lock.
type Init<State> =
    unsafe extern "C" fn(*mut State, *const kernel::ffi::c_char, *mut bindings::lock_class_key);
/// What is done with one.
type Op<State> = unsafe extern "C" fn(*mut State);

/// The kernel's `rwlock_t`, taken with bottom halves disabled.
pub(crate) struct SpinRw;

// SAFETY: That is what an `rwlock_t` is.
unsafe impl RwBackend for SpinRw {
    type State = bindings::rwlock_t;

    const INIT: Init<Self::State> = bindings::wg_rwlock_init;
    const READ: Op<Self::State> = bindings::wg_read_lock_bh;
    const READ_UNLOCK: Op<Self::State> = bindings::wg_read_unlock_bh;
    const WRITE: Op<Self::State> = bindings::wg_write_lock_bh;
    const WRITE_UNLOCK: Op<Self::State> = bindings::wg_write_unlock_bh;
}

/// The kernel's `struct rw_semaphore`: holders may sleep.
pub(crate) struct SleepRw;

// SAFETY: That is what a `rw_semaphore` is.
unsafe impl RwBackend for SleepRw {
    type State = bindings::rw_semaphore;

    const INIT: Init<Self::State> = bindings::wg_init_rwsem;
    const READ: Op<Self::State> = bindings::down_read;
    const READ_UNLOCK: Op<Self::State> = bindings::up_read;
    const WRITE: Op<Self::State> = bindings::down_write;
    const WRITE_UNLOCK: Op<Self::State> = bindings::up_write;
}

/// Data with many readers or one writer.
#[pin_data]
pub(crate) struct Rw<T, B: RwBackend> {
    #[pin]
    state: Opaque<B::State>,
    #[pin]
    _pin: PhantomPinned,
    data: UnsafeCell<T>,
}

/// Readers-writer spinlock that disables bottom halves.
pub(crate) type RwLockBh<T> = Rw<T, SpinRw>;
/// Readers-writer semaphore.
pub(crate) type RwSem<T> = Rw<T, SleepRw>;

// SAFETY: The lock hands out `&T` to several threads and `&mut T` to one.
unsafe impl<T: Send + Sync, B: RwBackend> Sync for Rw<T, B> {}
// SAFETY: The C lock may be used from any thread.
unsafe impl<T: Send, B: RwBackend> Send for Rw<T, B> {}

/// Creates an initialiser for [`RwLockBh`] or [`RwSem`] with a lock class of its own.
macro_rules! new_rw {
    ($inner:expr, $name:literal) => {
        $crate::kernel::lock::Rw::new(
            $inner,
            ::kernel::c_str!($name),
            ::kernel::static_lock_class!(),
        )
    };
}
pub(crate) use new_rw;

impl<T, B: RwBackend> Rw<T, B> {
    /// An initialiser; [`new_rw`] supplies the lock class.
    pub(crate) fn new(
        data: T,
        name: &'static CStr,
        key: Pin<&'static LockClassKey>,
    ) -> impl PinInit<Self> {
        pin_init!(Self {
            // SAFETY: The slot is valid while the closure runs; name and key are static.
            state <- Opaque::ffi_init(|slot| unsafe {
                (B::INIT)(slot, name.as_char_ptr(), key.as_ptr().cast())
            }),
            _pin: PhantomPinned,
            data: UnsafeCell::new(data),
        })
    }

    /// Waits until nobody writes, and reads.
    #[inline]
    pub(crate) fn read(&self) -> ReadGuard<'_, T, B> {
        // SAFETY: A `Rw` exists only initialised.
        unsafe { (B::READ)(self.state.get()) };
        ReadGuard(self, NotThreadSafe)
    }

    /// Waits until nobody else reads or writes, and writes.
    #[inline]
    pub(crate) fn write(&self) -> WriteGuard<'_, T, B> {
        // SAFETY: As above.
        unsafe { (B::WRITE)(self.state.get()) };
        WriteGuard(self, NotThreadSafe)
    }
}

/// Holds a [`Rw`] for reading.
pub(crate) struct ReadGuard<'a, T, B: RwBackend>(&'a Rw<T, B>, NotThreadSafe);

impl<T, B: RwBackend> Deref for ReadGuard<'_, T, B> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: The lock is held for reading, so nobody writes.
        unsafe { &*self.0.data.get() }
    }
}

impl<T, B: RwBackend> Drop for ReadGuard<'_, T, B> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: The guard holds the lock.
        unsafe { (B::READ_UNLOCK)(self.0.state.get()) };
    }
}

/// Holds a [`Rw`] for writing.
pub(crate) struct WriteGuard<'a, T, B: RwBackend>(&'a Rw<T, B>, NotThreadSafe);

impl<T, B: RwBackend> Deref for WriteGuard<'_, T, B> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: The lock is held for writing.
        unsafe { &*self.0.data.get() }
    }
}

impl<T, B: RwBackend> DerefMut for WriteGuard<'_, T, B> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: The lock is held for writing, so this is the only access.
        unsafe { &mut *self.0.data.get() }
    }
}

impl<T, B: RwBackend> Drop for WriteGuard<'_, T, B> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: The guard holds the lock.
        unsafe { (B::WRITE_UNLOCK)(self.0.state.get()) };
    }
}
