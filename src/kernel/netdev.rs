// SPDX-License-Identifier: GPL-2.0

//! Network devices: the private part of one, its life, and the operations that the stack calls.
//!
//! C headers: `include/linux/netdevice.h`, `include/net/rtnetlink.h`,
//! `include/net/net_namespace.h`.

use super::{
    bindings,
    errno::EOPNOTSUPP,
    net::Net,
    once::{Claim, Claimed, HasStatic},
    rcu,
    skb::{Skb, DATA_HEADROOM},
};
use core::{
    cell::UnsafeCell,
    marker::{PhantomData, PhantomPinned},
    mem::{offset_of, ManuallyDrop, MaybeUninit},
    ops::Deref,
    ptr::{self, NonNull},
    sync::atomic::{AtomicPtr, AtomicU64, Ordering},
};
use kernel::{
    error::{from_result, to_result},
    prelude::*,
    str::CStr,
    sync::{Completion, Refcount},
    types::{NotThreadSafe, Opaque},
};

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
    unsafe fn held() -> Self {
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
        // SAFETY: As above. The field is read as the kernel reads it, once.
        unsafe { (&raw const (*self.as_ptr()).mtu).read_volatile() }
    }

    /// Its index in its namespace.
    pub(crate) fn index(&self, _rtnl: &Rtnl) -> u32 {
        // SAFETY: As above; it changes under RTNL.
        unsafe { (*self.as_ptr()).ifindex as u32 }
    }

    /// The same, where it may be changing.
    pub(super) fn index_now(&self) -> u32 {
        // SAFETY: As above; read once, as what another CPU may write.
        unsafe { (&raw const (*self.as_ptr()).ifindex).read_volatile() as u32 }
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
        // SAFETY: Under RTNL a registered device stays where it is, so the namespace is not freed.
        // One that is held beyond that may be the last to know of its own.
        unsafe {
            let registered = bindings::netdev_reg_state_NETREG_REGISTERED;
            if u32::from((*self.as_ptr()).reg_state) > registered {
                return None;
            }
            Net::try_get(bindings::wg_dev_net(self.as_ptr()))
        }
    }

    /// Whether it is registered, and its end has not begun. Under RTNL that stays so.
    #[inline]
    fn is_registered(&self) -> bool {
        // SAFETY: As above; read once, as what another CPU may write.
        let state = unsafe { (&raw const (*self.as_ptr()).reg_state).read_volatile() };
        u32::from(state) == bindings::netdev_reg_state_NETREG_REGISTERED
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
        let mut stats = MaybeUninit::<bindings::rtnl_link_stats64>::zeroed();
        // SAFETY: As above. The statistics are there as long as the device is registered, which under
        // RTNL it stays. The function fills in the structure, for which all zeroes are valid.
        let stats = unsafe {
            bindings::dev_get_stats(self.as_ptr(), stats.as_mut_ptr());
            stats.assume_init()
        };
        Some(LinkStats {
            rx_packets: stats.rx_packets,
            rx_bytes: stats.rx_bytes,
            tx_packets: stats.tx_packets,
            tx_bytes: stats.tx_bytes,
        })
    }

    /// Counts a received packet of `len` bytes in this CPU's statistics, if it still has them.
    #[inline]
    pub(crate) fn count_received(&self, _bh: &impl rcu::BhDisabled, len: u32) {
        if self.is_registered() {
            // SAFETY: As above. The statistics are there as long as the device is registered, and go
            // a grace period after that, so not before bottom halves are enabled again.
            unsafe { bindings::wg_dev_sw_netstats_rx_add(self.as_ptr(), len) };
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

    /// The private part of a new device.
    fn create<'a>(dev: &'a NetDevice, rtnl: &'a Rtnl) -> impl PinInit<Self, Error> + 'a;
    /// The interface goes up.
    fn open(dev: &Dev<Self>, rtnl: &Rtnl) -> Result;
    /// The interface goes down.
    fn stop(dev: &Dev<Self>, rtnl: &Rtnl);
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
    next: AtomicPtr<Dev<D>>,
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
    pub(super) fn enter(&self, net: &Net) -> Result<InNet<D>> {
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

    /// The exit handler of `net` is running. Under RTNL.
    fn leave(&self, _rtnl: &Rtnl, net: *mut bindings::net) {
        let is_left = |place: &AtomicPtr<_>| place.load(Ordering::Acquire) != net;
        // A dead machine is better than one that looks at freed routes.
        assert!(self.nets.iter().all(is_left), "sockets outlive their netns");
    }

    /// From here on no exit handler finds the device. Under RTNL.
    fn leave_all(&self, _rtnl: &Rtnl) {
        for place in &self.nets {
            let net = place.swap(NOWHERE, Ordering::Acquire);
            assert!(net.is_null(), "sockets outlive their interface");
        }
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
    pub(super) fn into_raw(self) -> *const () {
        ManuallyDrop::new(self).0.as_ptr().cast()
    }

    /// # Safety
    ///
    /// `raw` came from `into_raw`, and is taken back once.
    pub(super) unsafe fn from_raw(raw: *const ()) -> Self {
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
pub(super) struct InNet<D: Driver> {
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

/// A device that was found by name or index, and is held.
///
/// # Invariants
///
/// The pointer is the private part of a device of which one `dev_hold()` reference is owned.
pub(crate) struct HeldDev<D: Driver>(NonNull<Dev<D>>, PhantomData<Dev<D>>);

impl<D: Driver> Deref for HeldDev<D> {
    type Target = Dev<D>;

    fn deref(&self) -> &Dev<D> {
        // SAFETY: A held device is not torn down.
        unsafe { self.0.as_ref() }
    }
}

impl<D: Driver> Drop for HeldDev<D> {
    fn drop(&mut self) {
        // SAFETY: The reference is ours and ends here.
        unsafe { bindings::wg_dev_put((**self).dev.as_ptr()) };
    }
}

impl<D: Driver> HeldDev<D> {
    /// # Safety
    ///
    /// `dev` is null or a reference to it passes to the result.
    unsafe fn new(dev: *mut bindings::net_device) -> Result<Self> {
        let dev = NonNull::new(dev).ok_or(ENODEV)?;
        // SAFETY: The device is held. Ours are told by the address of their operations, which
        // belong to `D` alone; a device is found only once it is registered, which is after its
        // private part was initialised.
        unsafe {
            if !ptr::eq((*dev.as_ptr()).netdev_ops, D::get_static().ops.get()) {
                bindings::wg_dev_put(dev.as_ptr());
                return Err(EOPNOTSUPP);
            }
            let private = bindings::wg_netdev_priv(dev.as_ptr()).cast::<Dev<D>>();
            Ok(Self(NonNull::new_unchecked(private), PhantomData))
        }
    }

    /// The device of number `index` in `net`.
    ///
    /// # Safety
    ///
    /// `net` is valid.
    pub(super) unsafe fn by_index(net: *mut bindings::net, index: u32) -> Result<Self> {
        // SAFETY: By the contract.
        unsafe { Self::new(bindings::dev_get_by_index(net, index as i32)) }
    }

    /// The device called `name` in `net`.
    ///
    /// # Safety
    ///
    /// `net` is valid.
    pub(super) unsafe fn by_name(net: *mut bindings::net, name: &CStr) -> Result<Self> {
        // SAFETY: By the contract.
        unsafe { Self::new(bindings::dev_get_by_name(net, name.as_char_ptr())) }
    }
}

/// A kind of device as the kernel knows it, in the static of its driver.
///
/// # Invariants
///
/// While somebody has the `claim` the C structures belong to the kernel. `devices` begins a
/// list, linked by `next`, of all devices of the kind that are not destroyed; it changes under
/// RTNL.
pub(crate) struct RtnlLinkOps<D: Driver> {
    link: UnsafeCell<bindings::rtnl_link_ops>,
    ops: UnsafeCell<bindings::net_device_ops>,
    pernet: UnsafeCell<bindings::pernet_operations>,
    devtype: UnsafeCell<bindings::device_type>,
    devices: AtomicPtr<Dev<D>>,
    claim: Claim,
}

// SAFETY: The structures are handed to the kernel, which locks for itself; the list is under RTNL.
unsafe impl<D: Driver> Sync for RtnlLinkOps<D> {}

impl<D: Driver> RtnlLinkOps<D> {
    /// A kind that is not registered.
    pub(crate) const fn new() -> Self {
        // SAFETY: All of these are valid if zero: null pointers, no functions, empty lists.
        let (mut link, mut ops, mut pernet, mut devtype): (
            bindings::rtnl_link_ops,
            bindings::net_device_ops,
            bindings::pernet_operations,
            bindings::device_type,
        ) = unsafe {
            (
                MaybeUninit::zeroed().assume_init(),
                MaybeUninit::zeroed().assume_init(),
                MaybeUninit::zeroed().assume_init(),
                MaybeUninit::zeroed().assume_init(),
            )
        };
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
        ops.ndo_open = Some(Self::open);
        ops.ndo_stop = Some(Self::stop);
        ops.ndo_start_xmit = Some(Self::xmit);
        pernet.exit_rtnl = Some(Self::exit_rtnl);
        devtype.name = D::KIND.as_ptr().cast();
        Self {
            link: UnsafeCell::new(link),
            ops: UnsafeCell::new(ops),
            pernet: UnsafeCell::new(pernet),
            devtype: UnsafeCell::new(devtype),
            devices: AtomicPtr::new(ptr::null_mut()),
            claim: Claim::new(),
        }
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
            bindings::wg_set_devtype(dev, kind.devtype.get());
            bindings::wg_netif_keep_dst(dev);
            let dev = &mut *dev;
            dev.netdev_ops = kind.ops.get();
            dev.header_ops = &raw const bindings::ip_tunnel_header_ops;
            dev.hard_header_len = 0;
            dev.addr_len = 0;
            dev.needed_headroom = DATA_HEADROOM as u16;
            dev.needed_tailroom = D::PADDING.wrapping_add(16) as u16;
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
            let init = try_pin_init!(Dev::<D> {
                dev: raw,
                refs: Refcount::new(1),
                idle <- Completion::new(),
                transit_net: AtomicPtr::new(link_net),
                nets: [const { AtomicPtr::new(ptr::null_mut()) }; NETS],
                next: AtomicPtr::new(ptr::null_mut()),
                number: NEXT_NUMBER.fetch_add(1, Ordering::Relaxed),
                data <- D::create(NetDevice::from_raw(raw.as_ptr()), &Rtnl::held()),
                _pin: PhantomPinned,
            }? Error);
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
                    Self::unlist(&Rtnl::held(), &*private);
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
            (*private).put();
            (*private).idle.wait_for_completion();
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
        Self::for_each(&rtnl, |dev| {
            if ptr::eq(dev.transit_net.load(Ordering::Relaxed), net) {
                dev.transit_net.store(ptr::null_mut(), Ordering::Relaxed);
                D::transit_net_exit(dev, &rtnl);
            }
            dev.leave(&rtnl, net);
        });
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
