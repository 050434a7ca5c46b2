// SPDX-License-Identifier: GPL-2.0
//! What goes wrong, and how it is told.

use std::fmt::Display;
use std::io::{self, Write};

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
            say(line);
        }
    }
}

/// Prints a line to standard error. Where that is not possible (a full disk, a
/// reader that is gone) the work goes on: nobody is there to be told.
pub fn say(line: impl Display) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// Prints a warning to standard error.
pub fn warn(line: impl Display) {
    say(format_args!("Warning: {line}"));
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
    let text = String::from_utf8_lossy(word);
    let mut shown = String::from("`");
    push_escaped(&mut shown, text.chars().take(LONGEST));
    if text.chars().nth(LONGEST).is_some() {
        shown.push_str("...");
    }
    shown.push('\'');
    shown
}

/// A name, fit for a terminal: what could control one is escaped. For names
/// that others may have chosen, such as those of interfaces and files.
pub fn escape(name: &[u8]) -> String {
    let mut shown = String::with_capacity(name.len());
    push_escaped(&mut shown, String::from_utf8_lossy(name).chars());
    shown
}

fn push_escaped(shown: &mut String, text: impl Iterator<Item = char>) {
    for c in text {
        if c.is_control() || is_invisible(c) {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
}

/// Characters that have no width, or change the direction of those around
/// them, so that a text reads as what it is not.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
        | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Whether `word` holds a run of characters long enough to be most of a key,
/// in base64 or hex. A `/` is a digit of base64 as well as what separates the
/// parts of a path, so a run with some in it is none only if all of its parts
/// look like words, as hardly any key does.
fn resembles_key(word: &[u8]) -> bool {
    const SUSPICIOUS: usize = 40;
    let is_digit = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/';
    word.split(|&byte| !is_digit(byte)).any(|run| {
        let mut parts = run.split(|&byte| byte == b'/');
        run.len() >= SUSPICIOUS && parts.any(|part| part.len() >= SUSPICIOUS || !is_word(part))
    })
}

/// Letters, of which only those that begin a word are large, and then digits.
fn is_word(part: &[u8]) -> bool {
    let digits = part.iter().rev().take_while(|byte| byte.is_ascii_digit());
    let letters = &part[..part.len() - digits.count()];
    let pairs = letters.iter().zip(letters.iter().skip(1));
    letters.iter().all(u8::is_ascii_alphabetic)
        && (letters.iter().all(u8::is_ascii_uppercase)
            || (letters.last().is_none_or(u8::is_ascii_lowercase)
                && pairs
                    .clone()
                    .all(|(a, b)| a.is_ascii_lowercase() || b.is_ascii_lowercase())))
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
    fn keys_are_never_quoted_whatever_is_before_them() {
        // Enough for every digit of base64 at every place.
        for _ in 0..5000 {
            let key = crate::key::SecretKey::random().unwrap();
            let (base64, hex) = (
                key.to_base64(),
                base16ct::lower::encode_string(key.as_bytes()),
            );
            for before in ["", "/", "./", "../", "/etc/", "a/", "=", "//"] {
                for cut in [
                    &base64[..],
                    &base64[..43],
                    &base64[..40],
                    &base64[1..],
                    &hex[..],
                ] {
                    let shown = quote(format!("{before}{cut}").as_bytes());
                    assert!(shown.starts_with('('), "{shown}");
                }
            }
        }
    }

    #[test]
    fn paths_are_quoted() {
        for path in [
            "/home/alice/projects/wireguard/configurations/office",
            "home/Alice/MyDocuments/WireGuard/Configurations/OFFICE/wg0",
            "./some/folder/with/a/long/name/and/one/more/file123",
            "/etc/wireguard/wg0.conf",
        ] {
            assert!(
                quote(path.as_bytes()).starts_with(&format!("`{}", &path[..path.len().min(40)])),
                "{path}"
            );
        }
    }

    #[test]
    fn control_characters_are_escaped() {
        assert_eq!(quote(b"a\x1b[31m\n"), "`a\\u{1b}[31m\\n'");
        assert_eq!(
            escape("a\u{202e}b\u{200b}\r".as_bytes()),
            "a\\u{202e}b\\u{200b}\\r"
        );
        assert_eq!(quote("größe".as_bytes()), "`größe'");
        assert!(quote(&[b'-'; 500]).len() < 100);
    }
}
