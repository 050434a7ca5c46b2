// SPDX-License-Identifier: GPL-2.0
//! Changing a device.
//!
//! A change may take several messages. All that is about the device itself is
//! in the first, so that it is done whole or not at all; a peer whose ranges
//! do not fit is continued under its key in the next one.

use super::family::Family;
use crate::model::{AllowedIpChange, DeviceChange, PeerChange};
use crate::netlink::message::{Full, Message};
use crate::netlink::socket::{Netlink, Refused};
use crate::transit::Found;
use crate::uapi::*;
use netlink_packet_core::{NLM_F_ACK, NLM_F_REQUEST};
use std::net::{IpAddr, SocketAddr};

/// Why a change was not made.
#[derive(Debug)]
pub struct NotSet {
    /// What the kernel says.
    pub refused: Refused,
    /// Type of the device attribute that it is about, if that is known.
    pub attribute: Option<u16>,
    /// Whether the module does not know of transit namespaces at all.
    pub lacks_transit: bool,
}

impl From<Refused> for NotSet {
    fn from(refused: Refused) -> Self {
        Self {
            refused,
            attribute: None,
            lacks_transit: false,
        }
    }
}

/// Applies a change; `transit` is its transit netns, found. Returns what the
/// kernel had to say although it did as told.
pub fn set(
    name: &[u8],
    change: &DeviceChange,
    transit: Option<&Found>,
) -> Result<Vec<String>, NotSet> {
    if name.len() > IFNAME_MAX {
        return Err(Refused::errno(libc::ENAMETOOLONG).into());
    }
    let mut netlink = Netlink::open(libc::NETLINK_GENERIC).map_err(Refused::from)?;
    let family = Family::find(&mut netlink)?;
    let asks_transit = transit.is_some() || change.credentials.is_some();
    if asks_transit && family.lacks_transit() {
        return Err(NotSet {
            lacks_transit: true,
            ..Refused::errno(libc::EOPNOTSUPP).into()
        });
    }
    let mut message = Message::genl(
        family.id,
        NLM_F_REQUEST | NLM_F_ACK,
        WG_CMD_SET_DEVICE,
        WG_GENL_VERSION,
    );
    let mut warnings = Vec::new();
    let mut splitter = Splitter::new(name, change, transit);
    while splitter.next(&mut message) {
        match netlink.ask(&mut message, |_| Ok(())) {
            Ok(reply) => warnings.extend(reply.extack.message),
            Err(refused) => return Err(explain(refused, &message)),
        }
    }
    Ok(warnings)
}

fn explain(refused: Refused, message: &Message) -> NotSet {
    let attribute = refused
        .extack
        .offset
        .and_then(|offset| message.attr_at(offset))
        .or(refused.extack.missing);
    // This is the wording of the kernel's attribute parser for a type that is
    // beyond the policy's end, and for one in a gap of it.
    let unknown = matches!(
        refused.extack.message.as_deref(),
        Some("Unknown attribute type" | "Unsupported attribute")
    );
    NotSet {
        lacks_transit: refused.errno == libc::EINVAL
            && unknown
            && attribute.is_some_and(|kind| kind >= WGDEVICE_A_TRANSIT_FIRST),
        attribute,
        refused,
    }
}

/// Turns a change into messages.
pub struct Splitter<'a> {
    name: &'a [u8],
    change: &'a DeviceChange,
    transit: Option<&'a Found>,
    /// Next peer, and how many of its ranges are done.
    peer: usize,
    ranges: usize,
    started: bool,
}

impl<'a> Splitter<'a> {
    /// Prepares to split.
    pub fn new(name: &'a [u8], change: &'a DeviceChange, transit: Option<&'a Found>) -> Self {
        Self {
            name,
            change,
            transit,
            peer: 0,
            ranges: 0,
            started: false,
        }
    }

    /// Builds the next message; false if there is none left to build.
    pub fn next(&mut self, message: &mut Message) -> bool {
        if self.started && self.peer >= self.change.peers.len() {
            return false;
        }
        message.restart();
        // What stands before the peers always fits.
        let begun = message.put_str(WGDEVICE_A_IFNAME, self.name).is_ok()
            && (self.started || self.put_device(message).is_ok());
        debug_assert!(begun);
        self.started = true;
        if self.peer < self.change.peers.len() {
            // A full message ends the list here; the rest follows in the next.
            if let Ok(nest) = message.nest(WGDEVICE_A_PEERS) {
                let _ = self.put_peers(message);
                message.close(nest);
            }
        }
        true
    }

    fn put_device(&self, message: &mut Message) -> Result<(), Full> {
        let change = self.change;
        if let Some(key) = &change.private_key {
            message.put(WGDEVICE_A_PRIVATE_KEY, key.as_bytes())?;
        }
        if let Some(port) = change.listen_port {
            message.put_u16(WGDEVICE_A_LISTEN_PORT, port)?;
        }
        if let Some(mark) = change.fwmark {
            message.put_u32(WGDEVICE_A_FWMARK, mark)?;
        }
        if change.replace_peers {
            message.put_u32(WGDEVICE_A_FLAGS, WGDEVICE_F_REPLACE_PEERS)?;
        }
        if let Some(found) = self.transit {
            let kind = match found {
                Found::Fd(_) => WGDEVICE_A_TRANSIT_NETNS_FD,
                Found::Pid(_) => WGDEVICE_A_TRANSIT_NETNS_PID,
            };
            message.put_u32(kind, found.number())?;
        }
        if let Some(credentials) = change.credentials {
            message.put_u32(WGDEVICE_A_TRANSIT_CREDENTIAL_IPV4, credentials.v4)?;
            if let Some(v6) = credentials.v6 {
                message.put_u32(WGDEVICE_A_TRANSIT_CREDENTIAL_IPV6, v6)?;
            }
        }
        Ok(())
    }

    fn put_peers(&mut self, message: &mut Message) -> Result<(), Full> {
        let change = self.change;
        while let Some(peer) = change.peers.get(self.peer) {
            let start = message.mark();
            let nest = message.nest(0)?;
            if put_peer(message, peer, self.ranges > 0).is_err() {
                message.undo(start);
                return Err(Full);
            }
            let done = self.put_ranges(message, &peer.allowed_ips, peer.remove);
            message.close(nest);
            if done.is_err() && self.ranges == 0 {
                // Not even one range fitted: the peer moves on as a whole.
                message.undo(start);
            }
            done?;
            self.peer += 1;
            self.ranges = 0;
        }
        Ok(())
    }

    fn put_ranges(
        &mut self,
        message: &mut Message,
        ranges: &[AllowedIpChange],
        remove: bool,
    ) -> Result<(), Full> {
        if ranges.is_empty() || remove {
            return Ok(());
        }
        let nest = message.nest(WGPEER_A_ALLOWEDIPS)?;
        let mut done = Ok(());
        while let Some(range) = ranges.get(self.ranges) {
            let start = message.mark();
            if put_range(message, range).is_err() {
                message.undo(start);
                done = Err(Full);
                break;
            }
            self.ranges += 1;
        }
        message.close(nest);
        done
    }
}

/// Writes all of a peer but its ranges.
fn put_peer(message: &mut Message, peer: &PeerChange, continued: bool) -> Result<(), Full> {
    message.put(WGPEER_A_PUBLIC_KEY, &peer.public_key.0)?;
    if continued {
        return Ok(());
    }
    let mut flags = 0;
    if peer.remove {
        flags |= WGPEER_F_REMOVE_ME;
    } else if peer.replace_allowed_ips {
        flags |= WGPEER_F_REPLACE_ALLOWEDIPS;
    }
    if flags != 0 {
        message.put_u32(WGPEER_A_FLAGS, flags)?;
    }
    if peer.remove {
        return Ok(());
    }
    if let Some(key) = &peer.preshared_key {
        message.put(WGPEER_A_PRESHARED_KEY, key.as_bytes())?;
    }
    if let Some(endpoint) = &peer.endpoint {
        put_endpoint(message, endpoint)?;
    }
    if let Some(interval) = peer.keepalive {
        message.put_u16(WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL, interval)?;
    }
    Ok(())
}

/// Writes a `struct sockaddr_in` or `sockaddr_in6`.
fn put_endpoint(message: &mut Message, endpoint: &SocketAddr) -> Result<(), Full> {
    let mut bytes = [0; 28];
    let (family, len) = match endpoint {
        SocketAddr::V4(_) => (libc::AF_INET, 16),
        SocketAddr::V6(_) => (libc::AF_INET6, 28),
    };
    let family = u16::try_from(family).unwrap_or_default();
    bytes[..2].copy_from_slice(&family.to_ne_bytes());
    bytes[2..4].copy_from_slice(&endpoint.port().to_be_bytes());
    match endpoint {
        SocketAddr::V4(v4) => bytes[4..8].copy_from_slice(&v4.ip().octets()),
        SocketAddr::V6(v6) => {
            bytes[4..8].copy_from_slice(&v6.flowinfo().to_be_bytes());
            bytes[8..24].copy_from_slice(&v6.ip().octets());
            bytes[24..28].copy_from_slice(&v6.scope_id().to_ne_bytes());
        }
    }
    message.put(WGPEER_A_ENDPOINT, &bytes[..len])
}

fn put_range(message: &mut Message, range: &AllowedIpChange) -> Result<(), Full> {
    let nest = message.nest(0)?;
    let family = match range.ip.addr {
        IpAddr::V4(_) => libc::AF_INET,
        IpAddr::V6(_) => libc::AF_INET6,
    };
    message.put_u16(
        WGALLOWEDIP_A_FAMILY,
        u16::try_from(family).unwrap_or_default(),
    )?;
    match range.ip.addr {
        IpAddr::V4(addr) => message.put(WGALLOWEDIP_A_IPADDR, &addr.octets())?,
        IpAddr::V6(addr) => message.put(WGALLOWEDIP_A_IPADDR, &addr.octets())?,
    }
    message.put_u8(WGALLOWEDIP_A_CIDR_MASK, range.ip.cidr)?;
    if range.remove {
        message.put_u32(WGALLOWEDIP_A_FLAGS, WGALLOWEDIP_F_REMOVE_ME)?;
    }
    message.close(nest);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::{PublicKey, SecretKey};
    use crate::model::AllowedIp;
    use crate::netlink::attrs::{attrs, u32_of};
    use crate::transit::Credentials;

    /// A peer as it arrives: key, flags, and number of ranges.
    type Seen = (u8, u32, usize);

    fn split(change: &DeviceChange, transit: Option<&Found>) -> Vec<(Vec<u16>, Vec<Seen>)> {
        let mut message = Message::genl(21, 5, 1, 1);
        let mut splitter = Splitter::new(b"wg0", change, transit);
        let mut messages = Vec::new();
        while splitter.next(&mut message) {
            let (mut kinds, mut peers) = (Vec::new(), Vec::new());
            for (kind, value) in attrs(message.attr_bytes()).map(Result::unwrap) {
                kinds.push(kind);
                if kind == WGDEVICE_A_PEERS {
                    peers.extend(attrs(value).map(|attr| seen(attr.unwrap().1)));
                }
            }
            messages.push((kinds, peers));
        }
        messages
    }

    fn seen(peer: &[u8]) -> Seen {
        let mut seen = (0, 0, 0);
        for (kind, value) in attrs(peer).map(Result::unwrap) {
            match kind {
                WGPEER_A_PUBLIC_KEY => seen.0 = value[0],
                WGPEER_A_FLAGS => seen.1 = u32_of(value).unwrap(),
                WGPEER_A_ALLOWEDIPS => seen.2 = attrs(value).map(Result::unwrap).count(),
                _ => {}
            }
        }
        seen
    }

    fn peer(key: u8, ranges: usize) -> PeerChange {
        let mut peer = PeerChange::new(PublicKey([key; 32]));
        let ip = AllowedIp {
            addr: "fd00::1".parse().unwrap(),
            cidr: 128,
        };
        peer.allowed_ips = vec![AllowedIpChange { ip, remove: false }; ranges];
        peer.replace_allowed_ips = true;
        peer.preshared_key = Some(SecretKey::ZERO);
        peer.endpoint = Some("[fe80::1%3]:5".parse().unwrap());
        peer
    }

    #[test]
    fn nothing_to_change_still_asks() {
        let messages = split(&DeviceChange::default(), None);
        assert_eq!(messages, [(vec![WGDEVICE_A_IFNAME], vec![])]);
    }

    #[test]
    fn the_device_is_changed_in_one_message() {
        let change = DeviceChange {
            replace_peers: true,
            private_key: Some(SecretKey::ZERO),
            listen_port: Some(1),
            fwmark: Some(2),
            credentials: Some(Credentials { v4: 4, v6: Some(6) }),
            peers: (0..200).map(|key| peer(key, 10)).collect(),
            ..DeviceChange::default()
        };
        let messages = split(&change, Some(&Found::Pid(1)));
        assert!(messages.len() > 1);
        assert_eq!(
            messages[0].0,
            [
                WGDEVICE_A_IFNAME,
                WGDEVICE_A_PRIVATE_KEY,
                WGDEVICE_A_LISTEN_PORT,
                WGDEVICE_A_FWMARK,
                WGDEVICE_A_FLAGS,
                WGDEVICE_A_TRANSIT_NETNS_PID,
                WGDEVICE_A_TRANSIT_CREDENTIAL_IPV4,
                WGDEVICE_A_TRANSIT_CREDENTIAL_IPV6,
                WGDEVICE_A_PEERS,
            ]
        );
        for message in &messages[1..] {
            assert_eq!(message.0, [WGDEVICE_A_IFNAME, WGDEVICE_A_PEERS]);
        }
    }

    #[test]
    fn every_peer_and_range_arrives_once() {
        let counts = [0, 1, 5000, 3, 0, 700, 1, 2000];
        let change = DeviceChange {
            peers: (0..).zip(counts).map(|(key, n)| peer(key, n)).collect(),
            ..DeviceChange::default()
        };
        let messages = split(&change, None);
        let mut ranges = [0; 8];
        let mut replaced = [0; 8];
        for (key, flags, count) in messages.iter().flat_map(|(_, peers)| peers) {
            ranges[usize::from(*key)] += count;
            replaced[usize::from(*key)] += usize::from(*flags & WGPEER_F_REPLACE_ALLOWEDIPS != 0);
        }
        assert_eq!(ranges, counts);
        // A second replacement would throw the first part away.
        assert_eq!(replaced, [1; 8]);
    }

    #[test]
    fn the_end_of_a_message_falls_everywhere() {
        // Shifts the boundary byte by byte through a peer.
        for first in 0..80 {
            let change = DeviceChange {
                peers: vec![peer(0, 600 + first), peer(1, 40), peer(2, 700)],
                ..DeviceChange::default()
            };
            let mut ranges = [0; 3];
            let mut replaced = [0; 3];
            for (key, flags, count) in split(&change, None).iter().flat_map(|(_, peers)| peers) {
                ranges[usize::from(*key)] += count;
                replaced[usize::from(*key)] += *flags / WGPEER_F_REPLACE_ALLOWEDIPS;
            }
            assert_eq!(ranges, [600 + first, 40, 700]);
            assert_eq!(replaced, [1; 3]);
        }
    }

    #[test]
    fn a_removed_peer_is_only_removed() {
        let mut gone = peer(1, 5);
        gone.remove = true;
        let change = DeviceChange {
            peers: vec![gone],
            ..DeviceChange::default()
        };
        assert_eq!(split(&change, None)[0].1, [(1, WGPEER_F_REMOVE_ME, 0)]);
    }
}
