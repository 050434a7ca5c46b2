// SPDX-License-Identifier: GPL-2.0

//! Telling what happens: one message for each event.

use super::{get, WireGuardFamily};
use crate::{
    coalesce::{Change, DeviceValues, Event, Kind, PeerValues},
    device::Dev,
    kernel::{
        genl::{Family, Message},
        net::Net,
        rtnl::Rtnl,
        sockaddr::SockAddr,
        time,
    },
    uapi::*,
};
use kernel::prelude::*;

/// Tells those in `net`, the namespace of the device, of an event.
pub(crate) fn send(dev: &Dev, rtnl: &Rtnl, net: &Net, event: &Event) -> Result {
    let command = match event.kind {
        Kind::DeviceChange => WG_CMD_DEVICE_CHANGE_NTF,
        Kind::PeerAdd => WG_CMD_PEER_ADD_NTF,
        Kind::PeerChange => WG_CMD_PEER_CHANGE_NTF,
        Kind::PeerDel => WG_CMD_PEER_DEL_NTF,
        Kind::PeerRoam => WG_CMD_PEER_ROAM_NTF,
        Kind::SessionBegin => WG_CMD_SESSION_BEGIN_NTF,
        Kind::SessionEnd => WG_CMD_SESSION_END_NTF,
        Kind::TransitChange => WG_CMD_TRANSIT_CHANGE_NTF,
        Kind::TransitGone => WG_CMD_TRANSIT_GONE_NTF,
    };
    Family::<WireGuardFamily>::multicast(rtnl, net, command, |message| {
        head(dev, rtnl, event.time, event.count, message)?;
        if event.peer != 0 {
            message.put(WGEVENT_A_PEER, &event.key)?;
        }
        if event.flags != 0 {
            message.put_u32(WGEVENT_A_FLAGS, event.flags)?;
        }
        match event.change {
            Change::None => Ok(()),
            Change::Device(old, new) => device(event.kind, old, new, message),
            Change::Peer(old, new) => peer(event.kind, old, new, message),
        }
    })
}

/// Tells them that as many events as `count` were not told.
pub(crate) fn send_overrun(dev: &Dev, rtnl: &Rtnl, net: &Net, count: u32) -> Result {
    Family::<WireGuardFamily>::multicast(rtnl, net, WG_CMD_OVERRUN_NTF, |message| {
        head(dev, rtnl, time::walltime(), count, message)
    })
}

/// What every event has.
fn head(dev: &Dev, rtnl: &Rtnl, time: (i64, u32), count: u32, message: &mut Message<'_>) -> Result {
    let netdev = dev.netdev();
    message.put_u32(WGEVENT_A_IFINDEX, netdev.index(rtnl))?;
    message.put(WGEVENT_A_IFNAME, netdev.name(rtnl).to_bytes_with_nul())?;
    message.put(WGEVENT_A_TIME, &get::timespec(time))?;
    message.put_u32(WGEVENT_A_COUNT, count)
}

/// What changed of a device.
fn device(kind: Kind, old: DeviceValues, new: DeviceValues, message: &mut Message<'_>) -> Result {
    let moved = kind == Kind::TransitChange;
    let sides = [(WGEVENT_A_DEVICE_OLD, old), (WGEVENT_A_DEVICE_NEW, new)];
    for (number, values) in sides {
        message.nest(number, |message| {
            if old.port != new.port {
                message.put_u16(WGDEVICE_A_LISTEN_PORT, values.port)?;
            }
            if moved {
                return match values.nsid {
                    Some(nsid) => message.put_u32(WGDEVICE_A_TRANSIT_NETNSID, nsid as u32),
                    None => Ok(()),
                };
            }
            if let Some(key) = values
                .public_key
                .filter(|_| old.public_key != new.public_key)
            {
                message.put(WGDEVICE_A_PUBLIC_KEY, &key)?;
            }
            if (old.mark, old.applied_mark) != (new.mark, new.applied_mark) {
                message.put_u32(WGDEVICE_A_FWMARK, values.mark)?;
                message.put_u32(WGDEVICE_A_TRANSIT_FWMARK, values.applied_mark)?;
            }
            Ok(())
        })?;
    }
    Ok(())
}

/// What changed of a peer, or what it is like if it is new.
fn peer(kind: Kind, old: PeerValues, new: PeerValues, message: &mut Message<'_>) -> Result {
    let added = kind == Kind::PeerAdd;
    let begun = kind == Kind::SessionBegin;
    // Several that lead back to where they began are told as well.
    let endpoint = added || begun || kind == Kind::PeerRoam || old.endpoint != new.endpoint;
    let keepalive = added || (!begun && old.keepalive != new.keepalive);
    let sides = [(WGEVENT_A_PEER_OLD, old), (WGEVENT_A_PEER_NEW, new)];
    let first = usize::from(added || begun);
    for (number, values) in sides.into_iter().skip(first) {
        message.nest(number, |message| {
            if let Some(address) = values.endpoint.filter(|_| endpoint) {
                message.put(WGPEER_A_ENDPOINT, SockAddr::new(address).as_bytes())?;
            }
            if keepalive {
                message.put_u16(WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL, values.keepalive)?;
            }
            Ok(())
        })?;
    }
    Ok(())
}
