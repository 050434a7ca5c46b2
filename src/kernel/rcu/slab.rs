// SPDX-License-Identifier: GPL-2.0

//! A slab cache for counted objects.
//!
//! C header: `include/linux/slab.h`.

use super::{arc::Inner, barrier, synchronize, Shared};
use crate::kernel::{
    bindings,
    once::{Claim, Claimed},
};
use core::{
    marker::PhantomData,
    ptr,
    sync::atomic::{AtomicPtr, AtomicU32, Ordering},
};
use kernel::{prelude::*, str::CStr};

/// A slab for objects of one type, in a static of the driver's.
///
/// # Invariants
///
/// `cache` is null, or was created by who has the `claim`, for objects of the size and alignment of
/// an `Inner<T>`. Who is counted in `users` may use what is there, until counted off.
pub(crate) struct Slab<T> {
    cache: AtomicPtr<bindings::kmem_cache>,
    users: AtomicU32,
    claim: Claim,
    _objects: PhantomData<fn(T)>,
}

impl<T: Shared> Slab<T> {
    /// A slab that objects cannot be allocated from yet.
    pub(crate) const fn new() -> Self {
        Self {
            cache: AtomicPtr::new(ptr::null_mut()),
            users: AtomicU32::new(0),
            claim: Claim::new(),
            _objects: PhantomData,
        }
    }

    /// Makes it usable, until the result is dropped; a slab with objects in it then is leaked. `EBUSY`:
    /// it is usable.
    pub(crate) fn create(&'static self, name: &'static CStr) -> Result<SlabGuard<T>> {
        let claimed = self.claim.take()?;
        // SAFETY: The name is static; size and alignment are those of a type.
        let cache = unsafe {
            bindings::wg_kmem_cache_create(
                name.as_char_ptr(),
                size_of::<Inner<T>>() as u32,
                align_of::<Inner<T>>() as u32,
            )
        };
        if cache.is_null() {
            return Err(ENOMEM);
        }
        self.cache.store(cache, Ordering::Release);
        Ok(SlabGuard(self, claimed))
    }

    /// Memory for an object, all zeroes, or null.
    pub(super) fn allocate(&self) -> *mut kernel::ffi::c_void {
        // In this order, and on the other side the other way round: either this finds no cache, or who
        // destroys it finds a user.
        self.users.fetch_add(1, Ordering::SeqCst);
        let cache = self.cache.load(Ordering::SeqCst);
        let memory = if cache.is_null() {
            ptr::null_mut()
        } else {
            // SAFETY: By the type invariant.
            unsafe { bindings::wg_kmem_cache_zalloc(cache, bindings::GFP_KERNEL_FLAGS) }
        };
        self.users.fetch_sub(1, Ordering::Release);
        memory
    }
}

/// Keeps a [`Slab`] usable.
pub(crate) struct SlabGuard<T: 'static>(
    &'static Slab<T>,
    #[expect(dead_code, reason = "dropped last")] Claimed,
);

impl<T> Drop for SlabGuard<T> {
    fn drop(&mut self) {
        let cache = self.0.cache.swap(ptr::null_mut(), Ordering::SeqCst);
        while self.0.users.load(Ordering::SeqCst) != 0 {
            // As good a way to wait as another.
            synchronize();
        }
        // Objects are freed by callbacks.
        barrier();
        // SAFETY: It was created by `create`, and there are no users. The kernel leaks it, with a
        // warning, if it is not empty: what is in it can still be freed.
        unsafe { bindings::kmem_cache_destroy(cache) };
    }
}
