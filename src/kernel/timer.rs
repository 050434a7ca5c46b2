// SPDX-License-Identifier: GPL-2.0

//! Timers that live inside counted objects.
//!
//! C header: `include/linux/timer.h`.

use super::{
    bindings,
    rcu::{RcuArc, ReadSection, Ref, Shared},
    time::Jiffies,
};
use core::marker::PhantomData;
use kernel::{prelude::*, str::CStr, sync::LockClassKey, types::Opaque};

/// What happens when timer `ID` of an object expires.
pub(crate) trait Expire<const ID: u64>: Shared {
    /// Runs in softirq context, unless the object has lost its last reference.
    fn expired(this: RcuArc<Self>);
}

/// Says where in an object its timer `ID` is; [`impl_has_timer`] implements it.
///
/// # Safety
///
/// `OFFSET` is the offset of a field of type `TimerList<Self, ID>` in `Self`.
pub(crate) unsafe trait HasTimer<const ID: u64>: Expire<ID> {
    /// Bytes from the start of the object.
    const OFFSET: usize;
}

/// Implements [`HasTimer`].
macro_rules! impl_has_timer {
    ($($id:literal: $type:ty { self.$($field:ident).+ })*) => {$(
        // SAFETY: The function compiles only if the field has the right type.
        #[allow(unsafe_code)]
        unsafe impl $crate::kernel::timer::HasTimer<$id> for $type {
            const OFFSET: usize = {
                #[allow(dead_code)]
                fn check(this: &$type) -> &$crate::kernel::timer::TimerList<$type, $id> {
                    &this.$($field).+
                }
                ::core::mem::offset_of!($type, $($field).+)
            };
        }
    )*};
}
pub(crate) use impl_has_timer;

/// A timer.
///
/// It does not keep its object alive: dropping it, which the object's end does, waits for a
/// callback that is running and rules out any later one.
///
/// # Invariants
///
/// `timer` is initialised with a callback that takes it for timer `ID` of a `T` inside an
/// `RcuArc`, and it is armed only where that is so.
#[pin_data(PinnedDrop)]
#[repr(C)]
pub(crate) struct TimerList<T, const ID: u64> {
    #[pin]
    timer: Opaque<bindings::timer_list>,
    _inside: PhantomData<fn(T)>,
}

// SAFETY: Timers may be used from any thread.
unsafe impl<T, const ID: u64> Sync for TimerList<T, ID> {}
// SAFETY: As above.
unsafe impl<T, const ID: u64> Send for TimerList<T, ID> {}

/// Creates a [`TimerList`] initialiser with a lock class of its own.
macro_rules! new_timer {
    ($name:literal) => {
        $crate::kernel::timer::TimerList::new(
            ::kernel::c_str!($name),
            ::kernel::static_lock_class!(),
        )
    };
}
pub(crate) use new_timer;

impl<T: HasTimer<ID>, const ID: u64> TimerList<T, ID> {
    /// An initialiser; [`new_timer`] supplies the lock class.
    pub(crate) fn new(name: &'static CStr, key: Pin<&'static LockClassKey>) -> impl PinInit<Self> {
        pin_init!(Self {
            // SAFETY: The slot is valid while the closure runs; name and key are static.
            timer <- Opaque::ffi_init(|slot| unsafe {
                bindings::wg_timer_init(
                    slot,
                    Some(Self::expired),
                    name.as_char_ptr(),
                    key.as_ptr().cast(),
                )
            }),
            _inside: PhantomData,
        })
    }

    unsafe extern "C" fn expired(timer: *mut bindings::timer_list) {
        // SAFETY: By the type invariant the timer is at `OFFSET` of a `T` in an `RcuArc`, whose
        // memory is freed only after the timer was shut down, and that waits for this function. Up
        // to then the object may be being dropped.
        let object = unsafe { RcuArc::try_from_value(timer.byte_sub(T::OFFSET).cast::<T>()) };
        if let Some(object) = object {
            T::expired(object);
        }
    }

    /// Lets timer `ID` of `object` expire `after` from now, instead of when it was going to. Whether it
    /// may is to be looked up in the same read section, so that whoever forbids it and then waits for
    /// a grace period finds it armed or not armed, and stays with that.
    #[inline]
    pub(crate) fn arm(_section: &impl ReadSection, object: Ref<'_, T>, after: Jiffies) {
        // SAFETY: By `HasTimer` that is where the timer is; the object is inside an `RcuArc`, as
        // the invariant demands. A timer that was shut down ignores this.
        unsafe {
            let this = object.as_ptr().byte_add(T::OFFSET).cast::<Self>();
            bindings::mod_timer(
                Opaque::cast_into(&raw const (*this).timer),
                after.from_now(),
            );
        }
    }
}

impl<T, const ID: u64> TimerList<T, ID> {
    /// Calls the timer off. A callback may still be running.
    #[inline]
    pub(crate) fn disarm(&self) {
        // SAFETY: Initialised by the type invariant.
        unsafe { bindings::timer_delete(self.timer.get()) };
    }

    /// Calls the timer off and waits for its callback. Not from the callback itself.
    pub(crate) fn disarm_sync(&self) {
        // SAFETY: As above.
        unsafe { bindings::timer_delete_sync(self.timer.get()) };
    }

    /// Whether it is going to expire.
    #[inline]
    pub(crate) fn is_armed(&self) -> bool {
        // SAFETY: As above.
        unsafe { bindings::wg_timer_pending(self.timer.get()) }
    }
}

#[pinned_drop]
impl<T, const ID: u64> PinnedDrop for TimerList<T, ID> {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: Initialised by the type invariant. Objects are dropped by an RCU callback, and
        // that is never the timer's own.
        unsafe { bindings::timer_shutdown_sync(self.timer.get()) };
    }
}
