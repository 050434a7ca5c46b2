// SPDX-License-Identifier: GPL-2.0

//! The RTNL mutex, under which links are configured.
//!
//! C header: `include/linux/rtnetlink.h`.

use super::bindings;
use core::ops::Deref;
use kernel::types::NotThreadSafe;

/// Evidence that the RTNL mutex is held.
pub(crate) struct Rtnl(NotThreadSafe);

impl Rtnl {
    /// Takes the mutex.
    pub(crate) fn lock() -> RtnlGuard {
        // SAFETY: Callers are in process context and do not hold it, as lockdep verifies.
        unsafe { bindings::rtnl_lock() };
        RtnlGuard(Self(NotThreadSafe))
    }

    /// # Safety
    ///
    /// The caller holds the mutex for as long as the result lives.
    pub(super) unsafe fn held() -> Self {
        Self(NotThreadSafe)
    }
}

/// Holds the RTNL mutex.
pub(crate) struct RtnlGuard(Rtnl);

impl Deref for RtnlGuard {
    type Target = Rtnl;

    fn deref(&self) -> &Rtnl {
        &self.0
    }
}

impl Drop for RtnlGuard {
    fn drop(&mut self) {
        // SAFETY: The guard holds the mutex.
        unsafe { bindings::rtnl_unlock() };
    }
}
