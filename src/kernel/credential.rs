// SPDX-License-Identifier: GPL-2.0

//! Sockets that somebody shows as credentials.
//!
//! C headers: `include/linux/net.h`, `include/net/sock.h`.

use super::{
    bindings,
    net::{family_of, Net},
};
use crate::judgement::{Credential, Restriction, Version};
use core::ptr::{self, NonNull};
use kernel::prelude::*;

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

    /// What there is to know of it, as a credential for `version` in `net`.
    pub(crate) fn facts(&self, version: Version, net: Option<&Net>) -> Credential {
        Credential {
            is_udp: self.is_udp(version),
            is_there: net.is_some_and(|net| self.is_in(net)),
            restriction: self.restriction(),
        }
    }

    /// Whether it is a plain UDP socket of the version.
    fn is_udp(&self, version: Version) -> bool {
        let sk = self.sk();
        // SAFETY: As in `sk`. The last two never change; IPV6_ADDRFORM may change the family
        // meanwhile, so it is read as what another CPU may write.
        unsafe {
            (&raw const (*sk).__sk_common.skc_family).read_volatile() == family_of(version)
                && u32::from((*sk).sk_type) == bindings::sock_type_SOCK_DGRAM
                && u32::from((*sk).sk_protocol) == bindings::IPPROTO_UDP
        }
    }

    /// Whether it lives in `net`.
    fn is_in(&self, net: &Net) -> bool {
        // SAFETY: As in `sk`.
        ptr::eq(unsafe { bindings::wg_sock_net(self.sk()) }, net.as_ptr())
    }

    /// Why its holder could not make a tunnel socket of it.
    fn restriction(&self) -> Option<Restriction> {
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

impl Drop for ShownSocket {
    fn drop(&mut self) {
        // SAFETY: The file reference is ours and ends here.
        unsafe { bindings::wg_sockfd_put(self.0.as_ptr()) };
    }
}
