// SPDX-License-Identifier: GPL-2.0
//! `wg-rootless`: a command, or a container, behind a WireGuard tunnel of the
//! kernel, for users without any rights.
//!
//! One process does it all: what is left of it in the end *is* the command.
//! So signals, the terminal and the exit status need no help, and there is
//! nothing to clean up: the tunnel is in namespaces that end with the command.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod args;
mod command;
mod dns;
mod namespaces;
mod outside;
mod quick;
mod rtnetlink;
mod tunnel;

use args::{Job, Tunnel};
use outside::Outside;
use std::process::{Command, ExitCode};
use wg::error::{warn, Failure, Result};

/// Exit status when it does not come to running the command, as env(1) has it.
const NOT_SET_UP: u8 = 125;

fn main() -> ExitCode {
    let prepared = args::parse(std::env::args_os()).and_then(|job| match job {
        Job::Print(text) => {
            println!("{text}");
            Ok(None)
        }
        Job::Run { tunnel, command } => run(&tunnel, &command).map(Some),
        Job::Join { tunnel, pid } => join(&tunnel, pid).map(|()| None),
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

/// Brings the tunnel up in new namespaces, for the command.
fn run(wanted: &Tunnel, command: &[std::ffi::OsString]) -> Result<Command> {
    let outside = Outside::look_around()?;
    // The kernel only lets those processes map their ids that may be looked
    // into, so this comes before there is a key in here.
    namespaces::gain_rights()?;
    wg::harden();
    let mut file = quick::read(&wanted.file)?;
    let dns = file.dns.take();
    namespaces::leave()?;
    rtnetlink::Rtnetlink::open()?.loopback_up()?;
    tunnel::bring_up(&wanted.interface, file, &outside)?.keep();
    if let Some(dns) = dns {
        dns.take_effect()?;
    }
    namespaces::allow_ping();
    Ok(command::prepare(command))
}

/// Brings the tunnel up in the network namespace of a process.
fn join(wanted: &Tunnel, pid: u32) -> Result<()> {
    let outside = Outside::look_around()?;
    wg::harden();
    let mut file = quick::read(&wanted.file)?;
    let dns = file.dns.take();
    let target = namespaces::Target::find(pid)?;
    target.enter_net()?;
    let tunnel = tunnel::bring_up(&wanted.interface, file, &outside)?;
    if let Some(dns) = dns {
        if target.enter_mounts()? {
            dns::make_place()?;
            dns.take_effect()?;
        } else {
            warn(format_args!(
                "DNS is left alone: process {pid} sees the same files as this one"
            ));
        }
    }
    tunnel.keep();
    Ok(())
}

/// A failure with the kernel's reason, if there is one.
fn refused(what: impl std::fmt::Display, refused: &wg::netlink::socket::Refused) -> Failure {
    let failure = Failure::new(format!("{what}: {}", wg::error::errno_text(refused.errno)));
    match &refused.extack.message {
        Some(message) => failure.and(format!("The kernel says: {message}")),
        None => failure,
    }
}
