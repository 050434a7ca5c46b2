// SPDX-License-Identifier: GPL-2.0
//! Single fields of a device, in lines for scripts to read.

use crate::format::Endpoint;
use crate::model::{Device, Peer};
use crate::transit::Shown;
use crate::zone::Zones;
use std::io::{self, Write};

/// A field that `wg show` can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// The device's own key.
    PublicKey,
    /// The device's secret.
    PrivateKey,
    /// UDP port.
    ListenPort,
    /// Mark of packets.
    Fwmark,
    /// Where the sockets live.
    TransitNetns,
    /// Keys of the peers.
    Peers,
    /// Their shared secrets.
    PresharedKeys,
    /// Where they are.
    Endpoints,
    /// What is routed to them.
    AllowedIps,
    /// When they were last heard.
    LatestHandshakes,
    /// Bytes in both directions.
    Transfer,
    /// Seconds.
    PersistentKeepalive,
    /// Everything that wg(8) has always had in it, and no more: there are
    /// programs that count columns.
    Dump,
}

const FIELDS: [(&str, Field); 13] = [
    ("public-key", Field::PublicKey),
    ("private-key", Field::PrivateKey),
    ("listen-port", Field::ListenPort),
    ("fwmark", Field::Fwmark),
    ("transit-netns", Field::TransitNetns),
    ("peers", Field::Peers),
    ("preshared-keys", Field::PresharedKeys),
    ("endpoints", Field::Endpoints),
    ("allowed-ips", Field::AllowedIps),
    ("latest-handshakes", Field::LatestHandshakes),
    ("transfer", Field::Transfer),
    ("persistent-keepalive", Field::PersistentKeepalive),
    ("dump", Field::Dump),
];

impl Field {
    /// How the fields are spelled.
    pub const NAMES: [&'static str; FIELDS.len()] = {
        let mut names = [""; FIELDS.len()];
        let mut index = 0;
        while index < names.len() {
            names[index] = FIELDS[index].0;
            index += 1;
        }
        names
    };

    /// The field of that name.
    pub fn parse(word: &[u8]) -> Option<Self> {
        FIELDS
            .iter()
            .find(|(name, _)| name.as_bytes() == word)
            .map(|(_, field)| *field)
    }

    /// Whether it is about each peer.
    pub fn is_of_peers(self) -> bool {
        !matches!(
            self,
            Field::PublicKey
                | Field::PrivateKey
                | Field::ListenPort
                | Field::Fwmark
                | Field::TransitNetns
        )
    }

    /// Prints the field, each line begun with `name` if there is one.
    pub fn print(
        self,
        out: &mut impl Write,
        device: &Device,
        name: Option<&[u8]>,
    ) -> io::Result<()> {
        let mut lines = Lines { out, name };
        match self {
            Field::PublicKey => lines.line(|out| public_key(out, device)),
            Field::PrivateKey => lines.line(|out| private_key(out, device)),
            Field::ListenPort => lines.line(|out| write!(out, "{}", device.listen_port)),
            Field::Fwmark => lines.line(|out| fwmark(out, device)),
            Field::TransitNetns => lines.line(|out| out.write_all(&Shown::of(device).field())),
            Field::Dump => lines.dump(device),
            _ => {
                let zones = Zones::of_device(device);
                let mut peers = device.peers.iter();
                peers.try_for_each(|peer| lines.line(|out| self.print_peer(out, peer, &zones)))
            }
        }
    }

    fn print_peer(self, out: &mut impl Write, peer: &Peer, zones: &Zones) -> io::Result<()> {
        write!(out, "{}", peer.public_key)?;
        if self == Field::Peers {
            return Ok(());
        }
        out.write_all(b"\t")?;
        match self {
            Field::PresharedKeys => preshared_key(out, peer),
            Field::Endpoints => endpoint(out, peer, zones),
            Field::AllowedIps => allowed_ips(out, peer, " "),
            Field::LatestHandshakes => latest_handshake(out, peer),
            Field::Transfer => write!(out, "{}\t{}", peer.rx_bytes, peer.tx_bytes),
            _ => keepalive(out, peer),
        }
    }
}

struct Lines<'a, W: Write> {
    out: &'a mut W,
    name: Option<&'a [u8]>,
}

impl<W: Write> Lines<'_, W> {
    fn line(&mut self, write: impl FnOnce(&mut W) -> io::Result<()>) -> io::Result<()> {
        if let Some(name) = self.name {
            self.out.write_all(name)?;
            self.out.write_all(b"\t")?;
        }
        write(self.out)?;
        self.out.write_all(b"\n")
    }

    fn dump(&mut self, device: &Device) -> io::Result<()> {
        self.line(|out| {
            private_key(out, device)?;
            out.write_all(b"\t")?;
            public_key(out, device)?;
            write!(out, "\t{}\t", device.listen_port)?;
            fwmark(out, device)
        })?;
        let zones = &Zones::of_device(device);
        device.peers.iter().try_for_each(|peer| {
            self.line(|out| {
                write!(out, "{}\t", peer.public_key)?;
                preshared_key(out, peer)?;
                out.write_all(b"\t")?;
                endpoint(out, peer, zones)?;
                out.write_all(b"\t")?;
                allowed_ips(out, peer, ",")?;
                out.write_all(b"\t")?;
                latest_handshake(out, peer)?;
                write!(out, "\t{}\t{}\t", peer.rx_bytes, peer.tx_bytes)?;
                keepalive(out, peer)
            })
        })
    }
}

const NONE: &[u8] = b"(none)";
const OFF: &[u8] = b"off";

fn public_key(out: &mut impl Write, device: &Device) -> io::Result<()> {
    match &device.public_key {
        Some(key) => write!(out, "{key}"),
        None => out.write_all(NONE),
    }
}

fn private_key(out: &mut impl Write, device: &Device) -> io::Result<()> {
    match &device.private_key {
        Some(key) => out.write_all(key.to_base64().as_bytes()),
        None => out.write_all(NONE),
    }
}

fn preshared_key(out: &mut impl Write, peer: &Peer) -> io::Result<()> {
    match &peer.preshared_key {
        Some(key) => out.write_all(key.to_base64().as_bytes()),
        None => out.write_all(NONE),
    }
}

fn fwmark(out: &mut impl Write, device: &Device) -> io::Result<()> {
    match device.fwmark {
        0 => out.write_all(OFF),
        mark => write!(out, "{mark:#x}"),
    }
}

fn endpoint(out: &mut impl Write, peer: &Peer, zones: &Zones) -> io::Result<()> {
    match peer.endpoint {
        Some(endpoint) => write!(out, "{}", Endpoint(endpoint, zones)),
        None => out.write_all(NONE),
    }
}

fn allowed_ips(out: &mut impl Write, peer: &Peer, separator: &str) -> io::Result<()> {
    let Some((first, rest)) = peer.allowed_ips.split_first() else {
        return out.write_all(NONE);
    };
    write!(out, "{first}")?;
    rest.iter()
        .try_for_each(|ip| write!(out, "{separator}{ip}"))
}

fn latest_handshake(out: &mut impl Write, peer: &Peer) -> io::Result<()> {
    // The C tool prints the seconds without their sign.
    write!(
        out,
        "{}",
        u64::from_ne_bytes(peer.last_handshake.0.to_ne_bytes())
    )
}

fn keepalive(out: &mut impl Write, peer: &Peer) -> io::Result<()> {
    match peer.keepalive {
        0 => out.write_all(OFF),
        seconds => write!(out, "{seconds}"),
    }
}
