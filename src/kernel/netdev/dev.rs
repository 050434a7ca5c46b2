// SPDX-License-Identifier: GPL-2.0

//! The private part of a network device, and references to it.
//!
//! C headers: `include/linux/netdevice.h`, `include/net/net_namespace.h`.

use super::{NetDevice, RtnlLinkOps};
use crate::kernel::{bindings, net::Net, once::HasStatic, rtnl::Rtnl, skb::Skb};
use core::{
    marker::{PhantomData, PhantomPinned},
    mem::ManuallyDrop,
    ops::Deref,
    ptr::{self, NonNull},
    sync::atomic::{AtomicPtr, AtomicU64, Ordering},
};
use kernel::{
    prelude::*,
    str::CStr,
    sync::{Completion, Refcount},
};

/// A kind of network device.
pub(crate) trait Driver:
    HasStatic<RtnlLinkOps<Self>> + Send + Sync + Sized + 'static
{
    /// The kind's name, as in `ip link add type NAME`.
    const KIND: &'static CStr;
    /// Bytes that the tunnel adds to each packet, UDP and IPv6 headers included.
    const OVERHEAD: u32;
    /// Packets grow to a multiple of this.
    const PADDING: u32;
    /// The name of the switch that ethtool(8) shows as a private flag.
    const PRIV_FLAG: &'static CStr;
    /// Bytes that it may add behind a packet.
    const TAILROOM: u16;

    /// The private part of a new device.
    fn create<'a>(dev: &'a NetDevice, rtnl: &'a Rtnl) -> impl PinInit<Self, Error> + 'a;
    /// The interface goes up.
    fn open(dev: &Dev<Self>, rtnl: &Rtnl) -> Result;
    /// The interface goes down.
    fn stop(dev: &Dev<Self>, rtnl: &Rtnl);
    /// Whether that switch is on.
    fn priv_flag(dev: &Dev<Self>) -> bool;
    /// It is turned on or off.
    fn set_priv_flag(dev: &Dev<Self>, rtnl: &Rtnl, on: bool);
    /// A packet is to be sent.
    fn transmit(dev: &Dev<Self>, skb: Skb) -> Result;
    /// The device is no interface any more, and nobody can find it. Sockets that it has still are to
    /// be closed, or the machine stops: who looks after those of a namespace that goes will not find it
    /// either.
    fn close(dev: &Dev<Self>, rtnl: &Rtnl);
    /// The device has gone. All references that the driver's own objects hold to it are to be
    /// dropped, directly or by what was started; whoever calls this waits for them.
    fn destroy(dev: &Dev<Self>);
    /// The transit netns is going. It is forgotten already. Sockets that the device has there are to be
    /// closed, or the machine stops: what they look at is freed next.
    fn transit_net_exit(dev: &Dev<Self>, rtnl: &Rtnl);
}

/// In how many namespaces sockets of a device can be: those that it had and those that it gets.
const NETS: usize = 2;
/// In place of a namespace: the device has gone where its sockets would not be closed.
const NOWHERE: *mut bindings::net = NonNull::dangling().as_ptr();

/// Devices of every kind are numbered from 1 on.
static NEXT_NUMBER: AtomicU64 = AtomicU64::new(1);

/// The private part of a network device.
///
/// # Invariants
///
/// `dev` is the device that this is the private part of, and is valid while this exists. `refs` is
/// one more than there are [`DevRef`]s, until the device is being destroyed. `transit_net` is null or
/// a namespace whose exit handler has not run yet; it changes under RTNL. `nets` has the namespace of
/// each [`InNet`], of which none is of a namespace whose exit handler has run.
#[pin_data]
pub(crate) struct Dev<D: Driver> {
    dev: NonNull<bindings::net_device>,
    refs: Refcount,
    #[pin]
    idle: Completion,
    transit_net: AtomicPtr<bindings::net>,
    nets: [AtomicPtr<bindings::net>; NETS],
    pub(super) next: AtomicPtr<Dev<D>>,
    number: u64,
    #[pin]
    data: D,
    #[pin]
    _pin: PhantomPinned,
}

// SAFETY: `D` is `Send + Sync`, the device synchronises by itself, all else is atomic.
unsafe impl<D: Driver> Send for Dev<D> {}
// SAFETY: As above.
unsafe impl<D: Driver> Sync for Dev<D> {}

impl<D: Driver> Deref for Dev<D> {
    type Target = D;

    #[inline]
    fn deref(&self) -> &D {
        &self.data
    }
}

impl<D: Driver> Dev<D> {
    /// The private part of a new device. It counts as one reference to itself.
    ///
    /// # Safety
    ///
    /// `dev` is set up and valid for as long as the result, which is put into its private part.
    /// `transit_net` is null or a namespace whose exit handler is yet to run.
    pub(super) unsafe fn new<'a>(
        dev: NonNull<bindings::net_device>,
        transit_net: *mut bindings::net,
        rtnl: &'a Rtnl,
    ) -> impl PinInit<Self, Error> + 'a {
        // SAFETY: By the contract.
        let netdev = unsafe { NetDevice::from_raw(dev.as_ptr()) };
        // INVARIANT: By the contract; no sockets as yet.
        try_pin_init!(Self {
            dev,
            refs: Refcount::new(1),
            idle <- Completion::new(),
            transit_net: AtomicPtr::new(transit_net),
            nets: [const { AtomicPtr::new(ptr::null_mut()) }; NETS],
            next: AtomicPtr::new(ptr::null_mut()),
            number: NEXT_NUMBER.fetch_add(1, Ordering::Relaxed),
            data <- D::create(netdev, rtnl),
            _pin: PhantomPinned,
        }? Error)
    }

    /// The network device.
    #[inline]
    pub(crate) fn netdev(&self) -> &NetDevice {
        // SAFETY: By the type invariant.
        unsafe { NetDevice::from_raw(self.dev.as_ptr()) }
    }

    /// Higher than that of every device before it.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// A reference that delays the end of the device.
    #[inline]
    pub(crate) fn get(&self) -> DevRef<D> {
        self.refs.inc();
        // INVARIANT: Counted just now; a count that is stuck is of a device that never ends.
        DevRef(NonNull::from(self), PhantomData)
    }

    /// The transit netns, in which the sockets are, unless it has gone.
    pub(crate) fn transit_net(&self, _rtnl: &Rtnl) -> Option<Net> {
        // SAFETY: Its exit handler has not run, and cannot while RTNL is held, so it is not freed.
        unsafe { Net::try_get(self.transit_net.load(Ordering::Relaxed)) }
    }

    /// Makes `net` the transit netns.
    pub(crate) fn set_transit_net(&self, _rtnl: &Rtnl, net: &Net) {
        // INVARIANT: `net` is alive, so its exit handler is yet to run.
        self.transit_net.store(net.as_ptr(), Ordering::Relaxed);
    }

    /// Has sockets of the device be in a namespace, as long as the result lives. `EBUSY`: they are in
    /// too many, or it is too late.
    pub(in crate::kernel) fn enter(&self, net: &Net) -> Result<InNet<D>> {
        let (none, relaxed) = (ptr::null_mut(), Ordering::Relaxed);
        // INVARIANT: `net` is alive, so its exit handler is yet to run.
        let at = self.nets.iter().position(|place| {
            place
                .compare_exchange(none, net.as_ptr(), relaxed, relaxed)
                .is_ok()
        });
        Ok(InNet {
            at: at.ok_or(EBUSY)?,
            dev: self.get(),
        })
    }

    /// The exit handler of `net` is running.
    pub(super) fn leave(&self, rtnl: &Rtnl, net: *mut bindings::net) {
        if ptr::eq(self.transit_net.load(Ordering::Relaxed), net) {
            self.transit_net.store(ptr::null_mut(), Ordering::Relaxed);
            D::transit_net_exit(self, rtnl);
        }
        let is_left = |place: &AtomicPtr<_>| place.load(Ordering::Acquire) != net;
        // A dead machine is better than one that looks at freed routes.
        assert!(self.nets.iter().all(is_left), "sockets outlive their netns");
    }

    /// From here on no exit handler finds the device.
    pub(super) fn leave_all(&self, _rtnl: &Rtnl) {
        for place in &self.nets {
            let net = place.swap(NOWHERE, Ordering::Acquire);
            assert!(net.is_null(), "sockets outlive their interface");
        }
    }

    /// Gives up the device's reference to itself, and waits for all others.
    pub(super) fn wait_unused(&self) {
        self.put();
        self.idle.wait_for_completion();
    }

    fn put(&self) {
        // Orders as well: what others did with the device is done when it is torn down.
        if self.refs.dec_and_test() {
            self.idle.complete_all();
        }
    }
}

/// A reference to a device's private part, which the end of the device waits for.
///
/// # Invariants
///
/// It is counted in the `refs` of what it points at.
pub(crate) struct DevRef<D: Driver>(NonNull<Dev<D>>, PhantomData<Dev<D>>);

// SAFETY: It gives access to `&Dev<D>`, which is `Sync`.
unsafe impl<D: Driver> Send for DevRef<D> {}
// SAFETY: As above.
unsafe impl<D: Driver> Sync for DevRef<D> {}

impl<D: Driver> DevRef<D> {
    pub(in crate::kernel) fn into_raw(self) -> *const () {
        ManuallyDrop::new(self).0.as_ptr().cast()
    }

    /// # Safety
    ///
    /// `raw` came from `into_raw`, and is taken back once.
    pub(in crate::kernel) unsafe fn from_raw(raw: *const ()) -> Self {
        // SAFETY: By the contract it is not null.
        Self(
            unsafe { NonNull::new_unchecked(raw.cast::<Dev<D>>().cast_mut()) },
            PhantomData,
        )
    }
}

impl<D: Driver> Deref for DevRef<D> {
    type Target = Dev<D>;

    #[inline]
    fn deref(&self) -> &Dev<D> {
        // SAFETY: By the type invariant the device waits for this value.
        unsafe { self.0.as_ref() }
    }
}

impl<D: Driver> Clone for DevRef<D> {
    fn clone(&self) -> Self {
        self.get()
    }
}

impl<D: Driver> Drop for DevRef<D> {
    fn drop(&mut self) {
        (**self).put();
    }
}

/// A reference to a device that has sockets in a namespace.
///
/// # Invariants
///
/// Place `at` among the device's `nets` belongs to it.
pub(in crate::kernel) struct InNet<D: Driver> {
    at: usize,
    dev: DevRef<D>,
}

impl<D: Driver> Deref for InNet<D> {
    type Target = Dev<D>;

    #[inline]
    fn deref(&self) -> &Dev<D> {
        &self.dev
    }
}

impl<D: Driver> Drop for InNet<D> {
    fn drop(&mut self) {
        if let Some(place) = self.dev.nets.get(self.at) {
            // Release: the sockets are closed.
            place.store(ptr::null_mut(), Ordering::Release);
        }
    }
}
