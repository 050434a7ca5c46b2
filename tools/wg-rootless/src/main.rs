// SPDX-License-Identifier: GPL-2.0
//! `wg-rootless`: a command, or a container, behind a WireGuard tunnel.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    wg_rootless::run(std::env::args_os())
}
