// SPDX-License-Identifier: GPL-2.0
//! Lookups and insertions of allowed IPs, up to a million entries, beside a trie
//! by others that has one writer and no readers meanwhile.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use criterion::{criterion_group, criterion_main, BatchSize, BenchmarkId, Criterion, Throughput};
use ip_network_table::IpNetworkTable;
use std::hint::black_box;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use wireguard_protocol::protocol::allowed_ips::{
    Arena, ArenaMut, Node, NodeId, OwnerList, Prefix, Slot, Table,
};

const PEERS: usize = 1000;
const LOOKUPS: usize = 1000;
const SIZES: [usize; 5] = [1, 100, 10_000, 100_000, 1_000_000];

static LISTS: [OwnerList; PEERS] = [const { OwnerList::new() }; PEERS];

/// The number of a peer, or none at 0.
#[derive(Default)]
struct PeerSlot(AtomicUsize);

impl PeerSlot {
    fn list(number: usize) -> &'static OwnerList {
        &LISTS[number - 1]
    }
}

impl Slot for PeerSlot {
    type Owner = usize;

    fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed) != 0
    }

    fn set(&self, owner: usize) {
        self.0.store(owner, Ordering::Release);
    }

    fn clear(&self) {
        self.0.store(0, Ordering::Release);
    }

    fn list_of(owner: &usize) -> &OwnerList {
        Self::list(*owner)
    }

    fn with_list<R>(&self, act: impl FnOnce(&OwnerList) -> R) -> Option<R> {
        match self.0.load(Ordering::Acquire) {
            0 => None,
            number => Some(act(Self::list(number))),
        }
    }
}

/// Nodes that are not handed out twice.
struct Nodes {
    nodes: Vec<Node<PeerSlot>>,
    used: u32,
}

impl Nodes {
    fn new(entries: usize) -> Self {
        let nodes = (0..2 * entries).map(|_| Node::new(PeerSlot::default()));
        Nodes {
            nodes: nodes.collect(),
            used: 0,
        }
    }
}

impl Arena for Nodes {
    type Value = PeerSlot;

    #[inline]
    fn get(&self, id: NodeId) -> Option<&Node<PeerSlot>> {
        self.nodes.get(id.index() as usize)
    }
}

impl ArenaMut for Nodes {
    fn alloc(&mut self) -> Option<NodeId> {
        let id = NodeId::from_index(self.used)?;
        self.get(id)?;
        self.used += 1;
        Some(id)
    }

    fn retire(&mut self, _: NodeId) {}
}

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

/// Networks of all lengths that occur, in the part of the address space that
/// private networks have.
fn networks(v6: bool, count: usize) -> Vec<(IpAddr, u8)> {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    (0..count)
        .map(|_| {
            let bits = random.next();
            if v6 {
                let address = 0xfd << 120 | u128::from(bits) << 40;
                (Ipv6Addr::from(address).into(), 48 + (bits % 17) as u8 * 5)
            } else {
                let address = 10 << 24 | (bits >> 32) as u32 & 0xff_ffff;
                (Ipv4Addr::from(address).into(), 20 + (bits % 13) as u8)
            }
        })
        .collect()
}

/// A table and what it is made of. There may be one at a time, since all have
/// the same peers.
struct Ours {
    table: Table,
    nodes: Nodes,
}

impl Ours {
    fn with_room_for(entries: usize) -> Self {
        Ours {
            table: Table::new(),
            nodes: Nodes::new(entries),
        }
    }

    fn fill(&mut self, networks: &[(IpAddr, u8)]) {
        for (number, (address, length)) in networks.iter().enumerate() {
            let prefix = Prefix::new(*address, *length).expect("a network");
            self.table
                .insert(&mut self.nodes, prefix, 1 + number % PEERS)
                .expect("a node is free");
        }
    }
}

impl Drop for Ours {
    fn drop(&mut self) {
        // So that the peers have none left.
        self.table.clear(&mut self.nodes);
    }
}

fn fill_other(networks: &[(IpAddr, u8)]) -> IpNetworkTable<usize> {
    let mut table = IpNetworkTable::new();
    for (number, (address, length)) in networks.iter().enumerate() {
        let network = ip_network::IpNetwork::new_truncate(*address, *length).expect("a network");
        table.insert(network, 1 + number % PEERS);
    }
    table
}

fn families() -> [(&'static str, bool); 2] {
    [("v4", false), ("v6", true)]
}

fn lookup(c: &mut Criterion) {
    let mut group = c.benchmark_group("allowed IPs: lookup");
    group.throughput(Throughput::Elements(LOOKUPS as u64));
    for (family, v6) in families() {
        for size in SIZES {
            let networks = networks(v6, size);
            let mut random = Random(7);
            let wanted: Vec<IpAddr> = (0..LOOKUPS)
                .map(|_| networks[random.next() as usize % size].0)
                .collect();
            let mut ours = Ours::with_room_for(size);
            ours.fill(&networks);
            let Ours { table, nodes } = &ours;
            let other = fill_other(&networks);
            for address in &wanted {
                let found = table
                    .find(nodes, *address)
                    .map(|node| node.prefix().length());
                let expected = other.longest_match(*address).map(|(net, _)| net.netmask());
                assert_eq!(found, expected);
            }
            group.bench_function(BenchmarkId::new(family, size), |b| {
                b.iter(|| {
                    for address in &wanted {
                        black_box(table.find(nodes, black_box(*address)));
                    }
                });
            });
            group.bench_function(BenchmarkId::new(format!("{family} of others"), size), |b| {
                b.iter(|| {
                    for address in &wanted {
                        black_box(other.longest_match(black_box(*address)));
                    }
                });
            });
        }
    }
    group.finish();
}

fn insert(c: &mut Criterion) {
    let mut group = c.benchmark_group("allowed IPs: insert");
    group.sample_size(10);
    for (family, v6) in families() {
        for size in [10_000, 1_000_000] {
            let networks = networks(v6, size);
            group.throughput(Throughput::Elements(size as u64));
            group.bench_function(BenchmarkId::new(family, size), |b| {
                b.iter_batched_ref(
                    || Ours::with_room_for(size),
                    |ours| ours.fill(&networks),
                    BatchSize::PerIteration,
                );
            });
            group.bench_function(BenchmarkId::new(format!("{family} of others"), size), |b| {
                b.iter_with_large_drop(|| fill_other(&networks));
            });
        }
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(2));
    targets = lookup, insert
}
criterion_main!(benches);
