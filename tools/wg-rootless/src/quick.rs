// SPDX-License-Identifier: GPL-2.0
//! Configuration files as wg-quick(8) reads them: those of wg(8), with lines
//! under `[Interface]` that are about all the rest of a tunnel.

use crate::dns::Dns;
use ipnet::IpNet;
use std::fs;
use std::net::IpAddr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use wg::config::{self, Mistake, QUICK_WORDS};
use wg::error::{quote, warn, Failure, Result};
use wg::input::read_file;
use wg::model::DeviceChange;
use wg::resolve::Lookups;
use wg::value::is_space;
use wg::zone::{Wanted, Zones};
use zeroize::Zeroizing;

/// Smaller than this, a link has no IPv6.
const IPV6_MIN_MTU: u32 = 1280;
/// Where routes are that need no rule.
const MAIN_TABLE: u32 = 254;

/// What a file asks for.
#[derive(Debug)]
pub struct File {
    /// All that wg(8) could do.
    pub change: DeviceChange,
    /// Addresses of the interface.
    pub addresses: Vec<IpNet>,
    /// Unless the resolver is to stay as it is.
    pub dns: Option<Dns>,
    /// Unless the kernel is to choose.
    pub mtu: Option<u32>,
    /// Where routes go.
    pub table: Table,
}

/// Where routes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    /// There are to be none.
    Off,
    /// The table with this number.
    Number(u32),
}

/// Reads a file, and looks up the names in it.
pub fn read(path: &Path) -> Result<File> {
    let name = path.as_os_str().as_bytes();
    let text = read_file(name)?;
    let shown = path.to_string_lossy();
    // A pipe is nobody else's.
    if fs::metadata(path).is_ok_and(|data| data.is_file() && data.mode() & 0o004 != 0) {
        warn(format_args!("{} can be read by everybody", quote(name)));
    }
    let parsed = parse(&text).map_err(|mistake| mistake.tell(name))?;
    drop(text);
    for warning in &parsed.warnings {
        warn(format_args!("{shown}:{warning}"));
    }
    let mut file = parsed.file;
    if file.change.private_key.is_none() {
        return Err(Failure::new(format!(
            "{}: there is no PrivateKey under [Interface]",
            quote(name)
        )));
    }
    // The sockets of the tunnel are to stay in this netns.
    let zones = Wanted::known(Zones::Own);
    parsed.lookups.run(&mut file.change, Some(&shown), &zones)?;
    Ok(file)
}

/// A file, parsed.
#[derive(Debug)]
struct Parsed {
    file: File,
    lookups: Lookups,
    /// What is odd about it, each with its line.
    warnings: Vec<String>,
}

fn parse(text: &[u8]) -> std::result::Result<Parsed, Mistake> {
    let mut reader = Reader::default();
    // The same file less the lines that wg does not know. It is never longer,
    // so no copy of a key is left behind by growth.
    let mut rest = Zeroizing::new(Vec::with_capacity(text.len() + 1));
    for (index, line) in text.split(|&byte| byte == b'\n').enumerate() {
        reader.line = index + 1;
        let taken = reader.take(line).map_err(|reason| Mistake {
            line: index + 1,
            reason,
        })?;
        if !taken {
            rest.extend_from_slice(line);
        }
        rest.push(b'\n');
    }
    reader.finish()?;
    let config = config::parse(&rest, config::Mode::Append)?;
    let mut warnings = reader.warnings;
    warnings.extend(config.warnings);
    Ok(Parsed {
        file: File {
            change: config.change,
            addresses: reader.addresses,
            dns: reader.dns,
            mtu: reader.mtu,
            table: reader.table.unwrap_or(Table::Number(MAIN_TABLE)),
        },
        lookups: config.lookups,
        warnings,
    })
}

#[derive(Default)]
struct Reader {
    line: usize,
    in_interface: bool,
    addresses: Vec<IpNet>,
    dns: Option<Dns>,
    mtu: Option<u32>,
    mtu_line: usize,
    table: Option<Table>,
    warnings: Vec<String>,
}

impl Reader {
    /// Takes a line if it is not one for wg.
    fn take(&mut self, line: &[u8]) -> std::result::Result<bool, String> {
        let end = line.iter().position(|&byte| byte == b'#');
        let line = &line[..end.unwrap_or(line.len())];
        let mut code = Zeroizing::new(Vec::with_capacity(line.len()));
        code.extend(
            line.iter()
                .copied()
                .filter(|&byte| !is_space(byte))
                .take_while(|&byte| byte != b'='),
        );
        if code.first() == Some(&b'[') {
            self.in_interface = code.eq_ignore_ascii_case(b"[Interface]");
            return Ok(false);
        }
        let is = |word: &&&str| code.eq_ignore_ascii_case(word.as_bytes());
        if !self.in_interface {
            return Ok(false);
        }
        if ["TransitNetns", "TransitCredentials"]
            .iter()
            .any(|word| is(&word))
        {
            return Err(
                "wg-rootless moves the sockets by itself, to where it is started: \
                        leave this line out"
                    .into(),
            );
        }
        let Some(word) = QUICK_WORDS.iter().find(is) else {
            return Ok(false);
        };
        let Some(equals) = line.iter().position(|&byte| byte == b'=') else {
            return Err("there is no `=' in this line; a line is `Word = value'".into());
        };
        self.word(word, line[equals + 1..].trim_ascii())
            .map_err(|reason| format!("{word}: {reason}"))?;
        Ok(true)
    }

    fn word(&mut self, word: &str, value: &[u8]) -> std::result::Result<(), String> {
        let wrong = |wanted: &str| format!("{} is not {wanted}", quote(value));
        let text = std::str::from_utf8(value).map_err(|_| wrong("text"))?;
        match word {
            "Address" => {
                for entry in entries(text) {
                    self.addresses.push(address(entry)?);
                }
            }
            "DNS" => {
                let dns = self.dns.get_or_insert_with(Dns::default);
                for entry in entries(text) {
                    match entry.parse::<IpAddr>() {
                        Ok(server) => dns.servers.push(server),
                        Err(_) if is_domain(entry) => dns.search.push(entry.to_owned()),
                        Err(_) => {
                            return Err(format!(
                                "{} is neither the address of a server nor a domain",
                                quote(entry.as_bytes())
                            ))
                        }
                    }
                }
            }
            "MTU" => {
                let mtu = text.parse().ok().filter(|mtu| (1..=65535).contains(mtu));
                self.mtu = Some(mtu.ok_or_else(|| wrong("a number of bytes up to 65535"))?);
                self.mtu_line = self.line;
            }
            "Table" => {
                self.table = Some(match text {
                    "off" => Table::Off,
                    "auto" => Table::Number(MAIN_TABLE),
                    _ => match text.parse() {
                        Ok(number) if number > 0 => Table::Number(number),
                        _ => return Err(wrong("`auto', `off' or the number of a table")),
                    },
                });
            }
            // Hooks are written for root, and for the machine's own network.
            _ => self
                .warnings
                .push(format!("{}: {word} is left out", self.line)),
        }
        Ok(())
    }

    /// Checks what only makes sense together.
    fn finish(&self) -> std::result::Result<(), Mistake> {
        let v6 = self.addresses.iter().find(|net| net.addr().is_ipv6());
        match (self.mtu, v6) {
            (Some(mtu), Some(address)) if mtu < IPV6_MIN_MTU => Err(Mistake {
                line: self.mtu_line,
                reason: format!("MTU: {address} needs one of at least {IPV6_MIN_MTU}"),
            }),
            _ => Ok(()),
        }
    }
}

fn entries(list: &str) -> impl Iterator<Item = &str> {
    list.split(',')
        .map(str::trim)
        .filter(|entry| !entry.is_empty())
}

/// `ADDRESS` or `ADDRESS/BITS`.
fn address(text: &str) -> std::result::Result<IpNet, String> {
    text.parse()
        .or_else(|_| text.parse::<IpAddr>().map(IpNet::from))
        .map_err(|_| format!("{} is not ADDRESS/BITS", quote(text.as_bytes())))
}

fn is_domain(text: &str) -> bool {
    text.len() < 254
        && text.contains(|c: char| c.is_ascii_alphabetic())
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "qNO3/AAtC49xVUHYE1k/37egjsDgkb8Lrk8RU0H7hEo=";
    const PUBLIC: &str = "YtYKSMZRJK7ip74EWf2hnFeYvLPO5VaEalH4wIqDOCY=";

    fn good(text: &str) -> Parsed {
        parse(text.as_bytes()).unwrap()
    }

    fn bad(text: &str) -> Mistake {
        parse(text.as_bytes()).unwrap_err()
    }

    #[test]
    fn whole_file() {
        let parsed = good(&format!(
            "# a file\r\n[interface]\r\nPrivateKey = {KEY}\r\n\
             Address = 10.9.0.2/24, fd09::2/64 # two\r\naddress=192.0.2.1\n\
             DNS = 10.9.0.1, fd09::1, home.example\nDNS = corp.example\n\
             MTU = 1400\nTable = 51820\nListenPort = 7\nPostUp = iptables -A x = y\nSaveConfig = true\n\
             [Peer]\nPublicKey = {PUBLIC}\nEndpoint = vpn.example:51820\nAllowedIPs = 0.0.0.0/0\n"
        ));
        let file = parsed.file;
        let addresses: Vec<_> = file.addresses.iter().map(IpNet::to_string).collect();
        assert_eq!(addresses, ["10.9.0.2/24", "fd09::2/64", "192.0.2.1/32"]);
        let dns = file.dns.unwrap();
        assert_eq!(dns.servers.len(), 2);
        assert_eq!(dns.search, ["home.example", "corp.example"]);
        assert_eq!(file.mtu, Some(1400));
        assert_eq!(file.table, Table::Number(51820));
        assert_eq!(file.change.listen_port, Some(7));
        assert_eq!(file.change.peers.len(), 1);
        assert_eq!(parsed.lookups.len(), 1);
        assert_eq!(
            parsed.warnings,
            ["11: PostUp is left out", "12: SaveConfig is left out"]
        );
    }

    #[test]
    fn what_is_not_said() {
        let parsed = good(&format!("[Interface]\nPrivateKey={KEY}"));
        let file = parsed.file;
        assert_eq!((file.dns, file.mtu), (None, None));
        assert_eq!(file.table, Table::Number(MAIN_TABLE));
        // Nothing that would need a right, or reset what is not there.
        assert_eq!((file.change.listen_port, file.change.fwmark), (None, None));
        assert!(parsed.warnings.is_empty());
    }

    #[test]
    fn tables() {
        let table = |word: &str| good(&format!("[Interface]\nTable={word}")).file.table;
        assert_eq!(table("off"), Table::Off);
        assert_eq!(table("auto"), Table::Number(254));
        assert_eq!(table("1000"), Table::Number(1000));
    }

    #[test]
    fn mistakes_name_the_line_and_what_would_be_right() {
        for (text, line, part) in [
            (
                "[Interface]\nAddress=10.0.0.1/33",
                2,
                "`10.0.0.1/33' is not ADDRESS/BITS",
            ),
            ("[Interface]\nAddress=x", 2, "`x' is not ADDRESS/BITS"),
            ("[Interface]\nDNS=1.2.3", 2, "`1.2.3' is neither"),
            ("[Interface]\nDNS=a b", 2, "`a b' is neither"),
            ("[Interface]\nMTU=big", 2, "`big' is not a number of bytes"),
            ("[Interface]\nMTU=0", 2, "`0' is not a number of bytes"),
            ("[Interface]\nAddress=fd00::1\nMTU=1000", 3, "at least 1280"),
            ("[Interface]\nTable=main", 2, "`auto', `off' or the number"),
            ("[Interface]\nDNS", 2, "no `='"),
            ("[Interface]\nTransitNetns=1", 2, "by itself"),
            ("[Interface]\ntransitcredentials = 3,4", 2, "by itself"),
            // What wg itself finds keeps its line.
            ("[Interface]\nMTU=1400\nDNS=::1\nListenPort=", 4, "no value"),
            ("[Peer]\nAddress=10.0.0.1", 2, "wg-quick(8)"),
            ("[Interface]\nDNS=\n[Peer]\n", 3, "public key"),
        ] {
            let mistake = bad(text);
            assert_eq!(mistake.line, line, "{text}");
            assert!(mistake.reason.contains(part), "{text}: {}", mistake.reason);
        }
    }

    #[test]
    fn mistakes_never_show_a_key() {
        for text in [
            format!("[Interface]\nAddress={KEY}"),
            format!("[Interface]\nDNS={KEY}"),
            format!("[Interface]\nTable={KEY}"),
            format!("[Interface]\n{KEY}"),
        ] {
            assert!(!bad(&text).reason.contains(&KEY[..8]));
        }
        let hook = good(&format!("[Interface]\nPostUp = echo {KEY}"));
        assert!(!hook.warnings[0].contains(&KEY[..8]));
    }

    #[test]
    fn hostile_bytes() {
        assert!(parse(b"[Interface]\nDNS=\xff").is_err());
        assert!(parse(b"[Interface]\n#DNS=\xff").is_ok());
        assert!(parse(b"[Interface]\nDNS#=1").is_err());
        assert!(parse(b"=\n[=\n").is_err());
        let _ = parse(b"[Interface]\n\0DNS=1\n");
    }
}
