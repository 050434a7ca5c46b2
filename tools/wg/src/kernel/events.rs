// SPDX-License-Identifier: GPL-2.0
//! The events of the kernel's devices.

use super::family::Family;
use super::get::{endpoint, i64_of};
use crate::event::{DeviceSide, Event, Kind, PeerSide};
use crate::key::PublicKey;
use crate::netlink::attrs::{attrs, i32_of, string_of, u16_of, u32_of};
use crate::netlink::listener::Listener;
use crate::netlink::socket::{Netlink, Refused};
use crate::uapi::*;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

/// Listens to the events of all devices of this netns.
pub struct Events {
    listener: Listener,
    family: u16,
}

/// Why there is nothing to listen to.
#[derive(Debug)]
pub enum NoEvents {
    /// The module of this kernel does not tell of events.
    Unknown,
    /// The kernel refused.
    Refused(Refused),
}

impl Events {
    /// Joins their group.
    pub fn join() -> Result<Self, NoEvents> {
        let refused = |error: io::Error| NoEvents::Refused(error.into());
        let mut netlink = Netlink::open(libc::NETLINK_GENERIC).map_err(refused)?;
        let family = Family::find(&mut netlink).map_err(NoEvents::Refused)?;
        let group = family.events.ok_or(NoEvents::Unknown)?;
        let listener = Listener::join(libc::NETLINK_GENERIC, group).map_err(refused)?;
        Ok(Self {
            listener,
            family: family.id,
        })
    }

    /// Hands those that have come to `take`.
    pub fn take(&mut self, mut take: impl FnMut(Event)) -> io::Result<()> {
        let family = self.family;
        self.listener.take(|kind, payload| {
            if kind == family {
                if let Some(event) = event(payload) {
                    take(event);
                }
            }
        })
    }
}

impl AsFd for Events {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }
}

/// Listens to the interfaces of this netns going away.
pub struct Links(Listener);

impl Links {
    /// Joins the group of links.
    pub fn join() -> Result<Self, Refused> {
        Ok(Self(Listener::join(libc::NETLINK_ROUTE, RTNLGRP_LINK)?))
    }

    /// Hands number and name of those that have gone to `gone`.
    pub fn take(&mut self, mut gone: impl FnMut(u32, &[u8])) -> io::Result<()> {
        self.0.take(|kind, payload| {
            if kind == RTM_DELLINK {
                if let Some((index, name)) = link(payload) {
                    gone(index, name);
                }
            }
        })
    }
}

impl AsFd for Links {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Number and name of a WireGuard interface.
fn link(payload: &[u8]) -> Option<(u32, &[u8])> {
    let index = payload.get(4..8).and_then(u32_of)?;
    super::list::wireguard_name(payload).map(|name| (index, name))
}

/// Reads an event. `None` if it makes no sense, or is one of the future.
pub fn event(payload: &[u8]) -> Option<Event> {
    const GENL_HEADER_LEN: usize = 4;
    let mut event = Event::new(match *payload.first()? {
        WG_CMD_DEVICE_CHANGE_NTF => Kind::DeviceChange,
        WG_CMD_PEER_ADD_NTF => Kind::PeerAdd,
        WG_CMD_PEER_CHANGE_NTF => Kind::PeerChange,
        WG_CMD_PEER_DEL_NTF => Kind::PeerDel,
        WG_CMD_PEER_ROAM_NTF => Kind::PeerRoam,
        WG_CMD_SESSION_BEGIN_NTF => Kind::SessionBegin,
        WG_CMD_SESSION_END_NTF => Kind::SessionEnd,
        WG_CMD_TRANSIT_CHANGE_NTF => Kind::TransitChange,
        WG_CMD_TRANSIT_GONE_NTF => Kind::TransitGone,
        WG_CMD_OVERRUN_NTF => Kind::Overrun,
        _ => return None,
    });
    for attr in attrs(payload.get(GENL_HEADER_LEN..)?) {
        let (kind, value) = attr.ok()?;
        match kind {
            WGEVENT_A_IFINDEX => event.ifindex = u32_of(value)?,
            WGEVENT_A_IFNAME => event.interface = string_of(value).to_vec(),
            WGEVENT_A_TIME => {
                let (seconds, nanoseconds) = value.split_at_checked(8)?;
                event.time = (i64_of(seconds)?, i64_of(nanoseconds)?);
            }
            WGEVENT_A_COUNT => event.count = u32_of(value)?,
            WGEVENT_A_PEER => event.peer = Some(PublicKey::from_slice(value)?),
            WGEVENT_A_FLAGS => {
                let flags = u32_of(value)?;
                event.renewal = flags & WGEVENT_F_RENEWAL != 0;
                event.preshared_key = flags & WGEVENT_F_PRESHARED_KEY != 0;
                event.allowed_ips = flags & WGEVENT_F_ALLOWEDIPS != 0;
            }
            WGEVENT_A_DEVICE_OLD => event.device[0] = device_side(value)?,
            WGEVENT_A_DEVICE_NEW => event.device[1] = device_side(value)?,
            WGEVENT_A_PEER_OLD => event.of_peer[0] = peer_side(value)?,
            WGEVENT_A_PEER_NEW => event.of_peer[1] = peer_side(value)?,
            _ => {}
        }
    }
    Some(event)
}

fn device_side(attributes: &[u8]) -> Option<DeviceSide> {
    let mut side = DeviceSide::default();
    for attr in attrs(attributes) {
        let (kind, value) = attr.ok()?;
        match kind {
            WGDEVICE_A_PUBLIC_KEY => side.public_key = PublicKey::from_slice(value),
            WGDEVICE_A_LISTEN_PORT => side.listen_port = Some(u16_of(value)?),
            WGDEVICE_A_FWMARK => side.fwmark = Some(u32_of(value)?),
            WGDEVICE_A_TRANSIT_FWMARK => side.transit_fwmark = Some(u32_of(value)?),
            WGDEVICE_A_TRANSIT_NETNSID => side.transit_nsid = Some(i32_of(value)?),
            _ => {}
        }
    }
    Some(side)
}

fn peer_side(attributes: &[u8]) -> Option<PeerSide> {
    let mut side = PeerSide::default();
    for attr in attrs(attributes) {
        let (kind, value) = attr.ok()?;
        match kind {
            WGPEER_A_ENDPOINT => side.endpoint = endpoint(value),
            WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL => side.keepalive = Some(u16_of(value)?),
            _ => {}
        }
    }
    Some(side)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netlink::message::Message;

    fn message() -> Vec<u8> {
        let mut message = Message::raw();
        message.put_u32(WGEVENT_A_IFINDEX, 5).unwrap();
        message.put_str(WGEVENT_A_IFNAME, b"wg0").unwrap();
        let time = [1i64.to_ne_bytes(), 2i64.to_ne_bytes()].concat();
        message.put(WGEVENT_A_TIME, &time).unwrap();
        message.put_u32(WGEVENT_A_COUNT, 3).unwrap();
        message.put(WGEVENT_A_PEER, &[7; 32]).unwrap();
        message.put_u32(WGEVENT_A_FLAGS, 5).unwrap();
        for (kind, port) in [(WGEVENT_A_PEER_OLD, 1u16), (WGEVENT_A_PEER_NEW, 2)] {
            let nest = message.nest(kind).unwrap();
            let mut sockaddr = vec![0; 16];
            sockaddr[..2].copy_from_slice(&2u16.to_ne_bytes());
            sockaddr[2..4].copy_from_slice(&port.to_be_bytes());
            message.put(WGPEER_A_ENDPOINT, &sockaddr).unwrap();
            message.close(nest);
        }
        let nest = message.nest(WGEVENT_A_DEVICE_NEW).unwrap();
        message.put(WGDEVICE_A_PUBLIC_KEY, &[8; 32]).unwrap();
        message.put_u16(WGDEVICE_A_LISTEN_PORT, 9).unwrap();
        message.put_u32(WGDEVICE_A_FWMARK, 10).unwrap();
        message.put_u32(WGDEVICE_A_TRANSIT_FWMARK, 0).unwrap();
        message.put(WGDEVICE_A_TRANSIT_NETNSID, &[0xff; 4]).unwrap();
        message.close(nest);
        // Attributes of the future are no trouble.
        message.put_u32(1000, 0).unwrap();
        [&[WG_CMD_PEER_ROAM_NTF, 1, 0, 0], message.as_bytes()].concat()
    }

    #[test]
    fn everything_there_is() {
        let event = event(&message()).unwrap();
        assert_eq!(event.kind, Kind::PeerRoam);
        assert_eq!((event.ifindex, &event.interface[..]), (5, &b"wg0"[..]));
        assert_eq!((event.time, event.count), ((1, 2), 3));
        assert_eq!(event.peer, Some(PublicKey([7; 32])));
        assert!(event.renewal && event.allowed_ips && !event.preshared_key);
        let ends = event.of_peer.map(|side| side.endpoint.unwrap().port());
        assert_eq!(ends, [1, 2]);
        assert_eq!(event.device[0], DeviceSide::default());
        let new = DeviceSide {
            public_key: Some(PublicKey([8; 32])),
            listen_port: Some(9),
            fwmark: Some(10),
            transit_fwmark: Some(0),
            transit_nsid: Some(-1),
        };
        assert_eq!(event.device[1], new);
    }

    #[test]
    fn nonsense_is_refused() {
        let mut unknown = message();
        unknown[0] = 200;
        assert_eq!(event(&unknown), None);
        let whole = message();
        for end in 0..whole.len() {
            let _ = event(&whole[..end]);
        }
        assert_eq!(event(&[]), None);
        assert_eq!(link(&[0; 40]), None);
    }
}
