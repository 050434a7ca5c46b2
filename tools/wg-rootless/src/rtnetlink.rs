// SPDX-License-Identifier: GPL-2.0
//! Links, addresses and routes of the network namespace that this process is
//! in when it opens one of these.

use ipnet::IpNet;
use netlink_packet_core::{Emitable, NLM_F_ACK, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REQUEST};
use netlink_packet_route::address::{AddressAttribute, AddressMessage};
use netlink_packet_route::link::{InfoKind, LinkAttribute, LinkFlags, LinkInfo, LinkMessage};
use netlink_packet_route::route::{
    RouteAttribute, RouteHeader, RouteMessage, RouteProtocol, RouteScope, RouteType,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use wg::error::{Failure, Result};
use wg::netlink::message::Message;
use wg::netlink::socket::{Netlink, Refused};

type Answer = std::result::Result<(), Refused>;

const NEW: u16 = NLM_F_CREATE | NLM_F_EXCL;
/// The kernel numbers interfaces from here, in each namespace.
const LOOPBACK: u32 = 1;

/// A socket for requests.
pub struct Rtnetlink(Netlink);

impl Rtnetlink {
    /// Opens one.
    pub fn open() -> Result<Self> {
        Netlink::open(libc::NETLINK_ROUTE)
            .map(Self)
            .map_err(|error| Failure::os("Unable to open a netlink socket", &error))
    }

    /// Sets the loopback interface up.
    pub fn loopback_up(&mut self) -> Result<()> {
        self.up(LOOPBACK)
            .map_err(|refused| crate::refused("Unable to set the loopback interface up", &refused))
    }

    /// Makes a WireGuard interface. This loads the module, for anybody.
    pub fn add_wireguard(&mut self, name: &str, mtu: Option<u32>) -> Answer {
        let mut link = LinkMessage::default();
        link.attributes = vec![
            LinkAttribute::IfName(name.to_owned()),
            LinkAttribute::LinkInfo(vec![LinkInfo::Kind(InfoKind::Wireguard)]),
        ];
        link.attributes.extend(mtu.map(LinkAttribute::Mtu));
        self.ask(RouteNetlinkMessage::NewLink(link), NEW)
    }

    /// Deletes an interface.
    pub fn delete(&mut self, index: u32) -> Answer {
        let mut link = LinkMessage::default();
        link.header.index = index;
        self.ask(RouteNetlinkMessage::DelLink(link), 0)
    }

    /// Sets an interface up.
    pub fn up(&mut self, index: u32) -> Answer {
        let mut link = LinkMessage::default();
        link.header.index = index;
        link.header.flags = LinkFlags::Up;
        link.header.change_mask = LinkFlags::Up;
        self.ask(RouteNetlinkMessage::SetLink(link), 0)
    }

    /// Gives an interface an address, with the network that is on the link.
    pub fn add_address(&mut self, index: u32, address: IpNet) -> Answer {
        let mut message = AddressMessage::default();
        message.header.family = family(address);
        message.header.prefix_len = address.prefix_len();
        message.header.index = index;
        message.attributes = vec![
            AddressAttribute::Local(address.addr()),
            AddressAttribute::Address(address.addr()),
        ];
        self.ask(RouteNetlinkMessage::NewAddress(message), NEW)
    }

    /// Routes a network through an interface.
    pub fn add_route(&mut self, index: u32, network: IpNet, table: u32) -> Answer {
        let mut message = RouteMessage::default();
        message.header.address_family = family(network);
        message.header.destination_prefix_length = network.prefix_len();
        // A larger number is in the attribute only.
        message.header.table = u8::try_from(table).unwrap_or(RouteHeader::RT_TABLE_UNSPEC);
        message.header.protocol = RouteProtocol::Boot;
        message.header.scope = match network {
            IpNet::V4(_) => RouteScope::Link,
            IpNet::V6(_) => RouteScope::Universe,
        };
        message.header.kind = RouteType::Unicast;
        message.attributes = vec![
            RouteAttribute::Oif(index),
            RouteAttribute::Table(table),
            RouteAttribute::Destination(network.network().into()),
        ];
        self.ask(RouteNetlinkMessage::NewRoute(message), NEW)
    }

    fn ask(&mut self, request: RouteNetlinkMessage, flags: u16) -> Answer {
        let mut payload = vec![0; request.buffer_len()];
        request.emit(&mut payload);
        let flags = NLM_F_REQUEST | NLM_F_ACK | flags;
        let mut message = Message::rtnl(request.message_type(), flags, &payload);
        self.0.ask(&mut message, |_| Ok(())).map(|_| ())
    }
}

fn family(network: IpNet) -> AddressFamily {
    match network {
        IpNet::V4(_) => AddressFamily::Inet,
        IpNet::V6(_) => AddressFamily::Inet6,
    }
}
