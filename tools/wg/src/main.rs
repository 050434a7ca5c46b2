// SPDX-License-Identifier: GPL-2.0
//! `wg`: shows and sets the configuration of WireGuard devices.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    wg::run(std::env::args_os())
}
