// SPDX-License-Identifier: GPL-2.0
//! What becomes of names where a file has no name servers: they are looked up
//! as outside, which may be around the tunnel, or not possible at all.

use crate::dns::{address_of, Dns};
use crate::nsswitch;
use crate::textfile;
use ipnet::IpNet;
use std::path::Path;

/// A daemon that answers from outside, the service that asks it, and its socket.
/// nscd is asked before any service.
const DAEMONS: [(&str, Option<&[u8]>, &str); 3] = [
    (
        "systemd-resolved",
        Some(b"resolve"),
        "/run/systemd/resolve/io.systemd.Resolve",
    ),
    ("nscd", None, "/run/nscd/socket"),
    ("sssd", Some(b"sss"), "/var/lib/sss/pipes/nss"),
];
const ADVICE: &str = "`--dns ADDRESS', or a line `DNS =', has a server asked through the tunnel";

/// What to tell about names, on this machine. The tunnel leads to these networks.
pub fn advise(routed: &[IpNet]) -> Option<String> {
    let nsswitch = textfile::read("/etc/nsswitch.conf")
        .or_else(|_| textfile::read("/usr/etc/nsswitch.conf"))
        .unwrap_or_default();
    let daemon = DAEMONS.iter().find(|(_, service, socket)| {
        service.is_none_or(|service| nsswitch::uses(&nsswitch, service))
            && Path::new(socket).exists()
    });
    let resolv_conf = textfile::read("/etc/resolv.conf").unwrap_or_default();
    let servers = Dns::of_resolv_conf(&resolv_conf).servers;
    told(daemon.map(|(name, ..)| *name), &servers, routed)
}

fn told(daemon: Option<&str>, servers: &[String], routed: &[IpNet]) -> Option<String> {
    if let Some(daemon) = daemon {
        return Some(format!(
            "there is no name server in the file: names are looked up outside of the tunnel, by {daemon}; {ADVICE}"
        ));
    }
    let reached = |server: &String| {
        address_of(server).is_some_and(|address| {
            !address.is_loopback() && routed.iter().any(|net| net.contains(&address))
        })
    };
    if servers.iter().any(reached) {
        return None;
    }
    let which = match servers {
        [] => "/etc/resolv.conf has none".to_owned(),
        [server, ..] => format!("{server} of /etc/resolv.conf is not reached through the tunnel"),
    };
    Some(format!(
        "there is no name server in the file and {which}: names cannot be looked up; {ADVICE}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_becomes_of_names() {
        let all: Vec<IpNet> = vec!["0.0.0.0/0".parse().unwrap()];
        let some: Vec<IpNet> = vec!["10.0.0.0/8".parse().unwrap()];
        let servers = |list: &[&str]| list.iter().map(|&s| s.to_owned()).collect::<Vec<_>>();
        let public = servers(&["9.9.9.9"]);
        let text = told(Some("nscd"), &public, &all).unwrap();
        assert!(text.contains("outside of the tunnel, by nscd") && text.contains("--dns"));
        assert_eq!(told(None, &public, &all), None);
        assert_eq!(
            told(None, &servers(&["127.0.0.1", "10.1.1.1"]), &some),
            None
        );
        for (servers, routed) in [
            (servers(&["127.0.0.53"]), &all),
            (public, &some),
            (servers(&["fe80::1%eth0"]), &all),
            (servers(&[]), &all),
        ] {
            let text = told(None, &servers, routed).unwrap();
            assert!(
                text.contains("cannot be looked up") && text.contains("--dns"),
                "{text}"
            );
        }
    }
}
