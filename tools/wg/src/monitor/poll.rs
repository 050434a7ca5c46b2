// SPDX-License-Identifier: GPL-2.0
//! Userspace devices, which have to be asked what has happened.

use crate::event::{Event, Kind};
use crate::key::PublicKey;
use crate::model::{Device, Peer};
use crate::userspace;
use std::collections::HashMap;
use std::time::{Duration, Instant};

const PERIOD: Duration = Duration::from_secs(1);

/// The devices, as they were when they were last asked.
#[derive(Default)]
pub struct Asked {
    devices: Vec<Device>,
    last: Option<Instant>,
}

impl Asked {
    /// Adds one that was read just now.
    pub fn add(&mut self, device: Device) {
        self.devices.push(device);
        self.last = Some(Instant::now());
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.devices.is_empty()
    }

    /// Asks them, if it is time, and hands over what is different. Those that do
    /// not answer have gone.
    pub fn ask(&mut self, mut take: impl FnMut(Event)) {
        if self.last.is_some_and(|last| last.elapsed() < PERIOD) {
            return;
        }
        self.last = Some(Instant::now());
        self.devices.retain_mut(|device| {
            let read = userspace::connect(&device.name)
                .and_then(Result::ok)
                .and_then(|stream| userspace::get(&device.name, stream).ok());
            match read {
                Some(new) => {
                    differences(device, &new, &mut take);
                    *device = new;
                    true
                }
                None => {
                    take(Event::now(Kind::DeviceGone, &device.name));
                    false
                }
            }
        });
    }
}

/// What has happened between two states of a device.
fn differences(old: &Device, new: &Device, take: &mut impl FnMut(Event)) {
    let mut change = Event::now(Kind::DeviceChange, &new.name);
    if old.public_key != new.public_key {
        change.device[0].public_key = old.public_key;
        change.device[1].public_key = new.public_key;
    }
    if old.listen_port != new.listen_port {
        change.device[0].listen_port = Some(old.listen_port);
        change.device[1].listen_port = Some(new.listen_port);
    }
    if old.fwmark != new.fwmark {
        change.device[0].fwmark = Some(old.fwmark);
        change.device[1].fwmark = Some(new.fwmark);
    }
    if change.device[0] != change.device[1] {
        take(change);
    }
    let before: HashMap<PublicKey, &Peer> = old
        .peers
        .iter()
        .map(|peer| (peer.public_key, peer))
        .collect();
    let mut left = before.clone();
    for peer in &new.peers {
        left.remove(&peer.public_key);
    }
    let of_peer = |kind, peer: &Peer| Event {
        peer: Some(peer.public_key),
        ..Event::now(kind, &new.name)
    };
    for peer in old.peers.iter() {
        if left.contains_key(&peer.public_key) {
            take(of_peer(Kind::PeerDel, peer));
        }
    }
    for peer in &new.peers {
        match before.get(&peer.public_key) {
            None => {
                let mut add = of_peer(Kind::PeerAdd, peer);
                add.of_peer[1].endpoint = peer.endpoint;
                add.of_peer[1].keepalive = Some(peer.keepalive);
                take(add);
            }
            Some(old) => differences_of_peer(old, peer, of_peer, take),
        }
        let handshake = before.get(&peer.public_key).map(|old| old.last_handshake);
        if peer.last_handshake != (0, 0) && handshake.unwrap_or((0, 0)) != peer.last_handshake {
            let mut begin = of_peer(Kind::SessionBegin, peer);
            begin.time = peer.last_handshake;
            begin.renewal = handshake.is_some_and(|before| {
                const REJECT_AFTER_TIME: i64 = 180;
                before.0 != 0 && peer.last_handshake.0 - before.0 < REJECT_AFTER_TIME
            });
            begin.of_peer[1].endpoint = peer.endpoint;
            take(begin);
        }
    }
}

fn differences_of_peer(
    old: &Peer,
    new: &Peer,
    of_peer: impl Fn(Kind, &Peer) -> Event,
    take: &mut impl FnMut(Event),
) {
    if old.endpoint != new.endpoint {
        let mut roam = of_peer(Kind::PeerRoam, new);
        roam.of_peer[0].endpoint = old.endpoint;
        roam.of_peer[1].endpoint = new.endpoint;
        take(roam);
    }
    let mut change = of_peer(Kind::PeerChange, new);
    if old.keepalive != new.keepalive {
        change.of_peer[0].keepalive = Some(old.keepalive);
        change.of_peer[1].keepalive = Some(new.keepalive);
    }
    let preshared = |peer: &Peer| peer.preshared_key.as_ref().map(|key| *key.as_bytes());
    change.preshared_key = preshared(old) != preshared(new);
    change.allowed_ips = old.allowed_ips != new.allowed_ips;
    if change.of_peer[0] != change.of_peer[1] || change.preshared_key || change.allowed_ips {
        take(change);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::SecretKey;

    fn peer(key: u8) -> Peer {
        Peer::new(PublicKey([key; 32]))
    }

    fn device(peers: Vec<Peer>) -> Device {
        Device {
            name: b"wg0".to_vec(),
            peers,
            ..Device::default()
        }
    }

    fn kinds(old: &Device, new: &Device) -> Vec<(Kind, Option<u8>)> {
        let mut list = Vec::new();
        differences(old, new, &mut |event: Event| {
            list.push((event.kind, event.peer.map(|key| key.0[0])));
        });
        list
    }

    #[test]
    fn nothing_happens() {
        let mut one = peer(1);
        one.last_handshake = (5, 6);
        let mut same = peer(1);
        same.last_handshake = (5, 6);
        same.rx_bytes = 7;
        assert_eq!(kinds(&device(vec![one]), &device(vec![same])), []);
    }

    #[test]
    fn peers_come_and_go() {
        let old = device(vec![peer(1), peer(2)]);
        let new = device(vec![peer(2), peer(3)]);
        assert_eq!(
            kinds(&old, &new),
            [(Kind::PeerDel, Some(1)), (Kind::PeerAdd, Some(3))]
        );
    }

    #[test]
    fn everything_of_a_peer() {
        let mut new = peer(1);
        new.endpoint = Some("192.0.2.1:5".parse().unwrap());
        new.keepalive = 25;
        new.preshared_key = SecretKey::from_slice(&[7; 32]);
        new.last_handshake = (9, 0);
        assert_eq!(
            kinds(&device(vec![peer(1)]), &device(vec![new])),
            [
                (Kind::PeerRoam, Some(1)),
                (Kind::PeerChange, Some(1)),
                (Kind::SessionBegin, Some(1)),
            ]
        );
    }

    #[test]
    fn everything_of_a_device() {
        let mut new = device(vec![]);
        new.listen_port = 5;
        new.fwmark = 6;
        new.public_key = Some(PublicKey([1; 32]));
        assert_eq!(kinds(&device(vec![]), &new), [(Kind::DeviceChange, None)]);
    }

    #[test]
    fn a_session_is_renewed_while_it_lasts() {
        let renewed = |before, after| {
            let at = |time| {
                let mut peer = peer(1);
                peer.last_handshake = (time, 0);
                device(vec![peer])
            };
            let mut renewal = None;
            differences(&at(before), &at(after), &mut |event: Event| {
                renewal = Some(event.renewal);
            });
            renewal
        };
        assert_eq!(renewed(0, 100), Some(false));
        assert_eq!(renewed(100, 220), Some(true));
        assert_eq!(renewed(100, 280), Some(false));
        assert_eq!(renewed(100, 100), None);
    }
}
