// SPDX-License-Identifier: GPL-2.0
//! What `wg show` knows, in the text format of Prometheus.
//!
//! Names and labels of peers are those of prometheus_wireguard_exporter, which Debian has and
//! dashboards know; wireguard_device_info is one of mdlayher's wireguard_exporter.

use crate::model::{Device, Peer};
use std::io::{self, Write};

/// A metric of each peer.
struct OfPeer {
    name: &'static str,
    help: &'static str,
    kind: &'static str,
    value: fn(&Peer) -> i128,
}

const OF_PEERS: [OfPeer; 3] = [
    OfPeer {
        name: "wireguard_sent_bytes_total",
        help: "Bytes sent to the peer",
        kind: "counter",
        value: |peer| peer.tx_bytes.into(),
    },
    OfPeer {
        name: "wireguard_received_bytes_total",
        help: "Bytes received from the peer",
        kind: "counter",
        value: |peer| peer.rx_bytes.into(),
    },
    OfPeer {
        name: "wireguard_latest_handshake_seconds",
        help: "UNIX timestamp of the latest handshake, 0 if there was none",
        kind: "gauge",
        value: |peer| peer.last_handshake.0.into(),
    },
];

/// Prints the metrics of all these devices. Nothing in them is secret.
pub fn print(out: &mut impl Write, devices: &[Device]) -> io::Result<()> {
    head(
        out,
        "wireguard_device_info",
        "Metadata about a device",
        "gauge",
    )?;
    for device in devices {
        write!(out, "wireguard_device_info{{interface=\"")?;
        escaped(out, &device.name)?;
        match &device.public_key {
            Some(key) => writeln!(out, "\",public_key=\"{key}\"}} 1")?,
            None => writeln!(out, "\",public_key=\"\"}} 1")?,
        }
    }
    for metric in &OF_PEERS {
        head(out, metric.name, metric.help, metric.kind)?;
        for device in devices {
            for peer in &device.peers {
                write!(out, "{}{{interface=\"", metric.name)?;
                escaped(out, &device.name)?;
                write!(out, "\",public_key=\"{}\",allowed_ips=\"", peer.public_key)?;
                for (index, ip) in peer.allowed_ips.iter().enumerate() {
                    let comma = if index == 0 { "" } else { "," };
                    write!(out, "{comma}{ip}")?;
                }
                writeln!(out, "\"}} {}", (metric.value)(peer))?;
            }
        }
    }
    Ok(())
}

fn head(out: &mut impl Write, name: &str, help: &str, kind: &str) -> io::Result<()> {
    writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}")
}

/// The value of a label, which has to be UTF-8.
fn escaped(out: &mut impl Write, value: &[u8]) -> io::Result<()> {
    let text = String::from_utf8_lossy(value);
    let text = text.replace('\\', r"\\").replace('"', "\\\"");
    out.write_all(text.replace('\n', r"\n").as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::{PublicKey, SecretKey};
    use crate::model::AllowedIp;

    #[test]
    fn the_text_format() {
        let mut peer = Peer::new(PublicKey([0; 32]));
        peer.preshared_key = SecretKey::from_slice(&[9; 32]);
        peer.last_handshake = (5, 6);
        (peer.rx_bytes, peer.tx_bytes) = (7, u64::MAX);
        peer.allowed_ips = ["10.0.0.0/8", "::/0"].map(range).to_vec();
        let device = Device {
            name: b"wg\"\\0".to_vec(),
            private_key: SecretKey::from_slice(&[9; 32]),
            peers: vec![peer],
            ..Device::default()
        };
        let mut out = Vec::new();
        print(&mut out, &[device]).unwrap();
        let key = PublicKey([0; 32]);
        let labels =
            format!(r#"{{interface="wg\"\\0",public_key="{key}",allowed_ips="10.0.0.0/8,::/0"}}"#);
        let expected = format!(
            "# HELP wireguard_device_info Metadata about a device\n\
             # TYPE wireguard_device_info gauge\n\
             wireguard_device_info{{interface=\"wg\\\"\\\\0\",public_key=\"\"}} 1\n\
             # HELP wireguard_sent_bytes_total Bytes sent to the peer\n\
             # TYPE wireguard_sent_bytes_total counter\n\
             wireguard_sent_bytes_total{labels} 18446744073709551615\n\
             # HELP wireguard_received_bytes_total Bytes received from the peer\n\
             # TYPE wireguard_received_bytes_total counter\n\
             wireguard_received_bytes_total{labels} 7\n\
             # HELP wireguard_latest_handshake_seconds UNIX timestamp of the latest handshake, \
             0 if there was none\n\
             # TYPE wireguard_latest_handshake_seconds gauge\n\
             wireguard_latest_handshake_seconds{labels} 5\n"
        );
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    fn range(text: &str) -> AllowedIp {
        let (addr, cidr) = text.split_once('/').unwrap();
        AllowedIp {
            addr: addr.parse().unwrap(),
            cidr: cidr.parse().unwrap(),
        }
    }
}
