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
use core::{marker::PhantomData, ops::Range};

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

/// Encrypts all of `message` but its last 16 bytes, and writes the tag there.
///
/// `from` is a part of the text that is not in the message: it belongs behind the
/// message's first `written` bytes. What belongs behind it is in the message again.
///
/// `None`: the message is too short for that, and nothing was written.
#[inline]
pub fn seal<P: Parts>(
    message: &mut [u8],
    written: usize,
    from: &[u8],
    nonce: u64,
    key: &[u8; 32],
) -> Option<()> {
    let (text, tag) = message.split_last_chunk_mut::<TAG_LEN>()?;
    let end = written.checked_add(from.len())?;
    text.get(written..end)?;
    let far = encrypted_from_elsewhere(text.len(), written, end);
    let (inside, outside, from) = if far.is_empty() {
        put(text, written, from)?;
        (far.start, &[][..], &[][..])
    } else {
        let (head, rest) = from.split_at_checked(far.start.checked_sub(written)?)?;
        let (from, tail) = rest.split_at_checked(far.len())?;
        put(text, far.end, tail)?;
        (written, head, from)
    };

    let mut stream = P::Stream::begin(key, nonce);
    let mut start = Start::<P>::new();
    let near = start.apply(&mut stream, text.get(..inside)?, outside)?;
    put(text, 0, near)?;
    stream.apply_to(text.get_mut(far.clone())?, from);
    stream.apply(text.get_mut(far.end..)?);
    authenticate::<P>(start.key()?, text, tag)
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

/// Decrypts `sealed`, which ends with its tag, to `to`, which is as long or longer; what is behind the
/// text there stays as it is. `false`: it is not authentic, and nothing was
/// written.
#[inline]
#[must_use]
pub fn open<P: Parts>(to: &mut [u8], sealed: &[u8], nonce: u64, key: &[u8; 32]) -> bool {
    let mut start = Start::<P>::new();
    let mut opened = || {
        let (sealed, tag) = sealed.split_last_chunk::<TAG_LEN>()?;
        let to = to.get_mut(..sealed.len())?;
        let (near, far) = sealed.split_at_checked(sealed.len().min(MAX_START))?;
        let (to_near, to_far) = to.split_at_mut_checked(near.len())?;
        let mut stream = P::Stream::begin(key, nonce);
        start.apply(&mut stream, near, &[])?;
        if !verify::<P>(start.key()?, sealed, tag) {
            return None;
        }
        stream.apply_to(to_far, far);
        put(to_near, 0, start.text()?)
    };
    opened().is_some()
}

/// The same in place.
#[inline]
#[must_use]
pub fn open_in_place<P: Parts>(message: &mut [u8], nonce: u64, key: &[u8; 32]) -> bool {
    let mut start = Start::<P>::new();
    let mut opened = || {
        let (text, tag) = message.split_last_chunk_mut::<TAG_LEN>()?;
        let mut stream = P::Stream::begin(key, nonce);
        let near_len = text.len().min(MAX_START);
        start.apply(&mut stream, text.get(..near_len)?, &[])?;
        if !verify::<P>(start.key()?, text, tag) {
            return None;
        }
        stream.apply(text.get_mut(near_len..)?);
        put(text, 0, start.text()?)
    };
    opened().is_some()
}

/// Room for block 0 of the key stream, which the authenticator's key is in, and for
/// the first blocks of a text. The former is wiped when this is dropped.
struct Start<P: Parts> {
    bytes: [u8; WIDE],
    text_len: usize,
    _parts: PhantomData<fn() -> P>,
}

impl<P: Parts> Start<P> {
    #[inline]
    const fn new() -> Self {
        Start {
            bytes: [0; WIDE],
            text_len: 0,
            _parts: PhantomData,
        }
    }

    /// Takes the key, and encrypts or decrypts the first bytes of a text, which are
    /// `text` and what `follows` it, at most [`MAX_START`]. `None`: they are more.
    #[inline]
    fn apply(&mut self, stream: &mut P::Stream, text: &[u8], follows: &[u8]) -> Option<&[u8]> {
        let end = BLOCK_LEN.checked_add(text.len())?;
        put(&mut self.bytes, BLOCK_LEN, text)?;
        put(&mut self.bytes, end, follows)?;
        self.text_len = text.len().checked_add(follows.len())?;
        // Whole blocks, and two at least: for one nobody uses vector registers.
        let text_blocks = self.text_len.max(1).checked_next_multiple_of(BLOCK_LEN)?;
        stream.apply(self.bytes.get_mut(..text_blocks.checked_add(BLOCK_LEN)?)?);
        self.text()
    }

    /// The authenticator's key.
    #[inline]
    fn key(&self) -> Option<&[u8; 32]> {
        self.bytes.first_chunk()
    }

    /// The text's first bytes.
    #[inline]
    fn text(&self) -> Option<&[u8]> {
        self.bytes.get(BLOCK_LEN..)?.get(..self.text_len)
    }
}

impl<P: Parts> Drop for Start<P> {
    #[inline]
    fn drop(&mut self) {
        P::wipe(self.bytes.get_mut(..BLOCK_LEN).unwrap_or_default());
    }
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
