// SPDX-License-Identifier: GPL-2.0

//! The AEAD on packets and messages.
//!
//! C headers: `include/linux/skbuff.h`, `include/crypto/chacha20poly1305.h`.

use super::{
    bindings,
    crypto::KernelCrypto,
    skb::{Packet, DATA_HEADER, DATA_HEADROOM, TAG},
};
use crate::protocol::aead;
use core::{mem::MaybeUninit, ptr, slice};

const _: () = assert!(DATA_HEADROOM as usize >= FRONT);

/// Fragments that one scatter-gather table can take.
const SG_LEN: usize = bindings::MAX_SKB_FRAGS as usize + 8;

/// Bytes that there have to be in front of what is encrypted. What is there is put back.
pub(crate) const FRONT: usize = aead::FRONT_LEN;

/// Bytes that there have to be in front of a data message, for what is encrypted to have as many.
pub(super) const MESSAGE_FRONT: usize = FRONT - DATA_HEADER as usize;

/// How a data message is encrypted.
pub(crate) struct Sealing<'a> {
    pub(crate) counter: u64,
    pub(crate) key: &'a [u8; 32],
    /// Bytes of the text that have been written where a part of it is elsewhere.
    pub(crate) written: usize,
    /// The part that follows them.
    pub(crate) elsewhere: &'a [u8],
}

/// Encrypts what is between the header of a data message and the room for its tag at the end. The message
/// begins [`MESSAGE_FRONT`] bytes into the buffer. `None`: it is not as long.
#[inline]
pub(super) fn seal_message(buffer: &mut [u8], sealing: &Sealing<'_>) -> Option<()> {
    let Sealing {
        counter,
        key,
        written,
        elsewhere,
    } = *sealing;
    aead::seal::<KernelCrypto>(buffer, written, elsewhere, counter, key)
}

/// Decrypts `sealed`, which ends with its tag, to behind the first [`FRONT`] bytes of `to`. `false`: it is
/// not authentic, and nothing of it is there.
#[inline]
pub(super) fn open(to: &mut [u8], sealed: &[u8], nonce: u64, key: &[u8; 32]) -> bool {
    aead::open::<KernelCrypto>(to, sealed, nonce, key)
}

/// Decrypts `sealed`, which ends with its tag, in place. `false`: it is not authentic.
#[inline]
pub(super) fn open_in_place(sealed: &mut [u8], nonce: u64, key: &[u8; 32]) -> bool {
    aead::open_in_place::<KernelCrypto>(sealed, nonce, key)
}

impl Packet<'_> {
    /// Puts `header` in front, `padding` zero bytes and a tag behind, and encrypts all but the
    /// header in place with ChaCha20-Poly1305. `false`: out of memory; the packet is unusable.
    #[inline]
    pub(crate) fn seal(
        &mut self,
        header: [u8; 16],
        padding: u8,
        nonce: u64,
        key: &[u8; 32],
    ) -> bool {
        let skb = self.raw();
        let padding = u32::from(padding);
        let trailer_len = padding.wrapping_add(TAG);
        let plain_len = self.len().wrapping_add(padding);
        let mut trailer = ptr::null_mut();
        // SAFETY: The packet is valid and ours. The hash is computed before the content becomes
        // unreadable. Each call leaves a valid packet, also where it fails.
        let frags = unsafe {
            bindings::wg_skb_get_hash(skb);
            if bindings::wg_skb_cow_head(skb, DATA_HEADROOM) < 0 {
                return false;
            }
            if self.headers().ip_summed() == bindings::CHECKSUM_PARTIAL as u8
                && bindings::skb_checksum_help(skb) != 0
            {
                return false;
            }
            bindings::skb_cow_data(skb, trailer_len as i32, &mut trailer)
        };
        let Some(frags) = usable_frags(frags) else {
            return false;
        };
        // SAFETY: `skb_cow_data` made `trailer` the last buffer of the packet, writable, with
        // `trailer_len` bytes behind its tail; `wg_skb_cow_head` made room for the header.
        unsafe {
            ptr::write_bytes(tail_pointer(trailer), 0, padding as usize);
            let at = (*skb).data.offset_from((*skb).head) as u16;
            self.headers_mut().inner_network_header = at;
            bindings::skb_push(skb, DATA_HEADER)
                .cast::<[u8; 16]>()
                .write(header);
            bindings::pskb_put(skb, trailer, trailer_len as i32);
        }
        if frags == 1 {
            let len = MESSAGE_FRONT.wrapping_add(self.len() as usize);
            // SAFETY: All of the packet is in one buffer, which is writable since `skb_cow_data`. In front
            // of the text are DATA_HEADROOM bytes or more, and writable, since `wg_skb_cow_head`; the buffer
            // takes FRONT of them, which are no more, its header among them.
            let buffer = unsafe { slice::from_raw_parts_mut((*skb).data.sub(MESSAGE_FRONT), len) };
            let sealing = Sealing {
                counter: nonce,
                key,
                written: 0,
                elsewhere: &[],
            };
            return seal_message(buffer, &sealing).is_some();
        }
        let mut sg = [const { MaybeUninit::<bindings::scatterlist>::uninit() }; SG_LEN];
        // SAFETY: `sg` has room for `frags` entries, which is as many as the packet has parts;
        // all parts are writable since `skb_cow_data`.
        let sealed = unsafe {
            let sg = sg.as_mut_ptr().cast();
            bindings::sg_init_table(sg, frags);
            bindings::skb_to_sgvec(
                skb,
                sg,
                DATA_HEADER as i32,
                plain_len.wrapping_add(TAG) as i32,
            ) > 0
                && bindings::chacha20poly1305_encrypt_sg_inplace(
                    sg,
                    plain_len as usize,
                    ptr::null(),
                    0,
                    nonce,
                    key.as_ptr(),
                )
        };
        if !sealed {
            // SAFETY: The trailer ends with the tag, which nobody has written.
            unsafe { ptr::write_bytes(tail_pointer(trailer).sub(TAG as usize), 0, TAG as usize) };
        }
        sealed
    }

    /// Decrypts a packet that begins with a 16-byte data header in place and cuts off header and
    /// tag. The outer headers stay readable. `false`: not authentic, or out of memory.
    #[inline]
    pub(crate) fn open(&mut self, nonce: u64, key: &[u8; 32]) -> bool {
        let skb = self.raw();
        // SAFETY: The packet is valid.
        let outer = unsafe { (*skb).data.offset_from((*skb).head) } as u32;
        let Some(outer) = outer.checked_sub(u32::from(self.headers().network_header)) else {
            return false;
        };
        let Some(offset) = outer.checked_add(DATA_HEADER) else {
            return false;
        };
        if self.head_len() < DATA_HEADER as usize {
            return false;
        }
        let mut trailer = ptr::null_mut();
        // SAFETY: The outer headers are in front of `data`, inside the buffer, so they can be
        // pushed back; the data header is contiguous behind them. They are part of the packet while
        // it is made writable, so that they are copied along.
        let frags = unsafe {
            bindings::skb_push(skb, outer);
            let frags = bindings::skb_cow_data(skb, 0, &mut trailer);
            bindings::skb_pull(skb, offset);
            frags
        };
        let Some(frags) = usable_frags(frags) else {
            return false;
        };
        let mut sg = [const { MaybeUninit::<bindings::scatterlist>::uninit() }; SG_LEN];
        let len = self.len();
        // SAFETY: As in `seal`.
        let opened = unsafe {
            if frags == 1 {
                let sealed = slice::from_raw_parts_mut((*skb).data, len as usize);
                open_in_place(sealed, nonce, key)
            } else {
                let sg = sg.as_mut_ptr().cast();
                bindings::sg_init_table(sg, frags);
                bindings::skb_to_sgvec(skb, sg, 0, len as i32) > 0
                    && bindings::chacha20poly1305_decrypt_sg_inplace(
                        sg,
                        len as usize,
                        ptr::null(),
                        0,
                        nonce,
                        key.as_ptr(),
                    )
            }
        };
        // SAFETY: What was pushed and pulled is inside the packet.
        opened
            && unsafe {
                bindings::skb_push(skb, offset);
                let trimmed = bindings::wg_pskb_trim(skb, self.len().wrapping_sub(TAG)) == 0;
                trimmed && !bindings::skb_pull(skb, offset).is_null()
            }
    }
}

#[inline]
fn usable_frags(frags: i32) -> Option<u32> {
    u32::try_from(frags).ok().filter(|&n| n as usize <= SG_LEN)
}

/// # Safety
///
/// `skb` is valid.
#[inline]
unsafe fn tail_pointer(skb: *mut bindings::sk_buff) -> *mut u8 {
    // SAFETY: `tail` is an offset from `head` where offsets are in use, as on all 64-bit machines.
    unsafe { (*skb).head.add((*skb).tail as usize) }
}
