// SPDX-License-Identifier: GPL-2.0

//! Cryptokey routing (WireGuard paper section 2): which peer an inner address
//! belongs to, by longest matching prefix.
//!
//! # Structure
//!
//! One binary trie per address family, with path compression: a node is either
//! an *entry*, whose value names its owner, or a *fork*, which has no value and
//! exactly two children. A child's prefix is longer than its parent's and
//! extends it, so that no path is longer than 129 nodes. Every owner also has a
//! list of its entries in the order they were added.
//!
//! # Concurrency
//!
//! Any number of readers look addresses up while at most one writer changes the
//! trie; the writer shows that it is alone by its `&mut` [`ArenaMut`]. Nodes
//! refer to each other by number, and all that readers touch is atomic:
//!
//! * A node is complete before the link that makes it reachable is stored with
//!   release ordering; readers follow links with acquire ordering.
//! * The prefix of a reachable node never changes.
//! * A node taken out keeps its prefix and its links until a grace period has
//!   passed, so that readers still on it find their way.
//!
//! Whatever the links say, a lookup follows at most 129 of them.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::num::NonZeroU32;
use core::sync::atomic::{
    AtomicBool, AtomicU32, AtomicU64, AtomicU8,
    Ordering::{Acquire, Relaxed, Release},
};

/// Nodes on a path at the most: one for each prefix length from 0 to 128.
const MAX_DEPTH: usize = 129;

/// How often a lookup starts over because the entry it found was taken out
/// before its owner could be had.
const MAX_ATTEMPTS: usize = 8;

/// The leading bits of an address, in host order. IPv4 addresses occupy the
/// uppermost 32.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Bits {
    high: u64,
    low: u64,
}

impl Bits {
    #[inline]
    const fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(ip) => Bits {
                high: (ip.to_bits() as u64) << 32,
                low: 0,
            },
            IpAddr::V6(ip) => {
                let [a0, a1, a2, a3, a4, a5, a6, a7, b0, b1, b2, b3, b4, b5, b6, b7] = ip.octets();
                Bits {
                    high: u64::from_be_bytes([a0, a1, a2, a3, a4, a5, a6, a7]),
                    low: u64::from_be_bytes([b0, b1, b2, b3, b4, b5, b6, b7]),
                }
            }
        }
    }

    /// How many leading bits agree, up to 128.
    #[inline]
    const fn common(self, other: Bits) -> u32 {
        let high = (self.high ^ other.high).leading_zeros();
        if high < u64::BITS {
            high
        } else {
            high + (self.low ^ other.low).leading_zeros()
        }
    }

    /// Bit number `index` from the left, which selects a child. Zero past the
    /// end.
    #[inline]
    const fn bit(self, index: u8) -> usize {
        let (half, shift) = match index {
            0..64 => (self.high, 63 - index),
            64..128 => (self.low, 127 - index),
            _ => return 0,
        };
        (half >> shift) as usize & 1
    }

    /// Without all but the first `length` bits.
    const fn truncated(self, length: u8) -> Self {
        // Shifting by 64 is not defined, hence the detour over `checked_shr`.
        const fn mask(length: u8) -> u64 {
            match u64::MAX.checked_shr(length as u32) {
                Some(rest) => !rest,
                None => u64::MAX,
            }
        }
        Bits {
            high: self.high & mask(length),
            low: self.low & mask(length.saturating_sub(64)),
        }
    }
}

/// A network: an address and how many of its leading bits count. The others are
/// zero.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Prefix {
    bits: Bits,
    length: u8,
    v6: bool,
}

impl Prefix {
    /// The network of `length` bits that `address` is in. `None` if addresses of
    /// that family are shorter.
    pub const fn new(address: IpAddr, length: u8) -> Option<Self> {
        let (v6, max) = match address {
            IpAddr::V4(_) => (false, Ipv4Addr::BITS),
            IpAddr::V6(_) => (true, Ipv6Addr::BITS),
        };
        if length as u32 > max {
            return None;
        }
        Some(Prefix {
            bits: Bits::of(address).truncated(length),
            length,
            v6,
        })
    }

    /// The lowest address of the network.
    pub const fn address(self) -> IpAddr {
        if self.v6 {
            let [a0, a1, a2, a3, a4, a5, a6, a7] = self.bits.high.to_be_bytes();
            let [b0, b1, b2, b3, b4, b5, b6, b7] = self.bits.low.to_be_bytes();
            IpAddr::V6(Ipv6Addr::from_bits(u128::from_be_bytes([
                a0, a1, a2, a3, a4, a5, a6, a7, b0, b1, b2, b3, b4, b5, b6, b7,
            ])))
        } else {
            IpAddr::V4(Ipv4Addr::from_bits((self.bits.high >> 32) as u32))
        }
    }

    /// How many bits count.
    pub const fn length(self) -> u8 {
        self.length
    }

    fn truncated(self, length: u8) -> Self {
        Prefix {
            bits: self.bits.truncated(length),
            length,
            ..self
        }
    }

    /// Whether all of `other` lies within.
    fn contains(self, other: Prefix) -> bool {
        self.length <= other.length && self.bits.common(other.bits) >= u32::from(self.length)
    }
}

/// The number of a node in its arena.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
#[repr(transparent)]
pub struct NodeId(NonZeroU32);

impl NodeId {
    /// The node at position `index`. `None` for the one number that is taken to
    /// mean "no node".
    #[inline]
    pub const fn from_index(index: u32) -> Option<Self> {
        match NonZeroU32::new(index.wrapping_add(1)) {
            Some(number) => Some(NodeId(number)),
            None => None,
        }
    }

    /// Position of the node.
    #[inline]
    pub const fn index(self) -> u32 {
        self.0.get() - 1
    }
}

/// A place for a node number, or none.
#[derive(Debug)]
struct Link(AtomicU32);

impl Link {
    const fn new() -> Self {
        Link(AtomicU32::new(0))
    }

    fn decode(number: u32) -> Option<NodeId> {
        NonZeroU32::new(number).map(NodeId)
    }

    fn encode(id: Option<NodeId>) -> u32 {
        id.map_or(0, |id| id.0.get())
    }

    /// Follows a link that readers follow.
    #[inline]
    fn follow(&self) -> Option<NodeId> {
        Self::decode(self.0.load(Acquire))
    }

    /// Makes a complete node reachable.
    fn publish(&self, id: Option<NodeId>) {
        self.0.store(Self::encode(id), Release);
    }

    /// Reads a link that only writers look at.
    fn get(&self) -> Option<NodeId> {
        Self::decode(self.0.load(Relaxed))
    }

    /// Changes a link that only writers look at.
    fn set(&self, id: Option<NodeId>) {
        self.0.store(Self::encode(id), Relaxed);
    }
}

/// The entries of one owner, in the order they were added. Lives in the owner
/// and is touched under the writer's lock only.
#[derive(Debug)]
pub struct OwnerList {
    head: Link,
    tail: Link,
    len: AtomicU32,
}

impl OwnerList {
    /// An empty list.
    pub const fn new() -> Self {
        OwnerList {
            head: Link::new(),
            tail: Link::new(),
            len: AtomicU32::new(0),
        }
    }

    /// How many entries the owner has.
    pub fn len(&self) -> u32 {
        self.len.load(Relaxed)
    }

    /// Whether the owner has no entries.
    pub fn is_empty(&self) -> bool {
        self.head.get().is_none()
    }

    /// The oldest entry.
    pub fn first(&self) -> Option<NodeId> {
        self.head.get()
    }

    /// The entries from the oldest on.
    pub fn iter<'a, A: Arena>(&self, arena: &'a A) -> Entries<'a, A> {
        self.iter_from(arena, self.first())
    }

    /// The entries from `cursor` on, which an earlier iteration yielded or
    /// [`Entries::cursor`] returned. Valid as long as [`Table::seq`] has not
    /// changed.
    pub fn iter_from<'a, A: Arena>(&self, arena: &'a A, cursor: Option<NodeId>) -> Entries<'a, A> {
        Entries {
            arena,
            next: cursor,
            limit: self.len(),
        }
    }

    fn append<A: Arena>(&self, arena: &A, id: NodeId, node: &Node<A::Value>) {
        let last = self.tail.get();
        node.previous.set(last);
        node.next.set(None);
        match last.and_then(|last| arena.get(last)) {
            Some(last) => last.next.set(Some(id)),
            None => self.head.set(Some(id)),
        }
        self.tail.set(Some(id));
        self.len.store(self.len().saturating_add(1), Relaxed);
    }

    fn unlink<A: Arena>(&self, arena: &A, node: &Node<A::Value>) {
        let (previous, next) = (node.previous.get(), node.next.get());
        match previous.and_then(|id| arena.get(id)) {
            Some(neighbour) => neighbour.next.set(next),
            None => self.head.set(next),
        }
        match next.and_then(|id| arena.get(id)) {
            Some(neighbour) => neighbour.previous.set(previous),
            None => self.tail.set(previous),
        }
        node.previous.set(None);
        node.next.set(None);
        self.len.store(self.len().saturating_sub(1), Relaxed);
    }
}

impl Default for OwnerList {
    fn default() -> Self {
        Self::new()
    }
}

/// Iterates over an owner's entries; see [`OwnerList::iter`].
pub struct Entries<'a, A: Arena> {
    arena: &'a A,
    next: Option<NodeId>,
    // Ends the iteration should the links form a circle.
    limit: u32,
}

impl<A: Arena> Entries<'_, A> {
    /// Where to resume to see what has not been yielded yet; `None` at the end.
    pub fn cursor(&self) -> Option<NodeId> {
        self.next
    }
}

impl<A: Arena> Iterator for Entries<'_, A> {
    type Item = (NodeId, Prefix);

    fn next(&mut self) -> Option<Self::Item> {
        let id = self.next?;
        self.limit = self.limit.checked_sub(1)?;
        let node = self.arena.get(id)?;
        self.next = node.next.get();
        Some((id, node.prefix()))
    }
}

/// Where an entry keeps a strong reference to its owner.
pub trait Slot {
    /// A strong reference to an owner.
    type Owner;

    /// Whether a reference is stored. Called by readers at any time.
    fn is_set(&self) -> bool;

    /// Stores a reference, giving up the one stored before, if any, once no
    /// reader can be using it any more. What made `owner` is visible to readers
    /// that find it. Called by the writer.
    fn set(&self, owner: Self::Owner);

    /// Gives up the reference stored, if any, once no reader can be using it
    /// any more. Called by the writer.
    fn clear(&self);

    /// The list of an owner. Owners are told apart by where their lists are.
    fn list_of(owner: &Self::Owner) -> &OwnerList;

    /// Calls `act` with the list of the owner stored, if any. Called by the
    /// writer.
    fn with_list<R>(&self, act: impl FnOnce(&OwnerList) -> R) -> Option<R>;
}

/// Storage for nodes, as readers see it.
pub trait Arena {
    /// What entries hold.
    type Value: Slot;

    /// The node with the number `id`, if it exists.
    fn get(&self, id: NodeId) -> Option<&Node<Self::Value>>;
}

/// Storage for nodes, as the writer sees it. To have a `&mut` of one is to be
/// the only writer.
pub trait ArenaMut: Arena {
    /// A node that is not in use and whose value is not set.
    fn alloc(&mut self) -> Option<NodeId>;

    /// Takes a node back. Its value is not set any more. Readers may be on it
    /// still: it must be left as it is, and not be handed out again, before a
    /// grace period has passed.
    fn retire(&mut self, id: NodeId);
}

/// How many nodes an insertion takes at most: the entry's own and a fork above
/// it.
pub const NODES_PER_ENTRY: usize = 2;

type Owner<A> = <<A as Arena>::Value as Slot>::Owner;

/// An element of the trie: 40 bytes and the value.
#[derive(Debug)]
#[repr(C)]
pub struct Node<V> {
    children: [Link; 2],
    parent: Link,
    length: AtomicU8,
    v6: AtomicBool,
    high: AtomicU64,
    low: AtomicU64,
    value: V,
    // Neighbours in the owner's list.
    previous: Link,
    next: Link,
}

impl<V> Node<V> {
    /// A node for an arena to hand out. `value` is not set.
    pub const fn new(value: V) -> Self {
        Node {
            children: [Link::new(), Link::new()],
            parent: Link::new(),
            length: AtomicU8::new(0),
            v6: AtomicBool::new(false),
            high: AtomicU64::new(0),
            low: AtomicU64::new(0),
            value,
            previous: Link::new(),
            next: Link::new(),
        }
    }

    /// The owner's slot.
    #[inline]
    pub const fn value(&self) -> &V {
        &self.value
    }

    /// The network this entry or fork stands for.
    pub fn prefix(&self) -> Prefix {
        Prefix {
            bits: self.bits(),
            length: self.length(),
            v6: self.v6.load(Relaxed),
        }
    }

    #[inline]
    fn bits(&self) -> Bits {
        Bits {
            high: self.high.load(Relaxed),
            low: self.low.load(Relaxed),
        }
    }

    #[inline]
    fn length(&self) -> u8 {
        self.length.load(Relaxed)
    }

    /// The link towards addresses that continue with `bits`.
    #[inline]
    fn towards(&self, bits: Bits) -> &Link {
        let [zero, one] = &self.children;
        if bits.bit(self.length()) == 0 {
            zero
        } else {
            one
        }
    }

    fn children(&self) -> [Option<NodeId>; 2] {
        let [zero, one] = &self.children;
        [zero.follow(), one.follow()]
    }

    /// Prepares a node just allocated.
    fn reset(&self, prefix: Prefix, parent: Option<NodeId>) {
        for child in &self.children {
            child.set(None);
        }
        self.parent.set(parent);
        self.length.store(prefix.length, Relaxed);
        self.v6.store(prefix.v6, Relaxed);
        self.high.store(prefix.bits.high, Relaxed);
        self.low.store(prefix.bits.low, Relaxed);
        self.previous.set(None);
        self.next.set(None);
    }
}

/// There was no room for another entry; nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfNodes;

/// The allowed IPs of a device. The nodes are elsewhere, in an arena; one arena
/// belongs to one table, and every call is to be given the same.
#[derive(Debug)]
pub struct Table {
    root4: Link,
    root6: Link,
    // How many nodes are reachable: what bounds walks over all of them.
    nodes: AtomicU32,
    seq: AtomicU64,
}

impl Table {
    /// A table without entries.
    pub const fn new() -> Self {
        Table {
            root4: Link::new(),
            root6: Link::new(),
            nodes: AtomicU32::new(0),
            seq: AtomicU64::new(1),
        }
    }

    /// A number that changes with every modification, for dumps that span
    /// several calls to notice one.
    pub fn seq(&self) -> u64 {
        self.seq.load(Relaxed)
    }

    fn modified(&self) {
        self.seq.store(self.seq().wrapping_add(1), Relaxed);
    }

    fn retire<A: ArenaMut>(&self, arena: &mut A, id: NodeId) {
        let left = self.nodes.load(Relaxed).saturating_sub(1);
        self.nodes.store(left, Relaxed);
        arena.retire(id);
    }

    #[inline]
    const fn root(&self, v6: bool) -> &Link {
        if v6 {
            &self.root6
        } else {
            &self.root4
        }
    }

    /// The most specific entry that `address` matches.
    ///
    /// By the time it is returned the entry may have lost its owner again;
    /// [`lookup`](Self::lookup) deals with that.
    #[inline]
    pub fn find<'a, A: Arena>(&self, arena: &'a A, address: IpAddr) -> Option<&'a Node<A::Value>> {
        let wanted = Bits::of(address);
        let mut best = None;
        let mut next = self.root(address.is_ipv6()).follow();
        for _ in 0..MAX_DEPTH {
            let Some(node) = next.and_then(|id| arena.get(id)) else {
                break;
            };
            if node.bits().common(wanted) < u32::from(node.length()) {
                break;
            }
            if node.value.is_set() {
                best = Some(node);
            }
            next = node.towards(wanted).follow();
        }
        best
    }

    /// Has `acquire` turn the value of the most specific entry that `address`
    /// matches into a reference to its owner.
    ///
    /// If there is none to be had any more, the writer has just taken the entry
    /// out, and the search starts over. It is given up after a few rounds.
    #[inline]
    pub fn lookup<'a, A: Arena, R>(
        &self,
        arena: &'a A,
        address: IpAddr,
        mut acquire: impl FnMut(&'a A::Value) -> Option<R>,
    ) -> Option<R> {
        for _ in 0..MAX_ATTEMPTS {
            let found = acquire(self.find(arena, address)?.value());
            if found.is_some() {
                return found;
            }
        }
        None
    }

    /// Gives `prefix` to `owner`, taking it away from whoever has it. It becomes
    /// the last of the owner's entries.
    pub fn insert<A: ArenaMut>(
        &self,
        arena: &mut A,
        prefix: Prefix,
        owner: Owner<A>,
    ) -> Result<(), OutOfNodes> {
        self.modified();
        let id = self.obtain(arena, prefix)?;
        let node = arena.get(id).ok_or(OutOfNodes)?;
        node.value.with_list(|list| list.unlink(&*arena, node));
        A::Value::list_of(&owner).append(&*arena, id, node);
        node.value.set(owner);
        Ok(())
    }

    /// Takes `prefix` away from the owner of `list`. `false` if that owner does
    /// not have it.
    pub fn remove<A: ArenaMut>(&self, arena: &mut A, prefix: Prefix, list: &OwnerList) -> bool {
        self.modified();
        let Some((id, node)) = self.deepest(&*arena, prefix) else {
            return false;
        };
        let owned = node.value.with_list(|owner| core::ptr::eq(owner, list));
        if node.prefix() != prefix || owned != Some(true) {
            return false;
        }
        self.vacate(arena, id);
        true
    }

    /// Takes away all entries of the owner of `list`.
    pub fn remove_by_owner<A: ArenaMut>(&self, arena: &mut A, list: &OwnerList) {
        if list.is_empty() {
            return;
        }
        self.modified();
        for _ in 0..list.len() {
            match list.first() {
                Some(id) => self.vacate(arena, id),
                None => break,
            }
        }
    }

    /// Takes away all entries of everybody.
    pub fn clear<A: ArenaMut>(&self, arena: &mut A) {
        self.modified();
        for root in [&self.root4, &self.root6] {
            let limit = self.nodes.load(Relaxed);
            let top = root.follow();
            root.publish(None);

            // General entries go before specific ones: a reader on its way down
            // must not take the general one for the best match.
            let mut next = top;
            for _ in 0..limit {
                let Some((id, node)) = next.and_then(|id| Some((id, arena.get(id)?))) else {
                    break;
                };
                node.value.with_list(|list| list.unlink(&*arena, node));
                node.value.clear();
                next = after_in_preorder(&*arena, id, node);
            }

            // Children go before parents, which are needed to get there.
            let mut next = top.map(|id| leftmost_leaf(&*arena, id));
            for _ in 0..limit {
                let Some(id) = next else { break };
                next = after_in_postorder(&*arena, id);
                self.retire(arena, id);
            }
        }
    }

    /// The node with the longest prefix that contains `prefix`.
    fn deepest<'a, A: Arena>(
        &self,
        arena: &'a A,
        prefix: Prefix,
    ) -> Option<(NodeId, &'a Node<A::Value>)> {
        let mut best = None;
        let mut next = self.root(prefix.v6).follow();
        for _ in 0..MAX_DEPTH {
            let Some((id, node)) = next.and_then(|id| Some((id, arena.get(id)?))) else {
                break;
            };
            if !node.prefix().contains(prefix) {
                break;
            }
            best = Some((id, node));
            next = node.towards(prefix.bits).follow();
        }
        best
    }

    /// The node of `prefix`, which is made if there is none yet. All nodes are
    /// allocated before anything else changes.
    fn obtain<A: ArenaMut>(&self, arena: &mut A, prefix: Prefix) -> Result<NodeId, OutOfNodes> {
        let (parent, below) = match self.deepest(&*arena, prefix) {
            Some((id, node)) if node.length() == prefix.length => return Ok(id),
            Some((id, node)) => (Some(id), node.towards(prefix.bits).follow()),
            None => (None, self.root(prefix.v6).follow()),
        };

        // What is there already, and the prefix both have in common.
        let below = below.and_then(|id| Some((id, arena.get(id)?.prefix())));
        let common = below.map_or(prefix, |(_, other)| {
            let bits = other.bits.common(prefix.bits).min(prefix.length.into());
            prefix.truncated(bits as u8)
        });

        let id = arena.alloc().ok_or(OutOfNodes)?;
        let top = if common == prefix {
            id
        } else {
            match arena.alloc() {
                Some(fork) => fork,
                None => {
                    arena.retire(id);
                    return Err(OutOfNodes);
                }
            }
        };

        let node = |id| arena.get(id).ok_or(OutOfNodes);
        node(top)?.reset(common, parent);
        if top != id {
            node(id)?.reset(prefix, Some(top));
            node(top)?.towards(prefix.bits).set(Some(id));
        }
        if let Some((other, bits)) = below {
            node(top)?.towards(bits.bits).set(Some(other));
            node(other)?.parent.set(Some(top));
        }
        match parent {
            Some(parent) => node(parent)?.towards(prefix.bits).publish(Some(top)),
            None => self.root(prefix.v6).publish(Some(top)),
        }
        let added = if top == id { 1 } else { 2 };
        let nodes = self.nodes.load(Relaxed).saturating_add(added);
        self.nodes.store(nodes, Relaxed);
        Ok(id)
    }

    /// Takes the owner from an entry, and out of the trie what is not needed
    /// there any more: the entry unless it must remain as a fork, and a fork
    /// above that has only one way left to go.
    fn vacate<A: ArenaMut>(&self, arena: &mut A, id: NodeId) {
        let Some(node) = arena.get(id) else { return };
        node.value.with_list(|list| list.unlink(&*arena, node));
        node.value.clear();

        let only_child = match node.children() {
            [Some(_), Some(_)] => return,
            [zero, one] => zero.or(one),
        };
        let parent = node.parent.get();
        self.replace(&*arena, id, node, only_child);
        self.retire(arena, id);

        if only_child.is_some() {
            return;
        }
        if let Some((id, fork)) = parent.and_then(|id| Some((id, arena.get(id)?))) {
            if !fork.value.is_set() {
                let [zero, one] = fork.children();
                self.replace(&*arena, id, fork, zero.or(one));
                self.retire(arena, id);
            }
        }
    }

    /// Puts `child` where `node` is.
    fn replace<A: Arena>(
        &self,
        arena: &A,
        id: NodeId,
        node: &Node<A::Value>,
        child: Option<NodeId>,
    ) {
        let parent = node.parent.get();
        let link = match parent {
            None => Some(self.root(node.v6.load(Relaxed))),
            Some(parent) => arena.get(parent).map(|parent| parent.towards(node.bits())),
        };
        // Anything else would mean that the links contradict each other.
        let Some(link) = link.filter(|link| link.get() == Some(id)) else {
            return;
        };
        link.publish(child);
        if let Some(child) = child.and_then(|id| arena.get(id)) {
            child.parent.set(parent);
        }
    }
}

impl Default for Table {
    fn default() -> Self {
        Self::new()
    }
}

/// The node that comes after one and its parents, but before its children.
fn after_in_preorder<A: Arena>(arena: &A, id: NodeId, node: &Node<A::Value>) -> Option<NodeId> {
    let [zero, one] = node.children();
    if let Some(child) = zero.or(one) {
        return Some(child);
    }
    let mut from = id;
    let mut parent = node.parent.get();
    for _ in 0..MAX_DEPTH {
        let up = parent?;
        let node = arena.get(up)?;
        match node.children() {
            [Some(zero), Some(one)] if zero == from => return Some(one),
            _ => {}
        }
        from = up;
        parent = node.parent.get();
    }
    None
}

/// The first node in postorder of the tree below `id`.
fn leftmost_leaf<A: Arena>(arena: &A, id: NodeId) -> NodeId {
    let mut leaf = id;
    for _ in 0..MAX_DEPTH {
        let Some([zero, one]) = arena.get(leaf).map(Node::children) else {
            break;
        };
        match zero.or(one) {
            Some(child) => leaf = child,
            None => break,
        }
    }
    leaf
}

/// The node that comes after one and its children, but before its parents.
fn after_in_postorder<A: Arena>(arena: &A, id: NodeId) -> Option<NodeId> {
    let up = arena.get(id)?.parent.get()?;
    match arena.get(up)?.children() {
        [Some(zero), Some(one)] if zero == id => Some(leftmost_leaf(arena, one)),
        _ => Some(up),
    }
}
