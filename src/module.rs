// SPDX-License-Identifier: GPL-2.0

//! WireGuard for Linux.

mod kernel;
mod protocol;

use ::kernel::prelude::*;

module! {
    type: WireGuard,
    name: "wireguard",
    authors: ["The WireGuard in Rust developers"],
    description: "WireGuard secure network tunnel, with sockets that can move",
    license: "GPL v2",
    alias: ["rtnl-link-wireguard", "net-pf-16-proto-16-family-wireguard"],
}

struct WireGuard;
impl ::kernel::Module for WireGuard {
    fn init(_m: &'static ThisModule) -> Result<Self> { Ok(Self) }
}
