// SPDX-License-Identifier: GPL-2.0
//! What a device is, and what may be asked to change about it.

use crate::key::{PublicKey, SecretKey};
use crate::transit::{Credentials, TransitNetns};
use std::net::{IpAddr, SocketAddr};

/// A range of addresses inside the tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AllowedIp {
    /// The address, host bits included if they were given.
    pub addr: IpAddr,
    /// Leading bits that count.
    pub cidr: u8,
}

/// A peer, as a device reports it.
#[derive(Debug)]
pub struct Peer {
    /// Who it is.
    pub public_key: PublicKey,
    /// Set unless all zero.
    pub preshared_key: Option<SecretKey>,
    /// Where packets go.
    pub endpoint: Option<SocketAddr>,
    /// Seconds, 0 for off.
    pub keepalive: u16,
    /// Seconds and nanoseconds since the epoch, 0 for never.
    pub last_handshake: (i64, i64),
    /// Bytes received.
    pub rx_bytes: u64,
    /// Bytes sent.
    pub tx_bytes: u64,
    /// Ranges routed to it.
    pub allowed_ips: Vec<AllowedIp>,
}

impl Peer {
    /// A peer of which nothing but its key is known.
    pub fn new(public_key: PublicKey) -> Self {
        Self {
            public_key,
            preshared_key: None,
            endpoint: None,
            keepalive: 0,
            last_handshake: (0, 0),
            rx_bytes: 0,
            tx_bytes: 0,
            allowed_ips: Vec::new(),
        }
    }
}

/// A device, as it reports itself.
#[derive(Debug, Default)]
pub struct Device {
    /// Name of the interface.
    pub name: Vec<u8>,
    /// Absent if unset, or if the asker may not see it.
    pub private_key: Option<SecretKey>,
    /// Absent if no private key is set.
    pub public_key: Option<PublicKey>,
    /// UDP port, 0 for none yet.
    pub listen_port: u16,
    /// Mark of outgoing packets, 0 for none.
    pub fwmark: u32,
    /// Netnsid of the transit netns, if that is not the device's own.
    pub transit_nsid: Option<i32>,
    /// The mark that transit packets really carry, if the module tells.
    pub transit_fwmark: Option<u32>,
    /// In the order of the device.
    pub peers: Vec<Peer>,
}

/// The sockets that a device of another netns has in ours, as whoever rules
/// over ours may see them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TransitSockets {
    /// UDP port of both.
    pub port: u16,
    /// Whether there is one for IPv4.
    pub v4: bool,
    /// Whether there is one for IPv6.
    pub v6: bool,
    /// Whom they belong to.
    pub uid: u32,
    /// Whether they were bought with credentials.
    pub credentials: bool,
    /// Netnsid of the device's netns, if it has one here.
    pub nsid: Option<i32>,
    /// Packets received.
    pub rx_packets: u64,
    /// Bytes received.
    pub rx_bytes: u64,
    /// Packets sent.
    pub tx_packets: u64,
    /// Bytes sent.
    pub tx_bytes: u64,
}

/// A range to add to a peer or take from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AllowedIpChange {
    /// The range.
    pub ip: AllowedIp,
    /// Whether it goes.
    pub remove: bool,
}

/// What to change about one peer. Unset fields stay as they are.
#[derive(Debug)]
pub struct PeerChange {
    /// Which peer; it is added if the device has none with this key.
    pub public_key: PublicKey,
    /// Whether the peer goes.
    pub remove: bool,
    /// Whether its ranges are emptied before `allowed_ips` are added.
    pub replace_allowed_ips: bool,
    /// All zero to unset.
    pub preshared_key: Option<SecretKey>,
    /// Where to send packets.
    pub endpoint: Option<SocketAddr>,
    /// Seconds, 0 to switch it off.
    pub keepalive: Option<u16>,
    /// In the order given.
    pub allowed_ips: Vec<AllowedIpChange>,
}

impl PeerChange {
    /// A change that adds the peer and nothing else.
    pub fn new(public_key: PublicKey) -> Self {
        Self {
            public_key,
            remove: false,
            replace_allowed_ips: false,
            preshared_key: None,
            endpoint: None,
            keepalive: None,
            allowed_ips: Vec::new(),
        }
    }

    /// Adds ranges behind those that are there.
    pub fn add_ranges(&mut self, ranges: Vec<AllowedIpChange>) {
        if self.allowed_ips.is_empty() {
            // Most have one list, which need not be copied.
            self.allowed_ips = ranges;
        } else {
            self.allowed_ips.extend(ranges);
        }
    }
}

/// What to change about a device. Unset fields stay as they are.
#[derive(Debug, Default)]
pub struct DeviceChange {
    /// Whether peers that are not listed go.
    pub replace_peers: bool,
    /// All zero to unset.
    pub private_key: Option<SecretKey>,
    /// UDP port, 0 to let the kernel pick one.
    pub listen_port: Option<u16>,
    /// 0 to unset.
    pub fwmark: Option<u32>,
    /// Where the UDP sockets are to live.
    pub transit_netns: Option<TransitNetns>,
    /// Proof that the caller may use the transit netns.
    pub credentials: Option<Credentials>,
    /// In the order given.
    pub peers: Vec<PeerChange>,
}
