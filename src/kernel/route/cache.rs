// SPDX-License-Identifier: GPL-2.0

//! A cache of routes.
//!
//! C header: `include/net/dst_cache.h`.

use super::{Flow4, Flow6, Route, Route4, Route6};
use crate::{
    judgement::Version,
    kernel::{bindings, rcu::BhGuard},
};
use core::{cell::UnsafeCell, ptr::NonNull};
use kernel::{error::to_result, prelude::*};

#[cfg(not(CONFIG_IPV6))]
use super::no_ipv6::{dst_cache_get_ip6, dst_cache_set_ip6};
#[cfg(CONFIG_IPV6)]
use bindings::{dst_cache_get_ip6, dst_cache_set_ip6};

/// The route that was used last, for each CPU.
///
/// # Invariants
///
/// `cache` is initialised, and has routes of `version` only.
pub(crate) struct RouteCache {
    cache: UnsafeCell<bindings::dst_cache>,
    version: Version,
}

// SAFETY: The cache is per CPU, and used with bottom halves disabled.
unsafe impl Send for RouteCache {}
// SAFETY: As above.
unsafe impl Sync for RouteCache {}

impl RouteCache {
    /// An empty cache.
    pub(crate) fn new() -> Result<Self> {
        let mut cache: bindings::dst_cache = pin_init::zeroed();
        // SAFETY: It is no more than a pointer to memory of each CPU and a time, so it may be moved.
        to_result(unsafe { bindings::dst_cache_init(&mut cache, bindings::GFP_KERNEL_FLAGS) })?;
        // INVARIANT: It was initialised.
        Ok(Self {
            cache: UnsafeCell::new(cache),
            version: Version::V4,
        })
    }

    /// The cached route, if it is still good, whose source address `flow` gets.
    #[inline]
    pub(crate) fn get4(&self, _bh: &BhGuard, flow: &mut Flow4) -> Option<Route4> {
        if self.version != Version::V4 {
            return None;
        }
        // SAFETY: By the type invariant; bottom halves are disabled.
        unsafe {
            Route4::from_raw(bindings::dst_cache_get_ip4(
                self.cache.get(),
                &mut flow.0.saddr,
            ))
        }
    }

    /// Remembers a route, if it is of the version that the cache is for.
    pub(crate) fn set4(&self, _bh: &BhGuard, route: &Route4, flow: &Flow4) {
        if self.version != Version::V4 {
            return;
        }
        // SAFETY: As above; the cache takes a reference of its own.
        unsafe {
            bindings::dst_cache_set_ip4(self.cache.get(), route.0 .0.as_ptr(), flow.0.saddr);
        }
    }

    /// The cached route, if it is still good, whose source address `flow` gets.
    #[inline]
    pub(crate) fn get6(&self, _bh: &BhGuard, flow: &mut Flow6) -> Option<Route6> {
        if self.version != Version::V6 {
            return None;
        }
        // SAFETY: As above.
        let dst = unsafe { dst_cache_get_ip6(self.cache.get(), &mut flow.0.saddr) };
        NonNull::new(dst).map(|dst| Route6(Route(dst)))
    }

    /// Remembers a route, if it is of the version that the cache is for.
    pub(crate) fn set6(&self, _bh: &BhGuard, route: &Route6, flow: &Flow6) {
        if self.version != Version::V6 {
            return;
        }
        // SAFETY: As above.
        unsafe {
            dst_cache_set_ip6(self.cache.get(), route.0 .0.as_ptr(), &flow.0.saddr);
        }
    }

    /// Has every CPU forget its route when it next looks.
    pub(crate) fn reset(&self) {
        // SAFETY: As above.
        unsafe { bindings::wg_dst_cache_reset(self.cache.get()) };
    }

    /// Has the cache be one for `version`.
    pub(crate) fn turn_to(&mut self, version: Version) {
        if self.version != version {
            self.reset_now();
            // INVARIANT: There are no routes in it.
            self.version = version;
        }
    }

    /// Forgets and releases all routes at once, so that no device of theirs is held any longer.
    pub(crate) fn reset_now(&mut self) {
        // SAFETY: As above; nobody else is using the cache, on any CPU.
        unsafe { bindings::dst_cache_reset_now(self.cache.get()) };
    }
}

impl Drop for RouteCache {
    fn drop(&mut self) {
        // SAFETY: Initialised by the type invariant, and nobody's any more.
        unsafe { bindings::dst_cache_destroy(self.cache.get()) };
    }
}
