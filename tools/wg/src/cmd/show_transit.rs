// SPDX-License-Identifier: GPL-2.0
//! `wg show transit`.

use crate::error::Result;
use crate::format::bytes;
use crate::json::{self, TransitJson};
use crate::model::TransitSockets;
use crate::terminal::{Output, Paint};
use crate::{kernel, netns, refusal};
use nix::unistd::{Uid, User};
use std::collections::HashMap;
use std::io::{self, Write};

fn list() -> Result<Vec<TransitSockets>> {
    let mut list = kernel::transit().map_err(|refused| refusal::of_transit(&refused))?;
    list.sort_by_key(|sockets| (sockets.uid, sockets.port));
    Ok(list)
}

/// Runs the command for programs.
pub fn json() -> Result<()> {
    let list = list()?;
    let mut json = json::List::default();
    for sockets in &list {
        let user = User::from_uid(Uid::from_raw(sockets.uid));
        let netns = sockets.nsid.and_then(|nsid| netns::identify(nsid).name);
        json.push(&TransitJson {
            sockets,
            user: user.ok().flatten().map(|user| user.name),
            netns: netns.map(|name| String::from_utf8_lossy(&name).into_owned()),
        });
    }
    json.finish()
}

/// Runs the command for people.
pub fn run() -> Result<()> {
    let list = list()?;
    let mut names = Names::default();
    let rows: Vec<_> = list
        .iter()
        .map(|sockets| Row {
            sockets,
            user: names.user(sockets.uid),
            device_in: names.netns(sockets.nsid),
        })
        .collect();
    let mut out = Output::default();
    // Errors are kept until the end.
    let _ = print(&mut out, &rows, Paint::from_environment());
    out.finish()
}

/// Names of users and of network namespaces, each looked up once.
#[derive(Default)]
struct Names {
    users: HashMap<u32, String>,
    netns: HashMap<i32, String>,
}

impl Names {
    fn user(&mut self, uid: u32) -> String {
        let look_up = || match User::from_uid(Uid::from_raw(uid)) {
            Ok(Some(user)) => printable(&user.name),
            _ => "-".into(),
        };
        self.users.entry(uid).or_insert_with(look_up).clone()
    }

    fn netns(&mut self, nsid: Option<i32>) -> String {
        let Some(nsid) = nsid else {
            return "unknown".into();
        };
        let look_up = || match netns::identify(nsid).name {
            Some(name) => printable(&String::from_utf8_lossy(&name)),
            None => format!("nsid {nsid}"),
        };
        self.netns.entry(nsid).or_insert_with(look_up).clone()
    }
}

/// Names come from elsewhere, and go to a terminal.
fn printable(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).collect()
}

/// A line of the table.
struct Row<'a> {
    sockets: &'a TransitSockets,
    user: String,
    device_in: String,
}

const COLUMNS: usize = 8;
const HEADINGS: [&str; COLUMNS] = [
    "uid",
    "user",
    "port",
    "families",
    "made by",
    "device in",
    "received",
    "sent",
];

impl Row<'_> {
    fn cells(&self, paint: Paint) -> [String; COLUMNS] {
        let sockets = self.sockets;
        let families = match (sockets.v4, sockets.v6) {
            (true, true) => "IPv4, IPv6",
            (true, false) => "IPv4",
            (false, true) => "IPv6",
            (false, false) => "-",
        };
        let right = if sockets.credentials {
            "credentials"
        } else {
            "root"
        };
        [
            sockets.uid.to_string(),
            self.user.clone(),
            sockets.port.to_string(),
            families.into(),
            right.into(),
            self.device_in.clone(),
            traffic(sockets.rx_bytes, sockets.rx_packets, paint),
            traffic(sockets.tx_bytes, sockets.tx_packets, paint),
        ]
    }
}

fn traffic(count: u64, packets: u64, paint: Paint) -> String {
    let plural = if packets == 1 { "" } else { "s" };
    format!("{}, {packets} packet{plural}", bytes(count, paint))
}

/// Prints the table; nothing if it is empty.
fn print(out: &mut impl Write, rows: &[Row<'_>], paint: Paint) -> io::Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let mut widths = HEADINGS.map(str::len);
    for row in rows {
        // Colours take no room.
        for (width, cell) in widths.iter_mut().zip(row.cells(Paint::new(false))) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let (bold, reset) = (paint.bold(), paint.reset());
    line(
        out,
        &widths,
        HEADINGS.map(|heading| (heading.len(), format!("{bold}{heading}{reset}"))),
    )?;
    for row in rows {
        let plain = row
            .cells(Paint::new(false))
            .map(|cell| cell.chars().count());
        let mut plain = plain.into_iter();
        line(
            out,
            &widths,
            row.cells(paint)
                .map(|cell| (plain.next().unwrap_or_default(), cell)),
        )?;
    }
    Ok(())
}

/// Prints cells, each with the room that it takes, with two spaces between the
/// columns and none at the end.
fn line(
    out: &mut impl Write,
    widths: &[usize; COLUMNS],
    cells: [(usize, String); COLUMNS],
) -> io::Result<()> {
    let mut gap = 0;
    for (width, (taken, cell)) in widths.iter().zip(cells) {
        write!(out, "{:gap$}{cell}", "")?;
        gap = width - taken + 2;
    }
    writeln!(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(paint: Paint) -> String {
        let hers = TransitSockets {
            port: 51820,
            v4: true,
            v6: true,
            uid: 1000,
            credentials: true,
            nsid: Some(3),
            rx_packets: 1,
            rx_bytes: 1536,
            tx_packets: 12,
            tx_bytes: 5 << 30,
        };
        let roots = TransitSockets {
            port: 7,
            v4: true,
            ..TransitSockets::default()
        };
        let rows = [
            Row {
                sockets: &roots,
                user: "root".into(),
                device_in: "unknown".into(),
            },
            Row {
                sockets: &hers,
                user: "älice".into(),
                device_in: "nsid 3".into(),
            },
        ];
        let mut out = Vec::new();
        print(&mut out, &rows, paint).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn columns_stand_below_each_other() {
        let expected = "\
uid   user   port   families    made by      device in  received            sent
0     root   7      IPv4        root         unknown    0 B, 0 packets      0 B, 0 packets
1000  älice  51820  IPv4, IPv6  credentials  nsid 3     1.50 KiB, 1 packet  5.00 GiB, 12 packets
";
        assert_eq!(table(Paint::new(false)), expected);
    }

    #[test]
    fn colours_take_no_room() {
        let mut text = table(Paint::new(true));
        for code in ["\x1b[0m", "\x1b[1m", "\x1b[36m"] {
            assert!(text.contains(code));
            text = text.replace(code, "");
        }
        assert_eq!(text, table(Paint::new(false)));
    }

    #[test]
    fn nobody_has_no_table() {
        let mut out = Vec::new();
        print(&mut out, &[], Paint::new(false)).unwrap();
        assert!(out.is_empty());
    }

    #[test]
    fn names() {
        let mut names = Names::default();
        assert_eq!(names.user(0), "root");
        assert_eq!(names.user(0xffff_fff0), "-");
        assert_eq!(names.netns(None), "unknown");
        assert_eq!(names.netns(Some(i32::MAX)), format!("nsid {}", i32::MAX));
        assert_eq!(printable("a\x1b[31mb"), "a[31mb");
    }
}
