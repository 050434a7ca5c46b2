// SPDX-License-Identifier: GPL-2.0
//! The values that both the command line and configuration files hold. The
//! parsers here look nothing up: a value that is a name comes back as one.
//! An error is the reason, to be put behind the place where the value stood.

use crate::error::quote;
use crate::model::{AllowedIp, AllowedIpChange};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// A parsed value, or the reason why it is none.
pub type Parsed<T> = Result<T, String>;

/// A UDP port, or the name of a service that the system has to look up.
#[derive(Debug, PartialEq, Eq)]
pub enum Port {
    /// Given as a number.
    Number(u16),
    /// Anything else.
    Service(String),
}

/// An endpoint, or the names that the system has to look up for it.
#[derive(Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// Given as numbers.
    Address(SocketAddr),
    /// Anything else.
    Names {
        /// Host name, or an address in some other spelling.
        host: String,
        /// Port.
        service: String,
    },
}

/// The white space of configuration files, whatever the locale.
pub fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | 9..=13)
}

/// A port: a number or the name of a service.
pub fn port(text: &[u8]) -> Parsed<Port> {
    if text.is_empty() {
        return Err("it is empty; a port is a number from 0 to 65535".into());
    }
    if let Some(number) = plain_port(text) {
        return Ok(Port::Number(number));
    }
    match utf8_name(text) {
        Some(service) => Ok(Port::Service(service)),
        None => Err(format!(
            "{} is neither a number from 0 to 65535 nor the name of a service",
            quote(text)
        )),
    }
}

/// A mark: `off`, or 32 bits in decimal or hexadecimal.
pub fn fwmark(text: &[u8]) -> Parsed<u32> {
    if text.eq_ignore_ascii_case(b"off") {
        return Ok(0);
    }
    let number = match text.strip_prefix(b"0x") {
        Some(hex) => digits(hex, 16),
        None => digits(text, 10),
    };
    number
        .and_then(|number| u32::try_from(number).ok())
        .ok_or_else(|| {
            format!(
                "{} is not a mark; it is `off', or a number up to 4294967295, or 0xffffffff",
                quote(text)
            )
        })
}

/// Seconds between keepalives, or `off`.
pub fn keepalive(text: &[u8]) -> Parsed<u16> {
    if text.eq_ignore_ascii_case(b"off") {
        return Ok(0);
    }
    digits(text, 10)
        .and_then(|number| u16::try_from(number).ok())
        .ok_or_else(|| {
            format!(
                "{} is not an interval; it is `off', or from 1 to 65535 seconds",
                quote(text)
            )
        })
}

/// A host and a port: `HOST:PORT` or `[IPV6]:PORT`.
pub fn endpoint(text: &[u8]) -> Parsed<Endpoint> {
    const WANTED: &str = "an endpoint is HOST:PORT or [IPV6]:PORT";
    if text.is_empty() {
        return Err(format!("it is empty; {WANTED}"));
    }
    let (host, service) = match text.strip_prefix(b"[") {
        Some(rest) => {
            let end = rest
                .iter()
                .position(|&byte| byte == b']')
                .ok_or_else(|| format!("{} has a `[' without its `]'; {WANTED}", quote(text)))?;
            (&rest[..end], rest[end + 1..].strip_prefix(b":"))
        }
        None => match text.iter().rposition(|&byte| byte == b':') {
            Some(colon) => (&text[..colon], Some(&text[colon + 1..])),
            None => (text, None),
        },
    };
    let service = service
        .filter(|service| !service.is_empty())
        .ok_or_else(|| format!("{} has no port; {WANTED}", quote(text)))?;
    if let (Some(addr), Some(port)) = (plain_addr(host), plain_port(service)) {
        return Ok(Endpoint::Address(SocketAddr::new(addr, port)));
    }
    match (std::str::from_utf8(host), std::str::from_utf8(service)) {
        (Ok(host), Ok(service)) => Ok(Endpoint::Names {
            host: host.to_owned(),
            service: service.to_owned(),
        }),
        _ => Err(format!("{} is not UTF-8; {WANTED}", quote(text))),
    }
}

/// A list of ranges as one word gives it.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct AllowedIps {
    /// In the order given.
    pub changes: Vec<AllowedIpChange>,
    /// Whether any had a sign, which makes the list one of changes to what
    /// the peer has rather than its replacement.
    pub incremental: bool,
    /// Ranges with bits set beyond their prefix, which the kernel drops.
    pub host_bits: Vec<String>,
}

/// Ranges separated by commas, each with a `+` or `-` if it is to be added to
/// or removed from what the peer has. White space is gone already.
pub fn allowed_ips(text: &[u8]) -> Parsed<AllowedIps> {
    let mut list = AllowedIps::default();
    if text.is_empty() {
        return Ok(list);
    }
    let entries = text.split(|&byte| byte == b',');
    list.changes.reserve_exact(entries.clone().count());
    for entry in entries {
        let (remove, range) = match entry.first() {
            Some(b'-') => (true, &entry[1..]),
            Some(b'+') => (false, &entry[1..]),
            _ => (false, entry),
        };
        list.incremental |= range.len() != entry.len();
        let ip = allowed_ip(range)?;
        if has_host_bits(&ip) {
            list.host_bits.push(String::from_utf8_lossy(range).into());
        }
        list.changes.push(AllowedIpChange { ip, remove });
    }
    Ok(list)
}

/// One range, `ADDRESS` or `ADDRESS/BITS`.
fn allowed_ip(text: &[u8]) -> Parsed<AllowedIp> {
    let slash = text.iter().position(|&byte| byte == b'/');
    let addr = &text[..slash.unwrap_or(text.len())];
    let addr = plain_addr(addr).ok_or_else(|| {
        if text.is_empty() {
            "there is an empty entry in it; ranges are separated by single commas".to_owned()
        } else {
            format!(
                "{} does not begin with an IP address; a range is such as 10.0.0.0/24 or fd00::/64",
                quote(text)
            )
        }
    })?;
    let widest = if addr.is_ipv4() { 32 } else { 128 };
    let cidr = match slash {
        None => widest,
        Some(slash) => digits(&text[slash + 1..], 10)
            .filter(|&bits| bits <= u64::from(widest))
            .and_then(|bits| u8::try_from(bits).ok())
            .ok_or_else(|| {
                format!(
                    "{} has no prefix length from 0 to {widest} after its `/'",
                    quote(text)
                )
            })?,
    };
    Ok(AllowedIp { addr, cidr })
}

fn has_host_bits(ip: &AllowedIp) -> bool {
    match ip.addr {
        IpAddr::V4(addr) => {
            let host = u32::MAX.checked_shr(ip.cidr.into()).unwrap_or(0);
            u32::from(addr) & host != 0
        }
        IpAddr::V6(addr) => {
            let host = u128::MAX.checked_shr(ip.cidr.into()).unwrap_or(0);
            u128::from(addr) & host != 0
        }
    }
}

/// An address in its usual spelling, without a scope.
fn plain_addr(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?;
    if text.contains(':') {
        text.parse::<Ipv6Addr>().ok().map(IpAddr::V6)
    } else {
        text.parse::<Ipv4Addr>().ok().map(IpAddr::V4)
    }
}

/// A port that needs no looking up.
fn plain_port(text: &[u8]) -> Option<u16> {
    digits(text, 10).and_then(|number| u16::try_from(number).ok())
}

/// Nothing but digits; `None` too for what is beyond 64 bits.
fn digits(text: &[u8], radix: u32) -> Option<u64> {
    if text.is_empty() || !text.iter().all(|&byte| char::from(byte).is_digit(radix)) {
        return None;
    }
    u64::from_str_radix(std::str::from_utf8(text).ok()?, radix).ok()
}

/// Text that the system's name service can be asked for.
fn utf8_name(text: &[u8]) -> Option<String> {
    std::str::from_utf8(text).ok().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports() {
        assert_eq!(port(b"0"), Ok(Port::Number(0)));
        assert_eq!(port(b"065535"), Ok(Port::Number(65535)));
        assert_eq!(port(b"domain"), Ok(Port::Service("domain".into())));
        // The system's parser decides about the odd ones.
        for odd in ["65536", "-1", "+5", " 5", "5x"] {
            assert_eq!(port(odd.as_bytes()), Ok(Port::Service(odd.into())));
        }
        assert!(port(b"").is_err());
        assert!(port(b"\xff").is_err());
    }

    #[test]
    fn marks() {
        assert_eq!(fwmark(b"off"), Ok(0));
        assert_eq!(fwmark(b"OFF"), Ok(0));
        assert_eq!(fwmark(b"0"), Ok(0));
        assert_eq!(fwmark(b"0x0"), Ok(0));
        assert_eq!(fwmark(b"010"), Ok(10));
        assert_eq!(fwmark(b"0xFFffFFff"), Ok(u32::MAX));
        assert_eq!(fwmark(b"4294967295"), Ok(u32::MAX));
        for bad in [
            "",
            "0x",
            "0X1",
            "0x100000000",
            "4294967296",
            "-1",
            "+1",
            "1 ",
            "0x-1",
            "0x0x1",
            "99999999999999999999999",
            "of",
            "offf",
        ] {
            assert!(fwmark(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn keepalives() {
        assert_eq!(keepalive(b"Off"), Ok(0));
        assert_eq!(keepalive(b"65535"), Ok(65535));
        for bad in ["", "65536", "-1", "0x10", "25s", " 25"] {
            assert!(keepalive(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn endpoints() {
        let address = |text: &str| Endpoint::Address(text.parse().unwrap());
        let names = |host: &str, service: &str| Endpoint::Names {
            host: host.into(),
            service: service.into(),
        };
        assert_eq!(endpoint(b"1.2.3.4:5"), Ok(address("1.2.3.4:5")));
        assert_eq!(endpoint(b"[1.2.3.4]:5"), Ok(address("1.2.3.4:5")));
        assert_eq!(endpoint(b"[::1]:5"), Ok(address("[::1]:5")));
        assert_eq!(endpoint(b"::1:5"), Ok(address("[::1]:5")));
        assert_eq!(endpoint(b"a.example:5"), Ok(names("a.example", "5")));
        assert_eq!(endpoint(b"1.2.3.4:ntp"), Ok(names("1.2.3.4", "ntp")));
        assert_eq!(endpoint(b"[fe80::1%lo]:5"), Ok(names("fe80::1%lo", "5")));
        assert_eq!(endpoint(b"1.2.3:70000"), Ok(names("1.2.3", "70000")));
        assert_eq!(endpoint(b":5"), Ok(names("", "5")));
        for bad in [
            "", "host", "host:", "[::1", "[::1]", "[::1]5", "[::1]:", "[", ":",
        ] {
            assert!(endpoint(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn ranges() {
        let list = allowed_ips(b"10.0.0.1,fd00::/8,0.0.0.0/0,::/0").unwrap();
        assert_eq!(list.changes.len(), 4);
        assert_eq!(list.changes[0].ip.cidr, 32);
        assert!(!list.incremental && list.host_bits.is_empty());
        assert_eq!(allowed_ips(b"").unwrap(), AllowedIps::default());

        let list = allowed_ips(b"10.0.0.0/8,-10.0.0.0/24,+::1").unwrap();
        assert!(list.incremental);
        assert_eq!(
            list.changes
                .iter()
                .map(|change| change.remove)
                .collect::<Vec<_>>(),
            [false, true, false]
        );
        for bad in [
            ",",
            "10.0.0.0/8,",
            "10.0.0.0/33",
            "::/129",
            "10.0.0.0/",
            "10.0.0.0/8/8",
            "10.0.0/8",
            "010.0.0.0/8",
            "+-10.0.0.0/8",
            "10.0.0.0/+8",
            "/8",
            "fe80::1%lo/64",
            "host",
            "\u{ff}",
            "1:2:3:4:5:6:7:8:9/64",
            "10.0.0.0/99999999999999999999",
        ] {
            assert!(allowed_ips(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn host_bits_are_noticed() {
        for (text, warned) in [
            ("10.0.0.1/24", true),
            ("10.0.0.0/24", false),
            ("10.0.0.1/0", true),
            ("10.0.0.1/32", false),
            ("fd00::1/64", true),
            ("fd00::1/128", false),
            ("::/0", false),
        ] {
            let list = allowed_ips(text.as_bytes()).unwrap();
            assert_eq!(!list.host_bits.is_empty(), warned, "{text}");
        }
    }
}
