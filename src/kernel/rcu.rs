// SPDX-License-Identifier: GPL-2.0

//! Read-copy-update: evidence of a read section, counted objects that outlive every reader, and
//! pointers that are swapped under readers.
//!
//! C header: `include/linux/rcupdate.h`.

use super::{
    bindings,
    once::{Claim, Claimed},
};
use core::{
    cell::UnsafeCell,
    marker::PhantomData,
    mem::MaybeUninit,
    ops::Deref,
    ptr::{self, NonNull},
    sync::atomic::{fence, AtomicPtr, AtomicU32, Ordering},
};
use kernel::{container_of, prelude::*, str::CStr, types::NotThreadSafe};

/// Evidence that the current task is inside an RCU read section.
///
/// # Safety
///
/// While a value of the type exists, no grace period that began after its creation can end.
pub(crate) unsafe trait ReadSection {}

// SAFETY: `Guard` exists only between `rcu_read_lock()` and `rcu_read_unlock()`.
unsafe impl ReadSection for kernel::sync::rcu::Guard {}

/// Evidence that bottom halves are disabled on this CPU, which is an RCU read section too.
///
/// # Invariants
///
/// Bottom halves stay disabled on the current CPU for as long as the value exists.
pub(crate) struct BhGuard(NotThreadSafe);

impl BhGuard {
    /// Disables bottom halves and enters an RCU read section.
    #[inline]
    pub(crate) fn new() -> Self {
        // SAFETY: May be called in every context but hard interrupts, where no code of this
        // module runs; `drop` undoes it on the same CPU since the guard is not `Send`.
        unsafe { bindings::wg_rcu_read_lock_bh() };
        Self(NotThreadSafe)
    }
}

impl Drop for BhGuard {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: Pairs with the call in `new`.
        unsafe { bindings::wg_rcu_read_unlock_bh() };
    }
}

// SAFETY: Since RCU's flavours were merged, a grace period waits for BH-disabled regions as well,
// and `rcu_read_lock_bh()` begins one.
unsafe impl ReadSection for BhGuard {}

/// Evidence that bottom halves are disabled, so that what belongs to this CPU is ours.
///
/// # Safety
///
/// While a value of the type exists, bottom halves stay disabled on the current CPU.
pub(crate) unsafe trait BhDisabled: ReadSection {}

// SAFETY: By the type invariant.
unsafe impl BhDisabled for BhGuard {}

/// Waits until every read section that is running now has ended.
pub(crate) fn synchronize() {
    // SAFETY: Callers are in process context; the function checks so itself under lockdep.
    unsafe { bindings::synchronize_net() };
}

/// Waits until every callback that was queued before has run.
pub(crate) fn barrier() {
    // SAFETY: As for `synchronize`.
    unsafe { bindings::rcu_barrier() };
}

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
    fn allocate(&self) -> *mut kernel::ffi::c_void {
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

/// A counted object that is freed one grace period after its last reference has gone.
///
/// # Invariants
///
/// `ptr` points at a live `Inner<T>`, of whose `refs` this value owns one.
pub(crate) struct RcuArc<T: Shared> {
    ptr: NonNull<Inner<T>>,
}

/// What an [`RcuArc`] points at.
///
/// # Invariants
///
/// `data` is initialised from creation until the callback that frees the whole object.
#[repr(C)]
pub(crate) struct Inner<T> {
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
    pub(super) fn as_ptr(&self) -> *const T {
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
pub(crate) struct Ref<'a, T>(NonNull<Inner<T>>, PhantomData<&'a Inner<T>>);

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
        // SAFETY: By the type invariant.
        let refs = unsafe { &(*self.0.as_ptr()).refs };
        // INVARIANT: The count was raised.
        Inner::<T>::get_unless_zero(refs).then_some(RcuArc { ptr: self.0 })
    }

    /// The value, for as long as the read section lasts.
    #[inline]
    pub(crate) fn value(self) -> &'a T {
        // SAFETY: By the type invariant, and that of `Inner`.
        unsafe { &(*self.0.as_ptr()).data }
    }

    /// A pointer to the value, from which the whole object can be reached.
    #[inline]
    pub(super) fn as_ptr(self) -> *const T {
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
    pub(super) unsafe fn from_ptr(value: *const T) -> Self {
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
    /// Waits for the readers and gives the content back.
    pub(crate) fn wait(self) -> Option<KBox<T>> {
        let this = core::mem::ManuallyDrop::new(self);
        if this.0.is_null() {
            return None;
        }
        synchronize();
        // SAFETY: The pointer came out of a `RcuBox`, which owned it; no new reader can find it,
        // and the old ones have just ended.
        Some(unsafe { KBox::from_raw(this.0) })
    }
}

impl<T> Drop for Retired<T> {
    fn drop(&mut self) {
        drop(Self(self.0, PhantomData).wait());
    }
}
