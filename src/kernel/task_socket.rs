// SPDX-License-Identifier: GPL-2.0

//! UDP sockets that belong to the current task as if its own program had opened them: everything
//! that the host rules over sockets by sees them as the task's.
//!
//! C headers: `include/linux/net.h`, `include/net/sock.h`, `include/linux/bpf-cgroup.h`,
//! `include/linux/security.h`.

use super::{
    bindings,
    errno::{EADDRNOTAVAIL, EHOSTUNREACH, ENETDOWN, ENETUNREACH, ENOBUFS},
    net::{self, Net},
    random,
    skb::Skb,
    sockaddr::SockAddr,
};
use crate::judgement::Version;
use core::{ptr, ptr::NonNull};
use kernel::{
    error::{from_err_ptr, to_result},
    prelude::*,
};

/// How many ports are asked about. A security module may allow them one by one: who may send to
/// half of them all gets through once in 65,536 times.
const PROBES: usize = 16;

/// A socket of the current task's without a file.
///
/// # Invariants
///
/// The pointer is a UDP socket of `version`, which has a `struct sock` that does not hold its
/// namespace, and is nobody else's.
struct FilelessSocket {
    socket: NonNull<bindings::socket>,
    version: Version,
}

impl FilelessSocket {
    /// What socket(2) does, in `net`: security modules and the programs of the task's cgroup are
    /// asked, and the socket gets the task's user, cgroups and label.
    fn new(net: &Net, version: Version) -> Result<Self> {
        let mut socket = ptr::null_mut();
        // SAFETY: The namespace is alive. Not a kernel socket: those are nobody's.
        to_result(unsafe {
            bindings::__sock_create(
                net.as_ptr(),
                net::family_of(version).into(),
                bindings::sock_type_SOCK_DGRAM as i32,
                bindings::IPPROTO_UDP as i32,
                &mut socket,
                0,
            )
        })?;
        let socket = NonNull::new(socket).ok_or(EINVAL)?;
        // SAFETY: The socket is new and ours. Its reference to the namespace is exchanged for a
        // passive one, as kernel sockets have it, while the caller holds one: the device that gets
        // the socket closes it when the namespace goes.
        unsafe { bindings::wg_sock_hold_net_passively((*socket.as_ptr()).sk) };
        Ok(Self { socket, version })
    }

    fn sk(&self) -> *mut bindings::sock {
        // SAFETY: By the type invariant.
        unsafe { (*self.socket.as_ptr()).sk }
    }

    /// Asks whether the task may send to a port that was taken at random, without a packet: UDP
    /// stops after security modules, programs of the cgroup, and the route. As the socket has no
    /// port yet they are also asked whether it may have one picked for it.
    fn probe(&self) -> Result {
        let port = random::below(u16::MAX.into()).wrapping_add(1) as u16;
        let mut address = SockAddr::loopback(self.version, port);
        // No data, no control messages.
        let mut message: bindings::msghdr = pin_init::zeroed();
        message.msg_name = address.as_mut_ptr();
        message.msg_namelen = address.len();
        message.msg_flags = bindings::MSG_PROBE | bindings::MSG_CONFIRM | bindings::MSG_DONTWAIT;
        // SAFETY: The socket is ours by the type invariant; the message and its address are valid
        // for the call.
        to_result(unsafe { bindings::sock_sendmsg(self.socket.as_ptr(), &mut message) })
    }
}

impl Drop for FilelessSocket {
    fn drop(&mut self) {
        // SAFETY: Ours by the type invariant, and without a file.
        unsafe { bindings::sock_release(self.socket.as_ptr()) };
    }
}

/// Whether the current task may send by UDP, in a namespace, where it likes.
pub(crate) enum MaySend {
    Yes,
    /// A program of its cgroup judges by address what it connects or sends.
    Ruled,
    /// A security module says so.
    No(Error),
}

/// Asks that of `net`.
pub(super) fn may_send(net: &Net, version: Version) -> Result<MaySend> {
    for _ in 0..PROBES {
        // A new one each time, since the first probe gives it a port.
        let socket = FilelessSocket::new(net, version)?;
        // SAFETY: The socket is there, and of that version.
        if unsafe { are_addresses_ruled(socket.sk(), version) } {
            return Ok(MaySend::Ruled);
        }
        match socket.probe() {
            Ok(()) => (),
            // Security modules were asked before: there is no route, or no port to send from.
            Err(
                ENETUNREACH | EHOSTUNREACH | ENETDOWN | EADDRNOTAVAIL | ENODEV | EINVAL | EAGAIN,
            ) => (),
            Err(error @ (ENOMEM | ENOBUFS)) => return Err(error),
            Err(error) => return Ok(MaySend::No(error)),
        }
    }
    Ok(MaySend::Yes)
}

/// Whether nothing that cannot be asked might keep the current task from binding to `port`.
///
/// bind(2) asks a hook that is not exported. A sandbox that a task has put itself into, as Landlock
/// is, comes with no_new_privs. Such a task may have the ports that the kernel picks, about which the dry
/// run asks, and by IP_LOCAL_PORT_RANGE its program could have any one of them.
pub(super) fn may_name(net: &Net, port: u16) -> bool {
    // SAFETY: The first looks at the current task, the second at a namespace that is alive.
    unsafe { !bindings::wg_no_new_privs() || bindings::wg_is_local_port(net.as_ptr(), port) }
}

/// Whether a program of the socket's cgroup judges by address what is sent.
///
/// # Safety
///
/// `sk` is a valid socket of `version`.
#[inline]
unsafe fn is_sending_ruled(sk: *mut bindings::sock, version: Version) -> bool {
    // SAFETY: By the contract.
    unsafe {
        match version {
            Version::V4 => bindings::wg_cgroup_rules_sending4(sk),
            Version::V6 => bindings::wg_cgroup_rules_sending6(sk),
        }
    }
}

/// The same for what is connected or sent.
///
/// # Safety
///
/// As for [`is_sending_ruled`].
unsafe fn are_addresses_ruled(sk: *mut bindings::sock, version: Version) -> bool {
    // SAFETY: By the contract.
    unsafe {
        let connecting = match version {
            Version::V4 => bindings::wg_cgroup_rules_connecting4(sk),
            Version::V6 => bindings::wg_cgroup_rules_connecting6(sk),
        };
        connecting || is_sending_ruled(sk, version)
    }
}

/// A socket of the task that made it.
///
/// # Invariants
///
/// `file` is a file of which one reference belongs to this value, and nobody else has one. `socket`
/// is its socket, a UDP socket of `version`, and `sk` is that one's.
pub(super) struct TaskSocket {
    file: NonNull<bindings::file>,
    socket: NonNull<bindings::socket>,
    sk: NonNull<bindings::sock>,
    version: Version,
}

// SAFETY: Sockets and files may be used from any thread.
unsafe impl Send for TaskSocket {}
// SAFETY: As above.
unsafe impl Sync for TaskSocket {}

impl TaskSocket {
    /// Makes a socket in `net`, bound to `port` of all addresses; 0 lets the kernel pick one. What
    /// security modules and the programs of the task's cgroup answer is passed on.
    pub(super) fn bind(net: &Net, version: Version, port: u16) -> Result<Self> {
        let bare = core::mem::ManuallyDrop::new(FilelessSocket::new(net, version)?);
        let (socket, sk) = (bare.socket, bare.sk());
        // The file is what owner matches look at: its credentials are those of the task.
        // SAFETY: The socket is ours, and passes to the file, or is released where there is none.
        let file =
            from_err_ptr(unsafe { bindings::sock_alloc_file(socket.as_ptr(), 0, ptr::null()) })?;
        // INVARIANT: Made just now, and in no table.
        let this = Self {
            file: NonNull::new(file).ok_or(EINVAL)?,
            socket,
            sk: NonNull::new(sk).ok_or(EINVAL)?,
            version,
        };
        let mut address = SockAddr::any(version, port);
        let len = address.len();
        // SAFETY: The socket is ours and not bound yet; the address is valid for the call.
        unsafe {
            if version == Version::V6 {
                to_result(bindings::wg_sock_set_v6only(sk))?;
            }
            to_result(bindings::wg_security_may_bind(
                sk,
                address.as_mut_ptr(),
                len,
            ))?;
            let address = address.as_mut_ptr();
            to_result(bindings::kernel_bind(socket.as_ptr(), address, len))?;
            // Programs of the cgroup may have given the socket what packets of its owner would then
            // have, and those of a tunnel do not: a mark, a device, a priority, an address, a port.
            let bound_to = u16::from_be(bindings::wg_inet_sport(sk));
            if !bindings::wg_sk_is_plain(sk) || (port != 0 && bound_to != port) {
                return Err(EPERM);
            }
        }
        Ok(this)
    }

    pub(super) fn as_ptr(&self) -> NonNull<bindings::sock> {
        self.sk
    }

    /// Where who waits for room in the send buffer is woken.
    pub(super) fn wait_queue(&self) -> *mut bindings::wait_queue_head {
        // SAFETY: Valid by the type invariant; only the address is taken.
        unsafe { &raw mut (*self.socket.as_ptr()).wq.wait }
    }

    /// Whose it is.
    pub(super) fn uid(&self) -> bindings::kuid_t {
        // SAFETY: Valid by the type invariant.
        unsafe { bindings::wg_sk_uid(self.sk.as_ptr()) }
    }

    /// Bytes that packets on their way out take, and how many they may take.
    #[inline]
    fn send_buffer(&self) -> (u32, u32) {
        // SAFETY: Valid by the type invariant.
        unsafe {
            let sk = self.sk.as_ptr();
            (
                bindings::wg_sk_wmem_alloc(sk),
                bindings::wg_sk_sndbuf(sk) as u32,
            )
        }
    }

    /// Whether sendmsg(2) would not wait for room in the send buffer.
    #[inline]
    pub(super) fn has_room(&self) -> bool {
        let (taken, all) = self.send_buffer();
        taken < all
    }

    /// Whether who waits for room has been woken, or will not be: the stack wakes them when a packet
    /// leaves and half of the buffer is free.
    pub(super) fn has_much_room(&self) -> bool {
        let (taken, all) = self.send_buffer();
        taken < all / 2
    }

    /// Wakes one who waits for room, if there is some.
    pub(super) fn wake_next(&self) {
        if self.has_room() {
            // SAFETY: The queue is valid: the socket is open.
            unsafe { bindings::wg_wake_up(self.wait_queue()) };
        }
    }

    /// Wakes all who wait for room.
    pub(super) fn wake_all(&self) {
        // SAFETY: As above.
        unsafe { bindings::wg_wake_up_all(self.wait_queue()) };
    }

    /// Makes the packet one of this socket's, which it may be sent by then. `ENOBUFS`: there is no room
    /// for it. `EPERM`: a program judges by address what the socket's cgroup sends, and is asked by
    /// sendmsg(2) alone.
    #[inline]
    pub(super) fn own(&self, skb: &mut Skb) -> Result {
        let (taken, all) = self.send_buffer();
        // SAFETY: Valid by the type invariant, and of that version.
        if unsafe { is_sending_ruled(self.sk.as_ptr(), self.version) } {
            return Err(EPERM);
        }
        // Who sends much waits for room before. What is small may overshoot.
        if taken >= all.saturating_mul(2) {
            return Err(ENOBUFS);
        }
        // SAFETY: Both are valid; the socket's memory stays until its last packet has gone. Nobody reads
        // time stamps from the socket, and what they were asked for is not its own packet.
        unsafe {
            bindings::wg_skb_no_timestamp(skb.as_ptr());
            bindings::skb_set_owner_w(skb.as_ptr(), self.sk.as_ptr());
        }
        Ok(())
    }
}

impl Drop for TaskSocket {
    fn drop(&mut self) {
        let (socket, file) = (self.socket.as_ptr(), self.file.as_ptr());
        // SAFETY: Socket and file are ours by the type invariant, and of what is in them nobody else
        // waits for room once woken. The socket is closed before its file: closing that would lock its
        // inode, under RTNL, which close(2) takes the other way round. Closed, it forgets the file, which
        // has to know that it still has one. Process context, where the file's end need not be put off.
        unsafe {
            bindings::wg_sk_forget_user_data(self.sk.as_ptr());
            bindings::kernel_sock_shutdown(socket, bindings::sock_shutdown_cmd_SHUT_RDWR);
            self.wake_all();
            bindings::sock_release(socket);
            (*socket).file = file;
            bindings::__fput_sync(file);
        }
    }
}
