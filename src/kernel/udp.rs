// SPDX-License-Identifier: GPL-2.0

//! The UDP sockets of a tunnel.
//!
//! C headers: `include/net/udp_tunnel.h`, `include/net/udp.h`.

pub(crate) use super::task_socket::MaySend;
use super::{
    bindings,
    errno::EADDRINUSE,
    layout,
    net::{self, Net},
    netdev::{Dev, Driver, InNet},
    rcu,
    skb::{Fate, Skb},
    task_socket::{self, TaskSocket},
};
use crate::{
    ip::UDP_HEADER_LEN,
    judgement::{Owner, Version},
};
use core::{ptr, ptr::NonNull};
use kernel::{error::to_result, prelude::*, task::Kuid};

/// A driver whose tunnels run over UDP.
pub(crate) trait Receiver: Driver {
    /// A packet came in by one of the device's sockets, in softirq context.
    fn receive(dev: &Dev<Self>, skb: Skb);

    /// Whether packets that came in together may be passed on together.
    fn receives_together(dev: &Dev<Self>) -> bool;

    /// The same of a packet that is several datagrams, and that begins where the first of them does.
    fn receive_together(dev: &Dev<Self>, skb: Skb);
}

/// How often another port is tried, when the kernel picked one for IPv4 that is taken for IPv6.
/// Bounded, since RTNL is held: somebody may have taken all ports of one version.
const PORT_TRIES: u32 = 100;

/// Bytes that may be in a receive queue, where nothing stays: a few of the largest packets from each of
/// many CPUs. What belongs to a task has what its own sockets have.
const RECEIVE_BUFFER: i32 = 16 << 20;

/// A socket of a tunnel's.
///
/// # Invariants
///
/// `sk` is a UDP socket of `version`. It is that of `task`, or else a kernel socket that belongs to
/// this value. It does not keep its namespace, but is part of [`Sockets`] that have an [`InNet`] for
/// it, so what it looks at there is not freed.
pub(crate) struct UdpSocket {
    sk: NonNull<bindings::sock>,
    version: Version,
    task: Option<TaskSocket>,
}

// SAFETY: Sockets may be used from any thread.
unsafe impl Send for UdpSocket {}
// SAFETY: As above.
unsafe impl Sync for UdpSocket {}

impl UdpSocket {
    /// Makes a socket in `net`, bound to `port` of all addresses; 0 lets the kernel pick one.
    fn bind(net: &Net, version: Version, owner: Owner, port: u16) -> Result<Self> {
        match owner {
            Owner::Root => Self::bind_kernel(net, version, port),
            Owner::Caller => {
                let task = TaskSocket::bind(net, version, port)?;
                // INVARIANT: `sk` is that of `task`.
                Ok(Self {
                    sk: task.as_ptr(),
                    version,
                    task: Some(task),
                })
            }
        }
    }

    fn bind_kernel(net: &Net, version: Version, port: u16) -> Result<Self> {
        // Any address, any port, any device.
        let mut config: bindings::udp_port_cfg = pin_init::zeroed();
        config.family = net::family_of(version) as u8;
        config.local_udp_port = port.to_be();
        match version {
            Version::V4 => {
                config.set_use_udp_checksums(1);
            }
            Version::V6 => {
                config.set_use_udp6_tx_checksums(1);
                config.set_use_udp6_rx_checksums(1);
                config.set_ipv6_v6only(1);
            }
        }
        let mut socket = ptr::null_mut();
        // SAFETY: The namespace is alive; the socket is ours and unknown to others until it is
        // set up. The tunnel must not block on memory that it is needed to free.
        unsafe {
            to_result(bindings::wg_udp_sock_create(
                net.as_ptr(),
                &mut config,
                &mut socket,
            ))?;
            let sk = NonNull::new((*socket).sk).ok_or(EINVAL)?;
            (*sk.as_ptr()).sk_allocation = bindings::GFP_ATOMIC_FLAGS;
            (*sk.as_ptr()).sk_sndbuf = i32::MAX;
            (*sk.as_ptr()).sk_rcvbuf = RECEIVE_BUFFER;
            bindings::sk_set_memalloc(sk.as_ptr());
            // INVARIANT: Made just now.
            Ok(Self {
                sk,
                version,
                task: None,
            })
        }
    }

    /// The port that the socket is bound to.
    #[inline]
    pub(crate) fn port(&self) -> u16 {
        // SAFETY: Valid by the type invariant.
        u16::from_be(unsafe { bindings::wg_inet_sport(self.sk.as_ptr()) })
    }

    #[inline]
    pub(super) fn as_ptr(&self) -> *mut bindings::sock {
        self.sk.as_ptr()
    }

    pub(super) fn version(&self) -> Version {
        self.version
    }

    /// The task's socket that it is, if it is one.
    #[inline]
    pub(super) fn task(&self) -> Option<&TaskSocket> {
        self.task.as_ref()
    }

    /// As whose its packets are routed.
    pub(super) fn uid(&self) -> bindings::kuid_t {
        match &self.task {
            Some(task) => task.uid(),
            // As those of every kernel socket.
            None => bindings::kuid_t { val: 0 },
        }
    }

    /// Makes a packet one of the socket's, if that is a task's. If it must not be sent: as
    /// [`TaskSocket::own`] says.
    #[inline]
    pub(super) fn own(&self, mut skb: Skb) -> Result<Skb> {
        if let Some(task) = &self.task {
            if let Err(error) = task.own(&mut skb) {
                skb.free(Fate::Dropped);
                return Err(error);
            }
        }
        Ok(skb)
    }
}

impl Drop for UdpSocket {
    fn drop(&mut self) {
        if self.task.is_none() {
            // SAFETY: Ours by the type invariant.
            unsafe {
                bindings::sk_clear_memalloc(self.sk.as_ptr());
                bindings::udp_tunnel_sock_release(self.sk.as_ptr());
            }
        }
    }
}

/// Dropped after sockets: closing them does not wait for receive functions that run, which use the
/// device.
struct AwaitReceivers;

impl Drop for AwaitReceivers {
    fn drop(&mut self) {
        rcu::synchronize();
    }
}

/// The sockets of a device, which pass to it what they receive.
///
/// # Invariants
///
/// They are tunnel sockets of what `dev` refers to, in the namespace that it is about.
pub(crate) struct Sockets<D: Receiver> {
    v4: UdpSocket,
    v6: Option<UdpSocket>,
    // Dropped in this order: the device is used until nobody is receiving.
    _receiving: AwaitReceivers,
    dev: InNet<D>,
}

/// There are no sockets: what making or binding the one of a version returned.
pub(crate) struct Denied(pub(crate) Version, pub(crate) Error);

impl<D: Receiver> Sockets<D> {
    /// Makes sockets in `net`, bound to `port`, or to one that the kernel picks if that is 0.
    pub(crate) fn bind(dev: &Dev<D>, net: &Net, owner: Owner, port: u16) -> Result<Self, Denied> {
        let dev = dev.enter(net).map_err(|error| Denied(Version::V4, error))?;
        let bind = |version, port| {
            UdpSocket::bind(net, version, owner, port).map_err(|error| Denied(version, error))
        };
        let mut tries = PORT_TRIES;
        let (v4, v6) = loop {
            let v4 = bind(Version::V4, port)?;
            if !net::has_ipv6() {
                break (v4, None);
            }
            match bind(Version::V6, v4.port()) {
                Ok(v6) => break (v4, Some(v6)),
                Err(Denied(_, EADDRINUSE)) if port == 0 && tries != 0 => {
                    tries = tries.wrapping_sub(1);
                }
                Err(denied) => return Err(denied),
            }
        };
        // INVARIANT: They become so below, before anybody else gets them.
        let this = Self {
            v4,
            v6,
            _receiving: AwaitReceivers,
            dev,
        };
        this.listen(net, &this.v4);
        if let Some(v6) = &this.v6 {
            this.listen(net, v6);
        }
        Ok(this)
    }

    /// Makes a tunnel socket of the device's of one that is bound.
    fn listen(&self, net: &Net, socket: &UdpSocket) {
        let mut tunnel: bindings::udp_tunnel_sock_cfg = pin_init::zeroed();
        tunnel.sk_user_data = (&raw const *self.dev).cast_mut().cast();
        tunnel.encap_type = 1;
        // SAFETY: The socket is bound and not set up yet; the functions fit the data.
        unsafe {
            bindings::setup_udp_tunnel_sock(net.as_ptr(), socket.as_ptr(), &mut tunnel);
            bindings::wg_udp_set_data_ready(
                socket.as_ptr(),
                Some(match &socket.task {
                    None => Self::data_ready,
                    Some(_) => Self::task_data_ready,
                }),
            );
        }
        self.set_socket_gro(socket, D::receives_together(&self.dev));
    }

    /// Has the stack pass on together what it received together, or one by one, by all sockets.
    pub(crate) fn set_gro(&self, on: bool) {
        self.set_socket_gro(&self.v4, on);
        if let Some(v6) = &self.v6 {
            self.set_socket_gro(v6, on);
        }
    }

    /// Has the stack pass on together what it received together, or one by one.
    ///
    /// A tunnel socket's receive function only ever gets single datagrams, so where that is not wanted it
    /// has none, and is a socket with UDP_GRO whose queue is emptied by whoever fills it.
    fn set_socket_gro(&self, socket: &UdpSocket, on: bool) {
        let receive = match &socket.task {
            _ if on => None,
            None => Some(Self::receive as _),
            Some(_) => Some(Self::receive_filtered as _),
        };
        // SAFETY: The socket was set up by `listen`, and the functions fit its data.
        unsafe { bindings::wg_udp_set_gro(socket.as_ptr(), receive) };
    }

    /// The one for IPv4.
    #[inline]
    pub(crate) fn v4(&self) -> &UdpSocket {
        &self.v4
    }

    /// The one for IPv6; none where the kernel has none.
    #[inline]
    pub(crate) fn v6(&self) -> Option<&UdpSocket> {
        self.v6.as_ref()
    }

    /// The one for a version of IP.
    #[inline]
    pub(crate) fn of(&self, version: Version) -> Option<&UdpSocket> {
        match version {
            Version::V4 => Some(&self.v4),
            Version::V6 => self.v6.as_ref(),
        }
    }

    /// Those of them that are a task's.
    pub(super) fn tasks(&self) -> impl Iterator<Item = &TaskSocket> {
        [self.v4.task(), self.v6().and_then(UdpSocket::task)]
            .into_iter()
            .flatten()
    }

    /// Whether they are a task's.
    pub(crate) fn are_tasks(&self) -> bool {
        self.v4.task.is_some()
    }

    /// Wakes one who waits for room in a send buffer, if there is some.
    pub(crate) fn wake_next(&self) {
        self.tasks().for_each(TaskSocket::wake_next);
    }

    /// Wakes all who wait for room in a send buffer.
    pub(crate) fn wake_all(&self) {
        self.tasks().for_each(TaskSocket::wake_all);
    }

    /// Whose they are.
    pub(crate) fn uid(&self) -> Kuid {
        net::kuid(self.v4.uid())
    }

    /// The device that a socket is of.
    ///
    /// # Safety
    ///
    /// The stack calls for `sk`, a tunnel socket of a device's, which is not released yet, or in a read
    /// section that its release waits for. The result is used during that call.
    #[inline]
    unsafe fn device_of<'a>(sk: *mut bindings::sock) -> Option<&'a Dev<D>> {
        // SAFETY: By the contract. The device is alive up to its sockets' release, and its address was
        // set before the functions were that the stack calls; a socket on its way out has none.
        unsafe {
            let data = (&raw const (*sk).sk_user_data).read_volatile();
            data.cast::<Dev<D>>().as_ref()
        }
    }

    /// Something is in the socket's queue: takes it out again.
    unsafe extern "C" fn data_ready(sk: *mut bindings::sock) {
        // SAFETY: The stack calls this for a tunnel socket.
        unsafe { Self::drain(sk, Self::device_of(sk)) };
    }

    /// The same for a task's socket, which is open while the interface is down, too.
    unsafe extern "C" fn task_data_ready(sk: *mut bindings::sock) {
        // SAFETY: As above.
        unsafe {
            let dev = Self::device_of(sk);
            Self::drain(sk, dev.filter(|dev| dev.netdev().is_running()));
        }
    }

    /// # Safety
    ///
    /// `sk` is a UDP socket of a tunnel, in a read section that its release waits for.
    #[inline]
    unsafe fn drain(sk: *mut bindings::sock, dev: Option<&Dev<D>>) {
        // SAFETY: By the contract.
        while unsafe { !bindings::wg_udp_queue_empty(sk) } {
            let (mut off, mut error) = (0, 0);
            let flags = bindings::MSG_DONTWAIT;
            // SAFETY: As above; both numbers may be written.
            let skb = unsafe { bindings::__skb_recv_udp(sk, flags, &mut off, &mut error) };
            if skb.is_null() {
                // Somebody else has it, or the socket reports an error first.
                continue;
            }
            // SAFETY: The packet has left the queue and is ours. UDP has read the headers in front of it,
            // and lent the device's field to the queue.
            let mut skb = unsafe {
                *layout::skb_dev(skb) = ptr::null_mut();
                Skb::from_raw(skb)
            };
            // SAFETY: Both are valid. What is wrong is counted as by recvmsg(2).
            if unsafe { !bindings::wg_udp_accept(sk, skb.as_ptr()) } {
                skb.free(Fate::Dropped);
                continue;
            }
            match dev {
                None => skb.free(Fate::Dropped),
                Some(dev) if skb.view().datagrams().is_some() => D::receive_together(dev, skb),
                Some(dev) => {
                    if skb.retreat(UDP_HEADER_LEN) {
                        D::receive(dev, skb);
                    } else {
                        skb.free(Fate::Dropped);
                    }
                }
            }
        }
    }

    unsafe extern "C" fn receive(sk: *mut bindings::sock, skb: *mut bindings::sk_buff) -> i32 {
        // SAFETY: The packet passes to this function. UDP has read the headers in front of it.
        let mut skb = unsafe { Skb::from_raw(skb) };
        // It is good for this read section only, and the packet goes to other tasks.
        skb.drop_route();
        if sk.is_null() {
            skb.free(Fate::Dropped);
            return 0;
        }
        // SAFETY: The stack calls this for a tunnel socket.
        match unsafe { Self::device_of(sk) } {
            Some(dev) => D::receive(dev, skb),
            None => skb.free(Fate::Dropped),
        }
        0
    }

    /// The same for a task's socket, whose owner does not receive what programs of its cgroup and
    /// security modules refuse. It is open while the interface is down, too.
    unsafe extern "C" fn receive_filtered(
        sk: *mut bindings::sock,
        skb: *mut bindings::sk_buff,
    ) -> i32 {
        // SAFETY: As above; both are valid, and the packet is still as UDP received it.
        let passes = unsafe {
            Self::device_of(sk).is_some_and(|dev| dev.netdev().is_running())
                && bindings::wg_sk_filter_passes(sk, skb)
        };
        if passes {
            // SAFETY: The packet passes on.
            unsafe { Self::receive(sk, skb) }
        } else {
            // SAFETY: The packet was passed to this function.
            unsafe { Skb::from_raw(skb) }.free(Fate::Dropped);
            0
        }
    }
}

/// Asks whether the current task may send by UDP, in `net`, where it likes.
pub(crate) fn may_send(net: &Net, version: Version) -> Result<MaySend> {
    task_socket::may_send(net, version)
}

/// Whether nothing that cannot be asked might keep the current task from binding to `port`.
pub(crate) fn may_name(net: &Net, port: u16) -> bool {
    task_socket::may_name(net, port)
}
