// SPDX-License-Identifier: GPL-2.0
//! Numbers of the kernel's interfaces: the `wireguard` generic netlink family
//! (see `uapi/wireguard.h`, which documents them) and the little of rtnetlink
//! and netlink's control family that `wg` speaks.
#![allow(missing_docs)]

pub const WG_GENL_NAME: &str = "wireguard";
pub const WG_GENL_VERSION: u8 = 1;

pub const WG_CMD_GET_DEVICE: u8 = 0;
pub const WG_CMD_SET_DEVICE: u8 = 1;
pub const WG_CMD_GET_TRANSIT: u8 = 64;
pub const WG_CMD_DEVICE_CHANGE_NTF: u8 = 65;
pub const WG_CMD_PEER_ADD_NTF: u8 = 66;
pub const WG_CMD_PEER_CHANGE_NTF: u8 = 67;
pub const WG_CMD_PEER_DEL_NTF: u8 = 68;
pub const WG_CMD_PEER_ROAM_NTF: u8 = 69;
pub const WG_CMD_SESSION_BEGIN_NTF: u8 = 70;
pub const WG_CMD_SESSION_END_NTF: u8 = 71;
pub const WG_CMD_TRANSIT_CHANGE_NTF: u8 = 72;
pub const WG_CMD_TRANSIT_GONE_NTF: u8 = 73;
pub const WG_CMD_OVERRUN_NTF: u8 = 74;

pub const WG_GENL_MCGRP_EVENTS: &str = "events";

pub const WGEVENT_A_IFINDEX: u16 = 1;
pub const WGEVENT_A_IFNAME: u16 = 2;
pub const WGEVENT_A_TIME: u16 = 3;
pub const WGEVENT_A_COUNT: u16 = 4;
pub const WGEVENT_A_PEER: u16 = 5;
pub const WGEVENT_A_FLAGS: u16 = 6;
pub const WGEVENT_A_DEVICE_OLD: u16 = 7;
pub const WGEVENT_A_DEVICE_NEW: u16 = 8;
pub const WGEVENT_A_PEER_OLD: u16 = 9;
pub const WGEVENT_A_PEER_NEW: u16 = 10;

pub const WGEVENT_F_RENEWAL: u32 = 1;
pub const WGEVENT_F_PRESHARED_KEY: u32 = 2;
pub const WGEVENT_F_ALLOWEDIPS: u32 = 4;

pub const WGDEVICE_F_REPLACE_PEERS: u32 = 1;

pub const WGDEVICE_A_IFINDEX: u16 = 1;
pub const WGDEVICE_A_IFNAME: u16 = 2;
pub const WGDEVICE_A_PRIVATE_KEY: u16 = 3;
pub const WGDEVICE_A_PUBLIC_KEY: u16 = 4;
pub const WGDEVICE_A_FLAGS: u16 = 5;
pub const WGDEVICE_A_LISTEN_PORT: u16 = 6;
pub const WGDEVICE_A_FWMARK: u16 = 7;
pub const WGDEVICE_A_PEERS: u16 = 8;

/// First of the attributes that the in-tree module does not know.
pub const WGDEVICE_A_TRANSIT_FIRST: u16 = WGDEVICE_A_TRANSIT_NETNS_FD;
pub const WGDEVICE_A_TRANSIT_NETNS_FD: u16 = 64;
pub const WGDEVICE_A_TRANSIT_NETNS_PID: u16 = 65;
pub const WGDEVICE_A_TRANSIT_CREDENTIAL_IPV4: u16 = 66;
pub const WGDEVICE_A_TRANSIT_CREDENTIAL_IPV6: u16 = 67;
pub const WGDEVICE_A_TRANSIT_NETNSID: u16 = 68;
pub const WGDEVICE_A_TRANSIT_FWMARK: u16 = 69;
pub const WGDEVICE_A_TRANSIT_WANTED: u16 = 70;

pub const WGPEER_F_REMOVE_ME: u32 = 1;
pub const WGPEER_F_REPLACE_ALLOWEDIPS: u32 = 2;

pub const WGPEER_A_PUBLIC_KEY: u16 = 1;
pub const WGPEER_A_PRESHARED_KEY: u16 = 2;
pub const WGPEER_A_FLAGS: u16 = 3;
pub const WGPEER_A_ENDPOINT: u16 = 4;
pub const WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL: u16 = 5;
pub const WGPEER_A_LAST_HANDSHAKE_TIME: u16 = 6;
pub const WGPEER_A_RX_BYTES: u16 = 7;
pub const WGPEER_A_TX_BYTES: u16 = 8;
pub const WGPEER_A_ALLOWEDIPS: u16 = 9;

pub const WGALLOWEDIP_F_REMOVE_ME: u32 = 1;

pub const WGALLOWEDIP_A_FAMILY: u16 = 1;
pub const WGALLOWEDIP_A_IPADDR: u16 = 2;
pub const WGALLOWEDIP_A_CIDR_MASK: u16 = 3;
pub const WGALLOWEDIP_A_FLAGS: u16 = 4;

pub const WGTRANSIT_A_LISTEN_PORT: u16 = 2;
pub const WGTRANSIT_A_IPV4: u16 = 3;
pub const WGTRANSIT_A_IPV6: u16 = 4;
pub const WGTRANSIT_A_UID: u16 = 5;
pub const WGTRANSIT_A_CREDENTIALS: u16 = 6;
pub const WGTRANSIT_A_NETNSID: u16 = 7;
pub const WGTRANSIT_A_RX_PACKETS: u16 = 8;
pub const WGTRANSIT_A_RX_BYTES: u16 = 9;
pub const WGTRANSIT_A_TX_PACKETS: u16 = 10;
pub const WGTRANSIT_A_TX_BYTES: u16 = 11;

/// Longest name of a network interface, without the terminating NUL.
pub const IFNAME_MAX: usize = libc::IFNAMSIZ - 1;

pub const GENL_ID_CTRL: u16 = 16;
pub const CTRL_CMD_GETFAMILY: u8 = 3;
pub const CTRL_ATTR_FAMILY_ID: u16 = 1;
pub const CTRL_ATTR_FAMILY_NAME: u16 = 2;
pub const CTRL_ATTR_MAXATTR: u16 = 5;
pub const CTRL_ATTR_MCAST_GROUPS: u16 = 7;
pub const CTRL_ATTR_MCAST_GRP_NAME: u16 = 1;
pub const CTRL_ATTR_MCAST_GRP_ID: u16 = 2;

pub const RTM_DELLINK: u16 = 17;
pub const RTM_GETLINK: u16 = 18;
pub const RTNLGRP_LINK: u32 = 1;
pub const IFLA_IFNAME: u16 = 3;
pub const IFLA_LINKINFO: u16 = 18;
pub const IFLA_TARGET_NETNSID: u16 = 46;
pub const IFLA_INFO_KIND: u16 = 1;
/// Size of `struct ifinfomsg`.
pub const IFINFOMSG_LEN: usize = 16;

pub const RTM_GETNSID: u16 = 90;
pub const NETNSA_NSID: u16 = 1;
pub const NETNSA_PID: u16 = 2;
pub const NETNSA_FD: u16 = 3;
/// Size of `struct rtgenmsg` with its padding.
pub const RTGENMSG_LEN: usize = 4;
pub const NETNSA_NSID_NOT_ASSIGNED: i32 = -1;

pub const NLMSGERR_ATTR_MSG: u16 = 1;
pub const NLMSGERR_ATTR_OFFS: u16 = 2;
pub const NLMSGERR_ATTR_MISS_TYPE: u16 = 5;
