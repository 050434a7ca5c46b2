// SPDX-License-Identifier: GPL-2.0
//! The interface: made, configured, with addresses and routes.

use crate::outside::Outside;
use crate::quick::{File, Table};
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
pub fn bring_up(name: &str, mut file: File, outside: &Outside) -> Result<Link> {
    let mut netlink = Rtnetlink::open()?;
    netlink
        .add_wireguard(name, file.mtu)
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
    add_addresses(&mut link, &mut file.addresses, outside)?;
    link.netlink
        .up(link.index)
        .map_err(|refused| not_up(name, &file.change, &refused))?;
    add_routes(&mut link, &file, outside)?;
    Ok(link)
}

fn index_of(name: &str) -> Result<u32> {
    socket(AddressFamily::UNIX, SocketType::DGRAM, None)
        .map_err(io::Error::from)
        .and_then(|fd| Ok(name_to_index(fd, name)?))
        .map_err(|error| Failure::os(format!("Unable to find interface {name}"), &error))
}

/// Leaves those that were added in `addresses`.
fn add_addresses(link: &mut Link, addresses: &mut Vec<IpNet>, outside: &Outside) -> Result<()> {
    addresses.retain(|address| {
        let possible = outside.has_ipv6() || matches!(address, IpNet::V4(_));
        if !possible {
            warn(format_args!(
                "{address} is left out: this kernel has no IPv6"
            ));
        }
        possible
    });
    for &address in &*addresses {
        link.netlink
            .add_address(link.index, address)
            .map_err(|reason| {
                refused(format_args!("Unable to add the address {address}"), &reason)
            })?;
    }
    Ok(())
}

fn add_routes(link: &mut Link, file: &File, outside: &Outside) -> Result<()> {
    let Table::Number(table) = file.table else {
        return Ok(());
    };
    // The kernel has routes to these already.
    let on_link: BTreeSet<IpNet> = file.addresses.iter().map(IpNet::trunc).collect();
    for network in networks(&file.change) {
        let possible = outside.has_ipv6() || matches!(network, IpNet::V4(_));
        if !possible || on_link.contains(&network) {
            continue;
        }
        link.netlink
            .add_route(link.index, network, table)
            .map_err(|reason| {
                let failure = refused(format_args!("Unable to add a route to {network}"), &reason);
                match reason.errno {
                    libc::EEXIST => failure.and("There is another way to it already."),
                    _ => failure,
                }
            })?;
    }
    Ok(())
}

/// All that any peer may send and receive.
fn networks(change: &DeviceChange) -> BTreeSet<IpNet> {
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
