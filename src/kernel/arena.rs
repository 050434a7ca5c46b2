// SPDX-License-Identifier: GPL-2.0

//! Memory for the nodes of the allowed-IPs trie, which name each other by number.
//!
//! Nodes come in chunks, of which each adds a quarter or less to what there is. They are not freed
//! before the arena is, so a number that a reader holds is always good for some node; and a node
//! that is given back is not given out again before every reader that may have its number has left
//! its read section.
//!
//! C header: `include/linux/rcupdate.h`.

use super::bindings;
use crate::protocol::allowed_ips::{Arena, ArenaMut, Node, NodeId, Slot};
use core::{
    ptr,
    sync::atomic::{AtomicPtr, AtomicU64, Ordering},
};
use kernel::{page::PAGE_SIZE, prelude::*};

/// log2 of how many chunks have the same size, one after the other.
const SAME_LOG: u32 = 2;
/// log2 of the number of nodes in each of the first such chunks.
const FIRST_LOG: u32 = 2;
/// Added to a node's number, this makes its highest bits tell the chunk.
const BIAS: u64 = 1 << (FIRST_LOG + SAME_LOG);
/// Chunks that the numbers of nodes are enough for.
const CHUNKS: usize = 27 << SAME_LOG;

/// The nodes, for readers.
///
/// # Invariants
///
/// The chunk of index `i` is null or an [`allocate`]d array of `1 << size_log(i)` initialised nodes.
pub(crate) struct Nodes<V> {
    chunks: [AtomicPtr<Node<V>>; CHUNKS],
    /// Of the [`Spare`] that they are given out from; 0: none yet.
    spare: AtomicU64,
}

// SAFETY: Owned memory, like a `Box<[Node<V>]>` for each chunk.
unsafe impl<V: Send> Send for Nodes<V> {}
// SAFETY: As above.
unsafe impl<V: Send + Sync> Sync for Nodes<V> {}

/// Numbers of nodes that are free, or will be; for the writer. It is tied to the nodes that it is
/// first used with.
pub(crate) struct Spare {
    /// First `ready` numbers that may be given out, then `waiting` ones that may be once the grace
    /// period `cookie` has passed, then ones for the grace period after that. The capacity is
    /// enough for all nodes, so that giving back cannot fail.
    numbers: KVVec<u32>,
    ready: usize,
    waiting: usize,
    cookie: usize,
    chunks: usize,
    /// Not that of any other; 0: it is tied to no nodes yet.
    id: u64,
}

static NEXT_ID: AtomicU64 = AtomicU64::new(1);

impl<V> Nodes<V> {
    /// No nodes.
    pub(crate) const fn new() -> Self {
        Self {
            chunks: [const { AtomicPtr::new(ptr::null_mut()) }; CHUNKS],
            spare: AtomicU64::new(0),
        }
    }
}

/// Chunk and position of node number `index`; the position is below the chunk's size.
#[inline]
fn place(index: u32) -> (usize, usize) {
    // From the highest bit on: which size of chunk, then which of the chunks of that size, then the
    // position.
    let biased = u64::from(index).wrapping_add(BIAS);
    let log = biased.checked_ilog2().unwrap_or(0).wrapping_sub(SAME_LOG);
    let size = log.wrapping_sub(FIRST_LOG);
    let which = biased.wrapping_shr(log) & !(u64::MAX << SAME_LOG);
    let position = biased & !(u64::MAX.wrapping_shl(log));
    (
        (size.wrapping_shl(SAME_LOG) as usize).wrapping_add(which as usize),
        position as usize,
    )
}

/// log2 of the number of nodes in a chunk.
const fn size_log(chunk: usize) -> usize {
    (chunk >> SAME_LOG).wrapping_add(FIRST_LOG as usize)
}

/// Memory of so many bytes, or null. What is larger than a page takes no more than the pages that it
/// needs, where `kmalloc` would round it up to a power of two. Process context.
fn allocate(bytes: usize) -> *mut u8 {
    if bytes <= PAGE_SIZE {
        // SAFETY: As documented, the caller may sleep.
        return unsafe { bindings::wg_kmalloc(bytes, bindings::GFP_KERNEL_FLAGS) }.cast();
    }
    // SAFETY: As above.
    let pages = unsafe { bindings::wg_alloc_pages_exact(bytes, bindings::GFP_TRY_FLAGS) };
    if !pages.is_null() {
        return pages.cast();
    }
    // SAFETY: As above.
    unsafe { bindings::wg_vmalloc(bytes) }.cast()
}

/// Frees what `allocate` has returned.
///
/// # Safety
///
/// `memory` is not null, is from `allocate(bytes)`, and is used no more.
unsafe fn free(memory: *mut u8, bytes: usize) {
    let memory = memory.cast();
    // SAFETY: By this function's contract; the three cases are those of `allocate`, of which only the
    // last gives addresses of vmalloc's.
    unsafe {
        if bytes <= PAGE_SIZE || bindings::is_vmalloc_addr(memory) {
            bindings::wg_kvfree(memory);
        } else {
            bindings::free_pages_exact(memory, bytes);
        }
    }
}

/// How many nodes the chunks before this one have.
fn nodes_before(chunk: usize) -> Option<usize> {
    let same = 1 << SAME_LOG;
    let which = chunk % same;
    same.checked_add(which)?
        .checked_shl(size_log(chunk) as u32)?
        .checked_sub(BIAS as usize)
}

impl<V: Slot> Arena for Nodes<V> {
    type Value = V;

    #[inline]
    fn get(&self, id: NodeId) -> Option<&Node<V>> {
        let (chunk, position) = place(id.index());
        let nodes = self.chunks.get(chunk)?.load(Ordering::Acquire);
        if nodes.is_null() {
            return None;
        }
        // SAFETY: `place` gives a position below the chunk's size, and by the type invariant the
        // chunk has that many nodes, which live as long as the arena.
        Some(unsafe { &*nodes.add(position) })
    }
}

impl<V> Drop for Nodes<V> {
    fn drop(&mut self) {
        for (i, chunk) in self.chunks.iter_mut().enumerate() {
            let nodes = *chunk.get_mut();
            if nodes.is_null() {
                continue;
            }
            let count = 1 << size_log(i);
            // SAFETY: By the type invariant; `&mut self` rules out readers.
            unsafe {
                ptr::drop_in_place(ptr::slice_from_raw_parts_mut(nodes, count));
                free(nodes.cast(), count.wrapping_mul(size_of::<Node<V>>()));
            }
        }
    }
}

impl Spare {
    /// Nothing to give out.
    pub(crate) const fn new() -> Self {
        Self {
            numbers: KVVec::new(),
            ready: 0,
            waiting: 0,
            cookie: 0,
            chunks: 0,
            id: 0,
        }
    }

    /// Moves numbers on whose grace period has passed.
    fn advance(&mut self) {
        // SAFETY: Any cookie may be asked about.
        if self.waiting != 0 && unsafe { bindings::poll_state_synchronize_rcu(self.cookie) } {
            self.ready = self.ready.wrapping_add(self.waiting);
            self.waiting = 0;
        }
        let fresh = self.numbers.len().wrapping_sub(self.ready);
        if self.waiting == 0 && fresh != 0 {
            self.waiting = fresh;
            // SAFETY: Has a grace period begin, without waiting for it.
            self.cookie = unsafe { bindings::start_poll_synchronize_rcu() };
        }
    }

    fn take(&mut self) -> Option<u32> {
        let at = self.ready.checked_sub(1)?;
        let last = self.numbers.len().checked_sub(1)?;
        // The hole is filled from behind, section by section, so that each stays contiguous.
        let number = *self.numbers.get(at)?;
        let after = at.wrapping_add(self.waiting);
        let moved = *self.numbers.get(after)?;
        *self.numbers.get_mut(at)? = moved;
        let end = *self.numbers.get(last)?;
        *self.numbers.get_mut(after)? = end;
        self.numbers.pop();
        self.ready = at;
        Some(number)
    }
}

/// The arena in the hands of its only writer.
///
/// # Invariants
///
/// The two are tied to each other.
pub(crate) struct Writer<'a, V> {
    nodes: &'a Nodes<V>,
    spare: &'a mut Spare,
}

impl<'a, V: Slot + Default> Writer<'a, V> {
    /// Whoever has the spare numbers of an arena is its writer. `None`: these are of another.
    pub(crate) fn new(nodes: &'a Nodes<V>, spare: &'a mut Spare) -> Option<Self> {
        let relaxed = Ordering::Relaxed;
        if spare.id == 0 {
            let id = NEXT_ID.fetch_add(1, relaxed);
            nodes.spare.compare_exchange(0, id, relaxed, relaxed).ok()?;
            spare.id = id;
        }
        // INVARIANT: Nodes are tied once, and no two spares have the same number.
        (nodes.spare.load(relaxed) == spare.id).then_some(Self { nodes, spare })
    }

    /// Makes sure that so many nodes can be given out.
    pub(crate) fn reserve(&mut self, nodes: usize) -> Result {
        self.spare.advance();
        while self.spare.ready < nodes {
            self.grow().ok_or(ENOMEM)?;
        }
        Ok(())
    }

    fn grow(&mut self) -> Option<()> {
        let chunk = self.nodes.chunks.get(self.spare.chunks)?;
        let count = 1usize.checked_shl(size_log(self.spare.chunks) as u32)?;
        let first = nodes_before(self.spare.chunks)?;
        let total = first.checked_add(count)?;
        // Room for every number there is, so that `retire` has nothing to allocate; and no more.
        let mut numbers = KVVec::with_capacity(total, GFP_KERNEL).ok()?;
        numbers
            .extend_from_slice(&self.spare.numbers, GFP_KERNEL)
            .ok()?;
        self.spare.numbers = numbers;
        const { assert!(align_of::<Node<V>>() <= 8) };
        let bytes = count.checked_mul(size_of::<Node<V>>())?;
        // Aligned enough: kmalloc gives multiples of eight, the others pages.
        let nodes = allocate(bytes).cast::<Node<V>>();
        if nodes.is_null() {
            return None;
        }
        // Highest number first, so that the lowest is given out first.
        for i in (0..count).rev() {
            // SAFETY: `i` is below the number of nodes allocated.
            unsafe { nodes.add(i).write(Node::new(V::default())) };
        }
        // INVARIANT: All nodes are initialised; release shows them so to readers.
        chunk.store(nodes, Ordering::Release);
        self.spare.chunks = self.spare.chunks.wrapping_add(1);
        for number in (first..total).rev() {
            let number = u32::try_from(number).ok()?;
            self.spare.numbers.push(number, GFP_KERNEL).ok()?;
            // Numbers are ready that nobody has seen yet.
            let last = self.spare.numbers.len().checked_sub(1)?;
            let fresh = self.spare.ready.wrapping_add(self.spare.waiting);
            self.swap(last, fresh);
            self.swap(fresh, self.spare.ready);
            self.spare.ready = self.spare.ready.wrapping_add(1);
        }
        Some(())
    }

    fn swap(&mut self, a: usize, b: usize) {
        if a != b && a < self.spare.numbers.len() && b < self.spare.numbers.len() {
            self.spare.numbers.swap(a, b);
        }
    }
}

impl<V: Slot> Arena for Writer<'_, V> {
    type Value = V;

    #[inline]
    fn get(&self, id: NodeId) -> Option<&Node<V>> {
        self.nodes.get(id)
    }
}

impl<V: Slot + Default> ArenaMut for Writer<'_, V> {
    fn alloc(&mut self) -> Option<NodeId> {
        self.spare.advance();
        if self.spare.ready == 0 {
            self.grow()?;
        }
        NodeId::from_index(self.spare.take()?)
    }

    fn retire(&mut self, id: NodeId) {
        // Cannot fail: the capacity is enough for all nodes.
        let _ = self.spare.numbers.push_within_capacity(id.index());
        self.spare.advance();
    }
}
