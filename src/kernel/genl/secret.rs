// SPDX-License-Identifier: GPL-2.0

//! Wiping what is secret in a request.
//!
//! C header: `include/uapi/linux/netlink.h`.

use super::attr::{number_of, HEADER};
use crate::kernel::bindings;

/// Of the headers before a request's first attribute.
const HEADERS: usize = size_of::<bindings::nlmsghdr>() + size_of::<bindings::genlmsghdr>();

/// In the path to a secret: each attribute of a list.
pub(crate) const EACH: u32 = u32::MAX;

/// Wipes what is secret in a request that has been handled: the attributes that each path of numbers
/// in `secrets` leads to.
///
/// # Safety
///
/// `skb` is a message that was copied from its sender for the kernel, and `header` is the one in it.
/// Nobody has a reference to its content.
pub(super) unsafe fn wipe_request(
    skb: *mut bindings::sk_buff,
    header: *const bindings::nlmsghdr,
    secrets: &[&[u32]],
) {
    // SAFETY: By the contract. A tap of the kernel's may copy the message meanwhile, and gets what was
    // there or zeroes. The pointer to write by is the message's own.
    unsafe {
        let head = (*skb).head;
        let first = header
            .addr()
            .wrapping_sub(head.addr())
            .wrapping_add(HEADERS);
        let len = ((*header).nlmsg_len as usize).saturating_sub(HEADERS);
        for path in secrets {
            wipe(head.add(first), len, path);
        }
    }
}

/// Wipes, of the attributes in `len` bytes from `at`, the contents of those that `path` leads to; an
/// empty one leads here.
///
/// # Safety
///
/// These bytes may be written, and nobody has a reference to any of them.
unsafe fn wipe(mut at: *mut u8, mut len: usize, path: &[u32]) {
    let Some((&number, rest)) = path.split_first() else {
        // SAFETY: By the contract.
        return unsafe { bindings::wg_memzero_explicit(at.cast(), len) };
    };
    while len >= HEADER {
        // SAFETY: The bytes of a header are left.
        let header = unsafe { at.cast::<bindings::nlattr>().read_unaligned() };
        let size = usize::from(header.nla_len);
        if size < HEADER || size > len {
            return;
        }
        // SAFETY: As many bytes as the attribute says are left, its header included, and the next
        // begins within what is left, or at its end.
        unsafe {
            if number == EACH || number == number_of(header.nla_type) {
                wipe(at.add(HEADER), size.wrapping_sub(HEADER), rest);
            }
            let step = (size.saturating_add(3) & !3).min(len);
            at = at.add(step);
            len = len.wrapping_sub(step);
        }
    }
}
