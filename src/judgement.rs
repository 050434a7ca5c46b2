// SPDX-License-Identifier: GPL-2.0

//! Who may have the sockets of a device where: from what the device is, what a request asks for,
//! what its sender holds and what the sockets are that she shows, to a plan or a refusal.
//!
//! Nothing here knows a kernel, so that all of it can be tried on the host. The driver gathers the
//! facts, and carries the plan out or passes the refusal on (`transit.rs`). The rules are those of
//! `docs/transit.md`.

// Public for tests on the host.
#![allow(unreachable_pub)]

use core::ffi::CStr;

/// IP versions.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Version {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// Whose sockets a device has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Owner {
    /// The kernel's own, as the in-tree module has them: open while the interface is up.
    Root,
    /// Of the task that showed the credentials, as if it had opened them itself: open until they
    /// are replaced.
    Caller,
}

/// Where the number of a port comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PortOrigin {
    /// A request named it.
    Asked,
    /// The kernel picked it, in the transit netns that the device has now.
    PickedHere,
    /// The kernel picked it in another one, or has yet to pick one.
    PickedElsewhere,
}

/// What decides about the sockets of a device.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct State {
    /// The port to listen on; 0: the kernel is to pick one.
    pub port: u16,
    /// Where its number comes from.
    pub port_origin: PortOrigin,
    /// The firewall mark, whether packets carry it or not.
    pub mark: u32,
    /// Whether whoever set the mark or moved the device last held CAP_NET_ADMIN over the transit
    /// netns.
    pub mark_authorised: bool,
    /// Whose its sockets are, or will be.
    pub owner: Owner,
}

impl State {
    /// Of a new device.
    pub const NEW: Self = Self {
        port: 0,
        port_origin: PortOrigin::PickedElsewhere,
        mark: 0,
        mark_authorised: true,
        owner: Owner::Root,
    };

    /// The mark that packets carry: none but an authorised one.
    pub fn applied_mark(&self) -> u32 {
        if self.mark_authorised {
            self.mark
        } else {
            0
        }
    }
}

/// The transit netns that a request names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Target {
    /// The one that the device has.
    Same,
    /// Another one, or one for a device that has none any more.
    Other,
}

/// What keeps the holder of a socket from making a tunnel socket of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Restriction {
    /// bind() gave it a port or an address.
    BoundByHand,
    /// SO_BINDTODEVICE.
    TiedToDevice,
    /// SO_LOCK_FILTER.
    FilterLocked,
    /// SO_MARK.
    Marked,
    /// shutdown() for sending.
    Shut,
    /// An IPsec policy of its own.
    Policy,
}

/// A socket that is shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Credential {
    /// Whether it is a plain UDP socket of the IP version that it is shown for.
    pub is_udp: bool,
    /// Whether it lives in the transit netns that results.
    pub is_there: bool,
    /// What keeps its holder from making a tunnel socket of it.
    pub restriction: Option<Restriction>,
}

/// What a request says about sockets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Requested {
    /// The transit netns.
    pub net: Option<Target>,
    /// The port to listen on, 0 for any.
    pub port: Option<u16>,
    /// The firewall mark.
    pub mark: Option<u32>,
    /// The credential for IPv4.
    pub v4: Option<Credential>,
    /// The credential for IPv6.
    pub v6: Option<Credential>,
}

/// What is known of the sender, and of the transit netns that results. Rights are asked for where
/// they matter only, since a "no" may be logged.
pub trait Facts {
    /// Whether the sender holds CAP_NET_ADMIN over it.
    fn administers(&mut self) -> bool;
    /// Whether the sender holds CAP_NET_BIND_SERVICE over it.
    fn may_bind_privileged(&mut self) -> bool;
    /// Whether the sender has no more rights than whoever opened the netlink socket.
    fn is_the_opener(&mut self) -> bool;
    /// Whether binding to the port takes a right there.
    fn is_privileged(&self, port: u16) -> bool;
    /// Whether credentials count there (`net.wireguard.transit_credentials`).
    fn credentials_count(&self) -> bool;
    /// Whether the kernel has IPv6.
    fn has_ipv6(&self) -> bool;
}

/// What is to become of the sockets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SocketPlan {
    /// They stay, or there are none.
    Keep,
    /// New ones are made now.
    New(Bind),
    /// Those that there are go, and the next are made when the interface goes up.
    WhenUp,
}

/// How sockets are bound.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bind {
    /// Whose they are.
    pub owner: Owner,
    /// The port; 0: the kernel picks one.
    pub port: u16,
    /// Whether another port does as well, if this one is taken.
    pub may_repick: bool,
}

/// How a request is carried out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Plan {
    /// The device gets another transit netns.
    pub moves: bool,
    /// What becomes of the sockets.
    pub sockets: SocketPlan,
    /// What the device is then, but for the port that the kernel picks.
    pub state: State,
    /// Routes and source addresses are forgotten.
    pub forgets_routes: bool,
    /// The answer warns that the mark is not on the packets.
    pub warns_of_mark: bool,
}

/// What a refusal points at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Culprit {
    /// The port.
    Port,
    /// The firewall mark.
    Mark,
    /// The credential for this version of IP.
    Credential(Version),
}

/// The errno of a refusal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Errno {
    /// `EINVAL`
    Einval,
    /// `EPERM`
    Eperm,
    /// `EACCES`
    Eacces,
    /// `ENONET`
    Enonet,
}

/// Why a request is not carried out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// There is no transit netns that it could be about.
    NoNet(Culprit),
    /// A credential is no plain UDP socket of the version that it is shown for.
    NotUdp(Version),
    /// A credential lives elsewhere.
    NotThere(Version),
    /// Its holder could not make a tunnel socket of a credential.
    Restricted(Version, Restriction),
    /// The netns has credentials switched off.
    SwitchedOff(Version),
    /// A right or credentials are needed, and there is neither.
    NoProof,
    /// Both versions are needed.
    NoCredential(Version),
    /// Credentials are the sender's, and the netlink socket somebody else's.
    Lent,
    /// The port takes CAP_NET_BIND_SERVICE.
    PrivilegedPort,
    /// Packets carry a mark that the sender may not take off.
    MarkApplied,
}

impl Refusal {
    /// The errno that the sender gets.
    pub fn errno(self) -> Errno {
        match self {
            Self::NoNet(_) => Errno::Enonet,
            Self::NotUdp(_) => Errno::Einval,
            Self::PrivilegedPort => Errno::Eacces,
            Self::NotThere(_)
            | Self::Restricted(..)
            | Self::SwitchedOff(_)
            | Self::NoProof
            | Self::NoCredential(_)
            | Self::Lent
            | Self::MarkApplied => Errno::Eperm,
        }
    }

    /// The attribute at fault, if it is one.
    pub fn culprit(self) -> Option<Culprit> {
        match self {
            Self::NoNet(culprit) => Some(culprit),
            Self::NotUdp(version)
            | Self::NotThere(version)
            | Self::Restricted(version, _)
            | Self::SwitchedOff(version) => Some(Culprit::Credential(version)),
            Self::MarkApplied => Some(Culprit::Mark),
            Self::NoProof | Self::NoCredential(_) | Self::Lent | Self::PrivilegedPort => None,
        }
    }

    /// The reason, for the sender.
    pub fn words(self) -> &'static CStr {
        match self {
            Self::NoNet(_) => c"the transit netns is gone: set a new one",
            Self::NotUdp(Version::V4) => c"transit credential for IPv4 is not an IPv4 UDP socket",
            Self::NotUdp(Version::V6) => c"transit credential for IPv6 is not an IPv6 UDP socket",
            Self::NotThere(_) => c"transit credential is not in the transit netns",
            Self::Restricted(_, restriction) => match restriction {
                Restriction::BoundByHand => c"transit credential was bound to an address or port",
                Restriction::TiedToDevice => c"transit credential is tied to a device",
                Restriction::FilterLocked => c"transit credential has a locked filter",
                Restriction::Marked => c"transit credential carries a mark",
                Restriction::Shut => c"transit credential is shut down for sending",
                Restriction::Policy => c"transit credential has an IPsec policy",
            },
            Self::SwitchedOff(_) => c"transit credentials are switched off in the transit netns",
            Self::NoProof => {
                c"needs CAP_NET_ADMIN over the transit netns, or UDP sockets in it as credentials"
            }
            Self::NoCredential(Version::V4) => c"the transit credential for IPv4 is missing",
            Self::NoCredential(Version::V6) => c"the transit credential for IPv6 is missing",
            Self::Lent => c"transit credentials do not count for another one's netlink socket",
            Self::PrivilegedPort => c"the port needs CAP_NET_BIND_SERVICE over the transit netns",
            Self::MarkApplied => {
                c"fwmark is on the packets: to change it takes CAP_NET_ADMIN over the transit netns"
            }
        }
    }
}

impl Requested {
    /// The first of the attributes that make no sense without a transit netns.
    fn first_that_needs_net(&self) -> Option<Culprit> {
        let port = self.port.map(|_| Culprit::Port);
        let mark = self.mark.map(|_| Culprit::Mark);
        let v4 = self.v4.map(|_| Culprit::Credential(Version::V4));
        let v6 = self.v6.map(|_| Culprit::Credential(Version::V6));
        port.or(mark).or(v4).or(v6)
    }

    /// Checks what is shown, needed or not.
    fn check_credentials(&self, facts: &impl Facts) -> Result<(), Refusal> {
        for (version, shown) in [(Version::V4, self.v4), (Version::V6, self.v6)] {
            let Some(shown) = shown else { continue };
            if !shown.is_udp {
                return Err(Refusal::NotUdp(version));
            }
            if !shown.is_there {
                return Err(Refusal::NotThere(version));
            }
            if let Some(restriction) = shown.restriction {
                return Err(Refusal::Restricted(version, restriction));
            }
            if !facts.credentials_count() {
                return Err(Refusal::SwitchedOff(version));
            }
        }
        Ok(())
    }

    /// Checks that all is shown that it takes in place of a right.
    fn prove(&self, facts: &mut impl Facts) -> Result<(), Refusal> {
        match (self.v4, self.v6) {
            (None, None) => Err(Refusal::NoProof),
            (None, Some(_)) => Err(Refusal::NoCredential(Version::V4)),
            (Some(_), None) if facts.has_ipv6() => Err(Refusal::NoCredential(Version::V6)),
            _ if !facts.is_the_opener() => Err(Refusal::Lent),
            _ => Ok(()),
        }
    }
}

/// The port to bind to, and whether another one does as well. One that the kernel picked elsewhere,
/// or under other rules, is nothing to insist on.
fn port_to_bind(
    port: u16,
    origin: PortOrigin,
    may_repick: bool,
    is_privileged: impl FnOnce() -> bool,
) -> Result<(u16, bool), Refusal> {
    if port == 0 || !is_privileged() {
        Ok((port, may_repick))
    } else if origin == PortOrigin::Asked {
        Err(Refusal::PrivilegedPort)
    } else {
        Ok((0, false))
    }
}

/// Judges a request, on the state that it leads to.
///
/// `has_net`: the device has a transit netns.
pub fn judge(
    state: State,
    has_net: bool,
    is_running: bool,
    wish: &Requested,
    facts: &mut impl Facts,
) -> Result<Plan, Refusal> {
    let moves = wish.net == Some(Target::Other);
    if !has_net && !moves {
        return match wish.first_that_needs_net() {
            Some(culprit) => Err(Refusal::NoNet(culprit)),
            None => Ok(Plan {
                moves,
                sockets: SocketPlan::Keep,
                state,
                forgets_routes: false,
                warns_of_mark: false,
            }),
        };
    }
    let new_port = wish.port.filter(|&port| port == 0 || port != state.port);
    let rebinds = moves || new_port.is_some();
    let mark = wish.mark.unwrap_or(state.mark);
    let remarks = mark != state.mark;
    let authorises = wish.mark.is_some() && !state.mark_authorised;
    // Where no mark is on the packets, nor could be, nobody needs a right for it.
    let marks = (remarks || authorises) && (mark != 0 || state.applied_mark() != 0);

    wish.check_credentials(facts)?;
    let admin = (rebinds || marks) && facts.administers();
    if rebinds && !admin {
        wish.prove(facts)?;
    }

    // A move leaves the packets behind that carry the mark.
    if remarks && !moves && !admin && state.applied_mark() != 0 {
        return Err(Refusal::MarkApplied);
    }
    let mark_authorised = if remarks || moves {
        admin
    } else {
        state.mark_authorised || (authorises && admin)
    };

    let origin = match wish.port {
        Some(0) => PortOrigin::PickedElsewhere,
        Some(_) => PortOrigin::Asked,
        None => state.port_origin,
    };
    let mut next = State {
        port: new_port.unwrap_or(state.port),
        port_origin: origin,
        mark,
        mark_authorised,
        owner: state.owner,
    };
    let sockets = if rebinds {
        let (port, may_repick) =
            port_to_bind(next.port, origin, origin != PortOrigin::Asked, || {
                facts.is_privileged(next.port) && !facts.may_bind_privileged()
            })?;
        next.port = port;
        next.owner = if admin { Owner::Root } else { Owner::Caller };
        if is_running || next.owner == Owner::Caller {
            SocketPlan::New(Bind {
                owner: next.owner,
                port,
                may_repick,
            })
        } else {
            SocketPlan::WhenUp
        }
    } else {
        SocketPlan::Keep
    };
    if origin != PortOrigin::Asked {
        match sockets {
            SocketPlan::New(_) => next.port_origin = PortOrigin::PickedHere,
            SocketPlan::WhenUp => next.port_origin = PortOrigin::PickedElsewhere,
            SocketPlan::Keep => (),
        }
    }
    Ok(Plan {
        moves,
        sockets,
        state: next,
        forgets_routes: rebinds || wish.mark.is_some(),
        warns_of_mark: mark != 0 && !mark_authorised && (moves || wish.mark.is_some()),
    })
}

/// How the sockets of an interface are bound that goes up and has none. `may_bind_privileged`:
/// whether whoever has it go up holds CAP_NET_BIND_SERVICE, asked where it matters.
pub fn go_up(
    state: &State,
    is_privileged: bool,
    may_bind_privileged: impl FnOnce() -> bool,
) -> Result<Bind, Refusal> {
    let may_repick = state.port_origin == PortOrigin::PickedElsewhere;
    let (port, may_repick) = port_to_bind(state.port, state.port_origin, may_repick, || {
        is_privileged && !may_bind_privileged()
    })?;
    Ok(Bind {
        owner: Owner::Root,
        port,
        may_repick,
    })
}
