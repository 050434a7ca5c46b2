// SPDX-License-Identifier: GPL-2.0

//! Requests to devices, from several threads at once.

use crate::{
    attributes::{encode, mutate, request, World},
    Failure,
};
use fastrand::Rng;
use netlink_sys::{protocols::NETLINK_GENERIC, Socket};
use std::{collections::BTreeMap, io::ErrorKind, thread};

const HEADER: usize = 16;
const ERROR: u16 = 2;
const DONE: u16 = 3;
const REQUEST: u16 = 1;
const ACK: u16 = 4;
const DUMP: u16 = 0x300;

/// Which answers came, by errno; 0 stands for success.
type Answers = BTreeMap<i32, usize>;

fn message(kind: u16, flags: u16, sequence: u32, generic: [u8; 4], body: &[u8]) -> Vec<u8> {
    let len = (HEADER + generic.len() + body.len()) as u32;
    let mut out = len.to_ne_bytes().to_vec();
    out.extend(kind.to_ne_bytes());
    out.extend(flags.to_ne_bytes());
    out.extend(sequence.to_ne_bytes());
    out.extend([0; 4]);
    out.extend(generic);
    out.extend(body);
    out
}

fn u16_at(data: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(*data.get(at..)?.first_chunk()?))
}

fn u32_at(data: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*data.get(at..)?.first_chunk()?))
}

/// The messages in a datagram: kind and content.
fn messages(mut data: &[u8]) -> Vec<(u16, &[u8])> {
    let mut found = Vec::new();
    while let (Some(len), Some(kind)) = (u32_at(data, 0), u16_at(data, 4)) {
        let len = (len as usize).clamp(HEADER, data.len());
        found.push((kind, &data[HEADER..len]));
        data = data.get(len.next_multiple_of(4)..).unwrap_or(&[]);
    }
    found
}

/// Whether what should be a list of attributes is one, and fills its space.
fn well_formed(mut data: &[u8]) -> bool {
    while let Some(len) = u16_at(data, 0) {
        let len = usize::from(len);
        if len < 4 || len > data.len() {
            return false;
        }
        data = data.get(len.next_multiple_of(4)..).unwrap_or(&[]);
    }
    data.is_empty()
}

/// All that the kernel has to say now. Requests are handled while they are sent, and dumps go on
/// while they are read, so nothing has to be waited for.
fn drain(socket: &Socket, answers: &mut Answers, buffer: &mut Vec<u8>) -> Result<usize, Failure> {
    let mut ended = 0;
    loop {
        buffer.clear();
        match socket.recv(buffer, 0) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(ended),
            Err(error) => return Err(error.into()),
        }
        for (kind, content) in messages(buffer) {
            if kind == ERROR || kind == DONE {
                ended += 1;
                let code = u32_at(content, 0).unwrap_or(0) as i32;
                *answers.entry(-code).or_default() += 1;
            } else if !well_formed(content.get(4..).unwrap_or(&[0])) {
                return Err("the kernel sent attributes that are none".into());
            }
        }
    }
}

fn family() -> Result<u16, Failure> {
    let socket = Socket::new(NETLINK_GENERIC)?;
    let mut name = vec![14, 0, 2, 0];
    name.extend(b"wireguard\0\0\0");
    socket.send(&message(16, REQUEST, 1, [3, 1, 0, 0], &name), 0)?;
    let (answer, _) = socket.recv_from_full()?;
    let mut data = answer.get(HEADER + 4..).unwrap_or(&[]);
    while let (Some(len), Some(kind)) = (u16_at(data, 0), u16_at(data, 2)) {
        if kind == 1 {
            return u16_at(data, 4).ok_or_else(|| "a family without a number".into());
        }
        data = data
            .get(usize::from(len.max(4)).next_multiple_of(4)..)
            .unwrap_or(&[]);
    }
    Err("the kernel has no such family".into())
}

fn one_message(rng: &mut Rng, world: &World, family: u16, sequence: u32) -> (Vec<u8>, bool) {
    let set = rng.u32(..8) != 0;
    let mut tree = request(rng, world, set);
    let mutations = if rng.bool() { 0 } else { rng.usize(1..5) };
    for _ in 0..mutations {
        mutate(rng, &mut tree);
    }
    let mut generic = [u8::from(set), 1, 0, 0];
    let mut flags = REQUEST | ACK | if set { 0 } else { DUMP };
    let mut body = encode(&tree);
    match rng.u32(..40) {
        0 => generic[0] = rng.u8(..),
        1 => flags = (rng.u16(..) & !0x2) | REQUEST,
        2 => rng.fill(&mut generic),
        _ => {}
    }
    let mut broken = false;
    if !body.is_empty() && rng.u32(..6) == 0 {
        for _ in 0..rng.usize(1..6) {
            let at = rng.usize(..body.len());
            body[at] = if rng.bool() {
                rng.u8(..)
            } else {
                body[at] ^ 1 << rng.u32(..8)
            };
        }
        if rng.bool() {
            body.truncate(rng.usize(..=body.len()));
        }
    }
    let mut out = message(family, flags, sequence, generic, &body);
    if rng.u32(..40) == 0 {
        let len = rng.u32(..out.len() as u32 + 40);
        out[..4].copy_from_slice(&len.to_ne_bytes());
        broken = true;
    }
    (out, !broken && flags & ACK != 0)
}

fn thread(seed: u64, count: usize, world: &World) -> Result<Answers, Failure> {
    let mut rng = Rng::with_seed(seed);
    let family = family()?;
    let socket = Socket::new(NETLINK_GENERIC)?;
    socket.set_non_blocking(true)?;
    socket.set_ext_ack(true)?;
    let mut answers = Answers::new();
    let mut buffer = Vec::with_capacity(1 << 17);
    for sequence in 0..count {
        let (request, answered) = one_message(&mut rng, world, family, sequence as u32);
        match socket.send(&request, 0) {
            Ok(_) => {}
            // Larger than a message may be.
            Err(error) if error.raw_os_error() == Some(90) => continue,
            Err(error) => return Err(error.into()),
        }
        let ended = drain(&socket, &mut answers, &mut buffer)?;
        if answered && ended == 0 {
            return Err(format!("message {sequence} of seed {seed} got no answer").into());
        }
    }
    Ok(answers)
}

/// Sends `count` messages from each of `threads` threads.
pub fn storm(
    seed: u64,
    count: usize,
    threads: u64,
    device: String,
    numbers: Vec<u32>,
) -> Result<(), Failure> {
    let mut rng = Rng::with_seed(seed);
    let mut keys = vec![[0; 32]; 48];
    for key in &mut keys[1..] {
        rng.fill(key);
    }
    let world = World {
        device,
        numbers,
        keys,
    };
    let mut all = Answers::new();
    thread::scope(|scope| -> Result<(), Failure> {
        let running: Vec<_> = (0..threads)
            .map(|number| {
                let world = &world;
                scope.spawn(move || thread(seed.wrapping_add(number), count, world))
            })
            .collect();
        for one in running {
            for (errno, times) in one.join().map_err(|_| "a thread panicked")?? {
                *all.entry(errno).or_default() += times;
            }
        }
        Ok(())
    })?;
    for (errno, times) in all {
        println!("{errno} {times}");
    }
    Ok(())
}
