// SPDX-License-Identifier: GPL-2.0
//! The words that follow `wg set DEV`.

use crate::error::{quote, Failure, Result};
use crate::input::read_key;
use crate::key::{base64_complaint, PublicKey};
use crate::model::{DeviceChange, PeerChange};
use crate::resolve::{Lookup, Lookups};
use crate::transit::{Credentials, TransitNetns};
use crate::value::{self, is_space};

/// Words, parsed.
#[derive(Debug, Default)]
pub struct Words {
    /// What they ask for, less what has to be looked up.
    pub change: DeviceChange,
    /// What has to be looked up.
    pub lookups: Lookups,
    /// What is odd about them.
    pub warnings: Vec<String>,
}

/// Words about the device, each with what follows it.
const DEVICE_WORDS: [(&str, &str); 5] = [
    ("listen-port", "PORT"),
    ("fwmark", "MARK"),
    ("private-key", "FILE"),
    ("transit-netns", "NAME, PID or PATH"),
    ("transit-credentials", "FD4[,FD6]"),
];
/// Words about a peer, each with what follows it.
const PEER_WORDS: [(&str, &str); 5] = [
    ("remove", ""),
    ("preshared-key", "FILE"),
    ("endpoint", "HOST:PORT"),
    ("persistent-keepalive", "SECONDS"),
    ("allowed-ips", "[+|-]ADDRESS/BITS,..."),
];

/// Parses the words behind the name of the device.
pub fn parse(words: impl IntoIterator<Item = Vec<u8>>) -> Result<Words> {
    let mut parsed = Words::default();
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        let name = known(&word, !parsed.change.peers.is_empty())?;
        if name == "remove" {
            parsed.set_remove();
            continue;
        }
        let Some(text) = words.next() else {
            return Err(Failure::new(format!(
                "Invalid argument: {name} stands without its value: give {name} {}",
                wanted(name)
            )));
        };
        parsed.set(name, text)?;
    }
    Ok(parsed)
}

/// Recognises a word where it may stand.
fn known(word: &[u8], in_peer: bool) -> Result<&'static str> {
    let find = |list: &[(&'static str, _)]| {
        list.iter()
            .map(|(name, _)| *name)
            .find(|name| name.as_bytes() == word)
    };
    if word == b"peer" {
        return Ok("peer");
    }
    let (here, elsewhere) = if in_peer {
        (find(&PEER_WORDS), find(&DEVICE_WORDS))
    } else {
        (find(&DEVICE_WORDS), find(&PEER_WORDS))
    };
    if let Some(name) = here {
        return Ok(name);
    }
    let failure = match elsewhere {
        Some(name) if in_peer => {
            format!("Invalid argument: {name} is about the device; it goes before the first `peer'")
        }
        Some(name) => {
            format!("Invalid argument: {name} is about a peer; it goes behind `peer KEY'")
        }
        None => format!("Invalid argument: {}", quote(word)),
    };
    let list = if in_peer { &PEER_WORDS } else { &DEVICE_WORDS };
    let names: Vec<_> = list.iter().map(|(name, _)| *name).collect();
    Err(Failure::new(failure).and(format!("Words that fit here: {}, peer.", names.join(", "))))
}

fn wanted(name: &str) -> &'static str {
    DEVICE_WORDS
        .iter()
        .chain(&PEER_WORDS)
        .find(|(word, _)| *word == name)
        .map_or("KEY", |(_, value)| value)
}

impl Words {
    fn peer(&mut self) -> Option<(usize, &mut PeerChange)> {
        self.change.peers.iter_mut().enumerate().next_back()
    }

    fn set_remove(&mut self) {
        if let Some((_, peer)) = self.peer() {
            peer.remove = true;
        }
    }

    fn set(&mut self, name: &'static str, text: Vec<u8>) -> Result<()> {
        let fail = |reason: String| Failure::new(format!("{name}: {reason}"));
        let change = &mut self.change;
        match name {
            "listen-port" => {
                let port = value::port(&text).map_err(fail)?;
                self.lookups
                    .add(Lookup::port(port, &mut change.listen_port), 0);
            }
            "fwmark" => change.fwmark = Some(value::fwmark(&text).map_err(fail)?),
            "private-key" => change.private_key = Some(read_key(name, &text)?),
            "transit-netns" => {
                change.transit_netns = Some(TransitNetns::parse(&text).map_err(fail)?);
            }
            "transit-credentials" => {
                change.credentials = Some(Credentials::parse(&text).map_err(fail)?);
            }
            "peer" => {
                let key =
                    PublicKey::from_base64(&text).ok_or_else(|| fail(base64_complaint(&text)))?;
                change.peers.push(PeerChange::new(key));
            }
            _ => self.set_peer(name, text)?,
        }
        Ok(())
    }

    fn set_peer(&mut self, name: &'static str, text: Vec<u8>) -> Result<()> {
        let fail = |reason: String| Failure::new(format!("{name}: {reason}"));
        let Some((index, peer)) = self.change.peers.iter_mut().enumerate().next_back() else {
            return Ok(());
        };
        match name {
            "preshared-key" => peer.preshared_key = Some(read_key(name, &text)?),
            "endpoint" => {
                let endpoint = value::endpoint(&text).map_err(fail)?;
                self.lookups
                    .add(Lookup::endpoint(endpoint, index, &mut peer.endpoint), 0);
            }
            "persistent-keepalive" => peer.keepalive = Some(value::keepalive(&text).map_err(fail)?),
            _ => {
                let mut text = text;
                text.retain(|&byte| !is_space(byte));
                let list = value::allowed_ips(&text).map_err(fail)?;
                peer.replace_allowed_ips = !list.incremental;
                peer.add_ranges(list.changes);
                self.warnings.extend(
                    list.host_bits
                        .iter()
                        .map(|range| format!("AllowedIP has nonzero host part: {range}")),
                );
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All words are in the manual and in the completions of all shells.
    #[test]
    fn words_are_everywhere() {
        use crate::field::Field;
        let words = DEVICE_WORDS
            .iter()
            .chain(&PEER_WORDS)
            .map(|(word, _)| *word);
        let words: Vec<_> = words.chain(Field::NAMES).collect();
        for (what, text) in [
            ("the manual", include_str!("../wg.8")),
            ("bash's", include_str!("../completions/wg.bash")),
            ("zsh's", include_str!("../completions/_wg")),
            ("fish's", include_str!("../completions/wg.fish")),
        ] {
            let text = text.replace('\\', "");
            for word in &words {
                assert!(text.contains(word), "{word} is not in {what}");
            }
        }
    }

    const PUBLIC: &str = "YtYKSMZRJK7ip74EWf2hnFeYvLPO5VaEalH4wIqDOCY=";

    fn words(line: &str) -> Result<Words> {
        let words: Vec<Vec<u8>> = line
            .split(' ')
            .map(|word| word.replace("KEY", PUBLIC).replace('_', " ").into())
            .collect();
        parse(words)
    }

    #[test]
    fn everything_at_once() {
        let parsed = words(
            "listen-port 5 fwmark 0x7 private-key /dev/null transit-netns blue \
             transit-credentials 4,6 peer KEY preshared-key /dev/null endpoint 1.2.3.4:5 \
             persistent-keepalive 25 allowed-ips 10.0.0.0/8,_::/0 peer KEY remove",
        )
        .unwrap();
        let change = parsed.change;
        assert_eq!(change.listen_port, Some(5));
        assert_eq!(change.fwmark, Some(7));
        assert!(change.private_key.unwrap().is_zero());
        assert_eq!(change.transit_netns, Some(TransitNetns(b"blue".to_vec())));
        assert_eq!(change.credentials, Some(Credentials { v4: 4, v6: Some(6) }));
        assert_eq!(change.peers.len(), 2);
        assert_eq!(change.peers[0].allowed_ips.len(), 2);
        assert!(change.peers[0].replace_allowed_ips);
        assert_eq!(change.peers[0].keepalive, Some(25));
        assert!(!change.peers[0].remove && change.peers[1].remove);
        assert!(!change.peers[1].replace_allowed_ips);
    }

    #[test]
    fn no_ranges_clears() {
        let words = ["peer", PUBLIC, "allowed-ips", " "].map(|word| word.as_bytes().to_vec());
        let peer = &parse(words).unwrap().change.peers[0];
        assert!(peer.replace_allowed_ips && peer.allowed_ips.is_empty());
    }

    #[test]
    fn wrong_words_are_explained() {
        for (line, part) in [
            ("frobnicate", "`frobnicate'"),
            ("endpoint 1.2.3.4:5", "behind `peer KEY'"),
            ("peer KEY fwmark 1", "before the first `peer'"),
            ("peer KEY transit-netns 1", "before the first `peer'"),
            ("fwmark", "fwmark MARK"),
            ("peer", "peer KEY"),
            ("peer x", "peer: it has 1 characters"),
            ("peer KEY endpoint", "HOST:PORT"),
            ("remove", "behind `peer KEY'"),
            ("listen-port _", "listen-port"),
            ("transit-credentials x", "FD4[,FD6]"),
            ("KEY", "looks like a key"),
            ("peer KEY preshared-key KEY", "not the key itself"),
            ("peer KEY allowed-ips 10.0.0.0/8,_,", "empty entry"),
        ] {
            match words(line) {
                // The odd port is for the system to refuse.
                Ok(parsed) => assert!(!parsed.lookups.is_empty(), "{line}"),
                Err(failure) => {
                    let text = failure.lines.join("\n").replace(PUBLIC, "KEY");
                    assert!(text.contains(part), "{line}: {text}");
                    assert!(!failure.lines.concat().contains(PUBLIC), "{line}: {text}");
                }
            }
        }
    }
}
