// SPDX-License-Identifier: GPL-2.0

//! Peers by public key.

use crate::{
    device::Config,
    index::buckets,
    kernel::{
        crypto::SipKey,
        rcu::{BhGuard, RcuArc},
        table::Chain,
    },
    peer::Peer,
    protocol::crypto::PublicKey,
};
use kernel::prelude::*;

const BUCKETS: usize = 2048;

/// Finds peers by public key. Keys that strangers make up must not fill one bucket, so the hash is
/// a keyed one. Changes are made under the device's configuration lock.
pub(crate) struct PeerTable {
    buckets: KVVec<Chain<Peer, Config, { Peer::BY_KEY }>>,
    key: SipKey,
}

impl PeerTable {
    /// An empty table.
    pub(crate) fn new() -> Result<Self> {
        Ok(Self {
            buckets: buckets(BUCKETS, Chain::new)?,
            key: SipKey::random(),
        })
    }

    fn bucket(&self, key: &PublicKey) -> Option<&Chain<Peer, Config, { Peer::BY_KEY }>> {
        self.buckets
            .get(self.key.hash(&key.0) as usize & (BUCKETS - 1))
    }

    pub(crate) fn insert(&self, config: &mut Config, peer: RcuArc<Peer>) {
        if let Some(chain) = self.bucket(&peer.public_key) {
            chain.insert(config, peer);
        }
    }

    pub(crate) fn remove(&self, config: &mut Config, peer: &Peer) {
        if let Some(chain) = self.bucket(&peer.public_key) {
            drop(chain.remove(config, peer));
        }
    }

    /// The peer that has a key.
    #[inline(never)]
    pub(crate) fn find(&self, key: &PublicKey) -> Option<RcuArc<Peer>> {
        let bh = BhGuard::new();
        self.bucket(key)?
            .iter(&bh)
            .find(|peer| peer.public_key == *key)?
            .get()
    }
}
