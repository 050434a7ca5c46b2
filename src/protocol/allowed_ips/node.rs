// SPDX-License-Identifier: GPL-2.0

//! The nodes of the trie, and the arena that they are in.

use super::prefix::{Bits, Prefix};
use super::OwnerList;
use core::num::NonZeroU32;
use core::sync::atomic::{
    AtomicBool, AtomicU32, AtomicU64, AtomicU8,
    Ordering::{Acquire, Relaxed, Release},
};

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
pub(super) struct Link(AtomicU32);

impl Link {
    pub(super) const fn new() -> Self {
        Link(AtomicU32::new(0))
    }

    pub(super) fn decode(number: u32) -> Option<NodeId> {
        NonZeroU32::new(number).map(NodeId)
    }

    pub(super) fn encode(id: Option<NodeId>) -> u32 {
        id.map_or(0, |id| id.0.get())
    }

    /// Follows a link that readers follow.
    #[inline]
    pub(super) fn follow(&self) -> Option<NodeId> {
        Self::decode(self.0.load(Acquire))
    }

    /// Makes a complete node reachable.
    pub(super) fn publish(&self, id: Option<NodeId>) {
        self.0.store(Self::encode(id), Release);
    }

    /// Reads a link that only writers look at.
    pub(super) fn get(&self) -> Option<NodeId> {
        Self::decode(self.0.load(Relaxed))
    }

    /// Changes a link that only writers look at.
    pub(super) fn set(&self, id: Option<NodeId>) {
        self.0.store(Self::encode(id), Relaxed);
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

/// An element of the trie: 40 bytes and the value.
#[derive(Debug)]
#[repr(C)]
pub struct Node<V> {
    children: [Link; 2],
    pub(super) parent: Link,
    length: AtomicU8,
    pub(super) v6: AtomicBool,
    high: AtomicU64,
    low: AtomicU64,
    pub(super) value: V,
    // Neighbours in the owner's list.
    pub(super) previous: Link,
    pub(super) next: Link,
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
    pub(super) fn bits(&self) -> Bits {
        Bits {
            high: self.high.load(Relaxed),
            low: self.low.load(Relaxed),
        }
    }

    #[inline]
    pub(super) fn length(&self) -> u8 {
        self.length.load(Relaxed)
    }

    /// The link towards addresses that continue with `bits`.
    #[inline]
    pub(super) fn towards(&self, bits: Bits) -> &Link {
        let [zero, one] = &self.children;
        if bits.bit(self.length()) == 0 {
            zero
        } else {
            one
        }
    }

    pub(super) fn children(&self) -> [Option<NodeId>; 2] {
        let [zero, one] = &self.children;
        [zero.follow(), one.follow()]
    }

    /// Prepares a node just allocated.
    pub(super) fn reset(&self, prefix: Prefix, parent: Option<NodeId>) {
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
