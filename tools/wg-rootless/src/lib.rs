// SPDX-License-Identifier: GPL-2.0
//! `wg-rootless`: a command, or a container, behind a WireGuard tunnel of the
//! kernel, for users without any rights.
//!
//! One process does it all: what is left of it in the end *is* the command.
//! So signals, the terminal and the exit status need no help, and there is
//! nothing to clean up: the tunnel is in namespaces that end with the command.
//!
//! It is a library so that what reads files can be tested and fuzzed.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod args;
pub mod command;
pub mod datagrams;
pub mod dns;
pub mod handshake;
pub mod members;
pub mod mounts;
pub mod mtu;
pub mod names;
pub mod namespaces;
pub mod nsswitch;
pub mod outside;
pub mod publish;
pub mod quick;
pub mod registry;
pub mod relay;
pub mod resolver;
pub mod rtnetlink;
pub mod setup;
pub mod show;
pub mod strict;
pub mod surroundings;
pub mod sync;
pub mod textfile;
pub mod tunnel;

use args::Job;
use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;
use wg::error::{Failure, Result};
use wg::terminal::Output;

/// Exit status when it does not come to running the command, as env(1) has it.
const NOT_SET_UP: u8 = 125;

/// Runs `wg-rootless` with the words of its command line, program name first.
pub fn run(words: impl Iterator<Item = OsString>) -> ExitCode {
    let words: Vec<_> = words.collect();
    if words.get(1).is_some_and(|word| word == relay::WORD) {
        let args = words
            .iter()
            .skip(2)
            .map(|word| word.to_string_lossy().into_owned());
        return match relay::run(&args.collect::<Vec<_>>()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::from(NOT_SET_UP),
        };
    }
    let prepared = args::parse(words).and_then(|job| match job {
        Job::Print(text) => print(&text).map(|()| None),
        Job::Run { wanted, command } => setup::run(*wanted, &command).map(Some),
        Job::Exec { name, command } => setup::exec(&name, &command).map(Some),
        Job::Give { wanted, pid } => setup::give(*wanted, pid).map(|()| None),
        Job::List { json } => show::list(json).map(|()| None),
        Job::Status { name, json } => show::status(&name, json).map(|()| None),
        Job::Sync {
            name,
            file,
            endpoints,
        } => sync::run(&name, file.as_deref(), endpoints).map(|()| None),
        Job::Down { name } => sync::down(&name).map(|()| None),
    });
    match prepared {
        Ok(Some(command)) => command::become_it(command),
        Ok(None) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.report();
            ExitCode::from(NOT_SET_UP)
        }
    }
}

/// Prints to standard output, and tells if that is not possible.
fn print(text: &str) -> Result<()> {
    let mut out = Output::default();
    let _ = writeln!(out, "{text}");
    out.finish()
}

/// A failure with the kernel's reason, if there is one.
fn refused(what: impl std::fmt::Display, refused: &wg::netlink::socket::Refused) -> Failure {
    let failure = Failure::new(format!("{what}: {}", wg::error::errno_text(refused.errno)));
    match &refused.extack.message {
        Some(message) => failure.and(format!("The kernel says: {message}")),
        None => failure,
    }
}
