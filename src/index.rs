// SPDX-License-Identifier: GPL-2.0

//! The numbers by which peers name handshakes and sessions in the messages that they send us.

use crate::{
    kernel::{
        lock::{new_spinlock_bh, SpinLockBh},
        random,
        rcu::{BhGuard, RcuArc, ReadSection},
        table::Chain,
    },
    keypair::Keypair,
    peer::Peer,
};
use kernel::prelude::*;

/// Buckets for either kind. A peer has up to one handshake and three sessions.
const BUCKETS: usize = 4096;

/// Finds handshakes and sessions by number.
///
/// Numbers are random, so that they tell nothing, and spread over the buckets by themselves.
/// Whatever is in here is kept alive by it; a peer that is removed takes its own out.
#[pin_data]
pub(crate) struct IndexTable {
    handshakes: KVVec<Chain<Peer, Writing, { Peer::BY_INDEX }>>,
    keypairs: KVVec<Chain<Keypair, Writing, 0>>,
    #[pin]
    lock: SpinLockBh<Writing>,
}

/// Evidence of being the only one who changes a table.
struct Writing;

pub(crate) fn buckets<T>(count: usize, empty: impl Fn() -> T) -> Result<KVVec<T>> {
    let mut buckets = KVVec::with_capacity(count, GFP_KERNEL)?;
    for _ in 0..count {
        buckets.push(empty(), GFP_KERNEL)?;
    }
    Ok(buckets)
}

#[inline]
fn bucket<T>(buckets: &KVVec<T>, index: u32) -> Option<&T> {
    buckets.get(index as usize & (BUCKETS - 1))
}

impl IndexTable {
    /// An empty table.
    pub(crate) fn new() -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            handshakes: buckets(BUCKETS, Chain::new)?,
            keypairs: buckets(BUCKETS, Chain::new)?,
            lock <- new_spinlock_bh!(Writing, "wg_index"),
        })
    }

    /// Whether a number is in use. With a million peers one in a thousand is.
    fn is_taken(&self, bh: &BhGuard, index: u32) -> bool {
        let handshakes = bucket(&self.handshakes, index)
            .into_iter()
            .flat_map(|c| c.iter(bh));
        let keypairs = bucket(&self.keypairs, index)
            .into_iter()
            .flat_map(|c| c.iter(bh));
        handshakes
            .into_iter()
            .any(|peer| peer.handshake_index() == index)
            || keypairs
                .into_iter()
                .any(|keypair| keypair.local_index == index)
    }

    /// Gives a peer's handshake a new number in place of the one that it may have. `None`: the
    /// peer is being removed.
    pub(crate) fn insert_handshake(&self, peer: &RcuArc<Peer>) -> Option<u32> {
        let bh = BhGuard::new();
        let mut guard = self.lock.lock();
        self.unlink(&mut guard, peer);
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
        peer.set_handshake_index(index);
        bucket(&self.handshakes, index)?.insert(&mut guard, peer.clone());
        Some(index)
    }

    #[inline(never)]
    fn unlink(&self, lock: &mut Writing, peer: &Peer) -> bool {
        bucket(&self.handshakes, peer.handshake_index())
            .and_then(|chain| chain.remove(lock, peer))
            .is_some()
    }

    /// Takes a peer's handshake out.
    #[inline(never)]
    pub(crate) fn remove_handshake(&self, peer: &Peer) {
        let mut guard = self.lock.lock();
        self.unlink(&mut guard, peer);
    }

    /// Puts the session that came of a peer's handshake in its place, under the same number.
    /// `false`: the handshake is not there any more.
    pub(crate) fn promote(&self, peer: &Peer, keypair: &RcuArc<Keypair>) -> bool {
        let mut guard = self.lock.lock();
        if peer.handshake_index() != keypair.local_index || !self.unlink(&mut guard, peer) {
            return false;
        }
        if let Some(chain) = bucket(&self.keypairs, keypair.local_index) {
            chain.insert(&mut guard, keypair.clone());
        }
        true
    }

    /// Takes a session out.
    pub(crate) fn remove_keypair(&self, keypair: &Keypair) {
        let mut guard = self.lock.lock();
        if let Some(chain) = bucket(&self.keypairs, keypair.local_index) {
            drop(chain.remove(&mut guard, keypair));
        }
    }

    /// The session of a number.
    #[inline]
    pub(crate) fn keypair(
        &self,
        section: &impl ReadSection,
        index: u32,
    ) -> Option<RcuArc<Keypair>> {
        bucket(&self.keypairs, index)?
            .iter(section)
            .find(|keypair| keypair.local_index == index)?
            .get()
    }

    /// The peer whose handshake has a number.
    pub(crate) fn handshake(&self, index: u32) -> Option<RcuArc<Peer>> {
        let bh = BhGuard::new();
        bucket(&self.handshakes, index)?
            .iter(&bh)
            .find(|peer| peer.handshake_index() == index)?
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
