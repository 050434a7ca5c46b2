// SPDX-License-Identifier: GPL-2.0

//! A peer's five timers: the protocol decides, this carries out.

use crate::{
    handshake,
    kernel::{
        debug::{self, Expired},
        random,
        rcu::{BhGuard, RcuArc, Ref},
        time::Jiffies,
        timer::{impl_has_timer, new_timer, Expire, TimerList},
    },
    peer::Peer,
    protocol::{
        constants::{KEEPALIVE_TIMEOUT, MAX_HANDSHAKE_ATTEMPTS, REJECT_AFTER_TIME, REKEY_TIMEOUT},
        timers::{Action, Host, Timer},
    },
    send,
};
use kernel::prelude::*;

/// The timers of a peer.
#[pin_data]
pub(crate) struct Timers {
    #[pin]
    retransmit_handshake: TimerList<Peer, 0>,
    #[pin]
    send_keepalive: TimerList<Peer, 1>,
    #[pin]
    new_handshake: TimerList<Peer, 2>,
    #[pin]
    zero_key_material: TimerList<Peer, 3>,
    #[pin]
    persistent_keepalive: TimerList<Peer, 4>,
}

impl_has_timer! {
    0: Peer { self.timers.retransmit_handshake }
    1: Peer { self.timers.send_keepalive }
    2: Peer { self.timers.new_handshake }
    3: Peer { self.timers.zero_key_material }
    4: Peer { self.timers.persistent_keepalive }
}

impl Timers {
    /// None of them armed.
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            retransmit_handshake <- new_timer!("wg_retransmit_handshake"),
            send_keepalive <- new_timer!("wg_send_keepalive"),
            new_handshake <- new_timer!("wg_new_handshake"),
            zero_key_material <- new_timer!("wg_zero_key_material"),
            persistent_keepalive <- new_timer!("wg_persistent_keepalive"),
        })
    }

    /// Keys were wiped already: no need for it later.
    pub(crate) fn keep_no_keys(&self) {
        self.zero_key_material.disarm();
    }

    /// Calls all of them off, and waits for what they were doing.
    pub(crate) fn stop(&self) {
        self.retransmit_handshake.disarm_sync();
        self.send_keepalive.disarm_sync();
        self.new_handshake.disarm_sync();
        self.zero_key_material.disarm_sync();
        self.persistent_keepalive.disarm_sync();
    }
}

/// A peer as the protocol's timer rules see it.
pub(crate) struct PeerTimers<'a>(pub(crate) Ref<'a, Peer>);

impl Host for PeerTimers<'_> {
    #[inline]
    fn arm(&self, timer: Timer, after_ms: u64) {
        let peer = self.0;
        let bh = BhGuard::new();
        if !self.is_running() || peer.is_dead() {
            return;
        }
        let after = Jiffies::from_ms(u32::try_from(after_ms).unwrap_or(u32::MAX));
        match timer {
            Timer::RetransmitHandshake => TimerList::<Peer, 0>::arm(&bh, peer, after),
            Timer::SendKeepalive => TimerList::<Peer, 1>::arm(&bh, peer, after),
            Timer::NewHandshake => TimerList::<Peer, 2>::arm(&bh, peer, after),
            Timer::ZeroKeyMaterial => TimerList::<Peer, 3>::arm(&bh, peer, after),
            Timer::PersistentKeepalive => TimerList::<Peer, 4>::arm(&bh, peer, after),
        }
    }

    #[inline]
    fn disarm(&self, timer: Timer) {
        let timers = &self.0.value().timers;
        match timer {
            Timer::RetransmitHandshake => timers.retransmit_handshake.disarm(),
            Timer::SendKeepalive => timers.send_keepalive.disarm(),
            Timer::NewHandshake => timers.new_handshake.disarm(),
            Timer::ZeroKeyMaterial => timers.zero_key_material.disarm(),
            Timer::PersistentKeepalive => timers.persistent_keepalive.disarm(),
        }
    }

    #[inline]
    fn is_armed(&self, timer: Timer) -> bool {
        let timers = &self.0.value().timers;
        match timer {
            Timer::RetransmitHandshake => timers.retransmit_handshake.is_armed(),
            Timer::SendKeepalive => timers.send_keepalive.is_armed(),
            Timer::NewHandshake => timers.new_handshake.is_armed(),
            Timer::ZeroKeyMaterial => timers.zero_key_material.is_armed(),
            Timer::PersistentKeepalive => timers.persistent_keepalive.is_armed(),
        }
    }

    #[inline]
    fn is_running(&self) -> bool {
        self.0.device.netdev().is_running()
    }

    fn random_below(&self, bound: u32) -> u32 {
        random::below(bound)
    }
}

/// Runs in softirq context.
fn expired(peer: RcuArc<Peer>, timer: Timer) {
    let host = PeerTimers(peer.borrow());
    match peer.timer_state.expired(&host, timer) {
        Action::None => (),
        Action::SendKeepalive { another } => {
            send::keepalive(&peer);
            if another {
                peer.timer_state.rearm_keepalive(&host);
            }
        }
        Action::InitiateHandshake { is_retry } => {
            say(
                &peer,
                if is_retry {
                    // The first message is an attempt too, and not counted.
                    let attempt = peer.timer_state.handshake_attempts().saturating_add(1);
                    Expired::Unanswered(REKEY_TIMEOUT, attempt)
                } else {
                    Expired::Silence(KEEPALIVE_TIMEOUT + REKEY_TIMEOUT)
                },
            );
            // The source address may be the cause of the trouble.
            peer.endpoint.forget_source();
            handshake::queue_initiation(&peer, is_retry);
        }
        Action::GiveUp => {
            say(&peer, Expired::GivenUp(MAX_HANDSHAKE_ATTEMPTS + 2));
            peer.purge_staged();
        }
        Action::ZeroKeys => {
            if !peer.is_dead() {
                say(&peer, Expired::Wiping(3 * REJECT_AFTER_TIME));
                peer.device
                    .handshake_send_wq
                    .queue::<Peer, { Peer::CLEAR_WORK }>(peer.clone());
            }
        }
    }
}

fn say(peer: &RcuArc<Peer>, what: Expired) {
    debug::expired(peer.device.netdev(), peer.id, peer.endpoint.address(), what);
}

impl Expire<0> for Peer {
    fn expired(this: RcuArc<Self>) {
        expired(this, Timer::RetransmitHandshake);
    }
}

impl Expire<1> for Peer {
    fn expired(this: RcuArc<Self>) {
        expired(this, Timer::SendKeepalive);
    }
}

impl Expire<2> for Peer {
    fn expired(this: RcuArc<Self>) {
        expired(this, Timer::NewHandshake);
    }
}

impl Expire<3> for Peer {
    fn expired(this: RcuArc<Self>) {
        expired(this, Timer::ZeroKeyMaterial);
    }
}

impl Expire<4> for Peer {
    fn expired(this: RcuArc<Self>) {
        expired(this, Timer::PersistentKeepalive);
    }
}
