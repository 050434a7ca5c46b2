// SPDX-License-Identifier: GPL-2.0

//! The AEAD of data messages, ChaCha20-Poly1305 (RFC 8439, section 2.8) without
//! additional data, out of its two parts.
//!
//! [`Crypto::aead_seal`] does the same in one call. Here
//!
//! * a part of the text may be elsewhere, and is encrypted from there, so that
//!   nobody has to copy it first;
//! * the authenticator's key is computed together with the first blocks of the
//!   text. A block by itself takes as long as several, which vector registers hold
//!   side by side.

use super::{constants::TAG_LEN, crypto::Crypto};
use core::{mem, ops::Range};

/// Bytes of a block of ChaCha20.
pub const BLOCK_LEN: usize = 64;

/// Bytes of a block of Poly1305.
const MAC_BLOCK_LEN: usize = 16;

/// Bytes of as many blocks as the widest implementations compute at once. They take
/// more than half as long for a single one.
const WIDE: usize = 8 * BLOCK_LEN;

/// Bytes at the front of a text that are encrypted or decrypted together with the
/// authenticator's key, at most. Its block comes before them.
const MAX_START: usize = WIDE - BLOCK_LEN;

/// Bytes that there have to be in front of a text, for the block that the
/// authenticator's key is in. They are written, and in the end are what they were.
pub const FRONT_LEN: usize = BLOCK_LEN;

/// ChaCha20 (RFC 8439, section 2.4).
pub trait Stream {
    /// The key stream from block 0 on, for the nonce that is four zero bytes and
    /// `nonce` in little endian.
    fn begin(key: &[u8; 32], nonce: u64) -> Self;

    /// Encrypts or decrypts in place. All calls but the last are for whole blocks.
    fn apply(&mut self, text: &mut [u8]);

    /// The same from `from` to `to`, which is as long; else nothing is done. `from`
    /// is read once.
    fn apply_to(&mut self, to: &mut [u8], from: &[u8]);
}

/// Poly1305 (RFC 8439, section 2.5).
pub trait Authenticator {
    /// Begins with a key, which is used only once.
    fn begin(key: &[u8; 32]) -> Self;

    /// Takes in more of what is authenticated.
    fn update(&mut self, bytes: &[u8]);

    /// Writes the tag, and wipes the key.
    fn finish(self, tag: &mut [u8; TAG_LEN]);
}

/// The parts of the AEAD.
pub trait Parts: Crypto {
    /// ChaCha20.
    type Stream: Stream;
    /// Poly1305.
    type Authenticator: Authenticator;
}

/// Encrypts what is behind the first [`FRONT_LEN`] bytes of `buffer`, all but the last
/// 16, and writes the tag there.
///
/// `from` is a part of the text that is not in the buffer: it belongs behind the text's
/// first `written` bytes. What belongs behind it is in the buffer again.
///
/// `None`: the buffer is too short for that, and is as it was.
#[inline]
pub fn seal<P: Parts>(
    buffer: &mut [u8],
    written: usize,
    from: &[u8],
    nonce: u64,
    key: &[u8; 32],
) -> Option<()> {
    let text = buffer.get_mut(FRONT_LEN..)?;
    let (text, _) = text.split_last_chunk_mut::<TAG_LEN>()?;
    let len = text.len();
    let end = written.checked_add(from.len())?;
    text.get(written..end)?;
    let far = encrypted_from_elsewhere(len, written, end);
    let from = if far.is_empty() {
        put(text, written, from)?;
        &[]
    } else {
        let (head, rest) = from.split_at_checked(far.start.checked_sub(written)?)?;
        let (from, tail) = rest.split_at_checked(far.len())?;
        put(text, written, head)?;
        put(text, far.end, tail)?;
        from
    };
    with_front(buffer, |buffer| {
        let mut stream = P::Stream::begin(key, nonce);
        let near = FRONT_LEN.checked_add(len.min(MAX_START))?;
        stream.apply(buffer.get_mut(..near)?);
        let (front, sealed) = buffer.split_first_chunk_mut::<FRONT_LEN>()?;
        let (text, tag) = sealed.split_last_chunk_mut()?;
        stream.apply_to(text.get_mut(far.clone())?, from);
        stream.apply(text.get_mut(far.end..)?);
        authenticate::<P>(front.first_chunk()?, text, tag)
    })
}

/// Does `work` where the front of `buffer` is zero, and puts back what was there.
#[inline]
fn with_front(buffer: &mut [u8], work: impl FnOnce(&mut [u8]) -> Option<()>) -> Option<()> {
    let front: &mut [u8; FRONT_LEN] = buffer.first_chunk_mut()?;
    let saved = mem::replace(front, [0; FRONT_LEN]);
    let done = work(buffer);
    // With that the key is gone.
    *buffer.first_chunk_mut()? = saved;
    done
}

/// What of a text of `len` bytes is encrypted from elsewhere where `written..end` of
/// it is: as many blocks as are computed at once, or up to the text's end. It begins
/// where what is encrypted together with the key ends, also where it is empty.
#[inline]
fn encrypted_from_elsewhere(len: usize, written: usize, end: usize) -> Range<usize> {
    let start = len.min(MAX_START);
    let end = match end == len {
        true => end,
        // From the start on, which is a block short of being wide.
        false => (end.saturating_add(BLOCK_LEN) & !(WIDE - 1)).saturating_sub(BLOCK_LEN),
    };
    match written <= start && start < end {
        true => start..end,
        false => start..start,
    }
}

/// Decrypts `sealed`, which ends with its tag, to behind the first [`FRONT_LEN`] bytes of
/// `to`. What is behind the text there stays as it is. `false`: it is not authentic, or
/// there is no room for it, and nothing of it is in `to`.
#[inline]
#[must_use]
pub fn open<P: Parts>(to: &mut [u8], sealed: &[u8], nonce: u64, key: &[u8; 32]) -> bool {
    let opened = with_front(to, |to| {
        let (sealed, tag) = sealed.split_last_chunk::<TAG_LEN>()?;
        let to = to.get_mut(..FRONT_LEN.checked_add(sealed.len())?)?;
        let (near, far) = sealed.split_at_checked(sealed.len().min(MAX_START))?;
        let (to_near, to_far) = to.split_at_mut_checked(FRONT_LEN.checked_add(near.len())?)?;
        put(to_near, FRONT_LEN, near)?;
        let mut stream = P::Stream::begin(key, nonce);
        stream.apply(to_near);
        let (front, text) = to_near.split_first_chunk_mut::<FRONT_LEN>()?;
        if !verify::<P>(front.first_chunk()?, sealed, tag) {
            text.fill(0);
            return None;
        }
        stream.apply_to(to_far, far);
        Some(())
    });
    opened.is_some()
}

/// Decrypts `message`, which ends with its tag, in place. `false`: it is not authentic,
/// and is as it was.
#[inline]
#[must_use]
pub fn open_in_place<P: Parts>(message: &mut [u8], nonce: u64, key: &[u8; 32]) -> bool {
    // The text has to stay until it is known to be authentic, so its first blocks are
    // decrypted here, behind the key's.
    let mut start = [0; WIDE];
    let mut opened = || {
        let (text, tag) = message.split_last_chunk_mut::<TAG_LEN>()?;
        let near_len = text.len().min(MAX_START);
        put(&mut start, BLOCK_LEN, text.get(..near_len)?)?;
        let mut stream = P::Stream::begin(key, nonce);
        let end = BLOCK_LEN.checked_add(near_len)?;
        stream.apply(start.get_mut(..end)?);
        if !verify::<P>(start.first_chunk()?, text, tag) {
            return None;
        }
        stream.apply(text.get_mut(near_len..)?);
        put(text, 0, start.get(BLOCK_LEN..end)?)
    };
    let opened = opened().is_some();
    P::wipe(start.get_mut(..BLOCK_LEN).unwrap_or_default());
    opened
}

/// Copies `from` to its place in `to`. `None`: that is too short.
#[inline]
fn put(to: &mut [u8], at: usize, from: &[u8]) -> Option<()> {
    to.get_mut(at..)?
        .get_mut(..from.len())?
        .copy_from_slice(from);
    Some(())
}

/// Computes the tag of an encrypted text.
#[inline]
fn authenticate<P: Parts>(key: &[u8; 32], text: &[u8], tag: &mut [u8; TAG_LEN]) -> Option<()> {
    let (blocks, rest) = text.split_at_checked(text.len() & !(MAC_BLOCK_LEN - 1))?;
    // The rest, padded, and the lengths of the additional data and of the text.
    let mut end = [0; 2 * MAC_BLOCK_LEN];
    put(&mut end, 0, rest)?;
    let text_len = (text.len() as u64).to_le_bytes();
    put(&mut end, MAC_BLOCK_LEN + 8, &text_len)?;
    let start = if rest.is_empty() { MAC_BLOCK_LEN } else { 0 };
    let end = end.get(start..)?;

    let mut authenticator = P::Authenticator::begin(key);
    authenticator.update(blocks);
    authenticator.update(end);
    authenticator.finish(tag);
    Some(())
}

/// Whether that is the tag of the encrypted text.
#[inline]
fn verify<P: Parts>(key: &[u8; 32], text: &[u8], tag: &[u8; TAG_LEN]) -> bool {
    let mut computed = [0; TAG_LEN];
    let equal = authenticate::<P>(key, text, &mut computed).is_some() && P::equal(&computed, tag);
    // Whoever sent it may learn no more than that it is wrong.
    P::wipe(&mut computed);
    equal
}
