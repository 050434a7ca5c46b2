// SPDX-License-Identifier: GPL-2.0

//! The parts of WireGuard that are arithmetic and decisions.
//!
//! Everything here is plain computation over caller-owned memory: no
//! allocation, no locks, no clock, no sockets and no `unsafe`. What has to come
//! from outside is asked for through five traits:
//!
//! | Trait                    | What the surroundings provide             |
//! |--------------------------|-------------------------------------------|
//! | [`crypto::Crypto`]       | primitives, randomness, memory wiping     |
//! | [`aead::Parts`]          | the parts of the AEAD of data messages    |
//! | [`timers::Host`]         | five one-shot timers and jitter           |
//! | [`allowed_ips::ArenaMut`]| storage for trie nodes, deferred reuse    |
//! | [`allowed_ips::Slot`]    | a strong reference to a routing peer      |
//!
//! # Where things are
//!
//! * [`constants`]: limits, lengths and clock arithmetic (paper sections 5.4
//!   and 6).
//! * [`crypto`]: the primitives, secrets that wipe themselves, and the HMAC
//!   and key derivation built on the hash.
//! * [`aead`]: the AEAD of data messages, out of its parts (5.4.6).
//! * [`message`]: the four wire formats (5.4.2, 5.4.3, 5.4.6, 5.4.7).
//! * [`noise`]: the handshake (5.4).
//! * [`cookie`]: message authentication codes and cookies (5.3, 5.4.4, 5.4.7).
//! * [`replay`]: the sliding window over data counters (5.4.6).
//! * [`ratelimit`]: per-source token buckets for use under load.
//! * [`timers`]: when to start, repeat and abandon things (6).
//! * [`allowed_ips`]: cryptokey routing (2).
//! * [`gso`]: one large packet becomes the segments that it stands for.
//! * [`gro`]: consecutive TCP packets become one.
//! * [`super_packet`]: how many messages leave as one packet.
//! * [`join`]: which packets that wait are dealt with together.
//! * [`inet`]: what these know of IP, TCP and UDP headers.
//!
//! # Conventions
//!
//! Locking belongs to the caller. A method that takes `&mut self` needs the
//! lock held for writing, one that takes `&self` needs it held for reading, and
//! the values that pass between the steps of a handshake own all they need, so
//! that no lock has to be held over elliptic-curve work.
//!
//! Nothing panics: input is taken apart by pattern and by checked splitting,
//! and counters wrap or saturate. Failure is `None`, `false` or an error enum.
//! `false` from the cryptographic functions never says which check failed.

#![forbid(unsafe_code)]
// How far these items reach is decided by the crate that includes them.
#![allow(dead_code, unreachable_pub, unused_imports)]

pub mod aead;
pub mod allowed_ips;
pub mod constants;
pub mod cookie;
pub mod crypto;
pub mod gro;
pub mod gso;
pub mod inet;
pub mod join;
pub mod message;
pub mod noise;
pub mod ratelimit;
pub mod replay;
pub mod super_packet;
pub mod timers;
