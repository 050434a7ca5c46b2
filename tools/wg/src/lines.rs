// SPDX-License-Identifier: GPL-2.0
//! Lines of configuration files, for all tools that read such files.
//!
//! The format is the one of wg(8): white space counts nowhere, `#` begins a
//! comment, a NUL byte ends the line.

use crate::value::is_space;
use zeroize::Zeroizing;

/// What a file of Windows' Notepad begins with.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// A line, taken apart. It may hold a key, so it wipes itself.
#[derive(Debug)]
pub struct Line<'a> {
    /// The line as it stands in the file, less its comment.
    raw: &'a [u8],
    /// The same without white space.
    bare: Zeroizing<Vec<u8>>,
}

/// What kind of line it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind<'a> {
    /// Nothing but white space and a comment.
    Empty,
    /// `[...]`, brackets included.
    Section(&'a [u8]),
    /// `Word = value`, both without white space.
    Setting(&'a [u8], &'a [u8]),
    /// Something else.
    Other,
}

/// The lines of a file, counted from 1.
pub fn lines(text: &[u8]) -> impl Iterator<Item = (usize, Line<'_>)> {
    text.split(|&byte| byte == b'\n')
        .enumerate()
        .map(|(index, raw)| (index + 1, Line::new(raw)))
}

impl<'a> Line<'a> {
    /// Takes a line apart.
    pub fn new(raw: &'a [u8]) -> Self {
        let end = raw
            .iter()
            .position(|&byte| matches!(byte, b'#' | 0))
            .unwrap_or(raw.len());
        let raw = &raw[..end];
        let mut bare = Zeroizing::new(Vec::with_capacity(raw.len()));
        bare.extend(raw.iter().copied().filter(|&byte| !is_space(byte)));
        Self { raw, bare }
    }

    /// What kind of line it is.
    pub fn kind(&self) -> Kind<'_> {
        match (self.bare.first(), self.equals()) {
            (None, _) => Kind::Empty,
            (Some(b'['), _) => Kind::Section(&self.bare),
            (_, Some(equals)) => Kind::Setting(&self.bare[..equals], &self.bare[equals + 1..]),
            (_, None) => Kind::Other,
        }
    }

    /// The value with the white space inside it.
    pub fn spaced_value(&self) -> &'a [u8] {
        let equals = self.raw.iter().position(|&byte| byte == b'=');
        equals.map_or(&[], |equals| self.raw[equals + 1..].trim_ascii())
    }

    /// Whether a value is the same when it is read back from a line.
    pub fn keeps_value(value: &[u8]) -> bool {
        let special = |byte: &u8| matches!(byte, b'\n' | b'#' | 0);
        value.trim_ascii() == value && !value.is_empty() && !value.iter().any(special)
    }

    /// Why the line is none, if it is neither empty nor a section nor a setting.
    pub fn complaint(&self) -> &'static str {
        if self.bare.starts_with(BYTE_ORDER_MARK) {
            return "the file begins with a byte order mark, as of Windows' Notepad; save it without";
        }
        "there is no `=' in this line; a line is `Word = value'"
    }

    fn equals(&self) -> Option<usize> {
        self.bare.iter().position(|&byte| byte == b'=')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds() {
        for (raw, kind) in [
            (&b""[..], Kind::Empty),
            (b" \t\r", Kind::Empty),
            (b" # x = y", Kind::Empty),
            (b"\0x = y", Kind::Empty),
            (b" [ Inter face ] # [Peer]", Kind::Section(b"[Interface]")),
            (b"[Interface]\0", Kind::Section(b"[Interface]")),
            (b"[a=b", Kind::Section(b"[a=b")),
            (b"D N S = 1 = 2\r", Kind::Setting(b"DNS", b"1=2")),
            (b"DNS =", Kind::Setting(b"DNS", b"")),
            (b"= x", Kind::Setting(b"", b"x")),
            (b"DNS # = 1", Kind::Other),
        ] {
            assert_eq!(Line::new(raw).kind(), kind, "{raw:?}");
        }
    }

    #[test]
    fn values_keep_their_spaces() {
        assert_eq!(Line::new(b"a =  b  c # d").spaced_value(), b"b  c");
        assert_eq!(Line::new(b"a").spaced_value(), b"");
    }

    #[test]
    fn values_that_can_be_read_back() {
        assert!(Line::keeps_value(b"a b=c"));
        for bad in [&b""[..], b"a#b", b"a\nb", b" a", b"a\t", b"a\0"] {
            assert!(!Line::keeps_value(bad));
        }
    }

    #[test]
    fn lines_are_counted() {
        let found: Vec<_> = lines(b"a=1\n\nb").map(|(number, _)| number).collect();
        assert_eq!(found, [1, 2, 3]);
    }

    #[test]
    fn a_byte_order_mark_is_named() {
        let line = Line::new(b"\xef\xbb\xbf[Interface]\r");
        assert_eq!(line.kind(), Kind::Other);
        assert!(line.complaint().contains("byte order mark"));
    }
}
