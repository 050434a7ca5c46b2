// SPDX-License-Identifier: GPL-2.0

//! The generic netlink family, in which devices are configured: what it accepts, and which device
//! a request is about. `uapi/wireguard.h` documents it for its users.

pub(crate) mod events;
mod get;
mod list;
mod set;

use crate::{
    device::{Dev, Device},
    kernel::{
        errno::EBADR,
        genl::{
            Cursor, DeviceId, Family, FamilyOps, Message, Messages, Policy, Progress, Request,
            SocketNet, EACH,
        },
        once::impl_has_static,
    },
    protocol::constants::{KEY_LEN, SYMMETRIC_KEY_LEN},
    uapi::*,
};
use kernel::{prelude::*, str::CStr};

/// A table in which each attribute has its policy at its own number, and the rest is refused.
macro_rules! policies {
    ($max:expr; $($number:expr => $policy:expr),* $(,)?) => {{
        const TABLE: [Policy; $max as usize + 1] = {
            let mut table = [const { Policy::none() }; $max as usize + 1];
            $(table[$number as usize] = $policy;)*
            table
        };
        static POLICIES: [Policy; $max as usize + 1] = TABLE;
        &POLICIES
    }};
}

const ALLOWED_IP: &[Policy] = policies!(WGALLOWEDIP_A_FLAGS;
    WGALLOWEDIP_A_FAMILY => Policy::u16(),
    WGALLOWEDIP_A_IPADDR => Policy::at_least(4),
    WGALLOWEDIP_A_CIDR_MASK => Policy::u8(),
    WGALLOWEDIP_A_FLAGS => Policy::flags(WGALLOWEDIP_F_REMOVE_ME),
);

const PEER: &[Policy] = policies!(WGPEER_A_PROTOCOL_VERSION;
    WGPEER_A_PUBLIC_KEY => Policy::exact(KEY_LEN as u16),
    WGPEER_A_PRESHARED_KEY => Policy::exact(SYMMETRIC_KEY_LEN as u16),
    WGPEER_A_FLAGS => Policy::flags(
        WGPEER_F_REMOVE_ME | WGPEER_F_REPLACE_ALLOWEDIPS | WGPEER_F_UPDATE_ONLY
    ),
    WGPEER_A_ENDPOINT => Policy::at_least(16),
    WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL => Policy::u16(),
    WGPEER_A_LAST_HANDSHAKE_TIME => Policy::exact(16),
    WGPEER_A_RX_BYTES => Policy::u64(),
    WGPEER_A_TX_BYTES => Policy::u64(),
    WGPEER_A_ALLOWEDIPS => Policy::list_of(ALLOWED_IP),
    WGPEER_A_PROTOCOL_VERSION => Policy::u32(),
);

const GET: &[Policy] = policies!(WGDEVICE_A_TRANSIT_WANTED;
    WGDEVICE_A_IFINDEX => Policy::u32(),
    WGDEVICE_A_IFNAME => Policy::ifname(),
    WGDEVICE_A_TRANSIT_WANTED => Policy::flag(),
);

const SET: &[Policy] = policies!(WGDEVICE_A_TRANSIT_CREDENTIAL_IPV6;
    WGDEVICE_A_IFINDEX => Policy::u32(),
    WGDEVICE_A_IFNAME => Policy::ifname(),
    WGDEVICE_A_PRIVATE_KEY => Policy::exact(KEY_LEN as u16),
    WGDEVICE_A_PUBLIC_KEY => Policy::exact(KEY_LEN as u16),
    WGDEVICE_A_FLAGS => Policy::flags(WGDEVICE_F_REPLACE_PEERS),
    WGDEVICE_A_LISTEN_PORT => Policy::u16(),
    WGDEVICE_A_FWMARK => Policy::u32(),
    WGDEVICE_A_PEERS => Policy::list_of(PEER),
    WGDEVICE_A_TRANSIT_NETNS_FD => Policy::u32(),
    WGDEVICE_A_TRANSIT_NETNS_PID => Policy::u32(),
    WGDEVICE_A_TRANSIT_CREDENTIAL_IPV4 => Policy::u32(),
    WGDEVICE_A_TRANSIT_CREDENTIAL_IPV6 => Policy::u32(),
);

/// The family.
pub(crate) struct WireGuardFamily;

impl_has_static! {
    WireGuardFamily: Family<WireGuardFamily>;
}

impl FamilyOps for WireGuardFamily {
    type Device = Device;

    const NAME: &'static CStr = c"wireguard";
    const VERSION: u8 = 1;
    const GET: u8 = WG_CMD_GET_DEVICE;
    const SET: u8 = WG_CMD_SET_DEVICE;
    const LIST: u8 = WG_CMD_GET_TRANSIT;
    const EVENTS: &'static CStr = c"events";
    const GET_POLICY: &'static [Policy] = GET;
    const SET_POLICY: &'static [Policy] = SET;
    const SECRETS: &'static [&'static [u32]] = &[
        &[WGDEVICE_A_PRIVATE_KEY],
        &[WGDEVICE_A_PEERS, EACH, WGPEER_A_PRESHARED_KEY],
    ];

    fn device_id<'a>(request: &Request<'a>) -> Result<DeviceId<'a>> {
        let index = request.attr(WGDEVICE_A_IFINDEX);
        let name = request.attr(WGDEVICE_A_IFNAME);
        match (index, name) {
            (Some(index), None) => Ok(DeviceId::Index(index.u32()?)),
            (None, Some(name)) => Ok(DeviceId::Name(name.bytes())),
            _ => Err(EBADR),
        }
    }

    fn get(
        dev: &Dev,
        request: &Request<'_>,
        cursor: &mut Cursor,
        begin: &mut dyn FnMut(u32),
        message: &mut Message<'_>,
    ) -> Result<Progress> {
        get::device(dev, request, cursor, begin, message)
    }

    fn set(request: &Request<'_>) -> Result {
        set::device(request)
    }

    fn list(socket_net: SocketNet<'_>, cursor: &mut Cursor, messages: &mut Messages<'_>) -> Result {
        list::sockets(socket_net, cursor, messages)
    }
}
