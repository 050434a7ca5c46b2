// SPDX-License-Identifier: GPL-2.0

//! Session keys, and the three places where a peer keeps them.

use crate::{
    index::IndexTable,
    kernel::{
        crypto::KernelCrypto,
        debug,
        hashtable::{impl_hashed, HashNode},
        lock::{new_spinlock_bh, SpinLockBh},
        rcu::{BhGuard, RcuArc, RcuPtr, ReadSection, Ref, Shared},
        time,
    },
    peer::Peer,
    protocol::{
        constants::Instant,
        crypto::SymmetricKey,
        message::DataHeader,
        noise::SessionKeys,
        replay::ReplayWindow,
        timers::{self, SessionAge},
    },
};
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use kernel::prelude::*;

/// The keys of one session.
///
/// It keeps its peer alive; the peer lets go of its sessions when it is removed.
#[pin_data]
pub(crate) struct Keypair {
    /// For messages.
    id: u64,
    pub(crate) peer: RcuArc<Peer>,
    /// What the peer puts into its messages for us to find this by.
    pub(crate) local_index: u32,
    remote_index: u32,
    pub(crate) initiator: bool,
    birth: Instant,
    sending: SymmetricKey<KernelCrypto>,
    may_send: AtomicBool,
    counter: AtomicU64,
    receiving: SymmetricKey<KernelCrypto>,
    may_receive: AtomicBool,
    #[pin]
    replay: SpinLockBh<ReplayWindow>,
    by_index: HashNode<Keypair>,
}

impl Shared for Keypair {
    fn last_reference(&self) {
        self.say(c"destroyed");
    }
}

static NEXT_ID: AtomicU64 = AtomicU64::new(1);

impl_hashed! { 0: Keypair { self.by_index } }

impl Keypair {
    /// The keypair of a session with `peer` that has just been agreed on.
    pub(crate) fn new(peer: RcuArc<Peer>, keys: SessionKeys<KernelCrypto>) -> Result<RcuArc<Self>> {
        let SessionKeys {
            sending,
            receiving,
            local_index,
            remote_index,
            initiator,
        } = keys;
        let keypair = RcuArc::pin_init(pin_init!(Self {
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            peer,
            local_index,
            remote_index,
            initiator,
            birth: Instant(time::boottime_ns()),
            sending,
            may_send: AtomicBool::new(true),
            counter: AtomicU64::new(0),
            receiving,
            may_receive: AtomicBool::new(true),
            replay <- new_spinlock_bh!(ReplayWindow::new(), "wg_replay"),
            by_index: HashNode::new(),
        }))?;
        keypair.say(c"created");
        Ok(keypair)
    }

    fn say(&self, what: &'static kernel::str::CStr) {
        debug::keypair_life(self.peer.device.netdev(), self.id, what, self.peer.id);
    }

    /// Whether it is young enough to encrypt with.
    #[inline]
    pub(crate) fn may_send(&self) -> bool {
        self.may_send.load(Ordering::Relaxed)
            && !timers::session_expired(self.birth, Instant(time::boottime_ns()))
    }

    /// Nanoseconds for which it may be encrypted with. `None`: it may not.
    pub(crate) fn time_left(&self) -> Option<u64> {
        let now = Instant(time::boottime_ns());
        let left = timers::session_left(self.birth, now);
        left.filter(|_| self.may_send.load(Ordering::Relaxed))
    }

    /// Encrypts nothing more with it.
    pub(crate) fn stop_sending(&self) {
        self.may_send.store(false, Ordering::Relaxed);
    }

    /// The first of the next `count` message counters; `None`: there are not so many more.
    #[inline]
    pub(crate) fn next_counters(&self, count: u16) -> Option<u64> {
        let first = self.counter.fetch_add(count.into(), Ordering::Relaxed);
        let last = first.saturating_add(count.saturating_sub(1).into());
        timers::may_send_counter(last).then_some(first)
    }

    /// The header of the data message of number `counter`.
    #[inline]
    pub(crate) fn header(&self, counter: u64) -> [u8; 16] {
        DataHeader {
            receiver: self.remote_index,
            counter,
        }
        .to_bytes()
    }

    #[inline]
    pub(crate) fn sending_key(&self) -> &[u8; 32] {
        self.sending.as_bytes()
    }

    /// The key to decrypt with; `None`: the session is too old.
    #[inline]
    pub(crate) fn receiving_key(&self) -> Option<&[u8; 32]> {
        if !self.may_receive.load(Ordering::Relaxed) {
            return None;
        }
        if timers::session_expired(self.birth, Instant(time::boottime_ns())) {
            self.may_receive.store(false, Ordering::Relaxed);
            return None;
        }
        Some(self.receiving.as_bytes())
    }

    /// Whether authentic messages of `count` numbers from `first` on are all the first of their numbers.
    /// If not, none of them is taken for seen.
    #[inline]
    pub(crate) fn are_new(&self, first: u64, count: u16) -> bool {
        let mut window = self.replay.lock();
        let new = match count {
            1 => window.check_and_update(first),
            _ => window.check_and_update_run(first, count),
        };
        if window.is_exhausted() {
            self.may_receive.store(false, Ordering::Relaxed);
        }
        new
    }

    /// The highest number of an authentic message, if there was one.
    #[cold]
    pub(crate) fn highest_received(&self) -> Option<u64> {
        self.replay.lock().highest()
    }

    /// What decides whether it is time for a new session; `None`: this one does not send any more.
    #[inline]
    pub(crate) fn age(&self) -> Option<SessionAge> {
        self.may_send.load(Ordering::Relaxed).then(|| SessionAge {
            birth: self.birth,
            initiator: self.initiator,
            sent: self.counter.load(Ordering::Relaxed),
        })
    }
}

/// The sessions of a peer.
///
/// A responder may not use new keys before it has heard from the initiator under them, since only
/// that proves that the initiator has them: they wait in `next`. What was current before stays in
/// `previous` for packets that are still on their way (paper, section 6.3).
#[pin_data]
pub(crate) struct Keypairs {
    current: RcuPtr<Keypair>,
    previous: RcuPtr<Keypair>,
    next: RcuPtr<Keypair>,
    /// Held to change more than nothing of the above.
    #[pin]
    lock: SpinLockBh<()>,
}

impl Keypairs {
    /// No sessions.
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            current: RcuPtr::empty(),
            previous: RcuPtr::empty(),
            next: RcuPtr::empty(),
            lock <- new_spinlock_bh!((), "wg_keypairs"),
        })
    }

    /// The session to send under.
    #[inline]
    pub(crate) fn current<'g>(&self, section: &'g impl ReadSection) -> Option<Ref<'g, Keypair>> {
        self.current.load(section)
    }

    /// Whether the session before the current one could still be sent under.
    pub(crate) fn has_previous(&self) -> bool {
        let bh = BhGuard::new();
        self.previous
            .load(&bh)
            .is_some_and(|keypair| keypair.may_send())
    }

    /// Gives up a session: no more packets for it are let in.
    fn retire(index: &IndexTable, keypair: Option<RcuArc<Keypair>>) {
        if let Some(keypair) = keypair {
            index.remove_keypair(&keypair);
        }
    }

    /// Takes in a session that was agreed on just now.
    pub(crate) fn add(&self, index: &IndexTable, new: RcuArc<Keypair>) {
        let _guard = self.lock.lock();
        if new.initiator {
            // The response that made these keys confirms them: they are good at once.
            match self.next.swap(None) {
                // The peer started a handshake too, and it may be that one which it goes on with.
                Some(next) => {
                    Self::retire(index, self.previous.swap(Some(next)));
                    Self::retire(index, self.current.swap(Some(new)));
                }
                None => {
                    let current = self.current.swap(Some(new));
                    Self::retire(index, self.previous.swap(current));
                }
            }
        } else {
            Self::retire(index, self.next.swap(Some(new)));
            Self::retire(index, self.previous.swap(None));
        }
    }

    /// An authentic packet came in under `keypair`. Returns whether that confirmed it.
    #[inline]
    pub(crate) fn heard(&self, index: &IndexTable, keypair: &RcuArc<Keypair>) -> bool {
        // First without the lock, as nearly every packet is of a session long confirmed.
        self.next.holds(keypair) && self.confirm(index, keypair)
    }

    #[cold]
    fn confirm(&self, index: &IndexTable, keypair: &RcuArc<Keypair>) -> bool {
        let _guard = self.lock.lock();
        if !self.next.holds(keypair) {
            return false;
        }
        let confirmed = self.next.swap(None);
        let current = self.current.swap(confirmed);
        Self::retire(index, self.previous.swap(current));
        true
    }

    /// Forgets all sessions.
    pub(crate) fn clear(&self, index: &IndexTable) {
        let _guard = self.lock.lock();
        // `next` first, so that a packet that comes in meanwhile confirms nothing.
        for slot in [&self.next, &self.previous, &self.current] {
            Self::retire(index, slot.swap(None));
        }
    }

    /// Sends nothing more under the sessions that there are.
    pub(crate) fn expire(&self) {
        let _guard = self.lock.lock();
        let bh = BhGuard::new();
        for slot in [&self.next, &self.current] {
            if let Some(keypair) = slot.load(&bh) {
                keypair.stop_sending();
            }
        }
    }
}
