// SPDX-License-Identifier: GPL-2.0
//! Ports outside that lead to ports inside, as podman(1) writes them.

use crate::datagrams;
use crate::relay::{spawn, Given};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};
use std::os::fd::OwnedFd;
use wg::error::{quote, Failure, Result};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protocol {
    Tcp,
    Udp,
}

/// A port outside that leads to one inside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publish {
    /// Where to listen; everywhere if not given.
    address: Option<IpAddr>,
    outer: u16,
    inner: u16,
    protocol: Protocol,
}

/// One whose socket is open outside.
pub struct Open {
    socket: OwnedFd,
    given: Given,
    inner: u16,
}

impl Publish {
    /// Reads `[ADDRESS:]PORT:PORT[/PROTOCOL]`.
    pub fn parse(text: &str) -> std::result::Result<Self, String> {
        let shown = || quote(text.as_bytes());
        let wrong = || {
            format!(
                "{} is not [ADDRESS:]PORT:PORT[/udp], first outside and then inside",
                shown()
            )
        };
        let (ports, protocol) = match text.split_once('/') {
            None => (text, Protocol::Tcp),
            Some((ports, "tcp")) => (ports, Protocol::Tcp),
            Some((ports, "udp")) => (ports, Protocol::Udp),
            Some(_) => return Err(format!("{}: only tcp and udp can be published", shown())),
        };
        let (rest, inner) = ports.rsplit_once(':').ok_or_else(wrong)?;
        let (address, outer) = match rest.rsplit_once(':') {
            None => (None, rest),
            Some((address, outer)) => {
                let bare = address.strip_prefix('[').and_then(|a| a.strip_suffix(']'));
                let address = bare.unwrap_or(address);
                let address = match address {
                    "" => None,
                    _ => Some(address.parse().map_err(|_| wrong())?),
                };
                (address, outer)
            }
        };
        let port = |text: &str| text.parse().ok().filter(|&port| port > 0).ok_or_else(wrong);
        Ok(Self {
            address,
            outer: port(outer)?,
            inner: port(inner)?,
            protocol,
        })
    }

    /// Opens the socket, in the network that this process is in.
    pub fn open(&self) -> Result<Open> {
        let (socket, given) = match self.protocol {
            Protocol::Tcp => (self.bind(TcpListener::bind)?.into(), Given::Listener),
            Protocol::Udp => {
                let socket = self.bind(UdpSocket::bind)?;
                datagrams::prepare(&socket).map_err(|error| Failure::os("--publish", &error))?;
                (socket.into(), Given::Datagrams)
            }
        };
        Ok(Open {
            socket,
            given,
            inner: self.inner,
        })
    }

    fn bind<S>(&self, bind: impl Fn(SocketAddr) -> io::Result<S>) -> Result<S> {
        let bind = |address: IpAddr| bind(SocketAddr::new(address, self.outer));
        let fail = |address: IpAddr, error: &io::Error| {
            let at = SocketAddr::new(address, self.outer);
            let failure = Failure::os(format!("--publish: unable to listen at {at}"), error);
            match error.kind() {
                io::ErrorKind::PermissionDenied => failure.and(
                    "Users cannot have that port, see the sysctl net.ipv4.ip_unprivileged_port_start.",
                ),
                _ => failure,
            }
        };
        if let Some(address) = self.address {
            return bind(address).map_err(|error| fail(address, &error));
        }
        // That of IPv6 takes both; without IPv6 there is the other.
        let any = IpAddr::V6(Ipv6Addr::UNSPECIFIED);
        let socket = bind(any).or_else(|error| match error.kind() {
            io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied => Err(error),
            _ => bind(Ipv4Addr::UNSPECIFIED.into()),
        });
        socket.map_err(|error| fail(any, &error))
    }
}

impl Open {
    /// Has a process copy, which is in the network that this process is in now,
    /// the tunnel's.
    pub fn start(self) -> Result<()> {
        spawn(self.socket, self.given, self.inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_as_podman_writes_them() {
        let published = |address: Option<&str>, outer, inner, protocol| Publish {
            address: address.map(|address| address.parse().unwrap()),
            outer,
            inner,
            protocol,
        };
        use Protocol::{Tcp, Udp};
        let four = Some("127.0.0.1");
        for (text, wanted) in [
            ("8080:80", published(None, 8080, 80, Tcp)),
            (":8080:80", published(None, 8080, 80, Tcp)),
            ("8080:80/tcp", published(None, 8080, 80, Tcp)),
            ("5353:53/udp", published(None, 5353, 53, Udp)),
            ("127.0.0.1:8080:80", published(four, 8080, 80, Tcp)),
            ("[::1]:8080:80/udp", published(Some("::1"), 8080, 80, Udp)),
        ] {
            assert_eq!(Publish::parse(text).unwrap(), wanted, "{text}");
        }
        for bad in [
            "",
            "80",
            "x:80",
            "80:",
            "0:80",
            "80:65536",
            "a:80:80",
            "80:80/sctp",
            "80:80/",
            "8-9:8-9",
        ] {
            assert!(Publish::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_port_that_is_taken_is_told() {
        let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
        let port = taken.local_addr().unwrap().port();
        let publish = Publish::parse(&format!("127.0.0.1:{port}:53/udp")).unwrap();
        let failure = publish.open().err().unwrap();
        let at = format!("127.0.0.1:{port}");
        assert!(failure.lines[0].contains(&at), "{:?}", failure.lines);
    }
}
