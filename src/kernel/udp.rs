// SPDX-License-Identifier: GPL-2.0

//! UDP sockets: the tunnel's own, and those that others show as credentials.
//!
//! C headers: `include/net/udp_tunnel.h`, `include/linux/net.h`.

use super::{
    bindings,
    net::Net,
    netdev::{Dev, Driver, NetRef},
    rcu,
    skb::{Fate, Skb},
};
use core::{
    mem::MaybeUninit,
    ptr::{self, NonNull},
};
use kernel::{error::to_result, prelude::*};

/// A driver whose tunnels run over UDP.
pub(crate) trait Receiver: Driver {
    /// A packet came in by one of the device's sockets, in softirq context.
    fn receive(dev: &Dev<Self>, skb: Skb);
}

/// IP versions.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Family {
    V4,
    V6,
}

/// The user on whose behalf a socket sends, whom rules of routing may name.
#[derive(Clone, Copy)]
pub(crate) struct User(bindings::kuid_t);

impl User {
    /// The kernel's own sockets are root's.
    pub(crate) const ROOT: Self = Self(bindings::kuid_t { val: 0 });
}

/// A socket that passes what it receives to a device.
///
/// # Invariants
///
/// `sk` is a UDP socket of `family` and the kernel's own, set up as a tunnel socket of `dev`'s.
pub(crate) struct UdpSocket<D: Receiver> {
    sk: NonNull<bindings::sock>,
    family: Family,
    user: User,
    // Dropped after the socket is released: the receive function uses it up to then.
    _dev: NetRef<D>,
}

// SAFETY: Sockets may be used from any thread.
unsafe impl<D: Receiver> Send for UdpSocket<D> {}
// SAFETY: As above.
unsafe impl<D: Receiver> Sync for UdpSocket<D> {}

impl<D: Receiver> UdpSocket<D> {
    /// Makes a socket in `net`, bound to `port` of all addresses; 0 lets the kernel pick one. What
    /// it sends is routed as `user`'s. `EADDRINUSE`: the port is taken.
    pub(crate) fn bind(
        net: &Net,
        family: Family,
        port: u16,
        user: User,
        dev: NetRef<D>,
    ) -> Result<Self> {
        // SAFETY: All zeroes are a valid configuration: any address, any port, any device.
        let mut config: bindings::udp_port_cfg = unsafe { MaybeUninit::zeroed().assume_init() };
        config.local_udp_port = port.to_be();
        match family {
            Family::V4 => {
                config.family = bindings::AF_INET as u8;
                config.set_use_udp_checksums(1);
            }
            Family::V6 => {
                config.family = bindings::AF_INET6 as u8;
                config.set_use_udp6_tx_checksums(1);
                config.set_use_udp6_rx_checksums(1);
                config.set_ipv6_v6only(1);
            }
        }
        // SAFETY: As above: no functions but the ones set here.
        let mut tunnel: bindings::udp_tunnel_sock_cfg =
            unsafe { MaybeUninit::zeroed().assume_init() };
        tunnel.sk_user_data = (&raw const *dev).cast_mut().cast();
        tunnel.encap_type = 1;
        tunnel.encap_rcv = Some(Self::receive);

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
            bindings::sk_set_memalloc(sk.as_ptr());
            bindings::setup_udp_tunnel_sock(net.as_ptr(), sk.as_ptr(), &mut tunnel);
            // INVARIANT: `sk_user_data` is what the reference kept here points at.
            Ok(Self {
                sk,
                family,
                user,
                _dev: dev,
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

    pub(super) fn family(&self) -> Family {
        self.family
    }

    pub(super) fn user(&self) -> bindings::kuid_t {
        self.user.0
    }

    unsafe extern "C" fn receive(sk: *mut bindings::sock, skb: *mut bindings::sk_buff) -> i32 {
        // SAFETY: The packet passes to this function.
        let mut skb = unsafe { Skb::from_raw(skb) };
        // It is good for this read section only, and the packet goes to other tasks.
        skb.drop_route();
        if sk.is_null() {
            skb.free(Fate::Dropped);
            return 0;
        }
        // SAFETY: The stack calls this for a socket that is not released yet, or in a read section
        // that its release waits for. The device is alive up to then, and its address was set
        // before the function was; a socket on its way out has none.
        let data = unsafe { (&raw const (*sk).sk_user_data).read_volatile() };
        // SAFETY: As above.
        match unsafe { data.cast::<Dev<D>>().as_ref() } {
            Some(dev) => D::receive(dev, skb),
            None => skb.free(Fate::Dropped),
        }
        0
    }
}

impl<D: Receiver> Drop for UdpSocket<D> {
    #[inline(never)]
    fn drop(&mut self) {
        // SAFETY: Ours by the type invariant.
        unsafe {
            bindings::sk_clear_memalloc(self.sk.as_ptr());
            bindings::udp_tunnel_sock_release(self.sk.as_ptr());
        }
        // The release does not wait for receive functions that run, which use the device.
        rcu::synchronize();
    }
}

/// Somebody's socket, shown as proof of what she could do with it.
///
/// # Invariants
///
/// The pointer is a socket whose file is held.
pub(crate) struct ShownSocket(NonNull<bindings::socket>);

impl ShownSocket {
    /// The socket behind a descriptor of the current task's. `EBADF`: no such descriptor, or one
    /// that cannot be used for I/O; `ENOTSOCK`: it is no socket.
    pub(crate) fn of_fd(fd: u32) -> Result<Self> {
        let fd = i32::try_from(fd).map_err(|_| EBADF)?;
        let mut error = 0;
        // SAFETY: Any number may be asked for.
        let socket = unsafe { bindings::sockfd_lookup(fd, &mut error) };
        match NonNull::new(socket) {
            Some(socket) => Ok(Self(socket)),
            None => Err(Error::from_errno(error)),
        }
    }

    fn sk(&self) -> *mut bindings::sock {
        // SAFETY: An open socket has one.
        unsafe { self.0.as_ref().sk }
    }

    /// Whether it is a plain UDP socket of the family.
    pub(crate) fn is_udp(&self, family: Family) -> bool {
        let family = match family {
            Family::V4 => bindings::AF_INET,
            Family::V6 => bindings::AF_INET6,
        };
        let sk = self.sk();
        // SAFETY: As in `sk`. The last two never change; IPV6_ADDRFORM may change the family
        // meanwhile, so it is read as what another CPU may write.
        unsafe {
            u32::from((&raw const (*sk).__sk_common.skc_family).read_volatile()) == family
                && u32::from((*sk).sk_type) == bindings::sock_type_SOCK_DGRAM
                && u32::from((*sk).sk_protocol) == bindings::IPPROTO_UDP
        }
    }

    /// Whose it is.
    pub(crate) fn user(&self) -> User {
        // SAFETY: As in `sk`. Read once: fchown() changes it meanwhile.
        User(unsafe { (&raw const (*self.sk()).sk_uid).read_volatile() })
    }

    /// Whether it lives in `net`.
    pub(crate) fn is_in(&self, net: &Net) -> bool {
        // SAFETY: As in `sk`.
        ptr::eq(unsafe { bindings::wg_sock_net(self.sk()) }, net.as_ptr())
    }

    /// Why its holder could not make a tunnel socket of it.
    pub(crate) fn restriction(&self) -> Option<Restriction> {
        const BY_HAND: u32 = bindings::SOCK_BINDADDR_LOCK | bindings::SOCK_BINDPORT_LOCK;
        let sk = self.sk();
        // SAFETY: As in `sk`. The socket's lock is not taken: its holder can make it wait for as long
        // as she likes, and could change the socket right afterwards anyway. What she cannot undo is
        // seen, whatever else she changes meanwhile; each is read once, as what another CPU may write.
        unsafe {
            let locks = u32::from((&raw const (*sk).sk_userlocks).read_volatile());
            if locks & BY_HAND != 0 {
                return Some(Restriction::BoundByHand);
            }
            if (&raw const (*sk).__sk_common.skc_bound_dev_if).read_volatile() != 0 {
                return Some(Restriction::TiedToDevice);
            }
            if bindings::wg_sock_flag(sk, bindings::sock_flags_SOCK_FILTER_LOCKED) {
                return Some(Restriction::FilterLocked);
            }
            if (&raw const (*sk).sk_mark).read_volatile() != 0 {
                return Some(Restriction::Marked);
            }
            let shut = u32::from((&raw const (*sk).sk_shutdown).read_volatile());
            if shut & bindings::SEND_SHUTDOWN != 0 {
                return Some(Restriction::Shut);
            }
            if bindings::wg_sock_has_policy(sk) {
                return Some(Restriction::Policy);
            }
        }
        None
    }
}

/// What keeps a socket from becoming a tunnel socket.
pub(crate) enum Restriction {
    /// bind() gave it a port or an address.
    BoundByHand,
    /// SO_BINDTODEVICE.
    TiedToDevice,
    /// SO_LOCK_FILTER.
    FilterLocked,
    /// SO_MARK.
    Marked,
    /// shutdown() for sending.
    Shut,
    /// An IPsec policy of its own.
    Policy,
}

impl Drop for ShownSocket {
    fn drop(&mut self) {
        // SAFETY: The file reference is ours and ends here.
        unsafe { bindings::wg_sockfd_put(self.0.as_ptr()) };
    }
}
