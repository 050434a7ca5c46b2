// SPDX-License-Identifier: GPL-2.0
//! The subcommands.

pub mod genkey;
pub mod help;
pub mod pubkey;
pub mod set;
pub mod setconf;
pub mod show;
pub mod show_transit;
pub mod showconf;

use crate::error::{quote, Failure, Result};
use crate::monitor;

/// Runs the subcommand that the command line names, `show` if it names none.
pub fn dispatch(args: impl Iterator<Item = Vec<u8>>) -> Result<()> {
    let mut args = args.skip(1);
    let Some(command) = args.next() else {
        return show::run(&[]);
    };
    if command == b"set" {
        // A line with very many words is taken a word at a time.
        return set::run(args);
    }
    let args: Vec<_> = args.collect();
    let rest: Vec<_> = args.iter().map(Vec::as_slice).collect();
    let rest = rest.as_slice();
    match (command.as_slice(), rest) {
        (b"-v" | b"--version" | b"version", []) => help::version(),
        (b"-h" | b"--help" | b"help", []) => help::overview(),
        (b"show", _) => show::run(rest),
        (b"showconf", _) => showconf::run(rest),
        (b"monitor", _) => monitor::run(rest),
        (b"setconf", _) => setconf::run(setconf::How::Set, rest),
        (b"addconf", _) => setconf::run(setconf::How::Add, rest),
        (b"syncconf", _) => setconf::run(setconf::How::Sync, rest),
        (b"genkey", _) => genkey::run(genkey::Kind::Private, rest),
        (b"genpsk", _) => genkey::run(genkey::Kind::Preshared, rest),
        (b"pubkey", _) => pubkey::run(rest),
        _ => Err(
            Failure::new(format!("Invalid subcommand: {}", quote(&command))).and(help::OVERVIEW),
        ),
    }
}
