// SPDX-License-Identifier: GPL-2.0

//! Peers: what is known of each, and how one comes and goes.

use crate::{
    allowed_ips::AllowedIps,
    config::ConfigGuard,
    decrypt::Decrypt,
    deliver,
    device::{Dev, DeviceRef},
    encrypt::Encrypt,
    endpoint::{Endpoint, EndpointCell},
    events,
    handshake::{self, HandshakeCell},
    kernel::{
        batch::OrderedQueue,
        chain::{SharedList, SkbList},
        cpu::{Cpu, Sticky},
        crypto::KernelCrypto,
        debug,
        hashtable::{impl_hashed, HashNode},
        lock::{new_rw, new_spinlock_bh, RwSem},
        napi::{impl_has_napi, Napi, NapiEnabled},
        netdev::{NetDevice, Stat},
        rcu::{self, BhGuard, GracePeriod, RcuArc, Shared, Slab},
        time,
        waiter::{impl_has_waiter, Waiter, WriteSpace},
        workqueue,
    },
    keypair::Keypairs,
    peer_table::PeerTable,
    protocol::{
        allowed_ips::OwnerList,
        constants::{Instant, REKEY_TIMEOUT},
        cookie::CookieJar,
        crypto::PublicKey,
        timers::TimerState,
    },
    send,
    timers::Timers,
    transit,
};
use core::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64, Ordering};
use kernel::{
    new_work,
    prelude::*,
    workqueue::{impl_has_work, Work, WorkItem},
};

/// A peer.
///
/// References: the device's list (for NAPI), the table of public keys and allowed IPs each have one
/// until the peer is removed; so has each of its sessions, and the index table while a handshake is
/// in progress; work that is queued has one while it is.
#[pin_data]
pub(crate) struct Peer {
    /// Higher than that of every peer before it.
    pub(crate) id: u64,
    pub(crate) public_key: PublicKey,
    dead: AtomicBool,
    /// Whether a session began and its end is not noted yet.
    in_session: AtomicBool,
    cpu: Sticky,
    #[pin]
    pub(crate) keypairs: Keypairs,
    /// Packets that wait to be encrypted, in particular for a session.
    #[pin]
    pub(crate) staged: SharedList,
    /// Packets that are being encrypted, in order.
    #[pin]
    pub(crate) tx: OrderedQueue<Encrypt>,
    /// Packets that are being decrypted, in order.
    #[pin]
    pub(crate) rx: OrderedQueue<Decrypt>,
    /// For room in the send buffer, where packets wait that are encrypted.
    #[pin]
    room: Waiter<Peer>,
    #[pin]
    pub(crate) endpoint: EndpointCell,
    pub(crate) rx_bytes: AtomicU64,
    pub(crate) tx_bytes: AtomicU64,
    #[pin]
    pub(crate) timers: Timers,
    pub(crate) timer_state: TimerState,
    #[pin]
    napi: Napi<Peer>,
    #[pin]
    pub(crate) handshake: HandshakeCell,
    last_sent_handshake: AtomicU64,
    #[pin]
    pub(crate) cookie: RwSem<CookieJar<KernelCrypto>>,
    last_handshake_seconds: AtomicI64,
    last_handshake_nanos: AtomicU32,
    pub(crate) allowed_ips: OwnerList,
    by_key: HashNode<Peer>,
    by_index: HashNode<Peer>,
    #[pin]
    transmit_work: Work<Peer, { Peer::TRANSMIT_WORK }>,
    #[pin]
    handshake_work: Work<Peer, { Peer::HANDSHAKE_WORK }>,
    #[pin]
    clear_work: Work<Peer, { Peer::CLEAR_WORK }>,
    // Last, since dropped last: it keeps what the others work on.
    pub(crate) device: DeviceRef,
}

impl_hashed! {
    0: Peer { self.by_key }
    1: Peer { self.by_index }
}
impl_has_napi! { Peer { self.napi } }
impl_has_waiter! { Peer { self.room } }
impl_has_work! {
    impl HasWork<Peer, 0> for Peer { self.transmit_work }
    impl HasWork<Peer, 1> for Peer { self.handshake_work }
    impl HasWork<Peer, 2> for Peer { self.clear_work }
}

impl WorkItem<{ Peer::TRANSMIT_WORK }> for Peer {
    type Pointer = RcuArc<Self>;

    fn run(this: RcuArc<Self>) {
        send::transmit_finished(&this);
    }
}

impl WriteSpace for Peer {
    fn write_space(this: RcuArc<Self>) {
        send::queue_transmission(&this);
    }
}

impl WorkItem<{ Peer::HANDSHAKE_WORK }> for Peer {
    type Pointer = RcuArc<Self>;

    fn run(this: RcuArc<Self>) {
        handshake::send_initiation(&this);
    }
}

impl WorkItem<{ Peer::CLEAR_WORK }> for Peer {
    type Pointer = RcuArc<Self>;

    fn run(this: RcuArc<Self>) {
        this.forget_handshake();
        this.forget_sessions();
    }
}

impl Shared for Peer {
    fn last_reference(&self) {
        self.purge_staged();
        // Up to here somebody may have sent by a route, whose namespace might not be there any more
        // a grace period later.
        self.endpoint.forget_source();
        debug::peer_destroyed(self.device.netdev(), self.id, self.endpoint.address());
    }

    fn slab() -> Option<&'static Slab<Self>> {
        Some(slab())
    }
}

static SLAB: Slab<Peer> = Slab::new();

/// Where peers are allocated.
pub(crate) fn slab() -> &'static Slab<Peer> {
    &SLAB
}

static NEXT_ID: AtomicU64 = AtomicU64::new(1);

impl Peer {
    pub(crate) const BY_KEY: u64 = 0;
    pub(crate) const BY_INDEX: u64 = 1;
    pub(crate) const TRANSMIT_WORK: u64 = 0;
    pub(crate) const HANDSHAKE_WORK: u64 = 1;
    pub(crate) const CLEAR_WORK: u64 = 2;

    /// A peer that nobody can find yet.
    pub(crate) fn new(dev: &Dev, public_key: PublicKey) -> Result<RcuArc<Self>> {
        let peer = RcuArc::pin_init(try_pin_init!(Self {
                id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
                device: dev.get(),
                public_key,
                dead: AtomicBool::new(false),
                in_session: AtomicBool::new(false),
                cpu: Sticky::new(),
                keypairs <- Keypairs::new(),
                staged <- new_spinlock_bh!(SkbList::new(), "wg_staged"),
                tx <- OrderedQueue::new(),
                rx <- OrderedQueue::new(),
                room <- Waiter::new(),
                endpoint <- EndpointCell::new(),
                rx_bytes: AtomicU64::new(0),
                tx_bytes: AtomicU64::new(0),
                timers <- Timers::new(),
                timer_state: TimerState::new(),
                napi <- Napi::new(),
                handshake <- HandshakeCell::new(*public_key),
                last_sent_handshake: AtomicU64::new(long_ago()),
                cookie <- new_rw!(CookieJar::new(&public_key), "wg_cookie"),
                last_handshake_seconds: AtomicI64::new(0),
                last_handshake_nanos: AtomicU32::new(0),
                allowed_ips: OwnerList::new(),
                by_key: HashNode::new(),
                by_index: HashNode::new(),
                transmit_work <- new_work!("wg_transmit"),
                handshake_work <- new_work!("wg_send_handshake"),
                clear_work <- new_work!("wg_clear_keys"),
            }? Error))?;
        debug::peer_created(dev.netdev(), peer.id);
        Ok(peer)
    }

    /// Adds a peer to a device, which takes that there is room in the list of peers.
    pub(crate) fn add(config: &mut ConfigGuard<'_>, peer: &RcuArc<Self>) -> Result {
        if !core::ptr::eq::<Dev>(&*peer.device, config.dev()) {
            return Err(EINVAL);
        }
        let peer = Napi::start(peer.clone()).ok_or(EEXIST)?;
        let found = peer.clone();
        config
            .peers
            .push_within_capacity(peer)
            .map_err(|_| ENOMEM)?;
        PeerTable::insert(config, found);
        Ok(())
    }

    /// Removes a peer.
    pub(crate) fn remove(config: &mut ConfigGuard<'_>, peer: &RcuArc<Self>) {
        if let Ok(at) = config
            .peers
            .binary_search_by_key(&peer.id, |other| other.id)
        {
            AllowedIps::remove_all_of(config, peer);
            peer.make_dead(config);
            let Ok(removed) = config.peers.remove(at) else {
                return;
            };
            let quiet = rcu::synchronize();
            Self::end_work(config, core::slice::from_ref(&removed), quiet);
            Self::bury(removed);
        }
    }

    /// Removes all peers, and has `list` take the place of theirs.
    /// Calls `tell` with each when it does nothing any more.
    pub(crate) fn remove_all(
        config: &mut ConfigGuard<'_>,
        list: KVVec<NapiEnabled<Self>>,
        tell: impl Fn(&Self),
    ) {
        let peers = core::mem::replace(&mut config.peers, list);
        if peers.is_empty() {
            return;
        }
        // Faster than one peer's after the other's.
        AllowedIps::clear(config);
        for peer in &peers {
            peer.make_dead(config);
        }
        let quiet = rcu::synchronize();
        Self::end_work(config, &peers, quiet);
        for peer in peers {
            tell(&peer);
            Self::bury(peer);
        }
    }

    /// Takes a peer out of what it can be found by. After a grace period, nobody who checks
    /// [`is_dead`](Self::is_dead) in a read section queues anything for it any more.
    fn make_dead(&self, config: &mut ConfigGuard<'_>) {
        PeerTable::remove(config, self);
        self.dead.store(true, Ordering::Relaxed);
    }

    /// Ends what dead peers are still doing. It is done for all of them together, since each step
    /// waits.
    fn end_work(config: &ConfigGuard<'_>, peers: &[NapiEnabled<Self>], quiet: GracePeriod) {
        // A handshake that is being answered may still complete; being dead, the peer gets no session.
        for peer in peers {
            Self::fall_silent(peer, quiet);
            transit::cancel_waiting(config, peer);
        }
        // Packets that entered a queue before are first encrypted or decrypted, then passed on.
        config.dev().crypt_wq.flush();
        config.dev().crypt_wq.flush();
    }

    /// Takes a dead peer's means of delivery, and what refers to it.
    fn bury(peer: NapiEnabled<Self>) {
        let peer = peer.stop();
        // The transit namespace may go before whoever still has a reference.
        peer.endpoint.forget_source();
        // It may have been stopped with packets left, which refer to the peer by their session.
        peer.tx.clear();
        peer.rx.clear();
    }

    /// Ends what a peer does of its own accord, and forgets its handshake, sessions and packets that
    /// wait. Its interface has been down, or it dead, for the grace period `_quiet`, so that nobody else
    /// arms a timer or queues such work now; nor does what was begun before, after this. The caller may
    /// sleep.
    pub(crate) fn fall_silent(this: &RcuArc<Self>, _quiet: GracePeriod) {
        // First those, which queue work.
        this.timers.stop();
        workqueue::cancel::<_, { Self::HANDSHAKE_WORK }>(this);
        workqueue::cancel::<_, { Self::CLEAR_WORK }>(this);
        this.forget_handshake();
        this.forget_sessions();
        this.purge_staged();
    }

    /// Whether the peer is being removed.
    #[inline]
    pub(crate) fn is_dead(&self) -> bool {
        self.dead.load(Ordering::Relaxed)
    }

    /// Drops the packets that wait.
    pub(crate) fn purge_staged(&self) {
        let packets = self.staged.lock().take();
        self.device
            .netdev()
            .count(Stat::TxDropped, packets.segments());
    }

    /// The CPU that sends this peer's packets.
    #[inline]
    pub(crate) fn cpu(&self) -> Cpu {
        self.cpu.get(self.id)
    }

    /// Has received packets delivered.
    #[inline]
    pub(crate) fn schedule_delivery(&self) {
        self.napi.schedule();
    }

    /// Whether packets can be sent at once, without a handshake.
    pub(crate) fn has_session(&self) -> bool {
        let bh = BhGuard::new();
        self.keypairs
            .current(&bh)
            .is_some_and(|keypair| keypair.may_send())
    }

    /// Forgets the handshake that is in progress.
    pub(crate) fn forget_handshake(&self) {
        HandshakeCell::forget(self);
    }

    /// Forgets all sessions.
    pub(crate) fn forget_sessions(&self) {
        self.keypairs.clear(&self.device.index);
        self.note_session_end();
    }

    /// A packet of the peer's came from there, by the sockets of `generation`.
    #[inline]
    pub(crate) fn heard_at(&self, endpoint: Endpoint, generation: u64) {
        if let Some(old) = self.endpoint.note(endpoint, generation) {
            events::roamed(self, old.address(), endpoint.address());
        }
    }

    /// There may be no session any more.
    pub(crate) fn note_session_end(&self) {
        if !self.has_session() && self.in_session.swap(false, Ordering::Relaxed) {
            events::session_ended(self);
        }
    }

    /// There may be no session any more, and it is known already.
    pub(crate) fn forget_session_end(&self) {
        self.in_session.store(false, Ordering::Relaxed);
    }

    /// How long the session lasts still, in nanoseconds. `None`: there is none.
    pub(crate) fn session_left(&self) -> Option<u64> {
        let bh = BhGuard::new();
        self.keypairs.current(&bh)?.time_left()
    }

    /// Ends all sessions as soon as there are new ones, and lets a handshake be sent at once.
    pub(crate) fn expire_sessions(&self) {
        self.forget_handshake();
        self.allow_handshake();
        self.keypairs.expire();
        self.note_session_end();
    }

    /// When a handshake message was last sent.
    pub(crate) fn last_sent_handshake(&self) -> Instant {
        Instant(self.last_sent_handshake.load(Ordering::Relaxed))
    }

    /// A handshake message is being sent.
    pub(crate) fn note_sent_handshake(&self) {
        self.last_sent_handshake
            .store(time::boottime_ns(), Ordering::Relaxed);
    }

    /// Lets a handshake be sent although one was just now.
    pub(crate) fn allow_handshake(&self) {
        self.last_sent_handshake
            .store(long_ago(), Ordering::Relaxed);
    }

    /// A handshake is complete.
    pub(crate) fn note_handshake(&self) {
        let (seconds, nanos) = time::walltime();
        self.last_handshake_seconds
            .store(seconds, Ordering::Relaxed);
        self.last_handshake_nanos.store(nanos, Ordering::Relaxed);
        let renewed = self.in_session.swap(true, Ordering::Relaxed) && self.keypairs.has_previous();
        events::session_begun(self, renewed);
    }

    /// When a handshake was last complete: seconds since 1970 and nanoseconds, or zeroes.
    pub(crate) fn last_handshake(&self) -> (i64, u32) {
        (
            self.last_handshake_seconds.load(Ordering::Relaxed),
            self.last_handshake_nanos.load(Ordering::Relaxed),
        )
    }
}

/// So long ago that a handshake may be sent again.
fn long_ago() -> u64 {
    Instant(time::boottime_ns()).before(REKEY_TIMEOUT + 1).0
}

impl crate::kernel::napi::Poll for Peer {
    fn poll(
        this: rcu::Ref<'_, Self>,
        context: &crate::kernel::napi::PollContext<'_>,
        budget: u32,
    ) -> u32 {
        deliver::deliver(this, context, budget)
    }

    fn netdev(&self) -> &NetDevice {
        self.device.netdev()
    }
}
