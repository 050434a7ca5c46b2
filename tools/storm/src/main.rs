// SPDX-License-Identifier: GPL-2.0

//! Throws messages of all sorts at WireGuard devices: most of them wrong, all of them reproducible
//! from a seed. `tests/guest/fuzz.py` watches what becomes of the devices meanwhile.
//!
//!     storm netlink SEED COUNT THREADS DEVICE NUMBER…
//!     storm packets SEED COUNT ADDRESS:PORT PRIVATE-KEY PUBLIC-KEY SOURCE DESTINATION
//!
//! Keys are in hexadecimal. The numbers are descriptors that are open, and PIDs.

mod attributes;
#[path = "../../../tests/common/mod.rs"]
mod common;
mod netlink;
mod packets;
mod tunnel;

use lexopt::{Arg, Parser, ValueExt};
use std::{error::Error, process::ExitCode};

/// What goes wrong in here, as opposed to what devices do.
pub type Failure = Box<dyn Error + Send + Sync>;

/// The arguments, one after the other.
struct Words(Parser);

impl Words {
    fn next<T>(&mut self) -> Result<T, Failure>
    where
        T: std::str::FromStr,
        T::Err: Into<Failure>,
    {
        self.maybe()?.ok_or_else(|| "an argument is missing".into())
    }

    fn maybe<T>(&mut self) -> Result<Option<T>, Failure>
    where
        T: std::str::FromStr,
        T::Err: Into<Failure>,
    {
        match self.0.next()? {
            Some(Arg::Value(word)) => Ok(Some(word.parse()?)),
            Some(other) => Err(other.unexpected().into()),
            None => Ok(None),
        }
    }

    fn key(&mut self) -> Result<[u8; 32], Failure> {
        let digits: String = self.next()?;
        if digits.len() != 64 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err("a key has 64 hexadecimal digits".into());
        }
        Ok(common::hex32(&digits))
    }
}

fn run() -> Result<(), Failure> {
    let mut words = Words(Parser::from_env());
    let what: String = words.next()?;
    let (seed, count) = (words.next()?, words.next()?);
    match what.as_str() {
        "netlink" => {
            let (threads, device) = (words.next()?, words.next()?);
            let mut numbers = Vec::new();
            while let Some(number) = words.maybe()? {
                numbers.push(number);
            }
            netlink::storm(seed, count, threads, device, numbers)
        }
        "packets" => {
            let to = words.next()?;
            let (own, remote) = (words.key()?, words.key()?);
            let (source, destination) = (words.next()?, words.next()?);
            packets::storm(seed, count, to, own, remote, (source, destination))
        }
        _ => Err("the first argument is netlink or packets".into()),
    }
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("storm: {failure}");
            ExitCode::FAILURE
        }
    }
}
