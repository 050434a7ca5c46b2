// SPDX-License-Identifier: GPL-2.0
//! What to do about a refusal: one sentence for each reason there is.

use crate::error::{errno_text, quote, Failure};
use crate::kernel::set::NotSet;
use crate::model::DeviceChange;
use crate::netlink::socket::Refused;
use crate::transit::{how_to_open, Credentials, Found};
use crate::uapi::{
    IFNAME_MAX, WGDEVICE_A_TRANSIT_CREDENTIAL_IPV4, WGDEVICE_A_TRANSIT_CREDENTIAL_IPV6,
    WGDEVICE_A_TRANSIT_NETNS_FD, WGDEVICE_A_TRANSIT_NETNS_PID,
};

/// The errno of an error, or the one for an answer that makes no sense.
pub fn errno_of(error: &std::io::Error) -> i32 {
    error.raw_os_error().unwrap_or(libc::EPROTO)
}

/// Why a device could not be read.
pub fn of_get(what: &str, name: &[u8], refused: &Refused) -> Failure {
    let failure = Failure::new(format!("{what}: {}", errno_text(refused.errno)));
    let failure = with_kernels_words(failure, refused);
    match about_device(name, refused.errno) {
        Some(advice) => failure.and(advice),
        None => failure,
    }
}

/// Why a device could not be changed.
pub fn of_set(
    name: &[u8],
    change: &DeviceChange,
    transit: Option<&Found>,
    not_set: &NotSet,
) -> Failure {
    let refused = &not_set.refused;
    let failure = Failure::new(format!(
        "Unable to modify interface: {}",
        errno_text(refused.errno)
    ));
    if not_set.lacks_transit {
        return failure
            .and("This kernel's wireguard module cannot move its sockets.")
            .and("transit-netns and transit-credentials need the module that this tool came with; the device is as it was.");
    }
    let failure = with_kernels_words(failure, refused);
    let asked = Asked {
        change,
        transit,
        attribute: not_set.attribute,
        explained: refused.extack.message.is_some(),
    };
    let advice = asked
        .about_transit(refused.errno)
        .or_else(|| about_device(name, refused.errno));
    match advice {
        Some(advice) => failure.and(advice),
        None => failure,
    }
}

/// Transit words for a device that is no kernel's.
pub fn userspace_has_no_transit() -> Failure {
    Failure::new(format!(
        "Unable to modify interface: {}",
        errno_text(libc::EOPNOTSUPP)
    ))
    .and(
        "This is a userspace device, which cannot move its sockets; start it where they are to be.",
    )
}

fn with_kernels_words(failure: Failure, refused: &Refused) -> Failure {
    match &refused.extack.message {
        Some(message) => failure.and(format!("The kernel says: {message}")),
        None => failure,
    }
}

/// Advice about errors that any command may run into.
fn about_device(name: &[u8], errno: i32) -> Option<String> {
    match errno {
        libc::ENODEV => Some(format!(
            "There is no interface {} here; `wg show interfaces' lists those there are, \
             `ip link add NAME type wireguard' makes one.",
            quote(name)
        )),
        libc::EOPNOTSUPP => Some(format!("{} is not a WireGuard interface.", quote(name))),
        libc::EPROTONOSUPPORT => {
            Some("The kernel has no wireguard module loaded; try `modprobe wireguard'.".into())
        }
        libc::EPERM => Some(
            "This takes CAP_NET_ADMIN over the network namespace of the interface; try as root."
                .into(),
        ),
        libc::ENAMETOOLONG => Some(format!(
            "Names of interfaces have at most {IFNAME_MAX} characters."
        )),
        _ => None,
    }
}

struct Asked<'a> {
    change: &'a DeviceChange,
    transit: Option<&'a Found>,
    attribute: Option<u16>,
    /// Whether the kernel gave a reason. It always does where the transit netns
    /// is the reason, and it does not where the caller lacks rights over the
    /// device.
    explained: bool,
}

impl Asked<'_> {
    /// Advice about the transit netns, if the refusal can be about that.
    fn about_transit(&self, errno: i32) -> Option<String> {
        match errno {
            libc::EBADF => self.closed_fd(),
            libc::ENOTSOCK => Some(format!("{} {}", self.credential_is("no socket"), WANTED)),
            libc::ESRCH => Some(format!(
                "transit-netns: there is no process {}; it is counted as in the PID namespace of wg.",
                self.netns_word()
            )),
            libc::EINVAL => self.wrong_kind(),
            libc::EPERM => self.not_permitted(),
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
        if !self.explained {
            return None;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netlink::extack::ExtAck;
    use crate::transit::TransitNetns;

    fn told(errno: i32, attribute: Option<u16>, change: &DeviceChange) -> String {
        let not_set = NotSet {
            refused: Refused {
                errno,
                extack: ExtAck {
                    message: Some("words".into()),
                    ..ExtAck::default()
                },
            },
            attribute,
            lacks_transit: false,
        };
        let transit = change.transit_netns.as_ref().map(|_| Found::Pid(7));
        of_set(b"wg0", change, transit.as_ref(), &not_set)
            .lines
            .join("\n")
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
            (libc::EACCES, None, BOTH, "Port 53 is reserved"),
            (libc::EADDRINUSE, None, BOTH, "Port 53 is taken"),
            (libc::ENONET, None, None, "gone"),
        ] {
            let text = told(errno, attribute, &moving(credentials));
            assert!(text.contains(part), "{text}");
            assert!(text.contains("The kernel says: words"), "{text}");
            assert!(text.starts_with("Unable to modify interface: "), "{text}");
        }
    }

    #[test]
    fn without_rights_over_the_device_no_credential_helps() {
        let not_set = Refused::errno(libc::EPERM).into();
        let text = of_set(b"wg0", &moving(BOTH), None, &not_set)
            .lines
            .join("\n");
        assert!(text.contains("CAP_NET_ADMIN over the network namespace of the interface"));
        assert!(!text.contains("transit"));
    }

    #[test]
    fn other_refusals_keep_to_the_device() {
        let change = DeviceChange::default();
        assert!(told(libc::EPERM, None, &change).contains("try as root"));
        assert!(told(libc::ENODEV, None, &change).contains("no interface `wg0'"));
        assert!(!told(libc::EINVAL, None, &change).contains("transit"));
    }

    #[test]
    fn a_module_without_the_feature_is_named() {
        let not_set = NotSet {
            lacks_transit: true,
            ..Refused::errno(libc::EINVAL).into()
        };
        let text = of_set(b"wg0", &moving(BOTH), None, &not_set)
            .lines
            .join("\n");
        assert!(text.contains("wireguard module cannot move its sockets"));
    }
}
