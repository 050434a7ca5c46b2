// SPDX-License-Identifier: GPL-2.0

//! Socket addresses as C and netlink have them.
//!
//! C headers: `include/uapi/linux/in.h`, `include/uapi/linux/in6.h`.

use super::{bindings, net::family_of};
use crate::judgement::Version;
use core::{
    mem::offset_of,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6},
};

/// Of a `struct sockaddr_in`.
const LEN_V4: usize = size_of::<bindings::sockaddr_in>();
/// Of a `struct sockaddr_in6`.
const LEN_V6: usize = size_of::<bindings::sockaddr_in6>();

// What is written and read below, byte by byte.
const _: () = {
    assert!(LEN_V4 == 16 && LEN_V6 == 28);
    assert!(offset_of!(bindings::sockaddr_in, sin_family) == 0);
    assert!(offset_of!(bindings::sockaddr_in, sin_port) == 2);
    assert!(offset_of!(bindings::sockaddr_in, sin_addr) == 4);
    assert!(offset_of!(bindings::sockaddr_in6, sin6_family) == 0);
    assert!(offset_of!(bindings::sockaddr_in6, sin6_port) == 2);
    assert!(offset_of!(bindings::sockaddr_in6, sin6_flowinfo) == 4);
    assert!(offset_of!(bindings::sockaddr_in6, sin6_addr) == 8);
    assert!(offset_of!(bindings::sockaddr_in6, sin6_scope_id) == 24);
    assert!(align_of::<SockAddr>() >= align_of::<bindings::sockaddr_in6>());
};

/// A `struct sockaddr_in` or `struct sockaddr_in6`.
#[repr(C, align(8))]
pub(crate) struct SockAddr {
    bytes: [u8; LEN_V6],
    version: Option<Version>,
}

impl SockAddr {
    /// Of no family, which prints as such.
    pub(super) const UNSPEC: Self = Self {
        bytes: [0; LEN_V6],
        version: None,
    };

    /// Port `port` of all addresses.
    pub(super) fn any(version: Version, port: u16) -> Self {
        match version {
            Version::V4 => Self::new((Ipv4Addr::UNSPECIFIED, port).into()),
            Version::V6 => Self::new((Ipv6Addr::UNSPECIFIED, port).into()),
        }
    }

    /// Port `port` of this machine.
    pub(super) fn loopback(version: Version, port: u16) -> Self {
        match version {
            Version::V4 => Self::new((Ipv4Addr::LOCALHOST, port).into()),
            Version::V6 => Self::new((Ipv6Addr::LOCALHOST, port).into()),
        }
    }

    /// The C form of an address.
    pub(crate) fn new(address: SocketAddr) -> Self {
        let mut bytes = [0; LEN_V6];
        let [f0, f1, p0, p1, rest @ ..] = &mut bytes;
        let version = match address {
            SocketAddr::V4(v4) => {
                let [a0, a1, a2, a3, ..] = rest;
                [*a0, *a1, *a2, *a3] = v4.ip().octets();
                Version::V4
            }
            SocketAddr::V6(v6) => {
                let (flow, rest) = rest.split_at_mut(4);
                let (ip, scope) = rest.split_at_mut(16);
                flow.copy_from_slice(&v6.flowinfo().to_ne_bytes());
                ip.copy_from_slice(&v6.ip().octets());
                scope.copy_from_slice(&v6.scope_id().to_ne_bytes());
                Version::V6
            }
        };
        [*f0, *f1] = family_of(version).to_ne_bytes();
        [*p0, *p1] = address.port().to_be_bytes();
        Self {
            bytes,
            version: Some(version),
        }
    }

    /// The address of which `bytes` are the C form: no fewer and no more.
    pub(crate) fn parse(bytes: &[u8]) -> Option<SocketAddr> {
        let (&[f0, f1, p0, p1], rest) = bytes.split_first_chunk()?;
        let family = u16::from_ne_bytes([f0, f1]);
        let port = u16::from_be_bytes([p0, p1]);
        if family == family_of(Version::V4) && bytes.len() == LEN_V4 {
            let ip: [u8; 4] = *rest.first_chunk()?;
            Some((ip, port).into())
        } else if family == family_of(Version::V6) && bytes.len() == LEN_V6 {
            let (ip, scope) = rest.get(4..)?.split_first_chunk::<16>()?;
            let scope = u32::from_ne_bytes(scope.try_into().ok()?);
            Some(SocketAddrV6::new((*ip).into(), port, 0, scope).into())
        } else {
            None
        }
    }

    /// As many bytes as an address of the family has.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        let len = match self.version {
            Some(Version::V4) => LEN_V4,
            Some(Version::V6) | None => LEN_V6,
        };
        self.bytes.get(..len).unwrap_or(&self.bytes)
    }

    /// For C, which takes it for an address of any family.
    pub(super) fn as_ptr<T>(&self) -> *const T {
        self.bytes.as_ptr().cast()
    }

    /// The same for functions that write to it, or would.
    pub(super) fn as_mut_ptr<T>(&mut self) -> *mut T {
        self.bytes.as_mut_ptr().cast()
    }

    /// How long it is.
    pub(super) fn len(&self) -> i32 {
        self.as_bytes().len() as i32
    }
}
