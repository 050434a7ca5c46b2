// SPDX-License-Identifier: GPL-2.0

//! Chains of packets, linked through the packets themselves.
//!
//! C header: `include/linux/skbuff.h`.

use super::{
    bindings,
    lock::SpinLockBh,
    skb::{Packet, Skb},
};
use core::{
    marker::PhantomData,
    mem::ManuallyDrop,
    ptr::{self, NonNull},
};

/// A chain of packets that transmitters fill and one worker empties.
pub(crate) type SharedList = SpinLockBh<SkbList>;

/// A chain of packets, first to last.
///
/// # Invariants
///
/// From `head` the packets are linked by `next` up to `tail`, whose link is null; there are `len`
/// of them and all are ours. Both pointers are null if there are none.
pub(crate) struct SkbList {
    head: *mut bindings::sk_buff,
    tail: *mut bindings::sk_buff,
    len: usize,
}

// SAFETY: As for `Skb`.
unsafe impl Send for SkbList {}

impl SkbList {
    /// An empty chain.
    pub(crate) const fn new() -> Self {
        Self {
            head: ptr::null_mut(),
            tail: ptr::null_mut(),
            len: 0,
        }
    }

    /// The number of packets.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.head.is_null()
    }

    /// Appends a packet.
    #[inline]
    pub(crate) fn push_back(&mut self, skb: Skb) {
        let skb = skb.into_raw();
        if self.tail.is_null() {
            self.head = skb;
        } else {
            // SAFETY: The tail is ours by the type invariant.
            unsafe { (*self.tail).__bindgen_anon_1.__bindgen_anon_1.next = skb };
        }
        self.tail = skb;
        self.len = self.len.wrapping_add(1);
    }

    /// Takes the first packet.
    #[inline]
    pub(crate) fn pop_front(&mut self) -> Option<Skb> {
        let first = NonNull::new(self.head)?;
        // SAFETY: The first packet is ours by the type invariant.
        unsafe {
            self.head = (*first.as_ptr()).__bindgen_anon_1.__bindgen_anon_1.next;
            if self.head.is_null() {
                self.tail = ptr::null_mut();
            }
            self.len = self.len.wrapping_sub(1);
            // INVARIANT: `from_raw` clears the link.
            Some(Skb::from_raw(first.as_ptr()))
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
            unsafe { (*self.tail).__bindgen_anon_1.__bindgen_anon_1.next = other.head };
        }
        self.tail = other.tail;
        self.len = self.len.wrapping_add(other.len);
    }

    /// Takes all packets.
    #[inline]
    pub(crate) fn take(&mut self) -> SkbList {
        core::mem::replace(self, SkbList::new())
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

    /// A chain by its first packet.
    ///
    /// # Safety
    ///
    /// The packets that are linked from `head` are on no other list and pass to the result.
    #[inline]
    pub(super) unsafe fn from_raw(head: NonNull<bindings::sk_buff>) -> Self {
        let (mut tail, mut len) = (head.as_ptr(), 1usize);
        // SAFETY: By the contract.
        unsafe {
            while !(*tail).__bindgen_anon_1.__bindgen_anon_1.next.is_null() {
                tail = (*tail).__bindgen_anon_1.__bindgen_anon_1.next;
                len = len.wrapping_add(1);
            }
        }
        Self {
            head: head.as_ptr(),
            tail,
            len,
        }
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
        self.0 = unsafe { (*this.as_ptr()).__bindgen_anon_1.__bindgen_anon_1.next };
        Some(Packet(this, PhantomData))
    }
}
