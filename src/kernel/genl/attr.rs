// SPDX-License-Identifier: GPL-2.0

//! The attributes of a request.
//!
//! C headers: `include/uapi/linux/netlink.h`, `include/net/netlink.h`.

use crate::kernel::bindings;
use kernel::prelude::*;

/// An attribute of a request: its header, and as much after it as that says.
#[derive(Clone, Copy)]
pub(crate) struct Attr<'a>(&'a [u8]);

/// Of an attribute.
pub(super) const HEADER: usize = size_of::<bindings::nlattr>();

/// The number of an attribute, without flags.
pub(super) fn number_of(kind: u16) -> u32 {
    u32::from(kind) & !(bindings::NLA_F_NESTED | bindings::NLA_F_NET_BYTEORDER)
}

impl<'a> Attr<'a> {
    /// The attribute at the start of `bytes`, and how many bytes it takes with padding.
    pub(super) fn parse(bytes: &'a [u8]) -> Option<(Self, usize)> {
        let len = usize::from(u16::from_ne_bytes(*bytes.first_chunk()?));
        let attr = bytes.get(..len).filter(|attr| attr.len() >= HEADER)?;
        Some((Self(attr), len.checked_add(3)? & !3))
    }

    /// Its number, with flags.
    fn kind(self) -> u16 {
        let kind = self.0.get(2..).and_then(|bytes| bytes.first_chunk());
        kind.map_or(0, |kind| u16::from_ne_bytes(*kind))
    }

    /// Its content.
    pub(crate) fn bytes(self) -> &'a [u8] {
        self.0.get(HEADER..).unwrap_or(&[])
    }

    fn array<const N: usize>(self) -> Option<[u8; N]> {
        self.bytes().try_into().ok()
    }

    /// A number of one byte.
    pub(crate) fn u8(self) -> Result<u8> {
        self.array().map(u8::from_ne_bytes).ok_or(EINVAL)
    }

    /// A number of two bytes.
    pub(crate) fn u16(self) -> Result<u16> {
        self.array().map(u16::from_ne_bytes).ok_or(EINVAL)
    }

    /// A number of four bytes.
    pub(crate) fn u32(self) -> Result<u32> {
        self.array().map(u32::from_ne_bytes).ok_or(EINVAL)
    }

    /// What it is, by number.
    pub(crate) fn number(self) -> u32 {
        number_of(self.kind())
    }

    /// Where it is, to point at it.
    pub(super) fn as_ptr(self) -> *const u8 {
        self.0.as_ptr()
    }

    /// The attributes inside.
    pub(crate) fn children(self) -> Attrs<'a> {
        Attrs(self.bytes())
    }

    /// The attributes inside by number; of several with one number the last. `EINVAL`: it is not
    /// marked as having attributes inside.
    pub(crate) fn set<const N: usize>(self) -> Result<[Option<Attr<'a>>; N]> {
        if u32::from(self.kind()) & bindings::NLA_F_NESTED == 0 {
            return Err(EINVAL);
        }
        let mut set = [None; N];
        for attr in self.children() {
            if let Some(place) = set.get_mut(attr.number() as usize) {
                *place = Some(attr);
            }
        }
        Ok(set)
    }
}

/// Walks attributes that follow each other.
pub(crate) struct Attrs<'a>(&'a [u8]);

impl<'a> Iterator for Attrs<'a> {
    type Item = Attr<'a>;

    fn next(&mut self) -> Option<Attr<'a>> {
        let (attr, len) = Attr::parse(self.0)?;
        self.0 = self.0.get(len..).unwrap_or(&[]);
        Some(attr)
    }
}
