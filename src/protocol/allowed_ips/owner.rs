// SPDX-License-Identifier: GPL-2.0

//! What an owner has, in the order in which it was added.

use super::node::{Arena, Link, Node, NodeId};
use super::prefix::Prefix;
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};

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

    pub(super) fn append<A: Arena>(&self, arena: &A, id: NodeId, node: &Node<A::Value>) {
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

    pub(super) fn unlink<A: Arena>(&self, arena: &A, node: &Node<A::Value>) {
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
