// SPDX-License-Identifier: GPL-2.0
//! Name servers: what is asked for, and the text of resolv.conf.

use crate::quick::entries;
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv6Addr};
use wg::error::quote;

/// More than resolv.conf(5) may sensibly hold.
const LONGEST_DOMAIN: usize = 253;

/// What a file or `--dns` says about names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dns {
    /// Addresses of name servers, maybe with a zone.
    pub servers: Vec<String>,
    /// Domains that short names are looked for in.
    pub search: Vec<String>,
}

impl Dns {
    /// Adds a list of servers and domains.
    pub fn add(&mut self, list: &str) -> Result<(), String> {
        for entry in entries(list) {
            if is_server(entry) {
                self.servers.push(entry.to_owned());
            } else if is_domain(entry) {
                self.search.push(entry.to_owned());
            } else {
                return Err(format!(
                    "{} is neither the address of a server nor a domain",
                    quote(entry.as_bytes())
                ));
            }
        }
        Ok(())
    }

    /// The text of resolv.conf.
    pub fn resolv_conf(&self) -> String {
        let mut text = String::from("# made by wg-rootless\n");
        if !self.search.is_empty() {
            let _ = writeln!(text, "search {}", self.search.join(" "));
        }
        for server in &self.servers {
            let _ = writeln!(text, "nameserver {server}");
        }
        text
    }

    /// What a resolv.conf says, as far as it is of interest here.
    pub fn of_resolv_conf(text: &[u8]) -> Self {
        let mut dns = Self::default();
        for line in String::from_utf8_lossy(text).lines() {
            let mut words = line.split_ascii_whitespace();
            match (words.next(), words) {
                (Some("nameserver"), mut words) => {
                    dns.servers
                        .extend(words.next().filter(|word| is_server(word)).map(Into::into));
                }
                // The last of these lines counts.
                (Some("search" | "domain"), words) => {
                    dns.search = words
                        .filter(|word| is_domain(word))
                        .map(Into::into)
                        .collect();
                }
                _ => {}
            }
        }
        dns
    }
}

/// The address of a server without its zone.
pub fn address_of(server: &str) -> Option<IpAddr> {
    server.split('%').next()?.parse().ok()
}

fn is_server(text: &str) -> bool {
    match text.split_once('%') {
        None => text.parse::<IpAddr>().is_ok(),
        Some((address, zone)) => {
            let allowed = |c: char| c.is_ascii_alphanumeric() || "_=+.-".contains(c);
            address.parse::<Ipv6Addr>().is_ok() && !zone.is_empty() && zone.chars().all(allowed)
        }
    }
}

fn is_domain(text: &str) -> bool {
    text.len() <= LONGEST_DOMAIN
        && text.contains(|c: char| c.is_ascii_alphabetic())
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_programs_read() {
        let mut dns = Dns::default();
        dns.add("10.0.0.1, a.example fd00::1").unwrap();
        dns.add("").unwrap();
        dns.add("b.example").unwrap();
        let text = dns.resolv_conf();
        assert_eq!(
            text,
            "# made by wg-rootless\nsearch a.example b.example\n\
             nameserver 10.0.0.1\nnameserver fd00::1\n"
        );
        assert_eq!(Dns::of_resolv_conf(text.as_bytes()), dns);
    }

    #[test]
    fn resolv_conf_of_others() {
        let dns = Dns::of_resolv_conf(
            b"; x\n\xff\nnameserver 127.0.0.53 # x\n nameserver fe80::1%eth0\nnameserver\n\
              nameserver $(x)\ndomain a.example\nsearch b.example c;d e.example\noptions ndots:2\n",
        );
        assert_eq!(dns.servers, ["127.0.0.53", "fe80::1%eth0"]);
        assert_eq!(dns.search, ["b.example", "e.example"]);
        assert_eq!(address_of("fe80::1%eth0"), "fe80::1".parse().ok());
    }
}
