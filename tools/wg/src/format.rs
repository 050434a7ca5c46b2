// SPDX-License-Identifier: GPL-2.0
//! How single values look, exactly as wg(8) has always shown them.

use crate::model::AllowedIp;
use crate::terminal::Paint;
use crate::zone::Zones;
use std::fmt::{self, Display, Write};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// An address in the C library's spelling. It differs from Rust's for IPv6
/// addresses that begin with 96 zero bits, the last 32 of which look like IPv4.
pub struct Ip(pub IpAddr);

impl Display for Ip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            IpAddr::V6(addr) => match ipv4_compatible(addr) {
                Some(bytes) => {
                    f.write_str("::")?;
                    f.write_str(dotted(bytes, &mut [0; 15]))
                }
                None => write!(f, "{addr}"),
            },
            IpAddr::V4(addr) => f.write_str(dotted(addr.octets(), &mut [0; 15])),
        }
    }
}

/// IPv4 without the detours of std's formatting: a device may have a hundred
/// thousand of these.
fn dotted(bytes: [u8; 4], buf: &mut [u8; 15]) -> &str {
    let mut len = 0;
    let mut push = |byte| {
        buf[len] = byte;
        len += 1;
    };
    for (index, byte) in bytes.into_iter().enumerate() {
        if index > 0 {
            push(b'.');
        }
        if byte >= 100 {
            push(b'0' + byte / 100);
        }
        if byte >= 10 {
            push(b'0' + byte / 10 % 10);
        }
        push(b'0' + byte % 10);
    }
    std::str::from_utf8(&buf[..len]).unwrap_or_default()
}

fn ipv4_compatible(addr: Ipv6Addr) -> Option<[u8; 4]> {
    let segments = addr.segments();
    let compatible = segments[..6].iter().all(|&segment| segment == 0) && segments[6] != 0;
    let [.., a, b, c, d] = addr.octets();
    compatible.then_some([a, b, c, d])
}

impl Display for AllowedIp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Ip(self.addr).fmt(f)?;
        f.write_char('/')?;
        self.cidr.fmt(f)
    }
}

/// An endpoint: `ADDRESS:PORT`, with brackets around IPv6.
pub struct Endpoint<'a>(pub SocketAddr, pub &'a Zones);

impl Display for Endpoint<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0, self.1) {
            (SocketAddr::V4(v4), _) => write!(f, "{v4}"),
            (SocketAddr::V6(v6), _) if v6.scope_id() == 0 => {
                write!(f, "[{}]:{}", Ip(self.0.ip()), v6.port())
            }
            // Whether the scope has a name is for the system to say.
            (SocketAddr::V6(v6), Zones::Own) => {
                const FLAGS: i32 = libc::NI_DGRAM | libc::NI_NUMERICSERV | libc::NI_NUMERICHOST;
                match dns_lookup::getnameinfo(&self.0, FLAGS) {
                    Ok((host, service)) => write!(f, "[{host}]:{service}"),
                    Err(_) => write!(f, "[{}%{}]:{}", v6.ip(), v6.scope_id(), v6.port()),
                }
            }
            (SocketAddr::V6(v6), zones) => {
                let (ip, zone) = (Ip(self.0.ip()), zones.shown(&v6));
                write!(f, "[{ip}%{zone}]:{}", v6.port())
            }
        }
    }
}

/// A duration in years, days, hours, minutes and seconds, less what is zero.
pub fn duration(seconds: u64, paint: Paint) -> String {
    const UNITS: [(&str, u64); 5] = [
        ("year", 365 * 24 * 60 * 60),
        ("day", 24 * 60 * 60),
        ("hour", 60 * 60),
        ("minute", 60),
        ("second", 1),
    ];
    let mut left = seconds;
    let mut text = String::new();
    for (unit, length) in UNITS {
        let count = left / length;
        left %= length;
        if count == 0 {
            continue;
        }
        let comma = if text.is_empty() { "" } else { ", " };
        let plural = if count == 1 { "" } else { "s" };
        let (cyan, reset) = (paint.cyan(), paint.reset());
        let _ = write!(text, "{comma}{count} {cyan}{unit}{plural}{reset}");
    }
    text
}

/// How long ago `then` was, both in seconds since the epoch.
pub fn ago(then: i64, now: i64, paint: Paint) -> String {
    match u64::try_from(now.saturating_sub(then)) {
        Ok(0) => "Now".into(),
        Ok(seconds) => format!("{} ago", duration(seconds, paint)),
        Err(_) => format!(
            "({}System clock wound backward; connection problems may ensue.{})",
            paint.red(),
            paint.reset()
        ),
    }
}

/// A number of bytes in the unit that suits it.
pub fn bytes(count: u64, paint: Paint) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    let (cyan, reset) = (paint.cyan(), paint.reset());
    if count < 1024 {
        return format!("{count} {cyan}B{reset}");
    }
    let mut power = 1;
    while power < UNITS.len() && count >> (10 * (power + 1)) != 0 {
        power += 1;
    }
    #[allow(clippy::cast_precision_loss)] // two decimals are shown
    let scaled = count as f64 / (1u64 << (10 * power)) as f64;
    format!("{scaled:.2} {cyan}{}{reset}", UNITS[power - 1])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> String {
        Ip(text.parse().unwrap()).to_string()
    }

    #[test]
    fn addresses_as_the_c_library_spells_them() {
        for text in [
            "10.0.0.1",
            "::",
            "::1",
            "::ffff",
            "::1.2.3.4",
            "::0.1.0.0",
            "::ffff:1.2.3.4",
            "fe80::1",
            "1:0:2::",
            "1::2:0:0:3",
            "1:0:2:3:4:5:6:7",
            "0:1::",
            "64:ff9b::102:304",
        ] {
            assert_eq!(ip(text), text);
        }
        assert_eq!(ip("1:2:3:4:5:6:0:8"), "1:2:3:4:5:6:0:8");
        assert_eq!(ip("1:0:0:2:0:0:3:4"), "1::2:0:0:3:4");
    }

    #[test]
    fn endpoints() {
        let show = |text: &str| Endpoint(text.parse().unwrap(), &Zones::Own).to_string();
        assert_eq!(show("1.2.3.4:5"), "1.2.3.4:5");
        assert_eq!(show("[::1]:5"), "[::1]:5");
        assert_eq!(show("[::1.2.3.4]:5"), "[::1.2.3.4]:5");
        // Interface 1 is the loopback everywhere.
        assert_eq!(show("[fe80::1%1]:5"), "[fe80::1%lo]:5");
        assert_eq!(show("[2001:db8::1%1]:5"), "[2001:db8::1%1]:5");
        // But it need not be called the same.
        let show = |text: &str| Endpoint(text.parse().unwrap(), &Zones::Unseen).to_string();
        assert_eq!(show("[fe80::1%1]:5"), "[fe80::1%1]:5");
        assert_eq!(show("[fe80::1]:5"), "[fe80::1]:5");
    }

    #[test]
    fn durations() {
        let show = |seconds| duration(seconds, Paint::new(false));
        assert_eq!(show(1), "1 second");
        assert_eq!(show(62), "1 minute, 2 seconds");
        assert_eq!(show(2 * 60 * 60), "2 hours");
        let all = 365 * 86400 + 86400 + 3600 + 60 + 1;
        assert_eq!(show(all), "1 year, 1 day, 1 hour, 1 minute, 1 second");
        assert_eq!(show(0), "");
        let colour = duration(25, Paint::new(true));
        assert_eq!(colour, "25 \x1b[36mseconds\x1b[0m");
    }

    #[test]
    fn times() {
        let show = |then, now| ago(then, now, Paint::new(false));
        assert_eq!(show(5, 5), "Now");
        assert_eq!(show(5, 6), "1 second ago");
        assert!(show(6, 5).starts_with("(System clock"));
        assert!(show(i64::MIN, i64::MAX).ends_with(" ago"));
        assert!(show(i64::MAX, i64::MIN).starts_with("("));
    }

    #[test]
    fn sizes() {
        let show = |count| bytes(count, Paint::new(false));
        assert_eq!(show(0), "0 B");
        assert_eq!(show(1023), "1023 B");
        assert_eq!(show(1024), "1.00 KiB");
        // Halves go to the even digit, as in printf(3).
        assert_eq!(show(1024 + 128), "1.12 KiB");
        assert_eq!(show(1024 + 384), "1.38 KiB");
        assert_eq!(show((1 << 20) - 1), "1024.00 KiB");
        assert_eq!(show(1 << 20), "1.00 MiB");
        assert_eq!(show(5 << 30), "5.00 GiB");
        assert_eq!(show(1 << 40), "1.00 TiB");
        assert_eq!(show(u64::MAX), "16777216.00 TiB");
        assert_eq!(bytes(1536, Paint::new(true)), "1.50 \x1b[36mKiB\x1b[0m");
    }
}
