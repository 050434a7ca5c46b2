// SPDX-License-Identifier: GPL-2.0
//! Zones of link-local endpoints.
//!
//! A zone is an interface of the netns that the UDP sockets live in. For a
//! device whose sockets have moved that is another netns than ours, so a name
//! of ours must not be shown or taken for one of theirs.

use crate::backend;
use crate::error::Result;
use crate::links::{is_own, open_netns_of, Links};
use crate::model::Device;
use crate::transit::{Found, TransitNetns};
use crate::uapi::NETNSA_NSID_NOT_ASSIGNED;
use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::net::{Ipv6Addr, SocketAddr, SocketAddrV6};

/// The interfaces that zones are.
pub enum Zones {
    /// Ours; the system's resolver deals with them.
    Own,
    /// Those of another netns.
    Seen(RefCell<Seen>),
    /// Those of a netns that we cannot look into, or that is gone.
    Unseen,
}

/// Another netns, and what it was asked before.
pub struct Seen {
    links: Links,
    names: HashMap<u32, Option<String>>,
}

impl Zones {
    /// Those of a device whose transit netns has this number.
    fn of_nsid(nsid: Option<i32>) -> Self {
        match nsid {
            None => Self::Own,
            Some(NETNSA_NSID_NOT_ASSIGNED) => Self::Unseen,
            Some(nsid) => Self::other(Links::of_nsid(nsid)),
        }
    }

    /// Those of a netns that sockets are to move to.
    fn of_found(found: &Found) -> Self {
        let own = |file| is_own(file);
        match found {
            Found::Fd(file) if own(file) => Self::Own,
            Found::Fd(file) => Self::other(Links::of_file(file)),
            Found::Pid(pid) if open_netns_of(*pid).as_ref().is_some_and(own) => Self::Own,
            Found::Pid(pid) => Self::other(Links::of_pid(*pid)),
        }
    }

    /// Those of a device that is to be shown. The kernel is asked only if
    /// there is a zone.
    pub fn of_device(device: &Device) -> Self {
        let scoped = |endpoint: &SocketAddr| scope_of(endpoint) != 0;
        if device
            .peers
            .iter()
            .filter_map(|peer| peer.endpoint.as_ref())
            .any(scoped)
        {
            Self::of_nsid(device.transit_nsid)
        } else {
            Self::Own
        }
    }

    fn other(links: Option<Links>) -> Self {
        links.map_or(Self::Unseen, |links| {
            Self::Seen(RefCell::new(Seen {
                links,
                names: HashMap::new(),
            }))
        })
    }

    /// Those in a list, for tests.
    #[cfg(test)]
    pub fn listed(list: &[(u32, &[u8])]) -> Self {
        Self::other(Some(Links::listed(list)))
    }

    /// What to show for the scope of an address in another netns: a name that
    /// can be given again, or the number.
    pub fn shown(&self, address: &SocketAddrV6) -> String {
        let number = address.scope_id();
        let name = match self {
            Self::Seen(seen) if is_link_local(*address.ip()) => seen.borrow_mut().name(number),
            _ => None,
        };
        name.unwrap_or_else(|| number.to_string())
    }

    /// The scope that a zone of another netns stands for, or why it stands for
    /// none.
    pub fn scope(&self, address: Ipv6Addr, zone: &str) -> std::result::Result<u32, String> {
        if is_number(zone) {
            return zone
                .parse()
                .map_err(|_| format!("zone {zone} is above 4294967295"));
        }
        if !is_link_local(address) {
            return Err("only a link-local address has a zone with a name".into());
        }
        let Self::Seen(seen) = self else {
            return Err(
                "its zone is an interface of the transit netns, which is gone or which \
                 wg cannot look into: give its number, which `ip link' shows there"
                    .into(),
            );
        };
        let links = &mut seen.borrow_mut().links;
        links.index(zone.as_bytes()).ok_or_else(|| {
            let which = if links.are_all() {
                ""
            } else {
                " that has an IPv6 address, and wg cannot see the others: give its number, \
                 which `ip link' shows there"
            };
            format!(
                "its zone has to be an interface of the transit netns, which has none of \
                 this name{which}"
            )
        })
    }
}

impl Seen {
    fn name(&mut self, number: u32) -> Option<String> {
        let Self { links, names } = self;
        let name = names.entry(number).or_insert_with(|| {
            let name = String::from_utf8(links.name(number)?).ok();
            name.filter(|name| is_plain(name))
        });
        name.clone()
    }
}

/// Whether a name may stand in an endpoint: it is read back as a name, ends
/// neither the endpoint nor the line, and does nothing to a terminal.
fn is_plain(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'%' | b'#' | b']');
    !is_number(name) && name.bytes().all(fits)
}

fn is_number(zone: &str) -> bool {
    !zone.is_empty() && zone.bytes().all(|byte| byte.is_ascii_digit())
}

/// Only these have a zone with a name, for the C library too.
fn is_link_local(address: Ipv6Addr) -> bool {
    address.is_unicast_link_local() || address.segments()[0] & 0xff0f == 0xff02
}

/// The scope of an endpoint, 0 for none.
pub fn scope_of(endpoint: &SocketAddr) -> u32 {
    match endpoint {
        SocketAddr::V4(_) => 0,
        SocketAddr::V6(v6) => v6.scope_id(),
    }
}

/// Takes `ADDRESS%ZONE` apart.
pub fn split(host: &str) -> Option<(Ipv6Addr, &str)> {
    let (address, zone) = host.split_once('%')?;
    Some((address.parse().ok()?, zone))
}

/// The zones of a device that is to be changed, found when they are needed:
/// hardly any endpoint has one.
pub struct Wanted<'a> {
    name: &'a [u8],
    /// Where its sockets are to move to, if they are.
    netns: Option<TransitNetns>,
    found: OnceCell<Zones>,
}

impl<'a> Wanted<'a> {
    /// Those of the device of that name once its sockets have moved to `netns`.
    pub fn of(name: &'a [u8], netns: Option<&TransitNetns>) -> Self {
        Self {
            name,
            netns: netns.cloned(),
            found: OnceCell::new(),
        }
    }

    /// Those that are known already.
    pub fn known(zones: Zones) -> Self {
        Self {
            name: b"",
            netns: None,
            found: OnceCell::from(zones),
        }
    }

    /// Finds them.
    pub fn get(&self) -> Result<&Zones> {
        if let Some(zones) = self.found.get() {
            return Ok(zones);
        }
        let zones = match &self.netns {
            Some(netns) => Zones::of_found(&netns.find()?),
            None => {
                let device = backend::get(self.name, "Unable to modify interface")?;
                Zones::of_nsid(device.transit_nsid)
            }
        };
        Ok(self.found.get_or_init(|| zones))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;

    const LINK_LOCAL: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
    const GLOBAL: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);

    fn seen() -> Zones {
        Zones::listed(&[
            (2, b"eth0"),
            (3, b"7"),
            (4, b"a#b"),
            (5, b"a]b"),
            (6, b"a\x1bb"),
            (7, b"gr\xf6n"),
            (8, b"eth0.5"),
        ])
    }

    #[test]
    fn names_are_shown_where_they_can_be_read_back() {
        let shown = |zones: &Zones, ip, scope| zones.shown(&SocketAddrV6::new(ip, 5, 0, scope));
        let zones = seen();
        for (scope, text) in [
            (2, "eth0"),
            (2, "eth0"),
            (3, "3"),
            (4, "4"),
            (5, "5"),
            (6, "6"),
            (7, "7"),
            (8, "eth0.5"),
            (9, "9"),
        ] {
            assert_eq!(shown(&zones, LINK_LOCAL, scope), text);
        }
        assert_eq!(shown(&zones, "ff02::1".parse().unwrap(), 2), "eth0");
        assert_eq!(shown(&zones, GLOBAL, 2), "2");
        // Interface 1 is the loopback everywhere.
        assert_eq!(shown(&Zones::Unseen, LINK_LOCAL, 1), "1");
    }

    #[test]
    fn zones_are_read() {
        let zones = seen();
        assert_eq!(zones.scope(LINK_LOCAL, "eth0"), Ok(2));
        // A number is a number, whatever interfaces are called.
        assert_eq!(zones.scope(LINK_LOCAL, "7"), Ok(7));
        assert_eq!(zones.scope(LINK_LOCAL, "4294967295"), Ok(u32::MAX));
        assert_eq!(zones.scope(GLOBAL, "9"), Ok(9));
        assert_eq!(Zones::Unseen.scope(LINK_LOCAL, "9"), Ok(9));
        for (zones, address, zone, part) in [
            (&zones, LINK_LOCAL, "lo", "none of this name"),
            (&zones, LINK_LOCAL, "", "none of this name"),
            (&zones, LINK_LOCAL, "4294967296", "above"),
            (&zones, GLOBAL, "eth0", "only a link-local address"),
            (&zones, LINK_LOCAL, "lo", "cannot see the others"),
            (&Zones::Unseen, LINK_LOCAL, "lo", "give its number"),
        ] {
            let reason = zones.scope(address, zone).unwrap_err();
            assert!(reason.contains(part), "{zone}: {reason}");
        }
    }

    #[test]
    fn hosts_with_a_zone() {
        assert_eq!(split("fe80::1%lo"), Some((LINK_LOCAL, "lo")));
        assert_eq!(split("fe80::1%a%b"), Some((LINK_LOCAL, "a%b")));
        for host in ["fe80::1", "a.example%lo", "1.2.3.4%lo", "%lo", ""] {
            assert_eq!(split(host), None);
        }
    }

    #[test]
    fn whose_interfaces_they_are() {
        assert!(matches!(Zones::of_nsid(None), Zones::Own));
        assert!(matches!(Zones::of_nsid(Some(-1)), Zones::Unseen));
        assert!(matches!(Zones::of_nsid(Some(i32::MAX)), Zones::Unseen));
        let own = File::open("/proc/self/ns/net").unwrap();
        assert!(matches!(Zones::of_found(&Found::Fd(own)), Zones::Own));
        let own = Found::Pid(std::process::id());
        assert!(matches!(Zones::of_found(&own), Zones::Own));
        let nowhere = Found::Fd(File::open("/dev/null").unwrap());
        assert!(matches!(Zones::of_found(&nowhere), Zones::Unseen));
    }

    #[test]
    fn a_device_without_zones_asks_nobody() {
        let device = Device {
            transit_nsid: Some(-1),
            ..Device::default()
        };
        assert!(matches!(Zones::of_device(&device), Zones::Own));
    }
}
