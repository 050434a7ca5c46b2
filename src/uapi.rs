// SPDX-License-Identifier: GPL-2.0

//! Numbers of the netlink interface, as in `uapi/wireguard.h`.

pub(crate) const WGDEVICE_F_REPLACE_PEERS: u32 = 1;

pub(crate) const WGPEER_F_REMOVE_ME: u32 = 1;
pub(crate) const WGPEER_F_REPLACE_ALLOWEDIPS: u32 = 2;
pub(crate) const WGPEER_F_UPDATE_ONLY: u32 = 4;

pub(crate) const WGALLOWEDIP_F_REMOVE_ME: u32 = 1;

pub(crate) const WGDEVICE_A_IFINDEX: u32 = 1;
pub(crate) const WGDEVICE_A_IFNAME: u32 = 2;
pub(crate) const WGDEVICE_A_PRIVATE_KEY: u32 = 3;
pub(crate) const WGDEVICE_A_PUBLIC_KEY: u32 = 4;
pub(crate) const WGDEVICE_A_FLAGS: u32 = 5;
pub(crate) const WGDEVICE_A_LISTEN_PORT: u32 = 6;
pub(crate) const WGDEVICE_A_FWMARK: u32 = 7;
pub(crate) const WGDEVICE_A_PEERS: u32 = 8;
// Ours begin well above, so that what upstream adds does not collide.
pub(crate) const WGDEVICE_A_TRANSIT_NETNS_FD: u32 = 64;
pub(crate) const WGDEVICE_A_TRANSIT_NETNS_PID: u32 = 65;
pub(crate) const WGDEVICE_A_TRANSIT_CREDENTIAL_IPV4: u32 = 66;
pub(crate) const WGDEVICE_A_TRANSIT_CREDENTIAL_IPV6: u32 = 67;
pub(crate) const WGDEVICE_A_TRANSIT_NETNSID: u32 = 68;
pub(crate) const WGDEVICE_A_TRANSIT_FWMARK: u32 = 69;
pub(crate) const WGDEVICE_A_TRANSIT_WANTED: u32 = 70;

pub(crate) const WGPEER_A_UNSPEC: u32 = 0;
pub(crate) const WGPEER_A_PUBLIC_KEY: u32 = 1;
pub(crate) const WGPEER_A_PRESHARED_KEY: u32 = 2;
pub(crate) const WGPEER_A_FLAGS: u32 = 3;
pub(crate) const WGPEER_A_ENDPOINT: u32 = 4;
pub(crate) const WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL: u32 = 5;
pub(crate) const WGPEER_A_LAST_HANDSHAKE_TIME: u32 = 6;
pub(crate) const WGPEER_A_RX_BYTES: u32 = 7;
pub(crate) const WGPEER_A_TX_BYTES: u32 = 8;
pub(crate) const WGPEER_A_ALLOWEDIPS: u32 = 9;
pub(crate) const WGPEER_A_PROTOCOL_VERSION: u32 = 10;
/// Number of peer attributes, zero included.
pub(crate) const WGPEER_A_COUNT: usize = 11;

pub(crate) const WGALLOWEDIP_A_FAMILY: u32 = 1;
pub(crate) const WGALLOWEDIP_A_IPADDR: u32 = 2;
pub(crate) const WGALLOWEDIP_A_CIDR_MASK: u32 = 3;
pub(crate) const WGALLOWEDIP_A_FLAGS: u32 = 4;
/// Number of allowed-IP attributes, zero included.
pub(crate) const WGALLOWEDIP_A_COUNT: usize = 5;

pub(crate) const WG_CMD_GET_DEVICE: u8 = 0;
pub(crate) const WG_CMD_SET_DEVICE: u8 = 1;
pub(crate) const WG_CMD_GET_TRANSIT: u8 = 64;
pub(crate) const WG_CMD_DEVICE_CHANGE_NTF: u8 = 65;
pub(crate) const WG_CMD_PEER_ADD_NTF: u8 = 66;
pub(crate) const WG_CMD_PEER_CHANGE_NTF: u8 = 67;
pub(crate) const WG_CMD_PEER_DEL_NTF: u8 = 68;
pub(crate) const WG_CMD_PEER_ROAM_NTF: u8 = 69;
pub(crate) const WG_CMD_SESSION_BEGIN_NTF: u8 = 70;
pub(crate) const WG_CMD_SESSION_END_NTF: u8 = 71;
pub(crate) const WG_CMD_TRANSIT_CHANGE_NTF: u8 = 72;
pub(crate) const WG_CMD_TRANSIT_GONE_NTF: u8 = 73;
pub(crate) const WG_CMD_OVERRUN_NTF: u8 = 74;

pub(crate) const WGEVENT_A_IFINDEX: u32 = 1;
pub(crate) const WGEVENT_A_IFNAME: u32 = 2;
pub(crate) const WGEVENT_A_TIME: u32 = 3;
pub(crate) const WGEVENT_A_COUNT: u32 = 4;
pub(crate) const WGEVENT_A_PEER: u32 = 5;
pub(crate) const WGEVENT_A_FLAGS: u32 = 6;
pub(crate) const WGEVENT_A_DEVICE_OLD: u32 = 7;
pub(crate) const WGEVENT_A_DEVICE_NEW: u32 = 8;
pub(crate) const WGEVENT_A_PEER_OLD: u32 = 9;
pub(crate) const WGEVENT_A_PEER_NEW: u32 = 10;

pub(crate) const WGEVENT_F_RENEWAL: u32 = 1;
pub(crate) const WGEVENT_F_PRESHARED_KEY: u32 = 2;
pub(crate) const WGEVENT_F_ALLOWEDIPS: u32 = 4;

pub(crate) const WGTRANSIT_A_PAD: u32 = 1;
pub(crate) const WGTRANSIT_A_LISTEN_PORT: u32 = 2;
pub(crate) const WGTRANSIT_A_IPV4: u32 = 3;
pub(crate) const WGTRANSIT_A_IPV6: u32 = 4;
pub(crate) const WGTRANSIT_A_UID: u32 = 5;
pub(crate) const WGTRANSIT_A_CREDENTIALS: u32 = 6;
pub(crate) const WGTRANSIT_A_NETNSID: u32 = 7;
pub(crate) const WGTRANSIT_A_RX_PACKETS: u32 = 8;
pub(crate) const WGTRANSIT_A_RX_BYTES: u32 = 9;
pub(crate) const WGTRANSIT_A_TX_PACKETS: u32 = 10;
pub(crate) const WGTRANSIT_A_TX_BYTES: u32 = 11;

/// NETNSA_NSID_NOT_ASSIGNED.
pub(crate) const NSID_NONE: i32 = -1;
