// SPDX-License-Identifier: GPL-2.0

//! Two endpoints and a network in virtual time: a driver in miniature that puts
//! all parts of the core together, real messages included, and lets them run for
//! hours through silence, loss, overload and restarts.

mod common;

use common::{identity, Host as Primitives};
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

const SECOND: u64 = 1000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;

fn instant(ms: u64) -> Instant {
    Instant(ms * 1_000_000)
}

struct Random(Cell<u64>);

impl Random {
    fn below(&self, bound: u64) -> u64 {
        let mut x = self.0.get();
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        self.0.set(x);
        x % bound
    }
}

/// Timers in virtual time.
struct Wheel {
    now: Cell<u64>,
    due: RefCell<[Option<u64>; Timer::COUNT]>,
    random: Random,
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

struct Session {
    sending: SymmetricKey<Primitives>,
    receiving: SymmetricKey<Primitives>,
    local: u32,
    remote: u32,
    age: SessionAge,
    window: ReplayWindow,
}

impl Session {
    fn new(keys: SessionKeys<Primitives>, birth: Instant) -> Self {
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
enum Sent {
    Initiation,
    Response,
    Cookie,
    Keepalive,
    Data,
}

/// One end, with one peer.
struct Endpoint {
    own: StaticIdentity<Primitives>,
    remote: PublicKey,
    handshake: Handshake<Primitives>,
    timers: TimerState,
    wheel: Wheel,
    last_handshake: Instant,
    indices: u32,
    previous: Option<Session>,
    current: Option<Session>,
    next: Option<Session>,
    staged: VecDeque<Vec<u8>>,
    outbox: Vec<Vec<u8>>,
    /// Payloads that arrived.
    delivered: Vec<u64>,
    sent: Vec<(u64, Sent)>,
    gave_up: Vec<u64>,
    zeroed: Vec<u64>,
    // As a responder under load.
    under_load: bool,
    keys: MacKeys,
    secret: CookieSecret<Primitives>,
    bucket: Option<TokenBucket>,
    jar: CookieJar<Primitives>,
}

/// Where both ends seem to be, seen from the other.
fn address() -> IpAddr {
    "198.51.100.1".parse().unwrap()
}

const PORT: [u8; 2] = [0xca, 0x6c];

impl Endpoint {
    fn new(own: StaticIdentity<Primitives>, remote: PublicKey, seed: u64) -> Self {
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
            under_load: false,
            keys: MacKeys::derive::<Primitives>(own.public()),
            secret: CookieSecret::new(instant(0)),
            bucket: None,
            jar: CookieJar::new(&remote),
            own,
        }
    }

    fn ms(&self) -> u64 {
        self.wheel.now.get()
    }

    fn now(&self) -> Instant {
        instant(self.ms())
    }

    fn index(&mut self) -> u32 {
        self.indices = self.indices.wrapping_mul(0x0100_0193).wrapping_add(1);
        self.indices
    }

    fn transmit(&mut self, kind: Sent, message: Vec<u8>) {
        self.sent.push((self.ms(), kind));
        self.outbox.push(message);
    }

    /// The application has something to say.
    fn send(&mut self, payload: u64) {
        if self.staged.len() == MAX_STAGED_PACKETS {
            self.staged.pop_front();
        }
        self.staged.push_back(payload.to_be_bytes().to_vec());
        self.send_staged();
    }

    fn send_keepalive(&mut self) {
        if self.staged.is_empty() {
            self.staged.push_back(Vec::new());
        }
        self.send_staged();
    }

    fn send_staged(&mut self) {
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
            self.transmit(kind, message);
        }
        if data {
            self.timers.data_sent(&self.wheel);
        }
        if rekey {
            self.queue_initiation(false);
        }
    }

    fn queue_initiation(&mut self, is_retry: bool) {
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
        self.transmit(Sent::Initiation, message.to_vec());
        self.timers.handshake_initiated(&self.wheel);
    }

    fn fire(&mut self, timer: Timer) {
        self.wheel.disarm(timer);
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
            }
            Action::ZeroKeys => {
                self.handshake.clear();
                (self.previous, self.current, self.next) = (None, None, None);
                self.zeroed.push(self.ms());
            }
        }
    }

    fn receive(&mut self, message: &[u8]) {
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

    fn passes_macs(&mut self, message: &[u8], sender: u32) -> bool {
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
        self.transmit(Sent::Cookie, reply.to_bytes().to_vec());
        false
    }

    fn receive_initiation(&mut self, message: &Initiation) {
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
        self.timers.session_derived(&self.wheel);
        self.timers.any_authenticated_traversal(&self.wheel);
        self.timers.any_authenticated_sent(&self.wheel);
        self.transmit(Sent::Response, message.to_vec());

        self.timers.any_authenticated_received(&self.wheel);
        self.timers.any_authenticated_traversal(&self.wheel);
    }

    fn receive_response(&mut self, message: &Response) {
        let Some(pending) = self.handshake.pending_response() else {
            return;
        };
        let Some(consumed) = pending.finish(message, &self.own) else {
            return;
        };
        assert!(self.handshake.accept_response(&consumed));
        let keys = self.handshake.begin_session().unwrap();
        self.previous = self.next.take().or(self.current.take());
        self.current = Some(Session::new(keys, self.now()));
        self.timers.session_derived(&self.wheel);
        self.timers.handshake_complete(&self.wheel);
        self.send_keepalive();

        self.timers.any_authenticated_received(&self.wheel);
        self.timers.any_authenticated_traversal(&self.wheel);
    }

    fn receive_data(&mut self, message: &[u8]) {
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
        self.timers.any_authenticated_received(&self.wheel);
        self.timers.any_authenticated_traversal(&self.wheel);
        if let Ok(payload) = packet.try_into() {
            self.timers.data_received(&self.wheel);
            self.delivered.push(u64::from_be_bytes(payload));
        }
    }

    fn times(&self, kind: Sent) -> Vec<u64> {
        self.sent
            .iter()
            .filter(|(_, sent)| *sent == kind)
            .map(|(at, _)| *at)
            .collect()
    }
}

/// Somebody talks at regular intervals.
struct Traffic {
    from: usize,
    next: u64,
    every: u64,
    until: u64,
}

/// What becomes of a message sent at a time by an endpoint: the milliseconds it
/// takes, if it arrives, once for each copy.
type Network = Box<dyn FnMut(u64, usize) -> Vec<u64>>;

struct Simulation {
    now: u64,
    ends: [Endpoint; 2],
    in_flight: Vec<(u64, usize, Vec<u8>)>,
    network: Network,
    traffic: Vec<Traffic>,
    payloads: [u64; 2],
}

const A: usize = 0;
const B: usize = 1;

impl Simulation {
    fn new() -> Self {
        let (a, b) = (identity(), identity());
        let (to_a, to_b) = (*a.public(), *b.public());
        Simulation {
            now: 0,
            ends: [
                Endpoint::new(a, to_b, 0x1234_5678),
                Endpoint::new(b, to_a, 0x9abc_def1),
            ],
            in_flight: Vec::new(),
            network: Box::new(|_, _| vec![20]),
            traffic: Vec::new(),
            payloads: [0; 2],
        }
    }

    fn talk(&mut self, from: usize, every: u64, since: u64, until: u64) {
        self.traffic.push(Traffic {
            from,
            next: since,
            every,
            until,
        });
    }

    fn say(&mut self, from: usize) {
        let payload = self.payloads[from];
        self.payloads[from] += 1;
        self.ends[from].send(payload);
        self.flush();
    }

    fn flush(&mut self) {
        for from in [A, B] {
            for message in std::mem::take(&mut self.ends[from].outbox) {
                for delay in (self.network)(self.now, from) {
                    self.in_flight
                        .push((self.now + delay, 1 - from, message.clone()));
                }
            }
        }
    }

    /// Whatever happens next, if it does before `until`.
    fn step(&mut self, until: u64) -> bool {
        let packet = self.in_flight.iter().map(|flight| flight.0).min();
        let timer = self
            .ends
            .iter()
            .flat_map(|end| *end.wheel.due.borrow())
            .flatten()
            .min();
        let talk = self
            .traffic
            .iter()
            .filter(|talk| talk.next < talk.until)
            .map(|talk| talk.next)
            .min();
        let next = [packet, timer, talk].into_iter().flatten().min();
        let Some(next) = next.filter(|next| *next < until) else {
            self.set_now(until);
            return false;
        };
        assert!(next >= self.now);
        self.set_now(next);

        if packet == Some(next) {
            let index = self.in_flight.iter().position(|flight| flight.0 == next);
            let (_, to, message) = self.in_flight.remove(index.unwrap());
            self.ends[to].receive(&message);
        } else if timer == Some(next) {
            for end in &mut self.ends {
                for timer in Timer::ALL {
                    let due = end.wheel.due.borrow()[timer.index()];
                    if due == Some(next) {
                        end.fire(timer);
                    }
                }
            }
        } else {
            for index in 0..self.traffic.len() {
                let talk = &mut self.traffic[index];
                if talk.next == next && next < talk.until {
                    talk.next += talk.every;
                    let from = talk.from;
                    self.say(from);
                }
            }
        }
        self.flush();
        true
    }

    fn set_now(&mut self, now: u64) {
        self.now = now;
        for end in &self.ends {
            end.wheel.now.set(now);
        }
    }

    fn run(&mut self, until: u64) {
        while self.step(until) {}
        for end in &self.ends {
            for pair in end.times(Sent::Initiation).windows(2) {
                assert!(pair[1] - pair[0] >= REKEY_TIMEOUT * SECOND);
            }
        }
    }

    fn assert_all_delivered(&self) {
        for (from, to) in [(A, B), (B, A)] {
            let delivered = &self.ends[to].delivered;
            assert_eq!(delivered.len() as u64, self.payloads[from]);
            assert!(delivered.iter().copied().eq(0..self.payloads[from]));
        }
    }

    fn handshakes(&self) -> usize {
        self.ends
            .iter()
            .map(|end| end.times(Sent::Response).len())
            .sum()
    }
}

#[test]
fn conversation_of_six_hours() {
    let mut sim = Simulation::new();
    sim.talk(A, 250, 0, 6 * HOUR);
    sim.talk(B, 300, SECOND, 6 * HOUR);
    sim.run(6 * HOUR + MINUTE);
    sim.assert_all_delivered();
    // The initiator replaces the session every two minutes, and nobody has
    // reason to send a keepalive but for confirmation.
    let initiations = sim.ends[A].times(Sent::Initiation);
    assert_eq!(sim.ends[B].times(Sent::Initiation), []);
    for pair in initiations.windows(2) {
        assert!((120_000..121_000).contains(&(pair[1] - pair[0])));
    }
    assert_eq!(initiations.len(), sim.handshakes());
    // The first session is confirmed by the packet that waited for it.
    let keepalives = sim.ends[A].times(Sent::Keepalive).len();
    assert!(keepalives.abs_diff(initiations.len()) <= 2);
    assert!(sim.ends[B].times(Sent::Keepalive).len() <= 1);
}

#[test]
fn monologue_is_acknowledged_every_ten_seconds() {
    let mut sim = Simulation::new();
    sim.talk(A, SECOND, 0, HOUR);
    sim.run(HOUR + MINUTE);
    sim.assert_all_delivered();
    let keepalives = sim.ends[B].times(Sent::Keepalive);
    assert!(keepalives.len() >= 300, "{}", keepalives.len());
    for pair in keepalives.windows(2) {
        // A handshake response in between serves as well and restarts the wait.
        assert!((10_000..=21_000).contains(&(pair[1] - pair[0])));
    }
    // A never thinks that B is gone.
    assert!(sim.ends[A].times(Sent::Initiation).len() <= 31);
}

#[test]
fn a_listening_initiator_replaces_the_session_at_the_last_minute() {
    let mut sim = Simulation::new();
    sim.say(A);
    sim.run(SECOND);
    sim.talk(B, 500, SECOND, 2 * HOUR);
    sim.run(2 * HOUR + MINUTE);
    sim.assert_all_delivered();
    let initiations = sim.ends[A].times(Sent::Initiation);
    assert!(initiations.len() >= 40);
    for pair in initiations.windows(2) {
        // Its keepalives are sent with the session as well, so that the duty to
        // replace it after 120 seconds applies with the next of those.
        assert!((120_000..166_000).contains(&(pair[1] - pair[0])));
    }
    assert_eq!(sim.ends[B].times(Sent::Initiation), []);
}

#[test]
fn silence_is_silent_and_forgets() {
    let mut sim = Simulation::new();
    sim.say(A);
    sim.run(HOUR);
    sim.assert_all_delivered();
    // Initiation, response, the packet itself, and a keepalive in return.
    assert_eq!(sim.ends[A].sent, [(0, Sent::Initiation), (40, Sent::Data)]);
    assert_eq!(
        sim.ends[B].sent,
        [(20, Sent::Response), (10_060, Sent::Keepalive)]
    );
    // Keys last for nine minutes.
    assert_eq!(sim.ends[A].zeroed, [540_040]);
    assert_eq!(sim.ends[B].zeroed, [540_020]);
    for end in &sim.ends {
        assert!(end.current.is_none() && end.next.is_none() && end.previous.is_none());
    }
    // And all begins anew.
    sim.say(B);
    sim.run(HOUR + MINUTE);
    sim.assert_all_delivered();
}

#[test]
fn an_unreachable_peer_is_given_up() {
    let mut sim = Simulation::new();
    sim.network = Box::new(|_, _| vec![]);
    sim.say(A);
    sim.run(HOUR);
    let attempts = sim.ends[A].times(Sent::Initiation);
    assert_eq!(attempts.len(), 20);
    for pair in attempts.windows(2) {
        assert!((5_000..5_333).contains(&(pair[1] - pair[0])));
    }
    let jitters: std::collections::HashSet<u64> =
        attempts.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(jitters.len() > 10);
    let gave_up = sim.ends[A].gave_up[0];
    assert!((100_000..106_660).contains(&gave_up));
    assert_eq!(sim.ends[A].gave_up.len(), 1);
    assert!(sim.ends[A].staged.is_empty());
    assert_eq!(sim.ends[A].zeroed, [gave_up + 540_000]);
}

#[test]
fn traffic_keeps_the_attempts_going() {
    let mut sim = Simulation::new();
    sim.network = Box::new(|now, _| if now < HOUR { vec![] } else { vec![20] });
    sim.talk(A, 2 * SECOND, 0, 2 * HOUR);
    sim.run(HOUR);
    assert_eq!(sim.ends[A].gave_up, []);
    assert!(sim.ends[A].times(Sent::Initiation).len() >= 600);
    assert_eq!(sim.ends[A].staged.len(), MAX_STAGED_PACKETS);
    sim.run(HOUR + 6 * SECOND);
    // Within one retry, all that was held back arrives, oldest dropped.
    let delivered = &sim.ends[B].delivered;
    assert!(delivered.len() >= MAX_STAGED_PACKETS);
    assert!(delivered.windows(2).all(|pair| pair[1] == pair[0] + 1));
    sim.run(2 * HOUR + MINUTE);
    assert_eq!(sim.ends[B].delivered.last(), Some(&(sim.payloads[A] - 1)));
}

#[test]
fn an_outage_is_noticed_after_fifteen_seconds() {
    let mut sim = Simulation::new();
    sim.network = Box::new(|now, _| {
        if (31 * SECOND..61 * SECOND).contains(&now) {
            vec![]
        } else {
            vec![20]
        }
    });
    sim.talk(A, SECOND, 0, 5 * MINUTE);
    sim.talk(B, SECOND, 500, 5 * MINUTE);
    sim.run(6 * MINUTE);
    for end in &sim.ends {
        // Whatever is sent without an answer starts the wait.
        let first = end
            .times(Sent::Initiation)
            .into_iter()
            .find(|at| *at > 31 * SECOND);
        assert!((45_500..47_000).contains(&first.unwrap()), "{first:?}");
    }
    // The packets of half a minute are lost, no more.
    for end in &sim.ends {
        assert!(end.delivered.len() >= 300 - 31);
        assert_eq!(end.delivered.last(), Some(&299));
    }
}

#[test]
fn persistent_keepalives_hold_for_hours() {
    let mut sim = Simulation::new();
    // As done when it is configured.
    sim.ends[A].timers.set_persistent_keepalive(25);
    sim.ends[A].send_keepalive();
    sim.flush();
    sim.run(5 * HOUR);
    let packets: Vec<u64> = sim.ends[A].sent.iter().map(|(at, _)| *at).collect();
    for pair in packets.windows(2) {
        assert!(pair[1] - pair[0] <= 25_000);
    }
    assert!(packets.len() >= 5 * 3600 / 25);
    // Every session replaced in time, by A alone, and B sends nothing else.
    let initiations = sim.ends[A].times(Sent::Initiation);
    assert!(initiations
        .windows(2)
        .all(|pair| pair[1] - pair[0] <= 150_000));
    assert_eq!(sim.ends[B].times(Sent::Response).len(), initiations.len());
    assert_eq!(sim.ends[B].sent.len(), initiations.len());
    assert_eq!(sim.ends[A].zeroed, []);
}

#[test]
fn a_restarted_peer_is_found_again() {
    let mut sim = Simulation::new();
    sim.talk(A, SECOND, 0, 10 * MINUTE);
    sim.run(5 * MINUTE);
    let fresh = {
        let old = &sim.ends[B];
        let own = StaticIdentity::new(old.own.secret()).unwrap();
        let mut fresh = Endpoint::new(own, old.remote, 77);
        fresh.wheel.now = Cell::new(old.ms());
        fresh.last_handshake = instant(old.ms()).before(REKEY_TIMEOUT + 1);
        fresh
    };
    sim.ends[B] = fresh;
    sim.run(11 * MINUTE);
    let first = sim.ends[B].sent[0];
    assert_eq!(first.1, Sent::Response);
    // The last packet answered may be ten seconds old by then.
    assert!(first.0 <= 5 * MINUTE + 16 * SECOND);
    assert_eq!(sim.ends[B].delivered.last(), Some(&599));
}

#[test]
fn initiations_that_cross_settle() {
    let mut sim = Simulation::new();
    sim.talk(A, SECOND, 0, 10 * MINUTE);
    sim.talk(B, SECOND, 0, 10 * MINUTE);
    sim.run(11 * MINUTE);
    let delivered: Vec<usize> = sim.ends.iter().map(|end| end.delivered.len()).collect();
    assert_eq!(delivered, [600, 600]);
}

#[test]
fn a_responder_under_load_lets_through_who_holds_a_cookie() {
    let mut sim = Simulation::new();
    sim.ends[B].under_load = true;
    sim.talk(A, SECOND, 0, HOUR);
    sim.talk(B, SECOND, SECOND, HOUR);
    sim.run(HOUR + MINUTE);
    sim.assert_all_delivered();
    // What has no cookie, or one that is out of date, is answered with one,
    // initiations and responses alike. Cookies live about as long as sessions.
    let cookies = sim.ends[B].times(Sent::Cookie).len();
    assert!((28..=61).contains(&cookies), "{cookies}");
    assert!(sim.handshakes() >= 28);
    assert_eq!(sim.ends[A].times(Sent::Cookie), []);
}

#[test]
fn hours_of_loss_reordering_and_duplication() {
    for seed in 1..=4 {
        let mut sim = Simulation::new();
        let random = Random(Cell::new(seed * 0x9e37_79b9));
        sim.network = Box::new(move |now, _| {
            // Now and then nothing gets through for a while.
            if now / MINUTE % 7 == 3 || now > 3 * HOUR && now < 3 * HOUR + 4 * MINUTE {
                return vec![];
            }
            match random.below(10) {
                0 | 1 => vec![],
                2 => vec![random.below(400), random.below(4000)],
                _ => vec![10 + random.below(300)],
            }
        });
        sim.talk(A, 700, 0, 4 * HOUR);
        sim.talk(B, 900, 0, HOUR);
        sim.talk(B, 40 * SECOND, HOUR, 4 * HOUR);
        sim.run(4 * HOUR);

        for end in &sim.ends {
            // Nothing is delivered twice.
            let unique: std::collections::HashSet<&u64> = end.delivered.iter().collect();
            assert_eq!(unique.len(), end.delivered.len());
        }
        let delivered = sim.ends[B].delivered.len() as u64;
        assert!(delivered * 10 >= sim.payloads[A] * 6, "{delivered}");

        // Left alone, they recover completely.
        sim.network = Box::new(|_, _| vec![20]);
        sim.run(4 * HOUR + MINUTE);
        let before = sim.payloads;
        sim.talk(A, SECOND, sim.now, sim.now + MINUTE);
        sim.talk(B, SECOND, sim.now + 10, sim.now + MINUTE);
        sim.run(4 * HOUR + 3 * MINUTE);
        for (from, to) in [(A, B), (B, A)] {
            let expected: Vec<u64> = (before[from]..sim.payloads[from]).collect();
            assert!(sim.ends[to].delivered.ends_with(&expected));
        }
        // And fall silent.
        sim.run(5 * HOUR);
        for end in &sim.ends {
            assert!(end.sent.last().unwrap().0 < 4 * HOUR + 3 * MINUTE + 20 * SECOND);
            assert!(end.current.is_none());
        }
    }
}
