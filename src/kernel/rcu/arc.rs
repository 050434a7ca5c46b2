// SPDX-License-Identifier: GPL-2.0

//! Counted objects that outlive every reader.
//!
//! C headers: `include/linux/rcupdate.h`, `include/linux/slab.h`.

use super::Slab;
use crate::kernel::bindings;
use core::{
    cell::UnsafeCell,
    marker::PhantomData,
    mem::MaybeUninit,
    ops::Deref,
    ptr::{self, NonNull},
    sync::atomic::{fence, AtomicU32, Ordering},
};
use kernel::{container_of, prelude::*};

/// What an [`RcuArc`] holds.
pub(crate) trait Shared: Send + Sync + Sized + 'static {
    /// Called once, when the last reference has gone, before the grace period after which the
    /// value is dropped. Readers may still look at it; nobody can take a reference any more.
    /// Runs in the context of whoever dropped that reference, so it must not sleep.
    fn last_reference(&self) {}

    /// The slab that such objects come from; none: the general ones, in which a size is rounded up.
    fn slab() -> Option<&'static Slab<Self>> {
        None
    }
}

/// A counted object that is freed one grace period after its last reference has gone.
///
/// # Invariants
///
/// `ptr` points at a live `Inner<T>`, of whose `refs` this value owns one.
pub(crate) struct RcuArc<T: Shared> {
    pub(super) ptr: NonNull<Inner<T>>,
}

/// What an [`RcuArc`] points at.
///
/// # Invariants
///
/// `data` is initialised from creation until the callback that frees the whole object.
#[repr(C)]
pub(super) struct Inner<T> {
    refs: AtomicU32,
    head: UnsafeCell<MaybeUninit<bindings::callback_head>>,
    data: T,
}

// SAFETY: References to one object from several threads give shared access to `T` and may drop it
// on any of them; `Shared` demands `Send + Sync`.
unsafe impl<T: Shared> Send for RcuArc<T> {}
// SAFETY: As above.
unsafe impl<T: Shared> Sync for RcuArc<T> {}

/// Above this a counter is stuck: the object is leaked rather than freed too early, as
/// `refcount_t` does.
const SATURATED: u32 = 1 << 31;

impl<T: Shared> Inner<T> {
    #[inline]
    fn get(&self) {
        // Relaxed: whoever clones a reference has one already.
        if self.refs.fetch_add(1, Ordering::Relaxed) >= SATURATED {
            self.refs.store(SATURATED, Ordering::Relaxed);
        }
    }

    /// Raises a count, unless it is zero.
    #[inline]
    fn get_unless_zero(refs: &AtomicU32) -> bool {
        let mut now = refs.load(Ordering::Relaxed);
        loop {
            match now {
                0 => return false,
                SATURATED.. => return true,
                _ => (),
            }
            // Wraps never: `now` is below `SATURATED`.
            match refs.compare_exchange_weak(
                now,
                now.wrapping_add(1),
                Ordering::Acquire,
                Ordering::Relaxed,
            ) {
                Ok(_) => return true,
                Err(other) => now = other,
            }
        }
    }

    /// # Safety
    ///
    /// The caller gives up one reference that it owns.
    #[inline]
    unsafe fn put(this: NonNull<Self>) {
        // SAFETY: The caller's reference keeps the object alive up to the subtraction.
        let refs = unsafe { &(*this.as_ptr()).refs };
        if refs.load(Ordering::Relaxed) >= SATURATED {
            return;
        }
        // Release: what was done through this reference happens before the object is freed.
        if refs.fetch_sub(1, Ordering::Release) == 1 {
            fence(Ordering::Acquire);
            // SAFETY: The count was one, and that one was the caller's: the object is ours, and
            // nobody raises a count from zero.
            unsafe { Self::release(this) };
        }
    }

    /// # Safety
    ///
    /// The count has dropped to zero just now.
    #[cold]
    #[inline(never)]
    unsafe fn release(this: NonNull<Self>) {
        // SAFETY: The object is freed by the callback queued below and not before.
        unsafe { (*this.as_ptr()).data.last_reference() };
        // SAFETY: As above; `head` is used by nothing else, and queued once since the count
        // reaches zero once. It is inside the object, hence valid until the callback runs.
        unsafe {
            // Not by way of a reference to the field, beyond which `free` could not go.
            let head = (&raw mut (*this.as_ptr()).head).cast::<bindings::callback_head>();
            bindings::call_rcu(head, Some(Self::free));
        }
    }

    unsafe extern "C" fn free(head: *mut bindings::callback_head) {
        // SAFETY: `head` is the field of an `Inner<T>` that `release` queued.
        let this = unsafe { container_of!(head.cast::<UnsafeCell<_>>(), Self, head) };
        // SAFETY: The count is zero and a grace period has passed since, so no reader is left
        // either: this is the only access. The memory is wiped since it may hold keys.
        unsafe {
            ptr::drop_in_place(this);
            bindings::wg_memzero_explicit(this.cast(), size_of::<Self>());
            Self::deallocate(this);
        }
    }

    fn allocate() -> Result<NonNull<Self>> {
        const { assert!(align_of::<Self>() <= 8) };
        let memory = match T::slab() {
            Some(slab) => slab.allocate(),
            // SAFETY: Callers may sleep. What this returns is aligned to eight bytes at least.
            None => unsafe { bindings::wg_kzalloc(size_of::<Self>(), bindings::GFP_KERNEL_FLAGS) },
        };
        Ok(NonNull::new(memory.cast()).ok_or(ENOMEM)?)
    }

    /// # Safety
    ///
    /// `this` came from `allocate`, and nothing uses it any more.
    unsafe fn deallocate(this: *mut Self) {
        // SAFETY: By the contract; memory of a slab is freed to the slab that it came from.
        unsafe { bindings::kfree(this.cast()) };
    }
}

impl<T: Shared> RcuArc<T> {
    /// Allocates an object and initialises it in place. May sleep.
    pub(crate) fn pin_init<E>(init: impl PinInit<T, E>) -> Result<Self>
    where
        Error: From<E>,
    {
        let ptr = Inner::<T>::allocate()?;
        let inner = ptr.as_ptr();
        // SAFETY: `inner` points at uninitialised memory of the right layout that nobody else
        // knows, and the reference to `data` ends with the initialisation. It is never moved, and
        // freed in place. Should `init` fail, `data` stays uninitialised and only the memory is freed.
        unsafe {
            (&raw mut (*inner).refs).write(AtomicU32::new(1));
            (&raw mut (*inner).head).write(UnsafeCell::new(MaybeUninit::uninit()));
            let data = &mut *(&raw mut (*inner).data).cast::<MaybeUninit<T>>();
            if let Err(error) = data.write_pin_init(init) {
                Inner::deallocate(inner);
                return Err(error.into());
            }
        }
        // INVARIANT: All fields were just initialised; the one reference is ours.
        Ok(Self { ptr })
    }

    /// A borrowed form that is tied to this reference.
    #[inline]
    pub(crate) fn borrow(&self) -> Ref<'_, T> {
        // INVARIANT: By that of `RcuArc` the object lives as long as `self`.
        Ref(self.ptr, PhantomData)
    }

    /// A pointer to the object's value, from which the whole object can be reached: what is made of
    /// a reference to the value ends with that.
    #[inline]
    pub(in crate::kernel) fn as_ptr(&self) -> *const T {
        self.borrow().as_ptr()
    }

    /// Turns the reference into a pointer to the object's value, to be given back to `from_raw`.
    #[inline]
    pub(crate) fn into_raw(self) -> *const T {
        core::mem::ManuallyDrop::new(self).as_ptr()
    }

    /// Takes a reference to an object, unless the last one has gone. The object may be being
    /// dropped meanwhile.
    ///
    /// # Safety
    ///
    /// `value` is, or was made of, what [`RcuArc::as_ptr`] says of an object whose memory is not
    /// freed yet.
    #[inline]
    pub(crate) unsafe fn try_from_value(value: *const T) -> Option<Self> {
        // SAFETY: By the contract `value` is inside an `Inner<T>`, of which nothing but the count
        // is looked at.
        unsafe {
            let ptr = Inner::from_data(value);
            // INVARIANT: The count was raised.
            Inner::<T>::get_unless_zero(&(*ptr.as_ptr()).refs).then_some(Self { ptr })
        }
    }

    /// Takes back a reference.
    ///
    /// # Safety
    ///
    /// [`RcuArc::into_raw`] was called on the object, and each such reference is taken back at most
    /// once; `value` is what it returned, or [`RcuArc::as_ptr`].
    #[inline]
    pub(crate) unsafe fn from_raw(value: *const T) -> Self {
        // SAFETY: `value` points at the `data` field of an `Inner<T>`.
        let ptr = unsafe { Inner::from_data(value) };
        Self { ptr }
    }
}

impl<T> Inner<T> {
    /// # Safety
    ///
    /// `data` points at the `data` field of an `Inner<T>`, and was made of a pointer to all of that.
    #[inline]
    unsafe fn from_data(data: *const T) -> NonNull<Self> {
        // SAFETY: By the contract the whole object surrounds `data`, so this stays inside it and
        // is not null.
        unsafe { NonNull::new_unchecked(container_of!(data, Self, data).cast_mut()) }
    }
}

impl<T: Shared> Clone for RcuArc<T> {
    #[inline]
    fn clone(&self) -> Self {
        // SAFETY: By the type invariant.
        unsafe { self.ptr.as_ref() }.get();
        // INVARIANT: The count was raised for the new value.
        Self { ptr: self.ptr }
    }
}

impl<T: Shared> Drop for RcuArc<T> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: This value owns a reference and ends here.
        unsafe { Inner::put(self.ptr) };
    }
}

impl<T: Shared> Deref for RcuArc<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: By the type invariant.
        unsafe { &self.ptr.as_ref().data }
    }
}

/// A counted object as a reader sees it: it is there, but its count may have dropped to zero.
///
/// # Invariants
///
/// The pointer is to an object that is not freed during `'a`.
pub(crate) struct Ref<'a, T>(
    pub(super) NonNull<Inner<T>>,
    pub(super) PhantomData<&'a Inner<T>>,
);

// SAFETY: It is no more than a `&Inner<T>`, of which `T` is shared between threads.
unsafe impl<T: Shared> Send for Ref<'_, T> {}
// SAFETY: As above.
unsafe impl<T: Shared> Sync for Ref<'_, T> {}

impl<T> Clone for Ref<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Ref<'_, T> {}

impl<'a, T: Shared> Ref<'a, T> {
    /// Takes a reference, unless the last one has gone.
    #[inline]
    pub(crate) fn get(self) -> Option<RcuArc<T>> {
        // SAFETY: By the type invariant, which is about such a pointer.
        unsafe { RcuArc::try_from_value(self.as_ptr()) }
    }

    /// The value, for as long as the read section lasts.
    #[inline]
    pub(crate) fn value(self) -> &'a T {
        // SAFETY: By the type invariant, and that of `Inner`.
        unsafe { &*self.as_ptr() }
    }

    /// A pointer to the value, from which the whole object can be reached.
    #[inline]
    pub(in crate::kernel) fn as_ptr(self) -> *const T {
        // SAFETY: By the type invariant; only an address is computed.
        unsafe { &raw const (*self.0.as_ptr()).data }
    }

    /// The object around a value that is known to live in one.
    ///
    /// # Safety
    ///
    /// `value` is, or was made of, what [`RcuArc::as_ptr`] says of an object that is not freed during
    /// `'a`.
    #[inline]
    pub(in crate::kernel) unsafe fn from_ptr(value: *const T) -> Self {
        // INVARIANT: By the contract.
        // SAFETY: As well.
        Self(unsafe { Inner::from_data(value) }, PhantomData)
    }
}

impl<T: Shared> Deref for Ref<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        self.value()
    }
}
