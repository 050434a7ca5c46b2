// SPDX-License-Identifier: GPL-2.0
//! The display of `wg show` for people.

use crate::error::escape;
use crate::format::{ago, bytes, duration, Endpoint, Ip};
use crate::key::SecretKey;
use crate::model::{Device, Peer};
use crate::terminal::Paint;
use crate::transit::Shown;
use crate::zone::Zones;
use std::cmp::Reverse;
use std::io::{self, Write};
use std::time::{SystemTime, UNIX_EPOCH};
use zeroize::Zeroizing;

/// How to print, which the environment has a say in.
#[derive(Clone, Copy, Debug)]
pub struct Pretty {
    /// Colours.
    pub paint: Paint,
    /// Whether secrets are shown.
    pub secrets: bool,
    /// Seconds since the epoch.
    pub now: i64,
}

impl Default for Pretty {
    fn default() -> Self {
        Self::new()
    }
}

impl Pretty {
    /// Looks at the environment and the clock.
    pub fn new() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        Self {
            paint: Paint::from_environment(),
            secrets: std::env::var_os("WG_HIDE_KEYS").is_some_and(|value| value == "never"),
            now: since.map_or(0, |time| i64::try_from(time.as_secs()).unwrap_or(i64::MAX)),
        }
    }

    /// Prints a device.
    pub fn print(self, out: &mut impl Write, device: &Device) -> io::Result<()> {
        let p = self.paint;
        let (reset, bold, green) = (p.reset(), p.bold(), p.green());
        let name = escape(&device.name);
        writeln!(
            out,
            "{reset}{green}{bold}interface{reset}: {green}{name}{reset}"
        )?;
        if let Some(key) = &device.public_key {
            self.item(out, "public key", key)?;
        }
        if let Some(key) = &device.private_key {
            self.item(out, "private key", self.secret(key).as_str())?;
        }
        if device.listen_port != 0 {
            self.item(out, "listening port", device.listen_port)?;
        }
        let transit = Shown::of(device);
        if device.fwmark != 0 {
            let note = transit.mark_note();
            self.item(out, "fwmark", format_args!("{:#x}{note}", device.fwmark))?;
        }
        if let Some(text) = transit.pretty() {
            self.item(out, "transit netns", text)?;
        }
        let zones = Zones::of_device(device);
        for peer in latest_first(&device.peers) {
            writeln!(out)?;
            self.print_peer(out, peer, &zones)?;
        }
        Ok(())
    }

    fn print_peer(self, out: &mut impl Write, peer: &Peer, zones: &Zones) -> io::Result<()> {
        let p = self.paint;
        let (reset, bold, yellow) = (p.reset(), p.bold(), p.yellow());
        let key = peer.public_key;
        writeln!(out, "{yellow}{bold}peer{reset}: {yellow}{key}{reset}")?;
        if let Some(key) = &peer.preshared_key {
            self.item(out, "preshared key", self.secret(key).as_str())?;
        }
        if let Some(endpoint) = peer.endpoint {
            self.item(out, "endpoint", Endpoint(endpoint, zones))?;
        }
        self.allowed_ips(out, peer)?;
        if peer.last_handshake.0 != 0 {
            let then = ago(peer.last_handshake.0, self.now, p);
            self.item(out, "latest handshake", then)?;
        }
        if peer.rx_bytes != 0 || peer.tx_bytes != 0 {
            let (rx, tx) = (bytes(peer.rx_bytes, p), bytes(peer.tx_bytes, p));
            self.item(out, "transfer", format_args!("{rx} received, {tx} sent"))?;
        }
        if peer.keepalive != 0 {
            let every = duration(peer.keepalive.into(), p);
            self.item(out, "persistent keepalive", format_args!("every {every}"))?;
        }
        Ok(())
    }

    fn item(
        self,
        out: &mut impl Write,
        name: &str,
        value: impl std::fmt::Display,
    ) -> io::Result<()> {
        let (bold, reset) = (self.paint.bold(), self.paint.reset());
        writeln!(out, "  {bold}{name}{reset}: {value}")
    }

    fn secret(self, key: &SecretKey) -> Zeroizing<String> {
        if self.secrets {
            key.to_base64()
        } else {
            Zeroizing::new("(hidden)".into())
        }
    }

    fn allowed_ips(self, out: &mut impl Write, peer: &Peer) -> io::Result<()> {
        let p = self.paint;
        let (bold, cyan, reset) = (p.bold(), p.cyan(), p.reset());
        write!(out, "  {bold}allowed ips{reset}: ")?;
        if peer.allowed_ips.is_empty() {
            return writeln!(out, "(none)");
        }
        for (index, ip) in peer.allowed_ips.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(out, "{comma}{}{cyan}/{reset}{}", Ip(ip.addr), ip.cidr)?;
        }
        writeln!(out)
    }
}

/// Peers by their latest handshake; those that never had one come last, and
/// among equals the order of the device stays.
fn latest_first(peers: &[Peer]) -> Vec<&Peer> {
    let mut peers: Vec<_> = peers.iter().collect();
    peers.sort_by_key(|peer| (peer.last_handshake == (0, 0), Reverse(peer.last_handshake)));
    peers
}
