// SPDX-License-Identifier: GPL-2.0

//! The trie of allowed IPs against a list of prefixes that is searched from end
//! to end, with storage that runs out, links that lie, and readers that run
//! while it changes.

mod common;
#[path = "allowed_ips/readers.rs"]
mod readers;

use common::rounds;
use common::trie::{
    bits, from_bits, masked, max_length, prefix, Both, Net, Nodes, Peer, PeerSlot, Storage, OWNERS,
};
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use proptest::prelude::*;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::Arc;
use wireguard_protocol::protocol::allowed_ips::{Arena, ArenaMut, Node, NodeId, Prefix, Table};

/// Few enough bits vary that prefixes nest, collide and fork.
fn address() -> impl Strategy<Value = IpAddr> {
    let varying = |bytes: &'static [u8]| prop::sample::select(bytes);
    prop_oneof![
        (
            varying(&[0, 10, 11, 138]),
            varying(&[0, 1, 128, 255]),
            0..4u8,
            any::<u8>()
        )
            .prop_map(|(a, b, c, d)| Ipv4Addr::new(a, b, c, d).into()),
        (
            0..4u16,
            varying(&[0, 1, 128]),
            0..3u64,
            prop::sample::select(&[0, 1, u64::MAX][..])
        )
            .prop_map(|(a, b, c, d)| {
                let high = u64::from(a) << 56 | u64::from(b) << 30 | c;
                Ipv6Addr::from(u128::from(high) << 64 | u128::from(d)).into()
            }),
        any::<u32>().prop_map(|ip| Ipv4Addr::from(ip).into()),
        any::<u128>().prop_map(|ip| Ipv6Addr::from(ip).into()),
    ]
}

fn net() -> impl Strategy<Value = Net> {
    (address(), 0..=128u8, 0..6u8).prop_map(|(address, length, kind)| {
        let max = max_length(address);
        let length = match kind {
            0 => max,
            1 => length % 12,
            2 => length / 8 * 8,
            _ => length,
        };
        (address, length % (max + 1))
    })
}

#[derive(Clone, Debug)]
enum Op {
    Insert(Net, usize),
    Remove(Net, usize),
    RemoveKnown(prop::sample::Index, bool),
    MoveKnown(prop::sample::Index, usize),
    RemoveOwner(usize),
    Clear,
    Lookup(IpAddr),
    GracePeriod,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        20 => (net(), 0..OWNERS).prop_map(|(net, owner)| Op::Insert(net, owner)),
        2 => (net(), 0..OWNERS).prop_map(|(net, owner)| Op::Remove(net, owner)),
        10 => (any::<prop::sample::Index>(), prop::bool::weighted(0.9))
            .prop_map(|(index, right)| Op::RemoveKnown(index, right)),
        4 => (any::<prop::sample::Index>(), 0..OWNERS)
            .prop_map(|(index, owner)| Op::MoveKnown(index, owner)),
        1 => (0..OWNERS).prop_map(Op::RemoveOwner),
        1 => prop::bool::weighted(0.2).prop_map(|all| if all { Op::Clear } else { Op::GracePeriod }),
        10 => address().prop_map(Op::Lookup),
        3 => Just(Op::GracePeriod),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(rounds(400) as u32))]

    #[test]
    #[cfg_attr(miri, ignore = "would take minutes")]
    fn agrees_with_the_model(ops in prop::collection::vec(op(), 1..120)) {
        let nodes = Nodes::new(600);
        let mut both = Both::new(&nodes);
        for op in ops {
            match op {
                Op::Insert(net, owner) => {
                    prop_assert!(both.insert_with_setbacks(net, owner) <= 2);
                }
                Op::Remove(net, owner) => both.remove(net, owner),
                Op::RemoveKnown(index, right) if !both.model.0.is_empty() => {
                    let (net, owner) = *index.get(&both.model.0);
                    both.remove(net, if right { owner } else { (owner + 1) % OWNERS });
                }
                Op::MoveKnown(index, owner) if !both.model.0.is_empty() => {
                    let (net, _) = *index.get(&both.model.0);
                    // What exists already takes no node to move.
                    prop_assert_eq!(both.insert_with_setbacks(net, owner), 0);
                }
                Op::RemoveOwner(owner) => both.remove_by_owner(owner),
                Op::Clear => both.clear(),
                Op::Lookup(address) => {
                    prop_assert_eq!(both.lookup(address), both.model.lookup(address));
                }
                _ => both.storage.grace_period(),
            }
            both.check();
        }
        both.clear();
        both.check();
        prop_assert_eq!(both.storage.in_use(), 0);
    }

    #[test]
    fn prefixes_are_masked(address in address(), length in 0..=255u8) {
        let prefix = Prefix::new(address, length);
        prop_assert_eq!(prefix.is_some(), length <= max_length(address));
        if let Some(prefix) = prefix {
            let expected = masked((address, length));
            prop_assert_eq!((prefix.address(), prefix.length()), expected);
            prop_assert_eq!(Prefix::new(expected.0, length), Some(prefix));
        }
    }

    /// Whatever a link leads to, a lookup ends, and so does everything else.
    #[test]
    #[cfg_attr(miri, ignore = "would take minutes")]
    fn contradictory_links_do_no_harm(
        nets in prop::collection::vec((net(), 0..OWNERS), 1..60),
        factor: u32,
        offset: u32,
        addresses in prop::collection::vec(address(), 20),
    ) {
        let nodes = Nodes::new(200);
        let mut both = Both::new(&nodes);
        for (net, owner) in nets {
            both.insert(net, owner).unwrap();
        }
        let mut scrambled = Scrambled { storage: both.storage, factor, offset };
        for address in addresses {
            both.table.find(&scrambled, address);
            both.table.lookup(&scrambled, address, PeerSlot::acquire);
        }
        for peer in &both.peers {
            prop_assert!(peer.list.iter(&scrambled).count() <= 60);
        }
        for (index, (net, owner)) in both.model.0.iter().enumerate() {
            let peer = &both.peers[*owner];
            if index % 2 == 0 {
                both.table.remove(&mut scrambled, prefix(*net), &peer.list);
            } else {
                let _ = both.table.insert(&mut scrambled, prefix(*net), peer.clone());
            }
        }
        for peer in &both.peers[1..] {
            both.table.remove_by_owner(&mut scrambled, &peer.list);
        }
        both.table.clear(&mut scrambled);
    }
}

/// Storage that returns another node than asked for.
struct Scrambled<'a> {
    storage: Storage<'a>,
    factor: u32,
    offset: u32,
}

impl Arena for Scrambled<'_> {
    type Value = PeerSlot;

    fn get(&self, id: NodeId) -> Option<&Node<PeerSlot>> {
        let index = id
            .index()
            .wrapping_mul(self.factor)
            .wrapping_add(self.offset);
        self.storage.get(NodeId::from_index(index % 201)?)
    }
}

impl ArenaMut for Scrambled<'_> {
    fn alloc(&mut self) -> Option<NodeId> {
        self.storage.free.pop()
    }

    fn retire(&mut self, _: NodeId) {}
}

/// The shortest circle: a node that is its own child, and matches everything.
#[test]
#[cfg_attr(miri, ignore = "would take minutes")]
fn lookups_in_a_circle_end() {
    let nodes = Nodes::new(200);
    let mut both = Both::new(&nodes);
    both.insert(parse("0.0.0.0/0"), 0).unwrap();
    both.insert(parse("0.0.0.0/1"), 1).unwrap();
    let offset = both.peers[0].list.first().unwrap().index();
    let mut circle = Scrambled {
        storage: both.storage,
        factor: 0,
        offset,
    };
    let found = both.table.find(&circle, ip("0.0.0.0")).unwrap();
    assert_eq!(found.prefix(), prefix(parse("0.0.0.0/0")));
    let peer = both.peers[0].clone();
    let _ = both
        .table
        .insert(&mut circle, prefix(parse("0.0.0.0/2")), peer.clone());
    both.table
        .remove(&mut circle, prefix(parse("0.0.0.0/1")), &peer.list);
    assert!(peer.list.iter(&circle).count() <= 3);
    both.table.clear(&mut circle);
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn parse(text: &str) -> Net {
    let (address, length) = text.split_once('/').unwrap();
    (ip(address), length.parse().unwrap())
}

#[test]
fn nodes_are_small() {
    assert_eq!(size_of::<Node<u64>>(), 48);
    assert_eq!(size_of::<Option<NodeId>>(), 4);
}

#[test]
fn the_most_specific_entry_wins() {
    let nodes = Nodes::new(100);
    let mut both = Both::new(&nodes);
    for (net, owner) in [
        ("0.0.0.0/0", 0),
        ("10.0.0.0/8", 1),
        ("10.1.0.0/16", 2),
        ("10.1.2.3/32", 3),
        ("::/0", 3),
        ("2001:db8::/32", 2),
        ("2001:db8::1/128", 1),
    ] {
        both.insert(parse(net), owner).unwrap();
        both.check();
    }
    for (address, owner) in [
        ("9.255.255.255", 0),
        ("10.0.0.0", 1),
        ("10.0.255.255", 1),
        ("10.1.0.0", 2),
        ("10.1.2.2", 2),
        ("10.1.2.3", 3),
        ("10.1.2.4", 2),
        ("10.2.0.0", 1),
        ("11.0.0.0", 0),
        ("2001:db7:ffff::", 3),
        ("2001:db8::", 2),
        ("2001:db8::1", 1),
        ("2001:db8::2", 2),
        ("2001:db9::", 3),
    ] {
        assert_eq!(both.lookup(ip(address)), Some(owner), "{address}");
    }
    both.remove(parse("0.0.0.0/0"), 0);
    assert_eq!(both.lookup(ip("11.0.0.0")), None);
    assert_eq!(both.lookup(ip("10.0.0.1")), Some(1));
    // IPv4 addresses are no IPv6 addresses.
    assert_eq!(both.lookup(ip("::ffff:10.1.2.3")), Some(3));
    both.remove(parse("::/0"), 3);
    assert_eq!(both.lookup(ip("::ffff:10.1.2.3")), None);
    assert_eq!(both.lookup(ip("::10.1.2.3")), None);
    assert_eq!(both.lookup(ip("a01:203::")), None);
}

#[test]
fn host_bits_do_not_count() {
    let nodes = Nodes::new(10);
    let mut both = Both::new(&nodes);
    both.insert(parse("10.0.0.5/8"), 0).unwrap();
    let (id, prefix) = both.peers[0].list.iter(&both.storage).next().unwrap();
    assert_eq!((prefix.address(), prefix.length()), (ip("10.0.0.0"), 8));
    assert_eq!(both.storage.get(id).unwrap().prefix(), prefix);
    assert_eq!(both.lookup(ip("10.200.0.1")), Some(0));
    both.remove(parse("10.7.7.7/8"), 0);
    assert_eq!(both.storage.in_use(), 0);
}

#[test]
#[cfg_attr(miri, ignore = "would take minutes")]
fn every_length_at_once() {
    for (base, other) in [
        ("0.0.0.0", "255.255.255.255"),
        ("::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
    ] {
        for base in [ip(base), ip(other)] {
            let max = max_length(base);
            let nodes = Nodes::new(129);
            let mut both = Both::new(&nodes);
            for length in (0..=max).rev() {
                both.insert((base, length), usize::from(length) % OWNERS)
                    .unwrap();
            }
            both.check();
            for bit in 0..max {
                // Differs from the base first in this bit.
                let address = from_bits(base, bits(base) ^ 1 << (127 - bit));
                assert_eq!(both.lookup(address), Some(usize::from(bit) % OWNERS));
            }
            assert_eq!(both.lookup(base), Some(usize::from(max) % OWNERS));
            for length in 0..=max {
                both.remove((base, length), usize::from(length) % OWNERS);
                both.check();
            }
            assert_eq!(both.storage.in_use(), 0);
        }
    }
}

#[test]
fn entries_move_between_owners() {
    let nodes = Nodes::new(10);
    let mut both = Both::new(&nodes);
    for net in ["10.0.0.0/24", "10.0.1.0/24", "10.0.2.0/24"] {
        both.insert(parse(net), 0).unwrap();
    }
    // The first, the middle and the last of a list; and to the end of its own.
    for (net, owner) in [
        ("10.0.0.0/24", 1),
        ("10.0.2.0/24", 1),
        ("10.0.1.0/24", 1),
        ("10.0.2.0/24", 1),
        ("10.0.2.0/24", 0),
    ] {
        both.insert(parse(net), owner).unwrap();
        both.check();
    }
    // Only the owner can lose it.
    both.remove(parse("10.0.2.0/24"), 1);
    assert_eq!(both.lookup(ip("10.0.2.1")), Some(0));
}

#[test]
#[cfg_attr(miri, ignore = "would take minutes")]
fn dumps_resume_where_they_stopped() {
    let nodes = Nodes::new(200);
    let mut both = Both::new(&nodes);
    for i in 0..50 {
        both.insert((Ipv4Addr::new(10, 0, i, 0).into(), 24), 0)
            .unwrap();
        both.insert((Ipv4Addr::new(10, 1, i, 0).into(), 24), 1)
            .unwrap();
    }
    let seq = both.table.seq();
    let mut dumped = Vec::new();
    let mut cursor = both.peers[0].list.first();
    while cursor.is_some() {
        let mut entries = both.peers[0].list.iter_from(&both.storage, cursor);
        dumped.extend(entries.by_ref().take(7).map(|(_, prefix)| prefix));
        cursor = entries.cursor();
    }
    assert_eq!(both.table.seq(), seq);
    let expected: Vec<Prefix> = both.model.of(0).into_iter().map(prefix).collect();
    assert_eq!(dumped, expected);
}

#[test]
#[cfg_attr(miri, ignore = "would take minutes")]
fn nothing_is_left_behind_by_many_entries() {
    let nodes = Nodes::new(5000);
    let mut both = Both::new(&nodes);
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random
    };
    for _ in 0..1000 {
        let ip = Ipv4Addr::from(next() as u32);
        both.insert((ip.into(), next() as u8 % 33), next() as usize % OWNERS)
            .unwrap();
        let ip = Ipv6Addr::from(u128::from(next()) << 64 | u128::from(next()));
        both.insert((ip.into(), next() as u8 % 129), next() as usize % OWNERS)
            .unwrap();
    }
    both.check();
    for owner in 0..OWNERS - 1 {
        both.remove_by_owner(owner);
        both.check();
    }
    both.clear();
    both.check();
    assert_eq!(both.storage.in_use(), 0);
    // Everything can be had again.
    both.storage.grace_period();
    both.insert(parse("10.0.0.0/8"), 0).unwrap();
    both.check();
}

#[test]
fn a_lookup_that_cannot_acquire_gives_up() {
    let nodes = Nodes::new(4);
    let mut both = Both::new(&nodes);
    both.insert(parse("10.0.0.0/8"), 0).unwrap();
    let mut attempts = 0;
    let found: Option<()> = both.table.lookup(&both.storage, ip("10.0.0.1"), |_| {
        attempts += 1;
        None
    });
    assert_eq!(found, None);
    assert!((2..100).contains(&attempts));
    // The next attempt may succeed.
    let mut attempts = 0;
    let found = both.table.lookup(&both.storage, ip("10.0.0.1"), |_| {
        attempts += 1;
        (attempts == 2).then_some(attempts)
    });
    assert_eq!(found, Some(2));
}
