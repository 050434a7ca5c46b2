// SPDX-License-Identifier: GPL-2.0
//! Standard output: colours, and a buffer that is wiped.

use crate::error::{describe, Failure, Result};
use std::io::{self, IsTerminal, Write};
use zeroize::Zeroizing;

/// Output is collected up to this size. It is never exceeded, since growing
/// would leave copies of keys behind.
const CAPACITY: usize = 64 << 10;

/// Standard output. What is written through it may be secret.
pub struct Output {
    buf: Zeroizing<Vec<u8>>,
    error: Option<io::Error>,
}

impl Default for Output {
    fn default() -> Self {
        Self {
            buf: Zeroizing::new(Vec::with_capacity(CAPACITY)),
            error: None,
        }
    }
}

impl Output {
    /// Writes what is left, and tells if anything could not be written.
    pub fn finish(mut self) -> Result<()> {
        self.drain();
        match self.error.take() {
            None => Ok(()),
            // The reader went away, which is its business: end the way a
            // program ends that does not catch SIGPIPE.
            Some(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                const SIGPIPE_STATUS: u8 = 128 + 13;
                Err(Failure::silent(SIGPIPE_STATUS))
            }
            Some(error) => Err(Failure::new(format!(
                "Unable to write to standard output: {}",
                describe(&error)
            ))),
        }
    }

    fn drain(&mut self) {
        let mut rest = &self.buf[..];
        while !rest.is_empty() && self.error.is_none() {
            match rustix::io::write(rustix::stdio::stdout(), rest) {
                Ok(len) => rest = &rest[len..],
                Err(rustix::io::Errno::INTR) => {}
                Err(errno) => self.error = Some(errno.into()),
            }
        }
        zeroize::Zeroize::zeroize(&mut *self.buf);
    }
}

impl Write for Output {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        if self.buf.len() == CAPACITY {
            self.drain();
        }
        let len = data.len().min(CAPACITY - self.buf.len());
        self.buf.extend_from_slice(&data[..len]);
        Ok(len)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.drain();
        Ok(())
    }
}

/// The colours of `wg show`, or their absence.
#[derive(Clone, Copy, Debug)]
pub struct Paint {
    on: bool,
}

macro_rules! colours {
    ($($(#[$doc:meta])* $name:ident = $code:literal;)*) => {
        impl Paint {
            $(
                $(#[$doc])*
                pub fn $name(self) -> &'static str {
                    if self.on { concat!("\x1b[", $code, "m") } else { "" }
                }
            )*
        }
    };
}

colours! {
    /// Back to normal.
    reset = "0";
    /// Bold.
    bold = "1";
    /// Red.
    red = "31";
    /// Green.
    green = "32";
    /// Yellow.
    yellow = "33";
    /// Cyan.
    cyan = "36";
}

impl Paint {
    /// Colours if `WG_COLOR_MODE` says `always`, none if it says `never`, and
    /// otherwise if standard output is a terminal.
    pub fn from_environment() -> Self {
        let mode = std::env::var_os("WG_COLOR_MODE").unwrap_or_default();
        Self {
            on: match mode.to_str() {
                Some("always") => true,
                Some("never") => false,
                _ => io::stdout().is_terminal(),
            },
        }
    }

    /// Colours or none.
    pub fn new(on: bool) -> Self {
        Self { on }
    }
}
