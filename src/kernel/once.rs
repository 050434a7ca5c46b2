// SPDX-License-Identifier: GPL-2.0

//! What the kernel is told of in statics: which static is a type's, and the right to register it.

use core::sync::atomic::{AtomicBool, Ordering};
use kernel::prelude::*;

/// Says which static of type `S` belongs to a type; [`impl_has_static`] implements it.
///
/// # Safety
///
/// It is the same at each call.
pub(crate) unsafe trait HasStatic<S: 'static> {
    /// The static.
    fn get_static() -> &'static S;
}

/// Implements [`HasStatic`], with a static that nobody else can name.
macro_rules! impl_has_static {
    ($($owner:ty: $static:ty;)*) => {$(
        // SAFETY: There is one inside.
        #[allow(unsafe_code)]
        unsafe impl $crate::kernel::once::HasStatic<$static> for $owner {
            fn get_static() -> &'static $static {
                static STATIC: $static = <$static>::new();
                &STATIC
            }
        }
    )*};
}
pub(crate) use impl_has_static;

/// What somebody has or nobody does.
pub(super) struct Claim(AtomicBool);

/// Having it.
pub(super) struct Claimed(&'static Claim);

impl Claim {
    /// Nobody has it.
    pub(super) const fn new() -> Self {
        Self(AtomicBool::new(false))
    }

    /// Takes it, until the result is dropped. `EBUSY`: somebody has it.
    pub(super) fn take(&'static self) -> Result<Claimed> {
        // Acquire: who had it before is done.
        if self.0.swap(true, Ordering::Acquire) {
            return Err(EBUSY);
        }
        Ok(Claimed(self))
    }
}

impl Drop for Claimed {
    fn drop(&mut self) {
        self.0 .0.store(false, Ordering::Release);
    }
}
