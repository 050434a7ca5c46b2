// SPDX-License-Identifier: GPL-2.0

//! Random numbers.
//!
//! C header: `include/linux/random.h`.

use super::bindings;

/// Fills `out` with random bytes.
pub(crate) fn fill(out: &mut [u8]) {
    // SAFETY: The slice is writable for its length.
    unsafe { bindings::get_random_bytes(out.as_mut_ptr().cast(), out.len()) };
}

/// A random number.
pub(crate) fn number() -> u32 {
    // SAFETY: Callable in every context.
    unsafe { bindings::get_random_u32() }
}

/// A random number below `ceiling`, which is not zero.
#[inline]
pub(crate) fn below(ceiling: u32) -> u32 {
    // SAFETY: Callable in every context.
    unsafe { bindings::wg_get_random_u32_below(ceiling.max(1)) }
}

/// Waits until the generator is seeded. Must be done before locks are taken, since it can last.
pub(crate) fn wait_until_seeded() {
    // SAFETY: Callers are in process context.
    unsafe { bindings::wait_for_random_bytes() };
}

/// Whether the generator is seeded.
pub(crate) fn is_seeded() -> bool {
    // SAFETY: Reads a flag.
    unsafe { bindings::rng_is_initialized() }
}
