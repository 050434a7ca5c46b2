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
use serde::{Deserialize, Serialize};
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};
use wg::error::{escape, Result};
use wg::format::{ago, bytes};
use wg::model::Device;
use wg::pretty::Pretty;
use wg::terminal::{Output, Paint};

/// The state of a tunnel, as JSON has it.
#[derive(Debug, Serialize, Deserialize)]
struct Status {
    name: String,
    file: PathBuf,
    container: bool,
    strict: bool,
    processes: Vec<Process>,
    mtu: u32,
    #[serde(flatten)]
    device: Shown,
}

#[derive(Debug, Serialize, Deserialize)]
struct Process {
    pid: u32,
    command: String,
}

/// A device, with the names that `wg show --json` has.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Shown {
    interface: String,
    public_key: Option<String>,
    listen_port: u16,
    peers: Vec<ShownPeer>,
}

#[derive(Debug, Serialize, Deserialize)]
struct ShownPeer {
    public_key: String,
    endpoint: Option<String>,
    allowed_ips: Vec<String>,
    latest_handshake: Option<String>,
    rx_bytes: u64,
    tx_bytes: u64,
    persistent_keepalive: u16,
}

impl Shown {
    fn of(device: &Device) -> Self {
        let peers = device.peers.iter().map(|peer| ShownPeer {
            public_key: peer.public_key.to_string(),
            endpoint: peer.endpoint.map(|endpoint| endpoint.to_string()),
            allowed_ips: peer.allowed_ips.iter().map(ToString::to_string).collect(),
            latest_handshake: time(peer.last_handshake),
            rx_bytes: peer.rx_bytes,
            tx_bytes: peer.tx_bytes,
            persistent_keepalive: peer.keepalive,
        });
        Self {
            interface: String::from_utf8_lossy(&device.name).into_owned(),
            public_key: device.public_key.map(|key| key.to_string()),
            listen_port: device.listen_port,
            peers: peers.collect(),
        }
    }
}

/// A time in RFC 3339, of UTC. None for the time that stands for never.
fn time((seconds, nanoseconds): (i64, i64)) -> Option<String> {
    let nanoseconds = i32::try_from(nanoseconds).ok()?;
    let time = Timestamp::new(seconds, nanoseconds).ok();
    time.filter(|_| seconds != 0).map(|time| time.to_string())
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
    let mut out = Output::default();
    let _ = if json {
        let status = Status {
            name: name.to_owned(),
            file: record.file,
            container: record.container,
            strict: record.strict,
            processes: members.into_iter().map(Process::from).collect(),
            mtu,
            device: Shown::of(&device),
        };
        writeln!(
            out,
            "{}",
            serde_json::to_string(&status).unwrap_or_default()
        )
    } else {
        print(&mut out, name, &record, &members, mtu, &device)
    };
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

impl From<Member> for Process {
    fn from(member: Member) -> Self {
        Self {
            pid: member.pid,
            command: member.command,
        }
    }
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
    let found: Vec<Status> = registry::all()
        .into_iter()
        .filter_map(|(name, _)| {
            let asked = Command::new("/proc/self/exe")
                .args(["status", "--json", &name])
                .stdin(Stdio::null())
                .output()
                .ok()?;
            let _ = std::io::stderr().write_all(&asked.stderr);
            serde_json::from_slice(&asked.stdout).ok()
        })
        .collect();
    let mut out = Output::default();
    let _ = if json {
        writeln!(out, "{}", serde_json::to_string(&found).unwrap_or_default())
    } else {
        table(&mut out, &found)
    };
    out.finish()
}

fn rows(found: &[Status], now: i64) -> Vec<[String; 8]> {
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
        let peers = &status.device.peers;
        // The one that was heard last is what matters.
        let heard = |peer: &&ShownPeer| seconds(peer.latest_handshake.as_deref());
        let latest = peers.iter().max_by_key(heard);
        let plain = Paint::new(false);
        let sum = |of: fn(&ShownPeer) -> u64| bytes(peers.iter().map(of).sum(), plain).to_string();
        rows.push([
            status.name.clone(),
            status.device.interface.clone(),
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

fn table(out: &mut Output, found: &[Status]) -> std::io::Result<()> {
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

    #[test]
    fn times() {
        assert_eq!(time((0, 0)), None);
        let text = time((1_700_000_000, 5)).unwrap();
        assert_eq!(text, "2023-11-14T22:13:20.000000005Z");
        assert_eq!(seconds(Some(&text)), 1_700_000_000);
        assert_eq!(seconds(None), 0);
    }

    #[test]
    fn a_table_for_people() {
        let status = Status {
            name: "home".into(),
            file: "/home.conf".into(),
            container: false,
            strict: false,
            processes: Vec::new(),
            mtu: 1420,
            device: Shown {
                interface: "wg0".into(),
                ..Shown::default()
            },
        };
        // What list reads is what status writes.
        let text = serde_json::to_string(&status).unwrap();
        let status: Status = serde_json::from_str(&text).unwrap();
        let rows = rows(&[status], 0);
        assert_eq!(rows[1][..6], ["home", "wg0", "1420", "0", "-", "never"]);
    }
}
