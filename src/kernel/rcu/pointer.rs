// SPDX-License-Identifier: GPL-2.0

//! Pointers that are swapped under readers.
//!
//! C header: `include/linux/rcupdate.h`.

use super::{arc::Inner, synchronize, GracePeriod, RcuArc, ReadSection, Ref, Shared};
use core::{
    marker::PhantomData,
    ptr::{self, NonNull},
    sync::atomic::{AtomicPtr, Ordering},
};
use kernel::prelude::*;

/// A place for one reference that writers swap while readers look.
///
/// # Invariants
///
/// `ptr` is null or owns a reference to an [`RcuArc`]'s object.
pub(crate) struct RcuPtr<T: Shared> {
    ptr: AtomicPtr<Inner<T>>,
    _owns: PhantomData<RcuArc<T>>,
}

impl<T: Shared> RcuPtr<T> {
    /// An empty slot.
    pub(crate) const fn empty() -> Self {
        Self {
            ptr: AtomicPtr::new(ptr::null_mut()),
            _owns: PhantomData,
        }
    }

    /// What is there now.
    #[inline]
    pub(crate) fn load<'g>(&self, _section: &'g impl ReadSection) -> Option<Ref<'g, T>> {
        // INVARIANT: The pointer came from an `RcuArc`. Whoever removes it drops its reference by
        // way of `call_rcu`, whose grace period does not end before `'g` does.
        NonNull::new(self.ptr.load(Ordering::Acquire)).map(|ptr| Ref(ptr, PhantomData))
    }

    /// Puts `new` there and returns what was there. Readers may still be using that, so dropping
    /// it is the earliest moment at which its grace period begins.
    #[inline]
    pub(crate) fn swap(&self, new: Option<RcuArc<T>>) -> Option<RcuArc<T>> {
        let new = match new {
            Some(arc) => core::mem::ManuallyDrop::new(arc).ptr.as_ptr(),
            None => ptr::null_mut(),
        };
        // AcqRel: readers of the new pointer see the object behind it, and we the old one.
        let old = self.ptr.swap(new, Ordering::AcqRel);
        // INVARIANT: The reference that the slot owned passes to the returned value.
        NonNull::new(old).map(|ptr| RcuArc { ptr })
    }

    /// Whether something is there.
    #[inline]
    pub(crate) fn is_some(&self) -> bool {
        !self.ptr.load(Ordering::Relaxed).is_null()
    }

    /// Whether it is `other` that is there.
    #[inline]
    pub(crate) fn holds(&self, other: &RcuArc<T>) -> bool {
        ptr::eq(self.ptr.load(Ordering::Relaxed), other.ptr.as_ptr())
    }
}

impl<T: Shared> Drop for RcuPtr<T> {
    fn drop(&mut self) {
        drop(self.swap(None));
    }
}

/// A place for an owned object that writers swap while readers look, and whose old content is
/// freed in process context (it may hold what can only be closed there).
///
/// # Invariants
///
/// `ptr` is null or came from `KBox::into_raw`, and belongs to this value.
pub(crate) struct RcuBox<T> {
    ptr: AtomicPtr<T>,
    _owns: PhantomData<KBox<T>>,
}

// SAFETY: Readers on other threads get `&T`; what is taken out may be dropped on any thread.
unsafe impl<T: Send + Sync> Sync for RcuBox<T> {}

impl<T> RcuBox<T> {
    /// An empty slot.
    pub(crate) const fn empty() -> Self {
        Self {
            ptr: AtomicPtr::new(ptr::null_mut()),
            _owns: PhantomData,
        }
    }

    /// What is there now.
    #[inline]
    pub(crate) fn load<'g>(&'g self, _section: &'g impl ReadSection) -> Option<&'g T> {
        // SAFETY: What `swap` takes out is freed only by `Retired`, after a grace period.
        unsafe { self.ptr.load(Ordering::Acquire).as_ref() }
    }

    /// Puts `new` there; the old content comes back in a wrapper that readers have to leave first.
    pub(crate) fn swap(&self, new: Option<KBox<T>>) -> Retired<T> {
        let new = new.map_or(ptr::null_mut(), KBox::into_raw);
        Retired(self.ptr.swap(new, Ordering::AcqRel), PhantomData)
    }
}

impl<T> Drop for RcuBox<T> {
    fn drop(&mut self) {
        let ptr = *self.ptr.get_mut();
        if !ptr.is_null() {
            // SAFETY: By the type invariant; `&mut self` rules out readers.
            drop(unsafe { KBox::from_raw(ptr) });
        }
    }
}

/// Former content of a [`RcuBox`], at which readers may still be looking.
#[must_use = "dropping it waits for a grace period"]
pub(crate) struct Retired<T>(*mut T, PhantomData<KBox<T>>);

impl<T> Retired<T> {
    /// Waits for a grace period, whether there is content or not, and gives that back.
    pub(crate) fn synchronize(self) -> (Option<KBox<T>>, GracePeriod) {
        let this = core::mem::ManuallyDrop::new(self);
        let waited = synchronize();
        let content = NonNull::new(this.0).map(|content| {
            // SAFETY: The pointer came out of a `RcuBox`, which owned it; no new reader can find it,
            // and the old ones have just ended.
            unsafe { KBox::from_raw(content.as_ptr()) }
        });
        (content, waited)
    }

    /// Waits for the readers and gives the content back.
    pub(crate) fn wait(self) -> Option<KBox<T>> {
        if self.0.is_null() {
            return None;
        }
        self.synchronize().0
    }
}

impl<T> Drop for Retired<T> {
    fn drop(&mut self) {
        if !self.0.is_null() {
            drop(Self(self.0, PhantomData).synchronize());
        }
    }
}
