// SPDX-License-Identifier: GPL-2.0
//! Devices of the kernel.

pub mod events;
pub mod family;
pub mod get;
pub mod list;
pub mod set;
pub mod transit;

pub use get::get;
pub use list::list;
pub use set::set;
pub use transit::transit;
