// SPDX-License-Identifier: GPL-2.0

//! The numbers by which peers name handshakes and sessions in the messages that they send us.

use crate::{
    kernel::{
        crypto::KernelCrypto,
        hashtable::{HashTable, HashTableGuard},
        lock::new_spinlock_bh,
        random,
        rcu::{BhGuard, RcuArc, ReadSection},
    },
    keypair::Keypair,
    peer::Peer,
    protocol::noise::Handshake,
};
use kernel::prelude::*;

type State = Handshake<KernelCrypto>;

/// Buckets for either kind. A peer has up to one handshake and three sessions.
const BUCKETS: usize = 4096;

/// Finds handshakes and sessions by number.
///
/// Numbers are random, so that they tell nothing, and spread over the buckets by themselves.
/// Whatever is in here is kept alive by it; a peer that is removed takes its own out.
#[pin_data]
pub(crate) struct IndexTable {
    #[pin]
    handshakes: HashTable<Peer, { Peer::BY_INDEX }>,
    #[pin]
    keypairs: HashTable<Keypair, 0>,
}

impl IndexTable {
    /// An empty table.
    pub(crate) fn new() -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            handshakes <- HashTable::new(BUCKETS, new_spinlock_bh!((), "wg_handshake_index")),
            keypairs <- HashTable::new(BUCKETS, new_spinlock_bh!((), "wg_keypair_index")),
        })
    }

    /// Whether a number is in use. With a million peers one in a thousand is.
    fn is_taken(&self, bh: &BhGuard, index: u32) -> bool {
        self.handshakes
            .iter(bh, index as usize)
            .any(|peer| peer.handshake.index() == index)
            || self
                .keypairs
                .iter(bh, index as usize)
                .any(|keypair| keypair.local_index == index)
    }

    /// Gives a peer's handshake, of which its lock is held, a new number in place of the one that it may
    /// have. `None`: the peer is being removed.
    pub(crate) fn insert_handshake(&self, peer: &RcuArc<Peer>, _state: &mut State) -> Option<u32> {
        let bh = BhGuard::new();
        // While this is held nobody else gives out a number, or passes one on to a session.
        let mut handshakes = self.handshakes.lock();
        unlink(&mut handshakes, peer);
        // Checked under the lock, after which the removal of the peer takes the handshake out.
        if peer.is_dead() {
            return None;
        }
        let index = loop {
            let index = random::number();
            if !self.is_taken(&bh, index) {
                break index;
            }
        };
        peer.handshake.set_index(&mut handshakes, index);
        handshakes.insert(index as usize, peer.clone());
        Some(index)
    }

    /// Takes a peer's handshake out.
    #[inline(never)]
    pub(crate) fn remove_handshake(&self, peer: &Peer, _state: &mut State) {
        unlink(&mut self.handshakes.lock(), peer);
    }

    /// Puts the session that came of a peer's handshake in its place, under the same number.
    /// `false`: the handshake is not there any more.
    pub(crate) fn promote(
        &self,
        peer: &Peer,
        _state: &mut State,
        keypair: &RcuArc<Keypair>,
    ) -> bool {
        let mut handshakes = self.handshakes.lock();
        if peer.handshake.index() != keypair.local_index || !unlink(&mut handshakes, peer) {
            return false;
        }
        let mut keypairs = self.keypairs.lock();
        keypairs.insert(keypair.local_index as usize, keypair.clone());
        true
    }

    /// Takes a session out.
    pub(crate) fn remove_keypair(&self, keypair: &Keypair) {
        let mut keypairs = self.keypairs.lock();
        drop(keypairs.remove(keypair.local_index as usize, keypair));
    }

    /// The session of a number.
    #[inline]
    pub(crate) fn keypair(
        &self,
        section: &impl ReadSection,
        index: u32,
    ) -> Option<RcuArc<Keypair>> {
        self.keypairs
            .iter(section, index as usize)
            .find(|keypair| keypair.local_index == index)?
            .get()
    }

    /// The peer whose handshake has a number.
    pub(crate) fn handshake(&self, index: u32) -> Option<RcuArc<Peer>> {
        let bh = BhGuard::new();
        self.handshakes
            .iter(&bh, index as usize)
            .find(|peer| peer.handshake.index() == index)?
            .get()
    }

    /// The peer whose handshake or session has a number.
    pub(crate) fn either(&self, index: u32) -> Option<RcuArc<Peer>> {
        self.handshake(index).or_else(|| {
            let bh = BhGuard::new();
            Some(self.keypair(&bh, index)?.peer.clone())
        })
    }
}

#[inline(never)]
fn unlink(handshakes: &mut HashTableGuard<'_, Peer, { Peer::BY_INDEX }>, peer: &Peer) -> bool {
    handshakes
        .remove(peer.handshake.index() as usize, peer)
        .is_some()
}
