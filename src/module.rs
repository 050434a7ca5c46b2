// SPDX-License-Identifier: GPL-2.0

//! WireGuard for Linux, with sockets that can move to another network namespace.
//!
//! The protocol is in `protocol`, which knows no kernel. `kernel` wraps what the kernel offers, and
//! is the only place with `unsafe`. Everything else is the driver between the two.

#![deny(unsafe_code)]

mod allowed_ips;
mod coalesce;
mod config;
mod cookies;
mod decrypt;
mod deliver;
mod device;
mod encrypt;
mod endpoint;
mod events;
mod handshake;
mod index;
mod ip;
mod judgement;
#[allow(unsafe_code)]
mod kernel;
mod keypair;
mod netlink;
mod peer;
mod peer_table;
mod protocol;
mod ratelimiter;
mod receive;
mod send;
mod socket;
mod timers;
mod transit;
mod uapi;

use crate::kernel::{
    genl::{self, Family},
    netdev::{self, RtnlLinkOps},
    notifier::{self, Notifiers},
    rcu::SlabGuard,
    sysctl::{self, NetSysctl},
};
use ::kernel::prelude::*;

module! {
    type: WireGuard,
    name: "wireguard",
    authors: ["The developers of WireGuard in Rust"],
    description: "WireGuard secure network tunnel, with sockets that can move",
    license: "GPL v2",
    alias: ["rtnl-link-wireguard", "net-pf-16-proto-16-family-wireguard"],
}

/// What is registered while the module is loaded. Dropped in this order: nobody configures devices
/// that are about to go.
struct WireGuard {
    _family: genl::Registration<netlink::WireGuardFamily>,
    _devices: netdev::Registration<device::Device>,
    _credentials: sysctl::Registration<transit::CredentialsSysctl>,
    _notifiers: notifier::Registration<device::SystemNotifier>,
    _peers: SlabGuard<peer::Peer>,
}

impl ::kernel::Module for WireGuard {
    fn init(module: &'static ThisModule) -> Result<Self> {
        let peers = peer::slab().create(c"wg_peer")?;
        let notifiers = Notifiers::register()?;
        let credentials = NetSysctl::register()?;
        let devices = RtnlLinkOps::register()?;
        let family = Family::register(module)?;
        pr_info!("WireGuard {} loaded\n", kernel::VERSION);
        Ok(Self {
            _family: family,
            _devices: devices,
            _credentials: credentials,
            _notifiers: notifiers,
            _peers: peers,
        })
    }
}
