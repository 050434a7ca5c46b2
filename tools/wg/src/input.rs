// SPDX-License-Identifier: GPL-2.0
//! Reading files that may hold keys: what was read is wiped afterwards.

use crate::error::{describe, quote, Failure, Result};
use crate::key::{base64_complaint, SecretKey, BASE64_LEN};
use crate::value::is_space;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use zeroize::Zeroizing;

/// More than any configuration needs; less than what would hurt.
const LARGEST: usize = 256 << 20;

/// Reads all of `from`.
pub fn read_all(from: &mut impl Read) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut data = Zeroizing::new(vec![0; 16 << 10]);
    let mut len = 0;
    loop {
        if len == data.len() {
            if len >= LARGEST {
                return Err(io::Error::from_raw_os_error(libc::EFBIG));
            }
            // Not resize(): that would leave the old bytes in freed memory.
            let mut larger = Zeroizing::new(vec![0; len * 2]);
            larger[..len].copy_from_slice(&data);
            data = larger;
        }
        match from.read(&mut data[len..]) {
            Ok(0) => break,
            Ok(count) => len += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    data.truncate(len);
    Ok(data)
}

/// Opens and reads the file that the user named.
pub fn read_file(name: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
    let fail = |what: &str, error: &io::Error| {
        Failure::new(format!(
            "Unable to {what} {}: {}",
            quote(name),
            describe(error)
        ))
    };
    let mut file = open(name).map_err(|error| fail("open", &error))?;
    read_all(&mut file).map_err(|error| fail("read", &error))
}

fn open(name: &[u8]) -> io::Result<File> {
    File::open(Path::new(OsStr::from_bytes(name)))
}

/// Reads the key in the file that stands behind `word`. An empty file stands
/// for no key, an empty pipe does not: the program that was to write the key
/// into it has failed.
pub fn read_key(word: &str, name: &[u8]) -> Result<SecretKey> {
    let fail = |reason: String| Failure::new(format!("{word}: {reason}"));
    if SecretKey::from_base64(name).is_some() {
        return Err(fail(
            "this takes a file that holds the key, not the key itself, \
             because command lines are for everyone to see"
                .into(),
        )
        .and(format!("With bash: {word} <(echo ...)")));
    }
    let mut file = open(name).map_err(|error| {
        fail(format!(
            "unable to open {}: {}",
            quote(name),
            describe(&error)
        ))
    })?;
    let data = read_all(&mut file).map_err(|error| {
        fail(format!(
            "unable to read {}: {}",
            quote(name),
            describe(&error)
        ))
    })?;
    if data.is_empty() {
        return match file.stream_position() {
            Ok(_) => Ok(SecretKey::ZERO),
            Err(_) => Err(fail(format!(
                "nothing came through {}; to unset the key, give /dev/null",
                quote(name)
            ))),
        };
    }
    parse_key_file(&data).map_err(|reason| fail(format!("in {}, {reason}", quote(name))))
}

/// Why there is not a key and nothing else.
#[derive(Debug, PartialEq, Eq)]
pub enum NoKey {
    /// What there is has not the length of one.
    Short,
    /// There is something behind it.
    Followed,
    /// What has its length is not base64.
    NotBase64,
}

/// The key at the beginning of `data`, behind which only such bytes stand.
pub fn only_key(
    data: &[u8],
    may_follow: impl Fn(u8) -> bool,
) -> std::result::Result<SecretKey, NoKey> {
    let (key, rest) = data.split_at_checked(BASE64_LEN).ok_or(NoKey::Short)?;
    if !rest.iter().copied().all(may_follow) {
        return Err(NoKey::Followed);
    }
    SecretKey::from_base64(key).ok_or(NoKey::NotBase64)
}

/// The key in the contents of a key file: base64, then white space at most.
pub fn parse_key_file(data: &[u8]) -> std::result::Result<SecretKey, String> {
    only_key(data, is_space).map_err(|reason| match reason {
        NoKey::Short => format!(
            "the key is too short: {}",
            base64_complaint(data.trim_ascii())
        ),
        NoKey::Followed => "something follows the key; a key file holds one key and no more".into(),
        NoKey::NotBase64 => "there is no key; a key is base64".into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "qNO3/AAtC49xVUHYE1k/37egjsDgkb8Lrk8RU0H7hEo=";

    #[test]
    fn large_input_is_read_whole() {
        let data: Vec<u8> = (0..100_000u32).map(|n| n.to_le_bytes()[0]).collect();
        assert_eq!(*read_all(&mut data.as_slice()).unwrap(), data);
    }

    #[test]
    fn key_files() {
        for good in ["", "\n", " \t\r\n\n"] {
            assert!(parse_key_file(format!("{KEY}{good}").as_bytes()).is_ok());
        }
        for bad in ["A", "\nA", "\0", "="] {
            assert!(parse_key_file(format!("{KEY}{bad}").as_bytes()).is_err());
        }
        for bad in [&KEY[1..], " ", "\n", "x"] {
            assert!(parse_key_file(bad.as_bytes()).is_err());
        }
        assert!(parse_key_file(format!(" {KEY}").as_bytes()).is_err());
    }

    #[test]
    fn no_key_is_no_empty_pipe() {
        assert!(read_key("private-key", b"/dev/null").unwrap().is_zero());
        assert!(read_key("private-key", b"/nonexistent").is_err());
        assert!(read_key("private-key", b"/").is_err());
        let failure = read_key("private-key", KEY.as_bytes()).unwrap_err();
        assert!(!failure.lines.concat().contains(KEY));
    }
}
