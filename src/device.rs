// SPDX-License-Identifier: GPL-2.0

//! The device: its state, and what the stack and the machine ask of it.

use crate::{
    allowed_ips::AllowedIps,
    config::{ConfigGuard, ConfigLock, IdentityLock},
    cookies::CookieChecker,
    decrypt::Decrypt,
    encrypt::Encrypt,
    events::{self, Events},
    handshake::ReceiveHandshakes,
    index::IndexTable,
    ip::{IPV6_HEADER_LEN, UDP_HEADER_LEN},
    kernel::{
        batch::InFlight,
        debug,
        netdev::{self, DevRef, NetDevice, RtnlLinkOps},
        notifier::{NotifierEvents, Notifiers},
        once::impl_has_static,
        rcu::{self, RcuArc},
        ring::Received,
        rtnl::Rtnl,
        skb::Skb,
        workqueue::{Kind, ParallelQueue, Workqueue},
    },
    peer::Peer,
    peer_table::PeerTable,
    protocol::{
        constants::{MAX_QUEUED_HANDSHAKES, MAX_QUEUED_PACKETS, PADDING, TAG_LEN},
        message::DATA_MIN_LEN,
    },
    send,
    transit::{self, TransitSlot},
};
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use kernel::{prelude::*, static_lock_class, str::CStr};

/// A device as the stack knows it.
pub(crate) type Dev = netdev::Dev<Device>;
/// A counted reference to a device.
pub(crate) type DeviceRef = DevRef<Device>;

/// Something of a device that an administrator may turn off, and that is looked at without a lock:
/// packets that are under way go as it was.
pub(crate) struct Switch(AtomicBool);

impl Switch {
    fn new(on: bool) -> Self {
        Self(AtomicBool::new(on))
    }

    fn set(&self, on: bool) {
        self.0.store(on, Ordering::Relaxed);
    }

    /// Whether it is on.
    #[inline]
    pub(crate) fn is_on(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// The private part of a device.
///
/// Locks, outermost first: RTNL, `config`, `identity`, then those of peers.
#[pin_data]
pub(crate) struct Device {
    /// The sockets in use; none while the interface is down or its transit namespace gone, although
    /// those that credentials bought stay open while it is down.
    pub(crate) transit: TransitSlot,
    pub(crate) allowed_ips: AllowedIps,
    #[pin]
    pub(crate) index: IndexTable,
    #[pin]
    pub(crate) by_key: PeerTable,
    #[pin]
    pub(crate) identity: IdentityLock,
    #[pin]
    pub(crate) cookies: CookieChecker,
    #[pin]
    pub(crate) config: ConfigLock,
    /// Whether several packets may go through the sockets as one.
    pub(crate) udp_gso: Switch,
    #[pin]
    pub(crate) events: Events,
    /// Handshake messages that came in and are not dealt with.
    pub(crate) handshakes_waiting: AtomicU32,
    #[pin]
    pub(crate) encrypt: ParallelQueue<InFlight<Encrypt>, Encrypt>,
    #[pin]
    pub(crate) decrypt: ParallelQueue<InFlight<Decrypt>, Decrypt>,
    #[pin]
    pub(crate) handshakes: ParallelQueue<Received<Device>, ReceiveHandshakes>,
    // Last, since dropped last: the queues above cancel their work on them.
    pub(crate) crypt_wq: Workqueue,
    pub(crate) handshake_receive_wq: Workqueue,
    pub(crate) handshake_send_wq: Workqueue,
}

impl_has_static! {
    Device: RtnlLinkOps<Device>;
    SystemNotifier: Notifiers<SystemNotifier>;
}

impl netdev::Driver for Device {
    const KIND: &'static CStr = c"wireguard";
    const OVERHEAD: u32 = DATA_MIN_LEN as u32 + UDP_HEADER_LEN + IPV6_HEADER_LEN;
    const PADDING: u32 = PADDING as u32;
    const PRIV_FLAG: &'static CStr = c"udp-gso";
    const TAILROOM: u16 = (PADDING + TAG_LEN) as u16;

    fn create<'a>(dev: &'a NetDevice, rtnl: &'a Rtnl) -> impl PinInit<Self, Error> + 'a {
        let name = dev.name(rtnl);
        debug::device(dev, c"Interface created");
        try_pin_init!(Self {
            transit: TransitSlot::empty(),
            allowed_ips: AllowedIps::new(),
            index <- IndexTable::new(),
            by_key <- PeerTable::new(),
            identity <- IdentityLock::new(),
            cookies <- CookieChecker::new(),
            config <- ConfigLock::new(),
            udp_gso: Switch::new(true),
            events <- Events::new(),
            handshakes_waiting: AtomicU32::new(0),
            encrypt <- ParallelQueue::new(MAX_QUEUED_PACKETS as i32, static_lock_class!()),
            decrypt <- ParallelQueue::new(MAX_QUEUED_PACKETS as i32, static_lock_class!()),
            handshakes <- ParallelQueue::new(MAX_QUEUED_HANDSHAKES as i32, static_lock_class!()),
            crypt_wq: Workqueue::new(c"wg-crypt", Kind::Crypt, name)?,
            handshake_receive_wq: Workqueue::new(c"wg-kex", Kind::HandshakeReceive, name)?,
            handshake_send_wq: Workqueue::new(c"wg-kex", Kind::HandshakeSend, name)?,
        }? Error)
    }

    fn open(dev: &Dev, rtnl: &Rtnl) -> Result {
        dev.netdev().disable_autoconf(rtnl);
        let mut config = ConfigGuard::lock(dev);
        transit::open(&mut config, rtnl)?;
        for peer in &config.peers {
            send::send_staged(peer);
            if peer.timer_state.persistent_keepalive() != 0 {
                send::keepalive(peer);
            }
        }
        Ok(())
    }

    fn stop(dev: &Dev, rtnl: &Rtnl) {
        let mut config = ConfigGuard::lock(dev);
        // From here on nothing comes in, and nothing leaves.
        let quiet = transit::close(&mut config);
        // What came in before is counted, and the counters go before the peers do. Workers of
        // handshakes are not waited for in the queue: a machine that goes to sleep would stop them
        // there. Nor for more of them than they are at.
        while dev.handshakes.ring().consume().is_some() {}
        dev.handshakes.cancel();
        dev.handshakes_waiting.store(0, Ordering::Relaxed);
        dev.crypt_wq.flush();
        // What it has encrypted is passed on, and that may find that a session wants to be renewed.
        dev.crypt_wq.flush();
        for peer in &config.peers {
            peer.settle();
            // Nobody looks after these when the interface has gone, and the transit namespace goes. By
            // which of our addresses a peer was heard is good for when it comes back.
            peer.endpoint.forget_routes();
            Peer::fall_silent(peer, quiet);
            peer.allow_handshake();
            events::make_room(dev, rtnl);
        }
        events::deliver(dev, rtnl);
    }

    fn priv_flag(dev: &Dev) -> bool {
        dev.udp_gso.is_on()
    }

    fn set_priv_flag(dev: &Dev, _rtnl: &Rtnl, on: bool) {
        let config = ConfigGuard::lock(dev);
        dev.udp_gso.set(on);
        if let Some(sockets) = &config.sockets {
            sockets.set_gro(on);
        }
    }

    #[inline]
    fn transmit(dev: &Dev, skb: Skb) -> Result {
        send::packet(dev, skb)
    }

    fn close(dev: &Dev, rtnl: &Rtnl) {
        dev.events.close(rtnl);
        transit::end(&mut ConfigGuard::lock(dev));
    }

    fn destroy(dev: &Dev) {
        dev.events.withdraw();
        let mut config = ConfigGuard::lock(dev);
        // Peers and messages that wait are what refers to the device, besides its sockets.
        Peer::remove_all(&mut config, KVVec::new(), |_| ());
        while dev.handshakes.ring().consume().is_some() {}
        dev.handshake_receive_wq.flush();
        *config.write_identity() = None;
        drop(config);
        rcu::barrier();
        debug::device(dev.netdev(), c"Interface destroyed");
    }

    fn transit_net_exit(dev: &Dev, rtnl: &Rtnl) {
        debug::device(dev.netdev(), c"Transit namespace exiting");
        dev.netdev().set_carrier(rtnl, false);
        let mut config = ConfigGuard::lock(dev);
        transit::end(&mut config);
        // Routes that are cached hold devices of the namespace.
        for peer in &config.peers {
            peer.endpoint.forget_source();
        }
        events::transit_gone(dev);
        events::deliver(dev, rtnl);
    }
}

/// What happens to devices when the machine sleeps or is cloned.
pub(crate) struct SystemNotifier;

fn for_each_peer(act: impl Fn(&RcuArc<Peer>)) {
    let rtnl = Rtnl::lock();
    RtnlLinkOps::<Device>::for_each(&rtnl, |dev| {
        for peer in &ConfigGuard::lock(dev).peers {
            act(peer);
        }
    });
}

impl NotifierEvents for SystemNotifier {
    /// Keys must not be in memory that is written to a disk, or that lies in a stolen laptop.
    fn suspending() {
        for_each_peer(|peer| {
            peer.timers.keep_no_keys();
            peer.forget_handshake();
            peer.forget_sessions();
        });
        rcu::barrier();
    }

    /// Both copies would number their packets alike under the same keys.
    fn cloned() {
        for_each_peer(|peer| peer.expire_sessions());
    }
}
