// SPDX-License-Identifier: GPL-2.0

//! Sending: from a packet and an endpoint to a route and a socket.

use crate::{
    device::{Dev, Device},
    endpoint::{Endpoint, EndpointCache},
    kernel::{
        debug,
        errno::{EAFNOSUPPORT, ENOBUFS, ENONET},
        rcu::BhGuard,
        route::{Flow4, Flow6},
        skb::Skb,
    },
    peer::Peer,
    transit::Transit,
};
use core::{
    net::{SocketAddr, SocketAddrV4, SocketAddrV6},
    sync::atomic::Ordering,
};
use kernel::prelude::*;

/// Sends a packet to where `peer` is.
pub(crate) fn send_to_peer(peer: &Peer, skb: Skb, ds: u8) -> Result {
    let bh = BhGuard::new();
    let transit = peer.device.transit.load(&bh).ok_or(ENONET)?;
    let (len, packets) = (skb.view().len(), skb.view().gso_segments());
    peer.endpoint.with(transit.generation, |endpoint, cache| {
        send(&bh, &peer.device, transit, skb, endpoint, ds, cache)
    })?;
    let more = packets.saturating_sub(1) as u32;
    peer.device.netdev().count_sent_too(&bh, more);
    peer.tx_bytes.fetch_add(len.into(), Ordering::Relaxed);
    Ok(())
}

/// Sends a message to where `peer` is.
pub(crate) fn send_message_to_peer(peer: &Peer, message: &[u8], ds: u8) -> Result {
    send_to_peer(peer, Skb::with_content(message).ok_or(ENOMEM)?, ds)
}

/// Sends a message to where another packet came from.
pub(crate) fn reply(dev: &Dev, to: &Skb, message: &[u8]) -> Result {
    let endpoint = Endpoint::of(&to.view()).ok_or(EINVAL)?;
    let skb = Skb::with_content(message).ok_or(ENOMEM)?;
    let bh = BhGuard::new();
    let transit = dev.transit.load(&bh).ok_or(ENONET)?;
    send(&bh, dev, transit, skb, endpoint, 0, EndpointCache::NONE)
}

#[inline]
fn send(
    bh: &BhGuard,
    dev: &Dev,
    transit: &Transit,
    mut skb: Skb,
    endpoint: Endpoint,
    ds: u8,
    cache: EndpointCache<'_>,
) -> Result {
    skb.leave_through(dev.netdev(), transit.mark);
    let sent = match endpoint.address() {
        Some(SocketAddr::V4(to)) => send4(bh, transit, skb, endpoint, to, ds, cache),
        Some(SocketAddr::V6(to)) => send6(bh, transit, skb, endpoint, to, ds, cache),
        None => Err(EAFNOSUPPORT),
    };
    match sent {
        Ok(()) => (),
        Err(EPERM) => debug::often(
            dev.netdev(),
            c"Not sending: a BPF program of the owner's cgroup rules over sendmsg()",
        ),
        Err(ENOBUFS) => debug::often(dev.netdev(), c"Not sending: no room in the send buffer"),
        Err(error) => debug::no_route(dev.netdev(), endpoint.address(), error),
    }
    sent
}

fn send4(
    bh: &BhGuard,
    transit: &Transit,
    skb: Skb,
    endpoint: Endpoint,
    to: SocketAddrV4,
    ds: u8,
    cache: EndpointCache<'_>,
) -> Result {
    let socket = transit.sockets.v4();
    let (source, interface) = endpoint.source4();
    let ports = (socket.port(), to.port());
    let mut flow = Flow4::new(source, *to.ip(), ports, transit.mark);
    if let Some(route) = cache.routes().and_then(|routes| routes.get4(bh, &mut flow)) {
        return socket.send4(bh, route, skb, &flow, ds);
    }
    let leave_open = |flow: &mut Flow4| {
        cache.forget_source();
        flow.set_source(core::net::Ipv4Addr::UNSPECIFIED);
    };
    let mut pinned = interface != 0;
    if !source.is_unspecified() && !socket.owns4(bh, source) {
        // The address has gone from this machine since the peer used it.
        leave_open(&mut flow);
        pinned = false;
    }
    let mut route = socket.route4(bh, &mut flow);
    let elsewhere = match &route {
        Ok(route) => route.interface(bh) != interface,
        Err(error) => *error == EINVAL,
    };
    if pinned && elsewhere {
        // The address is there, but packets from it would leave by another interface now.
        leave_open(&mut flow);
        route = socket.route4(bh, &mut flow);
    }
    let route = route?;
    if let Some(routes) = cache.routes() {
        routes.set4(bh, &route, &flow);
    }
    socket.send4(bh, route, skb, &flow, ds)
}

fn send6(
    bh: &BhGuard,
    transit: &Transit,
    skb: Skb,
    endpoint: Endpoint,
    to: SocketAddrV6,
    ds: u8,
    cache: EndpointCache<'_>,
) -> Result {
    let socket = transit.sockets.v6().ok_or(ENONET)?;
    let source = endpoint.source6();
    let ports = (socket.port(), to.port());
    let mut flow = Flow6::new(source, *to.ip(), ports, to.scope_id(), transit.mark);
    if let Some(route) = cache.routes().and_then(|routes| routes.get6(bh, &mut flow)) {
        return socket.send6(bh, route, skb, &flow, ds);
    }
    if !source.is_unspecified() && !socket.owns6(bh, source) {
        cache.forget_source();
        flow.set_source(core::net::Ipv6Addr::UNSPECIFIED);
    }
    let route = socket.route6(bh, &mut flow)?;
    if let Some(routes) = cache.routes() {
        routes.set6(bh, &route, &flow);
    }
    socket.send6(bh, route, skb, &flow, ds)
}

impl crate::kernel::udp::Receiver for Device {
    fn receive(dev: &Dev, skb: Skb) {
        crate::receive::packet(dev, skb);
    }

    fn receives_together(dev: &Dev) -> bool {
        dev.udp_gso.is_on()
    }

    fn receive_together(dev: &Dev, skb: Skb) {
        crate::receive::super_packet(dev, skb);
    }
}
