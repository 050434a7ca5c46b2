// SPDX-License-Identifier: GPL-2.0
//! The replay window, with packets in order and out of order.

use criterion::{criterion_group, criterion_main, Criterion, Throughput};
use std::hint::black_box;
use wireguard_protocol::protocol::replay::ReplayWindow;

const PACKETS: u64 = 10_000;

fn replay(c: &mut Criterion) {
    let mut group = c.benchmark_group("replay");
    group.throughput(Throughput::Elements(PACKETS));
    // Neighbours swapped in blocks, as several paths or queues do it.
    for (name, block) in [("in order", 1), ("out of order by 64", 64)] {
        let counters: Vec<u64> = (0..PACKETS)
            .map(|i| i - i % block + (block - 1 - i % block))
            .collect();
        group.bench_function(name, |b| {
            b.iter(|| {
                let mut window = ReplayWindow::new();
                counters
                    .iter()
                    .filter(|counter| window.check_and_update(black_box(**counter)))
                    .count()
            });
        });
    }
    group.bench_function("leaping over 100", |b| {
        b.iter(|| {
            let mut window = ReplayWindow::new();
            (0..PACKETS)
                .filter(|counter| window.check_and_update(black_box(counter * 100)))
                .count()
        });
    });
    group.finish();
}

criterion_group!(benches, replay);
criterion_main!(benches);
