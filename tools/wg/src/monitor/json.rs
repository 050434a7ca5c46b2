// SPDX-License-Identifier: GPL-2.0
//! Events as JSON, an object a line. The names are those of `wg show --json`.

use super::text::name;
use crate::event::{DeviceSide, Event, Kind, PeerSide};
use crate::format::Endpoint;
use crate::json::{time, DeviceJson};
use crate::transit::Shown;
use crate::zone::Zones;
use serde::ser::{Serialize, SerializeMap, Serializer};

/// An event, to be serialized.
pub struct EventJson<'a>(pub &'a Event);

impl Serialize for EventJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let event = self.0;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("time", &time(event.time))?;
        map.serialize_entry("event", name(event.kind))?;
        map.serialize_entry("interface", &String::from_utf8_lossy(&event.interface))?;
        map.serialize_entry("count", &event.count)?;
        map.serialize_entry("peer", &event.peer.map(|key| key.to_string()))?;
        let [old, new] = [0, 1].map(|side| Side { event, side });
        map.serialize_entry("old", &old)?;
        map.serialize_entry("new", &new)?;
        match event.kind {
            Kind::SessionBegin => map.serialize_entry("renewal", &event.renewal)?,
            Kind::PeerChange => {
                map.serialize_entry("preshared_key_changed", &event.preshared_key)?;
                map.serialize_entry("allowed_ips_changed", &event.allowed_ips)?;
            }
            _ => {}
        }
        map.end()
    }
}

/// What changed, before or after that.
struct Side<'a> {
    event: &'a Event,
    side: usize,
}

impl Side<'_> {
    /// A value of a device, if it changed.
    fn device<T>(&self, value: impl Fn(&DeviceSide) -> Option<T>) -> Option<Option<T>> {
        let changed = self.event.device.iter().any(|side| value(side).is_some());
        changed.then(|| self.event.device.get(self.side).and_then(value))
    }

    /// A value of a peer, if it changed.
    fn peer<T>(&self, value: impl Fn(&PeerSide) -> Option<T>) -> Option<Option<T>> {
        let changed = self.event.of_peer.iter().any(|side| value(side).is_some());
        changed.then(|| self.event.of_peer.get(self.side).and_then(value))
    }
}

impl Serialize for Side<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        if let Some(key) = self.device(|side| side.public_key) {
            map.serialize_entry("public_key", &key.map(|key| key.to_string()))?;
        }
        if let Some(port) = self.device(|side| side.listen_port) {
            map.serialize_entry("listen_port", &port.unwrap_or(0))?;
        }
        if let Some(mark) = self.device(|side| side.fwmark) {
            let mark = mark.unwrap_or(0);
            let carried = self.device(|side| side.transit_fwmark).flatten();
            map.serialize_entry("fwmark", &mark)?;
            map.serialize_entry("fwmark_applied", &carried.map(|carried| carried == mark))?;
        }
        if self.event.kind == Kind::TransitChange {
            let nsid = self.event.device.get(self.side);
            let nsid = nsid.and_then(|side| side.transit_nsid);
            map.serialize_entry("transit_netns", &Shown::of_nsid(nsid))?;
        }
        if let Some(endpoint) = self.peer(|side| side.endpoint) {
            let text = endpoint.map(|at| Endpoint(at, &Zones::Unseen).to_string());
            map.serialize_entry("endpoint", &text)?;
        }
        if let Some(seconds) = self.peer(|side| side.keepalive) {
            map.serialize_entry("persistent_keepalive", &seconds.unwrap_or(0))?;
        }
        map.end()
    }
}

/// The state of a device, to be serialized as if it were an event.
pub struct StateJson<'a>(pub DeviceJson<'a>);

impl Serialize for StateJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let now = Event::now(Kind::DeviceChange, &self.0.device.name);
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("time", &time(now.time))?;
        map.serialize_entry("event", "state")?;
        map.serialize_entry("interface", &String::from_utf8_lossy(&now.interface))?;
        map.serialize_entry("device", &self.0)?;
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::PublicKey;
    use serde_json::{json, Value};

    fn value(event: &Event) -> Value {
        serde_json::to_value(EventJson(event)).unwrap()
    }

    #[test]
    fn a_peer_that_roams() {
        let mut event = Event::of_wg0(Kind::PeerRoam);
        event.peer = Some(PublicKey([1; 32]));
        event.count = 3;
        event.of_peer[1].endpoint = Some("192.0.2.1:5".parse().unwrap());
        let expected = json!({
            "time": "1970-01-01T00:00:01Z",
            "event": "peer-roam",
            "interface": "wg0",
            "count": 3,
            "peer": PublicKey([1; 32]).to_string(),
            "old": { "endpoint": null },
            "new": { "endpoint": "192.0.2.1:5" },
        });
        assert_eq!(value(&event), expected);
    }

    #[test]
    fn a_device_that_is_configured() {
        let mut event = Event::of_wg0(Kind::DeviceChange);
        event.device[0].listen_port = Some(0);
        event.device[1].listen_port = Some(5);
        event.device[0].fwmark = Some(0);
        event.device[0].transit_fwmark = Some(0);
        event.device[1].fwmark = Some(7);
        event.device[1].transit_fwmark = Some(0);
        event.device[1].public_key = Some(PublicKey([2; 32]));
        let shown = value(&event);
        let old = json!({
            "public_key": null,
            "listen_port": 0,
            "fwmark": 0,
            "fwmark_applied": true,
        });
        assert_eq!(shown["old"], old);
        let new = json!({
            "public_key": PublicKey([2; 32]).to_string(),
            "listen_port": 5,
            "fwmark": 7,
            "fwmark_applied": false,
        });
        assert_eq!(shown["new"], new);
    }

    #[test]
    fn sockets_that_move() {
        let mut event = Event::of_wg0(Kind::TransitChange);
        event.device[0].transit_nsid = Some(-1);
        let shown = value(&event);
        assert_eq!(shown["old"]["transit_netns"]["gone"], true);
        assert_eq!(shown["new"]["transit_netns"], Value::Null);
    }

    #[test]
    fn what_else_is_told() {
        assert_eq!(value(&Event::of_wg0(Kind::SessionBegin))["renewal"], false);
        let changed = value(&Event::of_wg0(Kind::PeerChange));
        assert_eq!(changed["allowed_ips_changed"], false);
        assert_eq!(changed["preshared_key_changed"], false);
    }

    #[test]
    fn the_schema_has_these_names() {
        let schema: Value = serde_json::from_str(include_str!("../../wg.schema.json")).unwrap();
        let of = &schema["$defs"]["event"]["properties"];
        for kind in [Kind::SessionBegin, Kind::PeerChange] {
            for (key, _) in value(&Event::of_wg0(kind)).as_object().unwrap() {
                assert!(of[key].is_object(), "{key}");
            }
        }
        let kinds = of["event"]["enum"].as_array().unwrap();
        for kind in super::super::text::KINDS {
            assert!(kinds.iter().any(|known| known == name(kind)));
        }
    }
}
