// SPDX-License-Identifier: GPL-2.0

//! Network devices, as anybody sees them.
//!
//! C headers: `include/linux/netdevice.h`, `include/linux/inetdevice.h`, `include/net/addrconf.h`.

mod dev;
mod ethtool;
mod held;
mod link_ops;

pub(super) use dev::InNet;
pub(crate) use {
    dev::{Dev, DevRef, Driver},
    held::HeldDev,
    link_ops::{Registration, RtnlLinkOps},
};

use super::{bindings, net::Net, rcu, rtnl::Rtnl};
use kernel::{prelude::*, str::CStr, types::Opaque};

/// A `struct net_device`.
#[repr(transparent)]
pub(crate) struct NetDevice(Opaque<bindings::net_device>);

// SAFETY: The methods below synchronise by themselves.
unsafe impl Sync for NetDevice {}

/// Counters of a device that are not per CPU.
#[derive(Clone, Copy)]
pub(crate) enum Stat {
    TxErrors,
    TxDropped,
    RxErrors,
    RxFrameErrors,
    RxLengthErrors,
}

/// What an interface has carried.
#[derive(Clone, Copy, Default)]
pub(crate) struct LinkStats {
    pub(crate) rx_packets: u64,
    pub(crate) rx_bytes: u64,
    pub(crate) tx_packets: u64,
    pub(crate) tx_bytes: u64,
}

impl LinkStats {
    /// What came to it since `before`.
    pub(crate) fn since(self, before: Self) -> Self {
        Self {
            rx_packets: self.rx_packets.wrapping_sub(before.rx_packets),
            rx_bytes: self.rx_bytes.wrapping_sub(before.rx_bytes),
            tx_packets: self.tx_packets.wrapping_sub(before.tx_packets),
            tx_bytes: self.tx_bytes.wrapping_sub(before.tx_bytes),
        }
    }
}

/// Reads a field of a device once, as what another CPU may write meanwhile.
macro_rules! read_once {
    ($dev:expr, $field:ident) => {
        // SAFETY: A `NetDevice` is a valid device; the field is plain data.
        unsafe { (&raw const (*NetDevice::as_ptr($dev)).$field).read_volatile() }
    };
}

impl NetDevice {
    #[inline]
    pub(super) fn as_ptr(&self) -> *mut bindings::net_device {
        self.0.get()
    }

    /// # Safety
    ///
    /// `dev` is valid for `'a`.
    #[inline]
    unsafe fn from_raw<'a>(dev: *mut bindings::net_device) -> &'a Self {
        // SAFETY: By the contract; the layout is the same.
        unsafe { &*dev.cast() }
    }

    /// Whether the interface is up.
    #[inline]
    pub(crate) fn is_running(&self) -> bool {
        // SAFETY: Valid, as `self` exists.
        unsafe { bindings::wg_netif_running(self.as_ptr()) }
    }

    /// Its MTU.
    #[inline]
    pub(crate) fn mtu(&self) -> u32 {
        read_once!(self, mtu)
    }

    /// Its index in its namespace.
    pub(crate) fn index(&self, _rtnl: &Rtnl) -> u32 {
        self.index_now()
    }

    /// The same, where it may be changing.
    pub(super) fn index_now(&self) -> u32 {
        read_once!(self, ifindex) as u32
    }

    /// Its name.
    pub(crate) fn name<'a>(&'a self, _rtnl: &'a Rtnl) -> &'a CStr {
        // SAFETY: As above; it changes under RTNL, and is always terminated within the field.
        unsafe { CStr::from_char_ptr(self.name_ptr()) }
    }

    /// Its name, for messages: another task may be changing it.
    pub(super) fn name_ptr(&self) -> *const kernel::ffi::c_char {
        // SAFETY: As above; only the address is taken.
        unsafe { (&raw const (*self.as_ptr()).name).cast() }
    }

    /// The namespace that it is in.
    pub(crate) fn net(&self, _rtnl: &Rtnl) -> Option<Net> {
        if u32::from(read_once!(self, reg_state)) > bindings::netdev_reg_state_NETREG_REGISTERED {
            return None;
        }
        // SAFETY: Under RTNL a registered device stays where it is, so the namespace is not freed.
        // One that is held beyond that may be the last to know of its own.
        unsafe { Net::try_get(bindings::wg_dev_net(self.as_ptr())) }
    }

    /// Whether it is registered, and its end has not begun. Under RTNL that stays so.
    #[inline]
    fn is_registered(&self) -> bool {
        u32::from(read_once!(self, reg_state)) == bindings::netdev_reg_state_NETREG_REGISTERED
    }

    /// Says whether it can carry traffic. Of no interest at its end: whoever is told would hold it
    /// when it has been found that nobody does.
    pub(crate) fn set_carrier(&self, _rtnl: &Rtnl, on: bool) {
        if !self.is_registered() {
            return;
        }
        // SAFETY: As above.
        unsafe {
            if on {
                bindings::netif_carrier_on(self.as_ptr());
            } else {
                bindings::netif_carrier_off(self.as_ptr());
            }
        }
    }

    /// Adds to a counter.
    #[inline]
    pub(crate) fn count(&self, stat: Stat, by: usize) {
        let dev = self.as_ptr();
        // SAFETY: As above; the counters are atomic.
        unsafe {
            match stat {
                Stat::TxErrors => bindings::wg_count_tx_errors(dev, by),
                Stat::TxDropped => bindings::wg_count_tx_dropped(dev, by),
                Stat::RxErrors => bindings::wg_count_rx_errors(dev, by),
                Stat::RxFrameErrors => bindings::wg_count_rx_frame_errors(dev, by),
                Stat::RxLengthErrors => bindings::wg_count_rx_length_errors(dev, by),
            }
        }
    }

    /// What the interface has carried, if it still counts that.
    pub(crate) fn totals(&self, _rtnl: &Rtnl) -> Option<LinkStats> {
        if !self.is_registered() {
            return None;
        }
        let mut stats: bindings::rtnl_link_stats64 = pin_init::zeroed();
        // SAFETY: As above. The statistics are there as long as the device is registered, which under
        // RTNL it stays.
        unsafe { bindings::dev_get_stats(self.as_ptr(), &mut stats) };
        Some(LinkStats {
            rx_packets: stats.rx_packets,
            rx_bytes: stats.rx_bytes,
            tx_packets: stats.tx_packets,
            tx_bytes: stats.tx_bytes,
        })
    }

    /// Counts `packets` received packets of `len` bytes together in this CPU's statistics, if it still has
    /// them.
    #[inline]
    pub(crate) fn count_received(&self, _bh: &impl rcu::BhDisabled, packets: u32, len: u32) {
        if self.is_registered() {
            // SAFETY: As above. The statistics are there as long as the device is registered, and go
            // a grace period after that, so not before bottom halves are enabled again.
            unsafe { bindings::wg_dev_sw_netstats_rx_add(self.as_ptr(), packets, len) };
        }
    }

    /// Counts `packets` more sent ones, beside the one that the stack counts for them, if it still
    /// counts.
    #[inline]
    pub(crate) fn count_sent_too(&self, _bh: &impl rcu::BhDisabled, packets: u32) {
        if packets != 0 && self.is_registered() {
            // SAFETY: As above.
            unsafe { bindings::wg_dev_sw_netstats_tx_add(self.as_ptr(), packets) };
        }
    }

    /// What an interface wants before it goes up: no redirects for packets that leave by the
    /// interface they came by, no addresses made up by the kernel.
    pub(crate) fn disable_autoconf(&self, _rtnl: &Rtnl) {
        let dev = self.as_ptr();
        // SAFETY: As above, and under RTNL.
        unsafe {
            let in_dev = bindings::wg_in_dev_get_rtnl(dev);
            if !in_dev.is_null() {
                bindings::wg_in_dev_no_redirects(in_dev);
                bindings::wg_net_no_redirects(bindings::wg_dev_net(dev));
            }
            let in6_dev = bindings::wg_in6_dev_get(dev);
            if !in6_dev.is_null() {
                bindings::wg_in6_dev_no_autoconf(in6_dev);
            }
        }
    }
}
