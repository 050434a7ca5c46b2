// SPDX-License-Identifier: GPL-2.0

//! Packets between a parallel stage and a serial one.
//!
//! A batch of packets enters its peer's [`OrderedQueue`] and, as [`InFlight`], the device's ring
//! of work for all CPUs. Whichever CPU takes it from the ring has the packets to itself until it
//! calls [`InFlight::finish`], which wakes the serial stage. The queue gives batches out in the order in which they entered, and
//! stops at the first that is not finished. So crypto runs in parallel and order is kept, without
//! a lock between the two.

use super::{
    bindings,
    chain::{IterMut, SkbList},
    layout,
    rcu::{RcuArc, Shared},
    ring::RingItem,
    skb::{Skb, View},
};
use crate::protocol::constants::MAX_QUEUED_PACKETS;
use core::{
    cell::UnsafeCell,
    marker::{PhantomData, PhantomPinned},
    mem::{offset_of, ManuallyDrop},
    ptr::{self, NonNull},
    sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, Ordering},
};
use kernel::{ffi::c_void, prelude::*};

/// What a parallel stage works on, and what follows it.
pub(crate) trait Stage: Sized + 'static {
    /// What the packets of a batch share.
    type Context: Shared;

    /// Has the consumer look at the queue, in which a batch is finished. From where that was being
    /// worked on or given up, so it must not sleep.
    fn finished(context: &Self::Context);
}

/// How the parallel stage ended.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The packets are ready.
    Done,
    /// The batch is to be dropped.
    Failed,
    /// What came of the packets is in the results of a batch before this one.
    Elsewhere,
}

const PENDING: u32 = 0;
const DONE: u32 = 1;
const FAILED: u32 = 2;
const ELSEWHERE: u32 = 3;

/// Packets that share the context `C` (a keypair).
///
/// # Invariants
///
/// `first` begins a null-terminated chain of packets that belong to this value, and the `owner`
/// of its control block owns a reference to a `C`. Its `results` are null, or begin another such chain.
pub(crate) struct Batch<C: Shared> {
    first: NonNull<bindings::sk_buff>,
    _context: PhantomData<RcuArc<C>>,
}

// SAFETY: Packets may change CPUs, and so may the reference.
unsafe impl<C: Shared> Send for Batch<C> {}

impl<C: Shared> Batch<C> {
    /// A batch of all packets of `list`; `None` if there are none.
    #[inline]
    pub(crate) fn new(list: SkbList, context: RcuArc<C>) -> Option<Self> {
        let first = list.into_raw()?;
        // SAFETY: The chain is ours now, and with it the control block of its first packet.
        unsafe {
            let control = Skb::control_ptr(first);
            (*control).owner = context.into_raw().cast();
            (*control).results = ptr::null_mut();
        }
        // INVARIANT: Both were just established.
        Some(Self {
            first,
            _context: PhantomData,
        })
    }

    /// The packets, what came of them, and their context.
    #[inline]
    pub(crate) fn into_parts(self) -> Parts<C> {
        let first = ManuallyDrop::new(self).first;
        // SAFETY: By the type invariant; all pass to the caller, once, since `self` is gone.
        unsafe {
            let control = Skb::control_ptr(first);
            let (owner, results) = ((*control).owner, (*control).results);
            Parts {
                packets: SkbList::from_raw(first),
                results: NonNull::new(results).map(|first| SkbList::from_raw(first)),
                context: RcuArc::from_raw(owner.cast()),
            }
        }
    }
}

/// What a [`Batch`] consists of.
pub(crate) struct Parts<C: Shared> {
    /// The packets that it was made of.
    pub(crate) packets: SkbList,
    /// Those that the parallel stage made of them, if it made others.
    pub(crate) results: Option<SkbList>,
    /// What they share.
    pub(crate) context: RcuArc<C>,
}

impl<C: Shared> Drop for Batch<C> {
    fn drop(&mut self) {
        let this = Self {
            first: self.first,
            _context: PhantomData,
        };
        drop(this.into_parts());
    }
}

/// A batch in its parallel stage.
///
/// # Invariants
///
/// `first` is as in [`Batch`], is in an [`OrderedQueue`], and its state is `PENDING`. Until the
/// state changes, the packets may be changed through this value alone; the links that the queue
/// uses are not touched through it.
pub(crate) struct InFlight<S: Stage> {
    first: NonNull<bindings::sk_buff>,
    _context: PhantomData<RcuArc<S::Context>>,
}

// SAFETY: As for `Batch`.
unsafe impl<S: Stage> Send for InFlight<S> {}

impl<S: Stage> InFlight<S> {
    /// The packets in turn, and what they share.
    #[inline]
    pub(crate) fn packets(&mut self) -> (IterMut<'_>, &S::Context) {
        // SAFETY: The batch owns a reference, and cannot lose it while it is pending. The context
        // is no part of the packets.
        let context = unsafe { &*(*Skb::control_ptr(self.first)).owner.cast::<S::Context>() };
        // SAFETY: By the type invariant, and `&mut self`.
        (unsafe { IterMut::from_raw(self.first) }, context)
    }

    /// Its first packet, to be looked at.
    #[inline]
    pub(crate) fn first(&self) -> View<'_> {
        // SAFETY: By the type invariant nobody changes the packet while `self` is borrowed.
        unsafe { View::from_raw(self.first) }
    }

    /// Whether it is one packet.
    #[inline]
    pub(crate) fn is_one(&self) -> bool {
        // SAFETY: The packet is valid by the type invariant; its link is no link of the queue's.
        unsafe { (*layout::skb_next(self.first.as_ptr())).is_null() }
    }

    /// What its packets share.
    #[inline]
    pub(crate) fn context(&self) -> &S::Context {
        // SAFETY: The batch owns a reference, and cannot lose it while it is pending.
        unsafe { &*(*Skb::control_ptr(self.first)).owner.cast::<S::Context>() }
    }

    /// Whether what its packets share is what the `other`'s share.
    #[inline]
    pub(crate) fn has_context_of(&self, other: &Self) -> bool {
        ptr::eq(self.context(), other.context())
    }

    /// Ends the parallel stage of several batches, out of whose packets the `results` came. Those are
    /// consumed where the first is.
    #[inline]
    pub(crate) fn finish_together(mut run: impl Iterator<Item = Self>, results: SkbList) {
        let Some(first) = run.next() else {
            return;
        };
        for batch in run {
            if batch.has_context_of(&first) {
                // SAFETY: It is not used or dropped any more. The first has the consumer look for all.
                unsafe { ManuallyDrop::new(batch).settle(Outcome::Elsewhere) };
            }
        }
        first.finish(true, Some(results));
    }

    /// Ends the parallel stage, and has the batch consumed. It has failed if it is not `done`, or if
    /// nothing is in the `results` that came of its packets, where others did.
    #[inline]
    pub(crate) fn finish(self, done: bool, results: Option<SkbList>) {
        let this = ManuallyDrop::new(self);
        let mut outcome = if done { Outcome::Done } else { Outcome::Failed };
        if let Some(results) = results {
            match results.into_raw() {
                // INVARIANT: A chain of packets that belong to the batch from now on.
                // SAFETY: As in `packets`; the consumer reads this after the state has changed. There were
                // no results, as this comes but once.
                Some(first) => unsafe {
                    (*Skb::control_ptr(this.first)).results = first.as_ptr();
                },
                None => outcome = Outcome::Failed,
            }
        }
        // SAFETY: It is not used or dropped any more.
        unsafe { this.end(outcome) };
    }

    /// # Safety
    ///
    /// This is the last use of the value.
    #[inline]
    unsafe fn end(&self, outcome: Outcome) {
        let control = Skb::control_ptr(self.first);
        // SAFETY: As in `packets`: the owner's reference is there to be cloned, since by the contract the
        // batch is pending still; the temporary that stands for it is not dropped.
        let context = unsafe {
            let owner = ManuallyDrop::new(RcuArc::<S::Context>::from_raw((*control).owner.cast()));
            (*owner).clone()
        };
        // SAFETY: By the contract.
        unsafe { self.settle(outcome) };
        S::finished(&context);
    }

    /// Lets the batch be consumed, without a word to the consumer.
    ///
    /// # Safety
    ///
    /// This is the last use of the value.
    #[inline]
    unsafe fn settle(&self, outcome: Outcome) {
        let state = match outcome {
            Outcome::Done => DONE,
            Outcome::Failed => FAILED,
            Outcome::Elsewhere => ELSEWHERE,
        };
        // SAFETY: The control block is valid up to the store, after which the batch may be consumed at
        // any moment. Release: the consumer sees all that was done to the packets.
        unsafe {
            (*Skb::control_ptr(self.first))
                .state
                .store(state, Ordering::Release);
        }
    }
}

impl<S: Stage> Drop for InFlight<S> {
    /// A batch that nobody finished must not block the ones behind it.
    fn drop(&mut self) {
        // SAFETY: There is none after this.
        unsafe { self.end(Outcome::Failed) };
    }
}

// SAFETY: The pointer is unique to the value, and `from_raw` restores what `into_raw` gave up.
unsafe impl<S: Stage> RingItem for InFlight<S> {
    #[inline]
    fn into_raw(self) -> NonNull<c_void> {
        ManuallyDrop::new(self).first.cast()
    }

    #[inline]
    unsafe fn from_raw(raw: NonNull<c_void>) -> Self {
        Self {
            first: raw.cast(),
            _context: PhantomData,
        }
    }
}

/// The part of a packet that chains and queues link through. `prev` is the queue's: it points at
/// the batch that entered next.
#[repr(C)]
struct Links {
    next: AtomicPtr<Links>,
    prev: AtomicPtr<Links>,
}

const _: () = {
    assert!(offset_of!(Links, next) == bindings::OFFSET_SKB_NEXT);
    assert!(offset_of!(Links, prev) == bindings::OFFSET_SKB_PREV);
};

/// A queue with many producers and one consumer at a time, that keeps the order of entry.
///
/// It is Vyukov's intrusive queue: producers exchange `head` and then link the former head to
/// their batch; a stub keeps it from ever being empty of nodes.
///
/// # Invariants
///
/// From `tail`, following `prev`, one comes to `head`, but for a link that a producer is about to
/// write. Every node but the stub is the first packet of a [`Batch`] that belongs to the queue.
#[pin_data(PinnedDrop)]
pub(crate) struct OrderedQueue<S: Stage> {
    head: AtomicPtr<Links>,
    stub: Links,
    tail: UnsafeCell<*mut Links>,
    peeked: UnsafeCell<*mut Links>,
    count: AtomicU32,
    draining: AtomicBool,
    _context: PhantomData<RcuArc<S::Context>>,
    #[pin]
    _pin: PhantomPinned,
}

// SAFETY: `tail` and `peeked` are the consumer's, of whom `draining` admits one at a time; all
// else is atomic.
unsafe impl<S: Stage> Sync for OrderedQueue<S> {}
// SAFETY: What is inside may be dropped on any thread.
unsafe impl<S: Stage> Send for OrderedQueue<S> {}

impl<S: Stage> OrderedQueue<S> {
    /// An empty queue.
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(&this in Self {
            // SAFETY: The fields' addresses are computed inside the slot, where the queue stays.
            head: AtomicPtr::new(unsafe { &raw mut (*this.as_ptr()).stub }),
            stub: Links {
                next: AtomicPtr::new(ptr::null_mut()),
                prev: AtomicPtr::new(ptr::null_mut()),
            },
            // SAFETY: As above.
            tail: UnsafeCell::new(unsafe { &raw mut (*this.as_ptr()).stub }),
            peeked: UnsafeCell::new(ptr::null_mut()),
            count: AtomicU32::new(0),
            draining: AtomicBool::new(false),
            _context: PhantomData,
            _pin: PhantomPinned,
        })
    }

    fn stub(&self) -> *mut Links {
        (&raw const self.stub).cast_mut()
    }

    /// # Safety
    ///
    /// `node` is the stub or a batch's first packet that is in no queue.
    #[inline]
    unsafe fn link(&self, node: *mut Links) {
        // SAFETY: By the contract the node is valid, and from the exchange on it is in the queue.
        // The former head is valid too: the consumer does not pass a node whose link is missing.
        unsafe {
            (*node).prev.store(ptr::null_mut(), Ordering::Relaxed);
            let before = self.head.swap(node, Ordering::AcqRel);
            (*before).prev.store(node, Ordering::Release);
        }
    }

    /// Puts a batch at the end, which takes `weight` of the queue's capacity. The result is to be worked
    /// on; a full queue gives the batch back.
    #[inline]
    pub(crate) fn push(
        &self,
        batch: Batch<S::Context>,
        weight: u16,
    ) -> Result<InFlight<S>, Batch<S::Context>> {
        if self.count.load(Ordering::Relaxed) >= MAX_QUEUED_PACKETS as u32 {
            // A stalled consumer must not eat all memory.
            return Err(batch);
        }
        // The last one may overshoot, and concurrent producers by their own number, which does no harm.
        self.count.fetch_add(weight.into(), Ordering::Relaxed);
        let first = ManuallyDrop::new(batch).first;
        // SAFETY: The batch is ours to link. It is marked pending before it becomes visible.
        unsafe {
            let control = Skb::control_ptr(first);
            (*control).weight = weight.into();
            (*control).state.store(PENDING, Ordering::Relaxed);
            self.link(first.as_ptr().cast());
        }
        // INVARIANT: In the queue and pending.
        Ok(InFlight {
            first,
            _context: PhantomData,
        })
    }

    /// Becomes the consumer, unless somebody is.
    #[inline]
    pub(crate) fn drain(&self) -> Option<Drain<'_, S>> {
        (!self.draining.swap(true, Ordering::Acquire)).then_some(Drain(self))
    }

    /// Drops the batches that are finished, unless somebody consumes them.
    pub(crate) fn clear(&self) {
        if let Some(mut drain) = self.drain() {
            while let Some((batch, _)) = drain.next() {
                drop(batch);
            }
        }
    }

    /// # Safety
    ///
    /// The caller is the consumer.
    #[inline]
    unsafe fn unlink(&self) -> Option<NonNull<Links>> {
        // SAFETY: `tail` belongs to the consumer; nodes from it on are valid by the invariant.
        unsafe {
            let tail = self.tail.get();
            let mut first = *tail;
            let mut next = (*first).prev.load(Ordering::Acquire);
            if first == self.stub() {
                if next.is_null() {
                    return None;
                }
                *tail = next;
                first = next;
                next = (*first).prev.load(Ordering::Acquire);
            }
            if next.is_null() {
                if first != self.head.load(Ordering::Acquire) {
                    // A producer is about to write the link; it will tell the consumer again.
                    return None;
                }
                // The last one: the stub takes its place, so that it can leave.
                self.link(self.stub());
                next = (*first).prev.load(Ordering::Acquire);
                if next.is_null() {
                    return None;
                }
            }
            *tail = next;
            let first = NonNull::new(first)?;
            // It is a batch, as the stub has been passed.
            let weight = (*Skb::control_ptr(first.cast())).weight;
            self.count.fetch_sub(weight, Ordering::Relaxed);
            Some(first)
        }
    }
}

#[pinned_drop]
impl<S: Stage> PinnedDrop for OrderedQueue<S> {
    fn drop(self: Pin<&mut Self>) {
        // The devices and peers that own queues wait for the work on them to end, so whatever is
        // left is finished.
        self.clear();
    }
}

/// The right to consume an [`OrderedQueue`].
pub(crate) struct Drain<'a, S: Stage>(&'a OrderedQueue<S>);

impl<S: Stage> Drain<'_, S> {
    /// The next batch in order, if it is finished.
    #[inline]
    pub(crate) fn next(&mut self) -> Option<(Batch<S::Context>, Outcome)> {
        let queue = self.0;
        // SAFETY: `self` proves that this is the consumer; `peeked` is the consumer's.
        let first = unsafe {
            let peeked = queue.peeked.get();
            if (*peeked).is_null() {
                *peeked = queue.unlink()?.as_ptr();
            }
            NonNull::new(*peeked)?.cast::<bindings::sk_buff>()
        };
        // SAFETY: The batch belongs to the queue. Acquire pairs with `InFlight::end`.
        let outcome = match unsafe { (*Skb::control_ptr(first)).state.load(Ordering::Acquire) } {
            PENDING => return None,
            DONE => Outcome::Done,
            ELSEWHERE => Outcome::Elsewhere,
            _ => Outcome::Failed,
        };
        // SAFETY: As above.
        unsafe { *queue.peeked.get() = ptr::null_mut() };
        // INVARIANT: The batch leaves the queue, and its parallel stage is over.
        Some((
            Batch {
                first,
                _context: PhantomData,
            },
            outcome,
        ))
    }
}

impl<S: Stage> Drop for Drain<'_, S> {
    #[inline]
    fn drop(&mut self) {
        self.0.draining.store(false, Ordering::Release);
    }
}
