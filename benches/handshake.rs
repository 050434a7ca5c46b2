// SPDX-License-Identifier: GPL-2.0
//! The steps of a handshake, with the primitives of the host. What they cost is
//! mostly Diffie-Hellman, which is here for comparison.

#[path = "../tests/common/mod.rs"]
mod common;

use common::{identity, ms, peer, Host};
use criterion::{criterion_group, criterion_main, BatchSize, Criterion};
use std::cell::Cell;
use wireguard_protocol::protocol::crypto::{Crypto, PublicKey, SecretKey};
use wireguard_protocol::protocol::message::{Initiation, Response};
use wireguard_protocol::protocol::noise::{consume_initiation, Handshake, StaticIdentity, Tai64n};

struct Pair {
    alice: StaticIdentity<Host>,
    bob: StaticIdentity<Host>,
    clock: Cell<u32>,
}

impl Pair {
    fn to_bob(&self) -> Handshake<Host> {
        peer(&self.alice, self.bob.public())
    }

    fn to_alice(&self) -> Handshake<Host> {
        peer(&self.bob, self.alice.public())
    }

    fn initiate(&self, to_bob: &mut Handshake<Host>, ephemeral: &SecretKey<Host>) -> Initiation {
        self.clock.set(self.clock.get() + 1);
        let stamp = Tai64n::from_unix(i64::from(self.clock.get()), 0);
        to_bob
            .create_initiation(&self.alice, ephemeral, stamp, 1)
            .expect("an initiation")
    }

    fn accept(&self, to_alice: &mut Handshake<Host>, message: &Initiation) {
        let consumed = consume_initiation(message, &self.bob)
            .and_then(|pending| pending.finish(to_alice))
            .expect("an authentic initiation");
        let now = ms(u64::from(self.clock.get()) * 1000);
        to_alice
            .accept_initiation(&consumed, now)
            .expect("a fresh initiation");
    }

    /// Both have done their part but for the last step of the one who began.
    fn answered(&self, ephemeral: &SecretKey<Host>) -> (Handshake<Host>, Response) {
        let (mut to_bob, mut to_alice) = (self.to_bob(), self.to_alice());
        let message = self.initiate(&mut to_bob, ephemeral);
        self.accept(&mut to_alice, &message);
        let response = to_alice.create_response(ephemeral, 2).expect("a response");
        (to_bob, response)
    }

    fn finish(&self, to_bob: &mut Handshake<Host>, message: &Response) {
        let consumed = to_bob
            .pending_response()
            .and_then(|pending| pending.finish(message, &self.alice))
            .expect("an authentic response");
        assert!(to_bob.accept_response(&consumed));
    }
}

fn handshake(c: &mut Criterion) {
    let pair = Pair {
        alice: identity(),
        bob: identity(),
        clock: Cell::new(0),
    };
    let ephemeral = SecretKey::<Host>::generate();
    let mut group = c.benchmark_group("handshake");

    group.bench_function("one x25519", |b| {
        let PublicKey(point) = *pair.bob.public();
        let mut shared = [0; 32];
        b.iter(|| Host::x25519(&mut shared, ephemeral.as_bytes(), &point));
    });

    group.bench_function("create initiation", |b| {
        let mut to_bob = pair.to_bob();
        b.iter(|| pair.initiate(&mut to_bob, &ephemeral));
    });

    group.bench_function("consume initiation", |b| {
        let (mut to_bob, mut to_alice) = (pair.to_bob(), pair.to_alice());
        b.iter_batched(
            || pair.initiate(&mut to_bob, &ephemeral),
            |message| pair.accept(&mut to_alice, &message),
            BatchSize::PerIteration,
        );
    });

    group.bench_function("create response", |b| {
        let mut to_bob = pair.to_bob();
        b.iter_batched(
            || {
                let mut to_alice = pair.to_alice();
                let message = pair.initiate(&mut to_bob, &ephemeral);
                pair.accept(&mut to_alice, &message);
                to_alice
            },
            |mut to_alice| to_alice.create_response(&ephemeral, 2),
            BatchSize::PerIteration,
        );
    });

    group.bench_function("consume response", |b| {
        b.iter_batched(
            || pair.answered(&ephemeral),
            |(mut to_bob, response)| pair.finish(&mut to_bob, &response),
            BatchSize::PerIteration,
        );
    });

    group.bench_function("begin session", |b| {
        b.iter_batched(
            || {
                let (mut to_bob, response) = pair.answered(&ephemeral);
                pair.finish(&mut to_bob, &response);
                to_bob
            },
            |mut to_bob| to_bob.begin_session(),
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

criterion_group!(benches, handshake);
criterion_main!(benches);
