// SPDX-License-Identifier: GPL-2.0

//! Packets: `struct sk_buff`, owned or borrowed.
//!
//! C header: `include/linux/skbuff.h`.

mod build;
mod control;
mod packet;
mod pass;

pub(super) use build::{DATA_HEADER, TAG};
pub(crate) use {
    build::{DATA_HEADROOM, HEADROOM},
    packet::{Packet, View},
};

use super::{bindings, layout};
use core::{
    mem::ManuallyDrop,
    ptr::{self, NonNull},
};

/// Why a packet is given up, which packet-drop monitors tell apart.
pub(crate) enum Fate {
    /// It did what it was for.
    Consumed,
    /// It was dropped.
    Dropped,
}

/// A packet of our own.
///
/// # Invariants
///
/// The pointer is valid, the reference behind it belongs to this value, and the packet is on no
/// list. Its linear part has been written, from the network header or from `data` on, whichever comes
/// first.
pub(crate) struct Skb(pub(super) NonNull<bindings::sk_buff>);

// SAFETY: A packet may be handed to another CPU.
unsafe impl Send for Skb {}

impl Skb {
    /// Takes over a packet.
    ///
    /// # Safety
    ///
    /// `skb` is valid and on no list, and its reference passes to the result. Where it has a network
    /// header in front of `data`, that was written, and what is between.
    #[inline]
    pub(super) unsafe fn from_raw(skb: *mut bindings::sk_buff) -> Self {
        // SAFETY: By the contract; the link is cleared so that "on no list" is true of it.
        unsafe {
            *layout::skb_next(skb) = ptr::null_mut();
            Self(NonNull::new_unchecked(skb))
        }
    }

    /// Takes over a packet that the stack sends.
    ///
    /// # Safety
    ///
    /// `skb` is valid and on no list, and its reference passes to the result.
    #[inline]
    pub(super) unsafe fn from_stack(skb: *mut bindings::sk_buff) -> Self {
        // SAFETY: By the contract, and by what is done below before anybody gets it.
        let mut this = unsafe { Self::from_raw(skb) };
        let start = this.data_offset();
        let mut packet = this.packet();
        let header = &mut packet.headers_mut().network_header;
        // Who made it need not have set this, and then there may be headroom.
        *header = start.max(*header);
        this
    }

    #[inline]
    pub(super) fn as_ptr(&mut self) -> *mut bindings::sk_buff {
        self.0.as_ptr()
    }

    /// Gives the packet away.
    #[inline]
    pub(super) fn into_raw(self) -> *mut bindings::sk_buff {
        ManuallyDrop::new(self).0.as_ptr()
    }

    #[inline]
    pub(super) fn data_offset(&self) -> u16 {
        self.view().data_offset()
    }

    /// The packet as an element of a chain.
    #[inline]
    pub(crate) fn packet(&mut self) -> Packet<'_> {
        // SAFETY: By the type invariant, and `&mut self`.
        unsafe { Packet::from_raw(self.0) }
    }

    /// The packet, to be looked at.
    #[inline]
    pub(crate) fn view(&self) -> View<'_> {
        View::of(self)
    }

    /// Ends the packet's life.
    #[inline]
    pub(crate) fn free(self, fate: Fate) {
        let skb = self.into_raw();
        // SAFETY: The packet was ours.
        unsafe {
            match fate {
                Fate::Consumed => bindings::wg_consume_skb(skb),
                Fate::Dropped => bindings::wg_kfree_skb(skb),
            }
        }
    }

    /// Makes at least `len` bytes at the start contiguous. `false`: the packet is shorter.
    #[inline]
    pub(crate) fn make_linear(&mut self, len: u32) -> bool {
        // SAFETY: Valid by the type invariant.
        unsafe { bindings::wg_pskb_may_pull(self.0.as_ptr(), len) }
    }

    /// The same, counted from the network header.
    #[inline]
    pub(crate) fn make_network_linear(&mut self, len: u32) -> bool {
        // SAFETY: Valid by the type invariant.
        unsafe { bindings::wg_pskb_network_may_pull(self.0.as_ptr(), len) }
    }

    /// Cuts the packet after `len` bytes.
    #[inline]
    pub(crate) fn trim(&mut self, len: u32) -> bool {
        // SAFETY: Valid by the type invariant.
        unsafe { bindings::wg_pskb_trim(self.0.as_ptr(), len) == 0 }
    }

    /// Moves the start `len` bytes further. `false`: the linear part is shorter.
    #[inline]
    pub(crate) fn advance(&mut self, len: u32) -> bool {
        if self.view().linear().len() < len as usize {
            return false;
        }
        // SAFETY: `len` contiguous bytes are there.
        unsafe { !bindings::skb_pull(self.0.as_ptr(), len).is_null() }
    }

    /// Moves the start `len` bytes back. `false`: the network header is less in front of it.
    #[inline]
    pub(crate) fn retreat(&mut self, len: u32) -> bool {
        let header = self.view().headers().network_header;
        match self.data_offset().checked_sub(header) {
            Some(before) if u32::from(before) >= len => (),
            _ => return false,
        }
        // SAFETY: There is that much in front of it, which was written by the type invariant.
        unsafe { !bindings::skb_push(self.0.as_ptr(), len).is_null() }
    }

    /// Offset of the transport header from the current start, where it is not before it.
    #[inline]
    pub(crate) fn transport_offset(&self) -> Option<u32> {
        match self.view().headers().transport_header {
            u16::MAX => None,
            at => at.checked_sub(self.data_offset()).map(u32::from),
        }
    }

    /// Makes the packet ours alone, by a copy of its descriptor where it is shared.
    #[inline]
    pub(crate) fn unshare(self) -> Option<Self> {
        // SAFETY: The packet passes to the function, which returns it, a copy, or null.
        unsafe {
            let skb = bindings::wg_skb_share_check(self.into_raw());
            (!skb.is_null()).then(|| Self::from_raw(skb))
        }
    }
}

impl Drop for Skb {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: The packet is ours and ends here.
        unsafe { bindings::wg_kfree_skb(self.0.as_ptr()) };
    }
}
