// SPDX-License-Identifier: GPL-2.0

//! Listing the sockets that live in a namespace for devices elsewhere, for its owner.

use crate::{
    config::ConfigGuard,
    device::{Dev, Device},
    kernel::{
        genl::{Cursor, Message, Messages, Reader, SocketNet},
        netdev::RtnlLinkOps,
        rtnl::Rtnl,
        udp::Sockets,
    },
    uapi::*,
};
use kernel::prelude::*;

/// Writes the next messages of the list, of a device each.
///
/// The newest come first, and the cursor names the last one that was listed: those that are made
/// meanwhile are not in it.
pub(super) fn sockets(
    socket_net: SocketNet<'_>,
    cursor: &mut Cursor,
    messages: &mut Messages<'_>,
) -> Result {
    let [last, ..] = &mut cursor.words;
    let rtnl = Rtnl::lock();
    let mut result = Ok(());
    RtnlLinkOps::<Device>::for_each(&rtnl, |dev| {
        let listed = *last != 0 && dev.number() >= *last;
        if listed || result.is_err() || !is_elsewhere(dev, &socket_net, &rtnl) {
            return;
        }
        let config = ConfigGuard::lock(dev);
        let Some(sockets) = &config.sockets else {
            return;
        };
        result = messages.add(|message, reader| {
            self::device(&config, sockets, &socket_net, &rtnl, message, reader)
        });
        if result.is_ok() {
            *last = dev.number();
        }
    });
    result
}

/// Whether the device's transit namespace is that of the reader, and its own is not.
fn is_elsewhere(dev: &Dev, socket_net: &SocketNet<'_>, rtnl: &Rtnl) -> bool {
    dev.transit_net(rtnl).is_some_and(|net| socket_net.is(&net))
        && dev
            .netdev()
            .net(rtnl)
            .is_none_or(|net| !socket_net.is(&net))
}

fn device(
    config: &ConfigGuard<'_>,
    sockets: &Sockets<Device>,
    socket_net: &SocketNet<'_>,
    rtnl: &Rtnl,
    message: &mut Message<'_>,
    reader: Reader<'_>,
) -> Result {
    let dev = config.dev();
    message.put_u16(WGTRANSIT_A_LISTEN_PORT, config.state.port)?;
    message.put_flag(WGTRANSIT_A_IPV4)?;
    if sockets.v6().is_some() {
        message.put_flag(WGTRANSIT_A_IPV6)?;
    }
    message.put_uid(WGTRANSIT_A_UID, sockets.uid(), reader)?;
    if sockets.are_tasks() {
        message.put_flag(WGTRANSIT_A_CREDENTIALS)?;
    }
    if let Some(id) = dev
        .netdev()
        .net(rtnl)
        .and_then(|net| socket_net.id_of(&net))
    {
        message.put_u32(WGTRANSIT_A_NETNSID, id as u32)?;
    }
    let Some(totals) = dev.netdev().totals(rtnl) else {
        return Ok(());
    };
    let carried = totals.since(config.carried_before);
    for (number, value) in [
        (WGTRANSIT_A_RX_PACKETS, carried.rx_packets),
        (WGTRANSIT_A_RX_BYTES, carried.rx_bytes),
        (WGTRANSIT_A_TX_PACKETS, carried.tx_packets),
        (WGTRANSIT_A_TX_BYTES, carried.tx_bytes),
    ] {
        message.put_u64(number, value, WGTRANSIT_A_PAD)?;
    }
    Ok(())
}
