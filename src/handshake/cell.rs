// SPDX-License-Identifier: GPL-2.0

//! Where a peer has its handshake. The index by which the peer's messages name it comes and goes with
//! its state: both change here, under the handshake's lock.

use crate::{
    kernel::{
        crypto::KernelCrypto,
        hashtable::HashTableGuard,
        lock::{new_rw, ReadGuard, RwSem, SleepRw},
        rcu::{BhGuard, RcuArc},
        time,
    },
    keypair::Keypair,
    peer::Peer,
    protocol::{
        constants::Instant,
        crypto::{PresharedKey, PublicKey, SecretKey},
        message::{Initiation, Response},
        noise::{
            ConsumedInitiation, ConsumedResponse, Handshake, Phase, SessionKeys, StaticIdentity,
            Tai64n,
        },
    },
};
use core::sync::atomic::{AtomicU32, Ordering};
use kernel::prelude::*;

/// A peer's handshake, and its index.
#[pin_data]
pub(crate) struct HandshakeCell {
    #[pin]
    state: RwSem<Handshake<KernelCrypto>>,
    /// By which the index table finds it: who looks there does not hold the lock. Changed by the table
    /// alone.
    index: AtomicU32,
}

impl HandshakeCell {
    /// None in progress.
    pub(crate) fn new(remote: PublicKey) -> impl PinInit<Self> {
        pin_init!(Self {
            state <- new_rw!(Handshake::new(remote), "wg_handshake"),
            index: AtomicU32::new(0),
        })
    }

    /// The handshake, which stays as it is meanwhile.
    pub(crate) fn read(&self) -> ReadGuard<'_, Handshake<KernelCrypto>, SleepRw> {
        self.state.read()
    }

    /// The index that it has or had last.
    pub(crate) fn index(&self) -> u32 {
        self.index.load(Ordering::Relaxed)
    }

    /// Gives it another one, under which the table, whose lock is held, has it from now on.
    pub(crate) fn set_index(
        &self,
        _table: &mut HashTableGuard<'_, Peer, { Peer::BY_INDEX }>,
        index: u32,
    ) {
        self.index.store(index, Ordering::Relaxed);
    }

    /// Has handshakes go by the device's own key pair.
    pub(crate) fn set_identity(&self, identity: Option<&StaticIdentity<KernelCrypto>>) {
        self.state.write().set_identity(identity);
    }

    /// Has handshakes go by a preshared key. Returns whether it is another one.
    pub(crate) fn set_preshared_key(&self, key: &PresharedKey<KernelCrypto>) -> bool {
        let mut state = self.state.write();
        let changed = !state.preshared_key().same_as(key);
        state.set_preshared_key(key);
        changed
    }

    /// Begins a handshake of ours in place of one that is in progress. `None`: the device has no key, the
    /// peer is being removed, or a key is of no use.
    pub(super) fn initiate(peer: &RcuArc<Peer>) -> Option<Initiation> {
        let identity = peer.device.identity.read();
        let identity = identity.as_ref()?;
        let mut state = peer.handshake.state.write();
        let index = peer.device.index.insert_handshake(peer, &mut state)?;
        let (seconds, nanos) = time::walltime();
        let timestamp = Tai64n::from_unix(seconds, nanos);
        let initiation =
            state.create_initiation(identity, &SecretKey::generate(), timestamp, index);
        if initiation.is_none() {
            peer.device.index.remove_handshake(peer, &mut state);
        }
        initiation
    }

    /// Takes over the peer's initiation. `false`: it is an old one, or one of too many.
    pub(super) fn accept_initiation(
        &self,
        consumed: &ConsumedInitiation<KernelCrypto>,
        now: Instant,
    ) -> bool {
        self.state.write().accept_initiation(consumed, now).is_ok()
    }

    /// Answers the peer's initiation. `None`: it does not wait for that any more, the peer is being
    /// removed, or a key is of no use.
    pub(super) fn respond(peer: &RcuArc<Peer>) -> Option<Response> {
        let mut state = peer.handshake.state.write();
        // An initiation of ours may have come between; then its index must stay.
        if !matches!(state.phase(), Phase::ConsumedInitiation { .. }) {
            return None;
        }
        let index = peer.device.index.insert_handshake(peer, &mut state)?;
        let response = state.create_response(&SecretKey::generate(), index);
        if response.is_none() {
            peer.device.index.remove_handshake(peer, &mut state);
        }
        response
    }

    /// Takes over the peer's response. `false`: the handshake has changed since.
    pub(super) fn accept_response(&self, consumed: &ConsumedResponse<KernelCrypto>) -> bool {
        self.state.write().accept_response(consumed)
    }

    /// Turns a complete handshake into a session. `false`: it is not complete, there is no memory, or the
    /// peer is being removed.
    pub(super) fn begin_session(peer: &RcuArc<Peer>) -> bool {
        let mut state = peer.handshake.state.write();
        let Some(keys) = state.begin_session() else {
            return false;
        };
        let begins = Self::promote(peer, &mut state, keys);
        if !begins {
            peer.device.index.remove_handshake(peer, &mut state);
        }
        begins
    }

    fn promote(
        peer: &RcuArc<Peer>,
        state: &mut Handshake<KernelCrypto>,
        keys: SessionKeys<KernelCrypto>,
    ) -> bool {
        let Ok(keypair) = Keypair::new(peer.clone(), keys) else {
            return false;
        };
        let _bh = BhGuard::new();
        if peer.is_dead() {
            return false;
        }
        let index = &peer.device.index;
        // Whoever forgets handshakes and then sessions finds either the one or the other.
        let begins = index.promote(peer, state, &keypair);
        if begins {
            peer.keypairs.add(index, keypair);
        }
        begins
    }

    /// Forgets the handshake that is in progress.
    pub(crate) fn forget(peer: &Peer) {
        let mut state = peer.handshake.state.write();
        peer.device.index.remove_handshake(peer, &mut state);
        state.clear();
    }
}
