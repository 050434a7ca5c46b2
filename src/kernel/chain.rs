// SPDX-License-Identifier: GPL-2.0

//! Chains of packets, linked through the packets themselves.
//!
//! C header: `include/linux/skbuff.h`.

use super::{
    bindings, layout,
    lock::SpinLockBh,
    skb::{Fate, Packet, Skb},
};
use core::{
    marker::PhantomData,
    mem::ManuallyDrop,
    ptr::{self, NonNull},
};
use kernel::{error::from_err_ptr, prelude::*};

/// A chain of packets that transmitters fill and one worker empties.
pub(crate) type SharedList = SpinLockBh<SkbList>;

/// A chain of packets, first to last.
///
/// # Invariants
///
/// From `head` the packets are linked by `next` up to `tail`, whose link is null, and all are ours. Both
/// pointers are null if there are none.
pub(crate) struct SkbList {
    head: *mut bindings::sk_buff,
    tail: *mut bindings::sk_buff,
    /// Packets that they are on a link.
    segments: usize,
}

// SAFETY: As for `Skb`.
unsafe impl Send for SkbList {}

impl SkbList {
    /// An empty chain.
    pub(crate) const fn new() -> Self {
        Self {
            head: ptr::null_mut(),
            tail: ptr::null_mut(),
            segments: 0,
        }
    }

    /// The number of packets that they are on a link: a GSO packet is several.
    #[inline]
    pub(crate) fn segments(&self) -> usize {
        self.segments
    }

    /// Whether there are none.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.head.is_null()
    }

    /// Appends a packet.
    #[inline]
    pub(crate) fn push_back(&mut self, skb: Skb) {
        self.segments = self.segments.saturating_add(skb.view().gso_segments());
        let skb = skb.into_raw();
        if self.tail.is_null() {
            self.head = skb;
        } else {
            // SAFETY: The tail is ours by the type invariant.
            unsafe { *layout::skb_next(self.tail) = skb };
        }
        self.tail = skb;
    }

    /// Takes the first packet.
    #[inline]
    pub(crate) fn pop_front(&mut self) -> Option<Skb> {
        let first = NonNull::new(self.head)?;
        // SAFETY: The first packet is ours by the type invariant.
        unsafe {
            self.head = *layout::skb_next(first.as_ptr());
            if self.head.is_null() {
                self.tail = ptr::null_mut();
            }
            // INVARIANT: `from_raw` clears the link.
            let skb = Skb::from_raw(first.as_ptr());
            self.segments = self.segments.saturating_sub(skb.view().gso_segments());
            Some(skb)
        }
    }

    /// Appends all of `other`.
    #[inline]
    pub(crate) fn append(&mut self, other: SkbList) {
        let other = ManuallyDrop::new(other);
        if other.is_empty() {
            return;
        }
        if self.tail.is_null() {
            self.head = other.head;
        } else {
            // SAFETY: The tail is ours by the type invariant.
            unsafe { *layout::skb_next(self.tail) = other.head };
        }
        self.tail = other.tail;
        self.segments = self.segments.saturating_add(other.segments);
    }

    /// Takes all packets.
    #[inline]
    pub(crate) fn take(&mut self) -> SkbList {
        core::mem::replace(self, SkbList::new())
    }

    /// Frees the packets, which did what they were for.
    #[inline]
    pub(crate) fn consume(mut self) {
        while let Some(skb) = self.pop_front() {
            skb.free(Fate::Consumed);
        }
    }

    /// The packets in turn.
    #[inline]
    pub(crate) fn iter_mut(&mut self) -> IterMut<'_> {
        IterMut(self.head, PhantomData)
    }

    /// The first packet of the chain, which passes to the caller.
    #[inline]
    pub(super) fn into_raw(self) -> Option<NonNull<bindings::sk_buff>> {
        NonNull::new(ManuallyDrop::new(self).head)
    }

    /// The chain that segmentation returns, or its error.
    ///
    /// # Safety
    ///
    /// `first` is an error pointer, or else the packets that are linked from it on, which may be null,
    /// are on no other list and pass to the result. Their headers were written.
    pub(super) unsafe fn from_segments(first: *mut bindings::sk_buff) -> Result<Self> {
        let mut list = Self::new();
        let mut next = from_err_ptr(first)?;
        while !next.is_null() {
            // SAFETY: By the contract; the link is read before the packet is on another list.
            unsafe {
                let this = next;
                next = *layout::skb_next(this);
                list.push_back(Skb::from_raw(this));
            }
        }
        Ok(list)
    }

    /// A chain by its first packet.
    ///
    /// # Safety
    ///
    /// The packets that are linked from `head` are on no other list and pass to the result.
    #[inline]
    pub(super) unsafe fn from_raw(head: NonNull<bindings::sk_buff>) -> Self {
        let (mut tail, mut segments) = (head.as_ptr(), 0usize);
        for packet in IterMut(tail, PhantomData) {
            tail = packet.raw();
            segments = segments.saturating_add(packet.gso_segments());
        }
        Self {
            head: head.as_ptr(),
            tail,
            segments,
        }
    }
}

impl From<Skb> for SkbList {
    #[inline]
    fn from(skb: Skb) -> Self {
        let mut list = Self::new();
        list.push_back(skb);
        list
    }
}

impl Drop for SkbList {
    #[inline]
    fn drop(&mut self) {
        while let Some(skb) = self.pop_front() {
            drop(skb);
        }
    }
}

/// Iterates over the packets of a chain.
pub(crate) struct IterMut<'a>(*mut bindings::sk_buff, PhantomData<&'a mut SkbList>);

impl<'a> IterMut<'a> {
    /// # Safety
    ///
    /// The packets that are linked from `head` on may be changed during `'a` by the caller alone.
    #[inline]
    pub(super) unsafe fn from_raw(head: NonNull<bindings::sk_buff>) -> Self {
        Self(head.as_ptr(), PhantomData)
    }
}

impl<'a> Iterator for IterMut<'a> {
    type Item = Packet<'a>;

    #[inline]
    fn next(&mut self) -> Option<Packet<'a>> {
        let this = NonNull::new(self.0)?;
        // SAFETY: The packet is part of the chain that is borrowed for `'a`; the link is read
        // before the packet is given out, so each packet is given out once. No reference to all of
        // the packet is made: a queue may be writing another of its links.
        self.0 = unsafe { *layout::skb_next(this.as_ptr()) };
        // SAFETY: As above.
        Some(unsafe { Packet::from_raw(this) })
    }
}
