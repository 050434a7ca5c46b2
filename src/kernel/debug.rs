// SPDX-License-Identifier: GPL-2.0

//! Messages that are printed only where dynamic debug asks for them. None of it is worth room in
//! whoever has something to say.

use super::{bindings, netdev::NetDevice, sockaddr::SockAddr};
use crate::judgement::Version;
use core::net::{IpAddr, SocketAddr};
use kernel::{
    ffi::{c_char, c_void},
    prelude::*,
    str::CStr,
};

/// What can be put into a message. The functions of C take it by value, or look at it during the call.
trait Arg {
    /// What C takes.
    type Raw;
    /// In that form.
    fn raw(&self) -> Self::Raw;
}

impl Arg for u32 {
    type Raw = Self;
    fn raw(&self) -> Self {
        *self
    }
}

impl Arg for u64 {
    type Raw = Self;
    fn raw(&self) -> Self {
        *self
    }
}

impl Arg for Error {
    type Raw = i32;
    fn raw(&self) -> i32 {
        self.to_errno()
    }
}

impl Arg for &'static CStr {
    type Raw = *const c_char;
    fn raw(&self) -> *const c_char {
        self.as_char_ptr()
    }
}

impl Arg for SockAddr {
    type Raw = *const c_void;
    fn raw(&self) -> *const c_void {
        self.as_ptr()
    }
}

/// Calls one of those functions, for a device.
macro_rules! say {
    ($function:path, $dev:expr $(, $arg:expr)*) => {
        // SAFETY: A device's name is terminated. Pointers are those of `Arg`: to strings, which are
        // terminated, and to addresses that say of which family they are.
        unsafe { $function(NetDevice::name_ptr($dev) $(, Arg::raw(&$arg))*) }
    };
}

/// The C form of an address; without one it prints as such.
fn addr(address: Option<SocketAddr>) -> SockAddr {
    address.map_or(SockAddr::UNSPEC, SockAddr::new)
}

fn ip_addr(ip: IpAddr) -> SockAddr {
    addr(Some((ip, 0).into()))
}

/// Says `what` about peer number `id` and its endpoint.
#[cold]
#[inline(never)]
pub(crate) fn peer(dev: &NetDevice, what: &'static CStr, id: u64, endpoint: Option<SocketAddr>) {
    say!(bindings::wg_debug_peer, dev, what, id, addr(endpoint));
}

/// Says `what` about a stranger's packet.
#[cold]
#[inline(never)]
pub(crate) fn stranger(dev: &NetDevice, what: &'static CStr, address: Option<SocketAddr>) {
    say!(bindings::wg_debug_addr, dev, what, addr(address));
}

/// Says that a packet to `ip` has nowhere to go.
#[cold]
#[inline(never)]
pub(crate) fn no_peer_for(dev: &NetDevice, ip: IpAddr) {
    say!(bindings::wg_debug_no_peer, dev, ip_addr(ip));
}

/// Says that a packet from `ip` came from peer number `id`, which may not have it.
#[cold]
#[inline(never)]
pub(crate) fn not_its_ip(dev: &NetDevice, ip: IpAddr, id: u64, endpoint: Option<SocketAddr>) {
    say!(
        bindings::wg_debug_source,
        dev,
        ip_addr(ip),
        id,
        addr(endpoint)
    );
}

/// Says that a packet found no way to an endpoint.
#[cold]
#[inline(never)]
pub(crate) fn no_route(dev: &NetDevice, endpoint: Option<SocketAddr>, error: Error) {
    say!(bindings::wg_debug_no_route, dev, addr(endpoint), error);
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
    say!(
        bindings::wg_debug_counter,
        dev,
        id,
        addr(endpoint),
        counter,
        highest
    );
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
    let at = addr(endpoint);
    match what {
        Expired::Unanswered(seconds, attempt) => {
            say!(
                bindings::wg_debug_unanswered,
                dev,
                id,
                at,
                seconds as u32,
                attempt
            );
        }
        Expired::GivenUp(attempts) => say!(bindings::wg_debug_given_up, dev, id, at, attempts),
        Expired::Silence(seconds) => say!(bindings::wg_debug_silence, dev, id, at, seconds as u32),
        Expired::Wiping(seconds) => say!(bindings::wg_debug_wiping, dev, id, at, seconds as u32),
    }
}

/// Says that there is a peer number `id`.
#[cold]
#[inline(never)]
pub(crate) fn peer_created(dev: &NetDevice, id: u64) {
    say!(bindings::wg_debug_peer_created, dev, id);
}

/// Says that there is none any more.
#[cold]
#[inline(never)]
pub(crate) fn peer_destroyed(dev: &NetDevice, id: u64, endpoint: Option<SocketAddr>) {
    say!(bindings::wg_debug_peer_destroyed, dev, id, addr(endpoint));
}

/// Says that a keypair of peer number `peer`'s came or went, unless much is said already.
#[cold]
#[inline(never)]
pub(crate) fn keypair_life(dev: &NetDevice, id: u64, what: &'static CStr, peer: u64) {
    say!(bindings::wg_debug_keypair, dev, id, what, peer);
}

/// Says that an interface cannot go up, since there is no socket for it.
#[cold]
#[inline(never)]
pub(crate) fn no_socket(dev: &NetDevice, version: Version) {
    let which = match version {
        Version::V4 => c"IPv4",
        Version::V6 => c"IPv6",
    };
    say!(bindings::wg_error_socket, dev, which);
}

/// Says `what` about a device, unless much is said already.
#[cold]
#[inline(never)]
pub(crate) fn often(dev: &NetDevice, what: &'static CStr) {
    say!(bindings::wg_debug_often, dev, what);
}

/// Says `what` about a device.
#[cold]
#[inline(never)]
pub(crate) fn device(dev: &NetDevice, what: &'static CStr) {
    say!(bindings::wg_debug_dev, dev, what);
}
