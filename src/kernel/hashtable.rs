// SPDX-License-Identifier: GPL-2.0

//! Hash tables of counted objects: chains that readers walk under RCU.
//!
//! C header: `include/linux/rculist.h`.

use super::{
    lock::{SpinLockBh, SpinLockBhBackend},
    rcu::{RcuArc, ReadSection, Ref, Shared},
};
use core::{
    marker::PhantomData,
    ptr::{self, NonNull},
    sync::atomic::{AtomicBool, AtomicPtr, Ordering},
};
use kernel::{prelude::*, sync::lock};

/// The link of an object in chains of kind `ID`. An object is on one such chain at most.
pub(crate) struct HashNode<T> {
    next: AtomicPtr<T>,
    linked: AtomicBool,
}

impl<T> HashNode<T> {
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
pub(crate) unsafe trait Hashed<const ID: u64>: Shared {
    /// The link.
    fn link(&self) -> &HashNode<Self>;
}

/// Implements [`Hashed`].
macro_rules! impl_hashed {
    ($($id:literal: $type:ty { self.$field:ident })*) => {$(
        // SAFETY: A field of the object's; each invocation names another.
        #[allow(unsafe_code)]
        unsafe impl $crate::kernel::hashtable::Hashed<$id> for $type {
            #[inline]
            fn link(&self) -> &$crate::kernel::hashtable::HashNode<Self> {
                &self.$field
            }
        }
    )*};
}
pub(crate) use impl_hashed;

/// A chain. It owns a reference to each object on it.
///
/// # Invariants
///
/// From `first`, by the links, one comes to objects of each of which the chain owns a reference,
/// and then to null.
struct Bucket<T: Hashed<ID>, const ID: u64> {
    first: AtomicPtr<T>,
    _owns: PhantomData<RcuArc<T>>,
}

impl<T: Hashed<ID>, const ID: u64> Bucket<T, ID> {
    const fn new() -> Self {
        Self {
            first: AtomicPtr::new(ptr::null_mut()),
            _owns: PhantomData,
        }
    }

    /// # Safety
    ///
    /// Nobody else changes the chain meanwhile.
    unsafe fn insert(&self, object: RcuArc<T>) {
        // Acquire: whoever took it off another chain is done with its link.
        if object.link().linked.swap(true, Ordering::Acquire) {
            return;
        }
        let first = self.first.load(Ordering::Relaxed);
        // Release, both: who finds the object finds its link; and who is still at it since it was on
        // another chain goes on along this one, to objects that he finds here first.
        object.link().next.store(first, Ordering::Release);
        self.first
            .store(object.into_raw().cast_mut(), Ordering::Release);
    }

    /// # Safety
    ///
    /// Nobody else changes the chain meanwhile.
    unsafe fn remove(&self, object: &T) -> Option<RcuArc<T>> {
        let mut link = &self.first;
        loop {
            let this = link.load(Ordering::Relaxed);
            if ptr::eq(this, object) {
                let next = object.link().next.load(Ordering::Relaxed);
                link.store(next, Ordering::Release);
                object.link().linked.store(false, Ordering::Release);
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

impl<T: Hashed<ID>, const ID: u64> Drop for Bucket<T, ID> {
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

/// A hash table: chains, of which a hash says which, and the lock under which they change.
#[pin_data]
pub(crate) struct HashTable<T: Hashed<ID>, const ID: u64> {
    chains: KVVec<Bucket<T, ID>>,
    #[pin]
    lock: SpinLockBh<()>,
}

impl<T: Hashed<ID>, const ID: u64> HashTable<T, ID> {
    /// So many empty chains, which is to be a power of two.
    pub(crate) fn new(
        count: usize,
        lock: impl PinInit<SpinLockBh<()>>,
    ) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            chains: {
                let mut chains = KVVec::with_capacity(count, GFP_KERNEL)?;
                for _ in 0..count {
                    chains.push(Bucket::new(), GFP_KERNEL)?;
                }
                chains
            },
            lock <- lock,
        })
    }

    #[inline]
    fn chain(&self, hash: usize) -> Option<&Bucket<T, ID>> {
        self.chains.get(hash & self.chains.len().wrapping_sub(1))
    }

    /// The objects on the chain of a hash, newest first. An object that leaves the chain meanwhile may
    /// be among them, and if it enters another at once, objects of that one too: compare what you
    /// find.
    #[inline]
    pub(crate) fn iter<'g>(&self, _section: &'g impl ReadSection, hash: usize) -> Iter<'g, T, ID> {
        let first = self
            .chain(hash)
            .map_or(ptr::null_mut(), |chain| chain.first.load(Ordering::Acquire));
        Iter(first, PhantomData)
    }

    /// Keeps others from changing the table.
    pub(crate) fn lock(&self) -> HashTableGuard<'_, T, ID> {
        HashTableGuard {
            table: self,
            _guard: self.lock.lock(),
        }
    }
}

/// Holds the lock of [`HashTable`], to change them.
pub(crate) struct HashTableGuard<'a, T: Hashed<ID>, const ID: u64> {
    table: &'a HashTable<T, ID>,
    _guard: lock::Guard<'a, (), SpinLockBhBackend>,
}

impl<T: Hashed<ID>, const ID: u64> HashTableGuard<'_, T, ID> {
    /// Puts an object on the chain of its hash, unless it is on one of this kind already.
    pub(crate) fn insert(&mut self, hash: usize, object: RcuArc<T>) {
        if let Some(chain) = self.table.chain(hash) {
            // SAFETY: The lock is held without which no chain of the table changes.
            unsafe { chain.insert(object) };
        }
    }

    /// Takes an object off the chain of its hash. `None`: it was not on it.
    pub(crate) fn remove(&mut self, hash: usize, object: &T) -> Option<RcuArc<T>> {
        // SAFETY: As above.
        unsafe { self.table.chain(hash)?.remove(object) }
    }
}

/// Walks a chain.
pub(crate) struct Iter<'g, T, const ID: u64>(*mut T, PhantomData<&'g T>);

impl<'g, T: Hashed<ID>, const ID: u64> Iterator for Iter<'g, T, ID> {
    type Item = Ref<'g, T>;

    #[inline]
    fn next(&mut self) -> Option<Ref<'g, T>> {
        // SAFETY: The object was on a chain at some time in this read section, so the reference
        // that the chain owned is dropped in it at the earliest, and the object freed after it.
        let this = unsafe { Ref::from_ptr(NonNull::new(self.0)?.as_ptr()) };
        self.0 = this.value().link().next.load(Ordering::Acquire);
        Some(this)
    }
}
