// SPDX-License-Identifier: GPL-2.0

//! What readers see while the writer changes the trie.

use super::*;

/// Readers that tell when they hold no node any more.
struct Readers {
    rounds: Vec<AtomicU64>,
    stop: AtomicBool,
}

const DONE: u64 = u64::MAX;

impl Readers {
    fn new(count: usize) -> Self {
        Readers {
            rounds: (0..count).map(|_| AtomicU64::new(0)).collect(),
            stop: AtomicBool::new(false),
        }
    }

    /// Has reader number `index` act until it is to stop.
    fn read(&self, index: usize, mut act: impl FnMut()) {
        // Counts as done however the reader ends, lest the writer wait for ever.
        struct Done<'a>(&'a AtomicU64);
        impl Drop for Done<'_> {
            fn drop(&mut self) {
                self.0.store(DONE, Ordering::SeqCst);
            }
        }
        let round = &self.rounds[index];
        let _done = Done(round);
        while !self.stop.load(Ordering::SeqCst) {
            act();
            round.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Has the readers stop once the writer is done, also if a test fails.
    fn stop_with_writer(&self) -> impl Drop + '_ {
        struct Stop<'a>(&'a AtomicBool);
        impl Drop for Stop<'_> {
            fn drop(&mut self) {
                self.0.store(true, Ordering::SeqCst);
            }
        }
        Stop(&self.stop)
    }

    /// Waits until every reader has been without a node once.
    fn synchronize(&self) {
        let seen: Vec<u64> = self
            .rounds
            .iter()
            .map(|round| round.load(Ordering::SeqCst))
            .collect();
        for (round, seen) in self.rounds.iter().zip(seen) {
            while seen != DONE && round.load(Ordering::SeqCst) == seen {
                std::thread::yield_now();
            }
        }
    }
}

#[test]
fn readers_see_one_state_or_the_other() {
    let nodes = Nodes::new(64);
    let table = Table::new();
    let peers: Vec<Arc<Peer>> = (0..6).map(Peer::new).collect();
    let mut storage = Storage::new(&nodes);
    // These stay.
    for (net, owner) in [("0.0.0.0/0", 0), ("10.0.0.0/8", 1)] {
        table
            .insert(&mut storage, prefix(parse(net)), peers[owner].clone())
            .unwrap();
    }
    // These come and go, and with them the forks between them.
    let volatile = [
        ("10.1.0.0/16", 2),
        ("10.1.2.0/24", 3),
        ("10.1.2.3/32", 4),
        ("10.1.3.0/24", 5),
        ("10.1.2.128/25", 5),
        ("10.64.0.0/10", 5),
        ("10.1.2.2/32", 5),
    ];
    // What an address may turn out to belong to meanwhile.
    let expected: [(&str, &[usize]); 6] = [
        ("11.0.0.1", &[0]),
        ("10.2.0.1", &[1]),
        ("10.1.9.1", &[1, 2]),
        ("10.1.2.4", &[1, 2, 3]),
        ("10.1.2.3", &[1, 2, 3, 4]),
        ("10.65.0.1", &[1, 5]),
    ];
    let readers = Readers::new(2);
    std::thread::scope(|scope| {
        let _stop = readers.stop_with_writer();
        for index in 0..readers.rounds.len() {
            let (readers, table, nodes) = (&readers, &table, &nodes);
            scope.spawn(move || {
                readers.read(index, || {
                    for (address, owners) in expected {
                        let found = table.lookup(nodes, ip(address), PeerSlot::acquire);
                        let name = found.map(|peer| peer.name);
                        assert!(
                            name.is_some_and(|name| owners.contains(&name)),
                            "{address}: {name:?}"
                        );
                    }
                });
            });
        }
        let mut random = 0x2545_f491_4f6c_dd1d_u64;
        for _ in 0..rounds(20_000) {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let (net, owner) = volatile[(random >> 8) as usize % volatile.len()];
            let (net, peer) = (prefix(parse(net)), &peers[owner]);
            if random & 1 == 0 {
                table.insert(&mut storage, net, peer.clone()).unwrap();
            } else {
                table.remove(&mut storage, net, &peer.list);
            }
            if storage.free.len() < 8 {
                readers.synchronize();
                storage.grace_period();
            }
        }
    });
}

#[test]
fn clearing_does_not_route_to_the_less_specific() {
    let nodes = Nodes::new(64);
    let table = Table::new();
    let (broad, narrow) = (Peer::new(0), Peer::new(1));
    let readers = Readers::new(2);
    std::thread::scope(|scope| {
        let _stop = readers.stop_with_writer();
        for index in 0..readers.rounds.len() {
            let (readers, table, nodes) = (&readers, &table, &nodes);
            scope.spawn(move || {
                readers.read(index, || {
                    let found = table.lookup(nodes, ip("10.1.0.1"), PeerSlot::acquire);
                    assert_ne!(found.map(|peer| peer.name), Some(0));
                });
            });
        }
        let mut storage = Storage::new(&nodes);
        for _ in 0..rounds(5_000) {
            for (net, peer) in [("10.1.0.0/16", &narrow), ("10.0.0.0/8", &broad)] {
                table
                    .insert(&mut storage, prefix(parse(net)), peer.clone())
                    .unwrap();
            }
            table.clear(&mut storage);
            assert_eq!(storage.in_use(), 0);
            if storage.free.len() < 8 {
                readers.synchronize();
                storage.grace_period();
            }
        }
    });
}
