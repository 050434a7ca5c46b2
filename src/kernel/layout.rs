// SPDX-License-Identifier: GPL-2.0

//! Members of C's anonymous structures and unions. bindgen numbers those in their order, so each that
//! is used is named here, and its place is compared with the one that C gives.
//!
//! C header: `src/kernel/bindings.h`.

use super::bindings;
use core::mem::offset_of;
use kernel::ffi::{c_char, c_int};

macro_rules! compare {
    ($([$start:expr];)? $($type:ident.$($member:ident).+ == $offset:ident;)*) => {
        const _: () = {
            let start = 0 $(+ $start)?;
            $(assert!(
                start + offset_of!(bindings::$type, $($member).+) == bindings::$offset,
                "C has it elsewhere"
            );)*
        };
    };
}

compare! {
    nla_policy.__bindgen_anon_1.reject_message == OFFSET_POLICY_REJECT_MESSAGE;
    nla_policy.__bindgen_anon_1.nested_policy == OFFSET_POLICY_NESTED;
    nla_policy.__bindgen_anon_1.mask == OFFSET_POLICY_MASK;
    nla_policy.__bindgen_anon_1.__bindgen_anon_1.min == OFFSET_POLICY_MIN;
    nla_policy.__bindgen_anon_1.__bindgen_anon_1.max == OFFSET_POLICY_MAX;
    genl_split_ops.__bindgen_anon_1.__bindgen_anon_1.doit == OFFSET_OPS_DOIT;
    genl_split_ops.__bindgen_anon_1.__bindgen_anon_2.start == OFFSET_OPS_START;
    genl_split_ops.__bindgen_anon_1.__bindgen_anon_2.dumpit == OFFSET_OPS_DUMPIT;
    netlink_callback.__bindgen_anon_1.ctx == OFFSET_CALLBACK_CTX;
    dst_entry.__bindgen_anon_1.dev == OFFSET_DST_DEV;
    sk_buff.__bindgen_anon_1.__bindgen_anon_1.next == OFFSET_SKB_NEXT;
    sk_buff.__bindgen_anon_1.__bindgen_anon_1.prev == OFFSET_SKB_PREV;
    sk_buff.__bindgen_anon_1.__bindgen_anon_1.__bindgen_anon_1.dev == OFFSET_SKB_DEV;
    sk_buff.__bindgen_anon_4.headers == OFFSET_SKB_HEADERS;
}

compare! {
    [bindings::OFFSET_SKB_HEADERS];
    sk_buff__bindgen_ty_4__bindgen_ty_1.__bindgen_anon_1.__bindgen_anon_1.csum_start == OFFSET_SKB_CSUM_START;
    sk_buff__bindgen_ty_4__bindgen_ty_1.__bindgen_anon_1.__bindgen_anon_1.csum_offset == OFFSET_SKB_CSUM_OFFSET;
    sk_buff__bindgen_ty_4__bindgen_ty_1.__bindgen_anon_4.mark == OFFSET_SKB_MARK;
}

// `struct_group()` has the same members twice: by themselves, and as a structure.
const _: () =
    assert!(size_of::<SkbHeaders>() == size_of::<bindings::sk_buff__bindgen_ty_4__bindgen_ty_2>());

/// The fields of a packet from `headers` on, which are forgotten together.
pub(super) type SkbHeaders = bindings::sk_buff__bindgen_ty_4__bindgen_ty_1;

/// What a dump may keep from one message to the next.
pub(super) type CallbackContext = bindings::netlink_callback__bindgen_ty_1;

/// What to say of an attribute that is refused.
pub(super) const fn set_reject_message(policy: &mut bindings::nla_policy, message: *const c_char) {
    policy.__bindgen_anon_1.reject_message = message;
}

/// The policy of the attributes inside.
pub(super) const fn set_nested(
    policy: &mut bindings::nla_policy,
    nested: *const bindings::nla_policy,
) {
    policy.__bindgen_anon_1.nested_policy = nested;
}

/// The bits that may be set.
pub(super) const fn set_mask(policy: &mut bindings::nla_policy, mask: u32) {
    policy.__bindgen_anon_1.mask = mask;
}

/// The least that is accepted, and the most; without a most, that is not looked at.
pub(super) const fn set_range(policy: &mut bindings::nla_policy, min: i16, max: i16) {
    policy.__bindgen_anon_1.__bindgen_anon_1.min = min;
    policy.__bindgen_anon_1.__bindgen_anon_1.max = max;
}

/// What a command does.
pub(super) const fn set_doit(
    ops: &mut bindings::genl_split_ops,
    doit: unsafe extern "C" fn(*mut bindings::sk_buff, *mut bindings::genl_info) -> c_int,
) {
    ops.__bindgen_anon_1.__bindgen_anon_1 = bindings::genl_split_ops__bindgen_ty_1__bindgen_ty_1 {
        pre_doit: None,
        doit: Some(doit),
        post_doit: None,
    };
}

/// What a command that dumps does, and what first.
pub(super) const fn set_dump(
    ops: &mut bindings::genl_split_ops,
    start: Option<unsafe extern "C" fn(*mut bindings::netlink_callback) -> c_int>,
    dumpit: unsafe extern "C" fn(*mut bindings::sk_buff, *mut bindings::netlink_callback) -> c_int,
) {
    ops.__bindgen_anon_1.__bindgen_anon_2 = bindings::genl_split_ops__bindgen_ty_1__bindgen_ty_2 {
        start,
        dumpit: Some(dumpit),
        done: None,
    };
}

/// Where that is.
///
/// # Safety
///
/// `cb` is valid.
pub(super) unsafe fn dump_context(cb: *mut bindings::netlink_callback) -> *mut CallbackContext {
    // SAFETY: By the contract.
    unsafe { &raw mut (*cb).__bindgen_anon_1 }
}

/// The device that a route leaves by.
///
/// # Safety
///
/// `dst` is valid.
pub(super) unsafe fn dst_dev(dst: *mut bindings::dst_entry) -> *const *mut bindings::net_device {
    // SAFETY: By the contract.
    unsafe { &raw const (*dst).__bindgen_anon_1.dev }
}

/// The device that a packet is for, or came from.
///
/// # Safety
///
/// `skb` is valid.
#[inline]
pub(super) unsafe fn skb_dev(skb: *mut bindings::sk_buff) -> *mut *mut bindings::net_device {
    // SAFETY: By the contract.
    unsafe {
        &raw mut (*skb)
            .__bindgen_anon_1
            .__bindgen_anon_1
            .__bindgen_anon_1
            .dev
    }
}

/// The link to the packet behind it.
///
/// # Safety
///
/// `skb` is valid.
#[inline]
pub(super) unsafe fn skb_next(skb: *mut bindings::sk_buff) -> *mut *mut bindings::sk_buff {
    // SAFETY: By the contract.
    unsafe { &raw mut (*skb).__bindgen_anon_1.__bindgen_anon_1.next }
}

/// The headers of a packet.
///
/// # Safety
///
/// `skb` is valid.
#[inline]
pub(super) unsafe fn skb_headers(skb: *mut bindings::sk_buff) -> *mut SkbHeaders {
    // SAFETY: By the contract. The union's members are the same fields, as was compared.
    unsafe { (&raw mut (*skb).__bindgen_anon_4).cast() }
}

/// From where on a partial checksum is completed, from the start of the packet's buffer.
#[inline]
pub(super) fn csum_start(headers: &SkbHeaders) -> u16 {
    // SAFETY: Both members of the union are plain data, of the same size.
    unsafe { headers.__bindgen_anon_1.__bindgen_anon_1.csum_start }
}

/// Has the checksum be partial: who completes it sums from `start` on, and writes it `offset` bytes
/// behind that.
#[inline]
pub(super) fn set_csum_partial(headers: &mut SkbHeaders, start: u16, offset: usize) {
    headers.set_ip_summed(bindings::CHECKSUM_PARTIAL as u8);
    headers.__bindgen_anon_1.__bindgen_anon_1.csum_start = start;
    headers.__bindgen_anon_1.__bindgen_anon_1.csum_offset = offset as u16;
}

/// The firewall mark.
#[inline]
pub(super) fn set_mark(headers: &mut SkbHeaders, mark: u32) {
    headers.__bindgen_anon_4.mark = mark;
}
