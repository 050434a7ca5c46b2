// SPDX-License-Identifier: GPL-2.0
//! What is taken along from the namespace that the packets are to leave from:
//! the namespace itself, and the proof that its owner lets the user send there.

use rustix::io::Errno;
use rustix::net::sockopt::{ip_mtu, ipv6_mtu};
use rustix::net::{connect, ipproto, socket_with, AddressFamily, SocketFlags, SocketType};
use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd};
use wg::error::{Failure, Result};
use wg::transit::{Credentials, Found};

/// The network namespace that this program was started in.
pub struct Outside {
    netns: Found,
    v4: OwnedFd,
    /// Absent where the kernel has no IPv6.
    v6: Option<OwnedFd>,
}

impl Outside {
    /// Opens the namespace and two sockets in it. Nothing is bound or sent.
    pub fn look_around() -> Result<Self> {
        let netns = File::open("/proc/self/ns/net")
            .map_err(|error| Failure::os("Unable to open /proc/self/ns/net", &error))?;
        let failed = |family: &str, errno: Errno| {
            Failure::os(
                format!("Unable to open a UDP socket for {family}"),
                &io::Error::from(errno),
            )
            .and("WireGuard sends by UDP, so nobody who may not use that can have a tunnel.")
        };
        let v4 = udp(AddressFamily::INET).map_err(|errno| failed("IPv4", errno))?;
        let v6 = match udp(AddressFamily::INET6) {
            Ok(socket) => Some(socket),
            Err(Errno::AFNOSUPPORT) => None,
            Err(errno) => return Err(failed("IPv6", errno)),
        };
        Ok(Self {
            netns: Found::Fd(netns),
            v4,
            v6,
        })
    }

    /// Where the tunnel's sockets are to move.
    pub fn netns(&self) -> &Found {
        &self.netns
    }

    /// Why they may.
    pub fn credentials(&self) -> Credentials {
        let number = |fd: &OwnedFd| fd.as_raw_fd().unsigned_abs();
        Credentials {
            v4: number(&self.v4),
            v6: self.v6.as_ref().map(number),
        }
    }

    /// Whether the kernel has IPv6 at all.
    pub fn has_ipv6(&self) -> bool {
        self.v6.is_some()
    }

    /// A socket that is still outside, whatever namespace this process is in now.
    pub fn socket_to(&self, address: &SocketAddr) -> Option<&OwnedFd> {
        match address {
            SocketAddr::V4(_) => Some(&self.v4),
            SocketAddr::V6(_) => self.v6.as_ref(),
        }
    }
}

/// The largest packet on the way to an address, as far as this machine knows.
/// None if there is no way. Nothing is sent. To be asked outside.
pub fn path_mtu(address: &SocketAddr) -> Option<u32> {
    let family = match address {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    };
    let socket = udp(family).ok()?;
    connect(&socket, address).ok()?;
    match address {
        SocketAddr::V4(_) => ip_mtu(&socket).ok(),
        SocketAddr::V6(_) => ipv6_mtu(&socket).ok(),
    }
}

fn udp(family: AddressFamily) -> rustix::io::Result<OwnedFd> {
    socket_with(
        family,
        SocketType::DGRAM,
        SocketFlags::CLOEXEC,
        Some(ipproto::UDP),
    )
}
