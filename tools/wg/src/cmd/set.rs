// SPDX-License-Identifier: GPL-2.0
//! `wg set`.

use super::help;
use crate::error::{warn, Result};
use crate::zone::Wanted;
use crate::{backend, words};

/// Runs the command with the words behind `set`.
pub fn run(args: impl Iterator<Item = Vec<u8>>) -> Result<()> {
    let mut args = args.peekable();
    let (Some(name), Some(_)) = (args.next(), args.peek()) else {
        return Err(usage());
    };
    let words::Words {
        mut change,
        lookups,
        warnings,
    } = words::parse(args)?;
    for warning in warnings {
        warn(warning);
    }
    let zones = Wanted::of(&name, change.transit_netns.as_ref());
    lookups.run(&mut change, None, &zones)?;
    drop(zones);
    backend::set(&name, &change)
}

fn usage() -> crate::error::Failure {
    help::usage(
        "set DEV [listen-port PORT] [fwmark MARK] [private-key FILE] \
         [transit-netns NAME|PID|PATH] [transit-credentials FD4[,FD6]] \
         [peer KEY [remove] [preshared-key FILE] [endpoint HOST:PORT] \
         [persistent-keepalive SECONDS] [allowed-ips [+|-]IP/BITS[,[+|-]IP/BITS]...]]...",
    )
}
