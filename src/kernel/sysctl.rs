// SPDX-License-Identifier: GPL-2.0

//! A switch in each network namespace that its owner sets by sysctl(8).
//!
//! C headers: `include/net/net_namespace.h`, `include/net/netns/generic.h`,
//! `include/linux/sysctl.h`.

use super::{
    bindings,
    net::Net,
    once::{Claim, Claimed, HasStatic},
    rcu,
};
use core::{
    cell::UnsafeCell,
    marker::PhantomData,
    ptr,
    sync::atomic::{AtomicBool, Ordering},
};
use kernel::{error::to_result, prelude::*, str::CStr};

/// What a switch is called, and where it is.
pub(crate) trait SysctlPath: HasStatic<NetSysctl<Self>> + Sized + 'static {
    /// The folder of sysctls, below the namespace's own.
    const FOLDER: &'static CStr;
    /// The name in it.
    const NAME: &'static CStr;
}

/// What a namespace has of it. Zeroed by the kernel when the namespace begins.
#[repr(C)]
struct State {
    header: *mut bindings::ctl_table_header,
    table: bindings::ctl_table,
    /// Written by the sysctl, so read as what another CPU may write.
    on: u8,
}

/// A switch as the kernel knows it, in the static of its type: on, unless somebody turns it off.
///
/// # Invariants
///
/// While somebody has the `claim` the structure belongs to the kernel. While `registered`, and
/// for a grace period after, every namespace has a [`State`] under the number `id`.
pub(crate) struct NetSysctl<S: SysctlPath> {
    pernet: UnsafeCell<bindings::pernet_operations>,
    id: UnsafeCell<u32>,
    claim: Claim,
    registered: AtomicBool,
    _switch: PhantomData<S>,
}

// SAFETY: The structure is handed to the kernel, which locks for itself; the number is written before
// `registered` is set.
unsafe impl<S: SysctlPath> Sync for NetSysctl<S> {}

impl<S: SysctlPath> NetSysctl<S> {
    /// One that is not registered.
    pub(crate) const fn new() -> Self {
        let mut pernet: bindings::pernet_operations = pin_init::zeroed();
        pernet.init = Some(Self::init);
        pernet.exit = Some(Self::exit);
        Self {
            pernet: UnsafeCell::new(pernet),
            id: UnsafeCell::new(0),
            claim: Claim::new(),
            registered: AtomicBool::new(false),
            _switch: PhantomData,
        }
    }

    /// Gives all namespaces the switch, until the result is dropped. `EBUSY`: they have it.
    pub(crate) fn register() -> Result<Registration<S>> {
        let this = S::get_static();
        let claimed = this.claim.take()?;
        // SAFETY: The structure is static, and not registered yet, as nobody else got this far.
        unsafe {
            let pernet = this.pernet.get();
            (*pernet).id = this.id.get();
            (*pernet).size = size_of::<State>();
            to_result(bindings::register_pernet_subsys(pernet))?;
        }
        // INVARIANT: All namespaces were given one.
        this.registered.store(true, Ordering::Release);
        Ok(Registration(this, claimed))
    }

    /// Whether a namespace has the switch on.
    pub(crate) fn is_on(net: &Net) -> bool {
        let this = S::get_static();
        let _section = kernel::sync::rcu::read_lock();
        // SAFETY: The namespace is alive. Its state stays for this read section, by the type
        // invariant.
        !this.registered.load(Ordering::Acquire)
            || unsafe { (&raw const (*this.state(net.as_ptr())).on).read_volatile() != 0 }
    }

    /// # Safety
    ///
    /// `net` is valid, and it has a state.
    unsafe fn state(&self, net: *const bindings::net) -> *mut State {
        // SAFETY: By the contract; the number was written by the registration.
        unsafe { bindings::wg_net_generic(net, *self.id.get()).cast() }
    }

    unsafe extern "C" fn init(net: *mut bindings::net) -> i32 {
        // SAFETY: The kernel has allocated and zeroed the state, and nobody else has the namespace.
        // The table stays where it is up to `exit`; it accepts a byte of 0 or 1.
        unsafe {
            let state = S::get_static().state(net);
            (*state).on = 1;
            let table = &raw mut (*state).table;
            (*table).procname = S::NAME.as_ptr().cast();
            (*table).data = (&raw mut (*state).on).cast();
            (*table).maxlen = 1;
            (*table).mode = 0o644;
            (*table).proc_handler = Some(bindings::proc_dou8vec_minmax);
            let numbers = (&raw const bindings::sysctl_vals).cast::<i32>();
            (*table).extra1 = numbers.cast_mut().cast();
            (*table).extra2 = numbers.add(1).cast_mut().cast();
            let folder = S::FOLDER.as_ptr().cast();
            (*state).header = bindings::wg_register_net_sysctl(net, folder, table);
            if (*state).header.is_null() && bindings::HAS_SYSCTL {
                return ENOMEM.to_errno();
            }
        }
        0
    }

    unsafe extern "C" fn exit(net: *mut bindings::net) {
        // SAFETY: The namespace was initialised. Whoever is in the file is waited for.
        unsafe {
            let state = S::get_static().state(net);
            if !(*state).header.is_null() {
                bindings::wg_unregister_net_sysctl((*state).header);
            }
            (*state).header = ptr::null_mut();
        }
    }
}

/// Keeps a [`NetSysctl`] registered.
pub(crate) struct Registration<S: SysctlPath>(
    &'static NetSysctl<S>,
    #[expect(dead_code, reason = "dropped last")] Claimed,
);

impl<S: SysctlPath> Drop for Registration<S> {
    fn drop(&mut self) {
        self.0.registered.store(false, Ordering::Relaxed);
        rcu::synchronize();
        // SAFETY: It was registered, and nobody looks at the states any more.
        unsafe { bindings::unregister_pernet_subsys(self.0.pernet.get()) };
    }
}
