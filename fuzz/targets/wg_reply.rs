// SPDX-License-Identifier: GPL-2.0
//! Any bytes as the kernel's answer: no panic, and what was understood can be
//! shown.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wg::kernel::get::add_answer;
use wg::kernel::transit::sockets;
use wg::model::Device;
use wg::netlink::extack::ExtAck;

fuzz_target!(|data: &[u8]| {
    let _ = ExtAck::parse(data);
    let _ = sockets(data);
    let mut device = Device::default();
    // A dump may come in two messages.
    let (first, second) = data.split_at(data.len() / 2 & !3);
    if add_answer(&mut device, first).is_none() || add_answer(&mut device, second).is_none() {
        device = Device::default();
        if add_answer(&mut device, data).is_none() {
            return;
        }
    }
    // Finding the name of a netns would ask the real kernel.
    device.transit_nsid = None;
    for field in wg::field::Field::NAMES {
        let field = wg::field::Field::parse(field.as_bytes()).unwrap();
        field.print(&mut std::io::sink(), &device, None).unwrap();
    }
    let pretty = wg::pretty::Pretty::new();
    pretty.print(&mut std::io::sink(), &device).unwrap();
    wg::cmd::showconf::print(&mut std::io::sink(), &device).unwrap();
});
