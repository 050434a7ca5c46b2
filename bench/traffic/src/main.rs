// SPDX-License-Identifier: GPL-2.0

//! Sends and receives packets, many of them for each system call: those are slow in User Mode Linux,
//! and it is not they that are to be measured.
//!
//!     traffic tcp-receive ADDRESS PORT TO
//!     traffic tcp-send ADDRESS PORT
//!     traffic udp-receive ADDRESS PORT TO [SIZE]
//!     traffic udp-send ADDRESS PORT SIZE TO [SPREAD [TRAIN]]
//!     traffic ping ADDRESS COUNT PAUSE-US
//!     traffic paced-receive ADDRESS PORT TO
//!     traffic paced-send ADDRESS PORT PER-SECOND TO
//!
//! TO is in seconds on the monotonic clock. With SPREAD packets go to so many addresses, counted
//! from ADDRESS, at random. With TRAIN so many packets are one message with UDP_SEGMENT; with SIZE,
//! their length, they may be read so, by UDP_GRO. What was found is printed as one line of JSON.

mod paced;
mod ping;
mod tcp;
mod udp;

use lexopt::{Arg, Parser, ValueExt};
use nix::time::{clock_gettime, ClockId};
use std::{error::Error, process::ExitCode, str::FromStr};

/// Why nothing could be measured.
pub type Failure = Box<dyn Error + Send + Sync>;

/// Seconds on the monotonic clock, which all processes share.
pub fn now() -> f64 {
    let time = clock_gettime(ClockId::CLOCK_MONOTONIC).expect("there is such a clock");
    time.tv_sec() as f64 + time.tv_nsec() as f64 * 1e-9
}

/// The arguments, one after the other.
pub struct Words(Parser);

impl Words {
    fn next<T>(&mut self) -> Result<T, Failure>
    where
        T: FromStr,
        T::Err: Into<Failure>,
    {
        self.maybe()?.ok_or_else(|| "an argument is missing".into())
    }

    fn maybe<T>(&mut self) -> Result<Option<T>, Failure>
    where
        T: FromStr,
        T::Err: Into<Failure>,
    {
        match self.0.next()? {
            Some(Arg::Value(word)) => Ok(Some(word.parse()?)),
            Some(other) => Err(other.unexpected().into()),
            None => Ok(None),
        }
    }
}

fn run() -> Result<(), Failure> {
    let mut words = Words(Parser::from_env());
    let what: String = words.next()?;
    match what.as_str() {
        "tcp-receive" => tcp::receive(&mut words),
        "tcp-send" => tcp::send(&mut words),
        "udp-receive" => udp::receive(&mut words),
        "udp-send" => udp::send(&mut words),
        "ping" => ping::run(&mut words),
        "paced-receive" => paced::receive(&mut words),
        "paced-send" => paced::send(&mut words),
        _ => Err(format!("there is no {what}").into()),
    }
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("traffic: {error}");
            ExitCode::FAILURE
        }
    }
}
