// SPDX-License-Identifier: GPL-2.0

//! Dumping a device.
//!
//! A dump takes as many messages as it needs. Between two of them nothing is locked, so the cursor
//! says where to go on: after which peer, and, if that one's allowed IPs did not all fit, at which
//! of them. If these change meanwhile the rest of them is left out; the reader is told that the
//! dump is not coherent, and asks again.

use crate::{
    config::ConfigGuard,
    device::Dev,
    events,
    kernel::{
        genl::{Cursor, Message, Progress, Request},
        net::{AF_INET, AF_INET6},
        rtnl::Rtnl,
        sockaddr::SockAddr,
    },
    peer::Peer,
    protocol::allowed_ips::{NodeId, Prefix},
    uapi::*,
};
use core::{net::IpAddr, sync::atomic::Ordering};
use kernel::prelude::*;

/// Where a dump goes on.
#[derive(Clone, Copy)]
struct Position {
    /// Number of the last peer that is done; 0: none.
    done: u64,
    /// The allowed IP of the next peer to go on with.
    entry: Option<NodeId>,
    /// What the number of changes of allowed IPs was then.
    seq: u64,
    /// Whether anything was sent already.
    begun: bool,
}

impl Position {
    fn load(cursor: &Cursor) -> Self {
        let [done, entry, seq, begun] = cursor.words;
        let entry = u32::try_from(entry).ok().and_then(|n| n.checked_sub(1));
        Self {
            done,
            entry: entry.and_then(NodeId::from_index),
            seq,
            begun: begun != 0,
        }
    }

    fn store(self, cursor: &mut Cursor) {
        let entry = self
            .entry
            .map_or(0, |id| u64::from(id.index()).wrapping_add(1));
        cursor.words = [self.done, entry, self.seq, self.begun.into()];
    }
}

/// Writes the next message of a dump.
pub(super) fn device(
    dev: &Dev,
    request: &Request<'_>,
    cursor: &mut Cursor,
    begin: &mut dyn FnMut(u32),
    message: &mut Message<'_>,
) -> Result<Progress> {
    let rtnl = Rtnl::lock();
    request.socket_net().check(dev.netdev(), &rtnl)?;
    let config = ConfigGuard::lock(dev);
    let mut position = Position::load(cursor);
    begin(config.generation);
    if !position.begun {
        properties(&config, &rtnl, message)?;
        // Nothing that a client does not know comes unasked for.
        if request.attr(WGDEVICE_A_TRANSIT_WANTED).is_some() {
            transit(&config, &rtnl, message)?;
        }
        events::watch(&config);
        position.begun = true;
    }
    let from = config
        .peers
        .partition_point(|peer| peer.id <= position.done);
    let peers = config.peers.get(from..).unwrap_or(&[]);
    let mut progress = Progress::Complete;
    if !peers.is_empty() {
        message.nest(WGDEVICE_A_PEERS, |message| {
            for peer in peers {
                match self::peer(dev, peer, &mut position, message) {
                    Ok(Progress::Complete) => position.done = peer.id,
                    Ok(Progress::More) | Err(EMSGSIZE) => {
                        progress = Progress::More;
                        break;
                    }
                    Err(error) => return Err(error),
                }
            }
            Ok(())
        })?;
    }
    position.store(cursor);
    Ok(progress)
}

fn properties(config: &ConfigGuard<'_>, rtnl: &Rtnl, message: &mut Message<'_>) -> Result {
    let netdev = config.dev().netdev();
    message.put_u16(WGDEVICE_A_LISTEN_PORT, config.state.port)?;
    message.put_u32(WGDEVICE_A_FWMARK, config.state.mark)?;
    message.put_u32(WGDEVICE_A_IFINDEX, netdev.index(rtnl))?;
    message.put(WGDEVICE_A_IFNAME, netdev.name(rtnl).to_bytes_with_nul())?;
    if let Some(identity) = config.dev().identity.read().as_ref() {
        message.put(WGDEVICE_A_PRIVATE_KEY, identity.secret().as_bytes())?;
        message.put(WGDEVICE_A_PUBLIC_KEY, &identity.public().0)?;
    }
    Ok(())
}

fn transit(config: &ConfigGuard<'_>, rtnl: &Rtnl, message: &mut Message<'_>) -> Result {
    let dev = config.dev();
    match (dev.transit_net(rtnl), dev.netdev().net(rtnl)) {
        (None, _) => message.put_u32(WGDEVICE_A_TRANSIT_NETNSID, NSID_NONE as u32)?,
        (Some(transit), Some(own)) if !transit.same(&own) => {
            message.put_u32(WGDEVICE_A_TRANSIT_NETNSID, own.id_of(&transit) as u32)?;
        }
        _ => (),
    }
    message.put_u32(WGDEVICE_A_TRANSIT_FWMARK, config.state.applied_mark())
}

/// Writes a peer, or the next part of it. `Progress::More`: there is more of it to come.
fn peer(
    dev: &Dev,
    peer: &Peer,
    position: &mut Position,
    message: &mut Message<'_>,
) -> Result<Progress> {
    message.nest(0, |message| {
        message.put(WGPEER_A_PUBLIC_KEY, &peer.public_key.0)?;
        let seq = dev.allowed_ips.seq();
        let start = position.entry.take();
        let entries = match start {
            None => {
                state(peer, message)?;
                peer.allowed_ips.iter(dev.allowed_ips.nodes())
            }
            Some(_) if position.seq != seq => return Ok(Progress::Complete),
            Some(entry) => peer
                .allowed_ips
                .iter_from(dev.allowed_ips.nodes(), Some(entry)),
        };
        if peer.allowed_ips.is_empty() {
            return Ok(Progress::Complete);
        }
        // Whatever of the entries fits stays; the rest comes in the next message.
        let mut rest = start.or(peer.allowed_ips.first());
        let all = message.nest(WGPEER_A_ALLOWEDIPS, |message| {
            for (id, prefix) in entries {
                rest = Some(id);
                match allowed_ip(prefix, message) {
                    Ok(()) => (),
                    Err(EMSGSIZE) => return Ok(false),
                    Err(error) => return Err(error),
                }
            }
            Ok(true)
        });
        match all {
            Ok(true) => return Ok(Progress::Complete),
            Ok(false) => (),
            // Not even the header of the list fits.
            Err(EMSGSIZE) => (),
            Err(error) => return Err(error),
        }
        position.entry = rest;
        position.seq = seq;
        Ok(Progress::More)
    })
}

fn state(peer: &Peer, message: &mut Message<'_>) -> Result {
    message.put(
        WGPEER_A_PRESHARED_KEY,
        peer.handshake.read().preshared_key().as_bytes(),
    )?;
    message.put(
        WGPEER_A_LAST_HANDSHAKE_TIME,
        &timespec(peer.last_handshake()),
    )?;
    message.put_u16(
        WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL,
        peer.timer_state.persistent_keepalive(),
    )?;
    let tx = peer.tx_bytes.load(Ordering::Relaxed);
    let rx = peer.rx_bytes.load(Ordering::Relaxed);
    message.put_u64(WGPEER_A_TX_BYTES, tx, WGPEER_A_UNSPEC)?;
    message.put_u64(WGPEER_A_RX_BYTES, rx, WGPEER_A_UNSPEC)?;
    message.put_u32(WGPEER_A_PROTOCOL_VERSION, 1)?;
    match peer.endpoint.get().address() {
        Some(address) => message.put(WGPEER_A_ENDPOINT, SockAddr::new(address).as_bytes()),
        None => Ok(()),
    }
}

/// A `struct __kernel_timespec`.
pub(super) fn timespec((seconds, nanos): (i64, u32)) -> [u8; 16] {
    let mut time = [0; 16];
    let (high, low) = time.split_at_mut(8);
    high.copy_from_slice(&seconds.to_ne_bytes());
    low.copy_from_slice(&i64::from(nanos).to_ne_bytes());
    time
}

fn allowed_ip(prefix: Prefix, message: &mut Message<'_>) -> Result {
    message.nest(0, |message| {
        message.put_u8(WGALLOWEDIP_A_CIDR_MASK, prefix.length())?;
        match prefix.address() {
            IpAddr::V4(v4) => {
                message.put_u16(WGALLOWEDIP_A_FAMILY, AF_INET)?;
                message.put(WGALLOWEDIP_A_IPADDR, &v4.octets())
            }
            IpAddr::V6(v6) => {
                message.put_u16(WGALLOWEDIP_A_FAMILY, AF_INET6)?;
                message.put(WGALLOWEDIP_A_IPADDR, &v6.octets())
            }
        }
    })
}
