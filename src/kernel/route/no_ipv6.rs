// SPDX-License-Identifier: GPL-2.0

//! What a kernel without IPv6 does not have. There are no sockets of it then, so nobody gets here but
//! to find nothing.

use crate::kernel::bindings::{
    dst_cache, dst_entry, flowi6, in6_addr, net, net_device, sk_buff, sock,
};
use core::ptr;

pub(in crate::kernel) unsafe fn dst_cache_get_ip6(
    _: *mut dst_cache,
    _: *mut in6_addr,
) -> *mut dst_entry {
    ptr::null_mut()
}

pub(in crate::kernel) unsafe fn dst_cache_set_ip6(
    _: *mut dst_cache,
    _: *mut dst_entry,
    _: *const in6_addr,
) {
}

pub(in crate::kernel) unsafe fn ip6_dst_lookup_flow(
    _: *mut net,
    _: *const sock,
    _: *mut flowi6,
    _: *const in6_addr,
) -> *mut dst_entry {
    ptr::null_mut()
}

pub(in crate::kernel) unsafe fn ipv6_chk_addr(
    _: *mut net,
    _: *const in6_addr,
    _: *const net_device,
    _: i32,
) -> i32 {
    0
}

#[expect(clippy::too_many_arguments, reason = "the kernel's")]
pub(in crate::kernel) unsafe fn udp_tunnel6_xmit_skb(
    _: *mut dst_entry,
    _: *mut sock,
    _: *mut sk_buff,
    _: *mut net_device,
    _: *const in6_addr,
    _: *const in6_addr,
    _: u8,
    _: u8,
    _: u32,
    _: u16,
    _: u16,
    _: bool,
    _: u16,
) {
}
