// SPDX-License-Identifier: GPL-2.0
//! `wg show`.

use super::{help, show_transit};
use crate::backend;
use crate::error::{escape, quote, Failure, Result};
use crate::field::Field;
use crate::pretty::Pretty;
use crate::terminal::Output;
use std::io::Write;

/// Runs the command.
pub fn run(args: &[&[u8]]) -> Result<()> {
    match args {
        [] | [b"all"] => show_all(None),
        [b"all", field] => show_all(Some(field)),
        [b"interfaces"] => interfaces(),
        [b"interfaces", ..] => Err(usage()),
        // With a field it is an interface: wg-quick(8) asks so for those it
        // sets up, whatever their name.
        [b"transit"] => show_transit::run(),
        [b"-h" | b"--help" | b"help"] => {
            usage().report();
            Ok(())
        }
        [name] => show_one(name, None),
        [name, field] => show_one(name, Some(field)),
        _ => Err(usage()),
    }
}

fn usage() -> Failure {
    help::usage(&format!(
        "show [{{ DEV | all | interfaces | transit }} [{}]]",
        Field::NAMES.join(" | ")
    ))
}

fn field(word: &[u8]) -> Result<Field> {
    Field::parse(word).ok_or_else(|| {
        Failure::new(format!("Invalid parameter: {}", quote(word))).and(usage().lines.concat())
    })
}

fn interfaces() -> Result<()> {
    let mut out = Output::default();
    let names = backend::list()?;
    if !names.is_empty() {
        let _ = out.write_all(&names.join(&b' '));
        let _ = out.write_all(b"\n");
    }
    out.finish()
}

fn show_one(name: &[u8], word: Option<&[u8]>) -> Result<()> {
    let device = backend::get(name, "Unable to access interface")?;
    let mut out = Output::default();
    // What cannot be written is told at the end.
    let _ = match word {
        None => Pretty::new().print(&mut out, &device),
        Some(word) => field(word)?.print(&mut out, &device, None),
    };
    out.finish()
}

/// Shows every device that can be read; fails if there are some, but none
/// that can.
fn show_all(word: Option<&[u8]>) -> Result<()> {
    let names = backend::list()?;
    let mut failed = !names.is_empty();
    let mut out = Output::default();
    for (index, name) in names.iter().enumerate() {
        let what = format!("Unable to access interface {}", escape(name));
        let device = match backend::get(name, &what) {
            Ok(device) => device,
            Err(failure) => {
                failure.report();
                continue;
            }
        };
        let _ = match word {
            Some(word) => field(word)?.print(&mut out, &device, Some(&device.name)),
            None => Pretty::new().print(&mut out, &device),
        };
        if word.is_none() && index + 1 < names.len() {
            let _ = out.write_all(b"\n");
        }
        failed = false;
    }
    out.finish()?;
    if failed {
        return Err(Failure::silent(1));
    }
    Ok(())
}
