// SPDX-License-Identifier: GPL-2.0

//! The device's side of cookies: which handshake messages are worth the work, and the answer to
//! those that are not yet (paper, section 5.3).

use crate::{
    device::Dev,
    ip::{IpHeader, UdpHeader},
    kernel::{
        crypto::KernelCrypto,
        debug,
        lock::{new_rw, RwSem},
        skb::Skb,
        time,
    },
    protocol::{
        constants::{Instant, UNDER_LOAD_HANDSHAKES, UNDER_LOAD_LINGER},
        cookie::{self, CookieSecret, MacKeys},
        crypto::{Cookie, PublicKey},
    },
    ratelimiter::RateLimiter,
    socket,
};
use core::{
    net::IpAddr,
    sync::atomic::{AtomicU64, Ordering},
};
use kernel::prelude::*;

/// What is to be done with a handshake message.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Process,
    AskForCookie,
    Drop,
}

/// Judges handshake messages.
#[pin_data]
pub(crate) struct CookieChecker {
    #[pin]
    secret: RwSem<CookieSecret<KernelCrypto>>,
    /// Of the device's own key; none without one.
    #[pin]
    keys: RwSem<Option<MacKeys>>,
    #[pin]
    limiter: RateLimiter,
    /// When the device was last under load; 0: not of late.
    last_under_load: AtomicU64,
}

/// Address and port that a packet came from.
fn source(skb: &Skb) -> Option<(IpAddr, u16)> {
    let view = skb.view();
    let address = IpHeader::parse_as(view.network(), view.protocol())?.source();
    Some((address, UdpHeader::parse(view.transport())?.source_port()))
}

impl CookieChecker {
    pub(crate) fn new() -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            secret <- new_rw!(CookieSecret::new(Instant(time::boottime_ns())), "wg_cookie_secret"),
            keys <- new_rw!(None, "wg_cookie_keys"),
            limiter <- RateLimiter::new(),
            last_under_load: AtomicU64::new(0),
        })
    }

    /// Whether to be strict, given how many messages wait. A device's own affair: a flood at one
    /// costs the peers of others nothing.
    fn is_under_load(&self, waiting: u32, now: Instant) -> bool {
        if waiting as usize >= UNDER_LOAD_HANDSHAKES {
            self.last_under_load.store(now.0, Ordering::Relaxed);
            return true;
        }
        match self.last_under_load.load(Ordering::Relaxed) {
            0 => false,
            last if !Instant(last).has_expired(UNDER_LOAD_LINGER, now) => true,
            _ => {
                self.last_under_load.store(0, Ordering::Relaxed);
                false
            }
        }
    }

    /// The device's public key has changed.
    pub(crate) fn set_identity(&self, key: Option<&PublicKey>) {
        *self.keys.write() = key.map(MacKeys::derive::<KernelCrypto>);
    }

    /// The cookie that a source has to show now.
    fn cookie_for(&self, (address, port): (IpAddr, u16)) -> Cookie<KernelCrypto> {
        let now = Instant(time::boottime_ns());
        if self.secret.read().is_stale(now) {
            self.secret.write().renew(now);
        }
        self.secret.read().cookie(address, port.to_be_bytes())
    }

    /// Judges a handshake message, given how many wait.
    pub(crate) fn judge(&self, skb: &Skb, waiting: u32) -> Verdict {
        let view = skb.view();
        let message = view.linear();
        let valid = match *self.keys.read() {
            Some(keys) => cookie::check_mac1::<KernelCrypto>(&keys, message),
            None => false,
        };
        if !valid {
            return Verdict::Drop;
        }
        let now = Instant(time::boottime_ns());
        if !self.is_under_load(waiting, now) {
            self.limiter.sweep(now);
            return Verdict::Process;
        }
        let Some(source) = source(skb) else {
            return Verdict::Drop;
        };
        if !cookie::check_mac2(&self.cookie_for(source), message) {
            return Verdict::AskForCookie;
        }
        if self.limiter.allow(source.0) {
            Verdict::Process
        } else {
            Verdict::Drop
        }
    }

    /// Answers a message with the cookie that it lacks. `sender` is the number by which it wants to
    /// be answered.
    pub(crate) fn send_cookie(&self, dev: &Dev, skb: &Skb, sender: u32) {
        let Some(source) = source(skb) else { return };
        let Some(keys) = *self.keys.read() else {
            return;
        };
        let cookie = self.cookie_for(source);
        if let Some(reply) = cookie::create_reply(&keys, &cookie, skb.view().linear(), sender) {
            debug::stranger(
                dev.netdev(),
                c"Sending cookie response for denied handshake message for",
                Some(source.into()),
            );
            // What is lost is asked for again.
            let _ = socket::reply(dev, skb, &reply.to_bytes());
        }
    }
}
