// SPDX-License-Identifier: GPL-2.0
//! Extended acknowledgements: what the kernel has to say besides an errno.

use super::attrs::{attrs, string_of, u16_of, u32_of};
use crate::uapi::{NLMSGERR_ATTR_MISS_TYPE, NLMSGERR_ATTR_MSG, NLMSGERR_ATTR_OFFS};

/// What came with an acknowledgement or an error.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExtAck {
    /// Why, in the kernel's words.
    pub message: Option<String>,
    /// Where in the request the attribute begins that it is about.
    pub offset: Option<usize>,
    /// Type of an attribute that should have been there.
    pub missing: Option<u16>,
}

impl ExtAck {
    /// Reads the attributes behind an error or acknowledgement.
    pub fn parse(bytes: &[u8]) -> Self {
        let mut extack = Self::default();
        for (kind, value) in attrs(bytes).map_while(Result::ok) {
            match kind {
                NLMSGERR_ATTR_MSG => {
                    let text = String::from_utf8_lossy(string_of(value));
                    // The text goes to a terminal.
                    let text: String = text.chars().filter(|c| !c.is_control()).collect();
                    extack.message = Some(text).filter(|text| !text.is_empty());
                }
                NLMSGERR_ATTR_OFFS => {
                    extack.offset = u32_of(value).and_then(|offset| usize::try_from(offset).ok());
                }
                NLMSGERR_ATTR_MISS_TYPE => {
                    extack.missing = u32_of(value)
                        .and_then(|kind| u16::try_from(kind).ok())
                        .or_else(|| u16_of(value));
                }
                _ => {}
            }
        }
        extack
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netlink::message::Message;

    #[test]
    fn everything_there_is() {
        let mut message = Message::raw();
        message.put(NLMSGERR_ATTR_MSG, b"so\x1b it is\0").unwrap();
        message.put_u32(NLMSGERR_ATTR_OFFS, 24).unwrap();
        message.put_u32(NLMSGERR_ATTR_MISS_TYPE, 67).unwrap();
        let extack = ExtAck::parse(message.as_bytes());
        assert_eq!(extack.message.as_deref(), Some("so it is"));
        assert_eq!(extack.offset, Some(24));
        assert_eq!(extack.missing, Some(67));
    }

    #[test]
    fn nonsense_says_nothing() {
        assert_eq!(ExtAck::parse(&[1, 2, 3]), ExtAck::default());
        assert_eq!(ExtAck::parse(&[0; 64]), ExtAck::default());
        assert_eq!(ExtAck::parse(&[255; 64]), ExtAck::default());
    }
}
