// SPDX-License-Identifier: GPL-2.0

//! Handshakes: between the protocol's state machine on one side and packets, locks and timers on
//! the other.
//!
//! Lock order: the device's identity, then a peer's handshake.

mod cell;

pub(crate) use cell::HandshakeCell;

use crate::{
    cookies::Verdict,
    device::{Dev, Device},
    endpoint::Endpoint,
    kernel::{
        crypto::KernelCrypto,
        debug, random,
        rcu::{BhGuard, RcuArc},
        ring::Received,
        skb::{Fate, Skb},
        time,
        workqueue::Job,
    },
    peer::Peer,
    protocol::{
        constants::{Instant, HANDSHAKE_TOS},
        message::{CookieReply, Initiation, MessageType, Response},
        noise, timers,
    },
    send, socket,
    timers::PeerTimers,
};
use core::sync::atomic::Ordering;

fn now() -> Instant {
    Instant(time::boottime_ns())
}

/// Has a handshake initiation sent, unless one was sent just now.
pub(crate) fn queue_initiation(peer: &RcuArc<Peer>, is_retry: bool) {
    peer.timer_state.handshake_queued(is_retry);
    let _bh = BhGuard::new();
    if timers::may_initiate(peer.last_sent_handshake(), now()) && !peer.is_dead() {
        peer.device
            .handshake_send_wq
            .queue::<Peer, { Peer::HANDSHAKE_WORK }>(peer.clone());
    }
}

/// Sends a handshake initiation, unless one was sent just now.
pub(crate) fn send_initiation(peer: &RcuArc<Peer>) {
    if !timers::may_initiate(peer.last_sent_handshake(), now()) {
        return;
    }
    peer.note_sent_handshake();
    say(peer, c"Sending handshake initiation to");
    let Some(initiation) = create_initiation(peer) else {
        return;
    };
    // Before it is sent, since the response may be here before the send returns, and calls it off.
    peer.timer_state
        .handshake_initiated(&PeerTimers(peer.borrow()));
    send_handshake(peer, &mut initiation.to_bytes());
}

fn create_initiation(peer: &RcuArc<Peer>) -> Option<Initiation> {
    // Before any lock, since it may take long.
    random::wait_until_seeded();
    HandshakeCell::initiate(peer)
}

/// Completes a handshake message and sends it.
fn send_handshake(peer: &RcuArc<Peer>, message: &mut [u8]) {
    peer.cookie.write().add_macs(message, now());
    let host = PeerTimers(peer.borrow());
    peer.timer_state.any_authenticated_traversal(&host);
    peer.timer_state.any_authenticated_sent(&host);
    peer.note_sent_handshake();
    // What is lost is sent again when its timer expires.
    let _ = socket::send_message_to_peer(peer, message, HANDSHAKE_TOS);
}

fn send_response(peer: &RcuArc<Peer>) {
    peer.note_sent_handshake();
    say(peer, c"Sending handshake response to");
    let Some(response) = create_response(peer) else {
        return;
    };
    if HandshakeCell::begin_session(peer) {
        peer.timer_state.session_derived(&PeerTimers(peer.borrow()));
        send_handshake(peer, &mut response.to_bytes());
    }
}

fn create_response(peer: &RcuArc<Peer>) -> Option<Response> {
    random::wait_until_seeded();
    HandshakeCell::respond(peer)
}

/// Works off handshake messages that came in.
pub(crate) struct ReceiveHandshakes;

impl Job<Received<Device>> for ReceiveHandshakes {
    type Tools = ();

    fn tools() {}

    fn joins(_: &Received<Device>, _: &Received<Device>) -> bool {
        false
    }

    fn run(items: &mut [Option<Received<Device>>], _: &mut ()) {
        for item in items.iter_mut().filter_map(Option::take) {
            let (skb, dev) = item.into_parts();
            let waiting = dev.handshakes_waiting.load(Ordering::Relaxed);
            process(&dev, &skb, waiting);
            skb.free(Fate::Consumed);
            dev.handshakes_waiting.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

fn address_of(skb: &Skb) -> Option<core::net::SocketAddr> {
    Endpoint::of(&skb.view())?.address()
}

fn process(dev: &Dev, skb: &Skb, waiting: u32) {
    let stranger = |what| debug::stranger(dev.netdev(), what, address_of(skb));
    let view = skb.view();
    let message = view.linear();
    let Some((kind, _)) = message
        .first_chunk()
        .and_then(|first| crate::protocol::message::classify(*first, message.len()))
    else {
        return;
    };
    if kind == MessageType::CookieReply {
        stranger(c"Receiving cookie response from");
        if let Some(reply) = CookieReply::parse(message) {
            receive_cookie(dev, &reply);
        }
        return;
    }
    let verdict = dev.cookies.judge(skb, waiting);
    if verdict == Verdict::Drop {
        return stranger(c"Invalid MAC of handshake, dropping packet from");
    }
    let peer = match kind {
        MessageType::Initiation => {
            let Some(initiation) = Initiation::parse(message) else {
                return;
            };
            if verdict == Verdict::AskForCookie {
                return dev.cookies.send_cookie(dev, skb, initiation.sender);
            }
            let Some(peer) = consume_initiation(dev, &initiation) else {
                return stranger(c"Invalid handshake initiation from");
            };
            note_endpoint(&peer, skb);
            say(&peer, c"Receiving handshake initiation from");
            send_response(&peer);
            peer
        }
        MessageType::Response => {
            let Some(response) = Response::parse(message) else {
                return;
            };
            if verdict == Verdict::AskForCookie {
                return dev.cookies.send_cookie(dev, skb, response.sender);
            }
            let Some(peer) = consume_response(dev, &response) else {
                return stranger(c"Invalid handshake response from");
            };
            note_endpoint(&peer, skb);
            say(&peer, c"Receiving handshake response from");
            if HandshakeCell::begin_session(&peer) {
                let host = PeerTimers(peer.borrow());
                peer.timer_state.session_derived(&host);
                peer.timer_state.handshake_complete(&host);
                peer.note_handshake();
                // Sends what waits, or else an empty packet: either confirms the session.
                send::keepalive(&peer);
            }
            peer
        }
        MessageType::CookieReply | MessageType::Data => return,
    };
    let len = view.len();
    peer.device.netdev().count_received(&BhGuard::new(), 1, len);
    peer.rx_bytes.fetch_add(len.into(), Ordering::Relaxed);
    let host = PeerTimers(peer.borrow());
    peer.timer_state.any_authenticated_received(&host);
    peer.timer_state.any_authenticated_traversal(&host);
}

fn note_endpoint(peer: &Peer, skb: &Skb) {
    let bh = BhGuard::new();
    if let (Some(endpoint), Some(transit)) =
        (Endpoint::of(&skb.view()), peer.device.transit.load(&bh))
    {
        peer.heard_at(endpoint, transit.generation);
    }
}

fn receive_cookie(dev: &Dev, reply: &CookieReply) {
    if let Some(peer) = dev.index.either(reply.receiver) {
        if !peer.cookie.write().consume_reply(reply, now()) {
            debug::often(dev.netdev(), c"Could not decrypt invalid cookie response");
        }
    }
}

/// The peer that sent a valid initiation, whose handshake then waits for the response.
fn consume_initiation(dev: &Dev, message: &Initiation) -> Option<RcuArc<Peer>> {
    let identity = dev.identity.read();
    // The expensive part, with no lock of the peer's, whom it tells.
    let pending = noise::consume_initiation::<KernelCrypto>(message, identity.as_ref()?)?;
    let peer = dev.by_key.find(pending.remote_static())?;
    let consumed = pending.finish(&peer.handshake.read())?;
    let accepted = peer.handshake.accept_initiation(&consumed, now());
    accepted.then_some(peer)
}

/// The peer that sent a valid response, whose handshake then waits to become a session.
fn consume_response(dev: &Dev, message: &Response) -> Option<RcuArc<Peer>> {
    let identity = dev.identity.read();
    let identity = identity.as_ref()?;
    let peer = dev.index.handshake(message.receiver)?;
    let pending = peer.handshake.read().pending_response()?;
    let consumed = pending.finish(message, identity)?;
    let accepted = peer.handshake.accept_response(&consumed);
    accepted.then_some(peer)
}

fn say(peer: &Peer, what: &'static kernel::str::CStr) {
    debug::peer(peer.device.netdev(), what, peer.id, peer.endpoint.address());
}
