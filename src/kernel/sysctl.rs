// SPDX-License-Identifier: GPL-2.0

//! A switch in each network namespace that its owner sets by sysctl(8).
//!
//! C headers: `include/net/net_namespace.h`, `include/net/netns/generic.h`,
//! `include/linux/sysctl.h`.

use super::{bindings, net::Net, rcu};
use core::{
    cell::UnsafeCell,
    marker::PhantomData,
    mem::MaybeUninit,
    ptr,
    sync::atomic::{AtomicBool, Ordering},
};
use kernel::{error::to_result, prelude::*, str::CStr};

/// What a switch is called, and where it is.
pub(crate) trait Switch: 'static {
    /// The folder of sysctls, below the namespace's own.
    const FOLDER: &'static CStr;
    /// The name in it.
    const NAME: &'static CStr;
    /// What the kernel knows of it.
    fn of_nets() -> &'static NetSwitch<Self>
    where
        Self: Sized;
}

/// What a namespace has of it. Zeroed by the kernel when the namespace begins.
#[repr(C)]
struct State {
    header: *mut bindings::ctl_table_header,
    table: bindings::ctl_table,
    /// Written by the sysctl, so read as what another CPU may write.
    on: u8,
}

/// A switch as the kernel knows it, in a static of the driver's: on, unless somebody turns it off.
///
/// # Invariants
///
/// From registration to unregistration the structure belongs to the kernel. While `registered`, and
/// for a grace period after, every namespace has a [`State`] under the number `id`.
pub(crate) struct NetSwitch<S: Switch> {
    pernet: UnsafeCell<bindings::pernet_operations>,
    id: UnsafeCell<u32>,
    taken: AtomicBool,
    registered: AtomicBool,
    _switch: PhantomData<S>,
}

// SAFETY: The structure is handed to the kernel, which locks for itself; the number is written before
// `registered` is set.
unsafe impl<S: Switch> Sync for NetSwitch<S> {}

impl<S: Switch> NetSwitch<S> {
    /// One that is not registered.
    pub(crate) const fn new() -> Self {
        // SAFETY: All zeroes are valid: no functions.
        let mut pernet: bindings::pernet_operations =
            unsafe { MaybeUninit::zeroed().assume_init() };
        pernet.init = Some(Self::init);
        pernet.exit = Some(Self::exit);
        Self {
            pernet: UnsafeCell::new(pernet),
            id: UnsafeCell::new(0),
            taken: AtomicBool::new(false),
            registered: AtomicBool::new(false),
            _switch: PhantomData,
        }
    }

    /// Gives all namespaces the switch, until the result is dropped. `EBUSY`: they have it.
    pub(crate) fn register(&'static self) -> Result<Switches<S>> {
        if self.taken.swap(true, Ordering::Acquire) {
            return Err(EBUSY);
        }
        // SAFETY: The structure is static, and not registered yet, as nobody else got this far.
        let registered = unsafe {
            let pernet = self.pernet.get();
            (*pernet).id = self.id.get();
            (*pernet).size = size_of::<State>();
            to_result(bindings::register_pernet_subsys(pernet))
        };
        if let Err(error) = registered {
            self.taken.store(false, Ordering::Release);
            return Err(error);
        }
        // INVARIANT: All namespaces were given one.
        self.registered.store(true, Ordering::Release);
        Ok(Switches(self))
    }

    /// Whether a namespace has the switch on.
    pub(crate) fn is_on(&self, net: &Net) -> bool {
        let _section = kernel::sync::rcu::read_lock();
        // SAFETY: The namespace is alive. Its state stays for this read section, by the type
        // invariant.
        !self.registered.load(Ordering::Acquire)
            || unsafe { (&raw const (*self.state(net.as_ptr())).on).read_volatile() != 0 }
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
            let state = S::of_nets().state(net);
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
            let state = S::of_nets().state(net);
            if !(*state).header.is_null() {
                bindings::wg_unregister_net_sysctl((*state).header);
            }
            (*state).header = ptr::null_mut();
        }
    }
}

/// Keeps a [`NetSwitch`] registered.
pub(crate) struct Switches<S: Switch>(&'static NetSwitch<S>);

impl<S: Switch> Drop for Switches<S> {
    fn drop(&mut self) {
        self.0.registered.store(false, Ordering::Relaxed);
        rcu::synchronize();
        // SAFETY: It was registered, and nobody looks at the states any more.
        unsafe { bindings::unregister_pernet_subsys(self.0.pernet.get()) };
        self.0.taken.store(false, Ordering::Release);
    }
}
