// SPDX-License-Identifier: GPL-2.0

//! Calls everything that has code in it, with surroundings the compiler knows
//! nothing about. Compiled by `no_panics.rs`, never run.

#![no_std]
#![allow(dead_code)]

#[path = "../../src/protocol/mod.rs"]
pub mod protocol;

use core::hint::black_box;
use core::net::IpAddr;
use protocol::aead::{open, open_in_place, seal, Authenticator, Parts, Stream};
use protocol::allowed_ips::*;
use protocol::constants::*;
use protocol::cookie::*;
use protocol::crypto::*;
use protocol::gro::{Run, Segment};
use protocol::gso::{Gso, Segmenter};
use protocol::inet::{tcp_header_len, udp_headers_len, Ip, Sum};
use protocol::join::{Incoming, Outgoing};
use protocol::message::*;
use protocol::noise::*;
use protocol::ratelimit::*;
use protocol::replay::*;
use protocol::timers::*;

pub struct Opaque;

fn opaque(bytes: &mut [u8]) -> bool {
    black_box(bytes);
    black_box(true)
}

impl Parts for Opaque {
    type Stream = Opaque;
    type Authenticator = Opaque;
}

impl Stream for Opaque {
    fn begin(key: &[u8; 32], nonce: u64) -> Self {
        black_box((key, nonce));
        Self
    }

    fn apply(&mut self, text: &mut [u8]) {
        opaque(text);
    }

    fn apply_to(&mut self, to: &mut [u8], from: &[u8]) {
        black_box(from);
        opaque(to);
    }
}

impl Authenticator for Opaque {
    fn begin(key: &[u8; 32]) -> Self {
        black_box(key);
        Self
    }

    fn update(&mut self, bytes: &[u8]) {
        black_box(bytes);
    }

    fn finish(self, tag: &mut [u8; 16]) {
        opaque(tag);
    }
}

impl Crypto for Opaque {
    fn hash(out: &mut [u8; 32], parts: &[&[u8]]) {
        black_box(parts);
        opaque(out);
    }

    fn mac(out: &mut [u8; 16], key: &[u8], parts: &[&[u8]]) {
        black_box((key, parts));
        opaque(out);
    }

    fn aead_seal(dst: &mut [u8], src: &[u8], aad: &[u8], nonce: u64, key: &[u8; 32]) -> bool {
        black_box((src, aad, nonce, key));
        opaque(dst)
    }

    fn aead_open(dst: &mut [u8], src: &[u8], aad: &[u8], nonce: u64, key: &[u8; 32]) -> bool {
        black_box((src, aad, nonce, key));
        opaque(dst)
    }

    fn xaead_seal(
        dst: &mut [u8],
        src: &[u8],
        aad: &[u8],
        nonce: &[u8; 24],
        key: &[u8; 32],
    ) -> bool {
        black_box((src, aad, nonce, key));
        opaque(dst)
    }

    fn xaead_open(
        dst: &mut [u8],
        src: &[u8],
        aad: &[u8],
        nonce: &[u8; 24],
        key: &[u8; 32],
    ) -> bool {
        black_box((src, aad, nonce, key));
        opaque(dst)
    }

    fn x25519(out: &mut [u8; 32], secret: &[u8; 32], public: &[u8; 32]) -> bool {
        black_box((secret, public));
        opaque(out)
    }

    fn x25519_public(out: &mut [u8; 32], secret: &[u8; 32]) -> bool {
        black_box(secret);
        opaque(out)
    }

    fn random(out: &mut [u8]) {
        opaque(out);
    }

    fn equal(a: &[u8], b: &[u8]) -> bool {
        black_box((a, b));
        black_box(true)
    }

    fn wipe(bytes: &mut [u8]) {
        opaque(bytes);
    }
}

pub struct Value(u64);

static LIST: OwnerList = OwnerList::new();
static NODE: Node<Value> = Node::new(Value(0));

impl Slot for Value {
    type Owner = &'static OwnerList;

    fn is_set(&self) -> bool {
        black_box(self);
        black_box(true)
    }

    fn set(&self, owner: &'static OwnerList) {
        black_box((self, owner));
    }

    fn clear(&self) {
        black_box(self);
    }

    fn list_of<'a>(owner: &'a &'static OwnerList) -> &'a OwnerList {
        owner
    }

    fn with_list<R>(&self, act: impl FnOnce(&OwnerList) -> R) -> Option<R> {
        black_box(Some(&LIST)).map(act)
    }
}

pub struct Storage;

impl Arena for Storage {
    type Value = Value;

    fn get(&self, id: NodeId) -> Option<&Node<Value>> {
        black_box(id);
        black_box(Some(&NODE))
    }
}

impl ArenaMut for Storage {
    fn alloc(&mut self) -> Option<NodeId> {
        NodeId::from_index(black_box(0))
    }

    fn retire(&mut self, id: NodeId) {
        black_box(id.index());
    }
}

pub struct Wheel;

impl Host for Wheel {
    fn arm(&self, timer: Timer, after_ms: u64) {
        black_box((timer, after_ms));
    }

    fn disarm(&self, timer: Timer) {
        black_box(timer);
    }

    fn is_armed(&self, timer: Timer) -> bool {
        black_box(timer);
        black_box(true)
    }

    fn is_running(&self) -> bool {
        black_box(true)
    }

    fn random_below(&self, bound: u32) -> u32 {
        black_box(bound)
    }
}

type C = Opaque;

/// Makes the body a function of its own whose arguments can be anything.
macro_rules! probes {
    ($($name:ident($($arg:ident: $type:ty),*) $body:expr;)*) => {$(
        #[no_mangle]
        pub fn $name($($arg: $type),*) {
            let _ = black_box($body);
        }
    )*};
}

probes! {
    probe_identity(key: &SecretKey<C>) StaticIdentity::new(key);
    probe_generate() SecretKey::<C>::generate();
    probe_set_identity(h: &mut Handshake<C>, own: Option<&StaticIdentity<C>>) h.set_identity(own);
    probe_set_psk(h: &mut Handshake<C>, psk: &PresharedKey<C>) h.set_preshared_key(psk);
    probe_clear(h: &mut Handshake<C>) h.clear();
    probe_index(h: &Handshake<C>) h.local_index();
    probe_stamp(s: i64, n: u32) Tai64n::from_unix(s, n);
    probe_create_initiation(
        h: &mut Handshake<C>,
        own: &StaticIdentity<C>,
        e: &SecretKey<C>,
        t: Tai64n,
        sender: u32
    ) h.create_initiation(own, e, t, sender);
    probe_consume_initiation(m: &Initiation, own: &StaticIdentity<C>) consume_initiation(m, own);
    probe_finish_initiation(p: &PendingInitiation<C>, h: &Handshake<C>) p.finish(h);
    probe_accept_initiation(h: &mut Handshake<C>, c: &ConsumedInitiation<C>, now: Instant)
        h.accept_initiation(c, now);
    probe_create_response(h: &mut Handshake<C>, e: &SecretKey<C>, sender: u32)
        h.create_response(e, sender);
    probe_pending_response(h: &Handshake<C>) h.pending_response();
    probe_finish_response(p: &PendingResponse<C>, m: &Response, own: &StaticIdentity<C>)
        p.finish(m, own);
    probe_accept_response(h: &mut Handshake<C>, c: &ConsumedResponse<C>) h.accept_response(c);
    probe_begin_session(h: &mut Handshake<C>) h.begin_session();

    probe_classify(first: [u8; 4], len: usize) classify(first, len);
    probe_parse_initiation(bytes: &[u8]) Initiation::parse(bytes);
    probe_parse_response(bytes: &[u8]) Response::parse(bytes);
    probe_parse_reply(bytes: &[u8]) CookieReply::parse(bytes);
    probe_parse_data(bytes: &[u8]) DataHeader::parse(bytes);
    probe_split(bytes: &[u8]) Authenticated::split(bytes);
    probe_write_initiation(m: &Initiation) m.to_bytes();
    probe_write_response(m: &Response) m.to_bytes();
    probe_write_reply(m: &CookieReply) m.to_bytes();
    probe_write_data(m: DataHeader) m.to_bytes();

    probe_mac_keys(key: &PublicKey) MacKeys::derive::<C>(key);
    probe_jar(key: &PublicKey) CookieJar::<C>::new(key);
    probe_add_macs(jar: &mut CookieJar<C>, m: &mut [u8], now: Instant) jar.add_macs(m, now);
    probe_consume_reply(jar: &mut CookieJar<C>, m: &CookieReply, now: Instant)
        jar.consume_reply(m, now);
    probe_renew(secret: &mut CookieSecret<C>, now: Instant) secret.renew(now);
    probe_cookie(secret: &CookieSecret<C>, from: IpAddr, port: [u8; 2]) secret.cookie(from, port);
    probe_check_mac1(keys: &MacKeys, m: &[u8]) check_mac1::<C>(keys, m);
    probe_check_mac2(cookie: &Cookie<C>, m: &[u8]) check_mac2(cookie, m);
    probe_reply(keys: &MacKeys, cookie: &Cookie<C>, m: &[u8], to: u32)
        create_reply(keys, cookie, m, to);

    probe_replay(window: &mut ReplayWindow, counter: u64) window.check_and_update(counter);
    probe_highest(window: &ReplayWindow) (window.highest(), window.is_exhausted());
    probe_bucket(bucket: &mut TokenBucket, now: Instant) (bucket.allow(now), bucket.is_idle(now));
    probe_source(from: IpAddr) Source::of(from);
    probe_padding(len: usize, mtu: usize) padding_for(len, mtu);
    probe_clock(t: Instant, s: u64) (t.after(s), t.before(s), t.has_expired(s, Instant(s)));

    probe_prefix(address: IpAddr, length: u8) Prefix::new(address, length);
    probe_address(prefix: Prefix) prefix.address();
    probe_find(t: &Table, address: IpAddr) t.find(&Storage, address).is_some();
    probe_lookup(t: &Table, address: IpAddr)
        t.lookup(&Storage, address, |value| black_box(Some(value.0)));
    probe_insert(t: &Table, p: Prefix, list: &'static OwnerList) t.insert(&mut Storage, p, list);
    probe_remove(t: &Table, p: Prefix, list: &OwnerList) t.remove(&mut Storage, p, list);
    probe_remove_owner(t: &Table, list: &OwnerList) t.remove_by_owner(&mut Storage, list);
    probe_clear_table(t: &Table) t.clear(&mut Storage);
    probe_entries(list: &OwnerList) list.iter(&Storage).last();

    probe_seal(m: &mut [u8], written: usize, from: &[u8], nonce: u64, key: &[u8; 32])
        seal::<C>(m, written, from, nonce, key);
    probe_open(to: &mut [u8], m: &[u8], nonce: u64, key: &[u8; 32]) open::<C>(to, m, nonce, key);
    probe_open_in_place(m: &mut [u8], nonce: u64, key: &[u8; 32])
        open_in_place::<C>(m, nonce, key);

    probe_outgoing(one: Outgoing, other: Outgoing) one.joins(&other);
    probe_incoming(one: Incoming<'_>, other: Incoming<'_>) one.joins(&other);

    probe_ip(bytes: &[u8]) (Ip::parse(bytes), tcp_header_len(bytes), udp_headers_len(bytes));
    probe_sum(sum: Sum, bytes: &[u8], number: u32)
        sum.bytes(bytes).partial(number).number(number).less(number).to_checksum();
    probe_segmenter(start: &[u8], len: u32, transport: u32, gso: Gso)
        Segmenter::new(start, len, transport, gso);
    probe_segments(s: &Segmenter, i: u32) (s.header_len(), s.segments(), s.payload(i), s.segment_len(i));
    probe_write_segment(s: &Segmenter, i: u32, sum: u32, out: &mut [u8]) s.write(i, sum, out);
    probe_segment(packet: &[u8])
        Segment::parse(packet).map(|s| (s.header_len(), s.payload_len(), s.total_len()));
    probe_begin_run(first: &Segment, header: &[u8]) Run::begin(first, header);
    probe_push(run: &mut Run, next: &Segment, header: &[u8]) run.push(next, header);
    probe_run(run: &mut Run, size: u32)
        (run.segments(), run.header_len(), run.len(), run.takes_more(), run.set_max_size(size));
    probe_finish_run(run: &Run, out: &mut [u8]) run.finish(out);

    probe_data_sent(t: &TimerState) t.data_sent(&Wheel);
    probe_data_received(t: &TimerState) t.data_received(&Wheel);
    probe_sent(t: &TimerState) t.any_authenticated_sent(&Wheel);
    probe_received(t: &TimerState) t.any_authenticated_received(&Wheel);
    probe_traversal(t: &TimerState) t.any_authenticated_traversal(&Wheel);
    probe_queued(t: &TimerState, again: bool) t.handshake_queued(again);
    probe_derived(t: &TimerState) t.session_derived(&Wheel);
    probe_rearm(t: &TimerState) t.rearm_keepalive(&Wheel);
    probe_initiated(t: &TimerState) t.handshake_initiated(&Wheel);
    probe_complete(t: &TimerState) t.handshake_complete(&Wheel);
    probe_expired(t: &TimerState, timer: Timer) t.expired(&Wheel, timer);
    probe_rekey_received(t: &TimerState, now: Instant, age: SessionAge)
        t.wants_rekey_after_receive(now, || Some(age));
    probe_rekey_sent(age: SessionAge, now: Instant) age.wants_rekey_after_send(now);
}
