// SPDX-License-Identifier: GPL-2.0
//! Configuration files as wg-quick(8) reads them: those of wg(8), with lines
//! under `[Interface]` that are about all the rest of a tunnel.

use crate::dns::Dns;
use ipnet::IpNet;
use std::fs;
use std::net::IpAddr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use wg::config::{self, Mistake, QUICK_WORDS};
use wg::error::{escape, quote, warn, Failure, Result};
use wg::input::{read_file, read_key};
use wg::model::{DeviceChange, PeerChange};
use wg::resolve::Lookups;
use wg::zone::{Wanted, Zones};

/// Smaller than this, a link has no IPv6.
pub const IPV6_MIN_MTU: u32 = 1280;
/// Where routes are that need no rule.
pub const MAIN_TABLE: u32 = 254;
/// How many servers the C library asks.
const SERVERS_ASKED: usize = 3;

/// What a file asks for.
#[derive(Debug)]
pub struct File {
    /// All that wg(8) could do.
    pub change: DeviceChange,
    /// Addresses of the interface.
    pub addresses: Vec<IpNet>,
    /// Name servers and domains; there may be none.
    pub dns: Dns,
    /// Unless it is to be found out.
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

impl Table {
    /// Reads what wg-quick and ip-route(8) take.
    pub fn parse(text: &str) -> std::result::Result<Self, String> {
        let number = match text {
            "off" => return Ok(Self::Off),
            "" | "auto" | "main" => Some(MAIN_TABLE),
            "default" => Some(253),
            "local" => Some(255),
            _ => match text.strip_prefix("0x") {
                Some(hex) => u32::from_str_radix(hex, 16).ok(),
                None => text.parse().ok(),
            },
        };
        number
            .filter(|&number| number > 0)
            .map(Self::Number)
            .ok_or_else(|| {
                format!(
                    "{} is not `auto', `off' or the number of a table",
                    quote(text.as_bytes())
                )
            })
    }
}

impl Table {
    /// Tells where such a table has no use.
    fn warn(self, file: &[u8]) {
        const ADVICE: &str = "nothing is routed into the tunnel; --table auto makes the routes";
        let file = escape(file);
        match self {
            Self::Off => warn(format_args!(
                "{file}: with `Table = off', and since commands in the file are not run, {ADVICE}"
            )),
            Self::Number(MAIN_TABLE) => {}
            Self::Number(number) => warn(format_args!(
                "{file}: no rule leads to table {number}, so {ADVICE}"
            )),
        }
    }
}

/// What on the command line takes the place of something in the file.
#[derive(Debug, Default)]
pub struct Instead {
    /// Name servers and domains.
    pub dns: Option<Dns>,
    /// Where routes go.
    pub table: Option<Table>,
    /// A file with the private key.
    pub private_key: Option<PathBuf>,
}

/// How often a name is asked for that is not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Names {
    /// As wg(8) does.
    Needed,
    /// Once.
    Once,
}

/// Reads a file, and looks up the names in it.
pub fn read(path: &Path, instead: Instead) -> Result<File> {
    let name = path.as_os_str().as_bytes();
    let text = read_file(name)?;
    if others_can_read(path) {
        warn(format_args!("{} can be read by everybody", quote(name)));
    }
    let parsed = parse(&text).map_err(|mistake| mistake.tell(name))?;
    drop(text);
    for warning in &parsed.warnings {
        warn(format_args!("{}:{warning}", escape(name)));
    }
    let mut file = parsed.file;
    if let Some(from) = instead.private_key {
        let key = read_key("--private-key", from.as_os_str().as_bytes())?;
        file.change.private_key = Some(key);
    }
    if file.change.private_key.is_none() {
        return Err(no_key(name, parsed.hook_sets_key));
    }
    if let Some(dns) = instead.dns {
        file.dns = dns;
    }
    match (instead.table, file.table) {
        (Some(table), _) => file.table = table,
        (None, table) => table.warn(name),
    }
    if file.dns.servers.len() > SERVERS_ASKED {
        warn(format_args!(
            "of {} name servers the C library asks the first {SERVERS_ASKED}",
            file.dns.servers.len()
        ));
    }
    look_up(&mut file.change, path, parsed.lookups)?;
    Ok(file)
}

/// Reads where the endpoints of a file's peers are now, and nothing else.
pub fn read_names(path: &Path, names: Names) -> Result<Vec<PeerChange>> {
    let name = path.as_os_str().as_bytes();
    let text = read_file(name)?;
    let mut parsed = parse(&text).map_err(|mistake| mistake.tell(name))?;
    let change = &mut parsed.file.change;
    if names == Names::Once {
        parsed.lookups.ask_once();
    }
    look_up(change, path, parsed.lookups)?;
    Ok(std::mem::take(&mut change.peers))
}

fn look_up(change: &mut DeviceChange, path: &Path, lookups: Lookups) -> Result<()> {
    // The sockets of the tunnel are to stay in this netns.
    let zones = Wanted::known(Zones::Own);
    lookups.run(change, Some(&path.to_string_lossy()), &zones)
}

fn no_key(name: &[u8], hook: Option<usize>) -> Failure {
    let failure = Failure::new(format!(
        "{}: there is no PrivateKey under [Interface]",
        quote(name)
    ));
    let Some(line) = hook else {
        return failure;
    };
    failure
        .and(format!(
            "Line {line} is to set it, but such commands are not run here. Give the key with"
        ))
        .and("    --private-key FILE   or, with bash,   --private-key <(COMMAND)")
}

/// Whether everybody may read the file, and reach it in its folder. A pipe is
/// nobody else's.
fn others_can_read(path: &Path) -> bool {
    let mode = |path: &Path| fs::metadata(path).map(|data| data.mode()).unwrap_or(0);
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    fs::metadata(path).is_ok_and(|data| data.is_file())
        && mode(path) & 0o004 != 0
        && mode(folder) & 0o001 != 0
}

/// A file, parsed.
#[derive(Debug)]
pub struct Parsed {
    /// What it asks for.
    pub file: File,
    /// What has to be looked up.
    pub lookups: Lookups,
    /// What is odd about it, each with its line.
    pub warnings: Vec<String>,
    /// The line of a command that would set the key.
    pub hook_sets_key: Option<usize>,
}

/// Parses a whole file.
pub fn parse(text: &[u8]) -> std::result::Result<Parsed, Mistake> {
    let mut reader = Reader::default();
    let mut take = |word: &[u8], value: &[u8], line: usize| reader.take(word, value, line);
    let config = config::parse_with(text, config::Mode::Append, &mut take)?;
    reader.finish()?;
    let mut warnings = config.warnings;
    warnings.extend(reader.about_hooks());
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
        hook_sets_key: reader.hook_sets_key,
    })
}

#[derive(Default)]
struct Reader {
    addresses: Vec<IpNet>,
    dns: Dns,
    mtu: Option<u32>,
    mtu_line: usize,
    table: Option<Table>,
    /// Lines of words that are not obeyed.
    hooks: Vec<(usize, &'static str)>,
    hook_sets_key: Option<usize>,
}

impl Reader {
    /// Takes a setting if it is not one for wg.
    fn take(
        &mut self,
        word: &[u8],
        value: &[u8],
        line: usize,
    ) -> std::result::Result<bool, String> {
        let is = |known: &&&str| word.eq_ignore_ascii_case(known.as_bytes());
        if ["TransitNetns", "TransitCredentials"]
            .iter()
            .any(|known| is(&known))
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
        self.word(word, value, line)
            .map_err(|reason| format!("{word}: {reason}"))?;
        Ok(true)
    }

    fn word(
        &mut self,
        word: &'static str,
        value: &[u8],
        line: usize,
    ) -> std::result::Result<(), String> {
        let text = std::str::from_utf8(value)
            .map_err(|_| format!("{} is not text", quote(value)))
            .map(str::trim);
        match word {
            "Address" => {
                for entry in entries(text?) {
                    self.addresses.push(address(entry)?);
                }
            }
            "DNS" => self.dns.add(text?)?,
            "MTU" => {
                let text = text?;
                let mtu = text.parse().ok().filter(|mtu| (1..=65535).contains(mtu));
                if mtu.is_none() && !matches!(text, "" | "auto") {
                    return Err(format!(
                        "{} is not a number of bytes up to 65535",
                        quote(value)
                    ));
                }
                self.mtu = mtu;
                self.mtu_line = line;
            }
            "Table" => self.table = Some(Table::parse(text?)?),
            "SaveConfig" if value.eq_ignore_ascii_case(b"false") => {}
            // Commands are written for root, and for the machine's own network.
            _ => {
                let sets = |word: &str| {
                    value
                        .windows(word.len())
                        .any(|part| part == word.as_bytes())
                };
                if sets("private-key") && self.hook_sets_key.is_none() {
                    self.hook_sets_key = Some(line);
                }
                self.hooks.push((line, word));
            }
        }
        Ok(())
    }

    /// One warning about all lines that are not obeyed.
    fn about_hooks(&self) -> Option<String> {
        let mut words: Vec<_> = self.hooks.iter().map(|(_, word)| *word).collect();
        words.sort_unstable();
        words.dedup();
        let (line, _) = self.hooks.first()?;
        let verb = if words.len() == 1 { "is" } else { "are" };
        Some(format!("{line}: {} {verb} left out", words.join(", ")))
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

/// The entries of a list, with commas or spaces between them as for wg-quick.
pub fn entries(list: &str) -> impl Iterator<Item = &str> {
    list.split(|c: char| c == ',' || c.is_ascii_whitespace())
        .filter(|entry| !entry.is_empty())
}

/// `ADDRESS` or `ADDRESS/BITS`.
fn address(text: &str) -> std::result::Result<IpNet, String> {
    text.parse()
        .or_else(|_| text.parse::<IpAddr>().map(IpNet::from))
        .map_err(|_| format!("{} is not ADDRESS/BITS", quote(text.as_bytes())))
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
        assert_eq!(file.dns.servers, ["10.9.0.1", "fd09::1"]);
        assert_eq!(file.dns.search, ["home.example", "corp.example"]);
        assert_eq!(file.mtu, Some(1400));
        assert_eq!(file.table, Table::Number(51820));
        assert_eq!(file.change.listen_port, Some(7));
        assert_eq!(file.change.peers.len(), 1);
        assert_eq!(parsed.lookups.len(), 1);
        assert_eq!(parsed.warnings, ["11: PostUp, SaveConfig are left out"]);
    }

    #[test]
    fn what_is_not_said() {
        let parsed = good(&format!("[Interface]\nPrivateKey={KEY}"));
        let file = parsed.file;
        assert_eq!((file.dns, file.mtu), (Dns::default(), None));
        assert_eq!(file.table, Table::Number(MAIN_TABLE));
        // Nothing that would need a right, or reset what is not there.
        assert_eq!((file.change.listen_port, file.change.fwmark), (None, None));
        assert!(parsed.warnings.is_empty());
    }

    #[test]
    fn tables() {
        let table = |word: &str| good(&format!("[Interface]\nTable={word}")).file.table;
        assert_eq!(table("off"), Table::Off);
        for (word, number) in [
            ("auto", 254),
            ("", 254),
            ("main", 254),
            ("default", 253),
            ("local", 255),
            ("1000", 1000),
            ("0x3e8", 1000),
        ] {
            assert_eq!(table(word), Table::Number(number), "{word}");
        }
    }

    #[test]
    fn files_as_people_have_them() {
        let file = good(
            "[Interface]\nAddress = 10.0.0.2/24 fd00::2/64,\t10.0.0.3\nDNS = 1.1.1.1 fe80::1%wg0 , a.example\n\
             MTU =\nTable =\nDNS =\nMTU = auto\nSaveConfig = false\nAddress =\n",
        );
        assert!(file.warnings.is_empty());
        let file = file.file;
        assert_eq!(file.addresses.len(), 3);
        assert_eq!(file.dns.servers, ["1.1.1.1", "fe80::1%wg0"]);
        assert_eq!(file.dns.search, ["a.example"]);
        assert_eq!(file.mtu, None);
        assert_eq!(file.table, Table::Number(MAIN_TABLE));
    }

    #[test]
    fn a_command_that_sets_the_key_is_noticed() {
        let parsed = good("[Interface]\nPreUp = true\nPostUp = wg set %i private-key <(pass wg)\n");
        assert_eq!(parsed.hook_sets_key, Some(3));
        assert_eq!(
            good("[Interface]\nPostUp = iptables -A x").hook_sets_key,
            None
        );
        assert_eq!(parsed.warnings, ["2: PostUp, PreUp are left out"]);
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
            ("[Interface]\nDNS=a !b", 2, "`!b' is neither"),
            ("[Interface]\nDNS=1.1.1.1%x", 2, "`1.1.1.1%x' is neither"),
            ("[Interface]\nDNS=fe80::1%a/b", 2, "is neither"),
            ("[Interface]\nMTU=big", 2, "`big' is not a number of bytes"),
            ("[Interface]\nMTU=0", 2, "`0' is not a number of bytes"),
            ("[Interface]\nAddress=fd00::1\nMTU=1000", 3, "at least 1280"),
            ("[Interface]\nTable=0", 2, "`auto', `off' or the number"),
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
