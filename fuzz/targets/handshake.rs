// SPDX-License-Identifier: GPL-2.0
//! Two peers whose handshake messages are delivered late, repeatedly, to the
//! wrong end, damaged, or are made up. Only messages of the other end are ever
//! accepted, initiations once at most, and sessions that belong together have
//! the same keys.
#![no_main]

#[path = "../../tests/common/mod.rs"]
mod common;

use common::{ms, peer, Host};
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use wireguard_protocol::protocol::crypto::{PresharedKey, SecretKey};
use wireguard_protocol::protocol::message::{
    Initiation, MessageType, Response, INITIATION_LEN, MACS_LEN, RESPONSE_LEN,
};
use wireguard_protocol::protocol::noise::{
    consume_initiation, Handshake, Phase, SessionKeys, StaticIdentity, Tai64n,
};

/// Each step costs a few Diffie-Hellman operations.
const MAX_STEPS: usize = 16;

#[derive(Arbitrary, Debug)]
enum Step {
    Initiate {
        end: bool,
    },
    Respond {
        end: bool,
    },
    BeginSession {
        end: bool,
    },
    /// Hands a message that was sent to an end. Where `damage` is not zero, that
    /// byte of it changes on the way.
    Deliver {
        message: u8,
        to: bool,
        at: u8,
        damage: u8,
    },
    Forge {
        to: bool,
        response: bool,
        filling: [u8; 16],
    },
    Preshared {
        end: bool,
        key: u8,
    },
    Forget {
        end: bool,
    },
}

struct Sent {
    from: usize,
    bytes: Vec<u8>,
    accepted: bool,
}

struct End {
    own: StaticIdentity<Host>,
    handshake: Handshake<Host>,
    sessions: Vec<SessionKeys<Host>>,
}

struct World {
    ends: [End; 2],
    sent: Vec<Sent>,
    /// Counts ephemeral keys, indices and time.
    count: u32,
}

fn secret(filling: u32) -> SecretKey<Host> {
    let mut bytes = [0x5a; 32];
    // Where clamping changes nothing.
    bytes[8..12].copy_from_slice(&filling.to_le_bytes());
    let mut key = SecretKey::new(bytes);
    key.clamp();
    key
}

impl World {
    fn new() -> Self {
        let identity = |name| StaticIdentity::new(&secret(name)).unwrap();
        let end = |own, remote| {
            let (own, remote) = (identity(own), identity(remote));
            End {
                handshake: peer(&own, remote.public()),
                own,
                sessions: Vec::new(),
            }
        };
        World {
            ends: [end(u32::MAX, u32::MAX - 1), end(u32::MAX - 1, u32::MAX)],
            sent: Vec::new(),
            count: 0,
        }
    }

    fn send(&mut self, from: usize, bytes: Vec<u8>) {
        self.sent.push(Sent {
            from,
            bytes,
            accepted: false,
        });
    }

    fn initiate(&mut self, from: usize) {
        let end = &mut self.ends[from];
        // Stamps are exact to 16 ms.
        let stamp = Tai64n::from_unix(1_700_000_000 + i64::from(self.count), 0);
        let message = end
            .handshake
            .create_initiation(&end.own, &secret(self.count), stamp, self.count)
            .unwrap();
        self.send(from, message.to_bytes().to_vec());
    }

    fn respond(&mut self, from: usize) {
        let end = &mut self.ends[from];
        let asked = matches!(end.handshake.phase(), Phase::ConsumedInitiation { .. });
        let message = end
            .handshake
            .create_response(&secret(self.count), self.count);
        assert_eq!(message.is_some(), asked);
        if let Some(message) = message {
            self.send(from, message.to_bytes().to_vec());
        }
    }

    fn begin_session(&mut self, at: usize) {
        let phase = self.ends[at].handshake.phase();
        let ready = matches!(
            phase,
            Phase::CreatedResponse { .. } | Phase::ConsumedResponse { .. }
        );
        let session = self.ends[at].handshake.begin_session();
        assert_eq!(session.is_some(), ready);
        let Some(session) = session else { return };
        for other in &self.ends[1 - at].sessions {
            let belong = other.local_index == session.remote_index
                && other.remote_index == session.local_index;
            assert_eq!(belong, session.sending.same_as(&other.receiving));
            assert_eq!(belong, session.receiving.same_as(&other.sending));
            assert!(!belong || session.initiator != other.initiator);
        }
        self.ends[at].sessions.push(session);
    }

    /// Whether an end accepts a message.
    fn receive(&mut self, to: usize, bytes: &[u8]) -> bool {
        let now = ms(u64::from(self.count) * 1000);
        let end = &mut self.ends[to];
        if let Some(message) = Initiation::parse(bytes) {
            consume_initiation(&message, &end.own)
                .and_then(|pending| pending.finish(&end.handshake))
                .is_some_and(|consumed| end.handshake.accept_initiation(&consumed, now).is_ok())
        } else if let Some(message) = Response::parse(bytes) {
            end.handshake
                .pending_response()
                .and_then(|pending| pending.finish(&message, &end.own))
                .is_some_and(|consumed| end.handshake.accept_response(&consumed))
        } else {
            false
        }
    }

    fn deliver(&mut self, message: usize, to: usize, at: usize, damage: u8) {
        let Some(sent) = self.sent.get(message % self.sent.len().max(1)) else {
            return;
        };
        let mut bytes = sent.bytes.clone();
        // Indices are not authenticated here, and neither are the codes.
        let sealed = if bytes.len() == INITIATION_LEN { 8 } else { 12 };
        let at = sealed + at % (bytes.len() - MACS_LEN - sealed);
        bytes[at] ^= damage;
        let (from, again) = (sent.from, sent.accepted);
        if self.receive(to, &bytes) {
            assert_eq!(damage, 0);
            assert_ne!(from, to);
            assert!(!again);
            let count = self.sent.len();
            self.sent[message % count].accepted = true;
        }
    }

    fn forge(&mut self, to: usize, response: bool, filling: &[u8]) {
        let (kind, len) = if response {
            (MessageType::Response, RESPONSE_LEN)
        } else {
            (MessageType::Initiation, INITIATION_LEN)
        };
        let mut bytes: Vec<u8> = filling.iter().copied().cycle().take(len).collect();
        bytes[..4].copy_from_slice(&kind.prefix());
        assert!(!self.receive(to, &bytes));
    }

    fn take(&mut self, step: Step) {
        self.count += 1;
        match step {
            Step::Initiate { end } => self.initiate(end.into()),
            Step::Respond { end } => self.respond(end.into()),
            Step::BeginSession { end } => self.begin_session(end.into()),
            Step::Deliver {
                message,
                to,
                at,
                damage,
            } => self.deliver(message.into(), to.into(), at.into(), damage),
            Step::Forge {
                to,
                response,
                filling,
            } => self.forge(to.into(), response, &filling),
            Step::Preshared { end, key } => {
                let key = PresharedKey::new([key; 32]);
                self.ends[usize::from(end)]
                    .handshake
                    .set_preshared_key(&key);
            }
            Step::Forget { end } => self.ends[usize::from(end)].handshake.clear(),
        }
    }
}

fuzz_target!(|steps: Vec<Step>| {
    let mut world = World::new();
    for step in steps.into_iter().take(MAX_STEPS) {
        world.take(step);
    }
});
