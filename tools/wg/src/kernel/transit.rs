// SPDX-License-Identifier: GPL-2.0
//! Sockets that live in this netns for devices of other netns.

use super::family::Family;
use crate::model::TransitSockets;
use crate::netlink::attrs::{attrs, i32_of, u16_of, u32_of, u64_of};
use crate::netlink::message::Message;
use crate::netlink::socket::{Netlink, Refused};
use crate::uapi::*;
use netlink_packet_core::{NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST};

/// Lists them in the kernel's order. Devices that come and go meanwhile make
/// it ask again, but not for ever: on a busy system there might never be a
/// moment without such a change.
pub fn transit() -> Result<Vec<TransitSockets>, Refused> {
    const TRIES: usize = 5;
    let mut netlink = Netlink::open(libc::NETLINK_GENERIC)?;
    let family = Family::find(&mut netlink)?;
    let flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_DUMP;
    let mut list = Vec::new();
    for _ in 0..TRIES {
        let mut message = Message::genl(family.id, flags, WG_CMD_GET_TRANSIT, WG_GENL_VERSION);
        list.clear();
        let result = netlink.ask(&mut message, |answer| {
            list.push(sockets(answer).ok_or(libc::EBADMSG)?);
            Ok(())
        });
        match result {
            Ok(reply) if reply.interrupted => {}
            Err(refused) if refused.errno == libc::EINTR => {}
            Ok(_) => break,
            Err(refused) => return Err(refused),
        }
    }
    Ok(list)
}

/// Reads one message of the dump. `None` if it makes no sense.
pub fn sockets(answer: &[u8]) -> Option<TransitSockets> {
    const GENL_HEADER_LEN: usize = 4;
    let mut sockets = TransitSockets::default();
    for attr in attrs(answer.get(GENL_HEADER_LEN..)?) {
        let (kind, value) = attr.ok()?;
        match kind {
            WGTRANSIT_A_LISTEN_PORT => sockets.port = u16_of(value)?,
            WGTRANSIT_A_IPV4 => sockets.v4 = true,
            WGTRANSIT_A_IPV6 => sockets.v6 = true,
            WGTRANSIT_A_UID => sockets.uid = u32_of(value)?,
            WGTRANSIT_A_CREDENTIALS => sockets.credentials = true,
            WGTRANSIT_A_NETNSID => sockets.nsid = Some(i32_of(value)?).filter(|nsid| *nsid >= 0),
            WGTRANSIT_A_RX_PACKETS => sockets.rx_packets = u64_of(value)?,
            WGTRANSIT_A_RX_BYTES => sockets.rx_bytes = u64_of(value)?,
            WGTRANSIT_A_TX_PACKETS => sockets.tx_packets = u64_of(value)?,
            WGTRANSIT_A_TX_BYTES => sockets.tx_bytes = u64_of(value)?,
            _ => {}
        }
    }
    Some(sockets)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole() -> Vec<u8> {
        Message::answer(|message| {
            message.put_u16(WGTRANSIT_A_LISTEN_PORT, 51820).unwrap();
            message.put(WGTRANSIT_A_IPV4, &[]).unwrap();
            message.put(WGTRANSIT_A_IPV6, &[]).unwrap();
            message.put_u32(WGTRANSIT_A_UID, 1000).unwrap();
            message.put(WGTRANSIT_A_CREDENTIALS, &[]).unwrap();
            message
                .put(WGTRANSIT_A_NETNSID, &3i32.to_ne_bytes())
                .unwrap();
            for (kind, count) in [
                (WGTRANSIT_A_RX_PACKETS, 1u64),
                (WGTRANSIT_A_RX_BYTES, 2),
                (WGTRANSIT_A_TX_PACKETS, 3),
                (WGTRANSIT_A_TX_BYTES, u64::MAX),
            ] {
                message.put(kind, &count.to_ne_bytes()).unwrap();
            }
            // Attributes of the future are no trouble.
            message.put_u32(1000, 0).unwrap();
        })
    }

    #[test]
    fn everything_there_is() {
        let expected = TransitSockets {
            port: 51820,
            v4: true,
            v6: true,
            uid: 1000,
            credentials: true,
            nsid: Some(3),
            rx_packets: 1,
            rx_bytes: 2,
            tx_packets: 3,
            tx_bytes: u64::MAX,
        };
        assert_eq!(sockets(&whole()), Some(expected));
    }

    #[test]
    fn what_is_left_out() {
        let bare = Message::answer(|message| {
            message.put_u16(WGTRANSIT_A_LISTEN_PORT, 7).unwrap();
            message.put_u32(WGTRANSIT_A_UID, 0).unwrap();
            let none = NETNSA_NSID_NOT_ASSIGNED.to_ne_bytes();
            message.put(WGTRANSIT_A_NETNSID, &none).unwrap();
        });
        let expected = TransitSockets {
            port: 7,
            ..TransitSockets::default()
        };
        assert_eq!(sockets(&bare), Some(expected));
    }

    #[test]
    fn nonsense_is_refused() {
        let short = Message::answer(|message| message.put_u8(WGTRANSIT_A_UID, 1).unwrap());
        for bad in [short, vec![], vec![0; 7]] {
            assert_eq!(sockets(&bad), None);
        }
        let whole = whole();
        for end in 0..whole.len() {
            let _ = sockets(&whole[..end]);
        }
    }
}
