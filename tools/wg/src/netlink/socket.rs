// SPDX-License-Identifier: GPL-2.0
//! A netlink socket that asks one thing at a time.

use super::attrs::i32_of;
use super::extack::ExtAck;
use super::message::{Message, HEADER_LEN};
use netlink_packet_core::{
    NetlinkBuffer, NLMSG_DONE, NLMSG_ERROR, NLMSG_NOOP, NLMSG_OVERRUN, NLM_F_ACK_TLVS,
    NLM_F_CAPPED, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_MULTIPART,
};
use netlink_sys::{Socket, SocketAddr};
use std::io;
use zeroize::Zeroizing;

/// Large enough for what the kernel puts into one datagram; it takes the size
/// as a hint that it may fill up to 32 KiB of a dump.
const RECEIVE_LEN: usize = 64 << 10;

/// A netlink socket.
pub struct Netlink {
    socket: Socket,
    sequence: u32,
    buf: Zeroizing<Vec<u8>>,
}

/// What the kernel says besides the answer.
#[derive(Debug, Default)]
pub struct Reply {
    /// A warning, although all went well.
    pub extack: ExtAck,
    /// What was listed changed meanwhile, so the list may be inconsistent.
    pub interrupted: bool,
}

/// The kernel refused.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Refused {
    /// Why, as a number.
    pub errno: i32,
    /// Why, in words.
    pub extack: ExtAck,
}

impl From<io::Error> for Refused {
    fn from(error: io::Error) -> Self {
        Self {
            errno: error.raw_os_error().unwrap_or(libc::EIO),
            extack: ExtAck::default(),
        }
    }
}

impl Refused {
    /// A refusal without words.
    pub fn errno(errno: i32) -> Self {
        Self {
            errno,
            extack: ExtAck::default(),
        }
    }
}

impl Netlink {
    /// Opens a socket of the given protocol (`NETLINK_GENERIC` and the like).
    pub fn open(protocol: libc::c_int) -> io::Result<Self> {
        let protocol = isize::try_from(protocol).unwrap_or_default();
        let mut socket = Socket::new(protocol)?;
        socket.bind_auto()?;
        // Old kernels know neither; then there are just no words.
        let _ = socket.set_ext_ack(true);
        // Otherwise an error brings the whole request back, keys included.
        let _ = socket.set_cap_ack(true);
        Ok(Self {
            socket,
            sequence: 0,
            buf: Zeroizing::new(vec![0; RECEIVE_LEN]),
        })
    }

    /// Sends a request and feeds every message of the answer, less its netlink
    /// header, to `answer`, until the kernel says that this was all. The first
    /// errno that `answer` returns becomes the result.
    pub fn ask(
        &mut self,
        message: &mut Message,
        mut answer: impl FnMut(&[u8]) -> Result<(), i32>,
    ) -> Result<Reply, Refused> {
        self.sequence = self.sequence.wrapping_add(1);
        let bytes = message.finish(self.sequence);
        let dump = NetlinkBuffer::new(bytes).flags() & NLM_F_DUMP == NLM_F_DUMP;
        self.socket.send_to(bytes, &SocketAddr::new(0, 0), 0)?;
        let mut state = State {
            sequence: self.sequence,
            dump,
            reply: Reply::default(),
            failed: None,
        };
        loop {
            let len = self.receive()?;
            let mut rest = &self.buf[..len];
            while !rest.is_empty() {
                let (message, len) = split(rest)?;
                rest = &rest[len.next_multiple_of(4).min(rest.len())..];
                if let Some(end) = state.take(&message, &mut answer) {
                    return end;
                }
            }
        }
    }

    fn receive(&mut self) -> io::Result<usize> {
        loop {
            let mut buf = &mut self.buf[..];
            match self.socket.recv_from(&mut buf, libc::MSG_TRUNC) {
                // Only the kernel answers.
                Ok((_, from)) if from.port_number() != 0 => {}
                Ok((len, _)) if len > RECEIVE_LEN => {
                    return Err(io::Error::from_raw_os_error(libc::EMSGSIZE));
                }
                Ok((len, _)) => return Ok(len),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// The first message of a datagram, and how long it is.
fn split(bytes: &[u8]) -> Result<(NetlinkBuffer<&[u8]>, usize), Refused> {
    let message = NetlinkBuffer::new_checked(bytes).map_err(|_| Refused::errno(libc::EBADMSG))?;
    let len = usize::try_from(message.length()).map_err(|_| Refused::errno(libc::EBADMSG))?;
    Ok((message, len))
}

struct State {
    sequence: u32,
    dump: bool,
    reply: Reply,
    failed: Option<i32>,
}

impl State {
    /// Takes one message; returns the result with the last one.
    fn take(
        &mut self,
        message: &NetlinkBuffer<&[u8]>,
        answer: &mut impl FnMut(&[u8]) -> Result<(), i32>,
    ) -> Option<Result<Reply, Refused>> {
        if message.sequence_number() != self.sequence {
            return None;
        }
        self.reply.interrupted |= message.flags() & NLM_F_DUMP_INTR != 0;
        let payload = message.payload();
        match message.message_type() {
            NLMSG_NOOP | NLMSG_OVERRUN => None,
            NLMSG_ERROR => Some(self.end(payload, error_extack(message.flags(), payload))),
            NLMSG_DONE => {
                let tlvs = message.flags() & NLM_F_ACK_TLVS != 0;
                let extack = payload.get(4..).filter(|_| tlvs).unwrap_or_default();
                Some(self.end(payload, ExtAck::parse(extack)))
            }
            _ => {
                if self.failed.is_none() {
                    self.failed = answer(payload).err();
                }
                // Every request asks for an acknowledgement, so what is not
                // the end has one to follow.
                debug_assert!(!self.dump || message.flags() & NLM_F_MULTIPART != 0);
                None
            }
        }
    }

    fn end(&mut self, payload: &[u8], extack: ExtAck) -> Result<Reply, Refused> {
        let code = payload.get(..4).and_then(i32_of).unwrap_or(0);
        if code != 0 {
            return Err(Refused {
                errno: code.saturating_abs(),
                extack,
            });
        }
        if let Some(errno) = self.failed {
            return Err(Refused::errno(errno));
        }
        self.reply.extack = extack;
        Ok(std::mem::take(&mut self.reply))
    }
}

/// The attributes stand behind the errno and as much of the request as the
/// kernel chose to send back.
fn error_extack(flags: u16, payload: &[u8]) -> ExtAck {
    const ERRNO_LEN: usize = 4;
    if flags & NLM_F_ACK_TLVS == 0 {
        return ExtAck::default();
    }
    let request = payload.get(ERRNO_LEN..).unwrap_or_default();
    let len = if flags & NLM_F_CAPPED != 0 {
        HEADER_LEN
    } else {
        let len = request.get(..4).and_then(super::attrs::u32_of);
        len.and_then(|len| usize::try_from(len).ok())
            .map_or(HEADER_LEN, |len| len.saturating_add(3) & !3)
    };
    ExtAck::parse(request.get(len..).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::uapi::NLMSGERR_ATTR_MSG;
    use netlink_packet_core::{Emitable, NetlinkHeader};

    fn error(code: i32, flags: u16, echo: usize) -> Vec<u8> {
        let mut request = Message::genl(21, 5, 1, 1);
        while request.as_bytes().len() < HEADER_LEN + echo {
            request.put_u32(1, 0).unwrap();
        }
        let mut tlvs = Message::raw();
        tlvs.put_str(NLMSGERR_ATTR_MSG, b"no such luck").unwrap();
        let request = request.finish(1);
        let mut payload = code.to_ne_bytes().to_vec();
        payload.extend_from_slice(if flags & NLM_F_CAPPED == 0 {
            request
        } else {
            &request[..HEADER_LEN]
        });
        payload.extend_from_slice(tlvs.as_bytes());
        payload
    }

    #[test]
    fn words_are_found_behind_the_echo() {
        for flags in [NLM_F_ACK_TLVS, NLM_F_ACK_TLVS | NLM_F_CAPPED] {
            let payload = error(-1, flags, 40);
            let extack = error_extack(flags, &payload);
            assert_eq!(extack.message.as_deref(), Some("no such luck"));
        }
        let payload = error(-1, 0, 40);
        assert_eq!(error_extack(0, &payload), ExtAck::default());
        assert_eq!(error_extack(NLM_F_ACK_TLVS, &[]), ExtAck::default());
    }

    #[test]
    fn a_dump_may_end_in_an_error_either_way() {
        let refused = |kind, echo: usize| {
            let mut tlvs = Message::raw();
            tlvs.put_str(NLMSGERR_ATTR_MSG, b"no such luck").unwrap();
            let mut header = NetlinkHeader::default();
            header.message_type = kind;
            header.flags = NLM_F_MULTIPART | NLM_F_ACK_TLVS | NLM_F_CAPPED;
            header.sequence_number = 1;
            let body = [&(-22i32).to_ne_bytes()[..], &vec![0; echo], tlvs.as_bytes()].concat();
            let len = HEADER_LEN + body.len();
            header.length = u32::try_from(len).unwrap();
            let mut bytes = vec![0; HEADER_LEN];
            header.emit(&mut bytes);
            bytes.extend_from_slice(&body);
            let (message, _) = split(&bytes).unwrap();
            let mut state = State {
                sequence: 1,
                dump: true,
                reply: Reply::default(),
                failed: None,
            };
            let end = state.take(&message, &mut |_: &[u8]| Ok(())).unwrap();
            end.unwrap_err()
        };
        for refused in [refused(NLMSG_ERROR, HEADER_LEN), refused(NLMSG_DONE, 0)] {
            assert_eq!(refused.errno, libc::EINVAL);
            assert_eq!(refused.extack.message.as_deref(), Some("no such luck"));
        }
    }

    #[test]
    fn an_answer_that_fails_fails_the_request() {
        let mut state = State {
            sequence: 1,
            dump: false,
            reply: Reply::default(),
            failed: Some(libc::EBADMSG),
        };
        let ok = 0i32.to_ne_bytes();
        let refused = state.end(&ok, ExtAck::default()).unwrap_err();
        assert_eq!(refused.errno, libc::EBADMSG);
        let refused = state.end(&(-19i32).to_ne_bytes(), ExtAck::default());
        assert_eq!(refused.unwrap_err().errno, libc::ENODEV);
    }

    #[test]
    fn asks_the_real_kernel() {
        // Generic netlink is there without any module.
        let mut netlink = Netlink::open(libc::NETLINK_GENERIC).unwrap();
        let flags = netlink_packet_core::NLM_F_REQUEST | netlink_packet_core::NLM_F_ACK;
        let mut message = Message::genl(
            crate::uapi::GENL_ID_CTRL,
            flags,
            crate::uapi::CTRL_CMD_GETFAMILY,
            1,
        );
        message
            .put_str(crate::uapi::CTRL_ATTR_FAMILY_NAME, b"nlctrl")
            .unwrap();
        let mut answers = 0;
        netlink
            .ask(&mut message, |_| {
                answers += 1;
                Ok(())
            })
            .unwrap();
        assert_eq!(answers, 1);
    }
}
