// SPDX-License-Identifier: GPL-2.0

//! Word of the machine's being suspended, or cloned.
//!
//! C headers: `include/linux/suspend.h`, `include/linux/random.h`.

use super::{
    bindings,
    once::{Claim, Claimed, HasStatic},
};
use core::{cell::UnsafeCell, marker::PhantomData};
use kernel::{error::to_result, prelude::*};

/// What is to be done then.
pub(crate) trait NotifierEvents: HasStatic<Notifiers<Self>> + Sized + 'static {
    /// The machine is about to be suspended or hibernated.
    fn suspending();
    /// The machine is a virtual one that was cloned or rolled back.
    fn cloned();
}

/// Notifier blocks, in the static of what they tell.
///
/// # Invariants
///
/// While somebody has the `claim` the blocks belong to the kernel.
pub(crate) struct Notifiers<E: NotifierEvents> {
    suspend: UnsafeCell<bindings::notifier_block>,
    clone: UnsafeCell<bindings::notifier_block>,
    claim: Claim,
    _events: PhantomData<E>,
}

// SAFETY: The blocks are handed to the kernel, which locks for itself.
unsafe impl<E: NotifierEvents> Sync for Notifiers<E> {}

impl<E: NotifierEvents> Notifiers<E> {
    /// Blocks that are not registered.
    pub(crate) const fn new() -> Self {
        let mut suspend: bindings::notifier_block = pin_init::zeroed();
        let mut clone: bindings::notifier_block = pin_init::zeroed();
        suspend.notifier_call = Some(Self::suspend);
        clone.notifier_call = Some(Self::clone);
        Self {
            suspend: UnsafeCell::new(suspend),
            clone: UnsafeCell::new(clone),
            claim: Claim::new(),
            _events: PhantomData,
        }
    }

    /// Begins to listen, until the result is dropped. `EBUSY`: somebody does.
    pub(crate) fn register() -> Result<Registration<E>> {
        let this = E::get_static();
        let claimed = this.claim.take()?;
        // SAFETY: The blocks are static, and not registered, as nobody else got this far.
        unsafe {
            to_result(bindings::wg_register_pm_notifier(this.suspend.get()))?;
            if let Err(error) = to_result(bindings::wg_register_vmfork_notifier(this.clone.get())) {
                bindings::wg_unregister_pm_notifier(this.suspend.get());
                return Err(error);
            }
        }
        Ok(Registration(this, claimed))
    }

    unsafe extern "C" fn suspend(
        _: *mut bindings::notifier_block,
        event: usize,
        _: *mut kernel::ffi::c_void,
    ) -> i32 {
        // A machine that sleeps whenever it is idle would never keep a session.
        if !bindings::SUSPENDS_ALL_THE_TIME
            && matches!(
                event as u32,
                bindings::PM_HIBERNATION_PREPARE | bindings::PM_SUSPEND_PREPARE
            )
        {
            E::suspending();
        }
        0
    }

    unsafe extern "C" fn clone(
        _: *mut bindings::notifier_block,
        _: usize,
        _: *mut kernel::ffi::c_void,
    ) -> i32 {
        E::cloned();
        0
    }
}

/// Keeps [`Notifiers`] registered.
pub(crate) struct Registration<E: NotifierEvents>(
    &'static Notifiers<E>,
    #[expect(dead_code, reason = "dropped last")] Claimed,
);

impl<E: NotifierEvents> Drop for Registration<E> {
    fn drop(&mut self) {
        // SAFETY: Both were registered.
        unsafe {
            bindings::wg_unregister_vmfork_notifier(self.0.clone.get());
            bindings::wg_unregister_pm_notifier(self.0.suspend.get());
        }
    }
}
