// SPDX-License-Identifier: GPL-2.0
//! `wg showconf`.

use super::help;
use crate::backend;
use crate::error::{escape, Result};
use crate::format::Endpoint;
use crate::lines::Line;
use crate::model::{Device, Peer};
use crate::netns;
use crate::terminal::Output;
use crate::uapi::NETNSA_NSID_NOT_ASSIGNED;
use crate::zone::Zones;
use std::io::{self, Write};

/// Runs the command.
pub fn run(args: &[&[u8]]) -> Result<()> {
    let [name] = args else {
        return Err(help::usage("showconf DEV"));
    };
    if *name == b"--help" || *name == b"-h" {
        return Err(help::usage("showconf DEV"));
    }
    let device = backend::get(name, "Unable to access interface")?;
    let mut out = Output::default();
    // Errors are kept until the end.
    let _ = print(&mut out, &device);
    out.finish()
}

/// Prints a device as a configuration file.
pub fn print(out: &mut impl Write, device: &Device) -> io::Result<()> {
    writeln!(out, "[Interface]")?;
    if device.listen_port != 0 {
        writeln!(out, "ListenPort = {}", device.listen_port)?;
    }
    if device.fwmark != 0 {
        writeln!(out, "FwMark = {:#x}", device.fwmark)?;
    }
    if let Some(key) = &device.private_key {
        writeln!(out, "PrivateKey = {}", key.to_base64().as_str())?;
    }
    if let Some(nsid) = device.transit_nsid {
        transit(out, nsid)?;
    }
    writeln!(out)?;
    let zones = Zones::of_device(device);
    for (index, peer) in device.peers.iter().enumerate() {
        if index > 0 {
            writeln!(out)?;
        }
        print_peer(out, peer, &zones)?;
    }
    Ok(())
}

/// A netns with a name can be given again; one without cannot, since numbers
/// in a file would be read as PIDs.
fn transit(out: &mut impl Write, nsid: i32) -> io::Result<()> {
    if nsid == NETNSA_NSID_NOT_ASSIGNED {
        return writeln!(out, "# The transit netns is gone.");
    }
    match netns::identify(nsid).name {
        // What cannot be read back would be another line, or another name.
        Some(name) if !Line::keeps_value(&name) => writeln!(
            out,
            "# The transit netns has a name that cannot stand here: {}",
            escape(&name)
        ),
        Some(name) => {
            out.write_all(b"TransitNetns = ")?;
            out.write_all(&name)?;
            writeln!(out)
        }
        None => writeln!(out, "# The transit netns has no name; its nsid is {nsid}."),
    }
}

fn print_peer(out: &mut impl Write, peer: &Peer, zones: &Zones) -> io::Result<()> {
    writeln!(out, "[Peer]\nPublicKey = {}", peer.public_key)?;
    if let Some(key) = &peer.preshared_key {
        writeln!(out, "PresharedKey = {}", key.to_base64().as_str())?;
    }
    for (index, ip) in peer.allowed_ips.iter().enumerate() {
        let before = if index == 0 { "AllowedIPs = " } else { ", " };
        write!(out, "{before}{ip}")?;
    }
    if !peer.allowed_ips.is_empty() {
        writeln!(out)?;
    }
    if let Some(endpoint) = peer.endpoint {
        writeln!(out, "Endpoint = {}", Endpoint(endpoint, zones))?;
    }
    if peer.keepalive != 0 {
        writeln!(out, "PersistentKeepalive = {}", peer.keepalive)?;
    }
    Ok(())
}
