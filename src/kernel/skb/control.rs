// SPDX-License-Identifier: GPL-2.0

//! What this module keeps in a packet's control block.
//!
//! C header: `include/linux/skbuff.h`.

use super::{Packet, Skb};
use crate::kernel::bindings;
use core::{
    mem::{offset_of, size_of},
    ptr::NonNull,
    sync::atomic::AtomicU32,
};

/// The control block. Every bit pattern is valid, since other layers leave theirs there.
#[repr(C)]
pub(in crate::kernel) struct Control {
    /// A counted reference that `batch` and `ring` keep here as a raw pointer.
    pub(in crate::kernel) owner: *const (),
    /// What came of the batch that this packet is the first of.
    pub(in crate::kernel) results: *mut bindings::sk_buff,
    /// Progress of that batch.
    pub(in crate::kernel) state: AtomicU32,
    /// How much of its queue's capacity that batch takes.
    pub(in crate::kernel) weight: u32,
    notes: Notes,
}

/// What is noted of a packet, by whoever has it.
#[repr(C)]
pub(crate) struct Notes {
    /// Message counter, the AEAD nonce.
    pub(crate) nonce: u64,
    /// MTU of the route the packet came by; bounds its padding. 0: unknown.
    pub(crate) mtu: u32,
    /// Bytes of the messages that it was.
    pub(crate) wire_len: u32,
    /// Messages that it becomes or was, which are numbered from `nonce` on.
    pub(crate) segments: u16,
    /// DS field for the outer header when sending, of the outer header when receiving.
    pub(crate) ds: u8,
}

const _: () = {
    assert!(size_of::<Control>() <= 48);
    // What is behind this is overwritten when the packet is cut.
    assert!(offset_of!(Control, notes.nonce) <= bindings::SKB_GSO_CB_OFFSET as usize);
    assert!(offset_of!(bindings::sk_buff, cb) % align_of::<Control>() == 0);
};

impl Packet<'_> {
    /// What is noted of it.
    #[inline]
    pub(crate) fn control(&self) -> &Notes {
        // SAFETY: Layout was checked above, every bit pattern is valid, and this part of the block belongs
        // to whoever holds the packet.
        unsafe { &(*Skb::control_ptr(self.at())).notes }
    }

    #[inline]
    fn control_mut(&mut self) -> &mut Notes {
        // SAFETY: As above, and `&mut self`. Others may look at the state, but not at these.
        unsafe { &mut (*Skb::control_ptr(self.at())).notes }
    }

    /// Notes the message counter, the first if there are several messages in it, how many there are,
    /// and the DS field of the outer header.
    #[inline]
    pub(crate) fn note_message(&mut self, nonce: u64, segments: u16, ds: u8) {
        let notes = self.control_mut();
        notes.nonce = nonce;
        notes.segments = segments;
        notes.ds = ds;
    }

    /// Notes what the packet was: messages of `wire_len` bytes together, which were numbered from `nonce`
    /// on, and the DS field of their outer header.
    #[inline]
    pub(crate) fn note_received(&mut self, nonce: u64, segments: u16, ds: u8, wire_len: u32) {
        self.note_message(nonce, segments, ds);
        self.control_mut().wire_len = wire_len;
    }

    /// Notes the MTU that bounds its padding.
    #[inline]
    pub(crate) fn note_mtu(&mut self, mtu: u32) {
        self.control_mut().mtu = mtu;
    }

    /// Notes that MTU, and how many messages the packet becomes.
    #[inline]
    pub(crate) fn note_staged(&mut self, mtu: u32, segments: u16) {
        self.control_mut().mtu = mtu;
        self.control_mut().segments = segments;
    }
}

impl Skb {
    #[inline]
    pub(in crate::kernel) fn control_block(&mut self) -> *mut Control {
        Self::control_ptr(self.0)
    }

    #[inline]
    pub(in crate::kernel) fn control_ptr(skb: NonNull<bindings::sk_buff>) -> *mut Control {
        skb.as_ptr()
            .wrapping_byte_add(offset_of!(bindings::sk_buff, cb))
            .cast()
    }
}
