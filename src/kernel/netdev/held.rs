// SPDX-License-Identifier: GPL-2.0

//! Devices that are looked up by name or index.
//!
//! C header: `include/linux/netdevice.h`.

use super::{Dev, Driver};
use crate::kernel::{bindings, errno::EOPNOTSUPP};
use core::{
    marker::PhantomData,
    ops::Deref,
    ptr::{self, NonNull},
};
use kernel::{prelude::*, str::CStr};

/// A device that was found by name or index, and is held.
///
/// # Invariants
///
/// The pointer is the private part of a device of which one `dev_hold()` reference is owned.
pub(crate) struct HeldDev<D: Driver>(NonNull<Dev<D>>, PhantomData<Dev<D>>);

impl<D: Driver> Deref for HeldDev<D> {
    type Target = Dev<D>;

    fn deref(&self) -> &Dev<D> {
        // SAFETY: A held device is not torn down.
        unsafe { self.0.as_ref() }
    }
}

impl<D: Driver> Drop for HeldDev<D> {
    fn drop(&mut self) {
        // SAFETY: The reference is ours and ends here.
        unsafe { bindings::wg_dev_put((**self).netdev().as_ptr()) };
    }
}

impl<D: Driver> HeldDev<D> {
    /// # Safety
    ///
    /// `dev` is null or a reference to it passes to the result.
    unsafe fn new(dev: *mut bindings::net_device) -> Result<Self> {
        let dev = NonNull::new(dev).ok_or(ENODEV)?;
        // SAFETY: The device is held. Ours are told by the address of their operations, which
        // belong to `D` alone; a device is found only once it is registered, which is after its
        // private part was initialised.
        unsafe {
            if !ptr::eq((*dev.as_ptr()).netdev_ops, D::get_static().netdev_ops()) {
                bindings::wg_dev_put(dev.as_ptr());
                return Err(EOPNOTSUPP);
            }
            let private = bindings::wg_netdev_priv(dev.as_ptr()).cast::<Dev<D>>();
            Ok(Self(NonNull::new_unchecked(private), PhantomData))
        }
    }

    /// The device of number `index` in `net`.
    ///
    /// # Safety
    ///
    /// `net` is valid.
    pub(in crate::kernel) unsafe fn by_index(net: *mut bindings::net, index: u32) -> Result<Self> {
        // SAFETY: By the contract.
        unsafe { Self::new(bindings::dev_get_by_index(net, index as i32)) }
    }

    /// The device called `name` in `net`.
    ///
    /// # Safety
    ///
    /// `net` is valid.
    pub(in crate::kernel) unsafe fn by_name(net: *mut bindings::net, name: &CStr) -> Result<Self> {
        // SAFETY: By the contract.
        unsafe { Self::new(bindings::dev_get_by_name(net, name.as_char_ptr())) }
    }
}
