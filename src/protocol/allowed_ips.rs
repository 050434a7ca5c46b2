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

mod node;
mod owner;
mod prefix;

pub use node::{Arena, ArenaMut, Node, NodeId, Slot};
pub use owner::{Entries, OwnerList};
pub use prefix::Prefix;

use core::net::IpAddr;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use node::Link;
use prefix::Bits;

/// Nodes on a path at the most: one for each prefix length from 0 to 128.
const MAX_DEPTH: usize = 129;

/// How often a lookup starts over because the entry it found was taken out
/// before its owner could be had.
const MAX_ATTEMPTS: usize = 8;

/// How many nodes an insertion takes at most: the entry's own and a fork above
/// it.
pub const NODES_PER_ENTRY: usize = 2;

type Owner<A> = <<A as Arena>::Value as Slot>::Owner;

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
