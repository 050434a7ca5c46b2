// SPDX-License-Identifier: GPL-2.0

//! The handshake once more, written down from section 5.4 of the paper with
//! crates and vectors only: no code of the core is involved, which is what makes
//! it worth comparing with. Prologue and payloads are open, so that it can be
//! measured against the test vectors published for the Noise pattern.

use blake2::{Blake2s256, Digest};
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::ChaCha20Poly1305;
use hmac::{Mac, SimpleHmac};

pub const CONSTRUCTION: &str = "Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s";
pub const IDENTIFIER: &str = "WireGuard v1 zx2c4 Jason@zx2c4.com";

pub type Key = [u8; 32];

pub fn dh(secret: &Key, public: &Key) -> Key {
    x25519_dalek::x25519(*secret, *public)
}

pub fn public(secret: &Key) -> Key {
    dh(secret, &x25519_dalek::X25519_BASEPOINT_BYTES)
}

pub fn hash(input: &[u8]) -> Key {
    Blake2s256::digest(input).into()
}

fn hmac(key: &Key, input: &[u8]) -> Key {
    let mut mac = <SimpleHmac<Blake2s256> as Mac>::new_from_slice(key).unwrap();
    mac.update(input);
    mac.finalize().into_bytes().into()
}

pub fn kdf<const N: usize>(key: &Key, input: &[u8]) -> [Key; N] {
    let t0 = hmac(key, input);
    let mut last = Vec::new();
    std::array::from_fn(|i| {
        last.push(i as u8 + 1);
        let block = hmac(&t0, &last);
        last = block.to_vec();
        block
    })
}

fn nonce(counter: u64) -> [u8; 12] {
    let mut nonce = [0; 12];
    nonce[4..].copy_from_slice(&counter.to_le_bytes());
    nonce
}

pub fn seal(key: &Key, counter: u64, msg: &[u8], aad: &[u8]) -> Vec<u8> {
    ChaCha20Poly1305::new(key.into())
        .encrypt(&nonce(counter).into(), Payload { msg, aad })
        .unwrap()
}

pub fn open(key: &Key, counter: u64, msg: &[u8], aad: &[u8]) -> Option<Vec<u8>> {
    ChaCha20Poly1305::new(key.into())
        .decrypt(&nonce(counter).into(), Payload { msg, aad })
        .ok()
}

/// C and H of the paper.
#[derive(Clone)]
pub struct State {
    pub c: Key,
    pub h: Key,
}

impl State {
    fn mix_hash(&mut self, data: &[u8]) {
        self.h = hash(&[&self.h, data].concat());
    }

    fn start(prologue: &[u8], responder: &Key) -> Self {
        let c = hash(CONSTRUCTION.as_bytes());
        let mut state = State { c, h: c };
        state.mix_hash(prologue);
        state.mix_hash(responder);
        state
    }
}

pub struct Party {
    pub prologue: Vec<u8>,
    pub secret: Key,
    pub ephemeral: Key,
    pub psk: Key,
}

/// What the first message leaves its reader with.
pub struct Opened {
    pub state: State,
    pub initiator: Key,
    pub ephemeral: Key,
    pub payload: Vec<u8>,
}

impl Party {
    pub fn wireguard(secret: Key, ephemeral: Key, psk: Key) -> Self {
        Party {
            prologue: IDENTIFIER.into(),
            secret,
            ephemeral,
            psk,
        }
    }

    /// Ephemeral, sealed static key, sealed payload.
    pub fn write_first(&self, responder: &Key, payload: &[u8]) -> (State, Vec<u8>) {
        self.write_first_as(&public(&self.secret), responder, payload)
    }

    /// The same in the name of somebody else.
    pub fn write_first_as(&self, name: &Key, responder: &Key, payload: &[u8]) -> (State, Vec<u8>) {
        let mut state = State::start(&self.prologue, responder);
        let e = public(&self.ephemeral);
        [state.c] = kdf(&state.c, &e);
        state.mix_hash(&e);

        let key;
        [state.c, key] = kdf(&state.c, &dh(&self.ephemeral, responder));
        let sealed_static = seal(&key, 0, name, &state.h);
        state.mix_hash(&sealed_static);

        let key;
        [state.c, key] = kdf(&state.c, &dh(&self.secret, responder));
        let sealed_payload = seal(&key, 0, payload, &state.h);
        state.mix_hash(&sealed_payload);
        (state, [&e[..], &sealed_static, &sealed_payload].concat())
    }

    pub fn read_first(&self, message: &[u8]) -> Option<Opened> {
        let (e, rest) = message.split_at(32);
        let (sealed_static, sealed_payload) = rest.split_at(48);
        let ephemeral: Key = e.try_into().unwrap();
        let mut state = State::start(&self.prologue, &public(&self.secret));
        [state.c] = kdf(&state.c, e);
        state.mix_hash(e);

        let key;
        [state.c, key] = kdf(&state.c, &dh(&self.secret, &ephemeral));
        let initiator: Key = open(&key, 0, sealed_static, &state.h)?.try_into().unwrap();
        state.mix_hash(sealed_static);

        let key;
        [state.c, key] = kdf(&state.c, &dh(&self.secret, &initiator));
        let payload = open(&key, 0, sealed_payload, &state.h)?;
        state.mix_hash(sealed_payload);
        Some(Opened {
            state,
            initiator,
            ephemeral,
            payload,
        })
    }

    /// Ephemeral, sealed payload.
    pub fn write_second(&self, first: &Opened, payload: &[u8]) -> (State, Vec<u8>) {
        let mut state = first.state.clone();
        let e = public(&self.ephemeral);
        [state.c] = kdf(&state.c, &e);
        state.mix_hash(&e);
        [state.c] = kdf(&state.c, &dh(&self.ephemeral, &first.ephemeral));
        [state.c] = kdf(&state.c, &dh(&self.ephemeral, &first.initiator));
        let (tau, key);
        [state.c, tau, key] = kdf(&state.c, &self.psk);
        state.mix_hash(&tau);
        let sealed = seal(&key, 0, payload, &state.h);
        state.mix_hash(&sealed);
        (state, [&e[..], &sealed].concat())
    }

    pub fn read_second(&self, first: &State, message: &[u8]) -> Option<(State, Vec<u8>)> {
        let (e, sealed) = message.split_at(32);
        let ephemeral: Key = e.try_into().unwrap();
        let mut state = first.clone();
        [state.c] = kdf(&state.c, e);
        state.mix_hash(e);
        [state.c] = kdf(&state.c, &dh(&self.ephemeral, &ephemeral));
        [state.c] = kdf(&state.c, &dh(&self.secret, &ephemeral));
        let (tau, key);
        [state.c, tau, key] = kdf(&state.c, &self.psk);
        state.mix_hash(&tau);
        let payload = open(&key, 0, sealed, &state.h)?;
        state.mix_hash(sealed);
        Some((state, payload))
    }
}

/// The keys the initiator and the responder send with.
pub fn transport(state: &State) -> [Key; 2] {
    kdf(&state.c, &[])
}
