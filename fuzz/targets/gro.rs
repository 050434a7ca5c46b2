// SPDX-License-Identifier: GPL-2.0
//! A stream of TCP packets with oddities: what is merged is what the model merges.
#![no_main]

#[path = "../../tests/common/mod.rs"]
mod common;

use common::offload::{merge, model_of_merging, stream, Odd, Packet};
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use wireguard_protocol::protocol::gro::DEFAULT_MAX_SIZE;

#[derive(Arbitrary, Debug)]
enum Step {
    Nothing,
    Flags(u8),
    Payload(u8),
    Id(u16),
    Sequence(i32),
    Window(u16),
    Byte(u8, u8),
    Check,
}

#[derive(Arbitrary, Debug)]
struct Input {
    v6: bool,
    sequence: u32,
    id: u16,
    id_step: u8,
    flags: u8,
    options: Vec<[u8; 4]>,
    payload: u8,
    padding: u8,
    max_size: Option<u16>,
    steps: Vec<Step>,
}

fuzz_target!(|input: Input| {
    let first = Packet {
        sequence: input.sequence,
        id: if input.v6 { 0 } else { input.id },
        flags: input.flags,
        options: input.options.iter().take(10).flatten().copied().collect(),
        ..Packet::tcp(input.v6, input.payload.into())
    };
    let odds: Vec<Odd> = input
        .steps
        .iter()
        .take(40)
        .map(|step| match *step {
            Step::Nothing => Odd::Nothing,
            Step::Flags(flags) => Odd::Flags(flags),
            Step::Payload(len) => Odd::Payload(len.into()),
            Step::Id(by) => Odd::Id(by),
            Step::Sequence(by) => Odd::Sequence(by),
            Step::Window(to) => Odd::Window(to),
            Step::Byte(at, to) => Odd::Byte(at.into(), to),
            Step::Check => Odd::Check,
        })
        .collect();
    let packets = stream(&first, input.id_step.into(), &odds, input.padding.into());
    let max_size = input.max_size.map_or(DEFAULT_MAX_SIZE, u32::from);
    assert_eq!(
        merge(&packets, max_size),
        model_of_merging(&packets, max_size)
    );
});
