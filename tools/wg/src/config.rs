// SPDX-License-Identifier: GPL-2.0
//! Configuration files.
//!
//! Lines are those of [`crate::lines`]; words are recognised in any case. What
//! stands twice overrides, except for `AllowedIPs`, which adds up.

use crate::error::{escape, quote, warn, Failure};
use crate::key::{base64_complaint, PublicKey, SecretKey};
use crate::lines::{lines, Kind, Line};
use crate::model::{DeviceChange, PeerChange};
use crate::resolve::{Lookup, Lookups};
use crate::transit::{Credentials, TransitNetns};
use crate::value;

/// How a file is to be applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// What the file does not mention goes.
    Replace,
    /// What the file does not mention stays.
    Append,
}

/// A file, parsed.
#[derive(Debug)]
pub struct Config {
    /// What it asks for, less what has to be looked up.
    pub change: DeviceChange,
    /// What has to be looked up.
    pub lookups: Lookups,
    /// What is odd about it, each with its line.
    pub warnings: Vec<String>,
}

/// A line that cannot be understood.
#[derive(Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Counted from 1.
    pub line: usize,
    /// What is wrong, and what would be right.
    pub reason: String,
}

/// Takes a setting under `[Interface]` that is none of wg's: word, value with
/// its spaces, number of the line. False if it is unknown there too.
pub type TakeOther<'a> = &'a mut dyn FnMut(&[u8], &[u8], usize) -> Result<bool, String>;

/// Parses a whole file.
pub fn parse(text: &[u8], mode: Mode) -> Result<Config, Mistake> {
    parse_with(text, mode, &mut |_, _, _| Ok(false))
}

/// Parses a whole file in which there are other settings as well. `take` is
/// asked first.
pub fn parse_with(text: &[u8], mode: Mode, take: TakeOther<'_>) -> Result<Config, Mistake> {
    let mut parser = Parser::new(mode);
    for (number, line) in lines(text) {
        parser.line = number;
        parser.read_line(&line, take).map_err(|reason| Mistake {
            line: number,
            reason,
        })?;
    }
    parser.finish()
}

impl Mistake {
    /// The mistake with the name of its file.
    pub fn tell(self, file: &[u8]) -> Failure {
        Failure::new(format!(
            "{}, line {}: {}",
            quote(file),
            self.line,
            self.reason
        ))
    }
}

impl Config {
    /// Prints the warnings, with the name of the file.
    pub fn report_warnings(&self, file: &str) {
        for warning in &self.warnings {
            warn(format_args!("{}:{warning}", escape(file.as_bytes())));
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Section {
    None,
    Interface,
    Peer,
}

/// Words by section, for those who put one into the wrong section.
const INTERFACE_WORDS: [&str; 5] = [
    "PrivateKey",
    "ListenPort",
    "FwMark",
    "TransitNetns",
    "TransitCredentials",
];
const PEER_WORDS: [&str; 5] = [
    "PublicKey",
    "PresharedKey",
    "AllowedIPs",
    "Endpoint",
    "PersistentKeepalive",
];
/// Words that wg-quick(8) takes out before `wg` sees the file.
pub const QUICK_WORDS: [&str; 9] = [
    "Address",
    "DNS",
    "MTU",
    "Table",
    "PreUp",
    "PostUp",
    "PreDown",
    "PostDown",
    "SaveConfig",
];

struct Parser {
    config: Config,
    section: Section,
    line: usize,
    /// Line of the current `[Peer]`, while it still lacks its key.
    keyless: Option<usize>,
    /// Line of the first `[Peer]` that ended without a key.
    first_keyless: Option<usize>,
}

impl Parser {
    fn new(mode: Mode) -> Self {
        let mut change = DeviceChange::default();
        if mode == Mode::Replace {
            change.replace_peers = true;
            change.private_key = Some(SecretKey::ZERO);
            change.listen_port = Some(0);
            change.fwmark = Some(0);
        }
        Self {
            config: Config {
                change,
                lookups: Lookups::default(),
                warnings: Vec::new(),
            },
            section: Section::None,
            line: 0,
            keyless: None,
            first_keyless: None,
        }
    }

    fn finish(mut self) -> Result<Config, Mistake> {
        self.end_peer();
        match self.first_keyless {
            None => Ok(self.config),
            Some(line) => Err(Mistake {
                line,
                reason: "this [Peer] is missing a public key: add a line `PublicKey = ...'".into(),
            }),
        }
    }

    fn end_peer(&mut self) {
        let keyless = self.keyless.take();
        self.first_keyless = self.first_keyless.or(keyless);
    }

    fn read_line(&mut self, line: &Line<'_>, take: TakeOther<'_>) -> Result<(), String> {
        let (word, text) = match line.kind() {
            Kind::Empty => return Ok(()),
            Kind::Section(name) => return self.begin_section(name),
            Kind::Setting(word, text) => (word, text),
            Kind::Other => return Err(line.complaint().into()),
        };
        let spaced = line.spaced_value();
        if self.section == Section::Interface && take(word, spaced, self.line)? {
            return Ok(());
        }
        let known = match self.section {
            Section::None => {
                return Err(format!(
                    "{} stands before any section; sections begin with [Interface] or [Peer]",
                    quote_word(word)
                ))
            }
            Section::Interface => find(word, &INTERFACE_WORDS),
            Section::Peer => find(word, &PEER_WORDS),
        };
        let Some(known) = known else {
            return Err(self.unknown(word));
        };
        if text.is_empty() {
            return Err(format!(
                "{known}: there is no value; leave the line out instead"
            ));
        }
        match self.section {
            Section::Peer => self.peer_word(known, text),
            _ => self.interface_word(known, text, spaced),
        }
        .map_err(|reason| format!("{known}: {reason}"))
    }

    fn begin_section(&mut self, name: &[u8]) -> Result<(), String> {
        if name.eq_ignore_ascii_case(b"[Interface]") {
            self.section = Section::Interface;
            self.end_peer();
        } else if name.eq_ignore_ascii_case(b"[Peer]") {
            self.section = Section::Peer;
            self.end_peer();
            self.keyless = Some(self.line);
            let mut peer = PeerChange::new(PublicKey([0; 32]));
            peer.replace_allowed_ips = true;
            self.config.change.peers.push(peer);
        } else {
            return Err(format!(
                "there is no section {}; sections are [Interface] and [Peer]",
                quote(name)
            ));
        }
        Ok(())
    }

    fn interface_word(&mut self, word: &str, text: &[u8], spaced: &[u8]) -> Result<(), String> {
        let change = &mut self.config.change;
        match word {
            "PrivateKey" => change.private_key = Some(secret_key(text)?),
            "ListenPort" => {
                let lookup = Lookup::port(value::port(text)?, &mut change.listen_port);
                self.config.lookups.add(lookup, self.line);
            }
            "FwMark" => change.fwmark = Some(value::fwmark(text)?),
            // Nothing else may have spaces in it, but a path may.
            "TransitNetns" => change.transit_netns = Some(TransitNetns::parse(spaced)?),
            _ => change.credentials = Some(Credentials::parse(text)?),
        }
        Ok(())
    }

    fn peer_word(&mut self, word: &str, text: &[u8]) -> Result<(), String> {
        let index = self.config.change.peers.len() - 1;
        let peer = &mut self.config.change.peers[index];
        match word {
            "PublicKey" => {
                peer.public_key =
                    PublicKey::from_base64(text).ok_or_else(|| base64_complaint(text))?;
                self.keyless = None;
            }
            "PresharedKey" => peer.preshared_key = Some(secret_key(text)?),
            "AllowedIPs" => {
                let list = value::allowed_ips(text)?;
                peer.replace_allowed_ips = !list.incremental;
                peer.add_ranges(list.changes);
                for range in list.host_bits {
                    self.config.warnings.push(format!(
                        "{}: AllowedIP has nonzero host part: {range}",
                        self.line
                    ));
                }
            }
            "Endpoint" => {
                let lookup = Lookup::endpoint(value::endpoint(text)?, index, &mut peer.endpoint);
                self.config.lookups.add(lookup, self.line);
            }
            _ => peer.keepalive = Some(value::keepalive(text)?),
        }
        Ok(())
    }

    fn unknown(&self, word: &[u8]) -> String {
        let (here, elsewhere, other) = match self.section {
            Section::Peer => ("[Peer]", "[Interface]", &INTERFACE_WORDS),
            _ => ("[Interface]", "[Peer]", &PEER_WORDS),
        };
        let own = match self.section {
            Section::Peer => &PEER_WORDS,
            _ => &INTERFACE_WORDS,
        };
        if let Some(word) = find(word, other) {
            return format!("{word} belongs under {elsewhere}, this is {here}");
        }
        if let Some(word) = find(word, &QUICK_WORDS) {
            return format!(
                "{word} is for wg-quick(8), not for wg; `wg-quick strip' prints the file without such lines"
            );
        }
        format!(
            "{} is no word of {here}; the words are {}",
            quote_word(word),
            own.join(", ")
        )
    }
}

fn find<'a>(word: &[u8], words: &[&'a str]) -> Option<&'a str> {
    words
        .iter()
        .copied()
        .find(|known| word.eq_ignore_ascii_case(known.as_bytes()))
}

/// Quotes what stands before a `=`, unless it might be a piece of a key.
fn quote_word(word: &[u8]) -> String {
    if word.is_empty() {
        "a line without a word before its `='".into()
    } else if word.len() > 24 || !word.iter().all(u8::is_ascii_alphabetic) {
        "this line".into()
    } else {
        quote(word)
    }
}

fn secret_key(text: &[u8]) -> Result<SecretKey, String> {
    SecretKey::from_base64(text).ok_or_else(|| base64_complaint(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "qNO3/AAtC49xVUHYE1k/37egjsDgkb8Lrk8RU0H7hEo=";
    const PUBLIC: &str = "YtYKSMZRJK7ip74EWf2hnFeYvLPO5VaEalH4wIqDOCY=";

    fn good(text: &str) -> Config {
        parse(text.as_bytes(), Mode::Append).unwrap()
    }

    fn bad(text: &str) -> Mistake {
        parse(text.as_bytes(), Mode::Append).unwrap_err()
    }

    #[test]
    fn whole_file() {
        let text = format!(
            "# a comment\r\n [ interface ]\nprivatekey={KEY}\nListenPort = 1 2 # spaces\n\
             FWMARK=0x10\nTransitNetns = /run/my netns/a \nTransitCredentials = 100, 101\n\n\
             [Peer]\nPublicKey = {PUBLIC}\nPresharedKey = {KEY}\nEndpoint = [::1]:7\n\
             AllowedIPs = 10.0.0.0/8, fd00::/8\nAllowedIPs=10.1.1.1\nPersistentKeepalive=off\n\
             [PEER]\nPublicKey={KEY}\n[Interface]\nListenPort=13"
        );
        let config = good(&text);
        let change = &config.change;
        assert!(!change.replace_peers);
        assert_eq!(change.listen_port, Some(13));
        assert_eq!(change.fwmark, Some(16));
        assert_eq!(
            change.transit_netns,
            Some(TransitNetns(b"/run/my netns/a".to_vec()))
        );
        assert_eq!(
            change.credentials,
            Some(Credentials {
                v4: 100,
                v6: Some(101)
            })
        );
        assert_eq!(
            change.private_key.as_ref().unwrap().to_base64().as_str(),
            KEY
        );
        assert_eq!(change.peers.len(), 2);
        let peer = &change.peers[0];
        assert_eq!(peer.public_key.to_string(), PUBLIC);
        assert_eq!(peer.allowed_ips.len(), 3);
        assert_eq!(peer.keepalive, Some(0));
        assert_eq!(peer.endpoint, Some("[::1]:7".parse().unwrap()));
        assert!(peer.replace_allowed_ips && !peer.remove);
        assert!(config.lookups.is_empty() && config.warnings.is_empty());
    }

    #[test]
    fn replacing_resets_what_is_not_there() {
        let change = parse(b"", Mode::Replace).unwrap().change;
        assert!(change.replace_peers);
        assert!(change.private_key.unwrap().is_zero());
        assert_eq!((change.listen_port, change.fwmark), (Some(0), Some(0)));
        let change = good("").change;
        assert!(change.private_key.is_none() && change.listen_port.is_none());
    }

    #[test]
    fn the_last_list_decides_what_it_replaces() {
        let lists = |lists: &[&str]| {
            let mut text = format!("[Peer]\nPublicKey={PUBLIC}\n");
            for list in lists {
                text += &format!("AllowedIPs={list}\n");
            }
            good(&text).change.peers[0].replace_allowed_ips
        };
        assert!(lists(&[]));
        assert!(lists(&["10.0.0.0/8"]));
        assert!(!lists(&["+10.0.0.0/8"]));
        assert!(!lists(&["10.0.0.0/8,-10.0.0.0/9"]));
        assert!(lists(&["+10.0.0.0/8", "11.0.0.0/8"]));
    }

    #[test]
    fn names_are_left_for_later() {
        let config = good(&format!(
            "[Interface]\nListenPort=ntp\n[Peer]\nPublicKey={PUBLIC}\nEndpoint=a.example:5"
        ));
        assert_eq!(config.lookups.len(), 2);
        assert_eq!(config.change.listen_port, None);
        assert_eq!(config.change.peers[0].endpoint, None);
    }

    #[test]
    fn mistakes_name_the_line_and_what_would_be_right() {
        for (text, line, part) in [
            ("ListenPort=1", 1, "before any section"),
            ("[Interface]\nlistenport 1", 2, "no `='"),
            ("\n\n[Foo]", 3, "`[Foo]'"),
            ("[Interface]\nFoo=1", 2, "`Foo' is no word of [Interface]"),
            (
                "[Interface]\nPublicKey=x",
                2,
                "PublicKey belongs under [Peer]",
            ),
            (
                "[Peer]\nprivatekey=x",
                2,
                "PrivateKey belongs under [Interface]",
            ),
            ("[Interface]\nAddress=10.0.0.1/8", 2, "wg-quick(8)"),
            ("[Interface]\nListenPort=", 2, "no value"),
            ("[Interface]\nListenPort=#5", 2, "no value"),
            ("[Interface]\nFwMark=bla", 2, "FwMark: `bla'"),
            ("[Interface]\nTransitCredentials=a", 2, "FD4[,FD6]"),
            ("[Interface]\n=5", 2, "without a word"),
            ("[Peer]\nPublicKey=x", 2, "44"),
            ("[Peer]\n", 1, "missing a public key"),
            ("[Peer]\n[Interface]\n[Peer]\n", 1, "missing a public key"),
        ] {
            let mistake = bad(text);
            assert_eq!(mistake.line, line, "{text}");
            assert!(mistake.reason.contains(part), "{text}: {}", mistake.reason);
        }
    }

    #[test]
    fn mistakes_never_show_a_key() {
        for text in [
            format!("[Interface]\nPrivatKey={KEY}"),
            format!("[Peer]\nPrivateKey={KEY}"),
            format!("[Interface]\n{KEY}"),
            format!("[Interface]\nPrivateKey {KEY}"),
            format!("[Interface]\nPrivateKey = {KEY}{KEY}"),
            format!("[{KEY}"),
            KEY.to_string(),
            format!("[Peer]\nPublicKey={PUBLIC}\nPresharedKey={}", &KEY[..43]),
            format!("[Peer]\nAllowedIPs={KEY}"),
            format!("[Peer]\nEndpoint={KEY}"),
        ] {
            let reason = bad(&text).reason;
            assert!(!reason.contains(&KEY[..8]), "{reason}");
            assert!(!reason.contains(&KEY[33..]), "{reason}");
        }
    }

    #[test]
    fn hostile_bytes() {
        assert_eq!(
            parse(b"\0[Interface]\n\0nonsense", Mode::Append)
                .unwrap()
                .change
                .peers
                .len(),
            0
        );
        assert!(parse(b"\xff\xfe[Interface]", Mode::Append).is_err());
        assert!(parse(b"[Interface]\nFwMark\xff=1", Mode::Append).is_err());
        let reason = bad("[\x1b[31mInterface]").reason;
        assert!(!reason.contains('\x1b'));
        // What follows a NUL byte is not seen.
        assert_eq!(good("[Interface]\nFwMark=1\x002").change.fwmark, Some(1));
        let long = format!("[Interface]\n{}=1", "x".repeat(1 << 20));
        assert!(bad(&long).reason.len() < 300);
    }

    #[test]
    fn host_bits_warn_with_their_line() {
        let config = good(&format!(
            "[Peer]\nPublicKey={PUBLIC}\nAllowedIPs=10.0.0.1/8"
        ));
        assert_eq!(config.warnings.len(), 1);
        assert!(config.warnings[0].starts_with("3: "));
    }
}
