// SPDX-License-Identifier: GPL-2.0

//! Segmentation: the rules one by one, and any packet beside the model.

mod common;

use common::offload::*;
use common::rounds;
use proptest::prelude::*;
use wireguard_protocol::protocol::gso::{Gso, Segmenter, Transport};

const MSS: u16 = 1368;

fn tcp(size: u16) -> Gso {
    Gso {
        transport: Transport::Tcp,
        size,
        fixed_id: false,
        acc_ecn: false,
    }
}

fn udp(size: u16) -> Gso {
    Gso {
        transport: Transport::Udp,
        ..tcp(size)
    }
}

/// Cuts the packet up, shows that the model agrees, and takes the segments apart.
fn segments(packet: &Packet, gso: Gso) -> Vec<Packet> {
    let bytes = packet.partial();
    let transport = packet.network_len() as u32;
    let cut = cut(&bytes, 200, transport, gso).expect("it is plain");
    assert_eq!(
        Some(&cut),
        model_of_cutting(&bytes, transport, gso).as_ref()
    );
    cut.iter()
        .map(|segment| {
            let packet = Packet::parse(segment, false).unwrap();
            assert_eq!(packet.len(), segment.len());
            // With both checksums.
            assert_eq!(packet.bytes(), *segment);
            packet
        })
        .collect()
}

fn refused(bytes: &[u8], transport: usize, gso: Gso) -> bool {
    let new = Segmenter::new(bytes, bytes.len() as u32, transport as u32, gso);
    assert_eq!(
        new.is_none(),
        model_of_cutting(bytes, transport as u32, gso).is_none()
    );
    new.is_none()
}

#[test]
fn payload_is_divided_by_the_size() {
    for v6 in [false, true] {
        for (len, lens) in [
            (101, &[100, 1][..]),
            (200, &[100, 100]),
            (299, &[100, 100, 99]),
        ] {
            for (packet, gso) in [
                (Packet::tcp(v6, len), tcp(100)),
                (Packet::udp(v6, len), udp(100)),
            ] {
                let segments = segments(&packet, gso);
                let got: Vec<usize> = segments.iter().map(|one| one.payload.len()).collect();
                assert_eq!(got, lens);
                let all: Vec<u8> = segments.into_iter().flat_map(|one| one.payload).collect();
                assert_eq!(all, packet.payload);
            }
        }
    }
}

#[test]
fn sequence_numbers_advance_by_the_payload() {
    let mut packet = Packet::tcp(true, 300);
    packet.sequence = u32::MAX - 150;
    let got: Vec<u32> = segments(&packet, tcp(100))
        .iter()
        .map(|one| one.sequence)
        .collect();
    assert_eq!(got, [u32::MAX - 150, u32::MAX - 50, 49]);
}

#[test]
fn fin_and_psh_are_on_the_last_segment_only() {
    let mut packet = Packet::tcp(false, 300);
    for last in [FIN, PSH, FIN | PSH] {
        packet.flags = ACK | last;
        let got: Vec<u8> = segments(&packet, tcp(100))
            .iter()
            .map(|one| one.flags)
            .collect();
        assert_eq!(got, [ACK, ACK, ACK | last]);
    }
}

#[test]
fn cwr_is_on_the_first_segment_only() {
    let mut packet = Packet::tcp(false, 300);
    packet.flags = ACK | CWR | ECE | PSH;
    let got: Vec<u8> = segments(&packet, tcp(100))
        .iter()
        .map(|one| one.flags)
        .collect();
    assert_eq!(got, [ACK | CWR | ECE, ACK | ECE, ACK | ECE | PSH]);
}

#[test]
fn cwr_is_on_all_segments_with_accurate_ecn() {
    let mut packet = Packet::tcp(true, 300);
    packet.flags = ACK | CWR | PSH;
    packet.reserved = 1;
    let gso = Gso {
        acc_ecn: true,
        ..tcp(100)
    };
    let segments = segments(&packet, gso);
    let got: Vec<u8> = segments.iter().map(|one| one.flags).collect();
    assert_eq!(got, [ACK | CWR, ACK | CWR, ACK | CWR | PSH]);
    assert!(segments.iter().all(|one| one.reserved == 1));
}

#[test]
fn ipv4_ids_count_up() {
    for (mut packet, gso) in [
        (Packet::tcp(false, 300), tcp(100)),
        (Packet::udp(false, 300), udp(100)),
    ] {
        packet.id = 0xfffe;
        let got: Vec<u16> = segments(&packet, gso).iter().map(|one| one.id).collect();
        assert_eq!(got, [0xfffe, 0xffff, 0]);
    }
}

#[test]
fn ipv4_ids_stay_if_they_are_fixed() {
    let mut packet = Packet::tcp(false, 300);
    packet.id = 9;
    let gso = Gso {
        fixed_id: true,
        ..tcp(100)
    };
    assert!(segments(&packet, gso).iter().all(|one| one.id == 9));
}

#[test]
fn all_else_is_copied() {
    for v6 in [false, true] {
        let mut packet = Packet::tcp(v6, 300);
        packet.tos = 0xb9;
        packet.ttl = 3;
        packet.fragment = 0;
        packet.reserved = 0xf;
        packet.flags = ACK | URG | SYN | RST | ECE;
        packet.urgent = 77;
        packet.options = (0..40).collect();
        if !v6 {
            packet.ip_options = (100..140).collect();
        }
        for segment in segments(&packet, tcp(100)) {
            let like = Packet {
                id: segment.id,
                sequence: segment.sequence,
                payload: segment.payload.clone(),
                ..packet.clone()
            };
            assert_eq!(segment, like);
        }
    }
}

#[test]
fn a_checksum_of_zero_is_sent_as_all_ones_in_udp() {
    for v6 in [false, true] {
        let mut packet = Packet::udp(v6, 3);
        packet.payload = vec![0; 3];
        // What is missing to a sum of all ones in the first segment.
        let first = &packet.segments(udp(2))[0].bytes();
        let at = packet.header_len() - 2;
        packet.payload[..2].copy_from_slice(&first[at..at + 2]);
        let first = &cut(&packet.partial(), 200, packet.network_len() as u32, udp(2)).unwrap()[0];
        assert_eq!(first[at..at + 2], [0xff; 2]);
        segments(&packet, udp(2));
    }
}

#[test]
fn checksums_are_of_the_segments_own_length() {
    for v6 in [false, true] {
        for (packet, gso) in [
            (Packet::tcp(v6, 250), tcp(100)),
            (Packet::udp(v6, 250), udp(100)),
        ] {
            let transport = packet.network_len();
            for segment in cut(&packet.partial(), 200, transport as u32, gso).unwrap() {
                let packet = Packet::parse(&segment, false).unwrap();
                let pseudo = packet.pseudo().to_be_bytes();
                let mut all = segment[transport..].to_vec();
                all.extend(pseudo);
                assert_eq!(sum(&all), 0xffff);
                assert!(v6 || sum(&segment[..20]) == 0xffff);
            }
        }
    }
}

#[test]
fn a_wrong_sum_of_the_pseudo_header_stays_wrong() {
    for (packet, gso) in [
        (Packet::tcp(false, 200), tcp(99)),
        (Packet::udp(true, 200), udp(99)),
    ] {
        let mut bytes = packet.partial();
        let at = packet.network_len() + if packet.tcp { 16 } else { 6 };
        bytes[at] ^= 0x55;
        let transport = packet.network_len() as u32;
        let segments = cut(&bytes, 200, transport, gso);
        assert_eq!(segments, model_of_cutting(&bytes, transport, gso));
        let first = &segments.unwrap()[0];
        assert_ne!(Packet::parse(first, false).unwrap().bytes(), *first);
    }
}

#[test]
#[cfg_attr(miri, ignore = "would take minutes")]
fn packets_longer_than_their_length_field_are_cut_up() {
    for v6 in [false, true] {
        let packet = Packet::tcp(v6, 200_000);
        assert_eq!(segments(&packet, tcp(MSS)).len(), 147);
        // The longest that fits, and the shortest that does not.
        let most = 65535 - if v6 { 32 } else { 52 };
        for (len, field) in [(most, u16::MAX), (most + 1, 0)] {
            let packet = Packet::tcp(v6, len);
            let bytes = packet.partial();
            let at = if v6 { 4 } else { 2 };
            assert_eq!(bytes[at..at + 2], field.to_be_bytes());
            assert_eq!(segments(&packet, tcp(MSS)).len(), 48);
        }
    }
}

#[test]
fn one_segment_is_none() {
    for v6 in [false, true] {
        for (packet, gso) in [
            (Packet::tcp(v6, 100), tcp(100)),
            (Packet::udp(v6, 100), udp(100)),
        ] {
            let bytes = packet.partial();
            assert!(refused(&bytes, packet.network_len(), gso));
            assert!(!refused(
                &bytes,
                packet.network_len(),
                Gso { size: 99, ..gso }
            ));
            assert!(refused(
                &bytes,
                packet.network_len(),
                Gso { size: 0, ..gso }
            ));
            assert!(refused(
                &bytes,
                packet.network_len(),
                Gso {
                    size: u16::MAX,
                    ..gso
                }
            ));
        }
    }
}

#[test]
#[cfg_attr(miri, ignore = "would take minutes")]
fn segments_fit_in_a_packet() {
    for v6 in [false, true] {
        let packet = Packet::tcp(v6, 70_000);
        let bytes = packet.partial();
        let most = 65535 - if v6 { 32 } else { 52 };
        assert!(!refused(&bytes, packet.network_len(), tcp(most)));
        assert!(refused(&bytes, packet.network_len(), tcp(most + 1)));
    }
}

#[test]
fn what_is_not_plain_is_refused() {
    for v6 in [false, true] {
        let packet = Packet::tcp(v6, 200);
        let plain = packet.partial();
        let transport = packet.network_len();
        assert!(!refused(&plain, transport, tcp(100)));
        // The transport header is somewhere else, or that of another protocol.
        assert!(refused(&plain, transport + 4, tcp(100)));
        assert!(refused(&plain, transport, udp(100)));
        let udp_bytes = Packet::udp(v6, 200).partial();
        assert!(refused(&udp_bytes, transport, tcp(100)));
        // Each with one byte changed.
        let change = |at: usize, to: u8| {
            let mut bytes = plain.clone();
            bytes[at] = to;
            refused(&bytes, transport, tcp(100))
        };
        assert!(change(0, 0x50));
        assert!(change(0, 0));
        assert!(change(transport + 12, 0x40));
        assert!(change(if v6 { 6 } else { 9 }, 0));
        let length = if v6 { 4 } else { 2 };
        assert!(change(length, 0x80));
        assert!(change(length + 1, plain[length + 1] ^ 1));
        if !v6 {
            assert!(change(0, 0x44));
            assert!(change(0, 0x46));
            assert!(change(6, 0x20));
            assert!(change(6, 0x80));
            assert!(change(7, 1));
            assert!(!change(6, 0));
        }
    }
}

#[test]
fn ipv6_extension_headers_are_left_to_the_kernel() {
    let packet = Packet::tcp(true, 200);
    let mut bytes = packet.partial();
    // Eight bytes of destination options.
    bytes.splice(40..40, [6, 0, 1, 4, 0, 0, 0, 0]);
    bytes[6] = 60;
    let len = (bytes.len() - 40) as u16;
    bytes[4..6].copy_from_slice(&len.to_be_bytes());
    assert!(refused(&bytes, 40, tcp(100)));
    assert!(refused(&bytes, 48, tcp(100)));
}

#[test]
fn udp_has_a_checksum_and_its_own_length() {
    for v6 in [false, true] {
        let packet = Packet::udp(v6, 200);
        let bytes = packet.partial();
        let at = packet.network_len() + 4;
        assert!(!refused(&bytes, packet.network_len(), udp(100)));
        let mut without = bytes.clone();
        without[at + 2..at + 4].fill(0);
        assert!(refused(&without, packet.network_len(), udp(100)));
        let mut other = bytes.clone();
        other[at + 1] ^= 1;
        assert!(refused(&other, packet.network_len(), udp(100)));
    }
}

#[test]
fn headers_have_to_be_there() {
    for v6 in [false, true] {
        for (packet, gso) in [
            (Packet::tcp(v6, 200), tcp(100)),
            (Packet::udp(v6, 200), udp(100)),
        ] {
            let bytes = packet.partial();
            for seen in 0..=packet.header_len() + 1 {
                let segmenter = Segmenter::new(
                    &bytes[..seen],
                    bytes.len() as u32,
                    packet.network_len() as u32,
                    gso,
                );
                assert_eq!(
                    segmenter.is_some(),
                    seen >= packet.header_len(),
                    "{seen} bytes"
                );
            }
        }
    }
}

/// Any packet that is worth cutting up.
pub fn packet() -> impl Strategy<Value = Packet> {
    let network = (
        any::<bool>(),
        any::<[u8; 2]>(),
        0..1u32 << 20,
        any::<u16>(),
        any::<bool>(),
        any::<[[u8; 16]; 2]>(),
        prop::collection::vec(any::<[u8; 4]>(), 0..=10),
        any::<bool>(),
    );
    let transport = (
        any::<bool>(),
        any::<[u16; 2]>(),
        any::<[u32; 2]>(),
        0..16u8,
        any::<u8>(),
        any::<[u16; 2]>(),
        prop::collection::vec(any::<[u8; 4]>(), 0..=10),
    );
    let payload = prop_oneof![
        prop::collection::vec(any::<u8>(), 2..200),
        (2..if cfg!(miri) { 200 } else { 20_000usize }, any::<u8>())
            .prop_map(|(len, by)| (0..len).map(|i| (i as u8).wrapping_mul(by)).collect()),
    ];
    (network, transport, payload).prop_map(|(network, transport, payload)| {
        let (v6, [tos, ttl], flow_label, id, df, [source, destination], ip_options, plain) =
            network;
        let (tcp, ports, [sequence, acknowledgment], reserved, flags, [window, urgent], options) =
            transport;
        let v4 = !v6;
        let short = |mut address: [u8; 16]| {
            if v4 {
                address[4..].fill(0);
            }
            address
        };
        Packet {
            v6,
            tos,
            flow_label: if v6 { flow_label } else { 0 },
            id: if v4 { id } else { 0 },
            fragment: if v4 && df { 0x4000 } else { 0 },
            ttl,
            source: short(source),
            destination: short(destination),
            ip_options: if v4 && !plain {
                ip_options.concat()
            } else {
                vec![]
            },
            tcp,
            ports,
            sequence: if tcp { sequence } else { 0 },
            acknowledgment: if tcp { acknowledgment } else { 0 },
            reserved: if tcp { reserved } else { 0 },
            flags: if tcp { flags } else { 0 },
            window: if tcp { window } else { 0 },
            urgent: if tcp { urgent } else { 0 },
            options: if tcp { options.concat() } else { vec![] },
            payload,
        }
    })
}

fn gso(tcp: bool) -> impl Strategy<Value = Gso> {
    (
        prop_oneof![1..64u16, 1..2000u16, any::<u16>()],
        any::<[bool; 2]>(),
    )
        .prop_map(move |(size, [fixed_id, acc_ecn])| Gso {
            transport: if tcp { Transport::Tcp } else { Transport::Udp },
            size,
            fixed_id,
            acc_ecn,
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(rounds(1000) as u32))]

    #[test]
    fn agrees_with_the_model(
        (packet, gso) in packet().prop_flat_map(|packet| {
            let tcp = packet.tcp;
            (Just(packet), gso(tcp))
        }),
        seen in 0..200usize,
    ) {
        let bytes = packet.partial();
        let transport = packet.network_len() as u32;
        prop_assert_eq!(Packet::parse(&bytes, true), Some(packet.clone()));
        let model = model_of_cutting(&bytes, transport, gso);
        prop_assert_eq!(model.is_some(), packet.payload.len() > gso.size.into());
        prop_assert_eq!(cut(&bytes, seen, transport, gso), model);
    }

    /// With some bytes of the headers changed, it is refused or cut up as the
    /// fields then say.
    #[test]
    fn agrees_with_the_model_on_damaged_headers(
        (packet, gso) in packet().prop_flat_map(|packet| {
            let tcp = packet.tcp;
            (Just(packet), gso(tcp))
        }),
        changes in prop::collection::vec((0..60usize, any::<u8>()), 1..3),
        transport in prop_oneof![8 => Just(None), 1 => (0..80u32).prop_map(Some)],
    ) {
        let mut bytes = packet.partial();
        for (at, to) in changes {
            let len = bytes.len();
            bytes[at % len] = to;
        }
        let transport = transport.unwrap_or(packet.network_len() as u32);
        let model = model_of_cutting(&bytes, transport, gso);
        prop_assert_eq!(cut(&bytes, 200, transport, gso), model);
    }
}
