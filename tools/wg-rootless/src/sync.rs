// SPDX-License-Identifier: GPL-2.0
//! Changes of a tunnel that is up: what its file says now, names of endpoints
//! that lead elsewhere now, and its end. Those that use it go on meanwhile.

use crate::handshake;
use crate::mtu;
use crate::namespaces::Target;
use crate::outside::Outside;
use crate::quick::{self, File, Instead, Names};
use crate::registry::{self, Held, Record, Version};
use crate::resolver;
use crate::rtnetlink::Rtnetlink;
use crate::tunnel::{self, LeftOut};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};
use wg::cmd::setconf;
use wg::error::{quote, warn, Failure, Result};
use wg::kernel;
use wg::key::PublicKey;
use wg::model::{Device, DeviceChange, Peer, PeerChange};
use wg::refusal;

/// Seconds after which a session that is in use would have been renewed: the
/// peer does not answer.
const STALE: i64 = 180;

/// Has a tunnel be as its file says, or another file.
pub fn run(name: &str, file: Option<&Path>, endpoints: bool) -> Result<()> {
    let (mut held, mut record) = hold(name)?;
    if endpoints {
        let fresh = addresses(&record, true)?;
        enter_net(name, &record)?;
        return set_stale_endpoints(&record.interface, fresh);
    }
    let path = match file {
        None => record.file.clone(),
        Some(file) => std::fs::canonicalize(file).unwrap_or_else(|_| file.to_owned()),
    };
    let version = Version::of(&path);
    let outside = Outside::look_around()?;
    wg::harden();
    let file = quick::read(&path, Instead::default())?;
    let mtu = mtu::of(&file);
    record.file = path;
    record.version = version.unwrap_or_default();
    record.peers = file
        .change
        .peers
        .iter()
        .map(|peer| peer.public_key.to_string())
        .collect();
    if let Some(key) = &file.change.private_key {
        record.public_key = key.public().to_string();
    }
    let target = enter_net(name, &record)?;
    let dns = file.dns.clone();
    configure(&record.interface, file, mtu, &outside)?;
    held.write(&record)?;
    if !record.container && target.enter_mounts()? && !resolver::renew(&dns)? {
        warn("name servers stay as they are: the tunnel came up without any");
    }
    Ok(())
}

/// Ends a tunnel. Those that are in it have no network from then on.
pub fn down(name: &str) -> Result<()> {
    let (held, record) = hold(name)?;
    enter_net(name, &record)?;
    let mut netlink = Rtnetlink::open()?;
    let index = tunnel::index_of(&record.interface)?;
    netlink
        .delete(index)
        .map_err(|refused| crate::refused("Unable to remove the interface", &refused))?;
    held.forget();
    Ok(())
}

fn hold(name: &str) -> Result<(Held, Record)> {
    let held = Held::take(name)?;
    match held.map(|mut held| (held.record(), held)) {
        Some((Some(record), held)) => Ok((held, record)),
        Some((None, held)) => {
            held.forget();
            Err(no_tunnel(name))
        }
        None => Err(no_tunnel(name)),
    }
}

fn no_tunnel(name: &str) -> Failure {
    registry::find(name)
        .err()
        .unwrap_or_else(|| Failure::new(format!("There is no tunnel {}", quote(name.as_bytes()))))
}

/// Enters the network namespace of a tunnel, with the rights to change it.
pub fn enter_net(name: &str, record: &Record) -> Result<Target> {
    let gone = || {
        Failure::new(format!(
            "There is no process in {} that can be looked at",
            quote(name.as_bytes())
        ))
    };
    let target = Target::find(record.entrance().ok_or_else(gone)?)?;
    if !target.is_inside(&record.inside) {
        return Err(gone());
    }
    target.enter_net()?;
    Ok(target)
}

/// Changes the interface to what the file says, and nothing that is so already.
fn configure(interface: &str, mut file: File, mtu: u32, outside: &Outside) -> Result<()> {
    let device = handshake::read(interface)?;
    let index = tunnel::index_of(interface)?;
    let change = &mut file.change;
    change.replace_peers = true;
    setconf::sync(change, &device);
    // A port is bought anew; one that is as it was needs not be.
    change.listen_port = change
        .listen_port
        .filter(|&port| port != device.listen_port);
    let netns = change.listen_port.is_some().then(|| {
        change.credentials = Some(outside.credentials());
        outside.netns()
    });
    change.fwmark = change.fwmark.filter(|&mark| mark != device.fwmark);
    let warnings = kernel::set(interface.as_bytes(), change, netns)
        .map_err(|not_set| refusal::of_set(interface.as_bytes(), change, netns, &not_set))?;
    warnings.into_iter().for_each(warn);
    // Peers that went are in the change as well.
    change.peers.retain(|peer| !peer.remove);

    let mut netlink = Rtnetlink::open()?;
    let fail = |refused| crate::refused("Unable to list addresses and routes", &refused);
    let mut left_out = LeftOut::default();
    let old: BTreeSet<_> = netlink
        .addresses(index)
        .map_err(fail)?
        .into_iter()
        .collect();
    let new: BTreeSet<_> = file.addresses.iter().copied().collect();
    for &address in new.difference(&old) {
        left_out.or(address, "the address", || {
            netlink.add_address(index, address)
        })?;
    }
    for &address in old.difference(&new) {
        let link_local = |net: &ipnet::IpNet| net.addr().to_string().starts_with("fe80");
        if !link_local(&address) {
            netlink.delete_address(index, address).map_err(|refused| {
                crate::refused(format_args!("Unable to remove {address}"), &refused)
            })?;
        }
    }
    let wanted: BTreeSet<_> = tunnel::routes(&file).into_iter().collect();
    let on_link: BTreeSet<_> = new.iter().map(ipnet::IpNet::trunc).collect();
    let is = netlink.routes().map_err(fail)?;
    let is: Vec<_> = is
        .iter()
        .filter(|route| route.link == Some(index))
        .collect();
    for &(network, table) in &wanted {
        if !is
            .iter()
            .any(|route| (route.network, route.table) == (network, table))
        {
            left_out.or(network, "a route to", || {
                netlink.add_route(index, network, table)
            })?;
        }
    }
    for route in is {
        let stays = wanted.contains(&(route.network, route.table))
            || on_link.contains(&route.network)
            || route.network.addr().to_string().starts_with("fe80");
        if !stays {
            // It may have gone with its address.
            let _ = netlink.delete_route(route);
        }
    }
    netlink
        .set_mtu(index, mtu)
        .map_err(|refused| crate::refused(format_args!("Unable to set the MTU {mtu}"), &refused))?;
    left_out.tell();
    Ok(())
}

/// Where the names of a tunnel's endpoints lead now.
type Fresh = Vec<(PublicKey, SocketAddr)>;

/// For a command that joins: looks up what can be. Without a word where nobody
/// answers now, since the tunnel may be as good as ever.
pub fn look_up_again(record: &Record) -> Fresh {
    addresses(record, false).unwrap_or_default()
}

fn addresses(record: &Record, told: bool) -> Result<Fresh> {
    // A pipe is empty by now.
    if Version::of(&record.file).is_none() {
        return if told {
            Err(Failure::new(format!(
                "{} cannot be read again",
                record.file.display()
            )))
        } else {
            Ok(Vec::new())
        };
    }
    // There is a key in the file.
    wg::harden();
    let names = if told { Names::Needed } else { Names::Once };
    let file = quick::read_names(&record.file, names)?;
    let peers = file.into_iter();
    Ok(peers
        .filter_map(|peer| Some((peer.public_key, peer.endpoint?)))
        .collect())
}

/// Sets the endpoints of those peers that do not answer. To be called inside.
pub fn set_stale_endpoints(interface: &str, fresh: Fresh) -> Result<()> {
    if fresh.is_empty() {
        return Ok(());
    }
    let device = handshake::read(interface)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.map_or(0, |time| i64::try_from(time.as_secs()).unwrap_or(i64::MAX));
    let change = change_of(&device, &fresh, now);
    if change.peers.is_empty() {
        return Ok(());
    }
    kernel::set(interface.as_bytes(), &change, None)
        .map(drop)
        .map_err(|not_set| refusal::of_set(interface.as_bytes(), &change, None, &not_set))
}

fn change_of(device: &Device, fresh: &Fresh, now: i64) -> DeviceChange {
    let stale = |peer: &&Peer| now.saturating_sub(peer.last_handshake.0) > STALE;
    let peers = device.peers.iter().filter(stale).filter_map(|peer| {
        let (_, address) = fresh.iter().find(|(key, _)| *key == peer.public_key)?;
        let mut change = PeerChange::new(peer.public_key);
        change.endpoint = Some(*address).filter(|_| peer.endpoint != Some(*address));
        change.endpoint.is_some().then_some(change)
    });
    DeviceChange {
        peers: peers.collect(),
        ..DeviceChange::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_peers_that_do_not_answer_get_another_endpoint() {
        let key = |byte| PublicKey([byte; 32]);
        let address = |text: &str| text.parse::<SocketAddr>().unwrap();
        let peer = |byte, handshake| {
            let mut peer = Peer::new(key(byte));
            peer.last_handshake = (handshake, 0);
            peer.endpoint = Some(address("192.0.2.1:1"));
            peer
        };
        let device = Device {
            peers: vec![
                peer(1, 0),
                peer(2, 1000 - STALE),
                peer(3, 999 - STALE),
                peer(4, 0),
                peer(5, 0),
            ],
            ..Device::default()
        };
        let elsewhere = address("192.0.2.2:1");
        let fresh = vec![
            (key(1), elsewhere),
            (key(2), elsewhere),
            (key(3), elsewhere),
            (key(4), address("192.0.2.1:1")),
        ];
        let change = change_of(&device, &fresh, 1000);
        let changed: Vec<_> = change
            .peers
            .iter()
            .map(|peer| peer.public_key.0[0])
            .collect();
        assert_eq!(changed, [1, 3]);
        assert!(change
            .peers
            .iter()
            .all(|peer| peer.endpoint == Some(elsewhere)));
        assert!(!change.replace_peers);
    }
}
