// SPDX-License-Identifier: GPL-2.0

//! The sockets of a device, the namespace that they live in, and the move to another one.
//!
//! Whoever has rights over a device need not have any where its packets leave. What a request may do
//! is judged in `judgement`, on facts that are gathered here, before anything changes; then the plan
//! is carried out. See `docs/transit.md`.

use crate::{
    device::{Config, Dev, Device},
    handshake,
    judgement::{
        self, Bind, Culprit, Errno, Facts, Owner, PortOrigin, Refusal, Requested, Target, Version,
    },
    kernel::{
        caps::{self, Caller},
        credential::ShownSocket,
        debug,
        errno::{EADDRINUSE, ENOBUFS, ENONET},
        genl::{Attr, Extack, Request},
        net::{self, Net},
        once::impl_has_static,
        rcu::{self, RcuArc},
        rtnl::Rtnl,
        sysctl::{NetSysctl, SysctlPath},
        udp::{self, Denied, MaySend, Sockets},
        waiter::Waiter,
    },
    peer::Peer,
    protocol::timers::{Host, Timer},
    send,
    timers::PeerTimers,
    uapi::*,
};
use core::sync::atomic::{AtomicU64, Ordering};
use kernel::{prelude::*, str::CStr, sync::Arc};

/// What packets leave by. Readers see all of it or all of another one.
pub(crate) struct Transit {
    pub(crate) sockets: Arc<Sockets<Device>>,
    /// The mark that packets carry.
    pub(crate) mark: u32,
    /// Higher than that of every other one before, unless it is for the same sockets or for those that
    /// the interface had before it went down: routes and sources that belong to another do not apply.
    pub(crate) generation: u64,
}

impl Transit {
    fn new(sockets: Arc<Sockets<Device>>, mark: u32, generation: u64) -> Result<KBox<Self>> {
        let transit = Self {
            sockets,
            mark,
            generation,
        };
        Ok(KBox::new(transit, GFP_KERNEL)?)
    }
}

/// The next generation of sockets.
pub(crate) fn new_generation() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// Whether credentials count in a namespace, for its owner to say:
/// `net.wireguard.transit_credentials`.
pub(crate) struct CredentialsSysctl;

impl_has_static! {
    CredentialsSysctl: NetSysctl<CredentialsSysctl>;
}

impl SysctlPath for CredentialsSysctl {
    const FOLDER: &'static CStr = c"net/wireguard";
    const NAME: &'static CStr = c"transit_credentials";
}

/// Makes sockets; a port that nobody asked for may be exchanged for another one.
fn bind(dev: &Dev, net: &Net, how: Bind) -> Result<Arc<Sockets<Device>>, Denied> {
    let sockets = match Sockets::bind(dev, net, how.owner, how.port) {
        Err(Denied(_, EADDRINUSE)) if how.may_repick && how.port != 0 => {
            Sockets::bind(dev, net, how.owner, 0)?
        }
        result => result?,
    };
    Arc::new(sockets, GFP_KERNEL).map_err(|_| Denied(Version::V4, ENOMEM))
}

/// Notes that the sockets of a device are other ones.
fn note_sockets(dev: &Dev, rtnl: &Rtnl, config: &mut Config, sockets: &Arc<Sockets<Device>>) {
    config.state.port = sockets.v4().port();
    if config.state.port_origin != PortOrigin::Asked {
        config.state.port_origin = PortOrigin::PickedHere;
    }
    config.carried_before = dev.netdev().totals(rtnl).unwrap_or_default();
    // Closed here, if nobody is sending by them any more.
    config.sockets = Some(sockets.clone());
}

/// Has an interface that goes up send by its sockets, which are made unless they are open.
pub(crate) fn open(dev: &Dev, rtnl: &Rtnl, config: &mut Config) -> Result {
    let net = dev.transit_net(rtnl).ok_or(ENONET)?;
    let (sockets, new) = match &config.sockets {
        Some(sockets) => (sockets.clone(), false),
        None => {
            let privileged = net.is_privileged_port(config.state.port);
            let may = || caps::current_may_bind_privileged(&net);
            let how = judgement::go_up(&config.state, privileged, may)
                .map_err(|refusal| errno_of(refusal.errno()))?;
            let sockets = bind(dev, &net, how).map_err(|Denied(version, error)| {
                debug::no_socket(dev.netdev(), version);
                error
            })?;
            (sockets, true)
        }
    };
    let mark = config.state.applied_mark();
    let transit = Transit::new(sockets.clone(), mark, config.transit_generation)?;
    if new {
        config.state.owner = Owner::Root;
        note_sockets(dev, rtnl, config, &sockets);
    }
    drop(dev.transit.swap(Some(transit)).wait());
    Ok(())
}

/// Has an interface that goes down send no more. Sockets that credentials bought stay open.
pub(crate) fn close(dev: &Dev, config: &mut Config) {
    if dev.transit.swap(None).wait().is_none() {
        // Whoever saw the interface up is done with that, as it is where sockets had users.
        rcu::synchronize();
    }
    match &config.sockets {
        Some(sockets) if sockets.are_tasks() => sockets.wake_all(),
        _ => config.sockets = None,
    }
}

/// Closes the sockets for good: their namespace or the device ends.
pub(crate) fn end(dev: &Dev, config: &mut Config) {
    drop(dev.transit.swap(None).wait());
    config.sockets = None;
}

/// Has a peer that has died wait no more for room in a send buffer.
pub(crate) fn cancel_waiting(config: &Config, peer: &RcuArc<Peer>) {
    if let Some(sockets) = &config.sockets {
        Waiter::cancel(peer, sockets);
    }
}

/// What a request says about sockets.
pub(crate) struct SocketRequest<'a> {
    net: Option<Net>,
    port: Option<(u16, Attr<'a>)>,
    mark: Option<(u32, Attr<'a>)>,
    v4: Option<(ShownSocket, Attr<'a>)>,
    v6: Option<(ShownSocket, Attr<'a>)>,
}

/// Refuses, with a reason that points at an attribute.
fn refuse<'a, T>(
    extack: Extack<'a>,
    attr: Attr<'a>,
    error: Error,
    reason: &'static CStr,
) -> Result<T> {
    extack.say_of(attr, reason);
    Err(error)
}

fn errno_of(errno: Errno) -> Error {
    match errno {
        Errno::Einval => EINVAL,
        Errno::Eperm => EPERM,
        Errno::Eacces => EACCES,
        Errno::Enonet => ENONET,
    }
}

impl<'a> SocketRequest<'a> {
    /// Reads it from a request. Descriptors and processes are looked up here, once, so that what
    /// is judged is what is used.
    pub(crate) fn of(request: &Request<'a>) -> Result<Self> {
        let shown = |number| Self::shown(request, number);
        let port = request.attr(WGDEVICE_A_LISTEN_PORT);
        let mark = request.attr(WGDEVICE_A_FWMARK);
        Ok(Self {
            net: Self::net(request)?,
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

    fn net(request: &Request<'a>) -> Result<Option<Net>> {
        let extack = request.extack();
        let fd = request.attr(WGDEVICE_A_TRANSIT_NETNS_FD);
        let pid = request.attr(WGDEVICE_A_TRANSIT_NETNS_PID);
        match (fd, pid) {
            (Some(_), Some(pid)) => {
                let reason = c"transit netns given both by fd and by PID";
                refuse(extack, pid, EINVAL, reason)
            }
            (Some(fd), None) => match Net::of_fd(fd.u32()?) {
                Ok(net) => Ok(Some(net)),
                Err(EBADF) => refuse(extack, fd, EBADF, c"transit netns fd is not open"),
                Err(error) => {
                    let reason = c"transit netns fd is no network namespace";
                    refuse(extack, fd, error, reason)
                }
            },
            (None, Some(pid)) => match Net::of_pid(pid.u32()?) {
                Ok(net) => Ok(Some(net)),
                Err(error) => {
                    let reason = c"no process with the PID given for the transit netns";
                    refuse(extack, pid, error, reason)
                }
            },
            (None, None) => Ok(None),
        }
    }

    fn shown(request: &Request<'a>, number: u32) -> Result<Option<(ShownSocket, Attr<'a>)>> {
        let extack = request.extack();
        let Some(attr) = request.attr(number) else {
            return Ok(None);
        };
        match ShownSocket::of_fd(attr.u32()?) {
            Ok(socket) => Ok(Some((socket, attr))),
            Err(EBADF) => refuse(extack, attr, EBADF, c"transit credential fd is not open"),
            Err(error) => refuse(extack, attr, error, c"transit credential is not a socket"),
        }
    }

    fn credential(&self, version: Version) -> Option<&(ShownSocket, Attr<'a>)> {
        match version {
            Version::V4 => self.v4.as_ref(),
            Version::V6 => self.v6.as_ref(),
        }
    }

    /// What is judged, given the namespace that the device has and the one that results.
    fn wish(&self, before: Option<&Net>, net: Option<&Net>) -> Requested {
        let facts = |version| {
            let (socket, _) = self.credential(version)?;
            Some(socket.facts(version, net))
        };
        Requested {
            net: self.net.as_ref().map(|new| match before {
                Some(old) if old.same(new) => Target::Same,
                _ => Target::Other,
            }),
            port: self.port.map(|(port, _)| port),
            mark: self.mark.map(|(mark, _)| mark),
            v4: facts(Version::V4),
            v6: facts(Version::V6),
        }
    }

    /// The attribute that a refusal points at.
    fn culprit(&self, culprit: Culprit) -> Option<Attr<'a>> {
        match culprit {
            Culprit::Port => self.port.map(|(_, attr)| attr),
            Culprit::Mark => self.mark.map(|(_, attr)| attr),
            Culprit::Credential(version) => self.credential(version).map(|&(_, attr)| attr),
        }
    }

    fn refuse(&self, refusal: Refusal, extack: Extack<'a>) -> Error {
        match refusal.culprit().and_then(|culprit| self.culprit(culprit)) {
            Some(attr) => extack.say_of(attr, refusal.words()),
            None => extack.say(refusal.words()),
        }
        errno_of(refusal.errno())
    }

    /// Asks what no look at a socket can tell: whether its holder, who sends the request, may send
    /// where the device will send.
    fn probe(&self, net: &Net, owner: Owner, extack: Extack<'a>) -> Result {
        for version in [Version::V4, Version::V6] {
            let Some(&(_, attr)) = self.credential(version) else {
                continue;
            };
            let answer = udp::may_send(net, version)
                .map_err(|error| explain(Denied(version, error), owner, extack))?;
            match answer {
                MaySend::No(error) => {
                    let reason =
                        c"a security module does not let this task send by UDP where it likes";
                    return refuse(extack, attr, error, reason);
                }
                // Such a program is asked by sendmsg(2) alone, which no tunnel calls.
                MaySend::Ruled if owner == Owner::Caller => {
                    extack.say(
                        c"a BPF program of the cgroup rules over where this task may connect or send",
                    );
                    return Err(EPERM);
                }
                MaySend::Ruled | MaySend::Yes => (),
            }
        }
        Ok(())
    }
}

/// What the judgement asks about the sender and the transit namespace that results. Rights are asked
/// for once, since a "no" may be logged.
struct SenderFacts<'a> {
    caller: Caller<'a>,
    net: Option<&'a Net>,
}

impl Facts for SenderFacts<'_> {
    fn administers(&mut self) -> bool {
        self.net.is_some_and(|net| self.caller.may_administer(net))
    }

    fn may_bind_privileged(&mut self) -> bool {
        self.net
            .is_some_and(|net| self.caller.may_bind_privileged(net))
    }

    fn is_the_opener(&mut self) -> bool {
        self.caller.is_one()
    }

    fn is_privileged(&self, port: u16) -> bool {
        self.net.is_some_and(|net| net.is_privileged_port(port))
    }

    fn credentials_count(&self) -> bool {
        self.net.is_some_and(NetSysctl::<CredentialsSysctl>::is_on)
    }

    fn has_ipv6(&self) -> bool {
        net::has_ipv6()
    }
}

/// Says why there are no sockets.
fn explain(Denied(_, error): Denied, owner: Owner, extack: Extack<'_>) -> Error {
    match error {
        EADDRINUSE => extack.say(c"the port is taken in the transit netns"),
        // For want of memory, files or sockets.
        ENOMEM | ENFILE | ENOBUFS => (),
        _ if owner == Owner::Caller => extack.say(
            c"a security module or a BPF program of the cgroup does not let this task have the sockets",
        ),
        _ => (),
    }
    error
}

/// Carries out what a request says about sockets, all of it or nothing.
pub(crate) fn apply<'a>(
    dev: &Dev,
    rtnl: &Rtnl,
    config: &mut Config,
    change: SocketRequest<'a>,
    caller: Caller<'_>,
    extack: Extack<'a>,
) -> Result {
    let before = dev.transit_net(rtnl);
    let net = change.net.as_ref().or(before.as_ref());
    let wish = change.wish(before.as_ref(), net);
    let is_running = dev.netdev().is_running();
    let plan = judgement::judge(
        config.state,
        before.is_some(),
        is_running,
        &wish,
        &mut SenderFacts { caller, net },
    )
    .map_err(|refusal| change.refuse(refusal, extack))?;
    let Some(net) = net else {
        return Ok(());
    };

    // Everything that can fail, before anything changes.
    let buyer = match plan.sockets {
        judgement::SocketPlan::New(how) => how.owner,
        judgement::SocketPlan::Keep | judgement::SocketPlan::WhenUp => Owner::Root,
    };
    change.probe(net, buyer, extack)?;
    if let judgement::SocketPlan::New(Bind {
        owner: Owner::Caller,
        port,
        ..
    }) = plan.sockets
    {
        if port != 0 && !udp::may_name(net, port) {
            extack.say(c"a task under no_new_privs may have a port of the local range only");
            return Err(EACCES);
        }
    }
    let new = match plan.sockets {
        judgement::SocketPlan::New(how) => {
            let made = bind(dev, net, how);
            Some(made.map_err(|denied| explain(denied, how.owner, extack))?)
        }
        judgement::SocketPlan::Keep | judgement::SocketPlan::WhenUp => None,
    };
    let mark = plan.state.applied_mark();
    let replaces =
        plan.sockets != judgement::SocketPlan::Keep || mark != config.state.applied_mark();
    let generation = if replaces {
        new_generation()
    } else {
        config.transit_generation
    };
    let transit = match new.as_ref().or(config.sockets.as_ref()) {
        Some(sockets) if is_running && replaces => {
            Some(Transit::new(sockets.clone(), mark, generation)?)
        }
        _ => None,
    };

    // From here on nothing fails.
    if plan.warns_of_mark {
        extack.say(
            c"fwmark is kept but not applied: that needs CAP_NET_ADMIN over the transit netns",
        );
    }
    config.state = plan.state;
    config.transit_generation = generation;
    if plan.moves {
        dev.set_transit_net(rtnl, net);
        if before.is_none() {
            dev.netdev().set_carrier(rtnl, true);
        }
    }
    if let Some(transit) = transit {
        // Packets leave by the new sockets from here on; the old ones are closed when nobody is
        // sending by them, and deliver what they receive up to then.
        drop(dev.transit.swap(Some(transit)).wait());
    }
    match (&new, plan.sockets) {
        (Some(sockets), _) => note_sockets(dev, rtnl, config, sockets),
        (None, judgement::SocketPlan::WhenUp) => config.sockets = None,
        (None, _) => (),
    }
    if plan.forgets_routes {
        // An IPv6 route must not outlive its namespace. Nobody is sending by the old sockets, so none
        // of these comes back.
        for peer in &config.peers {
            peer.endpoint.forget_source();
        }
    }
    if new.is_some() && is_running {
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
