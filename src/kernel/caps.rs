// SPDX-License-Identifier: GPL-2.0

//! Rights over network namespaces.
//!
//! C headers: `include/linux/capability.h`, `include/linux/netlink.h`.

use super::{bindings, net::Net};
use core::marker::PhantomData;

/// Who asks for something by netlink: the task that sends the message and whoever opened its
/// socket. A right counts if both hold it, so that a privileged program that was handed somebody
/// else's socket lends nothing.
#[derive(Clone, Copy)]
pub(crate) struct Caller<'a>(*mut bindings::sk_buff, PhantomData<&'a ()>);

impl<'a> Caller<'a> {
    /// The sender of a message.
    ///
    /// # Safety
    ///
    /// `request` is the message that is being handled, for all of `'a`, in its sender's context.
    pub(super) unsafe fn new(request: *mut bindings::sk_buff) -> Self {
        Self(request, PhantomData)
    }

    fn holds(self, net: &Net, capability: u32) -> bool {
        // SAFETY: The message is valid by the constructor's contract, and a namespace's owner
        // lives as long as the namespace.
        unsafe { bindings::netlink_ns_capable(self.0, (*net.as_ptr()).user_ns, capability as i32) }
    }

    /// Whether the sender has no more rights than whoever opened the socket, so that what is the
    /// one's is the other's as well.
    pub(crate) fn is_one(self) -> bool {
        // SAFETY: The message is valid by the constructor's contract. Its socket is open while it
        // is handled, so it has a file, whose credentials never change. The current task's own are
        // valid as long as it is here.
        let (addressed, sender, opener) = unsafe {
            let message = &*bindings::wg_netlink_cb(self.0);
            let socket = (*message.sk).sk_socket;
            (
                message.flags & bindings::netlink_skb_flags_NETLINK_SKB_DST != 0,
                &*bindings::wg_current_cred(),
                &*(*(*socket).file).f_cred,
            )
        };
        // Whoever gives an address means to talk to the kernel, as in netlink_ns_capable().
        addressed
            || (sender.user_ns == opener.user_ns
                && sender.euid.val == opener.euid.val
                && sender.cap_permitted.val & !opener.cap_permitted.val == 0)
    }

    /// Whether the caller holds CAP_NET_ADMIN over `net`.
    pub(crate) fn may_administer(self, net: &Net) -> bool {
        self.holds(net, bindings::CAP_NET_ADMIN)
    }

    /// Whether the caller holds CAP_NET_BIND_SERVICE over `net`.
    pub(crate) fn may_bind_privileged(self, net: &Net) -> bool {
        self.holds(net, bindings::CAP_NET_BIND_SERVICE)
    }
}

/// Whether the current task holds CAP_NET_BIND_SERVICE over `net`.
pub(crate) fn current_may_bind_privileged(net: &Net) -> bool {
    // SAFETY: As in `Caller::holds`.
    unsafe {
        bindings::ns_capable(
            (*net.as_ptr()).user_ns,
            bindings::CAP_NET_BIND_SERVICE as i32,
        )
    }
}
