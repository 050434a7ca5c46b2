// SPDX-License-Identifier: GPL-2.0

//! What a request says about sockets, and what there is to know of its sender.

use super::CredentialsSysctl;
use crate::{
    judgement::{Culprit, Errno, Facts, Owner, Refusal, Requested, Target, Version},
    kernel::{
        caps::Caller,
        credential::ShownSocket,
        errno::{EADDRINUSE, ENOBUFS, ENONET},
        genl::{Attr, Extack, Request},
        net::{self, Net},
        sysctl::NetSysctl,
        udp::{self, Denied, MaySend},
    },
    uapi::*,
};
use kernel::{prelude::*, str::CStr};

/// What a request says about sockets.
pub(crate) struct SocketRequest<'a> {
    pub(super) net: Option<Net>,
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

/// The code of a refusal.
pub(super) fn errno_of(errno: Errno) -> Error {
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
    pub(super) fn requested(&self, before: Option<&Net>, net: Option<&Net>) -> Requested {
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

    /// Says why it is refused, pointing at what is.
    pub(super) fn refuse(&self, refusal: Refusal, extack: Extack<'a>) -> Error {
        match refusal.culprit().and_then(|culprit| self.culprit(culprit)) {
            Some(attr) => extack.say_of(attr, refusal.words()),
            None => extack.say(refusal.words()),
        }
        errno_of(refusal.errno())
    }

    /// Asks what no look at a socket can tell: whether its holder, who sends the request, may send
    /// where the device will send.
    pub(super) fn probe(&self, net: &Net, owner: Owner, extack: Extack<'a>) -> Result {
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
pub(super) struct SenderFacts<'a> {
    pub(super) caller: Caller<'a>,
    pub(super) net: Option<&'a Net>,
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
pub(super) fn explain(Denied(_, error): Denied, owner: Owner, extack: Extack<'_>) -> Error {
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
