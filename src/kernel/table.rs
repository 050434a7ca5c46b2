// SPDX-License-Identifier: GPL-2.0

//! Chains of counted objects that readers walk under RCU: the buckets of hash tables.
//!
//! C header: `include/linux/rculist.h`.

use super::rcu::{RcuArc, ReadSection, Ref, Shared};
use core::{
    marker::PhantomData,
    ptr,
    sync::atomic::{AtomicBool, AtomicPtr, Ordering},
};

/// The link of an object in chains of kind `ID`. An object is on one such chain at most.
pub(crate) struct ChainLink<T> {
    next: AtomicPtr<T>,
    linked: AtomicBool,
}

impl<T> ChainLink<T> {
    pub(crate) const fn new() -> Self {
        Self {
            next: AtomicPtr::new(ptr::null_mut()),
            linked: AtomicBool::new(false),
        }
    }
}

/// Says which field links an object into chains of kind `ID`.
///
/// # Safety
///
/// The link is a field of the object's, the same at each call, and used by no other `ID`.
pub(crate) unsafe trait Chained<const ID: u64>: Shared {
    /// The link.
    fn link(&self) -> &ChainLink<Self>;
}

/// Implements [`Chained`].
macro_rules! impl_chained {
    ($($id:literal: $type:ty { self.$field:ident })*) => {$(
        // SAFETY: A field of the object's; each invocation names another.
        unsafe impl $crate::kernel::table::Chained<$id> for $type {
            #[inline]
            fn link(&self) -> &$crate::kernel::table::ChainLink<Self> {
                &self.$field
            }
        }
    )*};
}
pub(crate) use impl_chained;

/// A chain. It owns a reference to each object on it.
///
/// Changes are made by one task at a time, which shows it by a `&mut` to an `L`: what the one lock
/// protects under which chains with that link change.
///
/// # Invariants
///
/// From `first`, by the links, one comes to objects of each of which the chain owns a reference,
/// and then to null.
pub(crate) struct Chain<T: Chained<ID>, L, const ID: u64> {
    first: AtomicPtr<T>,
    _owns: PhantomData<(RcuArc<T>, fn(&mut L))>,
}

impl<T: Chained<ID>, L, const ID: u64> Chain<T, L, ID> {
    /// An empty chain.
    pub(crate) const fn new() -> Self {
        Self {
            first: AtomicPtr::new(ptr::null_mut()),
            _owns: PhantomData,
        }
    }

    /// The objects, newest first. An object that leaves the chain meanwhile may be among them, and
    /// if it enters another at once, objects of that one too: compare what you find.
    #[inline]
    pub(crate) fn iter<'g>(&self, _section: &'g impl ReadSection) -> Iter<'g, T, ID> {
        Iter(self.first.load(Ordering::Acquire), PhantomData)
    }

    /// Puts an object on the chain, unless it is on one of this kind already.
    pub(crate) fn insert(&self, _lock: &mut L, object: RcuArc<T>) {
        if object.link().linked.swap(true, Ordering::Relaxed) {
            return;
        }
        let first = self.first.load(Ordering::Relaxed);
        // Release, both: who finds the object finds its link; and who is still at it since it was on
        // another chain goes on along this one, to objects that he finds here first.
        object.link().next.store(first, Ordering::Release);
        self.first
            .store(object.into_raw().cast_mut(), Ordering::Release);
    }

    /// Takes an object off. `None`: it was not on the chain.
    pub(crate) fn remove(&self, _lock: &mut L, object: &T) -> Option<RcuArc<T>> {
        let mut link = &self.first;
        loop {
            let this = link.load(Ordering::Relaxed);
            if ptr::eq(this, object) {
                let next = object.link().next.load(Ordering::Relaxed);
                link.store(next, Ordering::Release);
                object.link().linked.store(false, Ordering::Relaxed);
                // The removed object's own link stays, for readers who are at it.
                // SAFETY: The chain owned a reference, which it gives up by forgetting it.
                return Some(unsafe { RcuArc::from_raw(this) });
            }
            // SAFETY: The objects on the chain are alive, since it owns a reference to each and
            // nobody but us removes one now.
            match unsafe { this.as_ref() } {
                Some(other) => link = &other.link().next,
                None => return None,
            }
        }
    }
}

impl<T: Chained<ID>, L, const ID: u64> Drop for Chain<T, L, ID> {
    fn drop(&mut self) {
        let mut next = *self.first.get_mut();
        while !next.is_null() {
            // SAFETY: By the type invariant; the link is read before the reference is given up.
            unsafe {
                let this = RcuArc::from_raw(next);
                next = this.link().next.load(Ordering::Relaxed);
                drop(this);
            }
        }
    }
}

/// Walks a [`Chain`].
pub(crate) struct Iter<'g, T, const ID: u64>(*mut T, PhantomData<&'g T>);

impl<'g, T: Chained<ID>, const ID: u64> Iterator for Iter<'g, T, ID> {
    type Item = Ref<'g, T>;

    #[inline]
    fn next(&mut self) -> Option<Ref<'g, T>> {
        // SAFETY: The object was on a chain at some time in this read section, so the reference
        // that the chain owned is dropped in it at the earliest, and the object freed after it.
        let this = unsafe { Ref::from_value(self.0.as_ref()?) };
        self.0 = this.value().link().next.load(Ordering::Acquire);
        Some(this)
    }
}
