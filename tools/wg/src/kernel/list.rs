// SPDX-License-Identifier: GPL-2.0
//! Names of the kernel's WireGuard devices.

use crate::netlink::attrs::{attrs, string_of};
use crate::netlink::message::Message;
use crate::netlink::socket::{Netlink, Refused};
use crate::uapi::{
    IFINFOMSG_LEN, IFLA_IFNAME, IFLA_INFO_KIND, IFLA_LINKINFO, RTM_GETLINK, WG_GENL_NAME,
};
use netlink_packet_core::{NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST};

/// Lists them in the kernel's order. When interfaces come and go meanwhile,
/// the list may lack some: on a busy system there might never be a moment
/// without such a change.
pub fn list() -> Result<Vec<Vec<u8>>, Refused> {
    let mut netlink = Netlink::open(libc::NETLINK_ROUTE)?;
    let flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_DUMP;
    let mut message = Message::rtnl(RTM_GETLINK, flags, &[0; IFINFOMSG_LEN]);
    let mut names = Vec::new();
    let result = netlink.ask(&mut message, |answer| {
        names.extend(wireguard_name(answer).map(<[u8]>::to_vec));
        Ok(())
    });
    match result {
        Err(refused) if refused.errno != libc::EINTR => Err(refused),
        _ => Ok(names),
    }
}

/// The name in a link message, if the link is one of WireGuard's.
pub(super) fn wireguard_name(answer: &[u8]) -> Option<&[u8]> {
    let (mut name, mut ours) = (None, false);
    for (kind, value) in attrs(answer.get(IFINFOMSG_LEN..)?).map_while(Result::ok) {
        match kind {
            IFLA_IFNAME => name = Some(string_of(value)),
            IFLA_LINKINFO => {
                ours |= attrs(value).map_while(Result::ok).any(|(kind, value)| {
                    kind == IFLA_INFO_KIND && string_of(value) == WG_GENL_NAME.as_bytes()
                });
            }
            _ => {}
        }
    }
    name.filter(|name| ours && !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(kind: &[u8]) -> Vec<u8> {
        let mut message = Message::raw();
        message.put_str(IFLA_IFNAME, b"wg0").unwrap();
        let nest = message.nest(IFLA_LINKINFO).unwrap();
        message.put_str(IFLA_INFO_KIND, kind).unwrap();
        message.close(nest);
        [&[0; IFINFOMSG_LEN], message.as_bytes()].concat()
    }

    #[test]
    fn only_wireguard_counts() {
        assert_eq!(wireguard_name(&link(b"wireguard")), Some(&b"wg0"[..]));
        assert_eq!(wireguard_name(&link(b"wireguard2")), None);
        assert_eq!(wireguard_name(&link(b"")), None);
        assert_eq!(wireguard_name(&[]), None);
        assert_eq!(wireguard_name(&[0; 40]), None);
    }

    #[test]
    fn the_real_kernel_answers() {
        list().unwrap();
    }
}
