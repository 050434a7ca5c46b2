// SPDX-License-Identifier: GPL-2.0
//! What `wg show` knows, as JSON.
//!
//! The names are an interface: `wg.8` lists them and `wg.schema.json` has their types. What is
//! there in one place may be null in another, but has always the same type.

use crate::error::Result;
use crate::field::Field;
use crate::format::Endpoint;
use crate::key::SecretKey;
use crate::model::{Device, Peer, TransitSockets};
use crate::terminal::Output;
use crate::transit::Shown;
use crate::zone::Zones;
use serde::ser::{Error, Serialize, SerializeMap, Serializer};
use std::io::Write;

/// What of a device is wanted.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// One field, or all of them.
    pub field: Option<Field>,
    /// Whether secret keys are shown where all fields are.
    pub secrets: bool,
}

impl Wanted {
    fn has(self, field: Field) -> bool {
        self.field
            .is_none_or(|wanted| wanted == field || wanted == Field::Dump)
    }

    /// Whether there is anything of the peers.
    fn has_peers(self) -> bool {
        self.field.is_none_or(Field::is_of_peers)
    }

    /// Who names a field asks for what is in it, as without JSON.
    fn shows_secrets(self) -> bool {
        self.secrets || self.field.is_some()
    }
}

/// A device, to be serialized.
pub struct DeviceJson<'a> {
    /// The device.
    pub device: &'a Device,
    /// What of it.
    pub wanted: Wanted,
}

impl<'a> DeviceJson<'a> {
    /// All of a device but its secret keys.
    pub fn without_secrets(device: &'a Device) -> Self {
        let wanted = Wanted {
            field: None,
            secrets: false,
        };
        Self { device, wanted }
    }
}

impl Serialize for DeviceJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let Self { device, wanted } = *self;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("interface", &String::from_utf8_lossy(&device.name))?;
        if wanted.has(Field::PublicKey) {
            map.serialize_entry("public_key", &device.public_key.map(|key| key.to_string()))?;
        }
        if wanted.has(Field::PrivateKey) {
            map.serialize_entry("private_key", &Secret(device.private_key.as_ref(), wanted))?;
        }
        if wanted.has(Field::ListenPort) {
            map.serialize_entry("listen_port", &device.listen_port)?;
        }
        if wanted.has(Field::Fwmark) {
            map.serialize_entry("fwmark", &device.fwmark)?;
            let applied = device.transit_fwmark.map(|mark| mark == device.fwmark);
            map.serialize_entry("fwmark_applied", &applied)?;
        }
        if wanted.has(Field::TransitNetns) {
            map.serialize_entry("transit_netns", &Shown::of(device))?;
        }
        if wanted.has_peers() {
            let zones = &Zones::of_device(device);
            let peer = |peer| PeerJson {
                peer,
                zones,
                wanted,
            };
            map.serialize_entry("peers", &Seq(|| device.peers.iter().map(peer)))?;
        }
        map.end()
    }
}

struct PeerJson<'a> {
    peer: &'a Peer,
    zones: &'a Zones,
    wanted: Wanted,
}

impl Serialize for PeerJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let Self {
            peer,
            zones,
            wanted,
        } = *self;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("public_key", &peer.public_key.to_string())?;
        if wanted.has(Field::PresharedKeys) {
            map.serialize_entry(
                "preshared_key",
                &Secret(peer.preshared_key.as_ref(), wanted),
            )?;
        }
        if wanted.has(Field::Endpoints) {
            let endpoint = peer.endpoint.map(|at| Endpoint(at, zones).to_string());
            map.serialize_entry("endpoint", &endpoint)?;
        }
        if wanted.has(Field::AllowedIps) {
            let text = || peer.allowed_ips.iter().map(ToString::to_string);
            map.serialize_entry("allowed_ips", &Seq(text))?;
        }
        if wanted.has(Field::LatestHandshakes) {
            map.serialize_entry("latest_handshake", &time(peer.last_handshake))?;
        }
        if wanted.has(Field::Transfer) {
            map.serialize_entry("rx_bytes", &peer.rx_bytes)?;
            map.serialize_entry("tx_bytes", &peer.tx_bytes)?;
        }
        if wanted.has(Field::PersistentKeepalive) {
            map.serialize_entry("persistent_keepalive", &peer.keepalive)?;
        }
        map.end()
    }
}

/// A secret key that may have to be hidden.
struct Secret<'a>(Option<&'a SecretKey>, Wanted);

impl Serialize for Secret<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        match self.0 {
            None => serializer.serialize_none(),
            Some(key) if self.1.shows_secrets() => serializer.serialize_str(&key.to_base64()),
            Some(_) => serializer.serialize_str("(hidden)"),
        }
    }
}

impl Serialize for Shown {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        if self.is_own() {
            return serializer.serialize_none();
        }
        let mut map = serializer.serialize_map(Some(3))?;
        map.serialize_entry("name", &self.name().map(String::from_utf8_lossy))?;
        map.serialize_entry("nsid", &self.nsid())?;
        map.serialize_entry("gone", &self.is_gone())?;
        map.end()
    }
}

/// The sockets of a device of another netns, and how that netns is called here.
pub struct TransitJson<'a> {
    /// The sockets.
    pub sockets: &'a TransitSockets,
    /// The name of the user, if there is one.
    pub user: Option<String>,
    /// The name of the netns, if there is one.
    pub netns: Option<String>,
}

impl Serialize for TransitJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let sockets = self.sockets;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("uid", &sockets.uid)?;
        map.serialize_entry("user", &self.user)?;
        map.serialize_entry("port", &sockets.port)?;
        map.serialize_entry("ipv4", &sockets.v4)?;
        map.serialize_entry("ipv6", &sockets.v6)?;
        map.serialize_entry("credentials", &sockets.credentials)?;
        map.serialize_entry("device_nsid", &sockets.nsid)?;
        map.serialize_entry("device_netns", &self.netns)?;
        map.serialize_entry("rx_packets", &sockets.rx_packets)?;
        map.serialize_entry("rx_bytes", &sockets.rx_bytes)?;
        map.serialize_entry("tx_packets", &sockets.tx_packets)?;
        map.serialize_entry("tx_bytes", &sockets.tx_bytes)?;
        map.end()
    }
}

/// A list that is made while it is written.
struct Seq<F>(F);

impl<F, I> Serialize for Seq<F>
where
    F: Fn() -> I,
    I: Iterator<Item: Serialize>,
{
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_seq((self.0)())
    }
}

/// A time in RFC 3339, of UTC. `None` for the time that stands for never.
pub fn time((seconds, nanoseconds): (i64, i64)) -> Option<String> {
    let nanoseconds = i32::try_from(nanoseconds).ok()?;
    if seconds == 0 {
        return None;
    }
    let time = jiff::Timestamp::new(seconds, nanoseconds).ok()?;
    Some(time.to_string())
}

/// Writes one document on a line.
pub fn line(out: &mut Output, document: &impl Serialize) -> serde_json::Result<()> {
    serde_json::to_writer(&mut *out, document)?;
    out.write_all(b"\n").map_err(serde_json::Error::custom)
}

/// Prints one document. What cannot be written is told at the end.
pub fn print(document: &impl Serialize) -> Result<()> {
    let mut out = Output::default();
    let _ = line(&mut out, document);
    out.finish()
}

/// Prints a list of documents as they come.
#[derive(Default)]
pub struct List {
    out: Output,
    begun: bool,
}

impl List {
    /// Adds one.
    pub fn push(&mut self, document: &impl Serialize) {
        // What cannot be written is told at the end.
        let _ = self.out.write_all(if self.begun { b"," } else { b"[" });
        let _ = serde_json::to_writer(&mut self.out, document);
        self.begun = true;
    }

    /// Ends the list.
    pub fn finish(mut self) -> Result<()> {
        let _ = self
            .out
            .write_all(if self.begun { b"]\n" } else { b"[]\n" });
        self.out.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::PublicKey;
    use crate::model::AllowedIp;
    use serde_json::{json, Value};

    fn device() -> Device {
        let mut peer = Peer::new(PublicKey([2; 32]));
        peer.preshared_key = SecretKey::from_slice(&[3; 32]);
        peer.endpoint = Some("[2001:db8::1]:5".parse().unwrap());
        peer.last_handshake = (1, 250_000_000);
        peer.rx_bytes = u64::MAX;
        peer.keepalive = 25;
        peer.allowed_ips = vec![AllowedIp {
            addr: "10.0.0.0".parse().unwrap(),
            cidr: 8,
        }];
        Device {
            name: b"wg0".to_vec(),
            private_key: SecretKey::from_slice(&[1; 32]),
            public_key: Some(PublicKey([4; 32])),
            listen_port: 51820,
            fwmark: 7,
            transit_nsid: Some(-1),
            transit_fwmark: Some(0),
            peers: vec![peer, Peer::new(PublicKey([5; 32]))],
        }
    }

    fn value(device: &Device, field: Option<Field>, secrets: bool) -> Value {
        let wanted = Wanted { field, secrets };
        serde_json::to_value(DeviceJson { device, wanted }).unwrap()
    }

    fn schema() -> Value {
        serde_json::from_str(include_str!("../wg.schema.json")).unwrap()
    }

    fn names(value: &Value) -> Vec<&str> {
        let mut names: Vec<_> = value.as_object().unwrap().keys().map(|k| &**k).collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn a_whole_device() {
        let shown = value(&device(), None, false);
        let key = |byte| PublicKey([byte; 32]).to_string();
        let expected = json!({
            "interface": "wg0",
            "public_key": key(4),
            "private_key": "(hidden)",
            "listen_port": 51820,
            "fwmark": 7,
            "fwmark_applied": false,
            "transit_netns": { "name": null, "nsid": null, "gone": true },
            "peers": [
                {
                    "public_key": key(2),
                    "preshared_key": "(hidden)",
                    "endpoint": "[2001:db8::1]:5",
                    "allowed_ips": ["10.0.0.0/8"],
                    "latest_handshake": "1970-01-01T00:00:01.25Z",
                    "rx_bytes": u64::MAX,
                    "tx_bytes": 0,
                    "persistent_keepalive": 25,
                },
                {
                    "public_key": key(5),
                    "preshared_key": null,
                    "endpoint": null,
                    "allowed_ips": [],
                    "latest_handshake": null,
                    "rx_bytes": 0,
                    "tx_bytes": 0,
                    "persistent_keepalive": 0,
                },
            ],
        });
        assert_eq!(shown, expected);
    }

    #[test]
    fn secret_keys_are_shown_to_who_asks() {
        let key = SecretKey::from_slice(&[1; 32]).unwrap().to_base64();
        for (field, secrets) in [
            (None, true),
            (Some(Field::PrivateKey), false),
            (Some(Field::Dump), false),
        ] {
            let shown = value(&device(), field, secrets);
            assert_eq!(shown["private_key"], key.as_str());
        }
        let hidden = value(&device(), None, false).to_string();
        assert!(!hidden.contains(key.as_str()));
    }

    #[test]
    fn each_field_is_a_part_of_the_whole() {
        let device = device();
        let whole = value(&device, None, true);
        for name in Field::NAMES {
            let field = Field::parse(name.as_bytes());
            let shown = value(&device, field, false);
            assert!(shown.as_object().unwrap().len() > 1, "{name}");
            for (key, value) in shown.as_object().unwrap() {
                if key != "peers" {
                    assert_eq!(*value, whole[key], "{name}");
                    continue;
                }
                for (peer, of_whole) in value.as_array().unwrap().iter().zip(0..) {
                    for (key, value) in peer.as_object().unwrap() {
                        assert_eq!(*value, whole["peers"][of_whole][key], "{name}");
                    }
                }
            }
        }
        assert_eq!(value(&device, Some(Field::Dump), false), whole);
        let peers = value(&device, Some(Field::Peers), false);
        assert_eq!(names(&peers["peers"][0]), ["public_key"]);
        let transfer = value(&device, Some(Field::Transfer), false);
        let columns = ["public_key", "rx_bytes", "tx_bytes"];
        assert_eq!(names(&transfer["peers"][0]), columns);
    }

    /// The schema itself is checked against real devices in the guest.
    #[test]
    fn the_schema_has_these_names() {
        let (schema, shown) = (schema(), value(&device(), None, false));
        let properties = |of: &str| schema["$defs"][of]["properties"].clone();
        assert_eq!(names(&properties("device")), names(&shown));
        assert_eq!(names(&properties("peer")), names(&shown["peers"][0]));
        let transit_netns = &properties("device")["transit_netns"]["properties"];
        assert_eq!(names(transit_netns), names(&shown["transit_netns"]));
        let sockets = TransitJson {
            sockets: &TransitSockets::default(),
            user: None,
            netns: None,
        };
        let sockets = serde_json::to_value(sockets).unwrap();
        assert_eq!(names(&properties("transit_sockets")), names(&sockets));
    }

    #[test]
    fn the_manual_lists_the_names() {
        let manual = include_str!("../wg.8").replace('\\', "");
        let schema = schema();
        for of in ["device", "peer", "transit_sockets", "event", "state"] {
            for name in names(&schema["$defs"][of]["properties"]) {
                assert!(manual.contains(name), "{name} of {of}");
            }
        }
    }

    #[test]
    fn times() {
        assert_eq!(time((0, 0)), None);
        assert_eq!(
            time((1_700_000_000, 5)).as_deref(),
            Some("2023-11-14T22:13:20.000000005Z")
        );
        assert_eq!(time((i64::MAX, 0)), None);
        assert_eq!(time((1, i64::MAX)), None);
    }
}
