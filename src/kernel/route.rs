// SPDX-License-Identifier: GPL-2.0

//! Routes for the packets that carry the tunnel, and transmission.
//!
//! C headers: `include/net/route.h`, `include/net/ip6_route.h`, `include/net/udp_tunnel.h`.

mod cache;
#[cfg(not(CONFIG_IPV6))]
mod no_ipv6;

pub(crate) use cache::RouteCache;

use super::{
    bindings,
    errno::{EAFNOSUPPORT, ENETUNREACH},
    layout,
    rcu::BhGuard,
    skb::Skb,
    udp::UdpSocket,
};
use crate::judgement::Version;
use core::{
    mem::{offset_of, ManuallyDrop},
    net::{Ipv4Addr, Ipv6Addr},
    ptr::NonNull,
};
use kernel::{error::from_err_ptr, prelude::*};

#[cfg(CONFIG_IPV6)]
use bindings::{ip6_dst_lookup_flow, ipv6_chk_addr, udp_tunnel6_xmit_skb};
#[cfg(not(CONFIG_IPV6))]
use no_ipv6::{ip6_dst_lookup_flow, ipv6_chk_addr, udp_tunnel6_xmit_skb};

fn be32(address: Ipv4Addr) -> u32 {
    u32::from_ne_bytes(address.octets())
}

fn in6(address: Ipv6Addr) -> bindings::in6_addr {
    // SAFETY: Sixteen bytes of plain data either way.
    unsafe { core::mem::transmute(address.octets()) }
}

/// Where an IPv4 packet goes.
pub(crate) struct Flow4(bindings::flowi4);

impl Flow4 {
    /// A UDP packet from `source` (0.0.0.0: to be chosen) to a port of `destination`'s.
    pub(crate) fn new(
        source: Ipv4Addr,
        destination: Ipv4Addr,
        ports: (u16, u16),
        mark: u32,
    ) -> Self {
        let mut flow: bindings::flowi4 = pin_init::zeroed();
        flow.saddr = be32(source);
        flow.daddr = be32(destination);
        flow.uli.ports.sport = ports.0.to_be();
        flow.uli.ports.dport = ports.1.to_be();
        flow.__fl_common.flowic_mark = mark;
        flow.__fl_common.flowic_proto = bindings::IPPROTO_UDP as u8;
        Self(flow)
    }

    /// Changes the source address.
    pub(crate) fn set_source(&mut self, source: Ipv4Addr) {
        self.0.saddr = be32(source);
    }
}

/// Where an IPv6 packet goes.
pub(crate) struct Flow6(bindings::flowi6);

impl Flow6 {
    /// A UDP packet from `source` (::: to be chosen) to a port of `destination`'s, which for a
    /// link-local address is behind interface `scope`.
    pub(crate) fn new(
        source: Ipv6Addr,
        destination: Ipv6Addr,
        ports: (u16, u16),
        scope: u32,
        mark: u32,
    ) -> Self {
        let mut flow: bindings::flowi6 = pin_init::zeroed();
        flow.saddr = in6(source);
        flow.daddr = in6(destination);
        flow.uli.ports.sport = ports.0.to_be();
        flow.uli.ports.dport = ports.1.to_be();
        flow.__fl_common.flowic_oif = scope as i32;
        flow.__fl_common.flowic_mark = mark;
        flow.__fl_common.flowic_proto = bindings::IPPROTO_UDP as u8;
        Self(flow)
    }

    /// Changes the source address.
    pub(crate) fn set_source(&mut self, source: Ipv6Addr) {
        self.0.saddr = in6(source);
    }
}

/// A route that is held.
///
/// # Invariants
///
/// A reference to the route belongs to this value. It is an IPv4 one in a [`Route4`], an IPv6 one
/// in a [`Route6`].
struct Route(NonNull<bindings::dst_entry>);

impl Drop for Route {
    fn drop(&mut self) {
        // SAFETY: The reference is ours and ends here.
        unsafe { bindings::wg_dst_release(self.0.as_ptr()) };
    }
}

/// An IPv4 route.
pub(crate) struct Route4(Route);
/// An IPv6 route.
pub(crate) struct Route6(Route);

impl Route4 {
    /// # Safety
    ///
    /// `rt` is null or a reference to it passes to the result.
    unsafe fn from_raw(rt: *mut bindings::rtable) -> Option<Self> {
        const { assert!(offset_of!(bindings::rtable, dst) == 0) };
        NonNull::new(rt.cast()).map(|dst| Self(Route(dst)))
    }

    /// Index of the interface that it leaves by.
    pub(crate) fn interface(&self, _bh: &BhGuard) -> i32 {
        // SAFETY: A held route has a device. If it gets another one meanwhile, since that ends, the one
        // that it had stays up to the end of this read section.
        unsafe {
            let dev = layout::dst_dev(self.0 .0.as_ptr()).read_volatile();
            (&raw const (*dev).ifindex).read_volatile()
        }
    }
}

impl UdpSocket {
    /// Whether `address` is one of the socket's namespace.
    pub(crate) fn owns4(&self, _bh: &BhGuard, address: Ipv4Addr) -> bool {
        // SAFETY: The socket is valid, and so is its namespace, by the type invariant; in a read section.
        unsafe {
            bindings::inet_confirm_addr(
                bindings::wg_sock_net(self.as_ptr()),
                core::ptr::null_mut(),
                0,
                be32(address),
                bindings::rt_scope_t_RT_SCOPE_HOST as i32,
            ) != 0
        }
    }

    /// Whether `address` is one of the socket's namespace.
    pub(crate) fn owns6(&self, _bh: &BhGuard, address: Ipv6Addr) -> bool {
        // SAFETY: As above.
        unsafe {
            ipv6_chk_addr(
                bindings::wg_sock_net(self.as_ptr()),
                &in6(address),
                core::ptr::null(),
                0,
            ) != 0
        }
    }

    /// Finds the route for `flow`, and its source address if that was left open.
    pub(crate) fn route4(&self, _bh: &BhGuard, flow: &mut Flow4) -> Result<Route4> {
        // SAFETY: The socket is valid, and so is its namespace; the flow is ours to be changed.
        unsafe {
            let sk = self.as_ptr();
            bindings::wg_sk_classify_flow4(sk, &mut flow.0);
            flow.0.__fl_common.flowic_uid = self.uid();
            let rt = bindings::ip_route_output_flow(bindings::wg_sock_net(sk), &mut flow.0, sk);
            Route4::from_raw(from_err_ptr(rt)?).ok_or(ENETUNREACH)
        }
    }

    /// Finds the route for `flow`, and its source address if that was left open.
    pub(crate) fn route6(&self, _bh: &BhGuard, flow: &mut Flow6) -> Result<Route6> {
        if self.version() != Version::V6 {
            return Err(EAFNOSUPPORT);
        }
        // SAFETY: As above; of an IPv6 socket the lookup also reads what only such a one has.
        unsafe {
            let sk = self.as_ptr();
            bindings::wg_sk_classify_flow6(sk, &mut flow.0);
            flow.0.__fl_common.flowic_uid = self.uid();
            let dst = ip6_dst_lookup_flow(
                bindings::wg_sock_net(sk),
                sk,
                &mut flow.0,
                core::ptr::null(),
            );
            let dst = NonNull::new(from_err_ptr(dst)?).ok_or(ENETUNREACH)?;
            Ok(Route6(Route(dst)))
        }
    }

    /// Sends a packet. `ENOBUFS`, `EPERM`: the socket is a task's, and it must not be sent, for want of
    /// room or since a program of the task's cgroup judges by address what is sent.
    #[inline]
    pub(crate) fn send4(
        &self,
        _bh: &BhGuard,
        route: Route4,
        skb: Skb,
        flow: &Flow4,
        ds: u8,
    ) -> Result {
        let skb = self.own(skb)?;
        let rt = ManuallyDrop::new(route)
            .0
             .0
            .as_ptr()
            .cast::<bindings::rtable>();
        // SAFETY: All are valid, the socket's namespace too; packet and route pass to the function.
        unsafe {
            let ports = flow.0.uli.ports;
            bindings::udp_tunnel_xmit_skb(
                rt,
                self.as_ptr(),
                skb.into_raw(),
                flow.0.saddr,
                flow.0.daddr,
                ds,
                bindings::wg_dst_hoplimit4(rt) as u8,
                0,
                ports.sport,
                ports.dport,
                false,
                false,
                0,
            );
        }
        Ok(())
    }

    /// Sends a packet. Errors as above.
    #[inline]
    pub(crate) fn send6(
        &self,
        _bh: &BhGuard,
        route: Route6,
        skb: Skb,
        flow: &Flow6,
        ds: u8,
    ) -> Result {
        let skb = self.own(skb)?;
        let dst = ManuallyDrop::new(route).0 .0.as_ptr();
        let skb = skb.into_raw();
        // SAFETY: As above.
        unsafe {
            let ports = flow.0.uli.ports;
            udp_tunnel6_xmit_skb(
                dst,
                self.as_ptr(),
                skb,
                *layout::skb_dev(skb),
                &flow.0.saddr,
                &flow.0.daddr,
                ds,
                bindings::wg_dst_hoplimit6(dst) as u8,
                0,
                ports.sport,
                ports.dport,
                false,
                0,
            );
        }
        Ok(())
    }
}
