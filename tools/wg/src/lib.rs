// SPDX-License-Identifier: GPL-2.0
//! The parts of `wg`, as a library so that parsers can be tested and fuzzed
//! without a device.
//!
//! Words come in through [`words`] (command line) or [`config`] (file) and
//! become a [`model::DeviceChange`]; [`resolve`] looks up the names in it;
//! [`backend`] hands it to the [`kernel`] or to a [`userspace`] device.
//! In the other direction a backend reads a [`model::Device`], which
//! [`cmd`]'s `show` and `showconf` print.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod backend;
pub mod cmd;
pub mod config;
pub mod error;
pub mod event;
pub mod field;
pub mod format;
pub mod input;
pub mod json;
pub mod kernel;
pub mod key;
pub mod lines;
pub mod links;
pub mod metrics;
pub mod model;
pub mod monitor;
pub mod netlink;
pub mod netns;
pub mod packaged;
pub mod pretty;
pub mod refusal;
pub mod resolve;
pub mod terminal;
pub mod transit;
pub mod uapi;
pub mod userspace;
pub mod value;
pub mod words;
pub mod zone;

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::process::ExitCode;

/// Runs `wg` with the words of its command line, program name first.
pub fn run(args: impl Iterator<Item = OsString>) -> ExitCode {
    harden();
    match cmd::dispatch(args.map(OsStringExt::into_vec)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.report();
            ExitCode::from(failure.status)
        }
    }
}

/// Keeps key material out of core dumps, and other processes of the user out
/// of this one's memory. Failing at it is no reason to refuse service.
pub fn harden() {
    use rustix::process::{set_dumpable_behavior, DumpableBehavior};
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
}
