// SPDX-License-Identifier: GPL-2.0
//! Waiting for the first handshake, and what to think if there is none.

use crate::outside::Outside;
use rustix::event::{poll, PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::net::{recv, sendto, RecvFlags, SendFlags};
use std::net::SocketAddr;
use std::thread::sleep;
use std::time::{Duration, Instant};
use wg::error::{errno_text, Failure, Result};
use wg::kernel;
use wg::model::{Device, DeviceChange, PeerChange};
use wg::netlink::socket::Refused;
use wg::refusal;

/// How often to look.
const PAUSE: Duration = Duration::from_millis(20);
/// How long a router takes to say that nobody listens.
const PROBE: Timespec = Timespec {
    tv_sec: 1,
    tv_nsec: 0,
};

/// Waits until a peer has shaken hands. To be called in the namespace of the
/// interface.
pub fn wait(interface: &str, limit: Duration, outside: &Outside) -> Result<()> {
    let device = read(interface)?;
    if device.peers.iter().all(|peer| peer.endpoint.is_none()) {
        return Err(Failure::new(
            "--wait: no peer has an Endpoint, so none can be asked for a handshake",
        ));
    }
    // A peer whose keepalives are switched on is sent one at once, which takes
    // a handshake. They are as they were before the command begins.
    ask(interface, &device, |_| 1)?;
    let end = Instant::now() + limit;
    let done = loop {
        let now = read(interface)?;
        if now.peers.iter().any(|peer| peer.last_handshake != (0, 0)) {
            break true;
        }
        if Instant::now() >= end {
            break false;
        }
        sleep(PAUSE);
    };
    ask(interface, &device, |before| before)?;
    if done {
        return Ok(());
    }
    Err(explain(&read(interface)?, limit, outside))
}

fn ask(interface: &str, device: &Device, keepalive: impl Fn(u16) -> u16) -> Result<()> {
    let peers = device.peers.iter().filter(|peer| peer.endpoint.is_some());
    let change = DeviceChange {
        peers: peers
            .map(|peer| {
                let mut change = PeerChange::new(peer.public_key);
                change.keepalive = Some(keepalive(peer.keepalive));
                change
            })
            .collect(),
        ..DeviceChange::default()
    };
    kernel::set(interface.as_bytes(), &change, None)
        .map(drop)
        .map_err(|not_set| refusal::of_set(interface.as_bytes(), &change, None, &not_set))
}

/// Reads the interface.
pub fn read(interface: &str) -> Result<Device> {
    let fail = |refused: Refused| {
        refusal::of_get(
            "Unable to read the interface",
            interface.as_bytes(),
            &refused,
        )
    };
    kernel::get(interface.as_bytes()).map_err(fail)
}

/// A clear word for each way in which it may fail.
fn explain(device: &Device, limit: Duration, outside: &Outside) -> Failure {
    let mut failure = Failure::new(format!(
        "There was no handshake within {} seconds",
        limit.as_secs()
    ));
    let own = device.public_key.map(|key| key.to_string());
    for peer in &device.peers {
        let Some(endpoint) = peer.endpoint else {
            continue;
        };
        let found = outside
            .socket_to(&endpoint)
            .map_or(Some(Errno::AFNOSUPPORT), |socket| probe(socket, &endpoint));
        failure = failure.and(word(
            &endpoint,
            peer.rx_bytes,
            found,
            own.as_deref().unwrap_or_default(),
        ));
    }
    failure
}

/// What the network says about a datagram to that address, if anything. One
/// that WireGuard takes for nothing.
fn probe(socket: &std::os::fd::OwnedFd, endpoint: &SocketAddr) -> Option<Errno> {
    // Errors come back to a socket that is connected only.
    if let Err(errno) = rustix::net::connect(socket, endpoint) {
        return Some(errno);
    }
    if let Err(errno) = sendto(socket, b"\0", SendFlags::empty(), endpoint) {
        return Some(errno);
    }
    let mut wait = [PollFd::new(socket, PollFlags::IN)];
    let _ = poll(&mut wait, Some(&PROBE));
    recv(socket, &mut [0; 1][..], RecvFlags::DONTWAIT)
        .err()
        .filter(|&errno| errno != Errno::AGAIN)
}

fn word(endpoint: &SocketAddr, received: u64, found: Option<Errno>, own: &str) -> String {
    match found {
        Some(Errno::CONNREFUSED) => format!(
            "{endpoint}: nobody listens there. The Endpoint is wrong, or the server is not running."
        ),
        Some(errno) => format!(
            "{endpoint}: {}. This machine has no way to there now, or may not send.",
            errno_text(errno.raw_os_error())
        ),
        None if received > 0 => format!(
            "{endpoint}: it answers, but with no handshake that is for this key: PublicKey or PresharedKey is not the server's."
        ),
        None => format!(
            "{endpoint}: no answer. Either the packets do not get there or back, or a key is wrong: \
             PublicKey has to be the server's, and the server has to have {own} as that of a peer."
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clear_words() {
        let endpoint = "192.0.2.1:7".parse().unwrap();
        let word = |received, found| super::word(&endpoint, received, found, "KEY");
        assert!(word(0, Some(Errno::CONNREFUSED)).contains("nobody listens"));
        assert!(word(0, Some(Errno::NETUNREACH)).contains("Network is unreachable"));
        assert!(word(92, None).contains("PublicKey"));
        let silent = word(0, None);
        assert!(silent.contains("no answer") && silent.contains("KEY"));
    }
}
