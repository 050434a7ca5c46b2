// SPDX-License-Identifier: GPL-2.0

//! A packet that is borrowed: its bytes and its headers.
//!
//! C header: `include/linux/skbuff.h`.

use super::Skb;
use crate::kernel::{
    bindings,
    layout::{self, SkbHeaders},
};
use core::{marker::PhantomData, ops::Deref, ptr::NonNull, slice};

/// A packet of a chain, borrowed. What is written of it is as in [`Skb`].
///
/// # Invariants
///
/// The pointer is valid, and what is behind it may be changed by this value alone, but for its links.
pub(crate) struct Packet<'a>(NonNull<bindings::sk_buff>, PhantomData<&'a mut Skb>);

impl<'a> Packet<'a> {
    /// # Safety
    ///
    /// `skb` is valid during `'a`, what is written of it is as in [`Skb`], and nobody else changes it then,
    /// but for its links.
    #[inline]
    pub(in crate::kernel) unsafe fn from_raw(skb: NonNull<bindings::sk_buff>) -> Self {
        Self(skb, PhantomData)
    }

    #[inline]
    pub(super) fn at(&self) -> NonNull<bindings::sk_buff> {
        self.0
    }

    #[inline]
    pub(in crate::kernel) fn raw(&self) -> *mut bindings::sk_buff {
        self.0.as_ptr()
    }

    /// Where the current start of the packet is, from the start of its buffer.
    #[inline]
    pub(in crate::kernel) fn data_offset(&self) -> u16 {
        // SAFETY: The packet is valid; buffer offsets fit 16 bits.
        unsafe { (*self.raw()).data.offset_from((*self.raw()).head) as u16 }
    }

    /// Bytes from the current start of the packet to its end.
    #[inline]
    pub(crate) fn len(&self) -> u32 {
        // SAFETY: The packet is valid. No reference to all of it is made, here or below: a queue may
        // be writing its link.
        unsafe { (*self.raw()).len }
    }

    #[inline]
    pub(in crate::kernel) fn head_len(&self) -> usize {
        // SAFETY: The packet is valid.
        let data_len = unsafe { (*self.raw()).data_len };
        self.len().wrapping_sub(data_len) as usize
    }

    /// The bytes at the current start of the packet that are contiguous in memory.
    #[inline]
    pub(crate) fn linear(&self) -> &[u8] {
        // SAFETY: `head_len()` bytes from `data` on are initialised packet data. Whoever shares
        // them with us does not write them: that would need a copy first.
        unsafe { slice::from_raw_parts((*self.raw()).data, self.head_len()) }
    }

    /// Contiguous bytes from `offset` bytes after the buffer's start to the end of the linear
    /// part; none where the offset is outside, or before the network header.
    #[inline]
    fn from_offset(&self, offset: u16) -> &[u8] {
        if offset < self.headers().network_header {
            return &[];
        }
        // SAFETY: The packet is valid. `head` is the start of the buffer, `data` is inside it, hence
        // one allocation.
        let (head, end) = unsafe {
            let skb = self.raw();
            ((*skb).head, (*skb).data.offset_from((*skb).head) as usize)
        };
        let end = end.wrapping_add(self.head_len());
        match end.checked_sub(usize::from(offset)) {
            // SAFETY: From `head + offset` to the tail is inside the buffer, and written by the type
            // invariant, as `offset` is not before the network header. Nobody writes these bytes.
            Some(len) => unsafe { slice::from_raw_parts(head.add(usize::from(offset)), len) },
            None => &[],
        }
    }

    #[inline]
    pub(in crate::kernel) fn headers(&self) -> &SkbHeaders {
        // SAFETY: The packet is valid.
        unsafe { &*layout::skb_headers(self.raw()) }
    }

    #[inline]
    pub(in crate::kernel) fn headers_mut(&mut self) -> &mut SkbHeaders {
        // SAFETY: As above; `&mut self` makes the access exclusive.
        unsafe { &mut *layout::skb_headers(self.raw()) }
    }

    /// The bytes from the network header on.
    #[inline]
    pub(crate) fn network(&self) -> &[u8] {
        self.from_offset(self.headers().network_header)
    }

    /// The bytes from the transport header on.
    #[inline]
    pub(crate) fn transport(&self) -> &[u8] {
        match self.headers().transport_header {
            u16::MAX => &[],
            offset => self.from_offset(offset),
        }
    }

    /// The ethertype that the packet was received as or is sent as, in host byte order.
    #[inline]
    pub(crate) fn protocol(&self) -> u16 {
        u16::from_be(self.headers().protocol)
    }

    /// Index of the device it was received on.
    #[inline]
    pub(crate) fn received_on(&self) -> i32 {
        self.headers().skb_iif
    }
}

/// A packet that can only be looked at.
pub(crate) struct View<'a>(Packet<'a>);

impl<'a> View<'a> {
    pub(super) fn of(skb: &'a Skb) -> Self {
        // SAFETY: By the type invariant. Nothing is changed through a `View`, as it gives out `&Packet` only.
        Self(unsafe { Packet::from_raw(skb.0) })
    }

    /// # Safety
    ///
    /// As for [`Packet::from_raw`], but that others may look at the packet as well.
    #[inline]
    pub(in crate::kernel) unsafe fn from_raw(skb: NonNull<bindings::sk_buff>) -> Self {
        // SAFETY: By the contract, as above.
        Self(unsafe { Packet::from_raw(skb) })
    }
}

impl<'a> Deref for View<'a> {
    type Target = Packet<'a>;

    #[inline]
    fn deref(&self) -> &Packet<'a> {
        &self.0
    }
}
