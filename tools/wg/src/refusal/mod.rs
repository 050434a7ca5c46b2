// SPDX-License-Identifier: GPL-2.0
//! What to do about a refusal: one sentence for each reason there is.

mod transit;

use crate::error::{errno_text, quote, Failure};
use crate::kernel::set::NotSet;
use crate::model::DeviceChange;
use crate::netlink::socket::Refused;
use crate::packaged::why_not_ours;
use crate::transit::Found;
use crate::uapi::IFNAME_MAX;
use transit::Asked;

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
        let failure = failure
            .and("This kernel's wireguard module cannot move its sockets.")
            .and("transit-netns and transit-credentials need the module that this tool came with; the device is as it was.");
        return why_not_ours()
            .into_iter()
            .flatten()
            .fold(failure, Failure::and);
    }
    let failure = with_kernels_words(failure, refused);
    let asked = Asked {
        change,
        transit,
        attribute: not_set.attribute,
        message: refused.extack.message.as_deref(),
    };
    let advice = asked
        .advice(refused.errno)
        .or_else(|| about_device(name, refused.errno));
    match advice {
        Some(advice) => failure.and(advice),
        None => failure,
    }
}

/// Why the sockets that live here for devices elsewhere could not be listed.
pub fn of_transit(refused: &Refused) -> Failure {
    let failure = Failure::new(format!(
        "Unable to list transit sockets: {}",
        errno_text(refused.errno)
    ));
    let failure = with_kernels_words(failure, refused);
    match refused.errno {
        libc::EPERM => failure
            .and("This takes CAP_NET_ADMIN over this network namespace; try as root."),
        libc::EOPNOTSUPP => failure.and(
            "This kernel's wireguard module cannot move sockets, so no device elsewhere has any here.",
        ),
        libc::EPROTONOSUPPORT => failure.and(NO_MODULE),
        _ => failure,
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

const NO_MODULE: &str = "The kernel has no wireguard module loaded; try `modprobe wireguard'.";

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
        libc::EPROTONOSUPPORT => Some(NO_MODULE.into()),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netlink::extack::ExtAck;
    use crate::transit::{Credentials, TransitNetns};

    fn explained(errno: i32) -> Refused {
        Refused {
            errno,
            extack: ExtAck {
                message: Some("words".into()),
                ..ExtAck::default()
            },
        }
    }

    fn told(errno: i32, change: &DeviceChange) -> String {
        of_set(b"wg0", change, None, &explained(errno).into())
            .lines
            .join("\n")
    }

    fn moving() -> DeviceChange {
        DeviceChange {
            transit_netns: Some(TransitNetns(b"7".to_vec())),
            credentials: Some(Credentials {
                v4: 100,
                v6: Some(101),
            }),
            ..DeviceChange::default()
        }
    }

    #[test]
    fn the_kernels_words_come_before_the_advice() {
        let failure = of_set(b"wg0", &moving(), None, &explained(libc::ENONET).into());
        let [what, why, advice] = &failure.lines[..] else {
            panic!("{failure:?}");
        };
        assert!(what.starts_with("Unable to modify interface: "), "{what}");
        assert_eq!(why, "The kernel says: words");
        assert!(
            advice.contains("transit-netns NAME, PID or PATH"),
            "{advice}"
        );
    }

    #[test]
    fn a_list_of_sockets_is_refused_with_a_reason() {
        for (errno, part) in [
            (libc::EPERM, "CAP_NET_ADMIN over this network namespace"),
            (libc::EOPNOTSUPP, "cannot move sockets, so no device"),
            (libc::EPROTONOSUPPORT, "modprobe wireguard"),
        ] {
            let text = of_transit(&Refused::errno(errno)).lines.join("\n");
            assert!(text.contains(part), "{text}");
        }
    }

    #[test]
    fn without_rights_over_the_device_no_credential_helps() {
        let not_set = Refused::errno(libc::EPERM).into();
        let text = of_set(b"wg0", &moving(), None, &not_set).lines.join("\n");
        assert!(text.contains("CAP_NET_ADMIN over the network namespace of the interface"));
        assert!(!text.contains("transit"));
    }

    #[test]
    fn other_refusals_keep_to_the_device() {
        let change = DeviceChange::default();
        assert!(told(libc::EPERM, &change).contains("try as root"));
        assert!(told(libc::ENODEV, &change).contains("no interface `wg0'"));
        assert!(!told(libc::EINVAL, &change).contains("transit"));
    }

    #[test]
    fn a_module_without_the_feature_is_named() {
        let not_set = NotSet {
            lacks_transit: true,
            ..Refused::errno(libc::EINVAL).into()
        };
        let text = of_set(b"wg0", &moving(), None, &not_set).lines.join("\n");
        assert!(text.contains("wireguard module cannot move its sockets"));
    }
}
