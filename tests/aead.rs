// SPDX-License-Identifier: GPL-2.0

//! The AEAD out of its parts, against an implementation in one piece.

mod common;

use common::{
    rounds,
    spy::{Spy, WIPED},
    Host,
};
use proptest::prelude::*;
use std::cell::RefCell;
use wireguard_protocol::protocol::aead::{
    open, open_in_place, seal, Authenticator, Parts, Stream, BLOCK_LEN, FRONT_LEN,
};
use wireguard_protocol::protocol::crypto::Crypto;

const TAG_LEN: usize = 16;

thread_local! {
    /// Lengths of the calls for a part of the key stream.
    static CALLS: RefCell<Vec<usize>> = const { RefCell::new(Vec::new()) };
}

/// The cipher on the host, which notes how it is called.
pub struct ChaCha20(chacha20::ChaCha20);

fn chacha20(key: &[u8; 32], nonce: u64) -> chacha20::ChaCha20 {
    use chacha20::cipher::KeyIvInit;
    let mut wide = [0; 12];
    wide[4..].copy_from_slice(&nonce.to_le_bytes());
    chacha20::ChaCha20::new(key.into(), &wide.into())
}

impl Stream for ChaCha20 {
    fn begin(key: &[u8; 32], nonce: u64) -> Self {
        Self(chacha20(key, nonce))
    }

    fn apply(&mut self, text: &mut [u8]) {
        use chacha20::cipher::{StreamCipher, StreamCipherSeek};
        // As in the kernel: a block that was begun is not gone on with.
        let at: usize = self.0.current_pos();
        self.0.seek(at.next_multiple_of(BLOCK_LEN));
        self.0.apply_keystream(text);
        CALLS.with_borrow_mut(|calls| calls.push(text.len()));
    }

    fn apply_to(&mut self, to: &mut [u8], from: &[u8]) {
        assert_eq!(to.len(), from.len());
        to.copy_from_slice(from);
        self.apply(to);
    }
}

/// The authenticator on the host.
pub struct Poly1305 {
    state: poly1305::Poly1305,
    taken: Vec<u8>,
}

impl Authenticator for Poly1305 {
    fn begin(key: &[u8; 32]) -> Self {
        use poly1305::universal_hash::KeyInit;
        Self {
            state: poly1305::Poly1305::new(key.into()),
            taken: Vec::new(),
        }
    }

    fn update(&mut self, bytes: &[u8]) {
        self.taken.extend(bytes);
    }

    fn finish(self, tag: &mut [u8; TAG_LEN]) {
        tag.copy_from_slice(&self.state.compute_unpadded(&self.taken));
    }
}

impl Parts for Spy {
    type Stream = ChaCha20;
    type Authenticator = Poly1305;
}

fn text(len: usize) -> Vec<u8> {
    (0..len).map(|n| (n * 7 + n / 251) as u8).collect()
}

fn sealed(text: &[u8], nonce: u64, key: &[u8; 32]) -> Vec<u8> {
    let mut sealed = vec![0; text.len() + TAG_LEN];
    assert!(Host::aead_seal(&mut sealed, text, &[], nonce, key));
    sealed
}

/// What is in front of a text.
const FRONT: [u8; FRONT_LEN] = [0xbb; FRONT_LEN];

/// Seals a text of which `written..end` is elsewhere.
fn seal_parts(text: &[u8], written: usize, end: usize, nonce: u64, key: &[u8; 32]) -> Vec<u8> {
    let mut buffer = FRONT.to_vec();
    buffer.extend(text);
    buffer.extend([0xee; TAG_LEN]);
    buffer[FRONT_LEN..][written..end].fill(0xdd);
    CALLS.with_borrow_mut(Vec::clear);
    seal::<Spy>(&mut buffer, written, &text[written..end], nonce, key).unwrap();
    assert_eq!(buffer[..FRONT_LEN], FRONT);
    // All calls but the last are for whole blocks.
    CALLS.with_borrow(|calls| {
        let used: Vec<_> = calls.iter().filter(|&&len| len != 0).collect();
        let (_, before) = used.split_last().unwrap();
        assert!(before.iter().all(|&&len| len % BLOCK_LEN == 0), "{calls:?}");
    });
    buffer.split_off(FRONT_LEN)
}

/// Opens into memory that is `behind` bytes longer than needed. What is in front of the text and behind it
/// has to stay, and of a message that is not authentic nothing may be there.
fn open_behind(sealed: &[u8], behind: usize, nonce: u64, key: &[u8; 32]) -> Option<Vec<u8>> {
    let len = sealed.len() - TAG_LEN;
    let mut to = FRONT.to_vec();
    to.resize(FRONT_LEN + len + behind, 0xcc);
    let opened = open::<Spy>(&mut to, sealed, nonce, key);
    let mut text = to.split_off(FRONT_LEN);
    assert_eq!(to, FRONT);
    assert_eq!(text.split_off(len), vec![0xcc; behind]);
    if !opened {
        assert!(text.iter().all(|byte| [0xcc, 0].contains(byte)));
    }
    opened.then_some(text)
}

const KEY: [u8; 32] = *b"a key of thirty-two bytes, or so";

const NONCE: u64 = 0x0102_0304_0506_0708;

/// All up to some, and for Miri, which is slow, some of them.
fn lengths() -> impl Iterator<Item = usize> {
    const SOME: [usize; 4] = [0, 65, 449, 1000];
    let all = if cfg!(miri) { 0..0 } else { 0..1600 };
    all.chain(SOME)
}

#[test]
fn sealed_as_in_one_piece() {
    for len in lengths() {
        let text = text(len);
        assert_eq!(
            seal_parts(&text, 0, 0, NONCE, &KEY),
            sealed(&text, NONCE, &KEY)
        );
    }
}

#[test]
fn sealed_from_elsewhere() {
    for len in lengths() {
        let (text, padding) = (text(len), len % 17);
        let expected = sealed(&text, NONCE, &KEY);
        // Headers of TCP over IPv4 and IPv6, and those of each length that is at an edge.
        let written = [0, 52, 449, len, 20, 40, 63, 64, 65, 72, 120, 447, 448, 512];
        for written in written.into_iter().take(if cfg!(miri) { 4 } else { 14 }) {
            for end in [len, len.saturating_sub(padding)] {
                if written <= end {
                    assert_eq!(
                        seal_parts(&text, written, end, NONCE, &KEY),
                        expected,
                        "{written} to {end} of {len}"
                    );
                }
            }
        }
    }
}

#[test]
fn opened_as_in_one_piece() {
    for len in lengths() {
        let text = text(len);
        let sealed = sealed(&text, NONCE, &KEY);
        assert_eq!(open_behind(&sealed, 3, NONCE, &KEY).as_ref(), Some(&text));
        let mut to = sealed.clone();
        assert!(open_in_place::<Spy>(&mut to, NONCE, &KEY));
        assert_eq!(to[..len], text);
    }
}

#[test]
fn forgeries_leave_nothing() {
    let lengths = [0, 65, 449, 1, 16, 63, 64, 447, 448, 1420];
    for len in lengths.into_iter().take(if cfg!(miri) { 3 } else { 10 }) {
        let sealed = sealed(&text(len), NONCE, &KEY);
        let step = if cfg!(miri) { 200 } else { 1 };
        for at in (0..sealed.len()).step_by(step).chain([sealed.len() - 1]) {
            let mut forged = sealed.clone();
            forged[at] ^= 0x80;
            assert!(open_behind(&forged, 0, NONCE, &KEY).is_none());
            let mut to = forged.clone();
            assert!(!open_in_place::<Spy>(&mut to, NONCE, &KEY));
            assert_eq!(to, forged);
        }
        assert!(open_behind(&sealed, 0, NONCE + 1, &KEY).is_none());
        assert!(open_behind(&sealed, 0, NONCE, &[0; 32]).is_none());
    }
}

#[test]
fn lengths_that_do_not_fit() {
    for len in 0..TAG_LEN {
        let mut message = vec![0xcc; len];
        assert!(!open_in_place::<Spy>(&mut message, NONCE, &KEY));
        assert!(!open::<Spy>(&mut [0; 2 * FRONT_LEN], &message, NONCE, &KEY));
        assert_eq!(message, vec![0xcc; len]);
    }
    for len in 0..FRONT_LEN + TAG_LEN {
        let mut buffer = vec![0xcc; len];
        assert!(seal::<Spy>(&mut buffer, 0, &[], NONCE, &KEY).is_none());
        assert_eq!(buffer, vec![0xcc; len]);
    }
    let mut buffer = [0xcc; FRONT_LEN + 1000];
    for (written, len) in [(0, 985), (500, 485), (985, 0), (usize::MAX, 1), (1, 1000)] {
        let from = vec![0; len];
        assert!(seal::<Spy>(&mut buffer, written, &from, NONCE, &KEY).is_none());
        assert_eq!(buffer, [0xcc; FRONT_LEN + 1000]);
    }
    let sealed = sealed(&text(100), NONCE, &KEY);
    for len in [0, FRONT_LEN - 1, FRONT_LEN, FRONT_LEN + 99] {
        let mut to = vec![0xcc; len];
        assert!(!open::<Spy>(&mut to, &sealed, NONCE, &KEY));
        assert_eq!(to, vec![0xcc; len]);
    }
}

/// Where the key has been in the front of a buffer, what was there is put back, of which all the others
/// assure themselves.
#[test]
fn the_keys_are_wiped() {
    use chacha20::cipher::StreamCipher;
    let mut block = vec![0; BLOCK_LEN];
    chacha20(&KEY, NONCE).apply_keystream(&mut block);
    let wiped = |what: &dyn Fn()| {
        WIPED.with_borrow_mut(Vec::clear);
        what();
        WIPED.with_borrow(|wiped| wiped.contains(&block))
    };
    let sealed = sealed(&text(100), NONCE, &KEY);
    let mut forged = sealed.clone();
    forged[0] ^= 1;
    for sealed in [&sealed, &forged] {
        assert!(wiped(&|| {
            let _ = open_in_place::<Spy>(&mut sealed.clone(), NONCE, &KEY);
        }));
    }
    // The tag that would have been right.
    let mut right = [0; TAG_LEN];
    right.copy_from_slice(&sealed[100..]);
    let mut forged = sealed.clone();
    forged[110] ^= 1;
    WIPED.with_borrow_mut(Vec::clear);
    assert!(open_behind(&forged, 0, NONCE, &KEY).is_none());
    WIPED.with_borrow(|wiped| assert!(wiped.contains(&right.to_vec())));
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: rounds(2000) as u32,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn whatever_is_sealed_is_opened(
        len in 0..if cfg!(miri) { 600 } else { 10_000usize },
        parts in any::<[u16; 2]>(),
        nonce in any::<u64>(),
        key in any::<[u8; 32]>(),
    ) {
        let text = text(len);
        let mut parts = parts.map(|at| usize::from(at) % (len + 1));
        parts.sort_unstable();
        let message = seal_parts(&text, parts[0], parts[1], nonce, &key);
        prop_assert_eq!(&message, &sealed(&text, nonce, &key));
        prop_assert_eq!(open_behind(&message, 0, nonce, &key), Some(text));
    }
}
