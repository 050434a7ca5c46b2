// SPDX-License-Identifier: GPL-2.0
//! A GSO packet, with bytes of its headers changed: it is cut up as the model cuts
//! it up, or refused by both.
#![no_main]

#[path = "../../tests/common/mod.rs"]
mod common;

use common::offload::{cut, model_of_cutting, Packet};
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use wireguard_protocol::protocol::gso::{Gso, Transport};

#[derive(Arbitrary, Debug)]
struct Input {
    v6: bool,
    tcp: bool,
    cut_as_tcp: Option<bool>,
    size: u16,
    fixed_id: bool,
    acc_ecn: bool,
    id: u16,
    sequence: u32,
    flags: u8,
    ip_options: Vec<[u8; 4]>,
    options: Vec<[u8; 4]>,
    payload: u16,
    changes: Vec<(u8, u8)>,
    transport: Option<u8>,
    seen: u8,
}

fn words(words: &[[u8; 4]], there: bool) -> Vec<u8> {
    let words = words.iter().take(if there { 10 } else { 0 });
    words.flatten().copied().collect()
}

fuzz_target!(|input: Input| {
    let payload = usize::from(input.payload % 1024);
    let base = if input.tcp {
        Packet::tcp(input.v6, payload)
    } else {
        Packet::udp(input.v6, payload)
    };
    let packet = Packet {
        id: if input.v6 { 0 } else { input.id },
        sequence: if input.tcp { input.sequence } else { 0 },
        flags: if input.tcp { input.flags } else { 0 },
        ip_options: words(&input.ip_options, !input.v6),
        options: words(&input.options, input.tcp),
        ..base
    };
    let mut bytes = packet.partial();
    for &(at, to) in &input.changes {
        let len = bytes.len();
        bytes[usize::from(at) % len] = to;
    }
    let gso = Gso {
        transport: if input.cut_as_tcp.unwrap_or(input.tcp) {
            Transport::Tcp
        } else {
            Transport::Udp
        },
        size: input.size,
        fixed_id: input.fixed_id,
        acc_ecn: input.acc_ecn,
    };
    let transport = input
        .transport
        .map_or(packet.network_len() as u32, u32::from);
    assert_eq!(
        cut(&bytes, input.seen.into(), transport, gso),
        model_of_cutting(&bytes, transport, gso)
    );
});
