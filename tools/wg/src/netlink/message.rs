// SPDX-License-Identifier: GPL-2.0
//! Building requests.
//!
//! A message has a fixed size limit and says when something does not fit any
//! more, so that a long list can be continued in the next one. Its buffer is
//! allocated once and wiped at the end, because there are keys in it.

use super::attrs::attrs;
use netlink_packet_core::{Emitable, NetlinkHeader, NLA_F_NESTED, NLA_HEADER_SIZE};
use zeroize::Zeroizing;

/// Bytes of a netlink message header.
pub const HEADER_LEN: usize = 16;
/// Bytes of a generic netlink header.
const GENL_HEADER_LEN: usize = 4;
/// A message stays below this. An attribute could hold 64 KiB; a kernel takes
/// its device lock for as long as one message lasts, so they are smaller.
const LIMIT: usize = 32 << 10;

/// A message that is being built.
pub struct Message {
    buf: Zeroizing<Vec<u8>>,
    /// Where the attributes begin.
    attrs: usize,
}

/// Something did not fit.
#[derive(Debug, PartialEq, Eq)]
pub struct Full;

/// A nest that is open, or a point to go back to.
#[derive(Clone, Copy, Debug)]
pub struct Mark(usize);

impl Message {
    /// A message of rtnetlink, with the fixed header that its type has.
    pub fn rtnl(kind: u16, flags: u16, fixed: &[u8]) -> Self {
        let mut message = Self::raw();
        message.begin(kind, flags, fixed);
        message
    }

    /// A message of generic netlink.
    pub fn genl(family: u16, flags: u16, command: u8, version: u8) -> Self {
        Self::rtnl(family, flags, &[command, version, 0, 0])
    }

    /// Attributes without anything around them.
    pub fn raw() -> Self {
        Self {
            buf: Zeroizing::new(Vec::with_capacity(LIMIT)),
            attrs: 0,
        }
    }

    /// Empties a message of generic netlink, to build the next one in it.
    pub fn restart(&mut self) {
        self.buf.truncate(HEADER_LEN + GENL_HEADER_LEN);
    }

    fn begin(&mut self, message_type: u16, flags: u16, fixed: &[u8]) {
        let mut header = NetlinkHeader::default();
        header.message_type = message_type;
        header.flags = flags;
        self.buf.resize(HEADER_LEN, 0);
        header.emit(&mut self.buf);
        self.buf.extend_from_slice(fixed);
        self.attrs = self.buf.len();
    }

    /// Stamps length and sequence number; the message is ready to be sent.
    pub fn finish(&mut self, sequence_number: u32) -> &[u8] {
        use netlink_packet_core::NetlinkBuffer;
        let length = u32::try_from(self.buf.len()).unwrap_or(u32::MAX);
        let mut header = NetlinkBuffer::new(&mut self.buf[..]);
        header.set_length(length);
        header.set_sequence_number(sequence_number);
        &self.buf
    }

    /// What there is so far.
    pub fn as_bytes(&self) -> &[u8] {
        &self.buf
    }

    /// The attributes so far.
    pub fn attr_bytes(&self) -> &[u8] {
        &self.buf[self.attrs..]
    }

    /// Adds an attribute.
    pub fn put(&mut self, kind: u16, value: &[u8]) -> Result<(), Full> {
        self.put_with(kind, value.len(), |buf| buf.extend_from_slice(value))
    }

    /// Adds a string, with the NUL that ends it.
    pub fn put_str(&mut self, kind: u16, value: &[u8]) -> Result<(), Full> {
        self.put_with(kind, value.len() + 1, |buf| {
            buf.extend_from_slice(value);
            buf.push(0);
        })
    }

    /// Adds one byte.
    pub fn put_u8(&mut self, kind: u16, value: u8) -> Result<(), Full> {
        self.put(kind, &[value])
    }

    /// Adds two bytes.
    pub fn put_u16(&mut self, kind: u16, value: u16) -> Result<(), Full> {
        self.put(kind, &value.to_ne_bytes())
    }

    /// Adds four bytes.
    pub fn put_u32(&mut self, kind: u16, value: u32) -> Result<(), Full> {
        self.put(kind, &value.to_ne_bytes())
    }

    fn put_with(
        &mut self,
        kind: u16,
        len: usize,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> Result<(), Full> {
        let total = len + NLA_HEADER_SIZE;
        let padded = total.next_multiple_of(4);
        // The buffer must never grow: that would leave a copy of it behind.
        if self.buf.len() + padded > LIMIT {
            return Err(Full);
        }
        let total = u16::try_from(total).map_err(|_| Full)?;
        let end = self.buf.len() + padded;
        self.buf.extend_from_slice(&total.to_ne_bytes());
        self.buf.extend_from_slice(&kind.to_ne_bytes());
        write(&mut self.buf);
        self.buf.resize(end, 0);
        Ok(())
    }

    /// Opens a nest.
    pub fn nest(&mut self, kind: u16) -> Result<Mark, Full> {
        let mark = self.mark();
        self.put(kind | NLA_F_NESTED, &[])?;
        Ok(mark)
    }

    /// Closes a nest.
    pub fn close(&mut self, Mark(start): Mark) {
        // The limit keeps this below 64 KiB.
        let len = u16::try_from(self.buf.len() - start).unwrap_or(u16::MAX);
        self.buf[start..start + 2].copy_from_slice(&len.to_ne_bytes());
    }

    /// A point to go back to.
    pub fn mark(&self) -> Mark {
        Mark(self.buf.len())
    }

    /// Forgets what was added since.
    pub fn undo(&mut self, Mark(start): Mark) {
        self.buf.truncate(start);
    }

    /// Type of the outermost attribute that covers this offset.
    pub fn attr_at(&self, offset: usize) -> Option<u16> {
        let mut start = self.attrs;
        for (kind, value) in attrs(self.attr_bytes()).map_while(Result::ok) {
            let end = start + (value.len() + NLA_HEADER_SIZE).next_multiple_of(4);
            if (start..end).contains(&offset) {
                return Some(kind);
            }
            start = end;
        }
        None
    }

    /// The bytes of an answer that was built as a message, for tests.
    #[cfg(test)]
    pub fn answer(build: impl FnOnce(&mut Self)) -> Vec<u8> {
        let mut message = Self::raw();
        build(&mut message);
        [&[0; 4], message.as_bytes()].concat()
    }
}

impl From<Full> for crate::error::Failure {
    fn from(_: Full) -> Self {
        crate::error::Failure::new("Unable to build the request: it is too long")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nests_and_padding() {
        let mut message = Message::genl(21, 5, 1, 1);
        message.put_str(2, b"wg0").unwrap();
        let nest = message.nest(8).unwrap();
        message.put_u16(1, 0x0102).unwrap();
        message.close(nest);
        let bytes = message.finish(7);
        assert_eq!(bytes.len(), 16 + 4 + 8 + 4 + 8);
        assert_eq!(bytes[0], 40);
        assert_eq!(&bytes[16..20], [1, 1, 0, 0]);
        assert_eq!(&bytes[20..28], [8, 0, 2, 0, b'w', b'g', b'0', 0]);
        assert_eq!(&bytes[28..32], [12, 0, 8, 0x80]);
        let all: Vec<_> = attrs(message.attr_bytes()).map(Result::unwrap).collect();
        assert_eq!(all[0], (2, &b"wg0\0"[..]));
        assert_eq!(all[1].0, 8);
        assert_eq!(message.attr_at(20), Some(2));
        assert_eq!(message.attr_at(34), Some(8));
        assert_eq!(message.attr_at(0), None);
        assert_eq!(message.attr_at(1000), None);
    }

    #[test]
    fn a_full_message_says_so_and_stays_whole() {
        let mut message = Message::genl(21, 5, 1, 1);
        let capacity = message.buf.capacity();
        while message.put(1, &[1; 100]).is_ok() {}
        let len = message.as_bytes().len();
        assert_eq!(message.put(1, &[1; 100]), Err(Full));
        assert_eq!(message.as_bytes().len(), len);
        assert_eq!(message.buf.capacity(), capacity);
        assert!(attrs(message.attr_bytes()).all(|attr| attr.is_ok()));
    }
}
