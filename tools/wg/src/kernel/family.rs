// SPDX-License-Identifier: GPL-2.0
//! Finding the `wireguard` generic netlink family.

use crate::netlink::attrs::{attrs, string_of, u16_of, u32_of};
use crate::netlink::message::Message;
use crate::netlink::socket::{Netlink, Refused};
use crate::uapi::{
    CTRL_ATTR_FAMILY_ID, CTRL_ATTR_FAMILY_NAME, CTRL_ATTR_MAXATTR, CTRL_ATTR_MCAST_GROUPS,
    CTRL_ATTR_MCAST_GRP_ID, CTRL_ATTR_MCAST_GRP_NAME, CTRL_CMD_GETFAMILY, GENL_ID_CTRL,
    WGDEVICE_A_TRANSIT_FIRST, WG_GENL_MCGRP_EVENTS, WG_GENL_NAME,
};
use netlink_packet_core::{NLM_F_ACK, NLM_F_REQUEST};

/// The family, as the running kernel has it.
#[derive(Clone, Copy, Debug)]
pub struct Family {
    /// Its message type.
    pub id: u16,
    /// The largest attribute type that it takes; 0 if that depends on the
    /// command.
    maxattr: u32,
    /// The multicast group of its events, if it has one.
    pub events: Option<u32>,
}

impl Family {
    /// Asks for the family, which loads the module if need be and allowed.
    pub fn find(netlink: &mut Netlink) -> Result<Self, Refused> {
        const CTRL_VERSION: u8 = 1;
        let flags = NLM_F_REQUEST | NLM_F_ACK;
        let mut message = Message::genl(GENL_ID_CTRL, flags, CTRL_CMD_GETFAMILY, CTRL_VERSION);
        let mut family = Self {
            id: 0,
            maxattr: 0,
            events: None,
        };
        if message
            .put_str(CTRL_ATTR_FAMILY_NAME, WG_GENL_NAME.as_bytes())
            .is_err()
        {
            return Err(Refused::errno(libc::EMSGSIZE));
        }
        let result = netlink.ask(&mut message, |answer| {
            for (kind, value) in attrs(answer.get(4..).unwrap_or_default()).map_while(Result::ok) {
                match kind {
                    CTRL_ATTR_FAMILY_ID => family.id = u16_of(value).unwrap_or(0),
                    CTRL_ATTR_MAXATTR => family.maxattr = u32_of(value).unwrap_or(0),
                    CTRL_ATTR_MCAST_GROUPS => family.events = events_group(value),
                    _ => {}
                }
            }
            Ok(())
        });
        match result {
            Ok(_) if family.id != 0 => Ok(family),
            Ok(_) => Err(Refused::errno(libc::EPROTONOSUPPORT)),
            // "No such file" would be said of the wrong thing.
            Err(refused) if refused.errno == libc::ENOENT => {
                Err(Refused::errno(libc::EPROTONOSUPPORT))
            }
            Err(refused) => Err(refused),
        }
    }

    /// Whether the module may understand a request with this attribute. One
    /// that does not tell rejects it when it comes.
    pub fn may_take(&self, attribute: u16) -> bool {
        self.maxattr == 0 || self.maxattr >= u32::from(attribute)
    }

    /// Whether the module is known not to understand transit attributes. One
    /// that does not tell rejects them when they come.
    pub fn lacks_transit(&self) -> bool {
        !self.may_take(WGDEVICE_A_TRANSIT_FIRST)
    }
}

/// The number of the group of events in a list of groups.
fn events_group(groups: &[u8]) -> Option<u32> {
    attrs(groups).map_while(Result::ok).find_map(|(_, group)| {
        let find = |wanted| {
            attrs(group)
                .map_while(Result::ok)
                .find_map(|(kind, value)| (kind == wanted).then_some(value))
        };
        let name = find(CTRL_ATTR_MCAST_GRP_NAME)?;
        (string_of(name) == WG_GENL_MCGRP_EVENTS.as_bytes())
            .then(|| find(CTRL_ATTR_MCAST_GRP_ID).and_then(u32_of))?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_group_is_found_by_its_name() {
        let mut message = Message::raw();
        for (name, id) in [(&b"others"[..], 3), (b"events", 7)] {
            let nest = message.nest(1).unwrap();
            message.put_u32(CTRL_ATTR_MCAST_GRP_ID, id).unwrap();
            message.put_str(CTRL_ATTR_MCAST_GRP_NAME, name).unwrap();
            message.close(nest);
        }
        assert_eq!(events_group(message.as_bytes()), Some(7));
        assert_eq!(events_group(&message.as_bytes()[..20]), None);
        assert_eq!(events_group(&[0; 64]), None);
    }
}
