// SPDX-License-Identifier: GPL-2.0
//! What goes wrong, and how it is told.

use std::fmt::Display;
use std::io;

/// Result of everything that may end a run of `wg`.
pub type Result<T> = std::result::Result<T, Failure>;

/// The reason why a run of `wg` ends without success.
#[derive(Debug)]
pub struct Failure {
    /// What to print on standard error, one entry a line.
    pub lines: Vec<String>,
    /// The exit status.
    pub status: u8,
}

impl Failure {
    /// A failure told in one line.
    pub fn new(line: impl Into<String>) -> Self {
        Self {
            lines: vec![line.into()],
            status: 1,
        }
    }

    /// A failure that has told its story already.
    pub fn silent(status: u8) -> Self {
        Self {
            lines: Vec::new(),
            status,
        }
    }

    /// `what: strerror`, as perror(3) puts it.
    pub fn os(what: impl Display, error: &io::Error) -> Self {
        Self::new(format!("{what}: {}", describe(error)))
    }

    /// Adds a line, usually one that says what to do.
    pub fn and(mut self, line: impl Into<String>) -> Self {
        self.lines.push(line.into());
        self
    }

    /// Prints the lines to standard error.
    pub fn report(&self) {
        for line in &self.lines {
            eprintln!("{line}");
        }
    }
}

/// Prints a warning to standard error.
pub fn warn(line: impl Display) {
    eprintln!("Warning: {line}");
}

/// The text of an error, without the `(os error N)` that std appends.
pub fn describe(error: &io::Error) -> String {
    let text = error.to_string();
    match (error.raw_os_error(), text.rfind(" (os error ")) {
        (Some(_), Some(end)) => text[..end].to_owned(),
        _ => text,
    }
}

/// The text of an errno.
pub fn errno_text(errno: i32) -> String {
    describe(&io::Error::from_raw_os_error(errno))
}

/// A word of the user's, fit to be shown: control characters escaped, long
/// ones cut, and whatever might be a key left out, because error messages end
/// up in logs and a private key may well stand in the wrong place.
pub fn quote(word: &[u8]) -> String {
    const LONGEST: usize = 64;
    if resembles_key(word) {
        return "(something that looks like a key)".to_owned();
    }
    let mut shown = String::from("`");
    let text = String::from_utf8_lossy(word);
    for (count, c) in text.chars().enumerate() {
        if count == LONGEST {
            shown.push_str("...");
            break;
        }
        if c.is_control() {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    shown.push('\'');
    shown
}

/// Whether `word` holds a run of characters long enough to be most of a key,
/// in base64 or hex.
fn resembles_key(word: &[u8]) -> bool {
    const SUSPICIOUS: usize = 40;
    let mut run = 0;
    // Paths and names may be long too, but have separators in them; `/` is
    // a separator and a base64 digit, so a path is recognised by its start.
    if word.starts_with(b"/") || word.starts_with(b"./") {
        return false;
    }
    for &byte in word {
        if byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/' {
            run += 1;
            if run >= SUSPICIOUS {
                return true;
            }
        } else {
            run = 0;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn os_errors_lose_their_number() {
        assert_eq!(errno_text(libc::ENODEV), "No such device");
    }

    #[test]
    fn keys_are_never_quoted() {
        let key = b"yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=";
        assert!(!quote(key).contains("yAnz"));
        assert!(!quote(&key[..42]).contains("yAnz"));
        let line = [b"PrivateKey".as_slice(), key].concat();
        assert!(!quote(&line).contains("yAnz"));
    }

    #[test]
    fn control_characters_are_escaped() {
        assert_eq!(quote(b"a\x1b[31m\n"), "`a\\u{1b}[31m\\n'");
        assert_eq!(quote("größe".as_bytes()), "`größe'");
        assert!(quote(&[b'-'; 500]).len() < 100);
    }
}
