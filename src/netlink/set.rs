// SPDX-License-Identifier: GPL-2.0

//! Configuring a device.

use super::WireGuardFamily;
use crate::{
    allowed_ips::AllowedIps,
    config::ConfigGuard,
    device::Device,
    endpoint::Endpoint,
    events,
    kernel::{
        crypto::KernelCrypto,
        errno::EPFNOSUPPORT,
        genl::{Attr, FamilyOps, Request},
        napi::NapiEnabled,
        net::{AF_INET, AF_INET6},
        rcu::RcuArc,
        rtnl::Rtnl,
        sockaddr::SockAddr,
    },
    peer::Peer,
    protocol::{
        allowed_ips::Prefix,
        constants::MAX_PEERS_PER_DEVICE,
        crypto::{PresharedKey, PublicKey, SecretKey},
        noise::StaticIdentity,
    },
    send,
    transit::{self, SocketRequest},
    uapi::*,
};
use core::{
    mem,
    net::{IpAddr, SocketAddr},
};
use kernel::prelude::*;

fn attr<'a, const N: usize>(attrs: &[Option<Attr<'a>>; N], number: u32) -> Option<Attr<'a>> {
    attrs.get(number as usize).copied().flatten()
}

fn flags_of<const N: usize>(attrs: &[Option<Attr<'_>>; N], number: u32) -> Result<u32> {
    attr(attrs, number).map_or(Ok(0), Attr::u32)
}

/// Carries a request out, all of it or nothing.
pub(super) fn device(request: &Request<'_>) -> Result {
    let dev = request.device::<Device>(WireGuardFamily::device_id(request)?)?;
    // Descriptors and processes are looked up before any lock is taken.
    let change = SocketRequest::of(request)?;
    let rtnl = Rtnl::lock();
    request.socket_net().check(dev.netdev(), &rtnl)?;
    let mut config = ConfigGuard::lock(&dev);
    let flags = request.attr(WGDEVICE_A_FLAGS).map_or(Ok(0), Attr::u32)?;
    let replace = flags & WGDEVICE_F_REPLACE_PEERS != 0;
    let peers = request.attr(WGDEVICE_A_PEERS);
    let mut prepared = Preallocated::for_peers(&mut config, peers, replace)?;
    let told = events::wanted();
    let before = told.then(|| events::values_of_device(&config, &rtnl));

    transit::apply(
        &mut config,
        &rtnl,
        change,
        request.caller(),
        request.extack(),
    )?;
    // From here on nothing fails.
    config.generation = config.generation.wrapping_add(1);

    if replace {
        let list = mem::take(&mut prepared.list);
        Peer::remove_all(&mut config, list, |peer| {
            if told {
                events::peer_removed(peer);
                events::make_room(&dev, &rtnl);
            }
        });
    }
    if let Some(key) = request.attr(WGDEVICE_A_PRIVATE_KEY) {
        if let Ok(key) = key.bytes().try_into() {
            private_key(&mut config, SecretKey::new(key), told);
        }
    }
    if let Some(before) = before {
        events::device_changed(&config, &rtnl, before);
    }
    for (attr, new) in peers.iter().flat_map(|a| a.children()).zip(prepared.peers) {
        let change = PeerAttrs::of(attr)?;
        peer(&mut config, &change, new, told)?;
        events::make_room(&dev, &rtnl);
    }
    events::deliver(&dev, &rtnl);
    Ok(())
}

/// What the peers of a request need, made before anything changes.
struct Preallocated {
    /// For each peer of the request one that does not belong to the device yet, if it may take
    /// one.
    peers: KVVec<Option<RcuArc<Peer>>>,
    /// An empty list with room for all of these.
    list: KVVec<NapiEnabled<Peer>>,
}

impl Preallocated {
    fn for_peers(
        config: &mut ConfigGuard<'_>,
        attr: Option<Attr<'_>>,
        replace: bool,
    ) -> Result<Self> {
        let dev = config.dev();
        let mut peers = KVVec::new();
        let mut removed: KVVec<PublicKey> = KVVec::new();
        let mut new = 0_usize;
        let mut prefixes = 0_usize;
        for attr in attr.iter().flat_map(|a| a.children()) {
            let change = PeerAttrs::of(attr)?;
            let there = !replace && dev.by_key.find(&change.key).is_some();
            if change.removes() {
                // Those of a peer that is only to be removed do not matter.
                if there && !removed.contains(&change.key) {
                    removed.push(change.key, GFP_KERNEL)?;
                }
                peers.push(None, GFP_KERNEL)?;
                continue;
            }
            for prefix in change.prefixes() {
                prefixes = prefixes.saturating_add(usize::from(!prefix?.remove));
            }
            // One that is there may have been removed when it is this one's turn.
            let creates = change.creates() && (!there || removed.contains(&change.key));
            let peer = creates.then(|| Peer::new(dev, change.key)).transpose()?;
            new = new.saturating_add(usize::from(creates));
            peers.push(peer, GFP_KERNEL)?;
        }

        let stay = if replace {
            0
        } else {
            config.peers.len().saturating_sub(removed.len())
        };
        if stay.saturating_add(new) > MAX_PEERS_PER_DEVICE {
            return Err(ENOMEM);
        }
        let list = if replace {
            KVVec::with_capacity(new, GFP_KERNEL)?
        } else {
            config.peers.reserve(new, GFP_KERNEL)?;
            KVVec::new()
        };
        AllowedIps::reserve(config, prefixes)?;
        Ok(Self { peers, list })
    }
}

fn private_key(config: &mut ConfigGuard<'_>, mut secret: SecretKey<KernelCrypto>, told: bool) {
    let dev = config.dev();
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
        Peer::remove(config, &peer);
        if told {
            events::peer_removed(&peer);
        }
    }

    let mut current = config.write_identity();
    let packets_waited_for_key =
        current.is_none() && identity.is_some() && dev.netdev().is_running();
    *current = identity;
    let identity = current.as_ref();
    dev.cookies
        .set_identity(identity.map(StaticIdentity::public));
    for peer in &config.peers {
        peer.handshake.set_identity(identity);
        peer.expire_sessions();
        if packets_waited_for_key {
            send::send_staged(peer);
        }
    }
}

/// What a request says of a peer, well-formed but for its allowed IPs, which are read one by one.
struct PeerAttrs<'a> {
    key: PublicKey,
    preshared: Option<Attr<'a>>,
    flags: u32,
    endpoint: Option<SocketAddr>,
    allowed_ips: Option<Attr<'a>>,
    keepalive: Option<u16>,
}

/// What a request says of an allowed IP.
struct AllowedIpAttrs {
    prefix: Prefix,
    remove: bool,
}

impl<'a> PeerAttrs<'a> {
    fn of(attrs: Attr<'a>) -> Result<Self> {
        let attrs: [_; WGPEER_A_COUNT] = attrs.set()?;
        let key = attr(&attrs, WGPEER_A_PUBLIC_KEY).ok_or(EINVAL)?;
        if attr(&attrs, WGPEER_A_PROTOCOL_VERSION).map_or(Ok(1), Attr::u32)? != 1 {
            return Err(EPFNOSUPPORT);
        }
        Ok(Self {
            key: PublicKey(key.bytes().try_into().map_err(|_| EINVAL)?),
            preshared: attr(&attrs, WGPEER_A_PRESHARED_KEY),
            flags: flags_of(&attrs, WGPEER_A_FLAGS)?,
            endpoint: attr(&attrs, WGPEER_A_ENDPOINT).and_then(|a| SockAddr::parse(a.bytes())),
            allowed_ips: attr(&attrs, WGPEER_A_ALLOWEDIPS),
            keepalive: attr(&attrs, WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL)
                .map(Attr::u16)
                .transpose()?,
        })
    }

    fn removes(&self) -> bool {
        self.flags & WGPEER_F_REMOVE_ME != 0
    }

    /// Whether the peer is made if there is none with its key.
    fn creates(&self) -> bool {
        self.flags & (WGPEER_F_REMOVE_ME | WGPEER_F_UPDATE_ONLY) == 0
    }

    fn prefixes(&self) -> impl Iterator<Item = Result<AllowedIpAttrs>> + 'a {
        let list = self.allowed_ips.into_iter().flat_map(Attr::children);
        list.map(AllowedIpAttrs::of)
    }
}

impl AllowedIpAttrs {
    fn of(attrs: Attr<'_>) -> Result<Self> {
        let attrs = attrs.set()?;
        Ok(Self {
            prefix: prefix(&attrs).ok_or(EINVAL)?,
            remove: flags_of(&attrs, WGALLOWEDIP_A_FLAGS)? & WGALLOWEDIP_F_REMOVE_ME != 0,
        })
    }
}

/// Carries out what is said of a peer; `new` is what becomes of it if there is none.
fn peer(
    config: &mut ConfigGuard<'_>,
    change: &PeerAttrs<'_>,
    new: Option<RcuArc<Peer>>,
    told: bool,
) -> Result {
    let dev = config.dev();
    // What it was before, if there is something to be told.
    let mut before = None;
    let mut flags = 0;
    let ips = dev.allowed_ips.seq();
    let preshared: Option<PresharedKey<KernelCrypto>> = change
        .preshared
        .and_then(|key| key.bytes().try_into().ok())
        .map(PresharedKey::new);
    let running = dev.netdev().is_running();

    let peer = match (dev.by_key.find(&change.key), new) {
        (Some(peer), _) if change.removes() => {
            Peer::remove(config, &peer);
            if told {
                events::peer_removed(&peer);
            }
            return Ok(());
        }
        (Some(peer), _) => {
            before = told.then(|| events::values_of(&peer));
            if let Some(preshared) = &preshared {
                if peer.handshake.set_preshared_key(preshared) {
                    flags |= WGEVENT_F_PRESHARED_KEY;
                }
            }
            if change.flags & WGPEER_F_REPLACE_ALLOWEDIPS != 0 {
                AllowedIps::remove_all_of(config, &peer);
            }
            peer
        }
        (None, Some(peer)) => {
            let identity = dev.identity.read();
            if identity
                .as_ref()
                .is_some_and(|own| *own.public() == change.key)
            {
                // Ignored, so that the same list of peers can be given to each of them.
                return Ok(());
            }
            peer.handshake.set_identity(identity.as_ref());
            drop(identity);
            // Before anybody can find the peer: no session is to begin without it.
            if let Some(preshared) = &preshared {
                peer.handshake.set_preshared_key(preshared);
            }
            Peer::add(config, &peer)?;
            peer
        }
        (None, None) => return Ok(()),
    };

    if let Some(address) = change.endpoint {
        peer.endpoint.set(Endpoint::new(address));
    }
    for entry in change.prefixes() {
        let AllowedIpAttrs { prefix, remove } = entry?;
        if remove {
            AllowedIps::remove(config, prefix, &peer);
        } else {
            AllowedIps::insert(config, prefix, &peer)?;
        }
    }
    let was_off = change.keepalive.is_some_and(|interval| {
        peer.timer_state.set_persistent_keepalive(interval) == 0 && interval != 0
    });
    if dev.allowed_ips.seq() != ips {
        flags |= WGEVENT_F_ALLOWEDIPS;
    }
    // Before anything of it can happen.
    match before {
        Some(before) => events::peer_changed(&peer, before, flags),
        None if told => events::peer_added(&peer),
        None => (),
    }
    if was_off && running {
        send::keepalive(&peer);
    }
    if running {
        send::send_staged(&peer);
    }
    Ok(())
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
