// SPDX-License-Identifier: GPL-2.0
//! What happens to devices.

use crate::key::PublicKey;
use std::net::SocketAddr;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The device was configured.
    DeviceChange,
    /// The device is gone from this netns.
    DeviceGone,
    /// A peer was added.
    PeerAdd,
    /// A peer was configured.
    PeerChange,
    /// A peer was removed.
    PeerDel,
    /// A peer was heard at another endpoint.
    PeerRoam,
    /// A handshake is complete.
    SessionBegin,
    /// The last session ended without another.
    SessionEnd,
    /// The sockets were moved.
    TransitChange,
    /// The transit netns is gone.
    TransitGone,
    /// Some events were not told.
    Overrun,
}

/// What changed of a device, before or after that.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeviceSide {
    /// Its own key.
    pub public_key: Option<PublicKey>,
    /// UDP port.
    pub listen_port: Option<u16>,
    /// Mark of packets.
    pub fwmark: Option<u32>,
    /// The mark that transit packets carry.
    pub transit_fwmark: Option<u32>,
    /// Netnsid of the transit netns.
    pub transit_nsid: Option<i32>,
}

/// The same of a peer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PeerSide {
    /// Where it is.
    pub endpoint: Option<SocketAddr>,
    /// Seconds.
    pub keepalive: Option<u16>,
}

/// An event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// What happened.
    pub kind: Kind,
    /// Number of the interface.
    pub ifindex: u32,
    /// Its name.
    pub interface: Vec<u8>,
    /// Seconds and nanoseconds since the epoch.
    pub time: (i64, i64),
    /// How many events this one stands for.
    pub count: u32,
    /// Whom it is about, if that is a peer.
    pub peer: Option<PublicKey>,
    /// There was a session before.
    pub renewal: bool,
    /// The preshared key was changed.
    pub preshared_key: bool,
    /// Allowed IPs were added or removed.
    pub allowed_ips: bool,
    /// The device before and after.
    pub device: [DeviceSide; 2],
    /// The peer before and after.
    pub of_peer: [PeerSide; 2],
}

impl Event {
    /// One of an interface, for tests.
    #[cfg(test)]
    pub fn of_wg0(kind: Kind) -> Self {
        Self {
            interface: b"wg0".to_vec(),
            time: (1, 0),
            ..Self::new(kind)
        }
    }

    /// An event of which nothing else is known.
    pub fn new(kind: Kind) -> Self {
        Self {
            kind,
            ifindex: 0,
            interface: Vec::new(),
            time: (0, 0),
            count: 1,
            peer: None,
            renewal: false,
            preshared_key: false,
            allowed_ips: false,
            device: Default::default(),
            of_peer: Default::default(),
        }
    }

    /// One that has happened now.
    pub fn now(kind: Kind, interface: &[u8]) -> Self {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let since = since.unwrap_or_default();
        let seconds = i64::try_from(since.as_secs()).unwrap_or(i64::MAX);
        Self {
            interface: interface.to_vec(),
            time: (seconds, since.subsec_nanos().into()),
            ..Self::new(kind)
        }
    }
}
