// SPDX-License-Identifier: GPL-2.0
//! Netlink: messages, their attributes, and a socket to send them through.

pub mod attrs;
pub mod extack;
pub mod listener;
pub mod message;
pub mod socket;
