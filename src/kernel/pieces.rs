// SPDX-License-Identifier: GPL-2.0

//! The memory that a packet is in, where it may be read in place.
//!
//! C header: `include/linux/skbuff.h`.

use super::{bindings, gso::shared_info, layout, skb::Packet};
use core::{marker::PhantomData, ptr, slice};

/// Flags of packets whose fragments others may write while they are read.
const WRITTEN_BY_OTHERS: u32 = bindings::SKBFL_ZEROCOPY_ENABLE
    | bindings::SKBFL_SHARED_FRAG
    | bindings::SKBFL_MANAGED_FRAG_REFS;

impl Packet<'_> {
    /// Its memory from the front on, if it was received, or is a [plain](Self::plain_gso) GSO packet of a
    /// socket's. Others may be in memory that a program can write, such as those of a packet socket's ring.
    #[inline]
    pub(super) fn pieces(&self) -> Pieces<'_> {
        Pieces {
            rest: Iter::of(self),
            piece: &[],
        }
    }

    /// All of it, if it was received, and that is in one piece.
    #[inline]
    pub(super) fn contiguous(&self) -> Option<&[u8]> {
        self.pieces().take(self.len() as usize)
    }
}

/// The memory of a packet, from which parts are taken from front to back.
pub(crate) struct Pieces<'a> {
    rest: Iter<'a>,
    /// What is left of the piece that was begun.
    piece: &'a [u8],
}

impl<'a> Pieces<'a> {
    /// The next `len` bytes. `None`: they are not in one piece, or not where they may be read in place, if
    /// they are there at all. They are passed over.
    #[inline]
    pub(crate) fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let mut left = len;
        loop {
            if let Some((here, rest)) = self.piece.split_at_checked(left) {
                self.piece = rest;
                return (left == len).then_some(here);
            }
            left = left.wrapping_sub(self.piece.len());
            let next = self.rest.next();
            self.piece = next.unwrap_or_default();
            next?;
        }
    }
}

/// Iterates over the pieces of memory that a packet is in, as long as they may be read in place.
struct Iter<'a> {
    /// Whose fragments are next; null at the end.
    skb: *mut bindings::sk_buff,
    /// 0: its linear part; else the fragment of that number, from 1 on.
    index: usize,
    /// Whether it is in the list of another.
    listed: bool,
    _packet: PhantomData<&'a ()>,
}

impl<'a> Iter<'a> {
    fn of(packet: &'a Packet<'_>) -> Self {
        let mut this = Self {
            skb: packet.raw(),
            index: 0,
            listed: false,
            _packet: PhantomData,
        };
        // SAFETY: The packet is valid, and so are those in its list.
        unsafe {
            let mut skb = (*shared_info(this.skb)).frag_list;
            let mut readable = Self::is_readable(this.skb);
            while !skb.is_null() {
                readable &= Self::is_readable(skb) && (*shared_info(skb)).frag_list.is_null();
                skb = *layout::skb_next(skb);
            }
            if !readable {
                this.skb = ptr::null_mut();
            }
        }
        this
    }

    /// # Safety
    ///
    /// `skb` is valid.
    unsafe fn is_readable(skb: *mut bindings::sk_buff) -> bool {
        // SAFETY: By the contract.
        unsafe {
            u32::from((*shared_info(skb)).flags) & WRITTEN_BY_OTHERS == 0
                && bindings::wg_skb_frags_readable(skb)
        }
    }
}

impl<'a> Iterator for Iter<'a> {
    type Item = &'a [u8];

    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        if self.skb.is_null() {
            return None;
        }
        // SAFETY: The packet that this was made for is borrowed for `'a`, and those in its list are
        // part of it. They have been found to be readable, so what is in them is mapped. It was received, or
        // copied from a program to the socket's pages: the flags name everything else that a socket makes GSO packets
        // of. Nobody writes it: who wants to copies it first, and a socket fills its pages behind it.
        unsafe {
            let info = shared_info(self.skb);
            if let Some(frag) = self.index.checked_sub(1) {
                if frag < usize::from((*info).nr_frags) {
                    self.index = self.index.wrapping_add(1);
                    let frag = (&raw const (*info).frags)
                        .cast::<bindings::skb_frag_t>()
                        .add(frag);
                    return Some(slice::from_raw_parts(
                        bindings::wg_skb_frag_address(frag).cast(),
                        bindings::wg_skb_frag_size(frag) as usize,
                    ));
                }
                self.skb = if self.listed {
                    *layout::skb_next(self.skb)
                } else {
                    (*info).frag_list
                };
                self.listed = true;
                self.index = 0;
                return self.next();
            }
            self.index = 1;
            let skb = self.skb;
            let len = (*skb).len.wrapping_sub((*skb).data_len);
            Some(slice::from_raw_parts((*skb).data, len as usize))
        }
    }
}
