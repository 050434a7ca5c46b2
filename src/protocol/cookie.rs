// SPDX-License-Identifier: GPL-2.0

//! Message authentication codes and cookies: WireGuard paper sections 5.3,
//! 5.4.4 and 5.4.7.
//!
//! Every handshake message carries `mac1`, which shows that its sender knows
//! whom it is talking to and which silences the responder towards scanners. A
//! responder under load also demands `mac2`, keyed with a cookie that it sent to
//! the address the message claims to come from.
//!
//! On the responder's side, per device: [`MacKeys`] of the own public key, and a
//! [`CookieSecret`]. On the initiator's, per peer: a [`CookieJar`].

use super::constants::{
    Instant, COOKIE_LEN, COOKIE_NONCE_LEN, COOKIE_SECRET_LATENCY, COOKIE_SECRET_MAX_AGE, HASH_LEN,
    MAC_LEN, SYMMETRIC_KEY_LEN, TAG_LEN,
};
use super::crypto::{Cookie, Crypto, PublicKey, Secret};
use super::message::{Authenticated, CookieReply};
use core::net::IpAddr;

const MAC1_LABEL: &[u8] = b"mac1----";
const COOKIE_LABEL: &[u8] = b"cookie--";

/// Keys that anybody who knows a public key can derive. They hide things from
/// those who do not.
#[derive(Clone, Copy)]
pub struct MacKeys {
    mac1: [u8; HASH_LEN],
    cookie: [u8; SYMMETRIC_KEY_LEN],
}

impl MacKeys {
    /// The keys of the one who will receive the handshake message.
    pub fn derive<C: Crypto>(receiver: &PublicKey) -> Self {
        let mut keys = MacKeys {
            mac1: [0; HASH_LEN],
            cookie: [0; SYMMETRIC_KEY_LEN],
        };
        C::hash(&mut keys.mac1, &[MAC1_LABEL, &receiver.0]);
        C::hash(&mut keys.cookie, &[COOKIE_LABEL, &receiver.0]);
        keys
    }
}

/// What a responder derives cookies from. It is replaced every two minutes.
pub struct CookieSecret<C: Crypto> {
    secret: Secret<C, HASH_LEN>,
    birth: Instant,
}

impl<C: Crypto> CookieSecret<C> {
    /// A fresh secret.
    pub fn new(now: Instant) -> Self {
        CookieSecret {
            secret: Secret::random(),
            birth: now,
        }
    }

    /// Whether [`renew`](Self::renew) is due.
    #[inline]
    pub fn is_stale(&self, now: Instant) -> bool {
        self.birth.has_expired(COOKIE_SECRET_MAX_AGE, now)
    }

    /// Replaces the secret if that is due. All cookies given out become void.
    pub fn renew(&mut self, now: Instant) {
        if self.is_stale(now) {
            C::random(self.secret.as_mut_bytes());
            self.birth = now;
        }
    }

    /// The cookie of a datagram's source. `port` is in network byte order, as
    /// on the wire.
    pub fn cookie(&self, address: IpAddr, port: [u8; 2]) -> Cookie<C> {
        let mut cookie = Cookie::zeroed();
        let key = self.secret.as_bytes();
        match address {
            IpAddr::V4(ip) => C::mac(cookie.as_mut_bytes(), key, &[&ip.octets(), &port]),
            IpAddr::V6(ip) => C::mac(cookie.as_mut_bytes(), key, &[&ip.octets(), &port]),
        }
        cookie
    }
}

/// Whether `message`, an entire handshake message, was made for the owner of
/// `keys`.
#[must_use]
pub fn check_mac1<C: Crypto>(keys: &MacKeys, message: &[u8]) -> bool {
    Authenticated::split(message).is_some_and(|parts| {
        let mut mac = [0; MAC_LEN];
        C::mac(&mut mac, &keys.mac1, &[parts.body]);
        C::equal(&mac, parts.mac1)
    })
}

/// Whether the sender of `message`, an entire handshake message, has received
/// `cookie`.
#[must_use]
pub fn check_mac2<C: Crypto>(cookie: &Cookie<C>, message: &[u8]) -> bool {
    Authenticated::split(message).is_some_and(|parts| {
        let mut mac = [0; MAC_LEN];
        C::mac(&mut mac, cookie.as_bytes(), &[parts.with_mac1]);
        C::equal(&mac, parts.mac2)
    })
}

/// Answers `message`, an entire handshake message whose `mac1` is valid and
/// whose sender index is `receiver`, with the cookie of its source.
///
/// `None` if it is too short to be one.
pub fn create_reply<C: Crypto>(
    keys: &MacKeys,
    cookie: &Cookie<C>,
    message: &[u8],
    receiver: u32,
) -> Option<CookieReply> {
    let parts = Authenticated::split(message)?;
    let mut reply = CookieReply {
        receiver,
        nonce: [0; COOKIE_NONCE_LEN],
        sealed_cookie: [0; COOKIE_LEN + TAG_LEN],
    };
    C::random(&mut reply.nonce);
    C::xaead_seal(
        &mut reply.sealed_cookie,
        cookie.as_bytes(),
        parts.mac1,
        &reply.nonce,
        &keys.cookie,
    )
    .then_some(reply)
}

/// A peer's cookie, and what is needed to receive one.
pub struct CookieJar<C: Crypto> {
    keys: MacKeys,
    // The code of the last message sent, until a reply to it has been accepted.
    awaiting: Option<[u8; MAC_LEN]>,
    cookie: Cookie<C>,
    // When the cookie came; `None` as long as there is none.
    birth: Option<Instant>,
}

impl<C: Crypto> CookieJar<C> {
    /// An empty jar for the peer with the public key `remote`.
    pub fn new(remote: &PublicKey) -> Self {
        CookieJar {
            keys: MacKeys::derive::<C>(remote),
            awaiting: None,
            cookie: Cookie::zeroed(),
            birth: None,
        }
    }

    /// Writes both codes to the end of `message`, an entire handshake message
    /// that is about to be sent to the peer. `mac2` is zeros unless a fresh
    /// cookie is at hand.
    ///
    /// A message too short to be one is left alone.
    pub fn add_macs(&mut self, message: &mut [u8], now: Instant) {
        let Some((with_mac1, mac2)) = message.split_last_chunk_mut::<MAC_LEN>() else {
            return;
        };
        let Some((body, mac1)) = with_mac1.split_last_chunk_mut::<MAC_LEN>() else {
            return;
        };
        C::mac(mac1, &self.keys.mac1, &[body]);
        self.awaiting = Some(*mac1);

        const LIFE: u64 = COOKIE_SECRET_MAX_AGE - COOKIE_SECRET_LATENCY;
        match self.birth {
            Some(birth) if !birth.has_expired(LIFE, now) => {
                C::mac(mac2, self.cookie.as_bytes(), &[with_mac1]);
            }
            _ => *mac2 = [0; MAC_LEN],
        }
    }

    /// Opens a reply and stores the cookie, for use from the next handshake
    /// message on.
    ///
    /// `false`, with nothing changed, if no message is waiting for one or it is
    /// not an authentic reply to the last message sent.
    pub fn consume_reply(&mut self, reply: &CookieReply, now: Instant) -> bool {
        let Some(mac1) = self.awaiting else {
            return false;
        };
        let mut cookie = Cookie::<C>::zeroed();
        if !C::xaead_open(
            cookie.as_mut_bytes(),
            &reply.sealed_cookie,
            &mac1,
            &reply.nonce,
            &self.keys.cookie,
        ) {
            return false;
        }
        self.cookie.copy_from(&cookie);
        self.birth = Some(now);
        self.awaiting = None;
        true
    }
}
