// SPDX-License-Identifier: GPL-2.0

//! Packets to a device: of a peer that has all its keys and no manners, and of strangers.

use crate::{
    common::{hex32, Host, SMALL_ORDER},
    tunnel::Tunnel,
    Failure,
};
use fastrand::Rng;
use nix::sys::socket::{setsockopt, sockopt::UdpGsoSegment};
use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    time::{Duration, Instant},
};
use wireguard_protocol::protocol::{
    constants::REJECT_AFTER_MESSAGES,
    cookie::{create_reply, MacKeys},
    crypto::{Cookie, Crypto},
    message::MessageType,
};

/// Messages that were sent or received, to be sent again in one form or another.
const REMEMBERED: usize = 64;
/// How often a new session is made, for which the device has to be given time.
const RECONNECT_EVERY: usize = 2000;

fn checksum(data: &[u8]) -> [u8; 2] {
    let mut sum = 0u32;
    for pair in data.chunks(2) {
        sum += u32::from(u16::from_be_bytes([pair[0], *pair.get(1).unwrap_or(&0)]));
    }
    while sum >> 16 != 0 {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    (!(sum as u16)).to_be_bytes()
}

/// An echo request, as it goes through a tunnel.
fn echo(from: Ipv4Addr, to: Ipv4Addr, payload: usize) -> Vec<u8> {
    let total = (28 + payload) as u16;
    let mut out = vec![0x45, 0];
    out.extend(total.to_be_bytes());
    out.extend([0, 0, 0, 0, 64, 1, 0, 0]);
    out.extend(from.octets());
    out.extend(to.octets());
    let sum = checksum(&out);
    out[10..12].copy_from_slice(&sum);
    out.extend([8, 0, 0, 0, 0x73, 0x74, 0, 1]);
    out.resize(28 + payload, 0x5a);
    let sum = checksum(&out[20..]);
    out[22..24].copy_from_slice(&sum);
    out
}

/// A TCP segment of a stream, without a checksum.
fn segment(from: Ipv4Addr, to: Ipv4Addr, number: u32, payload: usize) -> Vec<u8> {
    let total = (40 + payload) as u16;
    let mut out = vec![0x45, 0];
    out.extend(total.to_be_bytes());
    out.extend((number as u16).to_be_bytes());
    out.extend([0x40, 0, 64, 6, 0, 0]);
    out.extend(from.octets());
    out.extend(to.octets());
    let sum = checksum(&out);
    out[10..12].copy_from_slice(&sum);
    out.extend([0x13, 0x88, 0x13, 0x89]);
    out.extend((number * payload as u32).to_be_bytes());
    out.extend([0, 0, 0, 1, 0x50, 0x10, 1, 0, 0, 0, 0, 0]);
    out.resize(40 + payload, 0xa5);
    out
}

struct Storm {
    rng: Rng,
    tunnel: Tunnel,
    strangers: Vec<UdpSocket>,
    ends: (Ipv4Addr, Ipv4Addr),
    remembered: Vec<Vec<u8>>,
    sent: BTreeMap<&'static str, usize>,
}

impl Storm {
    fn noise(&mut self, len: usize) -> Vec<u8> {
        let mut out = vec![0; len];
        self.rng.fill(&mut out);
        out
    }

    fn remember(&mut self, message: Vec<u8>) {
        if self.remembered.len() < REMEMBERED {
            self.remembered.push(message);
        } else {
            let at = self.rng.usize(..REMEMBERED);
            self.remembered[at] = message;
        }
    }

    fn send(&mut self, what: &'static str, message: &[u8]) {
        *self.sent.entry(what).or_default() += 1;
        match self.rng.usize(..8) {
            at if at < self.strangers.len() => {
                let _ = self.strangers[at].send(message);
            }
            _ => self.tunnel.send(message),
        }
    }

    /// What no honest peer has inside.
    fn content(&mut self) -> Vec<u8> {
        let (from, to) = self.ends;
        let mut packet = echo(from, to, self.rng.usize(..64));
        match self.rng.u32(..10) {
            0 => Vec::new(),
            1 => packet,
            2 => {
                let len = self.rng.usize(..64);
                self.noise(len)
            }
            3 => {
                let len = self.rng.usize(..3000);
                self.noise(len)
            }
            4 => {
                packet.truncate(self.rng.usize(..packet.len()));
                packet
            }
            5 => {
                packet[0] = self.rng.u8(..);
                packet
            }
            6 => {
                let len = self.rng.u16(..);
                packet[2..4].copy_from_slice(&len.to_be_bytes());
                packet
            }
            7 => {
                let source = self.rng.u32(..);
                packet[12..16].copy_from_slice(&source.to_be_bytes());
                packet
            }
            8 => {
                let len = self.rng.usize(..80);
                let mut packet = self.noise(len);
                if let Some(first) = packet.first_mut() {
                    *first = 0x60;
                }
                packet
            }
            _ => {
                let padding = self.rng.usize(..32);
                packet.resize(packet.len() + padding, 0);
                packet
            }
        }
    }

    fn authentic(&mut self) {
        let content = self.content();
        if let Some(message) = self.tunnel.next_data(&content) {
            self.send("authentic, whatever is inside", &message);
            self.remember(message);
        }
    }

    fn counters(&mut self) {
        let content = self.content();
        let now = self.tunnel.counter;
        let counter = match self.rng.u32(..8) {
            0 => 0,
            1 => now.saturating_sub(self.rng.u64(..9000)),
            2 => now.saturating_sub(1),
            3 => REJECT_AFTER_MESSAGES,
            4 => REJECT_AFTER_MESSAGES.saturating_add(self.rng.u64(..1 << 13)),
            5 => u64::MAX,
            6 => now + self.rng.u64(..100),
            _ => now + self.rng.u64(..20_000),
        };
        if counter < REJECT_AFTER_MESSAGES {
            self.tunnel.counter = self.tunnel.counter.max(counter + 1);
        }
        if let Some(message) = self.tunnel.data(counter, &content) {
            self.send("wrong counters", &message);
        }
    }

    fn reordered(&mut self) {
        let content = self.content();
        let mut batch: Vec<_> = (0..16)
            .filter_map(|_| self.tunnel.next_data(&content))
            .collect();
        self.rng.shuffle(&mut batch);
        for message in batch {
            self.send("reordered", &message);
        }
    }

    /// Messages that arrive as one packet: all as long, but for the last, and some of them damaged,
    /// replaced, replayed or out of order.
    fn train(&mut self) -> Result<(), Failure> {
        let (from, to) = self.ends;
        let (count, payload) = (self.rng.u32(2..44), self.rng.usize(1..1300));
        let one_in = self.rng.u32(2..20);
        let mut messages = Vec::new();
        for number in 0..count {
            let mut content = segment(from, to, number, payload);
            if self.rng.u32(..one_in) == 0 {
                let len = content.len();
                content = self.content();
                content.resize(len, 0);
            }
            // As an honest peer pads it.
            content.resize(content.len().next_multiple_of(16), 0);
            if self.rng.u32(..one_in) == 0 {
                self.tunnel.counter += self.rng.u64(..3);
            }
            let Some(mut message) = self.tunnel.next_data(&content) else {
                return Ok(());
            };
            if self.rng.u32(..one_in) == 0 {
                let at = self.rng.usize(..message.len());
                match self.rng.u32(..4) {
                    0 => message[at] ^= 1,
                    1 => message[self.rng.usize(..16)] = self.rng.u8(..),
                    2 => message = self.noise(message.len()),
                    _ => {
                        let len = message.len();
                        if let Some(other) = self.rng.choice(&messages) {
                            message = Vec::clone(other);
                        } else if let Some(other) = self.rng.choice(&self.remembered) {
                            message = other.clone();
                        }
                        message.resize(len, 0);
                    }
                }
            }
            messages.push(message);
        }
        if self.rng.u32(..one_in) == 0 {
            self.rng.shuffle(&mut messages);
        }
        let size = messages[0].len();
        let mut all = messages.concat();
        if self.rng.bool() {
            all.truncate(all.len() - self.rng.usize(..size));
        }
        *self.sent.entry("in trains").or_default() += messages.len();
        setsockopt(&self.tunnel.socket, UdpGsoSegment, &i32::try_from(size)?)?;
        self.tunnel.send(&all);
        if self.rng.bool() {
            self.tunnel.send(&all);
        }
        setsockopt(&self.tunnel.socket, UdpGsoSegment, &0)?;
        Ok(())
    }

    fn replayed(&mut self) {
        if let Some(message) = self.rng.choice(&self.remembered).cloned() {
            self.send("replayed", &message);
        }
    }

    fn damaged(&mut self) {
        let Some(mut message) = self.rng.choice(&self.remembered).cloned() else {
            return;
        };
        match self.rng.u32(..6) {
            0 => message.truncate(self.rng.usize(..=message.len())),
            1 => {
                let len = self.rng.usize(..400);
                let more = self.noise(len);
                message.extend(more);
            }
            2 if message.len() > 8 => {
                let index = self.rng.u32(..);
                message[4..8].copy_from_slice(&index.to_le_bytes());
            }
            3 if !message.is_empty() => message[0] = self.rng.u8(..6),
            4 if message.len() > 4 => message[self.rng.usize(1..4)] = self.rng.u8(..),
            _ => {
                for _ in 0..self.rng.usize(1..4) {
                    if let Some(at) = message.len().checked_sub(1) {
                        let at = self.rng.usize(..=at);
                        message[at] ^= 1 << self.rng.u32(..8);
                    }
                }
            }
        }
        // With a right MAC1 it gets further.
        if self.rng.bool() && matches!(message.first(), Some(1 | 2)) {
            self.tunnel.add_macs(&mut message);
        }
        self.send("damaged", &message);
    }

    fn handshakes(&mut self) -> Result<(), Failure> {
        match self.rng.u32(..5) {
            0 => {
                let message = self.tunnel.initiation()?;
                self.send("handshakes", &message);
                self.remember(message);
            }
            1 | 2 => {
                let mut noise = [0; 148];
                self.rng.fill(&mut noise);
                if self.rng.bool() {
                    let point = hex32(SMALL_ORDER[self.rng.usize(..SMALL_ORDER.len())]);
                    noise[8..40].copy_from_slice(&point);
                }
                let message = self.tunnel.forged_initiation(&noise);
                self.send("handshakes", &message);
            }
            3 => {
                let mut message = self.noise(92);
                message[..4].copy_from_slice(&MessageType::Response.prefix());
                let index = self
                    .tunnel
                    .session
                    .as_ref()
                    .map_or(0, |keys| keys.remote_index);
                message[8..12].copy_from_slice(&index.to_le_bytes());
                self.tunnel.add_macs(&mut message);
                self.send("handshakes", &message);
            }
            _ => self.cookie()?,
        }
        Ok(())
    }

    /// A cookie reply that nobody waits for, or for a number that somebody has.
    fn cookie(&mut self) -> Result<(), Failure> {
        let index = match (&self.tunnel.session, self.rng.bool()) {
            (Some(keys), true) => keys.remote_index,
            _ => self.rng.u32(..),
        };
        let mut cookie = Cookie::<Host>::zeroed();
        Host::random(cookie.as_mut_bytes());
        let keys = MacKeys::derive::<Host>(&self.tunnel.remote);
        let initiation = self.tunnel.initiation()?;
        if let Some(reply) = create_reply(&keys, &cookie, &initiation, index) {
            self.send("cookie replies", &reply.to_bytes());
            self.remember(reply.to_bytes().to_vec());
        }
        Ok(())
    }

    fn garbage(&mut self) {
        let len = match self.rng.u32(..4) {
            0 => self.rng.usize(..8),
            1 => [32, 64, 92, 148][self.rng.usize(..4)],
            2 => self.rng.usize(..200),
            _ => self.rng.usize(..9000),
        };
        let mut message = self.noise(len);
        if len >= 4 && self.rng.bool() {
            message[..4].copy_from_slice(&[self.rng.u8(1..5), 0, 0, 0]);
        }
        self.send("garbage", &message);
    }

    fn step(&mut self) -> Result<(), Failure> {
        match self.rng.u32(..16) {
            0..4 => self.authentic(),
            4 | 5 => self.counters(),
            6 => self.reordered(),
            7 | 8 => self.replayed(),
            9..12 => self.damaged(),
            12 => self.train()?,
            13 | 14 => self.garbage(),
            _ => self.handshakes()?,
        }
        Ok(())
    }

    /// Whether the device still answers what an honest peer says.
    fn still_works(&mut self) -> Result<(), Failure> {
        for _ in 0..10 {
            self.tunnel.connect()?;
            let request = echo(self.ends.0, self.ends.1, 32);
            if let Some(message) = self.tunnel.next_data(&request) {
                self.tunnel.send(&message);
            }
            let end = Instant::now() + Duration::from_secs(2);
            while let Some(left) = end
                .checked_duration_since(Instant::now())
                .filter(|d| !d.is_zero())
            {
                let Some(answer) = self.tunnel.receive(left)? else {
                    break;
                };
                // An echo reply, of which all that could have been damaged is as it was.
                let content = self.tunnel.open(&answer).unwrap_or_default();
                if content.get(20) == Some(&0) && content.get(28..60) == request.get(28..60) {
                    return Ok(());
                }
            }
        }
        Err("the device does not answer an honest peer any more".into())
    }
}

/// Sends `count` packets, and sees whether the device lives.
pub fn storm(
    seed: u64,
    count: usize,
    to: SocketAddr,
    own: [u8; 32],
    remote: [u8; 32],
    ends: (Ipv4Addr, Ipv4Addr),
) -> Result<(), Failure> {
    let tunnel = Tunnel::new(to, own, remote)?;
    let strangers = (0..2)
        .map(|_| {
            let socket = UdpSocket::bind("0.0.0.0:0")?;
            socket.connect(tunnel.to)?;
            Ok(socket)
        })
        .collect::<Result<_, std::io::Error>>()?;
    let mut storm = Storm {
        rng: Rng::with_seed(seed),
        tunnel,
        strangers,
        ends,
        remembered: Vec::new(),
        sent: BTreeMap::new(),
    };
    storm.still_works()?;
    for number in 0..count {
        if number % RECONNECT_EVERY == 0 {
            for heard in storm.tunnel.connect()? {
                storm.remember(heard);
            }
        }
        storm.step()?;
    }
    storm.still_works()?;
    for (what, times) in storm.sent {
        println!("{times} {what}");
    }
    Ok(())
}
