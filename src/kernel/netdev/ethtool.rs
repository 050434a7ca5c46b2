// SPDX-License-Identifier: GPL-2.0

//! A switch of each device that ethtool(8) shows and sets: a private flag.
//!
//! C header: `include/linux/ethtool.h`.

use super::{Dev, Driver};
use crate::kernel::{bindings, errno::EOPNOTSUPP, rtnl::Rtnl};

/// The operations by which the kernel gets at the flag of a `D`.
pub(super) const fn ops<D: Driver>() -> bindings::ethtool_ops {
    let mut ops: bindings::ethtool_ops = pin_init::zeroed();
    ops.get_sset_count = Some(count::<D>);
    ops.get_strings = Some(names::<D>);
    ops.get_priv_flags = Some(flags::<D>);
    ops.set_priv_flags = Some(set_flags::<D>);
    ops
}

unsafe extern "C" fn count<D: Driver>(_dev: *mut bindings::net_device, set: i32) -> i32 {
    if set as u32 == bindings::ethtool_stringset_ETH_SS_PRIV_FLAGS {
        1
    } else {
        EOPNOTSUPP.to_errno()
    }
}

unsafe extern "C" fn names<D: Driver>(_dev: *mut bindings::net_device, set: u32, to: *mut u8) {
    const { assert!(D::PRIV_FLAG.count_bytes() < bindings::ETH_GSTRING_LEN as usize) };
    if set == bindings::ethtool_stringset_ETH_SS_PRIV_FLAGS {
        let name = D::PRIV_FLAG.to_bytes_with_nul();
        // SAFETY: There is room for as many names as `count` says, of `ETH_GSTRING_LEN` bytes each, which
        // the name is shorter than.
        unsafe { core::ptr::copy_nonoverlapping(name.as_ptr(), to, name.len()) };
    }
}

unsafe extern "C" fn flags<D: Driver>(dev: *mut bindings::net_device) -> u32 {
    // SAFETY: The device is registered, so that its private part is initialised.
    D::priv_flag(unsafe { private(dev) }).into()
}

unsafe extern "C" fn set_flags<D: Driver>(dev: *mut bindings::net_device, flags: u32) -> i32 {
    // SAFETY: As above. Called under RTNL.
    unsafe { D::set_priv_flag(private(dev), &Rtnl::held(), flags & 1 != 0) };
    0
}

/// # Safety
///
/// `dev` is a device of kind `D` whose private part is initialised, for `'a`.
unsafe fn private<'a, D: Driver>(dev: *mut bindings::net_device) -> &'a Dev<D> {
    // SAFETY: By the contract.
    unsafe { &*bindings::wg_netdev_priv(dev).cast::<Dev<D>>() }
}
