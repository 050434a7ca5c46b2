// SPDX-License-Identifier: GPL-2.0

//! One end of a tunnel in virtual time.

use super::super::Host as Primitives;
use core::net::IpAddr;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use wireguard_protocol::protocol::constants::{
    Instant, MAX_STAGED_PACKETS, REJECT_AFTER_TIME, REKEY_TIMEOUT,
};
use wireguard_protocol::protocol::cookie::{
    check_mac1, check_mac2, create_reply, CookieJar, CookieSecret, MacKeys,
};
use wireguard_protocol::protocol::crypto::{Crypto, PublicKey, SecretKey, SymmetricKey};
use wireguard_protocol::protocol::message::{
    classify, CookieReply, DataHeader, Initiation, MessageType, Response, DATA_HEADER_LEN,
};
use wireguard_protocol::protocol::noise::{
    consume_initiation, Handshake, SessionKeys, StaticIdentity, Tai64n,
};
use wireguard_protocol::protocol::ratelimit::TokenBucket;
use wireguard_protocol::protocol::replay::ReplayWindow;
use wireguard_protocol::protocol::timers::{
    may_initiate, may_send_counter, session_expired, Action, Host, SessionAge, Timer, TimerState,
};

pub fn instant(ms: u64) -> Instant {
    Instant(ms * 1_000_000)
}

pub struct Random(pub Cell<u64>);

impl Random {
    pub fn below(&self, bound: u64) -> u64 {
        let mut x = self.0.get();
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        self.0.set(x);
        x % bound
    }
}

/// Timers in virtual time.
pub struct Wheel {
    pub now: Cell<u64>,
    pub due: RefCell<[Option<u64>; Timer::COUNT]>,
    pub random: Random,
}

impl Host for Wheel {
    fn arm(&self, timer: Timer, after_ms: u64) {
        self.due.borrow_mut()[timer.index()] = Some(self.now.get() + after_ms);
    }

    fn disarm(&self, timer: Timer) {
        self.due.borrow_mut()[timer.index()] = None;
    }

    fn is_armed(&self, timer: Timer) -> bool {
        self.due.borrow()[timer.index()].is_some()
    }

    fn is_running(&self) -> bool {
        true
    }

    fn random_below(&self, bound: u32) -> u32 {
        self.random.below(bound.into()) as u32
    }
}

pub struct Session {
    pub sending: SymmetricKey<Primitives>,
    pub receiving: SymmetricKey<Primitives>,
    pub local: u32,
    pub remote: u32,
    pub age: SessionAge,
    pub window: ReplayWindow,
}

impl Session {
    pub fn new(keys: SessionKeys<Primitives>, birth: Instant) -> Self {
        Session {
            age: SessionAge {
                birth,
                initiator: keys.initiator,
                sent: 0,
            },
            local: keys.local_index,
            remote: keys.remote_index,
            sending: keys.sending,
            receiving: keys.receiving,
            window: ReplayWindow::new(),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    Initiation,
    Response,
    Cookie,
    Keepalive,
    Data,
}

/// What happens at an endpoint, for `rules.rs` to judge. Sessions go by their
/// local index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The application has a packet to send.
    Wanted,
    /// So many seconds between persistent keepalives are asked for.
    Configured(u16),
    /// A message leaves.
    Sent(Sent, u32),
    /// Session keys are derived, as the initiator or not.
    Derived(u32, bool),
    /// A message of a session is found to be authentic and new.
    Opened(u32),
    /// What an authentic message calls for has been done, but for the timers.
    Heard(Sent),
    /// A timer fires.
    Fired(Timer),
    /// What that calls for has been done.
    Done(Timer),
    /// The peer is given up.
    GaveUp,
    /// All keys are gone.
    Zeroed,
}

/// One end, with one peer.
pub struct Endpoint {
    pub own: StaticIdentity<Primitives>,
    pub remote: PublicKey,
    pub handshake: Handshake<Primitives>,
    pub timers: TimerState,
    pub wheel: Wheel,
    pub last_handshake: Instant,
    pub indices: u32,
    pub previous: Option<Session>,
    pub current: Option<Session>,
    pub next: Option<Session>,
    pub staged: VecDeque<Vec<u8>>,
    pub outbox: Vec<Vec<u8>>,
    /// Payloads that arrived.
    pub delivered: Vec<u64>,
    pub sent: Vec<(u64, Sent)>,
    pub gave_up: Vec<u64>,
    pub zeroed: Vec<u64>,
    /// All of that and more, in its order.
    pub events: Vec<(u64, Event)>,
    // As a responder under load.
    pub under_load: bool,
    pub keys: MacKeys,
    pub secret: CookieSecret<Primitives>,
    pub bucket: Option<TokenBucket>,
    pub jar: CookieJar<Primitives>,
}

/// Where both ends seem to be, seen from the other.
pub fn address() -> IpAddr {
    "198.51.100.1".parse().unwrap()
}

pub const PORT: [u8; 2] = [0xca, 0x6c];

impl Endpoint {
    pub fn new(own: StaticIdentity<Primitives>, remote: PublicKey, seed: u64) -> Self {
        let mut handshake = Handshake::new(remote);
        handshake.set_identity(Some(&own));
        Endpoint {
            remote,
            handshake,
            timers: TimerState::new(),
            wheel: Wheel {
                now: Cell::new(0),
                due: Default::default(),
                random: Random(Cell::new(seed)),
            },
            last_handshake: instant(0).before(REKEY_TIMEOUT + 1),
            indices: seed as u32,
            previous: None,
            current: None,
            next: None,
            staged: VecDeque::new(),
            outbox: Vec::new(),
            delivered: Vec::new(),
            sent: Vec::new(),
            gave_up: Vec::new(),
            zeroed: Vec::new(),
            events: Vec::new(),
            under_load: false,
            keys: MacKeys::derive::<Primitives>(own.public()),
            secret: CookieSecret::new(instant(0)),
            bucket: None,
            jar: CookieJar::new(&remote),
            own,
        }
    }

    pub fn ms(&self) -> u64 {
        self.wheel.now.get()
    }

    pub fn now(&self) -> Instant {
        instant(self.ms())
    }

    pub fn index(&mut self) -> u32 {
        self.indices = self.indices.wrapping_mul(0x0100_0193).wrapping_add(1);
        self.indices
    }

    fn note(&mut self, event: Event) {
        self.events.push((self.ms(), event));
    }

    pub fn transmit(&mut self, kind: Sent, index: u32, message: Vec<u8>) {
        self.sent.push((self.ms(), kind));
        self.note(Event::Sent(kind, index));
        self.outbox.push(message);
    }

    /// The application has something to say.
    pub fn send(&mut self, payload: u64) {
        self.note(Event::Wanted);
        if self.staged.len() == MAX_STAGED_PACKETS {
            self.staged.pop_front();
        }
        self.staged.push_back(payload.to_be_bytes().to_vec());
        self.send_staged();
    }

    pub fn set_persistent_keepalive(&mut self, seconds: u16) {
        self.note(Event::Configured(seconds));
        let before = self.timers.set_persistent_keepalive(seconds);
        if before == 0 && seconds != 0 {
            self.send_keepalive();
        }
    }

    pub fn send_keepalive(&mut self) {
        if self.staged.is_empty() {
            self.staged.push_back(Vec::new());
        }
        self.send_staged();
    }

    pub fn send_staged(&mut self) {
        let now = self.now();
        let usable = self.current.as_ref().is_some_and(|session| {
            !session_expired(session.age.birth, now) && may_send_counter(session.age.sent)
        });
        if !usable {
            // Keepalives are not worth a packet of their own later.
            self.staged.retain(|packet| !packet.is_empty());
            return self.queue_initiation(false);
        }
        let Some(session) = &mut self.current else {
            return;
        };
        let mut messages = Vec::new();
        for packet in self.staged.drain(..) {
            let counter = session.age.sent;
            session.age.sent += 1;
            let header = DataHeader {
                receiver: session.remote,
                counter,
            };
            let mut message = header.to_bytes().to_vec();
            message.resize(DATA_HEADER_LEN + packet.len() + 16, 0);
            assert!(Primitives::aead_seal(
                &mut message[DATA_HEADER_LEN..],
                &packet,
                &[],
                counter,
                session.sending.as_bytes(),
            ));
            messages.push((packet.is_empty(), message));
        }
        assert!(now.nanos_since(session.age.birth) < REJECT_AFTER_TIME as i64 * 1_000_000_000);
        let rekey = session.age.wants_rekey_after_send(now);
        let index = session.local;

        self.timers.any_authenticated_traversal(&self.wheel);
        self.timers.any_authenticated_sent(&self.wheel);
        let mut data = false;
        for (keepalive, message) in messages {
            let kind = if keepalive {
                Sent::Keepalive
            } else {
                data = true;
                Sent::Data
            };
            self.transmit(kind, index, message);
        }
        if data {
            self.timers.data_sent(&self.wheel);
        }
        if rekey {
            self.queue_initiation(false);
        }
    }

    pub fn queue_initiation(&mut self, is_retry: bool) {
        self.timers.handshake_queued(is_retry);
        let now = self.now();
        if !may_initiate(self.last_handshake, now) {
            return;
        }
        self.last_handshake = now;
        let timestamp = Tai64n::from_unix(
            1_700_000_000 + (self.ms() / 1000) as i64,
            (self.ms() % 1000) as u32 * 1_000_000,
        );
        let index = self.index();
        let mut message = self
            .handshake
            .create_initiation(&self.own, &SecretKey::generate(), timestamp, index)
            .unwrap()
            .to_bytes();
        self.jar.add_macs(&mut message, now);
        self.timers.any_authenticated_traversal(&self.wheel);
        self.timers.any_authenticated_sent(&self.wheel);
        self.transmit(Sent::Initiation, index, message.to_vec());
        self.timers.handshake_initiated(&self.wheel);
    }

    pub fn fire(&mut self, timer: Timer) {
        self.wheel.disarm(timer);
        self.note(Event::Fired(timer));
        match self.timers.expired(&self.wheel, timer) {
            Action::None => {}
            Action::SendKeepalive { another } => {
                self.send_keepalive();
                if another {
                    self.timers.rearm_keepalive(&self.wheel);
                }
            }
            Action::InitiateHandshake { is_retry } => self.queue_initiation(is_retry),
            Action::GiveUp => {
                self.staged.clear();
                self.gave_up.push(self.ms());
                self.note(Event::GaveUp);
            }
            Action::ZeroKeys => {
                self.handshake.clear();
                (self.previous, self.current, self.next) = (None, None, None);
                self.zeroed.push(self.ms());
                self.note(Event::Zeroed);
            }
        }
        self.note(Event::Done(timer));
    }

    pub fn receive(&mut self, message: &[u8]) {
        let first = message[..4].try_into().unwrap();
        let Some((kind, _)) = classify(first, message.len()) else {
            panic!("malformed message");
        };
        match kind {
            MessageType::Data => self.receive_data(message),
            MessageType::CookieReply => {
                let reply = CookieReply::parse(message).unwrap();
                // It may answer a response as well, whose index is a session's.
                let sessions = [&self.previous, &self.current, &self.next];
                let known = sessions
                    .into_iter()
                    .flatten()
                    .map(|session| session.local)
                    .chain(self.handshake.local_index())
                    .any(|index| index == reply.receiver);
                if known {
                    self.jar.consume_reply(&reply, self.now());
                }
            }
            MessageType::Initiation => {
                let parsed = Initiation::parse(message).unwrap();
                if self.passes_macs(message, parsed.sender) {
                    self.receive_initiation(&parsed);
                }
            }
            MessageType::Response => {
                let parsed = Response::parse(message).unwrap();
                if self.passes_macs(message, parsed.sender) {
                    self.receive_response(&parsed);
                }
            }
        }
    }

    pub fn passes_macs(&mut self, message: &[u8], sender: u32) -> bool {
        let now = self.now();
        if !check_mac1::<Primitives>(&self.keys, message) {
            return false;
        }
        if !self.under_load {
            return true;
        }
        self.secret.renew(now);
        let cookie = self.secret.cookie(address(), PORT);
        if check_mac2(&cookie, message) {
            return match &mut self.bucket {
                Some(bucket) => bucket.allow(now),
                None => {
                    self.bucket = Some(TokenBucket::new(now));
                    true
                }
            };
        }
        let reply = create_reply(&self.keys, &cookie, message, sender).unwrap();
        self.transmit(Sent::Cookie, sender, reply.to_bytes().to_vec());
        false
    }

    pub fn receive_initiation(&mut self, message: &Initiation) {
        let now = self.now();
        let Some(pending) = consume_initiation(message, &self.own) else {
            return;
        };
        assert_eq!(*pending.remote_static(), self.remote);
        let Some(consumed) = pending.finish(&self.handshake) else {
            return;
        };
        if self.handshake.accept_initiation(&consumed, now).is_err() {
            return;
        }
        self.last_handshake = now;
        let index = self.index();
        let mut message = self
            .handshake
            .create_response(&SecretKey::generate(), index)
            .unwrap()
            .to_bytes();
        self.jar.add_macs(&mut message, now);
        let keys = self.handshake.begin_session().unwrap();
        self.next = Some(Session::new(keys, now));
        self.previous = None;
        self.note(Event::Derived(index, false));
        self.timers.session_derived(&self.wheel);
        self.timers.any_authenticated_traversal(&self.wheel);
        self.timers.any_authenticated_sent(&self.wheel);
        self.transmit(Sent::Response, index, message.to_vec());

        self.note(Event::Heard(Sent::Initiation));
        self.timers.any_authenticated_received(&self.wheel);
        self.timers.any_authenticated_traversal(&self.wheel);
    }

    pub fn receive_response(&mut self, message: &Response) {
        let Some(pending) = self.handshake.pending_response() else {
            return;
        };
        let Some(consumed) = pending.finish(message, &self.own) else {
            return;
        };
        assert!(self.handshake.accept_response(&consumed));
        let keys = self.handshake.begin_session().unwrap();
        self.note(Event::Derived(keys.local_index, true));
        self.previous = self.next.take().or(self.current.take());
        self.current = Some(Session::new(keys, self.now()));
        self.timers.session_derived(&self.wheel);
        self.timers.handshake_complete(&self.wheel);
        self.send_keepalive();

        self.note(Event::Heard(Sent::Response));
        self.timers.any_authenticated_received(&self.wheel);
        self.timers.any_authenticated_traversal(&self.wheel);
    }

    pub fn receive_data(&mut self, message: &[u8]) {
        let now = self.now();
        let header = DataHeader::parse(message).unwrap();
        let is_ours = |session: &&mut Session| session.local == header.receiver;
        let Some(session) = [&mut self.previous, &mut self.current, &mut self.next]
            .into_iter()
            .flatten()
            .find(is_ours)
        else {
            return;
        };
        if session_expired(session.age.birth, now) {
            return;
        }
        let sealed = &message[DATA_HEADER_LEN..];
        let mut packet = vec![0; sealed.len() - 16];
        let authentic = Primitives::aead_open(
            &mut packet,
            sealed,
            &[],
            header.counter,
            session.receiving.as_bytes(),
        );
        if !authentic || !session.window.check_and_update(header.counter) {
            return;
        }
        self.note(Event::Opened(header.receiver));

        if self
            .next
            .as_ref()
            .is_some_and(|next| next.local == header.receiver)
        {
            self.previous = self.current.take();
            self.current = self.next.take();
            self.timers.handshake_complete(&self.wheel);
            if !self.staged.is_empty() {
                self.send_staged();
            }
        }
        let age = self.current.as_ref().map(|session| session.age);
        if self.timers.wants_rekey_after_receive(now, || age) {
            self.queue_initiation(false);
        }
        self.note(Event::Heard(if packet.is_empty() {
            Sent::Keepalive
        } else {
            Sent::Data
        }));
        self.timers.any_authenticated_received(&self.wheel);
        self.timers.any_authenticated_traversal(&self.wheel);
        if let Ok(payload) = packet.try_into() {
            self.timers.data_received(&self.wheel);
            self.delivered.push(u64::from_be_bytes(payload));
        }
    }

    pub fn times(&self, kind: Sent) -> Vec<u64> {
        self.sent
            .iter()
            .filter(|(_, sent)| *sent == kind)
            .map(|(at, _)| *at)
            .collect()
    }
}
