// SPDX-License-Identifier: GPL-2.0
//! What tunnels there are, and how they are. It takes no rights: who made a
//! user namespace may enter it.

use crate::handshake;
use crate::members::Member;
use crate::registry::{self, Record};
use crate::rtnetlink::Rtnetlink;
use crate::sync::enter_net;
use crate::tunnel::index_of;
use jiff::Timestamp;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};
use wg::error::{escape, Result};
use wg::format::{ago, bytes};
use wg::json::{self, DeviceJson};
use wg::model::Device;
use wg::pretty::Pretty;
use wg::terminal::{Output, Paint};

/// The state of a tunnel, as JSON has it.
#[derive(Serialize)]
struct Status<'a> {
    name: &'a str,
    file: &'a Path,
    container: bool,
    strict: bool,
    processes: &'a [Member],
    mtu: u32,
    #[serde(flatten)]
    device: DeviceJson<'a>,
}

/// What the list needs of that.
#[derive(Debug, Deserialize)]
struct Summary {
    name: String,
    processes: Vec<IgnoredAny>,
    mtu: u32,
    interface: String,
    peers: Vec<PeerSummary>,
}

#[derive(Debug, Deserialize)]
struct PeerSummary {
    endpoint: Option<String>,
    latest_handshake: Option<String>,
    rx_bytes: u64,
    tx_bytes: u64,
}

/// The seconds of such a time, 0 for never.
fn seconds(time: Option<&str>) -> i64 {
    time.and_then(|time| time.parse::<Timestamp>().ok())
        .map_or(0, Timestamp::as_second)
}

/// Prints the state of a tunnel.
pub fn status(name: &str, json: bool) -> Result<()> {
    let record = registry::find(name)?;
    let members = record.inside.members();
    // The answer has the private key in it.
    wg::harden();
    let (device, mtu) = look(name, &record)?;
    if json {
        return json::print(&Status {
            name,
            file: &record.file,
            container: record.container,
            strict: record.strict,
            processes: &members,
            mtu,
            device: DeviceJson::without_secrets(&device),
        });
    }
    let mut out = Output::default();
    let _ = print(&mut out, name, &record, &members, mtu, &device);
    out.finish()
}

fn look(name: &str, record: &Record) -> Result<(Device, u32)> {
    enter_net(name, record)?;
    let device = handshake::read(&record.interface)?;
    let index = index_of(&record.interface)?;
    let links = Rtnetlink::open()?
        .links()
        .map_err(|refused| crate::refused("Unable to list interfaces", &refused))?;
    let mtu = links.iter().find(|link| link.index == index);
    Ok((device, mtu.map_or(0, |link| link.mtu)))
}

fn print(
    out: &mut Output,
    name: &str,
    record: &Record,
    members: &[Member],
    mtu: u32,
    device: &Device,
) -> std::io::Result<()> {
    use std::os::unix::ffi::OsStrExt;
    let pretty = Pretty::new();
    let (bold, reset) = (pretty.paint.bold(), pretty.paint.reset());
    let list: Vec<_> = members
        .iter()
        .map(|member| format!("{} ({})", member.pid, member.command))
        .collect();
    let file = escape(record.file.as_os_str().as_bytes());
    writeln!(out, "{bold}tunnel{reset}: {name}")?;
    writeln!(out, "  {bold}file{reset}: {file}")?;
    writeln!(out, "  {bold}processes{reset}: {}", list.join(", "))?;
    writeln!(out, "  {bold}mtu{reset}: {mtu}\n")?;
    pretty.print(out, device)
}

/// Prints all tunnels.
pub fn list(json: bool) -> Result<()> {
    // Who has entered the namespaces of one cannot come back for the next.
    let found = registry::all().into_iter().filter_map(|(name, _)| {
        let asked = Command::new("/proc/self/exe")
            .args(["status", "--json", &name])
            .stdin(Stdio::null())
            .output()
            .ok()?;
        let _ = std::io::stderr().write_all(&asked.stderr);
        serde_json::from_slice::<Box<RawValue>>(&asked.stdout).ok()
    });
    if json {
        let mut list = json::List::default();
        found.for_each(|status| list.push(&status));
        return list.finish();
    }
    let summary = |status: Box<RawValue>| serde_json::from_str(status.get()).ok();
    let mut out = Output::default();
    let _ = table(&mut out, &found.filter_map(summary).collect::<Vec<_>>());
    out.finish()
}

fn rows(found: &[Summary], now: i64) -> Vec<[String; 8]> {
    let mut rows = vec![[
        "NAME",
        "INTERFACE",
        "MTU",
        "PROCESSES",
        "ENDPOINT",
        "HANDSHAKE",
        "RECEIVED",
        "SENT",
    ]
    .map(String::from)];
    for status in found {
        let peers = &status.peers;
        // The one that was heard last is what matters.
        let heard = |peer: &&PeerSummary| seconds(peer.latest_handshake.as_deref());
        let latest = peers.iter().max_by_key(heard);
        let plain = Paint::new(false);
        let sum =
            |of: fn(&PeerSummary) -> u64| bytes(peers.iter().map(of).sum(), plain).to_string();
        rows.push([
            status.name.clone(),
            status.interface.clone(),
            status.mtu.to_string(),
            status.processes.len().to_string(),
            latest
                .and_then(|peer| peer.endpoint.clone())
                .unwrap_or_else(|| "-".into()),
            match latest.as_ref().map_or(0, heard) {
                0 => "never".into(),
                time => ago(time, now, plain).to_string(),
            },
            sum(|peer| peer.rx_bytes),
            sum(|peer| peer.tx_bytes),
        ]);
    }
    rows
}

fn table(out: &mut Output, found: &[Summary]) -> std::io::Result<()> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = since.map_or(0, |time| i64::try_from(time.as_secs()).unwrap_or(i64::MAX));
    let rows = rows(found, now);
    let mut widths = [0; 8];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.len().max(*width);
        }
    }
    for row in &rows {
        let cells = row
            .iter()
            .zip(widths)
            .map(|(cell, width)| format!("{cell:width$}"));
        writeln!(out, "{}", cells.collect::<Vec<_>>().join("  ").trim_end())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use wg::key::PublicKey;
    use wg::model::Peer;

    #[test]
    fn times() {
        let text = json::time((1_700_000_000, 5));
        assert_eq!(seconds(text.as_deref()), 1_700_000_000);
        assert_eq!(seconds(None), 0);
    }

    /// The list is made of what the status prints.
    #[test]
    fn a_table_for_people() {
        let mut peer = Peer::new(PublicKey([2; 32]));
        peer.endpoint = Some("192.0.2.1:5".parse().unwrap());
        let device = Device {
            name: b"wg0".to_vec(),
            peers: vec![peer],
            ..Device::default()
        };
        let status = Status {
            name: "home",
            file: Path::new("/home.conf"),
            container: false,
            strict: false,
            processes: &[],
            mtu: 1420,
            device: DeviceJson::without_secrets(&device),
        };
        let text = serde_json::to_string(&status).unwrap();
        let summary: Summary = serde_json::from_str(&text).unwrap();
        let rows = rows(&[summary], 0);
        assert_eq!(
            rows[1][..6],
            ["home", "wg0", "1420", "0", "192.0.2.1:5", "never"]
        );
    }
}
