// SPDX-License-Identifier: GPL-2.0
//! The headers of a TSO packet's segments, and what it takes to merge them again;
//! payload is neither summed nor copied.

use criterion::{criterion_group, criterion_main, Criterion, Throughput};
use std::hint::black_box;
use wireguard_protocol::protocol::gro::{Run, Segment};
use wireguard_protocol::protocol::gso::{Gso, Segmenter, Transport};

#[path = "../tests/common/mod.rs"]
mod common;

use common::offload::{cut, Packet};

const SEGMENTS: usize = 47;
const SIZE: usize = 1368;

fn offload(c: &mut Criterion) {
    let mut group = c.benchmark_group("offload");
    group.throughput(Throughput::Elements(SEGMENTS as u64));
    for v6 in [false, true] {
        let version = if v6 { "IPv6" } else { "IPv4" };
        let bytes = Packet::tcp(v6, SEGMENTS * SIZE).partial();
        let transport = if v6 { 40 } else { 20 };
        let gso = Gso {
            transport: Transport::Tcp,
            size: SIZE as u16,
            fixed_id: false,
            acc_ecn: false,
        };
        group.bench_function(format!("segment {version}"), |b| {
            let mut out = [0; 128];
            b.iter(|| {
                let start = black_box(&bytes[..]);
                let segmenter = Segmenter::new(start, start.len() as u32, transport, gso).unwrap();
                (0..segmenter.segments())
                    .filter(|index| segmenter.write(*index, black_box(7), black_box(&mut out)))
                    .count()
            });
        });
        let segments = cut(&bytes, 200, transport, gso).unwrap();
        group.bench_function(format!("merge {version}"), |b| {
            let mut out = [0; 128];
            b.iter(|| {
                let mut all = segments.iter().map(|packet| black_box(&packet[..]));
                let first = all.next().unwrap();
                let mut run = Run::begin(&Segment::parse(first).unwrap(), first).unwrap();
                for packet in all {
                    let segment = Segment::parse(packet).unwrap();
                    black_box(run.push(&segment, packet));
                }
                assert_eq!(run.segments(), SEGMENTS as u32);
                run.finish(&mut out).unwrap()
            });
        });
    }
    group.finish();
}

criterion_group!(benches, offload);
criterion_main!(benches);
