// SPDX-License-Identifier: GPL-2.0

//! Merging of TCP packets: the rules one by one, any packets beside the model, and
//! together with segmentation.

mod common;

use common::offload::*;
use common::rounds;
use proptest::prelude::*;
use wireguard_protocol::protocol::gro::{Merged, Run, Segment, DEFAULT_MAX_SIZE};
use wireguard_protocol::protocol::gso::{Gso, Transport};

const SIZE: u16 = 20;

/// Packets of one flow that continue each other, with payloads of these lengths.
fn flow(v6: bool, payloads: &[usize]) -> Vec<Packet> {
    let mut next = Packet::tcp(v6, 0);
    let mut packets = vec![];
    for &len in payloads {
        let packet = Packet {
            payload: (0..len).map(|i| (i + packets.len()) as u8).collect(),
            ..next.clone()
        };
        next.sequence = next.sequence.wrapping_add(len as u32);
        next.id = if v6 { 0 } else { next.id.wrapping_add(1) };
        packets.push(packet);
    }
    packets
}

/// What comes out, of which the model has to say the same.
fn delivered(packets: &[Packet]) -> Vec<Delivered> {
    let packets: Vec<_> = packets.iter().map(Packet::bytes).collect();
    delivered_bytes(&packets)
}

fn delivered_bytes(packets: &[Vec<u8>]) -> Vec<Delivered> {
    let got = merge(packets, DEFAULT_MAX_SIZE);
    assert_eq!(got, model_of_merging(packets, DEFAULT_MAX_SIZE));
    got
}

/// How many packets each of those is that come out; zero for one that is never
/// merged.
fn counts(packets: &[Packet]) -> Vec<u16> {
    let segments = |one: &Delivered| one.merged.map_or(0, |merged| merged.segments);
    delivered(packets).iter().map(segments).collect()
}

/// How many packets three of a flow become if the second and what comes behind are
/// changed.
fn from_the_second(v6: bool, change: impl Fn(&mut Packet)) -> Vec<u16> {
    let mut packets = flow(v6, &[20; 3]);
    for packet in &mut packets[1..] {
        change(packet);
    }
    counts(&packets)
}

#[test]
fn consecutive_packets_become_one() {
    for v6 in [false, true] {
        let packets = flow(v6, &[20, 20, 20, 10]);
        let got = delivered(&packets);
        assert_eq!(got.len(), 1);
        let merged = Merged {
            size: SIZE,
            segments: 4,
            ipv6: v6,
            acc_ecn: false,
            fixed_id: false,
            transport_offset: if v6 { 40 } else { 20 },
        };
        assert_eq!(got[0].merged, Some(merged));
        let whole = Packet {
            payload: packets.iter().flat_map(|one| one.payload.clone()).collect(),
            ..packets[0].clone()
        };
        // With the sum of the pseudo header for a checksum.
        assert_eq!(got[0].bytes, whole.partial());
        assert_eq!(got[0].bytes.len(), whole.len());
    }
}

#[test]
fn one_packet_stays_as_it_is() {
    for v6 in [false, true] {
        for flags in [ACK, ACK | CWR, ACK | FIN | PSH] {
            let mut packets = flow(v6, &[20]);
            packets[0].flags = flags;
            let got = delivered(&packets);
            assert_eq!(got[0].bytes, packets[0].bytes());
            let merged = got[0].merged.unwrap();
            assert_eq!((merged.size, merged.segments), (0, 1));
            assert!(!merged.acc_ecn && !merged.fixed_id);
        }
    }
}

#[test]
fn padding_is_left_out() {
    for v6 in [false, true] {
        let packets: Vec<Vec<u8>> = flow(v6, &[20, 20, 7])
            .iter()
            .map(|packet| {
                let mut bytes = packet.bytes();
                bytes.resize(bytes.len().next_multiple_of(16), 0xff);
                bytes
            })
            .collect();
        let got = delivered_bytes(&packets);
        assert_eq!(got.len(), 1);
        assert_eq!(got[0].bytes.len(), flow(v6, &[47])[0].len());
    }
}

#[test]
fn a_shorter_packet_is_the_last() {
    for v6 in [false, true] {
        assert_eq!(counts(&flow(v6, &[20, 19, 20, 20])), [2, 2]);
        assert_eq!(counts(&flow(v6, &[20, 1, 1])), [2, 1]);
    }
}

#[test]
fn a_longer_packet_begins_anew() {
    for v6 in [false, true] {
        assert_eq!(counts(&flow(v6, &[20, 21, 21])), [1, 2]);
        assert_eq!(counts(&flow(v6, &[1, 2, 2])), [1, 2]);
    }
}

#[test]
#[cfg_attr(miri, ignore = "would take minutes")]
fn nothing_follows_push_or_fin() {
    for v6 in [false, true] {
        for last in [PSH, FIN, FIN | PSH] {
            let mut packets = flow(v6, &[20; 4]);
            packets[1].flags |= last;
            let got = delivered(&packets);
            let counts: Vec<u16> = got.iter().map(|one| one.merged.unwrap().segments).collect();
            assert_eq!(counts, [2, 2]);
            // It is on what they have become.
            let flags = |bytes: &[u8]| Packet::parse(bytes, false).unwrap().flags;
            assert_eq!(flags(&got[0].bytes), ACK | last);
            assert_eq!(flags(&got[1].bytes), ACK);
            let bytes = packets[1].bytes();
            let run = Run::begin(&Segment::parse(&bytes).unwrap(), &bytes).unwrap();
            assert!(!run.takes_more());
            // Not even if it is on the first.
            packets[0].flags |= last;
            assert_eq!(self::counts(&packets), [1, 1, 2]);
        }
    }
}

#[test]
fn packets_without_payload_are_never_merged() {
    for v6 in [false, true] {
        assert_eq!(counts(&flow(v6, &[20, 0, 20, 20])), [1, 0, 2]);
        assert_eq!(counts(&flow(v6, &[0, 0])), [0, 0]);
    }
}

#[test]
fn syn_rst_and_urg_are_never_merged() {
    for v6 in [false, true] {
        for flag in [SYN, RST, URG] {
            let mut packets = flow(v6, &[20; 4]);
            packets[1].flags |= flag;
            assert_eq!(counts(&packets), [1, 0, 2]);
            assert_eq!(
                from_the_second(v6, |packet| packet.flags |= flag),
                [1, 0, 0]
            );
        }
    }
}

#[test]
#[cfg_attr(miri, ignore = "would take minutes")]
fn sequence_numbers_continue() {
    for v6 in [false, true] {
        for by in [1, u32::MAX, 20, 1 << 31] {
            assert_eq!(
                from_the_second(v6, |packet| packet.sequence =
                    packet.sequence.wrapping_add(by)),
                [1, 2]
            );
        }
        let mut packets = flow(v6, &[20; 3]);
        for packet in &mut packets {
            packet.sequence = packet.sequence.wrapping_sub(50);
        }
        assert_eq!(counts(&packets), [3]);
        packets.swap(1, 2);
        assert_eq!(counts(&packets), [1, 1, 1]);
    }
}

#[test]
fn a_different_acknowledgment_is_not_merged() {
    for v6 in [false, true] {
        assert_eq!(
            from_the_second(v6, |packet| packet.acknowledgment += 1),
            [1, 2]
        );
    }
}

#[test]
fn a_different_window_is_not_merged() {
    for v6 in [false, true] {
        assert_eq!(from_the_second(v6, |packet| packet.window ^= 0x100), [1, 2]);
        assert_eq!(from_the_second(v6, |packet| packet.window ^= 1), [1, 2]);
    }
}

#[test]
#[cfg_attr(miri, ignore = "would take minutes")]
fn different_tcp_options_are_not_merged() {
    for v6 in [false, true] {
        for at in 0..12 {
            assert_eq!(
                from_the_second(v6, |packet| packet.options[at] ^= 1),
                [1, 2]
            );
        }
        assert_eq!(from_the_second(v6, |packet| packet.options.clear()), [1, 2]);
        assert_eq!(
            from_the_second(v6, |packet| packet.options.extend([0; 4])),
            [1, 2]
        );
    }
}

#[test]
#[cfg_attr(miri, ignore = "would take minutes")]
fn different_flags_are_not_merged() {
    for v6 in [false, true] {
        for flag in [ACK, ECE, CWR] {
            assert_eq!(from_the_second(v6, |packet| packet.flags ^= flag), [1, 2]);
        }
        for bit in [1, 2, 4, 8] {
            assert_eq!(from_the_second(v6, |packet| packet.reserved ^= bit), [1, 2]);
        }
    }
}

#[test]
fn the_urgent_pointer_is_the_first_packets() {
    for v6 in [false, true] {
        assert_eq!(from_the_second(v6, |packet| packet.urgent = 5), [3]);
    }
}

#[test]
fn cwr_on_all_is_accurate_ecn() {
    for v6 in [false, true] {
        let mut packets = flow(v6, &[20; 3]);
        for packet in &mut packets {
            packet.flags |= CWR | ECE;
        }
        let got = delivered(&packets);
        assert_eq!(got.len(), 1);
        assert!(got[0].merged.unwrap().acc_ecn);
    }
}

#[test]
#[cfg_attr(miri, ignore = "would take minutes")]
fn different_addresses_or_ports_are_not_merged() {
    for v6 in [false, true] {
        for at in 0..if v6 { 16 } else { 4 } {
            assert_eq!(from_the_second(v6, |packet| packet.source[at] ^= 1), [1, 2]);
            assert_eq!(
                from_the_second(v6, |packet| packet.destination[at] ^= 1),
                [1, 2]
            );
        }
        for port in 0..2 {
            assert_eq!(
                from_the_second(v6, |packet| packet.ports[port] ^= 1),
                [1, 2]
            );
        }
    }
    let packets = [flow(false, &[20]), flow(true, &[20])].concat();
    assert_eq!(counts(&packets), [1, 1]);
}

#[test]
#[cfg_attr(miri, ignore = "would take minutes")]
fn a_different_tos_is_not_merged() {
    for v6 in [false, true] {
        // All of the DS field, ECN included.
        for bit in 0..8 {
            assert_eq!(from_the_second(v6, |packet| packet.tos ^= 1 << bit), [1, 2]);
        }
    }
}

#[test]
fn a_different_ttl_is_not_merged() {
    for v6 in [false, true] {
        assert_eq!(from_the_second(v6, |packet| packet.ttl -= 1), [1, 2]);
    }
}

#[test]
#[cfg_attr(miri, ignore = "would take minutes")]
fn a_different_flow_label_is_not_merged() {
    for bit in 0..20 {
        assert_eq!(
            from_the_second(true, |packet| packet.flow_label ^= 1 << bit),
            [1, 2]
        );
    }
}

#[test]
fn a_different_df_is_not_merged() {
    assert_eq!(from_the_second(false, |packet| packet.fragment = 0), [1, 2]);
    let mut packets = flow(false, &[20; 3]);
    for packet in &mut packets {
        packet.fragment = 0;
    }
    assert_eq!(counts(&packets), [3]);
}

#[test]
#[cfg_attr(miri, ignore = "would take minutes")]
fn ipv4_ids_count_up_by_one() {
    let with = |ids: [u16; 4]| {
        let mut packets = flow(false, &[20; 4]);
        for (packet, id) in packets.iter_mut().zip(ids) {
            packet.id = id;
        }
        counts(&packets)
    };
    assert_eq!(with([0xfffe, 0xffff, 0, 1]), [4]);
    assert_eq!(with([5, 7, 8, 9]), [1, 3]);
    assert_eq!(with([5, 4, 3, 2]), [1, 1, 1, 1]);
    assert_eq!(with([5, 6, 6, 6]), [2, 2]);
    assert_eq!(with([5, 6, 8, 9]), [2, 2]);
    // The second decides that all are the same.
    assert_eq!(with([5, 5, 5, 5]), [4]);
    assert_eq!(with([5, 5, 6, 7]), [2, 2]);
    assert_eq!(with([5, 5, 7, 7]), [2, 2]);
}

#[test]
fn a_fixed_ipv4_id_is_told() {
    let with = |df| {
        let mut packets = flow(false, &[20; 3]);
        for packet in &mut packets {
            packet.id = 5;
            packet.fragment = df;
        }
        delivered(&packets)
    };
    let got = with(0x4000);
    assert_eq!(got.len(), 1);
    assert!(got[0].merged.unwrap().fixed_id);
    assert_eq!(Packet::parse(&got[0].bytes, false).unwrap().id, 5);
    // Those that may be fragmented are left to the stack's GRO.
    assert_eq!(with(0).len(), 3);
}

#[test]
fn fragments_are_never_merged() {
    // More to come, an offset, and the reserved bit.
    for fragment in [0x2000, 0x0001, 0x1000, 0x8000, 0xc000] {
        assert_eq!(
            from_the_second(false, |packet| packet.fragment = fragment),
            [1, 0, 0]
        );
    }
}

#[test]
fn ipv4_options_are_never_merged() {
    assert_eq!(
        from_the_second(false, |packet| packet.ip_options = vec![1; 4]),
        [1, 0, 0]
    );
}

#[test]
fn ipv6_extension_headers_are_never_merged() {
    let mut bytes = Packet::tcp(true, 20).bytes();
    bytes.splice(40..40, [6, 0, 1, 4, 0, 0, 0, 0]);
    bytes[6] = 60;
    let len = (bytes.len() - 40) as u16;
    bytes[4..6].copy_from_slice(&len.to_be_bytes());
    assert_eq!(Segment::parse(&bytes), None);
}

#[test]
#[cfg_attr(miri, ignore = "would take minutes")]
fn the_ipv4_header_checksum_is_right() {
    let good = Packet::tcp(false, 20).bytes();
    assert!(Segment::parse(&good).is_some());
    for bit in 0..16 {
        let mut bytes = good.clone();
        bytes[10 + bit / 8] ^= 1 << (bit % 8);
        assert_eq!(Segment::parse(&bytes), None);
        assert_eq!(delivered_bytes(&[bytes])[0].merged, None);
    }
}

#[test]
fn a_header_checksum_of_all_ones_is_right_if_zero_is() {
    let mut packets = flow(false, &[20; 2]);
    let check = |packet: &Packet| u16::from_be_bytes([packet.bytes()[10], packet.bytes()[11]]);
    // The ID takes up what the others leave.
    packets[0].id = 0;
    packets[0].id = check(&packets[0]);
    packets[1].id = packets[0].id.wrapping_add(1);
    assert_eq!(check(&packets[0]), 0);
    let mut bytes: Vec<_> = packets.iter().map(Packet::bytes).collect();
    bytes[0][10..12].fill(0xff);
    let got = delivered_bytes(&bytes);
    assert_eq!(got.len(), 1);
    assert_eq!(sum(&got[0].bytes[..20]), 0xffff);
}

#[test]
fn udp_is_never_merged() {
    for v6 in [false, true] {
        assert_eq!(counts(&[Packet::udp(v6, 20), Packet::udp(v6, 20)]), [0, 0]);
    }
}

#[test]
fn what_is_not_all_there_is_never_merged() {
    for v6 in [false, true] {
        let packet = Packet::tcp(v6, 10);
        let bytes = packet.bytes();
        let segment = Segment::parse(&bytes).unwrap();
        assert_eq!(segment.header_len(), packet.header_len());
        assert_eq!(segment.payload_len(), 10);
        assert_eq!(segment.total_len(), bytes.len());
        for len in 0..bytes.len() {
            assert_eq!(Segment::parse(&bytes[..len]), None);
        }
        // No header of TCP is as short, or as long as that.
        let at = packet.network_len() + 12;
        for offset in [0, 1, 4, 15] {
            let mut bytes = bytes.clone();
            bytes[at] = offset << 4;
            assert_eq!(Segment::parse(&bytes), None);
        }
    }
    assert_eq!(Segment::parse(&[]), None);
}

#[test]
fn the_whole_is_smaller_than_the_limit() {
    for v6 in [false, true] {
        let header_len = Packet::tcp(v6, 0).header_len();
        let packets: Vec<_> = flow(v6, &[20; 8]).iter().map(Packet::bytes).collect();
        for (max_size, first) in [
            (header_len + 60, 2),
            (header_len + 61, 3),
            (header_len + 80, 3),
            (header_len + 81, 4),
            (0, 1),
        ] {
            let got = merge(&packets, max_size as u32);
            assert_eq!(got, model_of_merging(&packets, max_size as u32));
            assert_eq!(got[0].merged.unwrap().segments, first, "{max_size}");
        }
    }
}

#[test]
#[cfg_attr(miri, ignore = "would take minutes")]
fn the_whole_fits_in_a_packet() {
    for v6 in [false, true] {
        // With the last there are 65535 bytes; or one more.
        let left = 65535 - Packet::tcp(v6, 0).header_len();
        let mut payloads = vec![1400; left / 1400];
        payloads.push(left % 1400);
        let whole = payloads.len() as u16;
        assert_eq!(counts(&flow(v6, &payloads)), [whole]);
        *payloads.last_mut().unwrap() += 1;
        assert_eq!(counts(&flow(v6, &payloads)), [whole - 1, 1]);
    }
}

#[test]
#[cfg_attr(miri, ignore = "would take minutes")]
fn a_larger_limit_makes_packets_longer_than_their_length_field() {
    for v6 in [false, true] {
        let packets: Vec<_> = flow(v6, &[1000; 100]).iter().map(Packet::bytes).collect();
        let got = merge(&packets, 200_000);
        assert_eq!(got, model_of_merging(&packets, 200_000));
        assert_eq!(got.len(), 1);
        let at = if v6 { 4 } else { 2 };
        assert_eq!(got[0].bytes[at..at + 2], [0, 0]);
        // One of one byte each, until the count is at its end.
        let packets: Vec<_> = flow(v6, &[1; 65537]).iter().map(Packet::bytes).collect();
        let got = merge(&packets, 200_000);
        let counts: Vec<u16> = got.iter().map(|one| one.merged.unwrap().segments).collect();
        assert_eq!(counts, [65535, 2]);
    }
}

fn odd() -> impl Strategy<Value = Odd> {
    prop_oneof![
        12 => Just(Odd::Nothing),
        2 => prop::sample::select(vec![FIN, PSH, SYN, RST, ACK, URG, ECE, CWR]).prop_map(Odd::Flags),
        2 => (0..40usize).prop_map(Odd::Payload),
        1 => (0..4u16).prop_map(Odd::Id),
        1 => any::<i8>().prop_map(|by| Odd::Sequence(by.into())),
        2 => (0..70usize, any::<u8>()).prop_map(|(at, to)| Odd::Byte(at, to)),
        1 => any::<u16>().prop_map(Odd::Window),
        1 => Just(Odd::Check),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(rounds(1000) as u32))]

    #[test]
    fn agrees_with_the_model(
        v6 in any::<bool>(),
        start in any::<[u32; 2]>(),
        step in 0..3u16,
        flags in prop::sample::select(vec![ACK, ACK, ACK | CWR, 0]),
        options in prop::collection::vec(any::<[u8; 4]>(), 0..=10),
        odds in prop::collection::vec(odd(), 1..20),
        size in 1..40usize,
        max_size in prop_oneof![Just(DEFAULT_MAX_SIZE), 0..400u32],
        padding in 0..20usize,
    ) {
        let first = Packet {
            sequence: start[0],
            id: if v6 { 0 } else { start[1] as u16 },
            flags,
            options: options.concat(),
            ..Packet::tcp(v6, size)
        };
        let packets = stream(&first, step, &odds, padding);
        prop_assert_eq!(merge(&packets, max_size), model_of_merging(&packets, max_size));
    }

    /// Segments that are merged are the packet that they were cut from, and what was
    /// merged is cut up into what it was.
    #[test]
    fn undoes_segmentation(
        v6 in any::<bool>(),
        numbers in any::<[u32; 3]>(),
        [tos, ttl] in any::<[u8; 2]>(),
        flags in prop::sample::select(vec![ACK, ACK | PSH, ACK | FIN | PSH, ACK | ECE, ACK | CWR | PSH]),
        [fixed_id, df, whole] in any::<[bool; 3]>(),
        options in prop::collection::vec(any::<[u8; 4]>(), 0..=10),
        payload in prop::collection::vec(any::<u8>(), 2..if cfg!(miri) { 100 } else { 3000usize }),
        size in 1..1500usize,
    ) {
        let size = size.min(payload.len() - 1);
        let mut payload = payload;
        if whole {
            payload.truncate((payload.len() / size).max(2) * size);
            prop_assume!(payload.len() > size);
        }
        let [sequence, acknowledgment, id] = numbers;
        let df = df || fixed_id;
        let packet = Packet {
            tos,
            ttl,
            sequence,
            acknowledgment,
            id: if v6 { 0 } else { id as u16 },
            fragment: if !v6 && df { 0x4000 } else { 0 },
            flags,
            options: options.concat(),
            payload,
            ..Packet::tcp(v6, 0)
        };
        let gso = Gso {
            transport: Transport::Tcp,
            size: size as u16,
            fixed_id: fixed_id && !v6,
            acc_ecn: flags & CWR != 0,
        };
        let bytes = packet.partial();
        let transport = packet.network_len() as u32;
        let segments = cut(&bytes, 200, transport, gso).unwrap();
        let got = merge(&segments, DEFAULT_MAX_SIZE);
        prop_assert_eq!(got.len(), 1);
        let merged = got[0].merged.unwrap();
        prop_assert!(got[0].bytes == bytes);
        prop_assert_eq!(usize::from(merged.segments), segments.len());
        let again = Gso {
            transport: Transport::Tcp,
            size: merged.size,
            fixed_id: merged.fixed_id,
            acc_ecn: merged.acc_ecn,
        };
        prop_assert_eq!(again, gso);
        prop_assert_eq!(merged.ipv6, v6);
        prop_assert_eq!(u32::from(merged.transport_offset), transport);
        prop_assert!(cut(&got[0].bytes, 200, transport, again).as_ref() == Some(&segments));
    }
}
