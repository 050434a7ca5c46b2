// SPDX-License-Identifier: GPL-2.0
//! The interface: made, configured, with addresses and routes.

use crate::outside::Outside;
use crate::quick::{File, Table, MAIN_TABLE};
use crate::refused;
use crate::rtnetlink::Rtnetlink;
use ipnet::IpNet;
use rustix::net::{netdevice::name_to_index, socket, AddressFamily, SocketType};
use std::collections::BTreeSet;
use std::io;
use wg::error::{quote, warn, Failure, Result};
use wg::kernel::set::NotSet;
use wg::model::DeviceChange;
use wg::netlink::socket::Refused;
use wg::packaged::why_not_ours;
use wg::{kernel, refusal};

/// An interface that goes again unless it is kept.
pub struct Link {
    netlink: Rtnetlink,
    index: u32,
    kept: bool,
}

impl Link {
    /// It may stay.
    pub fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        if !self.kept {
            // Another failure is being told already.
            let _ = self.netlink.delete(self.index);
        }
    }
}

/// Makes the interface in the current namespace, with its sockets outside.
/// The keys are wiped when this is done.
pub fn bring_up(name: &str, mtu: u32, mut file: File, outside: &Outside) -> Result<Link> {
    let mut netlink = Rtnetlink::open()?;
    netlink
        .add_wireguard(name, Some(mtu))
        .map_err(|refused| no_interface(name, &refused))?;
    let mut link = Link {
        index: index_of(name)?,
        netlink,
        kept: false,
    };
    // All in one message: there is no moment in which it is half configured.
    file.change.credentials = Some(outside.credentials());
    let warnings = kernel::set(name.as_bytes(), &file.change, Some(outside.netns()))
        .map_err(|not_set| not_configured(name, &file.change, &not_set))?;
    for warning in warnings {
        warn(warning);
    }
    let mut left_out = LeftOut::default();
    if !outside.has_ipv6() {
        left_out.reason = Some("this kernel has no IPv6");
    }
    add_addresses(&mut link, &mut file.addresses, &mut left_out)?;
    link.netlink
        .up(link.index)
        .map_err(|refused| not_up(name, &file.change, &refused))?;
    add_routes(&mut link, &file, &mut left_out)?;
    left_out.tell();
    Ok(link)
}

/// What there is of IPv6 in a file, where IPv6 is not possible.
#[derive(Default)]
pub struct LeftOut {
    reason: Option<&'static str>,
    what: Vec<IpNet>,
}

impl LeftOut {
    /// Does something about an address, unless it is one of IPv6 and those are
    /// left out. Whether it was done.
    pub fn or(
        &mut self,
        network: IpNet,
        what: &str,
        act: impl FnOnce() -> std::result::Result<(), Refused>,
    ) -> Result<bool> {
        let is_v6 = matches!(network, IpNet::V6(_));
        if !(is_v6 && self.reason.is_some()) {
            match act() {
                Ok(()) => return Ok(true),
                // So the kernel says where disable_ipv6 is set, and only there.
                Err(reason) if is_v6 && reason.errno == libc::EACCES => {
                    self.reason = Some("IPv6 is switched off here");
                }
                Err(reason) => {
                    let failure = refused(format_args!("Unable to add {what} {network}"), &reason);
                    return Err(match reason.errno {
                        libc::EEXIST => failure.and("There is another way to it already."),
                        _ => failure,
                    });
                }
            }
        }
        self.what.push(network);
        Ok(false)
    }

    /// Tells what was left out.
    pub fn tell(&self) {
        let list: Vec<_> = self.what.iter().map(IpNet::to_string).collect();
        let verb = if list.len() == 1 { "is" } else { "are" };
        if let (Some(reason), false) = (self.reason, list.is_empty()) {
            warn(format_args!(
                "{} {verb} left out: {reason}",
                list.join(", ")
            ));
        }
    }
}

/// The number of an interface.
pub fn index_of(name: &str) -> Result<u32> {
    socket(AddressFamily::UNIX, SocketType::DGRAM, None)
        .map_err(io::Error::from)
        .and_then(|fd| Ok(name_to_index(fd, name)?))
        .map_err(|error| Failure::os(format!("Unable to find interface {name}"), &error))
}

/// Leaves those that were added in `addresses`.
fn add_addresses(link: &mut Link, addresses: &mut Vec<IpNet>, out: &mut LeftOut) -> Result<()> {
    let mut added = Vec::new();
    for &address in &*addresses {
        if out.or(address, "the address", || {
            link.netlink.add_address(link.index, address)
        })? {
            added.push(address);
        }
    }
    *addresses = added;
    Ok(())
}

fn add_routes(link: &mut Link, file: &File, out: &mut LeftOut) -> Result<()> {
    for (network, table) in routes(file) {
        out.or(network, "a route to", || {
            link.netlink.add_route(link.index, network, table)
        })?;
    }
    Ok(())
}

/// The routes that a file asks for, and the table that they go to.
pub fn routes(file: &File) -> Vec<(IpNet, u32)> {
    let Table::Number(table) = file.table else {
        return Vec::new();
    };
    // The kernel has routes to these already, if it has any.
    let on_link: BTreeSet<IpNet> = file
        .addresses
        .iter()
        .filter(|address| table == MAIN_TABLE && address.prefix_len() > 0)
        .map(IpNet::trunc)
        .collect();
    let networks = networks(&file.change).into_iter();
    networks
        .filter(|network| !on_link.contains(network))
        .map(|network| (network, table))
        .collect()
}

/// All that any peer may send and receive.
pub fn networks(change: &DeviceChange) -> BTreeSet<IpNet> {
    let ranges = change.peers.iter().flat_map(|peer| &peer.allowed_ips);
    ranges
        .filter(|range| !range.remove)
        .filter_map(|range| IpNet::new(range.ip.addr, range.ip.cidr).ok())
        .map(|network| network.trunc())
        .collect()
}

fn no_interface(name: &str, reason: &Refused) -> Failure {
    let failure = refused("Unable to make a WireGuard interface", reason);
    match reason.errno {
        libc::EOPNOTSUPP => failure
            .and("The kernel has no wireguard module and found none to load;")
            .and("the administrator can try: modprobe wireguard"),
        libc::EEXIST => failure.and(format!(
            "There is a {} already; --interface gives this one another name.",
            quote(name.as_bytes())
        )),
        libc::EPERM => failure
            .and("That takes CAP_NET_ADMIN in the user namespace that this network namespace")
            .and("belongs to; a security module may have taken it away."),
        _ => failure,
    }
}

fn not_configured(name: &str, change: &DeviceChange, not_set: &NotSet) -> Failure {
    if not_set.lacks_transit {
        let failure = Failure::new("This kernel's wireguard module cannot move its sockets.")
            .and("The module that wg-rootless came with can; the administrator has to install it,")
            .and("and `modprobe -r wireguard' if the other one is in use.");
        return why_not_ours()
            .into_iter()
            .flatten()
            .fold(failure, Failure::and);
    }
    match (not_set.refused.errno, change.listen_port) {
        // The sockets are made at the move.
        (libc::EADDRINUSE, Some(port)) => {
            refused(format_args!("Unable to configure {name}"), &not_set.refused)
                .and(port_is_taken(port))
        }
        _ => refusal::of_set(name.as_bytes(), change, None, not_set),
    }
}

fn port_is_taken(port: u16) -> String {
    format!("Port {port} is taken outside; without a ListenPort the kernel finds a free one.")
}

fn not_up(name: &str, change: &DeviceChange, reason: &Refused) -> Failure {
    let failure = refused(format_args!("Unable to set {name} up"), reason);
    match (reason.errno, change.listen_port) {
        (libc::EADDRINUSE, Some(port)) => failure.and(port_is_taken(port)),
        _ => failure,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_network_is_routed_once() {
        let text = "[Peer]\nPublicKey=YtYKSMZRJK7ip74EWf2hnFeYvLPO5VaEalH4wIqDOCY=\n\
                    AllowedIPs=0.0.0.0/0,10.1.2.3/8,10.9.9.9/8,fd00::1/64,192.0.2.1\n";
        let config = wg::config::parse(text.as_bytes(), wg::config::Mode::Append).unwrap();
        let found: Vec<_> = networks(&config.change)
            .iter()
            .map(IpNet::to_string)
            .collect();
        assert_eq!(
            found,
            ["0.0.0.0/0", "10.0.0.0/8", "192.0.2.1/32", "fd00::/64"]
        );
    }

    #[test]
    fn routes_that_the_kernel_has_are_left_to_it() {
        let routes = |text: &str| -> Vec<String> {
            let text = format!(
                "[Interface]\n{text}\n[Peer]\nPublicKey=YtYKSMZRJK7ip74EWf2hnFeYvLPO5VaEalH4wIqDOCY=\n\
                 AllowedIPs=10.0.0.0/24,0.0.0.0/0"
            );
            let file = crate::quick::parse(text.as_bytes()).unwrap().file;
            let found = super::routes(&file).into_iter();
            found
                .map(|(network, table)| format!("{network} {table}"))
                .collect()
        };
        assert_eq!(routes("Address=10.0.0.2/24"), ["0.0.0.0/0 254"]);
        assert_eq!(
            routes("Address=10.0.0.2/0"),
            ["0.0.0.0/0 254", "10.0.0.0/24 254"]
        );
        assert_eq!(
            routes("Address=10.0.0.2/24\nTable=7"),
            ["0.0.0.0/0 7", "10.0.0.0/24 7"]
        );
        assert!(routes("Table=off").is_empty());
    }

    #[test]
    fn ipv6_that_is_switched_off_is_left_out() {
        let net = |text: &str| text.parse::<IpNet>().unwrap();
        let refuse = |errno| move || Err(Refused::errno(errno));
        let mut out = LeftOut::default();
        assert!(out.or(net("10.0.0.1/8"), "x", || Ok(())).unwrap());
        assert!(out
            .or(net("10.0.0.1/8"), "x", refuse(libc::EACCES))
            .is_err());
        assert!(!out
            .or(net("fd00::1/64"), "x", refuse(libc::EACCES))
            .unwrap());
        // After that nothing is tried.
        assert!(!out.or(net("fd00::2/64"), "x", || panic!()).unwrap());
        assert_eq!(out.what.len(), 2);
        let mut out = LeftOut::default();
        let failure = out
            .or(net("::/0"), "a route to", refuse(libc::EEXIST))
            .unwrap_err();
        assert!(failure.lines[0].contains("a route to ::/0"));
    }

    #[test]
    fn an_old_module_is_told_in_plain_words() {
        let not_set = NotSet {
            lacks_transit: true,
            ..Refused::errno(libc::EOPNOTSUPP).into()
        };
        let failure = not_configured("wg0", &DeviceChange::default(), &not_set);
        assert_eq!(
            failure.lines[0],
            "This kernel's wireguard module cannot move its sockets."
        );
    }
}
