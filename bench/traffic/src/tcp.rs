// SPDX-License-Identifier: GPL-2.0

//! One TCP stream.

use crate::{now, Failure, Words};
use nix::sys::socket::{recv, MsgFlags};
use std::{
    io::{ErrorKind, Write},
    net::{IpAddr, TcpListener, TcpStream},
    os::fd::AsRawFd,
    thread::sleep,
    time::Duration,
};

/// As much as one system call moves.
const PIECE: usize = 1 << 20;

/// Throws away what arrives until a moment, and hangs up.
pub fn receive(words: &mut Words) -> Result<(), Failure> {
    let (address, port): (IpAddr, u16) = (words.next()?, words.next()?);
    let to: f64 = words.next()?;
    let (stream, _) = TcpListener::bind((address, port))?.accept()?;
    stream.set_read_timeout(Some(Duration::from_millis(200)))?;
    let mut piece = vec![0; PIECE];
    while now() < to {
        // Thrown away in the kernel: the reader's copy is not what is measured.
        match recv(stream.as_raw_fd(), &mut piece, MsgFlags::MSG_TRUNC) {
            Ok(0) => return Err("the stream ended too early".into()),
            Ok(_) | Err(nix::Error::EAGAIN) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Sends until the other side hangs up.
pub fn send(words: &mut Words) -> Result<(), Failure> {
    let (address, port): (IpAddr, u16) = (words.next()?, words.next()?);
    let end = now() + 5.0;
    let mut stream = loop {
        match TcpStream::connect((address, port)) {
            Ok(stream) => break stream,
            // The receiver may be a moment late.
            Err(error) if error.kind() == ErrorKind::ConnectionRefused && now() < end => {
                sleep(Duration::from_millis(5));
            }
            Err(error) => return Err(error.into()),
        }
    };
    let piece = vec![0x5a; PIECE];
    while stream.write_all(&piece).is_ok() {}
    Ok(())
}
