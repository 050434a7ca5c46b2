// SPDX-License-Identifier: GPL-2.0

//! What of the module needs no kernel: the protocol, the judgement about sockets, and which
//! events are told.
//!
//! The kernel module and this crate compile the very same files: the `protocol`
//! directory and `judgement`. Here they meet a host implementation of the primitives and a test
//! suite; nothing in this crate is shipped.

#![no_std]

pub mod coalesce;
pub mod judgement;
pub mod protocol;
