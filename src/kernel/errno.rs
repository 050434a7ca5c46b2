// SPDX-License-Identifier: GPL-2.0

//! Error codes that the `kernel` crate has only since 7.3.
//!
//! To be imported by name, which goes before what the kernel's prelude has: a pattern of a name that
//! is not there matches every error.
//!
//! C header: `include/uapi/asm-generic/errno.h`.

use super::bindings;
use core::mem::transmute;
use kernel::error::{code::EINVAL, Error};

const fn code(number: u32) -> Error {
    // SAFETY: An `Error` is an `i32` that is not zero, as is seen of a known one below; the kernel's
    // numbers of errors are all from 1 to 4095.
    unsafe { transmute::<i32, Error>(-(number as i32)) }
}

// SAFETY: Each `Error` is an `i32`, or else this does not compile.
const _: () = assert!(unsafe { transmute::<Error, i32>(EINVAL) } == -(bindings::EINVAL as i32));

macro_rules! codes {
    ($($name:ident)*) => {
        $(pub(crate) const $name: Error = code(bindings::$name);)*
    };
}

codes! {
    EADDRINUSE EADDRNOTAVAIL EAFNOSUPPORT EBADR EDESTADDRREQ EHOSTUNREACH ENETDOWN ENETUNREACH ENOBUFS ENOKEY ENONET EOPNOTSUPP
    EPFNOSUPPORT EPROTONOSUPPORT
}
