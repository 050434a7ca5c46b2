// SPDX-License-Identifier: GPL-2.0

//! Peers by public key.

use crate::{
    config::ConfigGuard,
    kernel::{
        crypto::SipKey,
        hashtable::HashTable,
        lock::new_spinlock_bh,
        rcu::{BhGuard, RcuArc},
    },
    peer::Peer,
    protocol::crypto::PublicKey,
};
use kernel::prelude::*;

const BUCKETS: usize = 2048;

/// Finds peers by public key. Keys that strangers make up must not fill one bucket, so the hash is
/// a keyed one.
#[pin_data]
pub(crate) struct PeerTable {
    #[pin]
    peers: HashTable<Peer, { Peer::BY_KEY }>,
    key: SipKey,
}

impl PeerTable {
    /// An empty table.
    pub(crate) fn new() -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            peers <- HashTable::new(BUCKETS, new_spinlock_bh!((), "wg_peers")),
            key: SipKey::random(),
        })
    }

    fn hash(&self, key: &PublicKey) -> usize {
        self.key.hash(&key.0) as usize
    }

    /// Adds a peer whose key no other has, which the lock of the configuration sees to.
    pub(crate) fn insert(config: &mut ConfigGuard<'_>, peer: RcuArc<Peer>) {
        let this = &config.dev().by_key;
        this.peers.lock().insert(this.hash(&peer.public_key), peer);
    }

    /// Takes a peer out.
    pub(crate) fn remove(config: &mut ConfigGuard<'_>, peer: &Peer) {
        let this = &config.dev().by_key;
        drop(this.peers.lock().remove(this.hash(&peer.public_key), peer));
    }

    /// The peer that has a key.
    #[inline(never)]
    pub(crate) fn find(&self, key: &PublicKey) -> Option<RcuArc<Peer>> {
        let bh = BhGuard::new();
        self.peers
            .iter(&bh, self.hash(key))
            .find(|peer| peer.public_key == *key)?
            .get()
    }
}
