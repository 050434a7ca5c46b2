// SPDX-License-Identifier: GPL-2.0

//! The wire formats of WireGuard paper section 5.4.
//!
//! Integers are little endian. A message begins with a type byte and three
//! reserved zero bytes. The two handshake messages end with `mac1` and `mac2`,
//! which [`cookie`](super::cookie) writes and checks; the structures here are
//! what comes before them.

use super::constants::{COOKIE_LEN, COOKIE_NONCE_LEN, KEY_LEN, MAC_LEN, TAG_LEN, TIMESTAMP_LEN};

/// Bytes of type and reserved zeros at the start of every message.
pub const TYPE_LEN: usize = 4;
/// Bytes of both message authentication codes at the end of a handshake
/// message.
pub const MACS_LEN: usize = 2 * MAC_LEN;
/// Bytes in a handshake initiation: 148.
pub const INITIATION_LEN: usize =
    TYPE_LEN + 4 + KEY_LEN + (KEY_LEN + TAG_LEN) + (TIMESTAMP_LEN + TAG_LEN) + MACS_LEN;
/// Bytes in a handshake response: 92.
pub const RESPONSE_LEN: usize = TYPE_LEN + 4 + 4 + KEY_LEN + TAG_LEN + MACS_LEN;
/// Bytes in a cookie reply: 64.
pub const COOKIE_REPLY_LEN: usize = TYPE_LEN + 4 + COOKIE_NONCE_LEN + (COOKIE_LEN + TAG_LEN);
/// Bytes in front of the sealed payload of a data message: 16.
pub const DATA_HEADER_LEN: usize = TYPE_LEN + 4 + 8;
/// Bytes in a data message with an empty payload, which is a keepalive: 32.
pub const DATA_MIN_LEN: usize = DATA_HEADER_LEN + TAG_LEN;

const _: () = assert!(INITIATION_LEN == 148);
const _: () = assert!(RESPONSE_LEN == 92);
const _: () = assert!(COOKIE_REPLY_LEN == 64);
const _: () = assert!(DATA_HEADER_LEN == 16);

/// What kind of message a datagram holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum MessageType {
    /// First handshake message.
    Initiation = 1,
    /// Second handshake message.
    Response = 2,
    /// A responder under load asks for proof of address.
    CookieReply = 3,
    /// A sealed packet, or a keepalive.
    Data = 4,
}

impl MessageType {
    /// The first four bytes of such a message.
    #[inline]
    pub const fn prefix(self) -> [u8; TYPE_LEN] {
        [self as u8, 0, 0, 0]
    }

    /// Bytes that must be contiguous to parse the message: all of it, or the
    /// header in the case of data.
    #[inline]
    pub const fn header_len(self) -> usize {
        match self {
            MessageType::Initiation => INITIATION_LEN,
            MessageType::Response => RESPONSE_LEN,
            MessageType::CookieReply => COOKIE_REPLY_LEN,
            MessageType::Data => DATA_HEADER_LEN,
        }
    }
}

/// Tells the kind of a datagram of `len` bytes from its first four, along with
/// [`header_len`](MessageType::header_len).
///
/// `None` if the type is unknown, a reserved byte is set, or no message of that
/// type has such a length.
#[inline]
pub const fn classify(first: [u8; TYPE_LEN], len: usize) -> Option<(MessageType, usize)> {
    let kind = match first {
        [1, 0, 0, 0] => MessageType::Initiation,
        [2, 0, 0, 0] => MessageType::Response,
        [3, 0, 0, 0] => MessageType::CookieReply,
        [4, 0, 0, 0] => MessageType::Data,
        _ => return None,
    };
    let header = kind.header_len();
    let fits = match kind {
        MessageType::Data => len >= DATA_MIN_LEN,
        _ => len == header,
    };
    if fits {
        Some((kind, header))
    } else {
        None
    }
}

/// Takes fields off the front of a message.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// Starts behind the type, if it is `kind`.
    fn new(kind: MessageType, bytes: &'a [u8]) -> Option<Self> {
        let mut reader = Reader(bytes);
        (reader.array()? == kind.prefix()).then_some(reader)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (field, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*field)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }
}

/// Puts fields on the front of a message.
struct Writer<'a>(&'a mut [u8]);

impl<'a> Writer<'a> {
    fn new(kind: MessageType, bytes: &'a mut [u8]) -> Self {
        Writer(bytes).array(&kind.prefix())
    }

    /// What does not fit is left out; the lengths asserted above rule that out.
    fn array<const N: usize>(self, field: &[u8; N]) -> Self {
        match self.0.split_first_chunk_mut::<N>() {
            Some((place, rest)) => {
                *place = *field;
                Writer(rest)
            }
            None => Writer(&mut []),
        }
    }

    fn u32(self, value: u32) -> Self {
        self.array(&value.to_le_bytes())
    }
}

/// Handshake initiation up to the message authentication codes (WireGuard paper
/// section 5.4.2).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Initiation {
    /// Index the initiator wants to be answered at.
    pub sender: u32,
    /// The initiator's ephemeral public key.
    pub ephemeral: [u8; KEY_LEN],
    /// The initiator's static public key, sealed.
    pub sealed_static: [u8; KEY_LEN + TAG_LEN],
    /// A TAI64N timestamp, sealed.
    pub sealed_timestamp: [u8; TIMESTAMP_LEN + TAG_LEN],
}

impl Initiation {
    /// Takes the message apart. `None` if type, reserved bytes or length are
    /// wrong.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; INITIATION_LEN] = bytes.try_into().ok()?;
        let mut reader = Reader::new(MessageType::Initiation, bytes)?;
        Some(Initiation {
            sender: reader.u32()?,
            ephemeral: reader.array()?,
            sealed_static: reader.array()?,
            sealed_timestamp: reader.array()?,
        })
    }

    /// The message with zeros in place of both codes.
    pub fn to_bytes(&self) -> [u8; INITIATION_LEN] {
        let mut bytes = [0; INITIATION_LEN];
        Writer::new(MessageType::Initiation, &mut bytes)
            .u32(self.sender)
            .array(&self.ephemeral)
            .array(&self.sealed_static)
            .array(&self.sealed_timestamp);
        bytes
    }
}

/// Handshake response up to the message authentication codes (WireGuard paper
/// section 5.4.3).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Response {
    /// Index the responder wants to receive data at.
    pub sender: u32,
    /// The initiator's index.
    pub receiver: u32,
    /// The responder's ephemeral public key.
    pub ephemeral: [u8; KEY_LEN],
    /// Nothing, sealed.
    pub sealed_nothing: [u8; TAG_LEN],
}

impl Response {
    /// Takes the message apart. `None` if type, reserved bytes or length are
    /// wrong.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; RESPONSE_LEN] = bytes.try_into().ok()?;
        let mut reader = Reader::new(MessageType::Response, bytes)?;
        Some(Response {
            sender: reader.u32()?,
            receiver: reader.u32()?,
            ephemeral: reader.array()?,
            sealed_nothing: reader.array()?,
        })
    }

    /// The message with zeros in place of both codes.
    pub fn to_bytes(&self) -> [u8; RESPONSE_LEN] {
        let mut bytes = [0; RESPONSE_LEN];
        Writer::new(MessageType::Response, &mut bytes)
            .u32(self.sender)
            .u32(self.receiver)
            .array(&self.ephemeral)
            .array(&self.sealed_nothing);
        bytes
    }
}

/// Cookie reply (WireGuard paper section 5.4.7).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CookieReply {
    /// Sender index of the message this answers.
    pub receiver: u32,
    /// Random nonce.
    pub nonce: [u8; COOKIE_NONCE_LEN],
    /// The cookie, sealed.
    pub sealed_cookie: [u8; COOKIE_LEN + TAG_LEN],
}

impl CookieReply {
    /// Takes the message apart. `None` if type, reserved bytes or length are
    /// wrong.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; COOKIE_REPLY_LEN] = bytes.try_into().ok()?;
        let mut reader = Reader::new(MessageType::CookieReply, bytes)?;
        Some(CookieReply {
            receiver: reader.u32()?,
            nonce: reader.array()?,
            sealed_cookie: reader.array()?,
        })
    }

    /// The whole message.
    pub fn to_bytes(&self) -> [u8; COOKIE_REPLY_LEN] {
        let mut bytes = [0; COOKIE_REPLY_LEN];
        Writer::new(MessageType::CookieReply, &mut bytes)
            .u32(self.receiver)
            .array(&self.nonce)
            .array(&self.sealed_cookie);
        bytes
    }
}

/// What precedes the sealed payload of a data message (WireGuard paper section
/// 5.4.6).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DataHeader {
    /// The receiver's index of the session.
    pub receiver: u32,
    /// Nonce of this packet.
    pub counter: u64,
}

impl DataHeader {
    /// Reads the header of a message that [`classify`] found to be data; more
    /// may follow. `None` if it is none or too short.
    #[inline]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let (header, _) = bytes.split_first_chunk::<DATA_HEADER_LEN>()?;
        let [t0, t1, t2, t3, r0, r1, r2, r3, counter @ ..] = *header;
        ([t0, t1, t2, t3] == MessageType::Data.prefix()).then_some(DataHeader {
            receiver: u32::from_le_bytes([r0, r1, r2, r3]),
            counter: u64::from_le_bytes(counter),
        })
    }

    /// The sixteen bytes of the header.
    #[inline]
    pub const fn to_bytes(self) -> [u8; DATA_HEADER_LEN] {
        let [t0, t1, t2, t3] = MessageType::Data.prefix();
        let [r0, r1, r2, r3] = self.receiver.to_le_bytes();
        let [c0, c1, c2, c3, c4, c5, c6, c7] = self.counter.to_le_bytes();
        [
            t0, t1, t2, t3, r0, r1, r2, r3, c0, c1, c2, c3, c4, c5, c6, c7,
        ]
    }
}

/// A handshake message split at its message authentication codes.
#[derive(Clone, Copy, Debug)]
pub struct Authenticated<'a> {
    /// What `mac1` covers.
    pub body: &'a [u8],
    /// The first code.
    pub mac1: &'a [u8; MAC_LEN],
    /// What `mac2` covers: the body and `mac1`.
    pub with_mac1: &'a [u8],
    /// The second code, zeros for none.
    pub mac2: &'a [u8; MAC_LEN],
}

impl<'a> Authenticated<'a> {
    /// Splits a whole handshake message. `None` if it has no room for codes.
    pub fn split(message: &'a [u8]) -> Option<Self> {
        let (with_mac1, mac2) = message.split_last_chunk()?;
        let (body, mac1) = with_mac1.split_last_chunk()?;
        Some(Authenticated {
            body,
            mac1,
            with_mac1,
            mac2,
        })
    }
}
