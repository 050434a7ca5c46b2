// SPDX-License-Identifier: GPL-2.0

//! Network namespaces.
//!
//! C header: `include/net/net_namespace.h`.

use super::bindings;
use crate::judgement::Version;
use core::ptr::NonNull;
use kernel::{error::from_err_ptr, prelude::*, task::Kuid};

/// A network namespace that is kept alive.
///
/// # Invariants
///
/// The pointer is valid and a reference belongs to this value.
pub(crate) struct Net(NonNull<bindings::net>);

// SAFETY: Namespaces may be used from any thread.
unsafe impl Send for Net {}
// SAFETY: As above.
unsafe impl Sync for Net {}

impl Net {
    /// Takes over a reference.
    ///
    /// # Safety
    ///
    /// `net` is null or valid, and in the latter case a reference passes to the result.
    pub(super) unsafe fn from_raw(net: *mut bindings::net) -> Option<Self> {
        NonNull::new(net).map(Self)
    }

    /// Takes a reference, unless the namespace has begun to go.
    ///
    /// # Safety
    ///
    /// `net` is null or points at a namespace that is not freed yet.
    pub(super) unsafe fn try_get(net: *mut bindings::net) -> Option<Self> {
        if net.is_null() {
            return None;
        }
        // SAFETY: By the contract.
        unsafe { Self::from_raw(bindings::wg_maybe_get_net(net)) }
    }

    /// The namespace behind a descriptor of the current task's. `EBADF`: no such descriptor;
    /// `EINVAL`: it is none of a network namespace.
    pub(crate) fn of_fd(fd: u32) -> Result<Self> {
        let fd = i32::try_from(fd).map_err(|_| EBADF)?;
        // SAFETY: Any number may be asked for; the function returns a reference.
        unsafe { Self::from_raw(from_err_ptr(bindings::get_net_ns_by_fd(fd))?) }.ok_or(EINVAL)
    }

    /// The namespace of a process, as the current task's pid namespace numbers it. `ESRCH`: there
    /// is none.
    pub(crate) fn of_pid(pid: u32) -> Result<Self> {
        let pid = i32::try_from(pid).map_err(|_| ESRCH)?;
        // SAFETY: As above.
        unsafe { Self::from_raw(from_err_ptr(bindings::get_net_ns_by_pid(pid))?) }.ok_or(ESRCH)
    }

    /// Whether both are the same namespace.
    pub(crate) fn same(&self, other: &Net) -> bool {
        self.0 == other.0
    }

    /// The number by which this namespace knows `other`; one is assigned if need be.
    pub(crate) fn id_of(&self, other: &Net) -> i32 {
        // SAFETY: Both are valid; the callers are in process context and may sleep.
        unsafe {
            bindings::peernet2id_alloc(self.as_ptr(), other.as_ptr(), bindings::GFP_KERNEL_FLAGS)
        }
    }

    /// Whether binding to `port` takes a right in this namespace.
    pub(crate) fn is_privileged_port(&self, port: u16) -> bool {
        // SAFETY: Valid by the type invariant.
        port != 0 && unsafe { bindings::wg_port_requires_bind_service(self.as_ptr(), port) }
    }

    pub(super) fn as_ptr(&self) -> *mut bindings::net {
        self.0.as_ptr()
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        // SAFETY: The reference is ours and ends here.
        unsafe { bindings::wg_put_net(self.0.as_ptr()) };
    }
}

/// IPv4, to sockets and to netlink.
pub(crate) const AF_INET: u16 = bindings::AF_INET as u16;
/// IPv6.
pub(crate) const AF_INET6: u16 = bindings::AF_INET6 as u16;

/// The address family of a version of IP.
pub(crate) const fn family_of(version: Version) -> u16 {
    match version {
        Version::V4 => AF_INET,
        Version::V6 => AF_INET6,
    }
}

/// The user whom C has as `uid`.
pub(super) fn kuid(uid: bindings::kuid_t) -> Kuid {
    Kuid::from_raw(kernel::bindings::kuid_t { val: uid.val })
}

/// Whether the kernel has IPv6: it is built in, and not disabled at boot.
pub(crate) fn has_ipv6() -> bool {
    // SAFETY: Reads a flag.
    unsafe { bindings::wg_ipv6_mod_enabled() }
}
