// SPDX-License-Identifier: GPL-2.0

//! Which packets that wait one behind the other are dealt with together.
//!
//! Those that are to be encrypted become one UDP GSO packet (`struct
//! skb_shared_info`, `udp(7)`, `UDP_SEGMENT`): all of its datagrams have one length,
//! one outer header, one socket that they count against, and one priority.
//! Messages that are to be decrypted become one delivery, for which one endpoint and
//! one DS field are taken.

use super::inet::Version;

/// What there is to know of a packet that is to be encrypted.
///
/// Sessions and sockets are told apart by their addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// The session that it is for.
    pub session: usize,
    /// Whether it is a batch of its own.
    pub alone: bool,
    /// Messages that it becomes.
    pub messages: u16,
    /// Its bytes.
    pub len: u32,
    /// What bounds its padding.
    pub mtu: u32,
    /// The DS field of the outer header.
    pub ds: u8,
    /// `skb->priority`.
    pub priority: u32,
    /// The socket that it counts against.
    pub socket: usize,
    /// Whether somebody wants to know when it is sent.
    pub stamped: bool,
    /// Whether its memory can be read, and it counts against its sender.
    pub plain: bool,
}

impl Outgoing {
    /// Whether it shares a UDP GSO packet with the `last` one.
    #[inline]
    pub fn joins(&self, last: &Self) -> bool {
        // A keepalive has no flow to be of.
        let may_share = self.alone && self.messages == 1 && self.len != 0;
        may_share && self.plain && !self.stamped && self == last
    }
}

/// What there is to know of a data message that came in.
#[derive(Clone, Copy, Debug)]
pub struct Incoming<'a> {
    /// The session that it is for.
    pub session: usize,
    /// Messages that came in as this packet.
    pub messages: u16,
    /// The DS field of its outer header.
    pub ds: u8,
    /// Index of the interface that it came in on.
    pub interface: i32,
    /// Version of the outer header; `None` if it is none of IP's.
    pub version: Option<Version>,
    /// The outer headers, from that of IP on.
    pub network: &'a [u8],
    /// From the UDP header on.
    pub transport: &'a [u8],
}

impl Incoming<'_> {
    /// Whether it is delivered with the `last` one: also where one of them is
    /// forged, the endpoint of one is that of both.
    #[inline]
    pub fn joins(&self, last: &Self) -> bool {
        let alike = |it: &Self| (it.session, it.messages, it.ds, it.interface, it.version);
        self.messages == 1
            && alike(self) == alike(last)
            && self
                .addresses()
                .is_some_and(|mine| Some(mine) == last.addresses())
            && self.ports().is_some_and(|mine| Some(mine) == last.ports())
    }

    /// Source and destination address.
    #[inline]
    fn addresses(&self) -> Option<&[u8]> {
        self.network.get(match self.version? {
            Version::V4 => 12..20,
            Version::V6 => 8..40,
        })
    }

    /// Both ports.
    #[inline]
    fn ports(&self) -> Option<&[u8; 4]> {
        self.transport.first_chunk()
    }
}
