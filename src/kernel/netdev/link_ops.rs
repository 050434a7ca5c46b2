// SPDX-License-Identifier: GPL-2.0

//! A kind of link: its life, and the operations that the stack calls.
//!
//! C headers: `include/net/rtnetlink.h`, `include/linux/netdevice.h`,
//! `include/net/net_namespace.h`.

use super::{ethtool, Dev, Driver};
use crate::kernel::{
    bindings,
    once::{Claim, Claimed},
    rcu,
    rtnl::Rtnl,
    skb::{Skb, DATA_HEADROOM},
};
use core::{
    cell::UnsafeCell,
    mem::{offset_of, MaybeUninit},
    ptr::{self, NonNull},
    sync::atomic::{AtomicPtr, Ordering},
};
use kernel::{
    error::{from_result, to_result},
    prelude::*,
};

/// A kind of device as the kernel knows it, in the static of its driver.
///
/// # Invariants
///
/// While somebody has the `claim` the C structures in cells belong to the kernel. `devices` begins a
/// list, linked by `next`, of all devices of the kind that are not destroyed; it changes under
/// RTNL.
pub(crate) struct RtnlLinkOps<D: Driver> {
    link: UnsafeCell<bindings::rtnl_link_ops>,
    pernet: UnsafeCell<bindings::pernet_operations>,
    // What the kernel only reads. The addresses are those that are here, once for all.
    ops: &'static bindings::net_device_ops,
    devtype: &'static bindings::device_type,
    ethtool: &'static bindings::ethtool_ops,
    devices: AtomicPtr<Dev<D>>,
    claim: Claim,
}

// SAFETY: The structures are handed to the kernel, which locks for itself; the list is under RTNL.
unsafe impl<D: Driver> Sync for RtnlLinkOps<D> {}

impl<D: Driver> RtnlLinkOps<D> {
    const OPS: &'static bindings::net_device_ops = &{
        let mut ops: bindings::net_device_ops = pin_init::zeroed();
        ops.ndo_open = Some(Self::open);
        ops.ndo_stop = Some(Self::stop);
        ops.ndo_start_xmit = Some(Self::xmit);
        ops
    };
    const DEVTYPE: &'static bindings::device_type = &{
        let mut devtype: bindings::device_type = pin_init::zeroed();
        devtype.name = D::KIND.as_ptr().cast();
        devtype
    };
    const ETHTOOL: &'static bindings::ethtool_ops = &ethtool::ops::<D>();

    /// A kind that is not registered.
    pub(crate) const fn new() -> Self {
        let mut link: bindings::rtnl_link_ops = pin_init::zeroed();
        let mut pernet: bindings::pernet_operations = pin_init::zeroed();
        // Where the kernel puts a private part is good enough for this one.
        const {
            let align = align_of::<Dev<D>>();
            assert!(align_of::<bindings::net_device>() % align == 0);
            assert!(offset_of!(bindings::net_device, priv_) % align == 0);
        }
        link.kind = D::KIND.as_ptr().cast();
        link.priv_size = size_of::<Dev<D>>();
        link.setup = Some(Self::setup);
        link.newlink = Some(Self::newlink);
        pernet.exit_rtnl = Some(Self::exit_rtnl);
        Self {
            link: UnsafeCell::new(link),
            pernet: UnsafeCell::new(pernet),
            ops: Self::OPS,
            devtype: Self::DEVTYPE,
            ethtool: Self::ETHTOOL,
            devices: AtomicPtr::new(ptr::null_mut()),
            claim: Claim::new(),
        }
    }

    /// The address of the operations, by which devices of the kind are told from others.
    pub(super) fn netdev_ops(&self) -> *const bindings::net_device_ops {
        self.ops
    }

    /// Makes the kind known to the kernel until the result is dropped. `EBUSY`: it is.
    pub(crate) fn register() -> Result<Registration<D>> {
        let this = D::get_static();
        let claimed = this.claim.take()?;
        // SAFETY: The structures are static, filled in, and not registered, as nobody else got this far.
        unsafe {
            to_result(bindings::register_pernet_device(this.pernet.get()))?;
            if let Err(error) = to_result(bindings::rtnl_link_register(this.link.get())) {
                bindings::unregister_pernet_device(this.pernet.get());
                return Err(error);
            }
        }
        Ok(Registration(this, claimed))
    }

    /// Calls `act` for every device of the kind, the newest first.
    pub(crate) fn for_each(_rtnl: &Rtnl, mut act: impl FnMut(&Dev<D>)) {
        let mut next = D::get_static().devices.load(Ordering::Relaxed);
        // SAFETY: Under RTNL no device leaves the list, and those on it are not destroyed.
        while let Some(dev) = unsafe { next.as_ref() } {
            act(dev);
            next = dev.next.load(Ordering::Relaxed);
        }
    }

    fn unlist(_rtnl: &Rtnl, gone: &Dev<D>) {
        let mut link = &D::get_static().devices;
        loop {
            let this = link.load(Ordering::Relaxed);
            if ptr::eq(this, gone) {
                link.store(gone.next.load(Ordering::Relaxed), Ordering::Relaxed);
                return;
            }
            // SAFETY: As in `for_each`.
            match unsafe { this.as_ref() } {
                Some(dev) => link = &dev.next,
                None => return,
            }
        }
    }

    /// # Safety
    ///
    /// `dev` is a device of this kind whose private part is initialised, for `'a`.
    #[inline]
    unsafe fn dev<'a>(dev: *const bindings::net_device) -> &'a Dev<D> {
        // SAFETY: By the contract.
        unsafe { &*bindings::wg_netdev_priv(dev).cast::<Dev<D>>() }
    }

    unsafe extern "C" fn setup(dev: *mut bindings::net_device) {
        const FEATURES: u64 = bindings::NETIF_F_WG;
        let kind = D::get_static();
        // SAFETY: The device was allocated just now and is nobody else's yet.
        unsafe {
            bindings::wg_set_lltx(dev);
            bindings::wg_set_devtype(dev, kind.devtype);
            bindings::wg_netif_keep_dst(dev);
            let dev = &mut *dev;
            dev.netdev_ops = kind.ops;
            dev.ethtool_ops = kind.ethtool;
            dev.header_ops = &raw const bindings::ip_tunnel_header_ops;
            dev.hard_header_len = 0;
            dev.addr_len = 0;
            dev.needed_headroom = DATA_HEADROOM as u16;
            dev.needed_tailroom = D::TAILROOM;
            dev.type_ = bindings::ARPHRD_NONE as u16;
            dev.flags =
                bindings::net_device_flags_IFF_POINTOPOINT | bindings::net_device_flags_IFF_NOARP;
            bindings::wg_set_no_queue(dev);
            dev.features |= FEATURES;
            dev.hw_features |= FEATURES;
            dev.hw_enc_features |= FEATURES;
            dev.mtu = bindings::ETH_DATA_LEN - D::OVERHEAD;
            dev.needs_free_netdev = true;
            dev.max_mtu = (i32::MAX as u32 & !(D::PADDING - 1)) - D::OVERHEAD;
            bindings::wg_set_tstats(dev);
            bindings::netif_set_tso_max_size(dev, bindings::GSO_MAX_SIZE);
        }
    }

    unsafe extern "C" fn newlink(
        dev: *mut bindings::net_device,
        params: *mut bindings::rtnl_newlink_params,
        _extack: *mut bindings::netlink_ext_ack,
    ) -> i32 {
        let Some(raw) = NonNull::new(dev) else {
            return EINVAL.to_errno();
        };
        // SAFETY: The device is set up and valid; its private part has room for a `Dev<D>`, and is
        // nobody else's until it is registered, where the reference to it that initialises it has long
        // ended. The stack calls this under RTNL.
        from_result(|| unsafe {
            let link_net = bindings::wg_newlink_link_net(params);
            let private = bindings::wg_netdev_priv(dev).cast::<Dev<D>>();
            let rtnl = Rtnl::held();
            let init = Dev::<D>::new(raw, link_net, &rtnl);
            (*private.cast::<MaybeUninit<_>>()).write_pin_init(init)?;
            bindings::netif_threaded_enable(dev);
            let kind = D::get_static();
            // Before it can be found: whoever finds it may give it a transit netns, whose end looks
            // for it here.
            (*private)
                .next
                .store(kind.devices.load(Ordering::Relaxed), Ordering::Relaxed);
            kind.devices.store(private, Ordering::Relaxed);
            if let Err(error) = to_result(bindings::register_netdevice(dev)) {
                let state = u32::from((*dev).reg_state);
                if state == bindings::netdev_reg_state_NETREG_UNREGISTERING {
                    // Somebody vetoed it when it could be found already: it ends like any other, when
                    // whoever found it has let go.
                    (*dev).priv_destructor = Some(Self::destructor);
                } else {
                    Self::unlist(&rtnl, &*private);
                    ptr::drop_in_place(private);
                }
                return Err(error);
            }
            // Only now, since a `register_netdevice()` that fails early would call it.
            (*dev).priv_destructor = Some(Self::destructor);
            Ok(0)
        })
    }

    unsafe extern "C" fn destructor(dev: *mut bindings::net_device) {
        // SAFETY: The device has been unregistered and nobody holds it any more. Its private part
        // is valid until it is dropped below, which is when the last `DevRef` has gone.
        unsafe {
            let private = bindings::wg_netdev_priv(dev).cast::<Dev<D>>();
            {
                let rtnl = Rtnl::lock();
                D::close(&*private, &rtnl);
                (*private).leave_all(&rtnl);
                Self::unlist(&rtnl, &*private);
            }
            D::destroy(&*private);
            (*private).wait_unused();
            ptr::drop_in_place(private);
        }
    }

    unsafe extern "C" fn open(dev: *mut bindings::net_device) -> i32 {
        // SAFETY: The device is registered. Called under RTNL.
        from_result(|| unsafe { D::open(Self::dev(dev), &Rtnl::held()).map(|()| 0) })
    }

    unsafe extern "C" fn stop(dev: *mut bindings::net_device) -> i32 {
        // SAFETY: As above.
        unsafe { D::stop(Self::dev(dev), &Rtnl::held()) };
        0
    }

    unsafe extern "C" fn xmit(
        skb: *mut bindings::sk_buff,
        dev: *mut bindings::net_device,
    ) -> bindings::netdev_tx_t {
        // SAFETY: The device is registered, and the packet passes to the driver.
        match unsafe { D::transmit(Self::dev(dev), Skb::from_stack(skb)) } {
            Ok(()) => bindings::netdev_tx(bindings::TX_OK),
            // The stack takes a negative number for "consumed, but in vain".
            Err(error) => bindings::netdev_tx(error.to_errno()),
        }
    }

    unsafe extern "C" fn exit_rtnl(net: *mut bindings::net, _kill: *mut bindings::list_head) {
        // SAFETY: Called under RTNL.
        let rtnl = unsafe { Rtnl::held() };
        Self::for_each(&rtnl, |dev| dev.leave(&rtnl, net));
    }
}

/// Keeps a [`RtnlLinkOps`] registered.
pub(crate) struct Registration<D: Driver>(
    &'static RtnlLinkOps<D>,
    #[expect(dead_code, reason = "dropped last")] Claimed,
);

impl<D: Driver> Drop for Registration<D> {
    fn drop(&mut self) {
        // SAFETY: Both were registered. All devices of the kind are destroyed by the first, and
        // then the callbacks that ended them are waited for.
        unsafe {
            bindings::rtnl_link_unregister(self.0.link.get());
            bindings::unregister_pernet_device(self.0.pernet.get());
        }
        rcu::barrier();
    }
}
