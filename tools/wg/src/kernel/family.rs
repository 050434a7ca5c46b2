// SPDX-License-Identifier: GPL-2.0
//! Finding the `wireguard` generic netlink family.

use crate::netlink::attrs::{attrs, u16_of, u32_of};
use crate::netlink::message::Message;
use crate::netlink::socket::{Netlink, Refused};
use crate::uapi::{
    CTRL_ATTR_FAMILY_ID, CTRL_ATTR_FAMILY_NAME, CTRL_ATTR_MAXATTR, CTRL_CMD_GETFAMILY,
    GENL_ID_CTRL, WGDEVICE_A_TRANSIT_FIRST, WG_GENL_NAME,
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
}

impl Family {
    /// Asks for the family, which loads the module if need be and allowed.
    pub fn find(netlink: &mut Netlink) -> Result<Self, Refused> {
        const CTRL_VERSION: u8 = 1;
        let flags = NLM_F_REQUEST | NLM_F_ACK;
        let mut message = Message::genl(GENL_ID_CTRL, flags, CTRL_CMD_GETFAMILY, CTRL_VERSION);
        let mut family = Self { id: 0, maxattr: 0 };
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
