// SPDX-License-Identifier: GPL-2.0
//! A sender and a responder that demands cookies, with time passing and replies
//! damaged or forged under way.
#![no_main]

#[path = "../../tests/common/mod.rs"]
mod common;

use common::{ms, Host};
use core::net::IpAddr;
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use wireguard_protocol::protocol::constants::{COOKIE_SECRET_LATENCY, COOKIE_SECRET_MAX_AGE};
use wireguard_protocol::protocol::cookie::{
    check_mac1, check_mac2, create_reply, CookieJar, CookieSecret, MacKeys,
};
use wireguard_protocol::protocol::crypto::PublicKey;
use wireguard_protocol::protocol::message::{CookieReply, MACS_LEN};

/// More would only make it slow.
const MAX_STEPS: usize = 64;

#[derive(Arbitrary, Debug)]
enum Step {
    /// The sender has another message, of which this much is given.
    Send(Vec<u8>),
    /// The responder answers the last message with a cookie. Where `damage` is
    /// not zero, that byte of the reply changes on its way.
    Reply {
        at: u8,
        damage: u8,
    },
    /// Somebody else answers.
    Forge([u8; 64]),
    /// The sender turns up at another address.
    Move(IpAddr, u16),
    Wait(u16),
}

/// A cookie as the sender has it: when it came, and when and for which address
/// it was made.
#[derive(Clone, Copy)]
struct Held {
    came: u64,
    secret_from: u64,
    address: (IpAddr, u16),
}

fuzz_target!(|steps: Vec<Step>| {
    let responder = PublicKey([7; 32]);
    let keys = MacKeys::derive::<Host>(&responder);
    let mut jar = CookieJar::<Host>::new(&responder);
    let mut now = 0;
    let mut secret = CookieSecret::<Host>::new(ms(now));
    let mut secret_from = now;
    let mut address = (IpAddr::from([192, 0, 2, 1]), 1u16);
    let mut held: Option<Held> = None;
    let mut last: Option<Vec<u8>> = None;
    let mut awaiting = false;

    for step in steps.into_iter().take(MAX_STEPS) {
        if now - secret_from >= COOKIE_SECRET_MAX_AGE * 1000 {
            secret_from = now;
        }
        secret.renew(ms(now));
        let cookie = secret.cookie(address.0, address.1.to_be_bytes());
        match step {
            Step::Send(mut message) => {
                message.resize(message.len() + MACS_LEN, 0);
                jar.add_macs(&mut message, ms(now));
                assert!(check_mac1::<Host>(&keys, &message));
                let fresh = held.filter(|held| {
                    now - held.came < (COOKIE_SECRET_MAX_AGE - COOKIE_SECRET_LATENCY) * 1000
                });
                let right = fresh
                    .is_some_and(|held| held.secret_from == secret_from && held.address == address);
                assert_eq!(check_mac2(&cookie, &message), right);
                if fresh.is_none() {
                    assert!(message.ends_with(&[0; MACS_LEN / 2]));
                }
                (last, awaiting) = (Some(message), true);
            }
            Step::Reply { at, damage } => {
                let Some(message) = &last else { continue };
                let reply = create_reply(&keys, &cookie, message, 5).unwrap();
                let mut bytes = reply.to_bytes();
                // Behind the type and the index, which are not the jar's matter.
                let at = 8 + usize::from(at) % (bytes.len() - 8);
                bytes[at] ^= damage;
                let reply = CookieReply::parse(&bytes).unwrap();
                let accepted = jar.consume_reply(&reply, ms(now));
                assert_eq!(accepted, awaiting && damage == 0);
                if accepted {
                    awaiting = false;
                    held = Some(Held {
                        came: now,
                        secret_from,
                        address,
                    });
                }
            }
            Step::Forge(mut bytes) => {
                bytes[..4].copy_from_slice(&[3, 0, 0, 0]);
                let reply = CookieReply::parse(&bytes).unwrap();
                assert!(!jar.consume_reply(&reply, ms(now)));
            }
            Step::Move(ip, port) => address = (ip, port),
            Step::Wait(by) => now += u64::from(by) * 4,
        }
    }
});
