// SPDX-License-Identifier: GPL-2.0
//! `wg genkey` and `wg genpsk`.

use super::help;
use crate::error::{say, warn, Failure, Result};
use crate::key::SecretKey;
use crate::terminal::Output;
use rustix::fs::{fstat, FileType, Mode};
use std::io::Write;

/// What kind of key to make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One for Curve25519.
    Private,
    /// Any 32 bytes.
    Preshared,
}

/// Runs the command.
pub fn run(kind: Kind, args: &[&[u8]]) -> Result<()> {
    if !args.is_empty() {
        return Err(help::usage(match kind {
            Kind::Private => "genkey",
            Kind::Preshared => "genpsk",
        }));
    }
    if others_may_read_output() {
        warn("writing to world accessible file.");
        say("Consider setting the umask to 077 and trying again.");
    }
    let mut key =
        SecretKey::random().map_err(|error| Failure::os("Unable to get random bytes", &error))?;
    if kind == Kind::Private {
        key.clamp();
    }
    let mut out = Output::default();
    let _ = writeln!(out, "{}", key.to_base64().as_str());
    out.finish()
}

/// Whether standard output is a file that anybody may open.
fn others_may_read_output() -> bool {
    let others = Mode::RWXO.as_raw_mode();
    fstat(rustix::stdio::stdout()).is_ok_and(|stat| {
        FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile && stat.st_mode & others != 0
    })
}
