// SPDX-License-Identifier: GPL-2.0
//! Refusals that are about the transit netns, its port, mark and credentials.

use crate::error::errno_text;
use crate::model::DeviceChange;
use crate::transit::{how_to_open, Credentials, Found};
use crate::uapi::{
    WGDEVICE_A_FWMARK, WGDEVICE_A_TRANSIT_CREDENTIAL_IPV4, WGDEVICE_A_TRANSIT_CREDENTIAL_IPV6,
    WGDEVICE_A_TRANSIT_NETNS_FD, WGDEVICE_A_TRANSIT_NETNS_PID,
};

/// What was asked for, and how the kernel refused it.
pub struct Asked<'a> {
    pub change: &'a DeviceChange,
    pub transit: Option<&'a Found>,
    pub attribute: Option<u16>,
    /// The kernel's reason. It always gives one where the transit netns is the
    /// reason, and none where the caller lacks rights over the device.
    pub message: Option<&'a str>,
}

impl Asked<'_> {
    /// Advice about the transit netns, if the refusal can be about that.
    pub fn advice(&self, errno: i32) -> Option<String> {
        if self.message == Some(HOOK_REFUSES) {
            return Some(refused_by_a_hook(errno));
        }
        if self.message == Some(LOCAL_RANGE) {
            return Some(format!(
                "{} is none that a sandbox of this task, which cannot be asked, would surely allow:                  choose a listen-port of net.ipv4.ip_local_port_range, such as 51820 where that was \
                 not changed, or 0 for any.",
                self.port()
            ));
        }
        match errno {
            libc::EBADF => self.closed_fd(),
            libc::ENOTSOCK => Some(format!("{} {}", self.credential_is("no socket"), WANTED)),
            libc::ESRCH => Some(format!(
                "transit-netns: there is no process {}; it is counted as in the PID namespace of wg.",
                self.netns_word()
            )),
            libc::EINVAL => self.wrong_kind(),
            libc::EPERM => self.not_permitted(),
            libc::EACCES if self.is_about_credential() => Some(
                "A security module of this host, such as Landlock, does not let this task send by \
                 UDP where it likes: start the tunnel from outside of that sandbox."
                    .into(),
            ),
            libc::EACCES => Some(format!(
                "{} is reserved in the transit netns: choose one from \
                 net.ipv4.ip_unprivileged_port_start up (1024 unless set), or get CAP_NET_BIND_SERVICE there.",
                self.port()
            )),
            libc::EADDRINUSE => Some(format!(
                "{} is taken in the transit netns: choose another listen-port, or 0 for any.",
                self.port()
            )),
            libc::ENONET => Some(
                "The transit netns of this device is gone: give it a new one in the same command, \
                 transit-netns NAME, PID or PATH."
                    .into(),
            ),
            _ => None,
        }
    }

    fn closed_fd(&self) -> Option<String> {
        match self.attribute {
            Some(WGDEVICE_A_TRANSIT_NETNS_FD) => {
                Some("transit-netns: the kernel found nothing behind it.".into())
            }
            Some(WGDEVICE_A_TRANSIT_CREDENTIAL_IPV6) => {
                let fd = self.credentials()?.v6?;
                Some(format!(
                    "transit-credentials: fd {fd} is not open here. {}",
                    how_to_open(fd)
                ))
            }
            _ => {
                let fd = self.credentials()?.v4;
                Some(format!(
                    "transit-credentials: an fd is not open here. {}",
                    how_to_open(fd)
                ))
            }
        }
    }

    fn wrong_kind(&self) -> Option<String> {
        match self.attribute {
            Some(WGDEVICE_A_TRANSIT_NETNS_FD | WGDEVICE_A_TRANSIT_NETNS_PID) => Some(format!(
                "transit-netns: {} leads to no network namespace; give a name of `ip netns', \
                 a PID, or a path such as /proc/PID/ns/net.",
                self.netns_word()
            )),
            Some(WGDEVICE_A_TRANSIT_CREDENTIAL_IPV4) => Some(format!(
                "{} {WANTED}",
                self.credential_is("no IPv4 UDP socket")
            )),
            Some(WGDEVICE_A_TRANSIT_CREDENTIAL_IPV6) => Some(format!(
                "{} {WANTED}",
                self.credential_is("no IPv6 UDP socket")
            )),
            _ => {
                self.credentials()?;
                Some(format!("{} {WANTED}", self.credential_is("no UDP socket")))
            }
        }
    }

    fn not_permitted(&self) -> Option<String> {
        let bad = |fd: u32| {
            format!(
                "transit-credentials: fd {fd} proves nothing about this transit netns: the socket \
                 must have been opened in it, and be bound to no port, address or device and have no mark and no locked filter."
            )
        };
        match self.message {
            None => return None,
            Some(SWITCHED_OFF) => {
                return Some(
                    "transit-credentials: none counts in this transit netns, where the sysctl \
                     net.wireguard.transit_credentials is 0; only the owner of that netns can set it to 1."
                        .into(),
                )
            }
            Some(BPF_RULES) => {
                return Some(
                    "Such a program cannot rule over a tunnel: run the command from a cgroup \
                     without one, or ask whoever administers this host."
                        .into(),
                )
            }
            Some(_) => {}
        }
        if self.attribute == Some(WGDEVICE_A_FWMARK) {
            return Some(
                "fwmark: the device may keep the mark that it has (a file for setconf has to name \
                 it); any other takes CAP_NET_ADMIN over the transit netns, so run the command \
                 with that right, or ask the administrator of that netns."
                    .into(),
            );
        }
        match (self.credentials(), self.attribute) {
            (None, _) if !self.touches_transit() => None,
            (None, _) => Some(
                "Without CAP_NET_ADMIN over the transit netns this takes proof: pass \
                 transit-credentials FD4,FD6, two UDP sockets that were opened there."
                    .into(),
            ),
            (Some(Credentials { v6: Some(fd), .. }), Some(WGDEVICE_A_TRANSIT_CREDENTIAL_IPV6)) => {
                Some(bad(fd))
            }
            (Some(Credentials { v4, .. }), Some(WGDEVICE_A_TRANSIT_CREDENTIAL_IPV4)) => {
                Some(bad(v4))
            }
            // The kernel would point at one that is given.
            (Some(Credentials { v6: None, .. }), _) => {
                Some("The credential for IPv6 is missing: pass transit-credentials FD4,FD6.".into())
            }
            (Some(Credentials { v4, v6: Some(_) }), _) => Some(bad(v4)),
        }
    }

    fn touches_transit(&self) -> bool {
        self.transit.is_some() || self.change.listen_port.is_some()
    }

    fn is_about_credential(&self) -> bool {
        matches!(
            self.attribute,
            Some(WGDEVICE_A_TRANSIT_CREDENTIAL_IPV4 | WGDEVICE_A_TRANSIT_CREDENTIAL_IPV6)
        )
    }

    fn credentials(&self) -> Option<Credentials> {
        self.change.credentials
    }

    fn credential_is(&self, what: &str) -> String {
        let fd = match (self.credentials(), self.attribute) {
            (Some(Credentials { v6: Some(fd), .. }), Some(WGDEVICE_A_TRANSIT_CREDENTIAL_IPV6)) => {
                format!("fd {fd}")
            }
            (Some(Credentials { v4, .. }), Some(WGDEVICE_A_TRANSIT_CREDENTIAL_IPV4)) => {
                format!("fd {v4}")
            }
            (Some(Credentials { v4, v6: None }), _) => format!("fd {v4}"),
            _ => "one of the fds".to_owned(),
        };
        format!("transit-credentials: {fd} is {what}.")
    }

    fn netns_word(&self) -> String {
        match &self.change.transit_netns {
            Some(netns) => netns.to_string(),
            None => "it".to_owned(),
        }
    }

    fn port(&self) -> String {
        match self.change.listen_port {
            Some(port) if port != 0 => format!("Port {port}"),
            _ => "The port of the device".to_owned(),
        }
    }
}

const WANTED: &str = "The first is an IPv4 UDP socket, the second an IPv6 one: FD4,FD6.";

/// The kernel's words where errno and attribute could mean something else too.
const SWITCHED_OFF: &str = "transit credentials are switched off in the transit netns";
const BPF_RULES: &str =
    "a BPF program of the cgroup rules over where this task may connect or send";
const HOOK_REFUSES: &str =
    "a security module or a BPF program of the cgroup does not let this task have the sockets";

const LOCAL_RANGE: &str = "a task under no_new_privs may have a port of the local range only";

/// The errno is whatever the hook chose.
fn refused_by_a_hook(errno: i32) -> String {
    format!(
        "A hook of this host said \"{}\" to the sockets. It may be a security module (SELinux, \
         AppArmor, Landlock, BPF) or a BPF program of the cgroup (as for SocketBindDeny= of \
         systemd): ask whoever administers it, or start the tunnel from outside of its reach.",
        errno_text(errno)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transit::TransitNetns;
    use crate::uapi::WGDEVICE_A_LISTEN_PORT;

    fn advice(
        errno: i32,
        attribute: Option<u16>,
        change: &DeviceChange,
        message: &str,
    ) -> Option<String> {
        let transit = change.transit_netns.as_ref().map(|_| Found::Pid(7));
        let asked = Asked {
            change,
            transit: transit.as_ref(),
            attribute,
            message: Some(message),
        };
        asked.advice(errno)
    }

    fn moving(credentials: Option<Credentials>) -> DeviceChange {
        DeviceChange {
            transit_netns: Some(TransitNetns(b"7".to_vec())),
            listen_port: Some(53),
            credentials,
            ..DeviceChange::default()
        }
    }

    const BOTH: Option<Credentials> = Some(Credentials {
        v4: 100,
        v6: Some(101),
    });
    const ONE: Option<Credentials> = Some(Credentials { v4: 100, v6: None });

    #[test]
    fn every_row_of_the_table_has_a_sentence() {
        let fd = Some(WGDEVICE_A_TRANSIT_NETNS_FD);
        let v4 = Some(WGDEVICE_A_TRANSIT_CREDENTIAL_IPV4);
        let v6 = Some(WGDEVICE_A_TRANSIT_CREDENTIAL_IPV6);
        let mark = Some(WGDEVICE_A_FWMARK);
        let port = Some(WGDEVICE_A_LISTEN_PORT);
        for (errno, attribute, credentials, part) in [
            (libc::EBADF, v6, BOTH, "fd 101 is not open here"),
            (libc::EBADF, None, BOTH, "an fd is not open here"),
            (libc::EBADF, fd, None, "found nothing behind it"),
            (libc::EINVAL, fd, None, "leads to no network namespace"),
            (libc::EINVAL, v4, BOTH, "fd 100 is no IPv4 UDP socket"),
            (libc::EINVAL, v6, BOTH, "fd 101 is no IPv6 UDP socket"),
            (libc::EINVAL, None, BOTH, "one of the fds is no UDP socket"),
            (libc::ENOTSOCK, v6, BOTH, "fd 101 is no socket"),
            (libc::ESRCH, None, None, "no process `7'"),
            (libc::EPERM, None, None, "pass transit-credentials FD4,FD6"),
            (libc::EPERM, v6, ONE, "credential for IPv6 is missing"),
            (libc::EPERM, v6, BOTH, "fd 101 proves nothing"),
            (libc::EPERM, v4, BOTH, "fd 100 proves nothing"),
            (libc::EPERM, None, ONE, "credential for IPv6 is missing"),
            (libc::EPERM, mark, None, "keep the mark that it has"),
            (libc::EPERM, mark, BOTH, "keep the mark that it has"),
            (libc::EACCES, None, BOTH, "Port 53 is reserved"),
            (libc::EACCES, port, None, "Port 53 is reserved"),
            (libc::EACCES, v4, BOTH, "outside of that sandbox"),
            (libc::EACCES, v6, BOTH, "outside of that sandbox"),
            (libc::EADDRINUSE, None, BOTH, "Port 53 is taken"),
            (libc::ENONET, None, None, "gone"),
        ] {
            let text = advice(errno, attribute, &moving(credentials), "words").unwrap();
            assert!(text.contains(part), "{text}");
        }
    }

    #[test]
    fn words_tell_what_errno_and_attribute_do_not() {
        let v4 = Some(WGDEVICE_A_TRANSIT_CREDENTIAL_IPV4);
        let v6 = Some(WGDEVICE_A_TRANSIT_CREDENTIAL_IPV6);
        for (errno, attribute, message, part) in [
            (libc::EPERM, v4, SWITCHED_OFF, "transit_credentials is 0"),
            (libc::EPERM, v6, SWITCHED_OFF, "transit_credentials is 0"),
            (libc::EPERM, None, BPF_RULES, "a cgroup without one"),
            (libc::EPERM, None, HOOK_REFUSES, "Operation not permitted"),
            (libc::EPERM, v4, HOOK_REFUSES, "Operation not permitted"),
            (libc::EACCES, None, HOOK_REFUSES, "Permission denied"),
            (libc::EACCES, v6, HOOK_REFUSES, "Permission denied"),
            (libc::ENOMEM, None, HOOK_REFUSES, "Cannot allocate memory"),
            (libc::EINVAL, None, HOOK_REFUSES, "Invalid argument"),
            (
                libc::EACCES,
                None,
                LOCAL_RANGE,
                "listen-port of net.ipv4.ip_local_port_range",
            ),
        ] {
            let text = advice(errno, attribute, &moving(BOTH), message).unwrap();
            assert!(text.contains(part), "{text}");
            let hook = text.contains("SELinux");
            assert_eq!(hook, message == HOOK_REFUSES, "{text}");
        }
    }

    #[test]
    fn a_mark_needs_no_move_to_be_refused() {
        let change = DeviceChange {
            fwmark: Some(0),
            ..DeviceChange::default()
        };
        let text = advice(libc::EPERM, Some(WGDEVICE_A_FWMARK), &change, "words").unwrap();
        assert!(
            text.contains("CAP_NET_ADMIN over the transit netns"),
            "{text}"
        );
        assert_eq!(advice(libc::EPERM, None, &change, "words"), None);
    }
}
