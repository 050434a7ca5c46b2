// SPDX-License-Identifier: GPL-2.0

//! The sockets of a device, the namespace that they live in, and the move to another one.
//!
//! Whoever has rights over a device need not have any where its packets leave. So everything that
//! decides about sockets is judged here, in one place and before anything changes: see
//! `docs/transit.md`.

use crate::{
    device::{Config, Dev, Device},
    handshake,
    kernel::{
        caps::{self, Caller},
        genl::{Attr, Extack, Request},
        net::{self, Net},
        netdev::Rtnl,
        udp::{Family, Restriction, ShownSocket, UdpSocket, User},
    },
    protocol::timers::{Host, Timer},
    send,
    timers::PeerTimers,
    uapi::*,
};
use core::sync::atomic::{AtomicU64, Ordering};
use kernel::{prelude::*, str::CStr, sync::Arc};

/// What packets leave by. Readers see all of it or all of another one.
pub(crate) struct Transit {
    pub(crate) v4: Arc<UdpSocket<Device>>,
    /// None where the kernel has no IPv6.
    pub(crate) v6: Option<Arc<UdpSocket<Device>>>,
    /// The mark that packets carry.
    pub(crate) mark: u32,
    /// Higher than that of every other one before; routes that were cached for another do not
    /// apply.
    pub(crate) generation: u64,
}

/// As whose the packets of a device's sockets are routed.
#[derive(Clone, Copy)]
pub(crate) struct Users {
    v4: User,
    v6: User,
}

impl Users {
    /// Where nobody else's sockets vouch for those of the device.
    pub(crate) const ROOT: Self = Self {
        v4: User::ROOT,
        v6: User::ROOT,
    };
}

static GENERATION: AtomicU64 = AtomicU64::new(1);

/// How often another port is tried, when the kernel picked one for IPv4 that is taken for IPv6.
const PORT_TRIES: u32 = 100;

impl Transit {
    fn new(
        v4: Arc<UdpSocket<Device>>,
        v6: Option<Arc<UdpSocket<Device>>>,
        mark: u32,
    ) -> Result<KBox<Self>> {
        let generation = GENERATION.fetch_add(1, Ordering::Relaxed);
        let transit = Self {
            v4,
            v6,
            mark,
            generation,
        };
        Ok(KBox::new(transit, GFP_KERNEL)?)
    }

    /// Makes sockets in `net`, bound to `port`, or to one that the kernel picks if that is 0.
    fn bind(dev: &Dev, net: &Net, port: u16, mark: u32, users: Users) -> Result<KBox<Self>> {
        let bind = |family, port| -> Result<_> {
            let user = match family {
                Family::V4 => users.v4,
                Family::V6 => users.v6,
            };
            let socket = UdpSocket::bind(net, family, port, user, dev.get())?;
            Ok(Arc::new(socket, GFP_KERNEL)?)
        };
        let mut tries = PORT_TRIES;
        loop {
            let v4 = bind(Family::V4, port)?;
            if !net::has_ipv6() {
                return Self::new(v4, None, mark);
            }
            match bind(Family::V6, v4.port()) {
                Ok(v6) => return Self::new(v4, Some(v6), mark),
                Err(EADDRINUSE) if port == 0 && tries != 0 => tries = tries.wrapping_sub(1),
                Err(error) => return Err(error),
            }
        }
    }
}

impl Config {
    /// The mark that packets carry: none but an authorised one.
    pub(crate) fn applied_mark(&self) -> u32 {
        applied(self.mark, self.mark_authorised)
    }
}

/// What of a mark packets carry.
fn applied(mark: u32, authorised: bool) -> u32 {
    if authorised {
        mark
    } else {
        0
    }
}

/// Makes the sockets of an interface that goes up.
pub(crate) fn open(dev: &Dev, rtnl: &Rtnl, config: &mut Config) -> Result {
    let net = dev.link_net(rtnl).ok_or(ENONET)?;
    let asked_for = config.port_asked_for;
    let privileged =
        net.is_privileged_port(config.port) && !caps::current_may_bind_privileged(&net);
    let port = allowed_port(config.port, asked_for, privileged).ok_or(EACCES)?;
    let mark = config.applied_mark();
    let transit = bind_or_repick(dev, &net, port, asked_for, mark, config.users)?;
    config.port = transit.v4.port();
    drop(dev.transit.swap(Some(transit)).wait());
    Ok(())
}

/// The port to bind to, given whether it takes a right that the caller lacks: one that the kernel
/// picked before, elsewhere or under other rules, is nothing to insist on.
fn allowed_port(port: u16, asked_for: bool, privileged: bool) -> Option<u16> {
    match (privileged, asked_for) {
        (false, _) => Some(port),
        (true, false) => Some(0),
        (true, true) => None,
    }
}

/// Makes sockets; a port that nobody asked for may be exchanged for another one.
fn bind_or_repick(
    dev: &Dev,
    net: &Net,
    port: u16,
    asked_for: bool,
    mark: u32,
    users: Users,
) -> Result<KBox<Transit>> {
    match Transit::bind(dev, net, port, mark, users) {
        Err(EADDRINUSE) if !asked_for && port != 0 => Transit::bind(dev, net, 0, mark, users),
        result => result,
    }
}

/// What a request says about sockets.
pub(crate) struct Change<'a> {
    net: Option<Net>,
    port: Option<(u16, Attr<'a>)>,
    mark: Option<(u32, Attr<'a>)>,
    v4: Option<(ShownSocket, Attr<'a>)>,
    v6: Option<(ShownSocket, Attr<'a>)>,
}

/// Refuses, with a reason that points at an attribute.
fn refuse<T>(extack: Extack<'_>, attr: Attr<'_>, error: Error, reason: &'static CStr) -> Result<T> {
    extack.say_of(attr, reason);
    Err(error)
}

impl<'a> Change<'a> {
    /// Reads it from a request. Descriptors and processes are looked up here, once, so that what
    /// is judged is what is used.
    pub(crate) fn of(request: &Request<'a>) -> Result<Self> {
        let extack = request.extack();
        let fd = request.attr(WGDEVICE_A_TRANSIT_NETNS_FD);
        let pid = request.attr(WGDEVICE_A_TRANSIT_NETNS_PID);
        let net = match (fd, pid) {
            (Some(_), Some(pid)) => {
                return refuse(
                    extack,
                    pid,
                    EINVAL,
                    c"transit netns given both by fd and by PID",
                );
            }
            (Some(fd), None) => match Net::of_fd(fd.u32()?) {
                Ok(net) => Some(net),
                Err(EBADF) => return refuse(extack, fd, EBADF, c"transit netns fd is not open"),
                Err(error) => {
                    return refuse(
                        extack,
                        fd,
                        error,
                        c"transit netns fd is no network namespace",
                    )
                }
            },
            (None, Some(pid)) => match Net::of_pid(pid.u32()?) {
                Ok(net) => Some(net),
                Err(error) => {
                    return refuse(
                        extack,
                        pid,
                        error,
                        c"no process with the PID given for the transit netns",
                    )
                }
            },
            (None, None) => None,
        };
        let shown = |number| -> Result<_> {
            let Some(attr) = request.attr(number) else {
                return Ok(None);
            };
            match ShownSocket::of_fd(attr.u32()?) {
                Ok(socket) => Ok(Some((socket, attr))),
                Err(EBADF) => refuse(extack, attr, EBADF, c"transit credential fd is not open"),
                Err(error) => refuse(extack, attr, error, c"transit credential is not a socket"),
            }
        };
        let port = request.attr(WGDEVICE_A_LISTEN_PORT);
        let mark = request.attr(WGDEVICE_A_FWMARK);
        Ok(Self {
            net,
            port: port
                .map(|attr| attr.u16().map(|port| (port, attr)))
                .transpose()?,
            mark: mark
                .map(|attr| attr.u32().map(|mark| (mark, attr)))
                .transpose()?,
            v4: shown(WGDEVICE_A_TRANSIT_CREDENTIAL_IPV4)?,
            v6: shown(WGDEVICE_A_TRANSIT_CREDENTIAL_IPV6)?,
        })
    }

    /// The first of the attributes that make no sense without a transit namespace.
    fn first_that_needs_net(&self) -> Option<Attr<'a>> {
        let port = self.port.map(|(_, attr)| attr);
        let mark = self.mark.map(|(_, attr)| attr);
        let v4 = self.v4.as_ref().map(|&(_, attr)| attr);
        let v6 = self.v6.as_ref().map(|&(_, attr)| attr);
        port.or(mark).or(v4).or(v6)
    }

    /// As whose the packets are routed that credentials buy: her who could have sent them by the
    /// sockets that she shows.
    fn users(&self) -> Users {
        let user = |shown: &Option<(ShownSocket, Attr<'_>)>| {
            shown
                .as_ref()
                .map_or(User::ROOT, |(socket, _)| socket.user())
        };
        Users {
            v4: user(&self.v4),
            v6: user(&self.v6),
        }
    }

    /// Checks the credentials that were given, and whether all that are needed are among them.
    fn check_credentials(
        &self,
        net: &Net,
        needed: bool,
        caller: Caller<'_>,
        extack: Extack<'_>,
    ) -> Result {
        for (shown, family) in [(&self.v4, Family::V4), (&self.v6, Family::V6)] {
            if let Some((socket, attr)) = shown {
                check_credential(socket, family, net, extack, *attr)?;
            }
        }
        if !needed {
            return Ok(());
        }
        let missing = match (&self.v4, &self.v6) {
            (None, None) => {
                c"needs CAP_NET_ADMIN over the transit netns, or UDP sockets in it as credentials"
            }
            (None, _) => c"the transit credential for IPv4 is missing",
            (_, None) if net::has_ipv6() => c"the transit credential for IPv6 is missing",
            // They are the sender's, who must not lend them either.
            _ if !caller.is_one() => {
                c"transit credentials do not count for another one's netlink socket"
            }
            _ => return Ok(()),
        };
        extack.say(missing);
        Err(EPERM)
    }
}

/// Checks that whoever shows `socket` could make a tunnel socket of it in `net`.
fn check_credential(
    socket: &ShownSocket,
    family: Family,
    net: &Net,
    extack: Extack<'_>,
    attr: Attr<'_>,
) -> Result {
    if !socket.is_udp(family) {
        let reason = match family {
            Family::V4 => c"transit credential for IPv4 is not an IPv4 UDP socket",
            Family::V6 => c"transit credential for IPv6 is not an IPv6 UDP socket",
        };
        return refuse(extack, attr, EINVAL, reason);
    }
    if !socket.is_in(net) {
        return refuse(
            extack,
            attr,
            EPERM,
            c"transit credential is not in the transit netns",
        );
    }
    let reason = match socket.restriction() {
        None => return Ok(()),
        Some(Restriction::BoundByHand) => c"transit credential was bound to an address or port",
        Some(Restriction::TiedToDevice) => c"transit credential is tied to a device",
        Some(Restriction::FilterLocked) => c"transit credential has a locked filter",
        Some(Restriction::Marked) => c"transit credential carries a mark",
        Some(Restriction::Shut) => c"transit credential is shut down for sending",
        Some(Restriction::Policy) => c"transit credential has an IPsec policy",
    };
    refuse(extack, attr, EPERM, reason)
}

/// Carries out what a request says about sockets, all of it or nothing.
pub(crate) fn apply(
    dev: &Dev,
    rtnl: &Rtnl,
    config: &mut Config,
    change: Change<'_>,
    caller: Caller<'_>,
    extack: Extack<'_>,
) -> Result {
    // What it leads to.
    let before = dev.link_net(rtnl);
    let moves = match (&change.net, &before) {
        (Some(new), Some(old)) => !new.same(old),
        (Some(_), None) => true,
        (None, _) => false,
    };
    let Some(net) = change.net.as_ref().or(before.as_ref()) else {
        return match change.first_that_needs_net() {
            Some(attr) => refuse(
                extack,
                attr,
                ENONET,
                c"the transit netns is gone: set a new one",
            ),
            None => Ok(()),
        };
    };
    let new_port = change
        .port
        .map(|(port, _)| port)
        .filter(|&port| port == 0 || port != config.port);
    let rebinds = moves || new_port.is_some();
    let port = new_port.unwrap_or(config.port);
    let asked_for = match change.port {
        Some((port, _)) => port != 0,
        None => config.port_asked_for,
    };

    // Whether the caller may. Asked only where it matters, since a "no" may be logged.
    let admin = (rebinds || change.mark.is_some()) && caller.may_administer(net);
    change.check_credentials(net, rebinds && !admin, caller, extack)?;
    let privileged = rebinds && net.is_privileged_port(port) && !caller.may_bind_privileged(net);
    let Some(port) = allowed_port(port, asked_for, privileged) else {
        extack.say(c"the port needs CAP_NET_BIND_SERVICE over the transit netns");
        return Err(EACCES);
    };

    // The mark, which no credential buys.
    let mark = change.mark.map_or(config.mark, |(mark, _)| mark);
    let remarks = mark != config.mark;
    let authorised = if remarks || moves {
        admin
    } else {
        config.mark_authorised || (change.mark.is_some() && admin)
    };
    let applied = applied(mark, authorised);
    let unapplied = mark != 0 && !authorised && (change.mark.is_some() || moves);
    let users = match (rebinds, admin) {
        (true, false) => change.users(),
        (true, true) if moves => Users::ROOT,
        _ => config.users,
    };

    // Everything that can fail, before anything changes.
    let transit = if !dev.netdev().is_running() {
        None
    } else if rebinds {
        match bind_or_repick(dev, net, port, asked_for, applied, users) {
            Ok(transit) => Some(transit),
            Err(error) => {
                if error == EADDRINUSE {
                    extack.say(c"the port is taken in the transit netns");
                }
                return Err(error);
            }
        }
    } else if applied != config.applied_mark() {
        let section = kernel::sync::rcu::read_lock();
        let sockets = dev
            .transit
            .load(&section)
            .map(|t| (t.v4.clone(), t.v6.clone()));
        drop(section);
        sockets
            .map(|(v4, v6)| Transit::new(v4, v6, applied))
            .transpose()?
    } else {
        None
    };

    // From here on nothing fails.
    config.port = transit.as_ref().map_or(port, |transit| transit.v4.port());
    config.port_asked_for = asked_for;
    config.mark = mark;
    config.mark_authorised = authorised;
    config.users = users;
    if unapplied {
        extack.say(
            c"fwmark is kept but not applied: that needs CAP_NET_ADMIN over the transit netns",
        );
    }
    if moves {
        dev.set_link_net(rtnl, net);
        if before.is_none() {
            dev.netdev().set_carrier(rtnl, true);
        }
    }
    if let Some(transit) = transit {
        // Packets leave by the new sockets from here on; the old ones are closed when nobody is
        // sending by them, and deliver what they receive up to then.
        drop(dev.transit.swap(Some(transit)).wait());
    }
    if moves {
        // An IPv6 route must not outlive its namespace. Nobody is sending by the old sockets, so none
        // of these comes back.
        for peer in &config.peers {
            peer.endpoint.forget_source();
        }
        dev.netdev().announce_change(rtnl);
    }
    if rebinds && dev.netdev().is_running() {
        announce(config);
    }
    Ok(())
}

/// Tells the peers where the device is now. Their packets go to the old sockets until they hear from
/// the new ones, and it may be long before there is something else to say: what they were sending
/// while the sockets changed is lost. A handshake that waits for an answer waits in vain: it is sent
/// again.
fn announce(config: &Config) {
    for peer in &config.peers {
        if PeerTimers(peer.borrow()).is_armed(Timer::RetransmitHandshake) {
            peer.allow_handshake();
            handshake::queue_initiation(peer, false);
        } else if peer.has_session() {
            send::keepalive(peer);
        }
    }
}
