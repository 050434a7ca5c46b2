// SPDX-License-Identifier: GPL-2.0
//! A netlink socket that listens to a multicast group.

use netlink_packet_core::NetlinkBuffer;
use netlink_sys::{Socket, SocketAddr};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

/// How much may wait for us; the kernel gives less to who may not ask for so
/// much.
const WAITING: usize = 4 << 20;
const RECEIVE_LEN: usize = 64 << 10;

/// A socket that is a member of a group.
pub struct Listener {
    socket: Socket,
    buf: Vec<u8>,
}

impl Listener {
    /// Joins the group.
    pub fn join(protocol: libc::c_int, group: u32) -> io::Result<Self> {
        let protocol = isize::try_from(protocol).unwrap_or_default();
        let mut socket = Socket::new(protocol)?;
        if rustix::net::sockopt::set_socket_recv_buffer_size_force(&socket, WAITING).is_err() {
            let _ = rustix::net::sockopt::set_socket_recv_buffer_size(&socket, WAITING);
        }
        socket.bind_auto()?;
        socket.add_membership(group)?;
        socket.set_non_blocking(true)?;
        Ok(Self {
            socket,
            buf: vec![0; RECEIVE_LEN],
        })
    }

    /// Feeds the messages that have come to `take`, with their type. `ENOBUFS`:
    /// there were more than could wait.
    pub fn take(&mut self, mut take: impl FnMut(u16, &[u8])) -> io::Result<()> {
        loop {
            let mut buf = &mut self.buf[..];
            let (len, from): (usize, SocketAddr) = match self.socket.recv_from(&mut buf, 0) {
                Ok(received) => received,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            // Only the kernel tells.
            if from.port_number() != 0 {
                continue;
            }
            let mut rest = self.buf.get(..len).unwrap_or_default();
            while let Ok(message) = NetlinkBuffer::new_checked(rest) {
                take(message.message_type(), message.payload());
                let len = usize::try_from(message.length()).unwrap_or(usize::MAX);
                let next = len.saturating_add(3) & !3;
                rest = rest.get(next..).unwrap_or_default();
            }
        }
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
