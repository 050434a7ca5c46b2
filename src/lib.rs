// SPDX-License-Identifier: GPL-2.0

//! The WireGuard protocol without a kernel around it.
//!
//! The kernel module and this crate compile the very same `protocol`
//! directory. Here it meets a host implementation of the primitives and a test
//! suite; nothing in this crate is shipped.

#![no_std]

pub mod protocol;
