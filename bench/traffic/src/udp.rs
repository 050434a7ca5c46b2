// SPDX-License-Identifier: GPL-2.0

//! As many packets as there can be.

use crate::{now, Failure, Words};
use nix::{
    errno::Errno,
    sys::socket::{recvmmsg, sendmmsg, setsockopt, sockopt, MsgFlags, MultiHeaders, SockaddrIn},
};
use std::{
    io::{IoSlice, IoSliceMut},
    net::{Ipv4Addr, SocketAddrV4, UdpSocket},
    os::fd::AsRawFd,
    time::Duration,
};

/// As many packets as one system call moves.
const BATCH: usize = 64;
/// Enough that it is the tunnel which loses packets, and not the receiver's socket.
const BUFFER: usize = 32 << 20;
/// Seconds after which nothing is under way any more.
const QUIET: f64 = 0.2;

/// Counts packets until a moment, and on until all have come. Those of a known size may come as
/// trains, by UDP_GRO.
pub fn receive(words: &mut Words) -> Result<(), Failure> {
    let (address, port): (Ipv4Addr, u16) = (words.next()?, words.next()?);
    let to: f64 = words.next()?;
    let size: Option<usize> = words.maybe()?;
    let socket = UdpSocket::bind((address, port))?;
    setsockopt(&socket, sockopt::RcvBufForce, &BUFFER)?;
    if size.is_some() {
        setsockopt(&socket, sockopt::UdpGroSegment, &true)?;
    }
    socket.set_read_timeout(Some(Duration::from_millis(50)))?;
    let mut headers = MultiHeaders::<()>::preallocate(BATCH, None);
    let mut first = [[0; 16]; BATCH];
    let (mut received, mut last) = (0, 0.0);
    loop {
        let mut slices: Vec<_> = first.iter_mut().map(|b| [IoSliceMut::new(b)]).collect();
        let got = recvmmsg(
            socket.as_raw_fd(),
            &mut headers,
            slices.iter_mut(),
            MsgFlags::MSG_WAITFORONE | MsgFlags::MSG_TRUNC,
            None,
        );
        let time = now();
        match got {
            Ok(got) => {
                received += got
                    .map(|one| size.map_or(1, |size| one.bytes.div_ceil(size)))
                    .sum::<usize>();
                last = time;
            }
            Err(Errno::EAGAIN) => {}
            Err(error) => return Err(error.into()),
        }
        if time > to + QUIET && time > last + QUIET {
            break;
        }
    }
    println!("{{\"received\": {received}}}");
    Ok(())
}

/// Sends packets until a moment, and counts them. They leave singly, or by UDP_SEGMENT in trains.
pub fn send(words: &mut Words) -> Result<(), Failure> {
    let (address, port): (Ipv4Addr, u16) = (words.next()?, words.next()?);
    let (size, to): (usize, f64) = (words.next()?, words.next()?);
    let spread: u32 = words.maybe()?.unwrap_or(1);
    let train: usize = words.maybe()?.unwrap_or(1).clamp(1, BATCH);
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    if train > 1 {
        setsockopt(&socket, sockopt::UdpGsoSegment, &i32::try_from(size)?)?;
    }
    let batch = BATCH / train;
    let message = vec![0x5a; size * train];
    let mut headers = MultiHeaders::<SockaddrIn>::preallocate(batch, None);
    let slices = vec![[IoSlice::new(&message)]; batch];
    let base = u32::from(address);
    let mut total = 0;
    while now() < to {
        let targets: Vec<_> = (0..batch)
            .map(|_| {
                let to = Ipv4Addr::from(base + fastrand::u32(..spread));
                Some(SockaddrIn::from(SocketAddrV4::new(to, port)))
            })
            .collect();
        match sendmmsg(
            socket.as_raw_fd(),
            &mut headers,
            &slices,
            &targets,
            [],
            MsgFlags::empty(),
        ) {
            Ok(sent) => total += sent.count() * train,
            Err(Errno::ENOBUFS) => {}
            Err(error) => return Err(error.into()),
        }
    }
    println!("{{\"sent\": {total}}}");
    Ok(())
}
