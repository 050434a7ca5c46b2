// SPDX-License-Identifier: GPL-2.0
//! Reading a device.

use super::family::Family;
use crate::key::{PublicKey, SecretKey};
use crate::model::{AllowedIp, Device, Peer};
use crate::netlink::attrs::{attrs, i32_of, string_of, u16_of, u32_of, u64_of};
use crate::netlink::message::{Full, Message};
use crate::netlink::socket::{Netlink, Refused};
use crate::uapi::*;
use netlink_packet_core::{NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST};
use std::net::{IpAddr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// Whether the module of this kernel turned out not to know
/// [`WGDEVICE_A_TRANSIT_WANTED`]. It is one for all devices.
static WITHOUT_TRANSIT: AtomicBool = AtomicBool::new(false);

/// Reads the device of that name, what there is to know of its transit netns
/// included.
pub fn get(name: &[u8]) -> Result<Device, Refused> {
    if name.len() > IFNAME_MAX {
        return Err(Refused::errno(libc::ENAMETOOLONG));
    }
    let mut netlink = Netlink::open(libc::NETLINK_GENERIC)?;
    let family = Family::find(&mut netlink)?;
    let wanted = family.may_take(WGDEVICE_A_TRANSIT_WANTED) && !WITHOUT_TRANSIT.load(Relaxed);
    let (got, without) = ask_again(wanted, |wanted| {
        read_whole(&mut netlink, &family, name, wanted)
    });
    if without {
        WITHOUT_TRANSIT.store(true, Relaxed);
    }
    got
}

/// Reads with what is wanted, and without that if the module refuses it, as
/// one does that does not know it. Also returns whether that helped.
fn ask_again<T>(
    wanted: bool,
    mut read: impl FnMut(bool) -> Result<T, Refused>,
) -> (Result<T, Refused>, bool) {
    match read(wanted) {
        Err(refused) if wanted && refused.errno == libc::EINVAL => {
            let got = read(false);
            // Refused for the same reason again, the attribute was not it.
            let helped = !matches!(&got, Err(refused) if refused.errno == libc::EINVAL);
            (got, helped)
        }
        got => (got, false),
    }
}

/// Reads a device as often as it takes to read it while it stays the same.
fn read_whole(
    netlink: &mut Netlink,
    family: &Family,
    name: &[u8],
    transit_wanted: bool,
) -> Result<Device, Refused> {
    loop {
        let mut message =
            request(family.id, name, transit_wanted).map_err(|_| Refused::errno(libc::EMSGSIZE))?;
        let mut device = Device::default();
        let result = netlink.ask(&mut message, |answer| {
            add_answer(&mut device, answer).ok_or(libc::EBADMSG)
        });
        match result {
            Ok(reply) if reply.interrupted => {}
            Err(refused) if refused.errno == libc::EINTR => {}
            Ok(_) => return Ok(device),
            Err(refused) => return Err(refused),
        }
    }
}

fn request(family: u16, name: &[u8], transit_wanted: bool) -> Result<Message, Full> {
    let flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_DUMP;
    let mut message = Message::genl(family, flags, WG_CMD_GET_DEVICE, WG_GENL_VERSION);
    message.put_str(WGDEVICE_A_IFNAME, name)?;
    if transit_wanted {
        message.put(WGDEVICE_A_TRANSIT_WANTED, &[])?;
    }
    Ok(message)
}

/// Adds one message of a dump to what the ones before it said. `None` if the
/// message makes no sense.
pub fn add_answer(device: &mut Device, answer: &[u8]) -> Option<()> {
    const GENL_HEADER_LEN: usize = 4;
    for attr in attrs(answer.get(GENL_HEADER_LEN..)?) {
        let (kind, value) = attr.ok()?;
        match kind {
            WGDEVICE_A_IFNAME => device.name = string_of(value).to_vec(),
            WGDEVICE_A_PRIVATE_KEY => device.private_key = SecretKey::from_slice(value),
            WGDEVICE_A_PUBLIC_KEY => device.public_key = PublicKey::from_slice(value),
            WGDEVICE_A_LISTEN_PORT => device.listen_port = u16_of(value)?,
            WGDEVICE_A_FWMARK => device.fwmark = u32_of(value)?,
            WGDEVICE_A_TRANSIT_NETNSID => device.transit_nsid = Some(i32_of(value)?),
            WGDEVICE_A_TRANSIT_FWMARK => device.transit_fwmark = Some(u32_of(value)?),
            WGDEVICE_A_PEERS => {
                for attr in attrs(value) {
                    add_peer(device, attr.ok()?.1)?;
                }
            }
            _ => {}
        }
    }
    Some(())
}

/// Adds a peer, or more ranges to the last one: a peer with many of them is
/// continued in the next message under its key alone.
fn add_peer(device: &mut Device, attributes: &[u8]) -> Option<()> {
    let mut public_key = None;
    for attr in attrs(attributes) {
        let (kind, value) = attr.ok()?;
        if kind == WGPEER_A_PUBLIC_KEY {
            public_key = Some(PublicKey::from_slice(value)?);
        }
    }
    let public_key = public_key?;
    let continued = device
        .peers
        .last()
        .is_some_and(|last| last.public_key == public_key);
    if !continued {
        device.peers.push(Peer::new(public_key));
    }
    let peer = device.peers.last_mut()?;
    for attr in attrs(attributes) {
        let (kind, value) = attr.ok()?;
        if kind == WGPEER_A_ALLOWEDIPS {
            for attr in attrs(value) {
                peer.allowed_ips.push(allowed_ip(attr.ok()?.1)?);
            }
        } else if !continued {
            peer_field(peer, kind, value)?;
        }
    }
    Some(())
}

fn peer_field(peer: &mut Peer, kind: u16, value: &[u8]) -> Option<()> {
    match kind {
        WGPEER_A_PRESHARED_KEY => {
            peer.preshared_key = SecretKey::from_slice(value).filter(|key| !key.is_zero());
        }
        WGPEER_A_ENDPOINT => peer.endpoint = endpoint(value),
        WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL => peer.keepalive = u16_of(value)?,
        WGPEER_A_LAST_HANDSHAKE_TIME => {
            let (seconds, nanoseconds) = value.split_at_checked(8)?;
            peer.last_handshake = (i64_of(seconds)?, i64_of(nanoseconds)?);
        }
        WGPEER_A_RX_BYTES => peer.rx_bytes = u64_of(value)?,
        WGPEER_A_TX_BYTES => peer.tx_bytes = u64_of(value)?,
        _ => {}
    }
    Some(())
}

pub(super) fn i64_of(bytes: &[u8]) -> Option<i64> {
    bytes.try_into().ok().map(i64::from_ne_bytes)
}

/// Reads a `struct sockaddr_in` or `sockaddr_in6`.
pub(super) fn endpoint(bytes: &[u8]) -> Option<SocketAddr> {
    let family = i32::from(u16_of(bytes.get(..2)?)?);
    let port = u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?);
    match (family, bytes.len()) {
        (libc::AF_INET, 16) => {
            let addr: [u8; 4] = bytes[4..8].try_into().ok()?;
            Some(SocketAddrV4::new(addr.into(), port).into())
        }
        (libc::AF_INET6, 28) => {
            let flow = u32::from_be_bytes(bytes[4..8].try_into().ok()?);
            let addr: [u8; 16] = bytes[8..24].try_into().ok()?;
            let scope = u32_of(&bytes[24..28])?;
            Some(SocketAddrV6::new(addr.into(), port, flow, scope).into())
        }
        _ => None,
    }
}

fn allowed_ip(attributes: &[u8]) -> Option<AllowedIp> {
    let (mut family, mut addr, mut cidr) = (0, &[][..], 0);
    for attr in attrs(attributes) {
        let (kind, value) = attr.ok()?;
        match kind {
            WGALLOWEDIP_A_FAMILY => family = i32::from(u16_of(value)?),
            WGALLOWEDIP_A_IPADDR => addr = value,
            WGALLOWEDIP_A_CIDR_MASK => cidr = *value.first()?,
            _ => {}
        }
    }
    let (addr, widest) = match family {
        libc::AF_INET => (IpAddr::from(<[u8; 4]>::try_from(addr).ok()?), 32),
        libc::AF_INET6 => (IpAddr::from(<[u8; 16]>::try_from(addr).ok()?), 128),
        _ => return None,
    };
    (cidr <= widest).then_some(AllowedIp { addr, cidr })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put_ip(message: &mut Message, addr: &[u8], cidr: u8) {
        let nest = message.nest(0).unwrap();
        let family = if addr.len() == 4 { 2 } else { 10 };
        message.put_u16(WGALLOWEDIP_A_FAMILY, family).unwrap();
        message.put(WGALLOWEDIP_A_IPADDR, addr).unwrap();
        message.put_u8(WGALLOWEDIP_A_CIDR_MASK, cidr).unwrap();
        message.close(nest);
    }

    fn put_peer(message: &mut Message, key: u8, ips: &[(&[u8], u8)], with_fields: bool) {
        let peer = message.nest(0).unwrap();
        message.put(WGPEER_A_PUBLIC_KEY, &[key; 32]).unwrap();
        if with_fields {
            message.put(WGPEER_A_PRESHARED_KEY, &[9; 32]).unwrap();
            let mut sockaddr = vec![0; 28];
            sockaddr[..2].copy_from_slice(&10u16.to_ne_bytes());
            sockaddr[2..4].copy_from_slice(&5u16.to_be_bytes());
            sockaddr[23] = 1;
            sockaddr[24..].copy_from_slice(&3u32.to_ne_bytes());
            message.put(WGPEER_A_ENDPOINT, &sockaddr).unwrap();
            let kind = WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL;
            message.put_u16(kind, 25).unwrap();
            let time = [1i64.to_ne_bytes(), 2i64.to_ne_bytes()].concat();
            message.put(WGPEER_A_LAST_HANDSHAKE_TIME, &time).unwrap();
            message.put(WGPEER_A_RX_BYTES, &3u64.to_ne_bytes()).unwrap();
            message.put(WGPEER_A_TX_BYTES, &4u64.to_ne_bytes()).unwrap();
        } else {
            message.put(WGPEER_A_PRESHARED_KEY, &[0; 32]).unwrap();
        }
        let list = message.nest(WGPEER_A_ALLOWEDIPS).unwrap();
        for (addr, cidr) in ips {
            put_ip(message, addr, *cidr);
        }
        message.close(list);
        message.close(peer);
    }

    #[test]
    fn a_dump_in_two_messages() {
        let first = Message::answer(|message| {
            message.put_str(WGDEVICE_A_IFNAME, b"wg0").unwrap();
            message.put(WGDEVICE_A_PRIVATE_KEY, &[1; 32]).unwrap();
            message.put(WGDEVICE_A_PUBLIC_KEY, &[2; 32]).unwrap();
            message.put_u16(WGDEVICE_A_LISTEN_PORT, 51820).unwrap();
            message.put_u32(WGDEVICE_A_FWMARK, 7).unwrap();
            message
                .put(WGDEVICE_A_TRANSIT_NETNSID, &(-1i32).to_ne_bytes())
                .unwrap();
            message.put_u32(WGDEVICE_A_TRANSIT_FWMARK, 0).unwrap();
            let peers = message.nest(WGDEVICE_A_PEERS).unwrap();
            put_peer(message, 1, &[(&[10, 0, 0, 0], 8)], true);
            put_peer(message, 2, &[(&[0; 16], 0)], false);
            message.close(peers);
        });
        let second = Message::answer(|message| {
            let peers = message.nest(WGDEVICE_A_PEERS).unwrap();
            put_peer(message, 2, &[(&[11, 0, 0, 0], 8)], false);
            put_peer(message, 3, &[], false);
            message.close(peers);
            // Attributes of the future are no trouble.
            message.put_u32(1000, 0).unwrap();
        });
        let mut device = Device::default();
        add_answer(&mut device, &first).unwrap();
        add_answer(&mut device, &second).unwrap();
        assert_eq!(device.name, b"wg0");
        assert_eq!(device.listen_port, 51820);
        assert_eq!(device.transit_nsid, Some(-1));
        assert_eq!(device.transit_fwmark, Some(0));
        assert_eq!(device.peers.len(), 3);
        let peer = &device.peers[0];
        assert!(peer.preshared_key.is_some());
        assert_eq!(peer.endpoint.unwrap().to_string(), "[::1%3]:5");
        assert_eq!(peer.keepalive, 25);
        assert_eq!(peer.last_handshake, (1, 2));
        assert_eq!((peer.rx_bytes, peer.tx_bytes), (3, 4));
        let ips: Vec<_> = device.peers[1].allowed_ips.iter().collect();
        assert_eq!(ips.len(), 2);
        assert_eq!(ips[1].addr.to_string(), "11.0.0.0");
        assert!(device.peers[1].preshared_key.is_none());
    }

    #[test]
    fn an_unknown_flag_is_left_out() {
        let run = |wanted, answers: &[(bool, i32)]| {
            let mut answers = answers.iter();
            let (got, without) = ask_again(wanted, |asked| {
                let (expected, errno) = answers.next().expect("asked too often");
                assert_eq!(asked, *expected);
                match errno {
                    0 => Ok(()),
                    errno => Err(Refused::errno(*errno)),
                }
            });
            assert!(answers.next().is_none());
            (got.map_or_else(|refused| refused.errno, |()| 0), without)
        };
        assert_eq!(run(true, &[(true, 0)]), (0, false));
        assert_eq!(run(false, &[(false, 0)]), (0, false));
        assert_eq!(run(true, &[(true, libc::EINVAL), (false, 0)]), (0, true));
        assert_eq!(
            run(true, &[(true, libc::EINVAL), (false, libc::ENODEV)]),
            (libc::ENODEV, true)
        );
        assert_eq!(
            run(true, &[(true, libc::EINVAL), (false, libc::EINVAL)]),
            (libc::EINVAL, false)
        );
        assert_eq!(run(true, &[(true, libc::EPERM)]), (libc::EPERM, false));
        assert_eq!(run(false, &[(false, libc::EINVAL)]), (libc::EINVAL, false));
    }

    #[test]
    fn the_flag_stands_behind_the_name() {
        let kinds = |wanted| {
            let message = request(21, b"wg0", wanted).unwrap();
            let kinds: Vec<_> = attrs(message.attr_bytes())
                .map(|attr| attr.unwrap())
                .map(|(kind, value)| (kind, value.len()))
                .collect();
            kinds
        };
        assert_eq!(kinds(false), [(WGDEVICE_A_IFNAME, 4)]);
        assert_eq!(
            kinds(true),
            [(WGDEVICE_A_IFNAME, 4), (WGDEVICE_A_TRANSIT_WANTED, 0)]
        );
    }

    #[test]
    fn nonsense_is_refused() {
        let bad_cidr = Message::answer(|message| {
            let peers = message.nest(WGDEVICE_A_PEERS).unwrap();
            put_peer(message, 1, &[(&[10, 0, 0, 0], 33)], false);
            message.close(peers);
        });
        let bad_length = Message::answer(|message| {
            let peers = message.nest(WGDEVICE_A_PEERS).unwrap();
            put_peer(message, 1, &[(&[10, 0, 0], 8)], false);
            message.close(peers);
        });
        let short_port =
            Message::answer(|message| message.put_u8(WGDEVICE_A_LISTEN_PORT, 1).unwrap());
        let keyless = Message::answer(|message| {
            let peers = message.nest(WGDEVICE_A_PEERS).unwrap();
            let peer = message.nest(0).unwrap();
            message.close(peer);
            message.close(peers);
        });
        for bad in [
            bad_cidr,
            bad_length,
            short_port,
            keyless,
            vec![],
            vec![0; 7],
        ] {
            assert!(add_answer(&mut Device::default(), &bad).is_none());
        }
    }

    #[test]
    fn any_truncation_is_survived() {
        let whole = Message::answer(|message| {
            message.put_str(WGDEVICE_A_IFNAME, b"wg0").unwrap();
            let peers = message.nest(WGDEVICE_A_PEERS).unwrap();
            put_peer(message, 1, &[(&[10, 0, 0, 0], 8), (&[1; 16], 128)], true);
            message.close(peers);
        });
        for end in 0..whole.len() {
            let _ = add_answer(&mut Device::default(), &whole[..end]);
        }
        for at in 0..whole.len() {
            for value in [0, 1, 3, 127, 255] {
                let mut changed = whole.clone();
                changed[at] = value;
                let _ = add_answer(&mut Device::default(), &changed);
            }
        }
    }
}
