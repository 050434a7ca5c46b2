// SPDX-License-Identifier: GPL-2.0

//! GSO and GRO without any cleverness: packets are taken apart into fields, cut up
//! or joined as fields, and put together with checksums made from the beginning.

use wireguard_protocol::protocol::gro::{Merged, Run, Segment, Verdict};
use wireguard_protocol::protocol::gso::{Gso, Segmenter, Transport};

pub const FIN: u8 = 1;
pub const SYN: u8 = 2;
pub const RST: u8 = 4;
pub const PSH: u8 = 8;
pub const ACK: u8 = 16;
pub const URG: u8 = 32;
pub const ECE: u8 = 64;
pub const CWR: u8 = 128;

/// A TCP or UDP packet, field by field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    pub v6: bool,
    /// TOS or traffic class.
    pub tos: u8,
    pub flow_label: u32,
    pub id: u16,
    /// The whole half-word, with the bits in front.
    pub fragment: u16,
    pub ttl: u8,
    /// IPv4 takes the first four bytes.
    pub source: [u8; 16],
    pub destination: [u8; 16],
    pub ip_options: Vec<u8>,
    pub tcp: bool,
    pub ports: [u16; 2],
    pub sequence: u32,
    pub acknowledgment: u32,
    /// The four bits behind the data offset.
    pub reserved: u8,
    pub flags: u8,
    pub window: u16,
    pub urgent: u16,
    pub options: Vec<u8>,
    pub payload: Vec<u8>,
}

/// The sum of big-endian words in one's complement.
pub fn sum(bytes: &[u8]) -> u16 {
    let mut sum = 0;
    for pair in bytes.chunks(2) {
        sum += u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
        if sum > 0xffff {
            sum -= 0xffff;
        }
    }
    sum as u16
}

/// The 32-bit sum of the machine's own words, as `csum_partial()` makes it.
pub fn csum_partial(bytes: &[u8]) -> u32 {
    let mut sum = 0u32;
    for four in bytes.chunks(4) {
        let mut padded = [0; 4];
        padded[..four.len()].copy_from_slice(four);
        let (next, carry) = sum.overflowing_add(u32::from_ne_bytes(padded));
        sum = next + u32::from(carry);
    }
    sum
}

fn be16(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

fn be32(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap())
}

impl Packet {
    /// An ordinary segment.
    pub fn tcp(v6: bool, payload: usize) -> Self {
        let address = |last: u8| {
            let mut address = [0; 16];
            if v6 {
                address = *b"\x20\x01\x0d\xb8some network\0\0\0\0"
                    .first_chunk()
                    .unwrap();
                address[15] = last;
            } else {
                address[..4].copy_from_slice(&[10, 0, 0, last]);
            }
            address
        };
        Packet {
            v6,
            tos: 0,
            flow_label: if v6 { 0x54321 } else { 0 },
            id: if v6 { 0 } else { 700 },
            fragment: if v6 { 0 } else { 0x4000 },
            ttl: 64,
            source: address(1),
            destination: address(2),
            ip_options: vec![],
            tcp: true,
            ports: [5201, 40000],
            sequence: 1000,
            acknowledgment: 2000,
            reserved: 0,
            flags: ACK,
            window: 501,
            urgent: 0,
            // No operation twice, then timestamps.
            options: vec![1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8],
            payload: (0..payload).map(|i| (i * 7 + i / 256) as u8).collect(),
        }
    }

    /// An ordinary datagram.
    pub fn udp(v6: bool, payload: usize) -> Self {
        Packet {
            tcp: false,
            sequence: 0,
            acknowledgment: 0,
            flags: 0,
            window: 0,
            options: vec![],
            ..Packet::tcp(v6, payload)
        }
    }

    pub fn network_len(&self) -> usize {
        if self.v6 {
            40
        } else {
            20 + self.ip_options.len()
        }
    }

    pub fn header_len(&self) -> usize {
        self.network_len() + if self.tcp { 20 + self.options.len() } else { 8 }
    }

    pub fn len(&self) -> usize {
        self.header_len() + self.payload.len()
    }

    fn protocol(&self) -> u8 {
        if self.tcp {
            6
        } else {
            17
        }
    }

    /// The sum of the pseudo header.
    pub fn pseudo(&self) -> u16 {
        let addresses = if self.v6 { 16 } else { 4 };
        let mut bytes = self.source[..addresses].to_vec();
        bytes.extend(&self.destination[..addresses]);
        bytes.extend(((self.len() - self.network_len()) as u32).to_be_bytes());
        bytes.extend([0, self.protocol()]);
        sum(&bytes)
    }

    fn network(&self) -> Vec<u8> {
        let length = |len: usize| u16::try_from(len).unwrap_or(0).to_be_bytes();
        let mut bytes = vec![];
        if self.v6 {
            let first = 6 << 28 | u32::from(self.tos) << 20 | self.flow_label;
            bytes.extend(first.to_be_bytes());
            bytes.extend(length(self.len() - 40));
            bytes.extend([self.protocol(), self.ttl]);
            bytes.extend(self.source);
            bytes.extend(self.destination);
        } else {
            bytes.extend([0x40 | (self.network_len() / 4) as u8, self.tos]);
            bytes.extend(length(self.len()));
            bytes.extend(self.id.to_be_bytes());
            bytes.extend(self.fragment.to_be_bytes());
            bytes.extend([self.ttl, self.protocol(), 0, 0]);
            bytes.extend(&self.source[..4]);
            bytes.extend(&self.destination[..4]);
            bytes.extend(&self.ip_options);
            let check = !sum(&bytes);
            bytes[10..12].copy_from_slice(&check.to_be_bytes());
        }
        bytes
    }

    /// The transport header with zero for a checksum.
    fn transport(&self) -> Vec<u8> {
        let mut bytes: Vec<u8> = self
            .ports
            .iter()
            .flat_map(|port| port.to_be_bytes())
            .collect();
        if self.tcp {
            bytes.extend(self.sequence.to_be_bytes());
            bytes.extend(self.acknowledgment.to_be_bytes());
            let offset = (20 + self.options.len()) / 4;
            bytes.extend([(offset as u8) << 4 | self.reserved, self.flags]);
            bytes.extend(self.window.to_be_bytes());
            bytes.extend([0, 0]);
            bytes.extend(self.urgent.to_be_bytes());
            bytes.extend(&self.options);
        } else {
            bytes.extend((8 + self.payload.len() as u16).to_be_bytes());
            bytes.extend([0, 0]);
        }
        bytes
    }

    fn check_at(&self) -> usize {
        self.network_len() + if self.tcp { 16 } else { 6 }
    }

    fn with_check(&self, check: u16) -> Vec<u8> {
        let mut bytes = [self.network(), self.transport(), self.payload.clone()].concat();
        let at = self.check_at();
        bytes[at..at + 2].copy_from_slice(&check.to_be_bytes());
        bytes
    }

    /// The packet as it is sent; `skew` is what its checksum is wrong by.
    pub fn skewed(&self, skew: u16) -> Vec<u8> {
        let mut all = [self.transport(), self.payload.clone()].concat();
        all.resize(all.len().next_multiple_of(2), 0);
        all.extend(self.pseudo().to_be_bytes());
        all.extend(skew.to_be_bytes());
        self.with_check(match !sum(&all) {
            0 if !self.tcp => 0xffff,
            check => check,
        })
    }

    /// The packet as it is sent.
    pub fn bytes(&self) -> Vec<u8> {
        self.skewed(0)
    }

    /// The packet as it is while its checksum is still to be made.
    pub fn partial(&self) -> Vec<u8> {
        self.with_check(self.pseudo())
    }

    /// Takes a packet apart, of which what is behind its length is left out. The
    /// length of one that is too long for its field is that of `bytes`.
    pub fn parse(bytes: &[u8], big: bool) -> Option<Packet> {
        let first = *bytes.first()?;
        let v6 = first >> 4 == 6;
        let network_len = match first >> 4 {
            4 => usize::from(first & 15) * 4,
            6 => 40,
            _ => return None,
        };
        if network_len < 20 || bytes.len() < network_len {
            return None;
        }
        let field = usize::from(be16(bytes, if v6 { 4 } else { 2 }));
        let plus = if v6 { 40 } else { 0 };
        let len = if big && field == 0 && bytes.len() > 65535 + plus {
            bytes.len()
        } else {
            field + plus
        };
        let bytes = bytes.get(..len)?;
        let transport = bytes.get(network_len..)?;
        let address = |at: usize| {
            let mut address = [0; 16];
            let len = if v6 { 16 } else { 4 };
            address[..len].copy_from_slice(&bytes[at..at + len]);
            address
        };
        let tcp = match bytes[if v6 { 6 } else { 9 }] {
            6 => true,
            17 => false,
            _ => return None,
        };
        if transport.len() < if tcp { 20 } else { 8 } {
            return None;
        }
        let transport_len = if tcp {
            usize::from(transport[12] >> 4) * 4
        } else {
            8
        };
        if transport_len < 8 || tcp && transport_len < 20 || transport.len() < transport_len {
            return None;
        }
        let packet = Packet {
            v6,
            tos: if v6 {
                (be16(bytes, 0) >> 4) as u8
            } else {
                bytes[1]
            },
            flow_label: if v6 { be32(bytes, 0) & 0xfffff } else { 0 },
            id: if v6 { 0 } else { be16(bytes, 4) },
            fragment: if v6 { 0 } else { be16(bytes, 6) },
            ttl: bytes[if v6 { 7 } else { 8 }],
            source: address(if v6 { 8 } else { 12 }),
            destination: address(if v6 { 24 } else { 16 }),
            ip_options: if v6 {
                vec![]
            } else {
                bytes[20..network_len].to_vec()
            },
            tcp,
            ports: [be16(transport, 0), be16(transport, 2)],
            sequence: if tcp { be32(transport, 4) } else { 0 },
            acknowledgment: if tcp { be32(transport, 8) } else { 0 },
            reserved: if tcp { transport[12] & 15 } else { 0 },
            flags: if tcp { transport[13] } else { 0 },
            window: if tcp { be16(transport, 14) } else { 0 },
            urgent: if tcp { be16(transport, 18) } else { 0 },
            options: if tcp {
                transport[20..transport_len].to_vec()
            } else {
                vec![]
            },
            payload: transport[transport_len..].to_vec(),
        };
        Some(packet)
    }

    /// The segments that the packet stands for.
    pub fn segments(&self, gso: Gso) -> Vec<Packet> {
        let chunks: Vec<&[u8]> = self.payload.chunks(gso.size.into()).collect();
        let header = Packet {
            payload: vec![],
            ..self.clone()
        };
        let mut segments = vec![];
        for (i, chunk) in chunks.iter().enumerate() {
            let mut segment = Packet {
                payload: chunk.to_vec(),
                ..header.clone()
            };
            if !self.v6 && !gso.fixed_id {
                segment.id = (usize::from(self.id) + i) as u16;
            }
            if self.tcp {
                let before = i * usize::from(gso.size);
                segment.sequence = (u64::from(self.sequence) + before as u64) as u32;
                if i + 1 < chunks.len() {
                    segment.flags &= !(FIN | PSH);
                }
                if i > 0 && !gso.acc_ecn {
                    segment.flags &= !CWR;
                }
            }
            segments.push(segment);
        }
        segments
    }
}

/// What [`Segmenter`] has to make of a GSO packet: the segments, or nothing.
pub fn model_of_cutting(bytes: &[u8], transport: u32, gso: Gso) -> Option<Vec<Vec<u8>>> {
    let packet = Packet::parse(bytes, true)?;
    let right = packet.len() == bytes.len()
        && packet.network_len() == transport as usize
        && packet.tcp == (gso.transport == Transport::Tcp)
        && packet.fragment & !0x4000 == 0
        && gso.size > 0
        && packet.payload.len() > usize::from(gso.size);
    let at = packet.check_at();
    let check = be16(bytes, at);
    if !right
        || !packet.tcp
            && (check == 0
                || usize::from(be16(bytes, at - 2)) != packet.len() - packet.network_len())
    {
        return None;
    }
    let skew = sum(&[check.to_be_bytes(), (!packet.pseudo()).to_be_bytes()].concat());
    let segments = packet.segments(gso);
    let most = if packet.v6 { 65575 } else { 65535 };
    (segments[0].len() <= most).then(|| segments.iter().map(|one| one.skewed(skew)).collect())
}

/// What [`Segmenter`] makes of a GSO packet, of which it sees the first `seen`
/// bytes, or the headers if that is less.
pub fn cut(bytes: &[u8], seen: usize, transport: u32, gso: Gso) -> Option<Vec<Vec<u8>>> {
    let len = bytes.len() as u32;
    let mut start = &bytes[..seen.min(bytes.len())];
    let whole = Segmenter::new(bytes, len, transport, gso)?;
    if start.len() < whole.header_len() {
        assert!(Segmenter::new(start, len, transport, gso).is_none());
        start = &bytes[..whole.header_len()];
    }
    let segmenter = Segmenter::new(start, len, transport, gso).expect("all headers are there");
    let mut segments = vec![];
    let mut end = segmenter.header_len() as u32;
    for index in 0..segmenter.segments() {
        let (at, len) = segmenter.payload(index).unwrap();
        assert_eq!(at, end);
        end += len;
        let payload = &bytes[at as usize..end as usize];
        let header_len = segmenter.header_len();
        assert_eq!(segmenter.segment_len(index), Some(len + header_len as u32));
        // What is behind is left alone, and what does not fit is refused.
        let mut out = vec![0xa5; header_len + 1];
        assert!(!segmenter.write(index, 0, &mut out[..header_len - 1]));
        assert!(segmenter.write(index, csum_partial(payload), &mut out));
        assert_eq!(out.pop(), Some(0xa5));
        out.extend(payload);
        segments.push(out);
    }
    assert_eq!(end, len);
    let behind = segmenter.segments();
    for index in [behind, u32::MAX] {
        assert_eq!(segmenter.payload(index), None);
        assert_eq!(segmenter.segment_len(index), None);
        assert!(!segmenter.write(index, 0, &mut [0; 128]));
    }
    Some(segments)
}

/// How one packet is not what the one before calls for.
#[derive(Clone, Copy, Debug)]
pub enum Odd {
    Nothing,
    /// Flags that are changed.
    Flags(u8),
    /// Length of the payload.
    Payload(usize),
    /// What is added to the IPv4 ID, and stays so for those that follow.
    Id(u16),
    /// What is added to the sequence number, and stays so.
    Sequence(i32),
    /// The window, which stays.
    Window(u16),
    /// A byte of the packet. If that is in an IPv4 header, the checksum follows on
    /// even places.
    Byte(usize, u8),
    /// A wrong IPv4 header checksum.
    Check,
}

/// Packets that continue each other, except where they are odd; IPv4 IDs advance
/// by `step`. They have some bytes of padding.
pub fn stream(first: &Packet, step: u16, odds: &[Odd], padding: usize) -> Vec<Vec<u8>> {
    let v4 = !first.v6;
    let mut next = first.clone();
    let mut packets = vec![];
    for &odd in odds {
        let mut packet = next.clone();
        match odd {
            Odd::Flags(flags) => packet.flags ^= flags,
            Odd::Payload(len) => packet.payload.resize(len, 1),
            Odd::Id(by) if v4 => packet.id = packet.id.wrapping_add(by),
            Odd::Sequence(by) => packet.sequence = packet.sequence.wrapping_add_signed(by),
            Odd::Window(to) => packet.window = to,
            _ => (),
        }
        let mut bytes = packet.bytes();
        match odd {
            Odd::Byte(at, to) => {
                let at = at % bytes.len();
                bytes[at] = to;
                if v4 && at < 20 && at % 2 == 0 {
                    bytes[10..12].fill(0);
                    let check = !sum(&bytes[..20]);
                    bytes[10..12].copy_from_slice(&check.to_be_bytes());
                }
            }
            Odd::Check if v4 => bytes[11] ^= 1,
            _ => (),
        }
        bytes.resize(bytes.len() + padding, 0);
        next.window = packet.window;
        next.sequence = packet.sequence.wrapping_add(packet.payload.len() as u32);
        if v4 {
            next.id = packet.id.wrapping_add(step);
        }
        packets.push(bytes);
    }
    packets
}

/// One packet as it is handed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivered {
    pub bytes: Vec<u8>,
    /// Nothing for one that nobody looked at further.
    pub merged: Option<Merged>,
}

/// Hands packets on in order, with [`Run`] to merge them.
pub fn merge(packets: &[Vec<u8>], max_size: u32) -> Vec<Delivered> {
    fn deliver(run: Option<(Run, Vec<u8>)>, to: &mut Vec<Delivered>) {
        let Some((run, payload)) = run else { return };
        let mut bytes = vec![0xa5; run.header_len() + 1];
        assert!(run.finish(&mut bytes[..run.header_len() - 1]).is_none());
        let merged = run.finish(&mut bytes);
        assert!(merged.is_some());
        assert_eq!(bytes.pop(), Some(0xa5));
        bytes.extend(payload);
        assert_eq!(bytes.len(), run.len());
        to.push(Delivered { bytes, merged });
    }
    let mut all = vec![];
    let mut open: Option<(Run, Vec<u8>)> = None;
    for packet in packets {
        let Some(segment) = Segment::parse(packet) else {
            deliver(open.take(), &mut all);
            all.push(Delivered {
                bytes: packet.clone(),
                merged: None,
            });
            continue;
        };
        let (header, rest) = packet.split_at(segment.header_len());
        let payload = &rest[..segment.payload_len()];
        assert_eq!(header.len() + payload.len(), segment.total_len());
        let verdict = match &mut open {
            Some((run, _)) => run.push(&segment, header),
            None => Verdict::Refused,
        };
        if verdict == Verdict::Refused {
            deliver(open.take(), &mut all);
            let mut run = Run::begin(&segment, packet).unwrap();
            run.set_max_size(max_size);
            assert_eq!(run.segments(), 1);
            open = Some((run, payload.to_vec()));
        } else if let Some((run, so_far)) = &mut open {
            so_far.extend(payload);
            if verdict == Verdict::MergedLast {
                assert!(!run.takes_more());
                let before = run.len();
                assert_eq!(run.push(&segment, header), Verdict::Refused);
                assert_eq!(run.len(), before);
                deliver(open.take(), &mut all);
            }
        }
    }
    deliver(open, &mut all);
    all
}

/// What GRO holds.
struct Held {
    first: Packet,
    raw: Vec<u8>,
    payload: Vec<u8>,
    flags: u8,
    count: usize,
    fixed_id: bool,
    takes_more: bool,
}

impl Held {
    fn deliver(self, to: &mut Vec<Delivered>) {
        let more = self.count > 1;
        let merged = Merged {
            size: if more {
                self.first.payload.len() as u16
            } else {
                0
            },
            segments: self.count as u16,
            ipv6: self.first.v6,
            acc_ecn: more && self.flags & CWR != 0,
            fixed_id: more && self.fixed_id,
            transport_offset: self.first.network_len() as u16,
        };
        let bytes = if more {
            let all = Packet {
                flags: self.flags,
                payload: self.payload,
                ..self.first
            };
            all.partial()
        } else {
            self.raw
        };
        to.push(Delivered {
            bytes,
            merged: Some(merged),
        });
    }
}

/// What [`merge`] has to hand on.
pub fn model_of_merging(packets: &[Vec<u8>], max_size: u32) -> Vec<Delivered> {
    let mut all = vec![];
    let mut held: Option<Held> = None;
    for bytes in packets {
        let candidate = Packet::parse(bytes, false).filter(|packet| {
            packet.tcp
                && packet.ip_options.is_empty()
                && packet.fragment & !0x4000 == 0
                && (packet.v6 || sum(&bytes[..20]) == 0xffff)
                && !packet.payload.is_empty()
                && packet.flags & (SYN | RST | URG) == 0
        });
        let Some(packet) = candidate else {
            if let Some(held) = held.take() {
                held.deliver(&mut all);
            }
            all.push(Delivered {
                bytes: bytes.clone(),
                merged: None,
            });
            continue;
        };
        let len = packet.payload.len();
        let ends = packet.flags & (FIN | PSH) != 0;
        if let Some(p) = &mut held {
            let first = &p.first;
            let ahead = packet.id.wrapping_sub(first.id);
            let fixed_id = match p.count {
                1 => ahead == 0 && first.fragment & 0x4000 != 0,
                _ => p.fixed_id,
            };
            // Field by field, that those that may differ are the first's.
            let alike = Packet {
                id: first.id,
                sequence: first.sequence,
                flags: packet.flags & !(FIN | PSH) | first.flags & (FIN | PSH),
                urgent: first.urgent,
                payload: first.payload.clone(),
                ..packet.clone()
            };
            let merges = p.takes_more
                && alike == *first
                && packet.sequence == first.sequence.wrapping_add(p.payload.len() as u32)
                && len <= first.payload.len()
                && first.header_len() + p.payload.len() + len < max_size as usize
                && (packet.v6 || usize::from(ahead) == if fixed_id { 0 } else { p.count });
            if merges {
                p.payload.extend(&packet.payload);
                p.flags |= packet.flags;
                p.count += 1;
                p.fixed_id = fixed_id && !packet.v6;
                p.takes_more = !ends && len == first.payload.len();
                continue;
            }
        }
        if let Some(held) = held.take() {
            held.deliver(&mut all);
        }
        held = Some(Held {
            raw: bytes[..packet.len()].to_vec(),
            payload: packet.payload.clone(),
            flags: packet.flags,
            count: 1,
            fixed_id: false,
            takes_more: !ends,
            first: packet,
        });
    }
    if let Some(held) = held {
        held.deliver(&mut all);
    }
    all
}
