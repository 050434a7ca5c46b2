// SPDX-License-Identifier: GPL-2.0
//! Links, addresses and routes of the network namespace that this process is
//! in when it opens one of these.

use ipnet::IpNet;
use netlink_packet_core::{
    Emitable, Parseable, NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL, NLM_F_REQUEST,
};
use netlink_packet_route::address::{AddressAttribute, AddressMessage};
use netlink_packet_route::link::{InfoKind, LinkAttribute, LinkFlags, LinkInfo, LinkMessage};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteProtocol, RouteScope, RouteType,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use std::net::IpAddr;
use wg::error::{Failure, Result};
use wg::netlink::message::Message;
use wg::netlink::socket::{Netlink, Refused};

type Answer = std::result::Result<(), Refused>;

const NEW: u16 = NLM_F_CREATE | NLM_F_EXCL;
/// The kernel numbers interfaces from here, in each namespace.
pub const LOOPBACK: u32 = 1;

/// An interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its number.
    pub index: u32,
    /// What it is called.
    pub name: String,
    /// The largest packet.
    pub mtu: u32,
    /// Whether it is up.
    pub up: bool,
}

/// A route, as far as it is of interest here.
#[derive(Clone, Debug)]
pub struct Route {
    /// Where it leads; all addresses of a family if it is a default route.
    pub network: IpNet,
    /// By which interface, if it is by one.
    pub link: Option<u32>,
    /// In which table.
    pub table: u32,
    /// The whole of it, by which it can be deleted.
    message: RouteMessage,
}

#[cfg(test)]
impl Route {
    /// One in the main table.
    pub fn to(network: IpNet, link: u32) -> Self {
        Self {
            network,
            link: Some(link),
            table: crate::quick::MAIN_TABLE,
            message: RouteMessage::default(),
        }
    }
}

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
        let message = RouteNetlinkMessage::NewAddress(address_message(index, address));
        self.ask(message, NEW)
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

    /// Takes an address from an interface.
    pub fn delete_address(&mut self, index: u32, address: IpNet) -> Answer {
        let message = RouteNetlinkMessage::DelAddress(address_message(index, address));
        self.ask(message, 0)
    }

    /// Changes the largest packet of an interface.
    pub fn set_mtu(&mut self, index: u32, mtu: u32) -> Answer {
        let mut link = LinkMessage::default();
        link.header.index = index;
        link.attributes = vec![LinkAttribute::Mtu(mtu)];
        self.ask(RouteNetlinkMessage::SetLink(link), 0)
    }

    /// Deletes a route.
    pub fn delete_route(&mut self, route: &Route) -> Answer {
        self.ask(RouteNetlinkMessage::DelRoute(route.message.clone()), 0)
    }

    /// All interfaces.
    pub fn links(&mut self) -> std::result::Result<Vec<Link>, Refused> {
        let request = RouteNetlinkMessage::GetLink(LinkMessage::default());
        self.dump(request, |answer| {
            let message = LinkMessage::parse(answer).ok()?;
            let mut link = Link {
                index: message.header.index,
                name: String::new(),
                mtu: 0,
                up: message.header.flags.contains(LinkFlags::Up),
            };
            for attribute in message.attributes {
                match attribute {
                    LinkAttribute::IfName(name) => link.name = name,
                    LinkAttribute::Mtu(mtu) => link.mtu = mtu,
                    _ => {}
                }
            }
            Some(link)
        })
    }

    /// The addresses of an interface, but for link-local ones that the kernel made.
    pub fn addresses(&mut self, index: u32) -> std::result::Result<Vec<IpNet>, Refused> {
        let request = RouteNetlinkMessage::GetAddress(AddressMessage::default());
        self.dump(request, |answer| {
            let message = AddressMessage::parse(answer).ok()?;
            let found = message
                .attributes
                .iter()
                .find_map(|attribute| match attribute {
                    AddressAttribute::Local(address) => Some(*address),
                    _ => None,
                });
            // IPv6 has no other end.
            let found = found.or_else(|| {
                message
                    .attributes
                    .iter()
                    .find_map(|attribute| match attribute {
                        AddressAttribute::Address(address) => Some(*address),
                        _ => None,
                    })
            })?;
            let net = IpNet::new(found, message.header.prefix_len).ok()?;
            (message.header.index == index).then_some(net)
        })
    }

    /// Routes of both families, but for those that the kernel keeps of the own addresses.
    pub fn routes(&mut self) -> std::result::Result<Vec<Route>, Refused> {
        const LOCAL_TABLE: u32 = 255;
        let mut all = Vec::new();
        for (family, any) in [
            (AddressFamily::Inet, IpAddr::from([0; 4])),
            (AddressFamily::Inet6, IpAddr::from([0; 16])),
        ] {
            let mut request = RouteMessage::default();
            request.header.address_family = family;
            let request = RouteNetlinkMessage::GetRoute(request);
            all.extend(self.dump(request, |answer| {
                let message = RouteMessage::parse(answer).ok()?;
                let mut route = Route {
                    network: IpNet::new(any, 0).ok()?,
                    link: None,
                    table: message.header.table.into(),
                    message,
                };
                for attribute in &route.message.attributes {
                    match attribute {
                        RouteAttribute::Oif(index) => route.link = Some(*index),
                        RouteAttribute::Table(table) => route.table = *table,
                        RouteAttribute::Destination(address) => {
                            let address = match address {
                                RouteAddress::Inet(v4) => IpAddr::from(*v4),
                                RouteAddress::Inet6(v6) => IpAddr::from(*v6),
                                _ => return None,
                            };
                            let bits = route.message.header.destination_prefix_length;
                            route.network = IpNet::new(address, bits).ok()?;
                        }
                        _ => {}
                    }
                }
                let kind = route.message.header.kind;
                let cached = !route.message.header.flags.is_empty()
                    && route
                        .message
                        .header
                        .flags
                        .contains(netlink_packet_route::route::RouteFlags::Cloned);
                (route.table != LOCAL_TABLE && kind == RouteType::Unicast && !cached)
                    .then_some(route)
            })?);
        }
        Ok(all)
    }

    /// Asks for a list. What cannot be understood is left out of it.
    fn dump<T>(
        &mut self,
        request: RouteNetlinkMessage,
        mut take: impl FnMut(&[u8]) -> Option<T>,
    ) -> std::result::Result<Vec<T>, Refused> {
        let mut payload = vec![0; request.buffer_len()];
        request.emit(&mut payload);
        loop {
            let flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_DUMP;
            let mut message = Message::rtnl(request.message_type(), flags, &payload);
            let mut list = Vec::new();
            let reply = self.0.ask(&mut message, |answer| {
                list.extend(take(answer));
                Ok(())
            })?;
            if !reply.interrupted {
                return Ok(list);
            }
        }
    }

    fn ask(&mut self, request: RouteNetlinkMessage, flags: u16) -> Answer {
        let mut payload = vec![0; request.buffer_len()];
        request.emit(&mut payload);
        let flags = NLM_F_REQUEST | NLM_F_ACK | flags;
        let mut message = Message::rtnl(request.message_type(), flags, &payload);
        self.0.ask(&mut message, |_| Ok(())).map(|_| ())
    }
}

fn address_message(index: u32, address: IpNet) -> AddressMessage {
    let mut message = AddressMessage::default();
    message.header.family = family(address);
    message.header.prefix_len = address.prefix_len();
    message.header.index = index;
    message.attributes = vec![
        AddressAttribute::Local(address.addr()),
        AddressAttribute::Address(address.addr()),
    ];
    message
}

fn family(network: IpNet) -> AddressFamily {
    match network {
        IpNet::V4(_) => AddressFamily::Inet,
        IpNet::V6(_) => AddressFamily::Inet6,
    }
}
