// SPDX-License-Identifier: GPL-2.0
//! Events for people, one a line.

use crate::event::{Event, Kind};
use crate::format::{duration, Endpoint};
use crate::terminal::Paint;
use crate::transit::Shown;
use crate::zone::Zones;
use std::io::{self, Write};
use std::net::SocketAddr;

/// All kinds.
#[cfg(test)]
pub const KINDS: [Kind; 11] = [
    Kind::DeviceChange,
    Kind::DeviceGone,
    Kind::PeerAdd,
    Kind::PeerChange,
    Kind::PeerDel,
    Kind::PeerRoam,
    Kind::SessionBegin,
    Kind::SessionEnd,
    Kind::TransitChange,
    Kind::TransitGone,
    Kind::Overrun,
];

/// How a kind is called.
pub fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::DeviceChange => "device-change",
        Kind::DeviceGone => "device-gone",
        Kind::PeerAdd => "peer-add",
        Kind::PeerChange => "peer-change",
        Kind::PeerDel => "peer-del",
        Kind::PeerRoam => "peer-roam",
        Kind::SessionBegin => "session-begin",
        Kind::SessionEnd => "session-end",
        Kind::TransitChange => "transit-change",
        Kind::TransitGone => "transit-gone",
        Kind::Overrun => "overrun",
    }
}

/// The time of day where we are, as `ip -ts monitor` has it.
fn clock((seconds, nanoseconds): (i64, i64)) -> String {
    let nanoseconds = i32::try_from(nanoseconds).unwrap_or(0);
    match jiff::Timestamp::new(seconds, nanoseconds) {
        Ok(time) => {
            let here = time.to_zoned(jiff::tz::TimeZone::system());
            here.strftime("%Y-%m-%dT%H:%M:%S.%6f").to_string()
        }
        Err(_) => format!("{seconds}"),
    }
}

/// Prints an event.
pub fn line(out: &mut impl Write, event: &Event, paint: Paint) -> io::Result<()> {
    let (reset, green, yellow) = (paint.reset(), paint.green(), paint.yellow());
    write!(out, "[{}]", clock(event.time))?;
    if !event.interface.is_empty() {
        let interface = String::from_utf8_lossy(&event.interface);
        let interface: String = interface.chars().filter(|c| !c.is_control()).collect();
        write!(out, " {green}{interface}{reset}")?;
    }
    if let Some(key) = event.peer {
        write!(out, " peer {yellow}{key}{reset}")?;
    }
    let details = details(event, paint);
    let colon = if details.is_empty() { "" } else { ": " };
    write!(out, " {}{colon}{}", verb(event), details.join(", "))?;
    if event.count > 1 && event.kind != Kind::Overrun {
        write!(out, " ({} times)", event.count)?;
    }
    writeln!(out)
}

fn verb(event: &Event) -> String {
    match event.kind {
        Kind::DeviceChange => "configured".into(),
        Kind::DeviceGone => "gone".into(),
        Kind::PeerAdd => "added".into(),
        Kind::PeerChange => "configured".into(),
        Kind::PeerDel => "removed".into(),
        Kind::PeerRoam => "roamed".into(),
        Kind::SessionBegin if event.renewal => "session renewed".into(),
        Kind::SessionBegin => "session begun".into(),
        Kind::SessionEnd => "session ended".into(),
        Kind::TransitChange => "sockets moved".into(),
        Kind::TransitGone => "transit netns gone, and the sockets with it".into(),
        Kind::Overrun if event.count == 0 => "events lost, wg show has the state".into(),
        Kind::Overrun => format!("{} events lost, wg show has the state", event.count),
    }
}

fn details(event: &Event, paint: Paint) -> Vec<String> {
    let mut list = Vec::new();
    let [old, new] = &event.device;
    if old.public_key.is_some() || new.public_key.is_some() {
        let show = |key: Option<_>| key.map_or("(none)".into(), |key| format!("{key}"));
        list.push(arrow(
            "public key",
            show(old.public_key),
            show(new.public_key),
        ));
    }
    if let (Some(from), Some(to)) = (old.listen_port, new.listen_port) {
        list.push(arrow("listening port", from.to_string(), to.to_string()));
    }
    if let (Some(from), Some(to)) = (old.fwmark, new.fwmark) {
        let show = |mark, carried: Option<u32>| match (mark, carried) {
            (0, _) => "off".to_owned(),
            (mark, Some(carried)) if carried != mark => {
                format!("{mark:#x} (kept, but not applied to transit packets)")
            }
            (mark, _) => format!("{mark:#x}"),
        };
        let from = show(from, old.transit_fwmark);
        list.push(arrow("fwmark", from, show(to, new.transit_fwmark)));
    }
    if event.kind == Kind::TransitChange {
        let show = |nsid| match Shown::of_nsid(nsid) {
            shown if shown.is_own() => "its own".to_owned(),
            shown => String::from_utf8_lossy(&shown.field()).into_owned(),
        };
        list.push(arrow(
            "transit netns",
            show(old.transit_nsid),
            show(new.transit_nsid),
        ));
    }
    let [old, new] = &event.of_peer;
    let endpoint = |at: SocketAddr| Endpoint(at, &Zones::Unseen).to_string();
    let is_new = matches!(event.kind, Kind::PeerAdd | Kind::SessionBegin);
    match (old.endpoint.map(endpoint), new.endpoint.map(endpoint)) {
        (None, None) => {}
        (_, Some(to)) if is_new => list.push(format!("endpoint {to}")),
        (from, to) => {
            let none = || "(none)".to_owned();
            let (from, to) = (from.unwrap_or_else(none), to.unwrap_or_else(none));
            list.push(arrow("endpoint", from, to));
        }
    }
    let every = |seconds: u16| match seconds {
        0 => "off".to_owned(),
        seconds => format!("every {}", duration(seconds.into(), paint)),
    };
    match (old.keepalive, new.keepalive) {
        (None, Some(to)) if to != 0 => list.push(format!("persistent keepalive {}", every(to))),
        (Some(from), Some(to)) => {
            list.push(arrow("persistent keepalive", every(from), every(to)));
        }
        _ => {}
    }
    if event.preshared_key {
        list.push("preshared key".into());
    }
    if event.allowed_ips {
        list.push("allowed ips".into());
    }
    list
}

fn arrow(what: &str, from: String, to: String) -> String {
    format!("{what} {from} -> {to}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::PublicKey;

    fn shown(event: &Event) -> String {
        let mut out = Vec::new();
        line(&mut out, event, Paint::new(false)).unwrap();
        let line = String::from_utf8(out).unwrap();
        // The time is that of the place.
        let (time, rest) = line.split_once("] ").unwrap();
        assert_eq!(time.len(), "[1970-01-01T00:00:01.000000".len());
        rest.trim_end().to_owned()
    }

    #[test]
    fn of_devices() {
        let mut change = Event::of_wg0(Kind::DeviceChange);
        change.device[0].listen_port = Some(0);
        change.device[1].listen_port = Some(51820);
        change.device[0].fwmark = Some(0);
        change.device[1].fwmark = Some(7);
        change.device[1].transit_fwmark = Some(0);
        assert_eq!(
            shown(&change),
            "wg0 configured: listening port 0 -> 51820, fwmark off -> 0x7 (kept, but not \
             applied to transit packets)"
        );
        let mut moved = Event::of_wg0(Kind::TransitChange);
        moved.device[0].transit_nsid = Some(-1);
        assert_eq!(
            shown(&moved),
            "wg0 sockets moved: transit netns gone -> its own"
        );
        let gone = shown(&Event::of_wg0(Kind::TransitGone));
        assert_eq!(gone, "wg0 transit netns gone, and the sockets with it");
        assert_eq!(shown(&Event::of_wg0(Kind::DeviceGone)), "wg0 gone");
        let mut lost = Event::of_wg0(Kind::Overrun);
        lost.count = 3;
        assert_eq!(shown(&lost), "wg0 3 events lost, wg show has the state");
    }

    #[test]
    fn of_peers() {
        let key = PublicKey([1; 32]);
        let mut roam = Event::of_wg0(Kind::PeerRoam);
        roam.peer = Some(key);
        roam.count = 2;
        roam.of_peer[0].endpoint = Some("192.0.2.1:5".parse().unwrap());
        roam.of_peer[1].endpoint = Some("[fe80::1%3]:5".parse().unwrap());
        assert_eq!(
            shown(&roam),
            format!("wg0 peer {key} roamed: endpoint 192.0.2.1:5 -> [fe80::1%3]:5 (2 times)")
        );
        let mut begin = Event::of_wg0(Kind::SessionBegin);
        begin.renewal = true;
        begin.of_peer[1].endpoint = Some("192.0.2.1:5".parse().unwrap());
        assert_eq!(shown(&begin), "wg0 session renewed: endpoint 192.0.2.1:5");
        let mut change = Event::of_wg0(Kind::PeerChange);
        change.of_peer[0].keepalive = Some(0);
        change.of_peer[1].keepalive = Some(25);
        change.allowed_ips = true;
        change.preshared_key = true;
        assert_eq!(
            shown(&change),
            "wg0 configured: persistent keepalive off -> every 25 seconds, preshared key, \
             allowed ips"
        );
        let mut add = Event::of_wg0(Kind::PeerAdd);
        add.of_peer[1].keepalive = Some(0);
        assert_eq!(shown(&add), "wg0 added");
    }

    #[test]
    fn names_of_interfaces_are_no_commands_for_a_terminal() {
        let mut gone = Event::of_wg0(Kind::DeviceGone);
        gone.interface = b"wg\x1b[0".to_vec();
        assert_eq!(shown(&gone), "wg[0 gone");
    }
}
