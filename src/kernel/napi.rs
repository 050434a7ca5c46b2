// SPDX-License-Identifier: GPL-2.0

//! NAPI: delivery of received packets in batches, in softirq context or a thread.
//!
//! C header: `include/linux/netdevice.h`.

use super::{
    bindings,
    netdev::NetDevice,
    rcu::{BhDisabled, RcuArc, ReadSection, Ref, Shared},
    skb::Skb,
};
use core::{
    marker::PhantomData,
    ops::Deref,
    sync::atomic::{AtomicBool, Ordering},
};
use kernel::{prelude::*, types::Opaque};

/// What delivers an object's packets.
pub(crate) trait Poll: Shared {
    /// Delivers up to `budget` packets and returns how many there were. Less than `budget` means
    /// that there are no more for now.
    fn poll(this: Ref<'_, Self>, context: &PollContext<'_>, budget: u32) -> u32;
    /// The device that the packets are delivered on.
    fn netdev(&self) -> &NetDevice;
}

/// Says where in an object its [`Napi`] is; [`impl_has_napi`] implements it.
///
/// # Safety
///
/// `OFFSET` is the offset of a field of type `Napi<Self>` in `Self`.
pub(crate) unsafe trait HasNapi: Poll {
    /// Bytes from the start of the object.
    const OFFSET: usize;
}

/// Implements [`HasNapi`].
macro_rules! impl_has_napi {
    ($type:ty { self.$field:ident }) => {
        // SAFETY: The function compiles only if the field has the right type.
        #[allow(unsafe_code)]
        unsafe impl $crate::kernel::napi::HasNapi for $type {
            const OFFSET: usize = {
                #[allow(dead_code)]
                fn check(this: &$type) -> &$crate::kernel::napi::Napi<$type> {
                    &this.$field
                }
                ::core::mem::offset_of!($type, $field)
            };
        }
    };
}
pub(crate) use impl_has_napi;

/// Evidence of running inside a poll function: bottom halves are disabled.
pub(crate) struct PollContext<'a>(*mut bindings::napi_struct, PhantomData<&'a ()>);

// SAFETY: Poll functions run with bottom halves disabled, which a grace period waits for.
unsafe impl ReadSection for PollContext<'_> {}
// SAFETY: As above.
unsafe impl BhDisabled for PollContext<'_> {}

impl PollContext<'_> {
    /// Passes a packet up the stack, merged with its neighbours where possible.
    #[inline]
    pub(crate) fn receive(&self, skb: Skb) {
        // SAFETY: The instance is the one being polled; the packet passes to the stack.
        unsafe { bindings::wg_napi_gro_receive(self.0, skb.into_raw()) };
    }
}

/// A NAPI instance inside a `T`.
///
/// # Invariants
///
/// `napi` is registered with a network device for as long as there is a [`NapiEnabled`] for the `T` that
/// it is part of, which is so once at most, as `taken` says. At all other times its state says that
/// it is scheduled, so that scheduling it touches nothing but that.
#[pin_data]
#[repr(C)]
pub(crate) struct Napi<T> {
    #[pin]
    napi: Opaque<bindings::napi_struct>,
    taken: AtomicBool,
    _inside: PhantomData<fn(T)>,
}

// SAFETY: The C functions that are called through a shared reference synchronise by themselves.
unsafe impl<T> Sync for Napi<T> {}
// SAFETY: As above.
unsafe impl<T> Send for Napi<T> {}

impl<T: HasNapi> Napi<T> {
    /// An instance that is not registered.
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            // SAFETY: The slot is valid while the closure runs; all zeroes are valid but for the
            // state, which is as after `napi_disable()`.
            napi <- Opaque::ffi_init(|slot: *mut bindings::napi_struct| unsafe {
                slot.write_bytes(0, 1);
                (*slot).state =
                    1 << bindings::NAPI_STATE_NO_BUSY_POLL | 1 << bindings::NAPI_STATE_SCHED;
            }),
            taken: AtomicBool::new(false),
            _inside: PhantomData,
        })
    }

    /// The instance of an object for the kernel, whose pointer leads `poll` to all of the object.
    fn napi_of(object: &RcuArc<T>) -> *mut bindings::napi_struct {
        // SAFETY: By `HasNapi`; only addresses are computed.
        unsafe {
            let this = object.as_ptr().byte_add(T::OFFSET).cast::<Self>();
            Opaque::cast_into(&raw const (*this).napi)
        }
    }

    unsafe extern "C" fn poll(napi: *mut bindings::napi_struct, budget: i32) -> i32 {
        let Ok(budget) = u32::try_from(budget) else {
            return 0;
        };
        if budget == 0 {
            return 0;
        }
        // SAFETY: A registered instance is at `OFFSET` of a `T` in an `RcuArc`, to which its
        // `NapiEnabled` has a reference.
        let object = unsafe { Ref::from_ptr(napi.byte_sub(T::OFFSET).cast::<T>()) };
        let done = T::poll(object, &PollContext(napi, PhantomData), budget).min(budget) as i32;
        if (done as u32) < budget {
            // SAFETY: The instance is being polled, and there is no more work.
            unsafe { bindings::napi_complete_done(napi, done) };
        }
        done
    }

    /// Registers the instance of `object` with its device and lets it run. `None`: that was done
    /// before.
    pub(crate) fn start(object: RcuArc<T>) -> Option<NapiEnabled<T>> {
        let napi = Self::napi_of(&object);
        // SAFETY: By `HasNapi` that is where an instance is, in an object that is alive.
        let taken = unsafe { &(*napi.cast::<Self>()).taken };
        if taken.swap(true, Ordering::Relaxed) {
            return None;
        }
        // SAFETY: The instance never was registered, as nobody else got this far. It stays where it
        // is while it is: the `NapiEnabled` has a reference to the object. The device is borrowed from the
        // object, so it lives as long as that reference may be borrowed.
        unsafe {
            bindings::wg_netif_napi_add(object.netdev().as_ptr(), napi, Some(Self::poll));
            bindings::napi_enable(napi);
        }
        // INVARIANT: Registered just now, and never before.
        Some(NapiEnabled(object))
    }

    /// Has the poll function called.
    #[inline]
    pub(crate) fn schedule(&self) {
        // SAFETY: By the type invariant the instance is registered or scheduled already.
        unsafe { bindings::wg_napi_schedule(self.napi.get()) };
    }
}

/// An object whose [`Napi`] runs. Dropped, it waits for the poll function to end for good, for which
/// it may sleep.
///
/// # Invariants
///
/// The object's instance is registered, and there is no other such value for it, now or later.
pub(crate) struct NapiEnabled<T: HasNapi>(RcuArc<T>);

impl<T: HasNapi> NapiEnabled<T> {
    /// Waits until what was scheduled before has been delivered. The caller may sleep.
    pub(crate) fn settle(&self) {
        // SAFETY: By the type invariant the instance is registered.
        unsafe { bindings::wg_napi_synchronize(Napi::napi_of(&self.0)) };
    }

    /// Drops this and returns the object.
    pub(crate) fn stop(self) -> RcuArc<T> {
        self.0.clone()
    }
}

impl<T: HasNapi> Deref for NapiEnabled<T> {
    type Target = RcuArc<T>;

    #[inline]
    fn deref(&self) -> &RcuArc<T> {
        &self.0
    }
}

impl<T: HasNapi> Drop for NapiEnabled<T> {
    fn drop(&mut self) {
        let napi = Napi::napi_of(&self.0);
        // SAFETY: By the type invariant it is registered, and this value was the right to it. The
        // device is there still, as in `start`.
        unsafe {
            bindings::napi_disable(napi);
            // The object is freed a grace period after its last reference has gone, which is as
            // long as the stack may still look at the instance.
            bindings::wg_netif_napi_del(napi);
        }
    }
}
