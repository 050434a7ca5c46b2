// SPDX-License-Identifier: GPL-2.0

//! A numbered packet now and then: which are lost, and for how long there was silence.

use crate::{now, Failure, Words};
use std::{
    io::ErrorKind,
    net::{Ipv4Addr, UdpSocket},
    thread::sleep,
    time::Duration,
};

/// Counts the packets that arrive until a moment, and finds the longest time without one.
pub fn receive(words: &mut Words) -> Result<(), Failure> {
    let (address, port): (Ipv4Addr, u16) = (words.next()?, words.next()?);
    let to: f64 = words.next()?;
    let socket = UdpSocket::bind((address, port))?;
    socket.set_read_timeout(Some(Duration::from_millis(100)))?;
    let mut buffer = [0; 8];
    let (mut packets, mut last, mut silence) = (0_u64, None, 0.0_f64);
    while now() < to {
        match socket.recv(&mut buffer) {
            Ok(_) => {
                let time = now();
                packets += 1;
                silence = silence.max(time - last.unwrap_or(time));
                last = Some(time);
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error.into()),
        }
    }
    println!("{{\"received\": {packets}, \"silence\": {silence:.6}}}");
    Ok(())
}

/// Sends so many a second until a moment.
pub fn send(words: &mut Words) -> Result<(), Failure> {
    let (address, port): (Ipv4Addr, u16) = (words.next()?, words.next()?);
    let (rate, to): (f64, f64) = (words.next()?, words.next()?);
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    let (start, mut sent) = (now(), 0_u64);
    loop {
        let time = now();
        if time >= to {
            break;
        }
        let due = start + sent as f64 / rate;
        if time < due {
            sleep(Duration::from_secs_f64(due - time));
        }
        socket.send_to(&sent.to_be_bytes(), (address, port))?;
        sent += 1;
    }
    println!("{{\"sent\": {sent}}}");
    Ok(())
}
