// SPDX-License-Identifier: GPL-2.0
//! Any bytes as a configuration file: no panic, no message with control
//! characters, and what was understood fits into messages.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wg::config::{parse, Mode};
use wg::kernel::set::Splitter;
use wg::netlink::message::Message;

fuzz_target!(|data: &[u8]| {
    match parse(data, Mode::Replace) {
        Ok(config) => {
            let mut message = Message::genl(20, 5, 1, 1);
            let mut splitter = Splitter::new(b"wg0", &config.change, None);
            while splitter.next(&mut message) {}
            let _ = wg::userspace::request(&config.change);
        }
        Err(mistake) => {
            assert!(mistake.line > 0);
            assert!(mistake.reason.len() < 1000);
            assert!(!mistake.reason.chars().any(char::is_control));
        }
    }
});
