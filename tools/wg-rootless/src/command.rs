// SPDX-License-Identifier: GPL-2.0
//! The command that gets the tunnel.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};
use wg::error::{describe, quote, say};

/// In the environment of a command: the name of its tunnel.
pub const MARK: &str = "WG_ROOTLESS";

/// Exit statuses of env(1).
const CANNOT_RUN: u8 = 126;
const NOT_FOUND: u8 = 127;

/// The command, or the user's shell if there is none, in the tunnel of this name.
pub fn prepare(words: &[OsString], tunnel: &str) -> Command {
    let mut command = match words {
        [program, arguments @ ..] => {
            let mut command = Command::new(program);
            command.args(arguments);
            command
        }
        [] => {
            let shell = std::env::var_os("SHELL").filter(|shell| !shell.is_empty());
            Command::new(shell.unwrap_or_else(|| "/bin/sh".into()))
        }
    };
    command.env(MARK, tunnel);
    command
}

/// Turns this process into the command; what it returns is about a failure.
/// All capabilities are lost at this point, as always when a program is run
/// by somebody who is not root.
pub fn become_it(mut command: Command) -> ExitCode {
    let error = command.exec();
    let program = quote(command.get_program().as_encoded_bytes());
    say(format_args!(
        "Unable to run {program}: {}",
        describe(&error)
    ));
    ExitCode::from(match error.kind() {
        io::ErrorKind::NotFound => NOT_FOUND,
        _ => CANNOT_RUN,
    })
}
