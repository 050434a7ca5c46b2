// SPDX-License-Identifier: GPL-2.0

//! Bounded queues with many producers and many consumers.
//!
//! C header: `include/linux/ptr_ring.h`.

use super::{
    bindings,
    netdev::{DevRef, Driver},
    skb::Skb,
};
use core::{marker::PhantomData, mem::ManuallyDrop, ptr::NonNull};
use kernel::{error::to_result, ffi::c_void, prelude::*, types::Opaque};

/// What fits into a [`Ring`]: an owner that is one pointer.
///
/// # Safety
///
/// `from_raw` of what `into_raw` returned is the same value again.
pub(crate) unsafe trait RingItem: Send {
    /// Turns the value into its pointer.
    fn into_raw(self) -> NonNull<c_void>;

    /// Turns a pointer back.
    ///
    /// # Safety
    ///
    /// `raw` came from `into_raw`, and is turned back once; a value that is only looked at and then
    /// forgotten does not count.
    unsafe fn from_raw(raw: NonNull<c_void>) -> Self;
}

/// A ring of `T`s.
///
/// # Invariants
///
/// `ring` is initialised, and every pointer in it came from `T::into_raw` and belongs to it.
#[pin_data(PinnedDrop)]
pub(crate) struct Ring<T: RingItem> {
    #[pin]
    ring: Opaque<bindings::ptr_ring>,
    _owns: PhantomData<T>,
}

// SAFETY: The C ring locks for itself; items may change threads.
unsafe impl<T: RingItem> Sync for Ring<T> {}
// SAFETY: As above.
unsafe impl<T: RingItem> Send for Ring<T> {}

impl<T: RingItem> Ring<T> {
    /// A ring for `len` items.
    pub(crate) fn new(len: i32) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            // SAFETY: The slot is valid while the closure runs.
            ring <- Opaque::try_ffi_init(|slot| to_result(unsafe {
                bindings::wg_ptr_ring_init(slot, len, bindings::GFP_KERNEL_FLAGS)
            })),
            _owns: PhantomData,
        })
    }

    /// Puts an item in; a full ring gives it back.
    #[inline]
    pub(crate) fn produce(&self, item: T) -> Result<(), T> {
        let raw = item.into_raw();
        // SAFETY: Initialised by the type invariant.
        match unsafe { bindings::wg_ptr_ring_produce_bh(self.ring.get(), raw.as_ptr()) } {
            0 => Ok(()),
            // SAFETY: The ring did not take the pointer.
            _ => Err(unsafe { T::from_raw(raw) }),
        }
    }

    /// Puts an item in unless another producer is at it just now, or the ring is full.
    pub(crate) fn try_produce(&self, item: T) -> Result<(), T> {
        let raw = item.into_raw();
        let ring = self.ring.get();
        // SAFETY: Initialised by the type invariant; the lock is held around the insertion.
        let taken = unsafe {
            let lock = &raw mut (*ring).producer_lock;
            bindings::wg_spin_trylock_bh(lock) && {
                let full = bindings::wg_ptr_ring_produce_locked(ring, raw.as_ptr()) != 0;
                bindings::wg_spin_unlock_bh(lock);
                !full
            }
        };
        if taken {
            return Ok(());
        }
        // SAFETY: The ring did not take the pointer.
        Err(unsafe { T::from_raw(raw) })
    }

    /// Takes the oldest item.
    #[inline]
    pub(crate) fn consume(&self) -> Option<T> {
        // SAFETY: Initialised by the type invariant.
        let raw = unsafe { bindings::wg_ptr_ring_consume_bh(self.ring.get()) };
        // SAFETY: By the type invariant the pointer is an item's, and it has left the ring.
        NonNull::new(raw).map(|raw| unsafe { T::from_raw(raw) })
    }

    /// Takes the oldest item, and of those behind it, as long as there is room in `run`, each that `joins`
    /// the one before it. Returns how many there were.
    #[inline]
    pub(crate) fn consume_run(
        &self,
        run: &mut [Option<T>],
        joins: impl Fn(&T, &T) -> bool,
    ) -> usize {
        let ring = self.ring.get();
        // SAFETY: Initialised by the type invariant; the lock is held up to the end.
        let lock = unsafe { &raw mut (*ring).consumer_lock };
        // SAFETY: As above.
        unsafe { bindings::wg_spin_lock_bh(lock) };
        let (mut taken, mut last) = (0usize, None::<ManuallyDrop<T>>);
        for place in run {
            // SAFETY: The lock is held.
            let next = NonNull::new(unsafe { bindings::wg_ptr_ring_peek_locked(ring) });
            // SAFETY: By the type invariant the pointer is an item's, which is only looked at.
            let look = |raw| ManuallyDrop::new(unsafe { T::from_raw(raw) });
            let Some(next) = next.map(look) else {
                break;
            };
            if last.as_ref().is_some_and(|last| !joins(last, &next)) {
                break;
            }
            // SAFETY: The lock is held, and so this is the item that has been looked at.
            let raw = NonNull::new(unsafe { bindings::wg_ptr_ring_consume_locked(ring) });
            // SAFETY: By the type invariant the pointer is an item's, and it has left the ring.
            *place = raw.map(|raw| unsafe { T::from_raw(raw) });
            last = Some(next);
            taken = taken.wrapping_add(1);
        }
        // SAFETY: It was taken above.
        unsafe { bindings::wg_spin_unlock_bh(lock) };
        taken
    }
}

#[pinned_drop]
impl<T: RingItem> PinnedDrop for Ring<T> {
    fn drop(self: Pin<&mut Self>) {
        while let Some(item) = self.consume() {
            drop(item);
        }
        // SAFETY: Initialised by the type invariant, and empty.
        unsafe { bindings::wg_ptr_ring_cleanup(self.ring.get()) };
    }
}

/// A packet with the device that it came in by, which it keeps alive.
///
/// # Invariants
///
/// The `owner` of the packet's control block owns a reference to the device.
pub(crate) struct Received<D: Driver>(Skb, PhantomData<DevRef<D>>);

impl<D: Driver> Received<D> {
    /// Binds the two together.
    pub(crate) fn new(mut skb: Skb, device: DevRef<D>) -> Self {
        // SAFETY: The block belongs to whoever holds the packet.
        unsafe { (*skb.control_block()).owner = device.into_raw() };
        // INVARIANT: The reference was just put there.
        Self(skb, PhantomData)
    }

    /// Takes the two apart.
    pub(crate) fn into_parts(self) -> (Skb, DevRef<D>) {
        let this = ManuallyDrop::new(self);
        // SAFETY: `this` is not used or dropped any more, so the packet is moved out once. By the
        // type invariant the owner is a reference, which is taken back once.
        unsafe {
            let mut skb = core::ptr::read(&this.0);
            let device = DevRef::from_raw((*skb.control_block()).owner);
            (skb, device)
        }
    }
}

impl<D: Driver> Drop for Received<D> {
    fn drop(&mut self) {
        // SAFETY: By the type invariant; the packet, dropped after this, does not know of it.
        drop(unsafe { DevRef::<D>::from_raw((*self.0.control_block()).owner) });
    }
}

// SAFETY: The pointer is unique to the packet, and the reference stays in its control block.
unsafe impl<D: Driver> RingItem for Received<D> {
    fn into_raw(self) -> NonNull<c_void> {
        let this = ManuallyDrop::new(self);
        // SAFETY: `this` is not used or dropped any more, so the packet is moved out once.
        let skb = unsafe { core::ptr::read(&this.0) };
        // SAFETY: A packet's pointer is not null.
        unsafe { NonNull::new_unchecked(skb.into_raw().cast()) }
    }

    unsafe fn from_raw(raw: NonNull<c_void>) -> Self {
        // SAFETY: By the contract the packet passes to the result, on no list.
        Self(unsafe { Skb::from_raw(raw.as_ptr().cast()) }, PhantomData)
    }
}
