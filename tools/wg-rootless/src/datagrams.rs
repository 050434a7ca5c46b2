// SPDX-License-Identifier: GPL-2.0
//! Copies UDP datagrams between who sends to a socket outside and a port of
//! 127.0.0.1 inside.
//!
//! Each sender gets a socket inside, so that the service can tell them apart
//! and its answers find back. An answer comes from the address that was sent
//! to: a machine has several, and who asked one does not listen to another.

use nix::sys::socket::{
    recvmsg, sendmsg, setsockopt, sockopt, ControlMessage, ControlMessageOwned, MsgFlags,
    SockaddrStorage,
};
use rustix::event::{poll, PollFd, PollFlags};
use std::io::{self, IoSlice, IoSliceMut};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::{AsRawFd, BorrowedFd};

/// So many are known at a time. Who was not heard of for the longest time makes
/// room for another, so nobody has to be forgotten by a clock.
const MOST: usize = 256;
/// No datagram is longer.
const LONGEST: usize = 1 << 16;

/// Has the kernel tell which address a datagram was sent to.
pub fn prepare(socket: &UdpSocket) -> io::Result<()> {
    match socket.local_addr()? {
        SocketAddr::V4(_) => setsockopt(socket, sockopt::Ipv4PacketInfo, &true)?,
        SocketAddr::V6(_) => setsockopt(socket, sockopt::Ipv6RecvPacketInfo, &true)?,
    }
    Ok(())
}

/// Where a datagram was sent to.
#[derive(Clone, Copy)]
enum Local {
    V4(libc::in_pktinfo),
    V6(libc::in6_pktinfo),
}

/// Somebody outside.
struct Sender {
    address: SockaddrStorage,
    local: Option<Local>,
    /// Connected to the service.
    inside: UdpSocket,
}

/// Copies until the command ends.
pub fn serve(outside: &UdpSocket, port: u16, command: BorrowedFd<'_>) -> io::Result<()> {
    outside.set_nonblocking(true)?;
    let mut buffer = vec![0; LONGEST];
    // The last one was heard of last.
    let mut senders: Vec<Sender> = Vec::new();
    loop {
        let mut wait = vec![
            PollFd::from_borrowed_fd(command, PollFlags::IN),
            PollFd::new(outside, PollFlags::IN),
        ];
        let insides = senders.iter().map(|sender| &sender.inside);
        wait.extend(insides.map(|inside| PollFd::new(inside, PollFlags::IN)));
        match poll(&mut wait, None) {
            Err(rustix::io::Errno::INTR) => continue,
            done => done?,
        };
        let ready: Vec<bool> = wait.iter().map(|fd| !fd.revents().is_empty()).collect();
        if ready[0] {
            return Ok(());
        }
        for (sender, _) in senders.iter().zip(&ready[2..]).filter(|(_, &ready)| ready) {
            answer(outside, sender, &mut buffer);
        }
        if ready[1] {
            pass_on(outside, port, &mut senders, &mut buffer);
        }
    }
}

/// Sends what the service says to who asked. That it does not listen, or that
/// nothing can be sent, ends nothing: datagrams may be lost.
fn answer(outside: &UdpSocket, sender: &Sender, buffer: &mut [u8]) {
    let Ok(length) = sender.inside.recv(buffer) else {
        return;
    };
    let from = sender.local.as_ref().map(|local| match local {
        Local::V4(info) => ControlMessage::Ipv4PacketInfo(info),
        Local::V6(info) => ControlMessage::Ipv6PacketInfo(info),
    });
    let data = [IoSlice::new(&buffer[..length])];
    let flags = MsgFlags::empty();
    let _ = sendmsg(
        outside.as_raw_fd(),
        &data,
        from.as_slice(),
        flags,
        Some(&sender.address),
    );
}

/// Sends one datagram to the service.
fn pass_on(outside: &UdpSocket, port: u16, senders: &mut Vec<Sender>, buffer: &mut [u8]) {
    let Some((length, address, local)) = receive(outside, buffer) else {
        return;
    };
    let known = senders.iter().position(|sender| sender.address == address);
    let sender = match known {
        Some(known) => Sender {
            local,
            ..senders.remove(known)
        },
        None => {
            if senders.len() >= MOST {
                senders.remove(0);
            }
            let Ok(inside) = connected(port) else {
                return;
            };
            Sender {
                address,
                local,
                inside,
            }
        }
    };
    // The first try may be told that the datagram before found nobody.
    let _ = sender
        .inside
        .send(&buffer[..length])
        .or_else(|_| sender.inside.send(&buffer[..length]));
    senders.push(sender);
}

fn connected(port: u16) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    socket.connect((Ipv4Addr::LOCALHOST, port))?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

fn receive(
    outside: &UdpSocket,
    buffer: &mut [u8],
) -> Option<(usize, SockaddrStorage, Option<Local>)> {
    let mut data = [IoSliceMut::new(buffer)];
    let mut space = nix::cmsg_space!(libc::in_pktinfo, libc::in6_pktinfo);
    let fd = outside.as_raw_fd();
    let got =
        recvmsg::<SockaddrStorage>(fd, &mut data, Some(&mut space), MsgFlags::empty()).ok()?;
    let local = got.cmsgs().ok()?.find_map(|message| match message {
        // By which interface it leaves is for the routes to say.
        ControlMessageOwned::Ipv4PacketInfo(info) => Some(Local::V4(libc::in_pktinfo {
            ipi_ifindex: 0,
            ipi_spec_dst: info.ipi_addr,
            ..info
        })),
        ControlMessageOwned::Ipv6PacketInfo(info) => Some(Local::V6(libc::in6_pktinfo {
            ipi6_ifindex: 0,
            ..info
        })),
        _ => None,
    });
    Some((got.bytes, got.address?, local))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;
    use std::thread::JoinHandle;
    use std::time::Duration;

    /// A socket stands for the command, which ends when the other one is dropped.
    fn relay(outside: UdpSocket, port: u16) -> (JoinHandle<()>, UnixStream) {
        let (command, end) = UnixStream::pair().unwrap();
        prepare(&outside).unwrap();
        let serving = std::thread::spawn(move || serve(&outside, port, command.as_fd()).unwrap());
        (serving, end)
    }

    fn client(to: SocketAddr) -> UdpSocket {
        let any: SocketAddr = match to {
            SocketAddr::V4(_) => "0.0.0.0:0".parse().unwrap(),
            SocketAddr::V6(_) => "[::]:0".parse().unwrap(),
        };
        let client = UdpSocket::bind(any).unwrap();
        // From others it takes nothing.
        client.connect(to).unwrap();
        client
            .set_read_timeout(Some(Duration::from_secs(60)))
            .unwrap();
        client
    }

    fn received(socket: &UdpSocket) -> String {
        let mut buffer = [0; 99];
        let length = socket.recv(&mut buffer).unwrap();
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    }

    /// Sends back whatever it gets.
    fn echo() -> u16 {
        let service = UdpSocket::bind("127.0.0.1:0").unwrap();
        let port = service.local_addr().unwrap().port();
        std::thread::spawn(move || loop {
            let mut buffer = [0; 99];
            let (length, from) = service.recv_from(&mut buffer).unwrap();
            service.send_to(&buffer[..length], from).unwrap();
        });
        port
    }

    #[test]
    fn answers_find_back() {
        for (bind, targets) in [
            ("0.0.0.0:0", &["127.0.0.1", "127.0.0.2"][..]),
            ("[::]:0", &["127.0.0.1", "127.0.0.2", "::1"]),
            ("127.0.0.3:0", &["127.0.0.3"]),
        ] {
            let Ok(outside) = UdpSocket::bind(bind) else {
                // A machine without IPv6.
                continue;
            };
            let port = outside.local_addr().unwrap().port();
            let (serving, command) = relay(outside, echo());
            let at = |target: &&str| client(SocketAddr::new(target.parse().unwrap(), port));
            let clients: Vec<_> = targets.iter().chain(targets).map(at).collect();
            for round in 0..2 {
                for (number, client) in clients.iter().enumerate() {
                    client.send(format!("{round} {number}").as_bytes()).unwrap();
                }
                for (number, client) in clients.iter().enumerate() {
                    assert_eq!(received(client), format!("{round} {number}"), "{bind}");
                }
            }
            drop(command);
            serving.join().unwrap();
        }
    }

    #[test]
    fn nobody_is_known_for_ever() {
        let outside = UdpSocket::bind("127.0.0.1:0").unwrap();
        let at = outside.local_addr().unwrap();
        let (serving, command) = relay(outside, echo());
        for number in 0..MOST + 9 {
            let client = client(at);
            client.send(number.to_string().as_bytes()).unwrap();
            assert_eq!(received(&client), number.to_string());
        }
        drop(command);
        serving.join().unwrap();
    }

    #[test]
    fn a_service_may_begin_later() {
        let outside = UdpSocket::bind("127.0.0.1:0").unwrap();
        let client = client(outside.local_addr().unwrap());
        let reserved = UdpSocket::bind("127.0.0.1:0").unwrap();
        let port = reserved.local_addr().unwrap().port();
        drop(reserved);
        let (serving, command) = relay(outside, port);
        client.send(b"nobody").unwrap();
        let service = UdpSocket::bind(("127.0.0.1", port)).unwrap();
        // Whether the first one arrived too is for the machine to say.
        let mut text = String::new();
        while text != "there" {
            client.send(b"there").unwrap();
            text = received(&service);
        }
        drop(command);
        serving.join().unwrap();
    }
}
