// SPDX-License-Identifier: GPL-2.0

//! Round trips: the answer comes from the other side's kernel, so one program waits and not two.

use crate::{Failure, Words};
use nix::{
    errno::Errno,
    sys::{
        socket::{
            recv, sendto, setsockopt, socket, sockopt, AddressFamily, MsgFlags, SockFlag,
            SockProtocol, SockType, SockaddrIn,
        },
        time::{TimeVal, TimeValLike},
    },
};
use std::{
    net::{Ipv4Addr, SocketAddrV4},
    os::fd::AsRawFd,
    thread::sleep,
    time::{Duration, Instant},
};

/// Type, code, checksum, identifier, number, and what fills a packet of 64 bytes up.
const LEN: usize = 8 + 48;
const IP_HEADER_LEN: usize = 20;

fn request(ident: u16, number: u16) -> [u8; LEN] {
    let mut message = [0; LEN];
    message[0] = 8;
    message[4..6].copy_from_slice(&ident.to_be_bytes());
    message[6..8].copy_from_slice(&number.to_be_bytes());
    let sum: u32 = message
        .chunks_exact(2)
        .map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])))
        .sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    let folded = (folded & 0xffff) + (folded >> 16);
    message[2..4].copy_from_slice(&(!(folded as u16)).to_be_bytes());
    message
}

/// Measures round trips one after the other.
pub fn run(words: &mut Words) -> Result<(), Failure> {
    let (address, count): (Ipv4Addr, u16) = (words.next()?, words.next()?);
    let pause = Duration::from_micros(words.next()?);
    let socket = socket(
        AddressFamily::Inet,
        SockType::Raw,
        SockFlag::empty(),
        SockProtocol::Icmp,
    )?;
    setsockopt(
        &socket,
        sockopt::ReceiveTimeout,
        &TimeVal::milliseconds(500),
    )?;
    let target = SockaddrIn::from(SocketAddrV4::new(address, 0));
    let ident = fastrand::u16(..);
    let (mut times, mut lost) = (Vec::new(), 0);
    let mut buffer = [0; 256];
    for number in 0..count {
        let message = request(ident, number);
        let start = Instant::now();
        sendto(socket.as_raw_fd(), &message, &target, MsgFlags::empty())?;
        loop {
            let got = match recv(socket.as_raw_fd(), &mut buffer, MsgFlags::empty()) {
                Ok(got) => got,
                Err(Errno::EAGAIN) => {
                    lost += 1;
                    break;
                }
                Err(error) => return Err(error.into()),
            };
            let answer = &buffer[..got];
            if got >= IP_HEADER_LEN + 8
                && answer[IP_HEADER_LEN] == 0
                && answer[IP_HEADER_LEN + 4..IP_HEADER_LEN + 8] == message[4..8]
            {
                times.push(start.elapsed().as_nanos());
                break;
            }
        }
        sleep(pause);
    }
    times.sort_unstable();
    let at = |share: f64| {
        let last = times.len().checked_sub(1)?;
        times.get((last as f64 * share).round() as usize)
    };
    let (Some(median), Some(p99)) = (at(0.5), at(0.99)) else {
        return Err("nothing came back".into());
    };
    println!("{{\"median\": {median}, \"p99\": {p99}, \"lost\": {lost}, \"sent\": {count}}}");
    Ok(())
}
