// SPDX-License-Identifier: GPL-2.0
//! Reading attributes. What does not parse is an error, never a panic: the
//! bytes come from a kernel, but not necessarily from one that we know.

use netlink_packet_core::{DecodeError, NlaBuffer, NlasIterator, NLA_HEADER_SIZE};

/// An attribute: its type without flags, and its payload.
pub type Attr<'a> = (u16, &'a [u8]);

/// The attributes in `bytes`, up to the first that is broken.
pub fn attrs(bytes: &[u8]) -> impl Iterator<Item = Result<Attr<'_>, DecodeError>> {
    NlasIterator::new(bytes).map(|attr| attr.map(split))
}

fn split(attr: NlaBuffer<&[u8]>) -> Attr<'_> {
    let (kind, len) = (attr.kind(), usize::from(attr.length()));
    (kind, &attr.into_inner()[NLA_HEADER_SIZE..len])
}

/// A payload of two bytes.
pub fn u16_of(bytes: &[u8]) -> Option<u16> {
    bytes.try_into().ok().map(u16::from_ne_bytes)
}

/// A payload of four bytes.
pub fn u32_of(bytes: &[u8]) -> Option<u32> {
    bytes.try_into().ok().map(u32::from_ne_bytes)
}

/// A payload of four bytes with a sign.
pub fn i32_of(bytes: &[u8]) -> Option<i32> {
    bytes.try_into().ok().map(i32::from_ne_bytes)
}

/// A payload of eight bytes.
pub fn u64_of(bytes: &[u8]) -> Option<u64> {
    bytes.try_into().ok().map(u64::from_ne_bytes)
}

/// A payload that is a string, which ends at its NUL if it has one.
pub fn string_of(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().position(|&byte| byte == 0);
    &bytes[..end.unwrap_or(bytes.len())]
}
