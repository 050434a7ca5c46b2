// SPDX-License-Identifier: GPL-2.0

//! The trie of allowed IPs, with storage on the host, beside a list of prefixes
//! that is searched from end to end.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use wireguard_protocol::protocol::allowed_ips::{
    Arena, ArenaMut, Node, NodeId, OutOfNodes, OwnerList, Prefix, Slot, Table,
};

/// An owner of prefixes.
#[derive(Debug)]
pub struct Peer {
    pub name: usize,
    pub list: OwnerList,
}

impl Peer {
    pub fn new(name: usize) -> Arc<Self> {
        Arc::new(Peer {
            name,
            list: OwnerList::new(),
        })
    }
}

#[derive(Default)]
pub struct PeerSlot {
    // Tells without waiting for a lock.
    pub set: AtomicBool,
    pub peer: Mutex<Option<Arc<Peer>>>,
}

impl PeerSlot {
    pub fn acquire(&self) -> Option<Arc<Peer>> {
        self.peer.lock().unwrap().clone()
    }
}

impl Slot for PeerSlot {
    type Owner = Arc<Peer>;

    fn is_set(&self) -> bool {
        self.set.load(Ordering::Acquire)
    }

    fn set(&self, owner: Arc<Peer>) {
        *self.peer.lock().unwrap() = Some(owner);
        self.set.store(true, Ordering::Release);
    }

    fn clear(&self) {
        self.set.store(false, Ordering::Release);
        *self.peer.lock().unwrap() = None;
    }

    fn list_of(owner: &Arc<Peer>) -> &OwnerList {
        &owner.list
    }

    fn with_list<R>(&self, act: impl FnOnce(&OwnerList) -> R) -> Option<R> {
        let peer = self.acquire()?;
        Some(act(&peer.list))
    }
}

pub struct Nodes(pub Vec<Node<PeerSlot>>);

impl Nodes {
    pub fn new(count: usize) -> Self {
        Nodes((0..count).map(|_| Node::new(PeerSlot::default())).collect())
    }
}

impl Arena for Nodes {
    type Value = PeerSlot;

    fn get(&self, id: NodeId) -> Option<&Node<PeerSlot>> {
        self.0.get(id.index() as usize)
    }
}

/// What the writer holds.
pub struct Storage<'a> {
    pub nodes: &'a Nodes,
    pub free: Vec<NodeId>,
    pub retired: Vec<NodeId>,
    /// Allocations that will still succeed.
    pub budget: usize,
}

impl<'a> Storage<'a> {
    pub fn new(nodes: &'a Nodes) -> Self {
        Storage {
            nodes,
            free: (0..nodes.0.len() as u32)
                .map(|index| NodeId::from_index(index).unwrap())
                .collect(),
            retired: Vec::new(),
            budget: usize::MAX,
        }
    }

    pub fn in_use(&self) -> usize {
        self.nodes.0.len() - self.free.len() - self.retired.len()
    }

    pub fn grace_period(&mut self) {
        self.free.append(&mut self.retired);
    }
}

impl Arena for Storage<'_> {
    type Value = PeerSlot;

    fn get(&self, id: NodeId) -> Option<&Node<PeerSlot>> {
        self.nodes.get(id)
    }
}

impl ArenaMut for Storage<'_> {
    fn alloc(&mut self) -> Option<NodeId> {
        self.budget = self.budget.checked_sub(1)?;
        let id = self.free.pop()?;
        assert!(!self.get(id).unwrap().value().is_set());
        Some(id)
    }

    fn retire(&mut self, id: NodeId) {
        assert!(!self.get(id).unwrap().value().is_set());
        assert!(!self.free.contains(&id) && !self.retired.contains(&id));
        self.retired.push(id);
    }
}

/// An address and how many of its bits count, as plain data.
pub type Net = (IpAddr, u8);

pub fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(ip) => u128::from(u32::from(ip)) << 96,
        IpAddr::V6(ip) => ip.into(),
    }
}

pub fn max_length(address: IpAddr) -> u8 {
    if address.is_ipv4() {
        32
    } else {
        128
    }
}

pub fn from_bits(like: IpAddr, bits: u128) -> IpAddr {
    match like {
        IpAddr::V4(_) => Ipv4Addr::from((bits >> 96) as u32).into(),
        IpAddr::V6(_) => Ipv6Addr::from(bits).into(),
    }
}

pub fn mask(length: u8) -> u128 {
    u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0)
}

pub fn masked((address, length): Net) -> Net {
    (from_bits(address, bits(address) & mask(length)), length)
}

pub fn matches((network, length): Net, address: IpAddr) -> bool {
    network.is_ipv4() == address.is_ipv4() && (bits(network) ^ bits(address)) & mask(length) == 0
}

pub fn prefix((address, length): Net) -> Prefix {
    Prefix::new(address, length).unwrap()
}

/// All there is, oldest first.
#[derive(Clone, Default)]
pub struct Model(pub Vec<(Net, usize)>);

impl Model {
    pub fn insert(&mut self, net: Net, owner: usize) {
        let net = masked(net);
        self.0.retain(|(other, _)| *other != net);
        self.0.push((net, owner));
    }

    pub fn remove(&mut self, net: Net, owner: usize) -> bool {
        let before = self.0.len();
        self.0.retain(|entry| *entry != (masked(net), owner));
        self.0.len() != before
    }

    pub fn lookup(&self, address: IpAddr) -> Option<usize> {
        self.0
            .iter()
            .filter(|(net, _)| matches(*net, address))
            .max_by_key(|(net, _)| net.1)
            .map(|(_, owner)| *owner)
    }

    pub fn of(&self, owner: usize) -> Vec<Net> {
        self.0
            .iter()
            .filter(|entry| entry.1 == owner)
            .map(|entry| entry.0)
            .collect()
    }

    /// How many nodes a trie needs at the least: one for each entry, and one for
    /// each prefix that two entries have in common and that is not an entry.
    pub fn nodes_needed(&self) -> usize {
        let nets: BTreeSet<Net> = self.0.iter().map(|entry| entry.0).collect();
        let mut needed = nets.clone();
        let sorted: Vec<Net> = nets.into_iter().collect();
        for pair in sorted.windows(2) {
            let [a, b] = pair else { unreachable!() };
            if a.0.is_ipv4() == b.0.is_ipv4() {
                let common = (bits(a.0) ^ bits(b.0)).leading_zeros() as u8;
                needed.insert(masked((a.0, common.min(a.1).min(b.1))));
            }
        }
        needed.len()
    }

    /// The addresses at which something might change.
    pub fn interesting(&self) -> BTreeSet<IpAddr> {
        let mut addresses = BTreeSet::new();
        for ((network, length), _) in &self.0 {
            let first = bits(*network);
            let last = first | !mask(*length);
            let unit = if network.is_ipv4() { 1 << 96 } else { 1 };
            for at in [
                first,
                last,
                first.wrapping_sub(unit),
                last.wrapping_add(unit),
            ] {
                addresses.insert(from_bits(*network, at));
            }
        }
        addresses
    }
}

pub const OWNERS: usize = 4;

pub struct Both<'a> {
    pub table: Table,
    pub storage: Storage<'a>,
    pub peers: Vec<Arc<Peer>>,
    pub model: Model,
}

impl<'a> Both<'a> {
    pub fn new(nodes: &'a Nodes) -> Self {
        Both {
            table: Table::new(),
            storage: Storage::new(nodes),
            peers: (0..OWNERS).map(Peer::new).collect(),
            model: Model::default(),
        }
    }

    pub fn lookup(&self, address: IpAddr) -> Option<usize> {
        self.table
            .lookup(&self.storage, address, PeerSlot::acquire)
            .map(|peer| peer.name)
    }

    pub fn insert(&mut self, net: Net, owner: usize) -> Result<(), OutOfNodes> {
        let peer = self.peers[owner].clone();
        let seq = self.table.seq();
        let result = self.table.insert(&mut self.storage, prefix(net), peer);
        assert_ne!(self.table.seq(), seq);
        if result.is_ok() {
            self.model.insert(net, owner);
        }
        result
    }

    /// Lets the insertion run out of nodes as often as it can before it
    /// succeeds, and returns how often that was.
    pub fn insert_with_setbacks(&mut self, net: Net, owner: usize) -> usize {
        for budget in 0.. {
            self.storage.budget = budget;
            let before = self.storage.in_use();
            let result = self.insert(net, owner);
            self.storage.budget = usize::MAX;
            if result.is_ok() {
                return budget;
            }
            assert_eq!(self.storage.in_use(), before);
            self.check();
        }
        unreachable!()
    }

    pub fn remove(&mut self, net: Net, owner: usize) {
        let seq = self.table.seq();
        let list = &self.peers[owner].list;
        let removed = self.table.remove(&mut self.storage, prefix(net), list);
        assert_eq!(removed, self.model.remove(net, owner));
        assert_ne!(self.table.seq(), seq);
    }

    pub fn remove_by_owner(&mut self, owner: usize) {
        let list = &self.peers[owner].list;
        self.table.remove_by_owner(&mut self.storage, list);
        self.model.0.retain(|entry| entry.1 != owner);
    }

    pub fn clear(&mut self) {
        self.table.clear(&mut self.storage);
        self.model.0.clear();
    }

    pub fn check(&self) {
        for (owner, peer) in self.peers.iter().enumerate() {
            let listed: Vec<Net> = peer
                .list
                .iter(&self.storage)
                .map(|(_, prefix)| (prefix.address(), prefix.length()))
                .collect();
            assert_eq!(listed, self.model.of(owner));
            assert_eq!(peer.list.len() as usize, listed.len());
            assert_eq!(peer.list.is_empty(), listed.is_empty());
            // References are neither lost nor left behind.
            assert_eq!(Arc::strong_count(peer), 1 + listed.len());
        }
        assert_eq!(self.storage.in_use(), self.model.nodes_needed());
        for address in self.model.interesting() {
            assert_eq!(
                self.lookup(address),
                self.model.lookup(address),
                "{address}"
            );
        }
    }
}
