// SPDX-License-Identifier: GPL-2.0

//! The events of a family: messages that nobody asked for, to those who listen.
//!
//! C headers: `include/net/genetlink.h`, `include/linux/netlink.h`.

use super::{Family, FamilyOps, Message};
use crate::kernel::{bindings, net::Net, rtnl::Rtnl};
use core::{ptr, sync::atomic::Ordering};
use kernel::prelude::*;

/// What an event is told with, at most: device and peer by all their names, each before and after.
const ROOM: usize = 384;

impl<S: FamilyOps> Family<S> {
    /// Whether somebody listens, in whatever namespace. For a decision that may be outdated at once.
    #[inline]
    pub(crate) fn has_listeners() -> bool {
        let this = S::get_static();
        // SAFETY: The family is static. A group that is not ours, or not yet, is only asked about: there
        // is an entry for every number, or none.
        this.has_group.load(Ordering::Relaxed)
            && unsafe { bindings::wg_genl_has_listeners(this.family.get()) }
    }

    /// Tells those in `net`, and nobody elsewhere, an event with what `fill` adds to it. Who has no room
    /// for it is told that. RTNL keeps the group ours.
    pub(crate) fn multicast(
        _rtnl: &Rtnl,
        net: &Net,
        command: u8,
        fill: impl FnOnce(&mut Message<'_>) -> Result,
    ) -> Result {
        let this = S::get_static();
        if !this.has_group.load(Ordering::Relaxed) {
            return Ok(());
        }
        // SAFETY: The family is registered while it has its group, which is until RTNL is released. The
        // message is ours until it is freed or passes to the kernel.
        unsafe {
            let family = this.family.get();
            let skb = bindings::wg_genlmsg_new(ROOM);
            if skb.is_null() {
                return Err(ENOMEM);
            }
            let header = bindings::genlmsg_put(skb, 0, 0, family, 0, command);
            if header.is_null() {
                bindings::wg_genlmsg_free(skb);
                return Err(EMSGSIZE);
            }
            if let Err(error) = fill(&mut Message::new(skb)) {
                bindings::wg_genlmsg_free(skb);
                return Err(error);
            }
            bindings::wg_genlmsg_end(skb, header);
            // That nobody is there is no error, and who missed it knows.
            let _ = bindings::wg_genlmsg_multicast(family, net.as_ptr(), skb, Some(is_elsewhere));
        }
        Ok(())
    }
}

/// Whether a socket is to be left out: it listens to other namespaces than its own, and may not have
/// the right that reading a device takes.
unsafe extern "C" fn is_elsewhere(
    sk: *mut bindings::sock,
    _skb: *mut bindings::sk_buff,
    net: *mut kernel::ffi::c_void,
) -> i32 {
    // SAFETY: The socket is valid during the call; the namespaces are compared only.
    let own = unsafe { bindings::wg_sock_net(sk) };
    i32::from(!ptr::eq(own.cast_const(), net.cast_const().cast()))
}
