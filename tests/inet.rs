// SPDX-License-Identifier: GPL-2.0

//! Headers of IP, TCP and UDP.

use proptest::prelude::*;
use wireguard_protocol::protocol::inet::{
    udp_headers_len, DONT_FRAGMENT, IPV4_HEADER_LEN, IPV6_HEADER_LEN, PROTOCOL_TCP, PROTOCOL_UDP,
    UDP_HEADER_LEN,
};

fn ipv4(words: u8, protocol: u8, fragment: u16, payload: usize) -> Vec<u8> {
    let mut packet = vec![0; usize::from(words) * 4 + payload];
    packet[0] = 0x40 | words;
    packet[6..8].copy_from_slice(&fragment.to_be_bytes());
    packet[9] = protocol;
    packet
}

fn ipv6(next: u8, payload: usize) -> Vec<u8> {
    let mut packet = vec![0; IPV6_HEADER_LEN + payload];
    packet[0] = 0x60;
    packet[6] = next;
    packet
}

#[test]
fn udp_headers() {
    const LEN: Option<usize> = Some(IPV4_HEADER_LEN + UDP_HEADER_LEN);
    for fragment in [0, DONT_FRAGMENT] {
        assert_eq!(udp_headers_len(&ipv4(5, PROTOCOL_UDP, fragment, 8)), LEN);
    }
    assert_eq!(udp_headers_len(&ipv4(5, PROTOCOL_UDP, 0, 1400)), LEN);
    assert_eq!(udp_headers_len(&ipv4(15, PROTOCOL_UDP, 0, 8)), Some(68));
    assert_eq!(udp_headers_len(&ipv6(PROTOCOL_UDP, 8)), Some(48));
}

#[test]
fn none_of_udp() {
    for packet in [
        vec![],
        vec![0; 100],
        ipv4(5, PROTOCOL_TCP, 0, 100),
        ipv6(PROTOCOL_TCP, 100),
        // A hop-by-hop header, or one of fragments.
        ipv6(0, 100),
        ipv6(44, 100),
        // The first fragment, another, and one with the reserved bit.
        ipv4(5, PROTOCOL_UDP, 0x2000, 100),
        ipv4(5, PROTOCOL_UDP, 1, 100),
        ipv4(5, PROTOCOL_UDP, 0x8000, 100),
        // Too short, or claiming to be.
        ipv4(5, PROTOCOL_UDP, 0, 7),
        ipv6(PROTOCOL_UDP, 7),
        ipv4(4, PROTOCOL_UDP, 0, 100),
    ] {
        assert_eq!(udp_headers_len(&packet), None, "{packet:x?}");
    }
}

proptest! {
    #[test]
    fn headers_are_in_the_packet(packet in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Some(len) = udp_headers_len(&packet) {
            prop_assert!(len <= packet.len() && len >= IPV4_HEADER_LEN + UDP_HEADER_LEN);
        }
    }
}
