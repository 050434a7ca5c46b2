// SPDX-License-Identifier: GPL-2.0
//! What `wg` says about itself.

use crate::error::{Failure, Result};
use crate::terminal::Output;
use std::io::Write;

/// The release of wireguard-tools that this does the same as. Programs look
/// for it behind the `v`.
const COMPATIBLE: &str = "1.0.20260223";

/// Help that fits on a screen.
pub const OVERVIEW: &str = "\
Usage: wg [COMMAND [ARGUMENTS]]

  show [DEV|all] [FIELD]      state of devices (what wg does without a command)
  show interfaces             names of all devices
  show transit                sockets in this netns for devices elsewhere
  monitor [DEV]               what happens to devices, as it happens
  showconf DEV                configuration of a device, as a file for setconf
  set DEV WORDS...            change some settings of a device
  setconf DEV FILE            make a device be as the file says
  addconf DEV FILE            add what the file says to a device
  syncconf DEV FILE           like setconf, but sessions that can stay do stay
  genkey, genpsk              print a new private or preshared key
  pubkey                      print the public key for a private key on stdin

Fields of show: public-key private-key listen-port fwmark transit-netns peers
  preshared-keys endpoints allowed-ips latest-handshakes transfer
  persistent-keepalive dump; and --json or --metrics, for programs

Words of set: [listen-port PORT] [fwmark MARK] [private-key FILE]
  [transit-netns NAME|PID|PATH] [transit-credentials FD4[,FD6]]
  [peer KEY [remove] [preshared-key FILE] [endpoint HOST:PORT]
    [persistent-keepalive SECONDS] [allowed-ips [+|-]IP/BITS[,...]]]...

Each command prints its usage with --help; wg(8) tells the rest.";

/// Prints the help.
pub fn overview() -> Result<()> {
    print(OVERVIEW)
}

/// Prints the version.
pub fn version() -> Result<()> {
    print(&format!(
        "wireguard-tools v{COMPATIBLE} - wg {} with transit namespaces",
        env!("CARGO_PKG_VERSION")
    ))
}

fn print(text: &str) -> Result<()> {
    let mut out = Output::default();
    // Errors are kept until the end.
    let _ = writeln!(out, "{text}");
    out.finish()
}

/// The failure of a command that was called wrongly.
pub fn usage(line: &str) -> Failure {
    Failure::new(format!("Usage: wg {line}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_fits_on_a_screen() {
        assert!(OVERVIEW.lines().count() < 25);
        assert!(OVERVIEW.lines().all(|line| line.len() < 80));
    }
}
