// SPDX-License-Identifier: GPL-2.0

//! How much memory there is.
//!
//! C header: `include/linux/mm.h`.

use super::bindings;

/// All of the machine's memory, in bytes.
pub(crate) fn total_ram() -> u64 {
    // SAFETY: Reads a number.
    unsafe { bindings::wg_total_memory() }
}
