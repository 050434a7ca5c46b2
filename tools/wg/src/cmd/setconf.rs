// SPDX-License-Identifier: GPL-2.0
//! `wg setconf`, `wg addconf` and `wg syncconf`.

use super::help;
use crate::config::{self, Mode};
use crate::error::Result;
use crate::input::read_file;
use crate::key::SecretKey;
use crate::model::{Device, DeviceChange, PeerChange};
use crate::zone::Wanted;
use crate::{backend, key::PublicKey};
use std::collections::HashMap;

/// What to do with the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// Replace what there is.
    Set,
    /// Add to what there is.
    Add,
    /// Replace what is different.
    Sync,
}

/// Runs the command.
pub fn run(how: How, args: &[&[u8]]) -> Result<()> {
    let [name, path] = args else {
        return Err(help::usage(match how {
            How::Set => "setconf DEV FILE",
            How::Add => "addconf DEV FILE",
            How::Sync => "syncconf DEV FILE",
        }));
    };
    let text = read_file(path)?;
    let shown = String::from_utf8_lossy(path);
    let mode = match how {
        How::Add => Mode::Append,
        How::Set | How::Sync => Mode::Replace,
    };
    let config = config::parse(&text, mode)
        .map_err(|mistake| mistake.tell(path).and("Configuration parsing error"))?;
    drop(text);
    config.report_warnings(&shown);
    let mut change = config.change;
    let zones = Wanted::of(name, change.transit_netns.as_ref());
    config
        .lookups
        .run(&mut change, Some(&shown), &zones)
        .map_err(|failure| failure.and("Configuration parsing error"))?;
    drop(zones);
    if how == How::Sync && !change.peers.is_empty() {
        let device = backend::get(name, "Unable to retrieve current interface configuration")?;
        sync(&mut change, &device);
    }
    backend::set(name, &change)
}

/// Reduces a replacement of all peers to what is different, so that the
/// sessions of those that stay go on.
pub fn sync(change: &mut DeviceChange, device: &Device) {
    if device.peers.is_empty() {
        return;
    }
    change.replace_peers = false;
    let mut wanted: HashMap<PublicKey, usize> = HashMap::with_capacity(change.peers.len());
    for (index, peer) in change.peers.iter().enumerate() {
        wanted.entry(peer.public_key).or_insert(index);
    }
    let mut gone = Vec::new();
    for peer in &device.peers {
        match wanted.get(&peer.public_key) {
            None => {
                let mut removal = PeerChange::new(peer.public_key);
                removal.remove = true;
                gone.push(removal);
            }
            Some(&index) => {
                let wanted = &mut change.peers[index];
                // What the file leaves out has to be unset.
                if peer.preshared_key.is_some() {
                    wanted.preshared_key.get_or_insert(SecretKey::ZERO);
                }
                if peer.keepalive != 0 {
                    wanted.keepalive.get_or_insert(0);
                }
            }
        }
    }
    // First those that go: their ranges may belong to others from now on.
    gone.append(&mut change.peers);
    change.peers = gone;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Peer;

    fn device(keys: &[u8]) -> Device {
        let peer = |&key| {
            let mut peer = Peer::new(PublicKey([key; 32]));
            peer.preshared_key = SecretKey::from_slice(&[key; 32]);
            peer.keepalive = key.into();
            peer
        };
        Device {
            peers: keys.iter().map(peer).collect(),
            ..Device::default()
        }
    }

    fn wanted(keys: &[u8]) -> DeviceChange {
        DeviceChange {
            replace_peers: true,
            peers: keys
                .iter()
                .map(|&key| PeerChange::new(PublicKey([key; 32])))
                .collect(),
            ..DeviceChange::default()
        }
    }

    #[test]
    fn only_differences_are_left() {
        let mut change = wanted(&[1, 2, 4, 2]);
        change.peers[1].keepalive = Some(9);
        sync(&mut change, &device(&[1, 2, 3]));
        assert!(!change.replace_peers);
        let told: Vec<_> = change
            .peers
            .iter()
            .map(|peer| (peer.public_key.0[0], peer.remove, peer.keepalive))
            .collect();
        assert_eq!(
            told,
            [
                (3, true, None),
                (1, false, Some(0)),
                (2, false, Some(9)),
                (4, false, None),
                (2, false, None),
            ]
        );
        assert!(change.peers[1].preshared_key.as_ref().unwrap().is_zero());
        assert!(change.peers[3].preshared_key.is_none());
    }

    #[test]
    fn a_device_without_peers_is_simply_set() {
        let mut change = wanted(&[1]);
        sync(&mut change, &device(&[]));
        assert!(change.replace_peers);
        assert_eq!(change.peers.len(), 1);
    }
}
