// SPDX-License-Identifier: GPL-2.0

//! The rules of the transit netns once more, each for itself: whether one forbids a request, and
//! what each says of how a request is carried out. They have no order, and what is written here
//! depends on none.

use crate::cases::Case;
use wireguard_protocol::judgement::{
    Bind, Credential, Culprit, Errno, Owner, Plan, PortOrigin, Refusal, SocketPlan, State, Target,
    Version,
};

/// What the words of the rules mean in a case.
impl Case {
    pub fn moves(&self) -> bool {
        matches!(self.wish.net, Some(Target::Other))
    }

    /// Whether a transit netns results.
    pub fn ends_in_a_net(&self) -> bool {
        self.has_net || self.moves()
    }

    /// The same port is no change, but "any" always is one.
    pub fn changes_port(&self) -> bool {
        match self.wish.port {
            None => false,
            Some(0) => true,
            Some(port) => port != self.state.port,
        }
    }

    pub fn changes_mark(&self) -> bool {
        self.wish.mark.is_some_and(|mark| mark != self.state.mark)
    }

    /// Whether it takes a right over the netns that results, or credentials for it.
    pub fn takes_proof(&self) -> bool {
        self.moves() || self.changes_port()
    }

    pub fn is_valid(&self, shown: Credential) -> bool {
        shown.is_udp
            && shown.is_there
            && shown.restriction.is_none()
            && self.world.credentials_count
    }

    /// Whether the sender shows all that it takes.
    pub fn proves(&self) -> bool {
        let valid = |shown: Option<Credential>| shown.is_some_and(|shown| self.is_valid(shown));
        valid(self.wish.v4)
            && (valid(self.wish.v6) || !self.world.has_ipv6)
            && self.world.is_the_opener
    }

    /// The port that results, unless it has to be another one.
    pub fn resulting_port(&self) -> u16 {
        self.wish.port.unwrap_or(self.state.port)
    }

    /// Whether somebody asked for the port that results.
    pub fn port_is_asked_for(&self) -> bool {
        match self.wish.port {
            Some(port) => port != 0,
            None => self.state.port_origin == PortOrigin::Asked,
        }
    }

    /// Whether the sender could not bind to the port that results.
    pub fn port_is_out_of_reach(&self) -> bool {
        let port = self.resulting_port();
        port != 0 && self.world.is_privileged(port) && !self.world.may_bind_privileged
    }

    /// Whether packets carry the mark now.
    pub fn mark_is_on_packets(&self) -> bool {
        self.state.mark_authorised && self.state.mark != 0
    }

    fn credential(&self, version: Version) -> Option<Credential> {
        match version {
            Version::V4 => self.wish.v4,
            Version::V6 => self.wish.v6,
        }
    }
}

/// Each is something that forbids a request.
mod forbids {
    use super::Case;

    /// There is no netns that a port, a mark or credentials could be for.
    pub fn no_net(case: &Case) -> bool {
        let wish = &case.wish;
        !case.ends_in_a_net()
            && (wish.port.is_some()
                || wish.mark.is_some()
                || wish.v4.is_some()
                || wish.v6.is_some())
    }

    /// A credential that is given is checked, needed or not. Where they are switched off, none is
    /// good.
    pub fn bad_credential(case: &Case) -> bool {
        let shown = [case.wish.v4, case.wish.v6].into_iter().flatten();
        case.ends_in_a_net() && shown.into_iter().any(|shown| !case.is_valid(shown))
    }

    /// Another netns or another port takes the right or credentials.
    pub fn no_proof(case: &Case) -> bool {
        case.ends_in_a_net() && case.takes_proof() && !case.world.administers && !case.proves()
    }

    /// A mark that is on the packets may be changed only by who may set it. After a move it is on
    /// none.
    pub fn mark_on_packets(case: &Case) -> bool {
        case.ends_in_a_net()
            && case.mark_is_on_packets()
            && case.changes_mark()
            && !case.moves()
            && !case.world.administers
    }

    /// A port that takes a right is exchanged if the kernel picked it, and insisted on if not.
    pub fn privileged_port(case: &Case) -> bool {
        case.ends_in_a_net()
            && case.takes_proof()
            && case.port_is_asked_for()
            && case.port_is_out_of_reach()
    }
}

pub fn is_forbidden(case: &Case) -> bool {
    forbids::no_net(case)
        || forbids::bad_credential(case)
        || forbids::no_proof(case)
        || forbids::mark_on_packets(case)
        || forbids::privileged_port(case)
}

/// Whether a refusal tells the truth. Where more than one thing is wrong, any of them will do.
pub fn is_true(refusal: Refusal, case: &Case) -> bool {
    let wish = &case.wish;
    let in_net = case.ends_in_a_net();
    let asks_in_vain = in_net && case.takes_proof() && !case.world.administers;
    let shown = |version| case.credential(version).filter(|_| in_net);
    match refusal {
        Refusal::NoNet(culprit) => {
            !in_net
                && match culprit {
                    Culprit::Port => wish.port.is_some(),
                    Culprit::Mark => wish.mark.is_some(),
                    Culprit::Credential(version) => case.credential(version).is_some(),
                }
        }
        Refusal::NotUdp(version) => shown(version).is_some_and(|shown| !shown.is_udp),
        Refusal::NotThere(version) => shown(version).is_some_and(|shown| !shown.is_there),
        Refusal::Restricted(version, restriction) => {
            shown(version).is_some_and(|shown| shown.restriction == Some(restriction))
        }
        Refusal::SwitchedOff(version) => shown(version).is_some() && !case.world.credentials_count,
        Refusal::NoProof => asks_in_vain && wish.v4.is_none() && wish.v6.is_none(),
        Refusal::NoCredential(Version::V4) => {
            asks_in_vain && wish.v4.is_none() && wish.v6.is_some()
        }
        Refusal::NoCredential(Version::V6) => {
            asks_in_vain && wish.v6.is_none() && wish.v4.is_some() && case.world.has_ipv6
        }
        Refusal::Lent => asks_in_vain && !case.world.is_the_opener,
        Refusal::PrivilegedPort => forbids::privileged_port(case),
        Refusal::MarkApplied => forbids::mark_on_packets(case),
    }
}

/// The errno of each, by what the documentation says is wrong.
pub fn errno(refusal: Refusal) -> Errno {
    match refusal {
        // Port, mark or credentials for a device without a transit netns.
        Refusal::NoNet(_) => Errno::Enonet,
        // Credentials of another family, type or protocol.
        Refusal::NotUdp(_) => Errno::Einval,
        // Credentials in another netns, under a restriction, or switched off.
        Refusal::NotThere(_) => Errno::Eperm,
        Refusal::Restricted(..) => Errno::Eperm,
        Refusal::SwitchedOff(_) => Errno::Eperm,
        // Neither CAP_NET_ADMIN nor all credentials, or another's netlink socket.
        Refusal::NoProof => Errno::Eperm,
        Refusal::NoCredential(_) => Errno::Eperm,
        Refusal::Lent => Errno::Eperm,
        // A privileged port without CAP_NET_BIND_SERVICE.
        Refusal::PrivilegedPort => Errno::Eacces,
        // A mark that is on the packets, changed without CAP_NET_ADMIN.
        Refusal::MarkApplied => Errno::Eperm,
    }
}

/// What a plan gets wrong, if anything.
pub fn what_is_wrong(case: &Case, plan: &Plan) -> Option<&'static str> {
    let checks: [(&'static str, bool); 8] = [
        ("moves", plan.moves == case.moves()),
        ("the sockets", sockets_are_right(case, plan.sockets)),
        ("the owner", plan.state.owner == owner(case)),
        ("the port", plan.state.port == port(case)),
        (
            "where the port is from",
            plan.state.port_origin == port_origin(case),
        ),
        ("the mark", mark_is_right(case, &plan.state)),
        ("the warning", plan.warns_of_mark == warns_of_mark(case)),
        (
            "forgetting routes",
            forgetting_is_right(case, plan.forgets_routes),
        ),
    ];
    checks
        .into_iter()
        .find(|check| !check.1)
        .map(|check| check.0)
}

/// Sockets that are bought are made at once, also where the device is down; others wait until it
/// comes up.
fn are_made_now(case: &Case) -> bool {
    case.takes_proof() && (case.is_running || !case.world.administers)
}

fn sockets_are_right(case: &Case, sockets: SocketPlan) -> bool {
    match sockets {
        SocketPlan::Keep => !case.takes_proof(),
        SocketPlan::WhenUp => case.takes_proof() && !are_made_now(case),
        SocketPlan::New(Bind {
            owner: whose,
            port: number,
            may_repick,
        }) => {
            are_made_now(case)
                && whose == owner(case)
                && number == port(case)
                // For no port in particular it does not matter.
                && (number == 0 || may_repick != case.port_is_asked_for())
        }
    }
}

/// Sockets become hers when she buys them, and stop being hers when they are replaced.
fn owner(case: &Case) -> Owner {
    if !case.takes_proof() {
        case.state.owner
    } else if case.world.administers {
        Owner::Root
    } else {
        Owner::Caller
    }
}

/// It goes along, unless the kernel picked it and it takes a right here.
fn port(case: &Case) -> u16 {
    if case.takes_proof() && case.port_is_out_of_reach() {
        0
    } else {
        case.resulting_port()
    }
}

/// Whether it is insisted on later. A port that was asked for is, also if the kernel had
/// picked the same one before.
fn port_origin(case: &Case) -> PortOrigin {
    if case.port_is_asked_for() {
        PortOrigin::Asked
    } else if !case.takes_proof() {
        case.state.port_origin
    } else if are_made_now(case) {
        PortOrigin::PickedHere
    } else {
        PortOrigin::PickedElsewhere
    }
}

/// The device keeps the mark, and packets carry it if whoever last set it or moved the device held
/// CAP_NET_ADMIN. Who may not, and asks for the mark that is there already, sets none. Of no mark
/// at all it does not matter who set it.
fn mark_is_right(case: &Case, after: &State) -> bool {
    let authorised = if case.moves() || case.changes_mark() {
        case.world.administers
    } else {
        let sets = case.wish.mark.is_some() && case.world.administers;
        case.state.mark_authorised || sets
    };
    let mark = case.wish.mark.unwrap_or(case.state.mark);
    after.mark == mark
        && (mark == 0 || after.mark_authorised == authorised)
        && after.applied_mark() == if authorised { mark } else { 0 }
}

/// Whoever sets a mark that is not put onto packets is told so, and whoever takes one off by a
/// move.
fn warns_of_mark(case: &Case) -> bool {
    let mark = case.wish.mark.unwrap_or(case.state.mark);
    let held = case.world.administers
        || case.mark_is_on_packets() && !case.changes_mark() && !case.moves();
    (case.moves() || case.wish.mark.is_some()) && mark != 0 && !held
}

/// A move leaves routes behind, and who sets a mark wants new ones. The rules leave open what
/// another port means for them.
fn forgetting_is_right(case: &Case, forgets: bool) -> bool {
    let must = case.moves() || case.wish.mark.is_some();
    if must || !case.changes_port() {
        forgets == must
    } else {
        true
    }
}
