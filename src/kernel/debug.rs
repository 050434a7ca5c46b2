// SPDX-License-Identifier: GPL-2.0

//! Messages that are printed only where dynamic debug asks for them. None of it is worth room in
//! whoever has something to say.

use super::{bindings, netdev::NetDevice, sockaddr::SockAddr};
use crate::judgement::Version;
use core::net::{IpAddr, SocketAddr};
use kernel::{prelude::*, str::CStr};

/// Calls `act` with the C form of an address; without one it prints as such.
fn with_sockaddr<R>(
    address: Option<SocketAddr>,
    act: impl FnOnce(*const kernel::ffi::c_void) -> R,
) -> R {
    act(address.map_or(SockAddr::UNSPEC, SockAddr::new).as_ptr())
}

/// Says `what` about peer number `id` and its endpoint.
#[cold]
#[inline(never)]
pub(crate) fn peer(dev: &NetDevice, what: &'static CStr, id: u64, endpoint: Option<SocketAddr>) {
    with_sockaddr(endpoint, |address| {
        // SAFETY: Both strings are terminated, and the address is a valid one.
        unsafe {
            bindings::wg_debug_peer(dev.name_ptr(), what.as_char_ptr(), id, address);
        }
    });
}

/// Says `what` about a stranger's packet.
#[cold]
#[inline(never)]
pub(crate) fn stranger(dev: &NetDevice, what: &'static CStr, address: Option<SocketAddr>) {
    with_sockaddr(address, |address| {
        // SAFETY: As above.
        unsafe { bindings::wg_debug_addr(dev.name_ptr(), what.as_char_ptr(), address) };
    });
}

/// Says that a packet to `ip` has nowhere to go.
#[cold]
#[inline(never)]
pub(crate) fn no_peer_for(dev: &NetDevice, ip: IpAddr) {
    with_sockaddr(Some((ip, 0).into()), |ip| {
        // SAFETY: As above.
        unsafe { bindings::wg_debug_no_peer(dev.name_ptr(), ip) };
    });
}

/// Says that a packet from `ip` came from peer number `id`, which may not have it.
#[cold]
#[inline(never)]
pub(crate) fn not_its_ip(dev: &NetDevice, ip: IpAddr, id: u64, endpoint: Option<SocketAddr>) {
    with_sockaddr(Some((ip, 0).into()), |ip| {
        with_sockaddr(endpoint, |address| {
            // SAFETY: As above.
            unsafe { bindings::wg_debug_source(dev.name_ptr(), ip, id, address) };
        });
    });
}

/// Says that a packet found no way to an endpoint.
#[cold]
#[inline(never)]
pub(crate) fn no_route(dev: &NetDevice, endpoint: Option<SocketAddr>, error: Error) {
    with_sockaddr(endpoint, |address| {
        // SAFETY: As above.
        unsafe { bindings::wg_debug_no_route(dev.name_ptr(), address, error.to_errno()) };
    });
}

/// Says that peer number `id` sent a packet of a number that was seen, or is too far behind
/// `highest`.
#[cold]
#[inline(never)]
pub(crate) fn old_counter(
    dev: &NetDevice,
    id: u64,
    endpoint: Option<SocketAddr>,
    counter: u64,
    highest: u64,
) {
    with_sockaddr(endpoint, |address| {
        // SAFETY: As above.
        unsafe { bindings::wg_debug_counter(dev.name_ptr(), id, address, counter, highest) };
    });
}

/// What a timer of a peer's leads to.
pub(crate) enum Expired {
    /// A handshake was not answered in so many seconds; the next attempt has that number.
    Unanswered(u64, u32),
    /// So many attempts were enough.
    GivenUp(u32),
    /// In so many seconds nothing came back, so there is a new handshake.
    Silence(u64),
    /// In so many seconds there were no new keys, so all are wiped.
    Wiping(u64),
}

/// Says that a timer of peer number `id` has expired.
#[cold]
#[inline(never)]
pub(crate) fn expired(dev: &NetDevice, id: u64, endpoint: Option<SocketAddr>, what: Expired) {
    let name = dev.name_ptr();
    // SAFETY: As above.
    with_sockaddr(endpoint, |address| unsafe {
        match what {
            Expired::Unanswered(seconds, attempt) => {
                bindings::wg_debug_unanswered(name, id, address, seconds as u32, attempt);
            }
            Expired::GivenUp(attempts) => {
                bindings::wg_debug_given_up(name, id, address, attempts);
            }
            Expired::Silence(seconds) => {
                bindings::wg_debug_silence(name, id, address, seconds as u32);
            }
            Expired::Wiping(seconds) => {
                bindings::wg_debug_wiping(name, id, address, seconds as u32);
            }
        }
    });
}

/// Says that there is a peer number `id`.
#[cold]
#[inline(never)]
pub(crate) fn peer_created(dev: &NetDevice, id: u64) {
    // SAFETY: The string is terminated.
    unsafe { bindings::wg_debug_peer_created(dev.name_ptr(), id) };
}

/// Says that there is none any more.
#[cold]
#[inline(never)]
pub(crate) fn peer_destroyed(dev: &NetDevice, id: u64, endpoint: Option<SocketAddr>) {
    with_sockaddr(endpoint, |address| {
        // SAFETY: As above.
        unsafe { bindings::wg_debug_peer_destroyed(dev.name_ptr(), id, address) };
    });
}

/// Says that a keypair of peer number `peer`'s came or went, unless much is said already.
#[cold]
#[inline(never)]
pub(crate) fn keypair_life(dev: &NetDevice, id: u64, what: &'static CStr, peer: u64) {
    // SAFETY: As above.
    unsafe {
        bindings::wg_debug_keypair(dev.name_ptr(), id, what.as_char_ptr(), peer);
    }
}

/// Says that an interface cannot go up, since there is no socket for it.
#[cold]
#[inline(never)]
pub(crate) fn no_socket(dev: &NetDevice, version: Version) {
    let which = match version {
        Version::V4 => c"IPv4",
        Version::V6 => c"IPv6",
    };
    // SAFETY: All strings are terminated.
    unsafe { bindings::wg_error_socket(dev.name_ptr(), which.as_char_ptr()) };
}

/// Says `what` about a device, unless much is said already.
#[cold]
#[inline(never)]
pub(crate) fn often(dev: &NetDevice, what: &'static CStr) {
    // SAFETY: As above.
    unsafe { bindings::wg_debug_often(dev.name_ptr(), what.as_char_ptr()) };
}

/// Says `what` about a device.
#[cold]
#[inline(never)]
pub(crate) fn device(dev: &NetDevice, what: &'static CStr) {
    // SAFETY: As above.
    unsafe { bindings::wg_debug_dev(dev.name_ptr(), what.as_char_ptr()) };
}
