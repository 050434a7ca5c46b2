// SPDX-License-Identifier: GPL-2.0

//! Configuring a device.

use super::WireGuardFamily;
use crate::{
    device::{Config, Dev, Device},
    endpoint::Endpoint,
    kernel::{
        crypto::KernelCrypto,
        genl::{Attr, Request, Service},
        netdev::Rtnl,
    },
    peer::Peer,
    protocol::{
        allowed_ips::Prefix,
        crypto::{PresharedKey, PublicKey, SecretKey},
        noise::StaticIdentity,
    },
    send,
    transit::{self, Change},
    uapi::*,
};
use core::net::{IpAddr, SocketAddr, SocketAddrV6};
use kernel::prelude::*;

type PeerAttrs<'a> = [Option<Attr<'a>>; WGPEER_A_COUNT];

fn attr<'a, const N: usize>(attrs: &[Option<Attr<'a>>; N], number: u32) -> Option<Attr<'a>> {
    attrs.get(number as usize).copied().flatten()
}

fn flags_of<const N: usize>(attrs: &[Option<Attr<'_>>; N], number: u32) -> Result<u32> {
    attr(attrs, number).map_or(Ok(0), Attr::u32)
}

/// Carries a request out.
pub(super) fn device(request: &Request<'_>) -> Result {
    let dev = request.device::<Device>(WireGuardFamily::which(request)?)?;
    // Descriptors and processes are looked up before any lock is taken.
    let change = Change::of(request)?;
    let rtnl = Rtnl::lock();
    let mut config = dev.config.lock();
    let flags = request.attr(WGDEVICE_A_FLAGS).map_or(Ok(0), Attr::u32)?;

    // First, since it is all or nothing, and nothing else is to be done if it is nothing.
    transit::apply(
        &dev,
        &rtnl,
        &mut config,
        change,
        request.caller(),
        request.extack(),
    )?;
    config.generation = config.generation.wrapping_add(1);

    if flags & WGDEVICE_F_REPLACE_PEERS != 0 {
        Peer::remove_all(&dev, &mut config);
    }
    if let Some(key) = request.attr(WGDEVICE_A_PRIVATE_KEY) {
        if let Ok(key) = key.bytes().try_into() {
            private_key(&dev, &mut config, SecretKey::new(key));
        }
    }
    if let Some(peers) = request.attr(WGDEVICE_A_PEERS) {
        for attr in peers.children() {
            let attrs = attr.set()?;
            let result = peer(&dev, &mut config, &attrs);
            if let Some(key) = self::attr(&attrs, WGPEER_A_PRESHARED_KEY) {
                request.wipe(key);
            }
            result?;
        }
    }
    Ok(())
}

fn private_key(dev: &Dev, config: &mut Config, mut secret: SecretKey<KernelCrypto>) {
    let same = |identity: &StaticIdentity<KernelCrypto>| identity.secret().same_as(&secret);
    let unchanged = match dev.identity.read().as_ref() {
        Some(identity) => same(identity),
        None => secret.is_zero(),
    };
    if unchanged {
        return;
    }
    let is_zero = secret.is_zero();
    secret.clamp();
    // The all-zero key stands for none.
    let identity = if is_zero {
        None
    } else {
        StaticIdentity::new(&secret)
    };

    // A device is no peer of its own.
    let own = identity
        .as_ref()
        .and_then(|identity| dev.by_key.find(identity.public()));
    if let Some(peer) = own {
        Peer::remove(dev, config, &peer);
    }

    let mut current = dev.identity.write();
    let packets_waited_for_key =
        current.is_none() && identity.is_some() && dev.netdev().is_running();
    *current = identity;
    let identity = current.as_ref();
    dev.cookies
        .set_identity(identity.map(StaticIdentity::public));
    for peer in &config.peers {
        peer.handshake.write().set_identity(identity);
        peer.expire_sessions();
        if packets_waited_for_key {
            send::send_staged(peer);
        }
    }
}

fn peer(dev: &Dev, config: &mut Config, attrs: &PeerAttrs<'_>) -> Result {
    let key = attr(attrs, WGPEER_A_PUBLIC_KEY).ok_or(EINVAL)?;
    let key = PublicKey(key.bytes().try_into().map_err(|_| EINVAL)?);
    let preshared: Option<PresharedKey<KernelCrypto>> = attr(attrs, WGPEER_A_PRESHARED_KEY)
        .and_then(|key| key.bytes().try_into().ok())
        .map(PresharedKey::new);
    let flags = flags_of(attrs, WGPEER_A_FLAGS)?;
    if attr(attrs, WGPEER_A_PROTOCOL_VERSION).map_or(Ok(1), Attr::u32)? != 1 {
        return Err(EPFNOSUPPORT);
    }
    let running = dev.netdev().is_running();

    let peer = match dev.by_key.find(&key) {
        Some(peer) if flags & WGPEER_F_REMOVE_ME != 0 => {
            Peer::remove(dev, config, &peer);
            return Ok(());
        }
        Some(peer) => {
            if let Some(preshared) = &preshared {
                peer.handshake.write().set_preshared_key(preshared);
            }
            if flags & WGPEER_F_REPLACE_ALLOWEDIPS != 0 {
                dev.allowed_ips.remove_all_of(&mut config.spare, &peer);
            }
            peer
        }
        None if flags & (WGPEER_F_REMOVE_ME | WGPEER_F_UPDATE_ONLY) != 0 => return Ok(()),
        None => {
            let own = dev
                .identity
                .read()
                .as_ref()
                .is_some_and(|own| *own.public() == key);
            if own {
                // Ignored, so that the same list of peers can be given to each of them.
                return Ok(());
            }
            Peer::create(dev, config, key, preshared.as_ref())?
        }
    };

    if let Some(address) = attr(attrs, WGPEER_A_ENDPOINT).and_then(|a| socket_address(a.bytes())) {
        peer.endpoint.set(Endpoint::new(address));
    }
    if let Some(list) = attr(attrs, WGPEER_A_ALLOWEDIPS) {
        for entry in list.children() {
            let entry: [_; WGALLOWEDIP_A_COUNT] = entry.set()?;
            let prefix = prefix(&entry).ok_or(EINVAL)?;
            if flags_of(&entry, WGALLOWEDIP_A_FLAGS)? & WGALLOWEDIP_F_REMOVE_ME != 0 {
                dev.allowed_ips.remove(&mut config.spare, prefix, &peer);
            } else {
                dev.allowed_ips.insert(&mut config.spare, prefix, &peer)?;
            }
        }
    }
    if let Some(interval) = attr(attrs, WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL) {
        let interval = interval.u16()?;
        let before = peer.timer_state.set_persistent_keepalive(interval);
        if before == 0 && interval != 0 && running {
            send::keepalive(&peer);
        }
    }
    if running {
        send::send_staged(&peer);
    }
    Ok(())
}

/// A `struct sockaddr_in` or `struct sockaddr_in6`.
fn socket_address(bytes: &[u8]) -> Option<SocketAddr> {
    let field = |at: usize| bytes.get(at..)?.first_chunk::<2>().copied();
    let family = u16::from_ne_bytes(field(0)?);
    let port = u16::from_be_bytes(field(2)?);
    match (family, bytes.len()) {
        (AF_INET, 16) => {
            let address: [u8; 4] = *bytes.get(4..)?.first_chunk()?;
            Some((address, port).into())
        }
        (AF_INET6, 28) => {
            let address: [u8; 16] = *bytes.get(8..)?.first_chunk()?;
            let scope = u32::from_ne_bytes(*bytes.get(24..)?.first_chunk()?);
            Some(SocketAddrV6::new(address.into(), port, 0, scope).into())
        }
        _ => None,
    }
}

fn prefix(attrs: &[Option<Attr<'_>>; WGALLOWEDIP_A_COUNT]) -> Option<Prefix> {
    let family = attr(attrs, WGALLOWEDIP_A_FAMILY)?.u16().ok()?;
    let bytes = attr(attrs, WGALLOWEDIP_A_IPADDR)?.bytes();
    let length = attr(attrs, WGALLOWEDIP_A_CIDR_MASK)?.u8().ok()?;
    let address = match family {
        AF_INET => IpAddr::from(<[u8; 4]>::try_from(bytes).ok()?),
        AF_INET6 => IpAddr::from(<[u8; 16]>::try_from(bytes).ok()?),
        _ => return None,
    };
    Prefix::new(address, length)
}
