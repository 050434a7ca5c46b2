// SPDX-License-Identifier: GPL-2.0
//! The subcommands.

pub mod genkey;
pub mod help;
pub mod pubkey;
pub mod set;
pub mod setconf;
pub mod show;
pub mod showconf;

use crate::error::{quote, Failure, Result};

/// Runs the subcommand that the command line names, `show` if it names none.
pub fn dispatch(args: &[Vec<u8>]) -> Result<()> {
    let words: Vec<&[u8]> = args.iter().skip(1).map(Vec::as_slice).collect();
    let [command, rest @ ..] = words.as_slice() else {
        return show::run(&[]);
    };
    match (*command, rest) {
        (b"-v" | b"--version" | b"version", []) => help::version(),
        (b"-h" | b"--help" | b"help", []) => help::overview(),
        (b"show", _) => show::run(rest),
        (b"showconf", _) => showconf::run(rest),
        (b"set", _) => set::run(&args[2..]),
        (b"setconf", _) => setconf::run(setconf::How::Set, rest),
        (b"addconf", _) => setconf::run(setconf::How::Add, rest),
        (b"syncconf", _) => setconf::run(setconf::How::Sync, rest),
        (b"genkey", _) => genkey::run(genkey::Kind::Private, rest),
        (b"genpsk", _) => genkey::run(genkey::Kind::Preshared, rest),
        (b"pubkey", _) => pubkey::run(rest),
        _ => {
            Err(Failure::new(format!("Invalid subcommand: {}", quote(command))).and(help::OVERVIEW))
        }
    }
}
