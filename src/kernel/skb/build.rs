// SPDX-License-Identifier: GPL-2.0

//! Packets of our own making.
//!
//! C header: `include/linux/skbuff.h`.

use super::Skb;
use crate::{
    ip::{IPV6_HEADER_LEN, UDP_HEADER_LEN},
    kernel::{bindings, frag::Frag, gso, netdev::NetDevice},
    protocol::{constants::TAG_LEN, message::DATA_HEADER_LEN},
};
use core::ptr;

/// The space in front of a packet for everything that is put before the encrypted data: outer IP
/// and UDP headers, the device's own padding, the message header; a multiple of four.
pub(crate) const DATA_HEADROOM: u32 = align4(DATA_HEADER + HEADROOM);
/// The space in front of a handshake message.
pub(crate) const HEADROOM: u32 = IPV6_HEADER_LEN + UDP_HEADER_LEN + bindings::NET_SKB_PAD_BYTES;
/// Bytes in front of what is encrypted in a data message.
pub(in crate::kernel) const DATA_HEADER: u32 = DATA_HEADER_LEN as u32;
/// Bytes behind it.
pub(in crate::kernel) const TAG: u32 = TAG_LEN as u32;

const fn align4(n: u32) -> u32 {
    (n + 3) & !3
}

impl Skb {
    /// A packet with `content`, and room for the outer headers in front.
    pub(crate) fn with_content(content: &[u8]) -> Option<Self> {
        let mut skb = Self::with_linear(HEADROOM, content)?;
        let offset = skb.data_offset();
        skb.packet().headers_mut().inner_network_header = offset;
        Some(skb)
    }

    /// A packet with `content`, and `headroom` bytes in front.
    pub(in crate::kernel) fn with_linear(headroom: u32, content: &[u8]) -> Option<Self> {
        let len = u32::try_from(content.len()).ok()?;
        let skb = Self::alloc(headroom, len)?;
        let at = skb.0;
        // SAFETY: `len` bytes of tail room were allocated.
        unsafe {
            ptr::copy_nonoverlapping(
                content.as_ptr(),
                bindings::skb_put(at.as_ptr(), len).cast(),
                content.len(),
            );
        }
        Some(skb)
    }

    /// An empty packet with room for the headers of a data message in front and its tag behind.
    pub(crate) fn empty(dev: &NetDevice) -> Option<Self> {
        let mut skb = Self::alloc(DATA_HEADROOM, DATA_HEADER + TAG)?;
        // The stack looks there for the namespace of a packet that it computes a hash for.
        skb.set_dev(dev);
        Some(skb)
    }

    /// A packet without linear part but for room for all headers of a data message.
    pub(in crate::kernel) fn without_content() -> Option<Self> {
        Self::alloc(DATA_HEADROOM, 0)
    }

    /// Appends a fragment. `None`: there are as many as there can be.
    #[inline]
    pub(crate) fn add_frag(&mut self, frag: Frag) -> Option<()> {
        let skb = self.0.as_ptr();
        // SAFETY: The packet is ours, and so is its shared information.
        let at = unsafe { (*gso::shared_info(skb)).nr_frags };
        if u32::from(at) >= bindings::MAX_SKB_FRAGS {
            return None;
        }
        let (page, offset, len) = frag.into_raw();
        // SAFETY: There is room for one more, and the reference passes to the packet.
        unsafe {
            bindings::wg_skb_add_rx_frag(skb, at.into(), page, offset as i32, len as i32);
        }
        Some(())
    }

    pub(in crate::kernel) fn alloc(headroom: u32, len: u32) -> Option<Self> {
        // SAFETY: Callable in every context with GFP_ATOMIC; the headroom is part of the size.
        unsafe {
            let skb =
                bindings::wg_alloc_skb(headroom.checked_add(len)?, bindings::GFP_ATOMIC_FLAGS);
            if skb.is_null() {
                return None;
            }
            bindings::wg_skb_reserve(skb, headroom as i32);
            // Where `data` is.
            Some(Self::from_stack(skb))
        }
    }
}
