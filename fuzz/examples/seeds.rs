// SPDX-License-Identifier: GPL-2.0
//! Makes the inputs that fuzzing begins with, `seeds/TARGET/NAME`, for the
//! targets that read formats rather than steps: "cargo run --example seeds" here.

use std::path::Path;
use wg::netlink::message::Message;
use wg::uapi::*;
use wireguard_protocol::protocol::message::{CookieReply, DataHeader, Initiation, Response};

const CONFIG: &str = "\
[Interface]
PrivateKey = AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eH0A=
ListenPort = 51820 # comment
FwMark = 0xca6c
TransitNetns = /run/netns/a
TransitCredentials = 100, 101

[Peer]
PublicKey = AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=
PresharedKey = AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyE=
AllowedIPs = 10.0.0.0/8, +fd00::/64, -192.0.2.1
Endpoint = [2001:db8::1]:7
PersistentKeepalive = off
";

const USERSPACE: &str = "\
private_key=0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f40
listen_port=51820
fwmark=1
public_key=0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20
preshared_key=0000000000000000000000000000000000000000000000000000000000000000
protocol_version=1
last_handshake_time_sec=1700000000
last_handshake_time_nsec=5
tx_bytes=1
rx_bytes=2
persistent_keepalive_interval=25
allowed_ip=10.0.0.0/8
allowed_ip=fd00::/64
errno=0

";

/// A device with one peer as the kernel describes it.
fn reply() -> Vec<u8> {
    let mut message = Message::raw();
    let build = |message: &mut Message| {
        message.put_str(WGDEVICE_A_IFNAME, b"wg0")?;
        message.put(WGDEVICE_A_PRIVATE_KEY, &[1; 32])?;
        message.put(WGDEVICE_A_PUBLIC_KEY, &[2; 32])?;
        message.put_u16(WGDEVICE_A_LISTEN_PORT, 51820)?;
        message.put_u32(WGDEVICE_A_FWMARK, 7)?;
        message.put_u32(WGDEVICE_A_TRANSIT_NETNSID, 3)?;
        message.put_u32(WGDEVICE_A_TRANSIT_FWMARK, 0)?;
        let peers = message.nest(WGDEVICE_A_PEERS)?;
        let peer = message.nest(0)?;
        message.put(WGPEER_A_PUBLIC_KEY, &[3; 32])?;
        message.put(WGPEER_A_PRESHARED_KEY, &[4; 32])?;
        let mut endpoint = [0; 28];
        endpoint[..4].copy_from_slice(&[10, 0, 0, 7]);
        endpoint[8..10].copy_from_slice(&[0x20, 0x01]);
        message.put(WGPEER_A_ENDPOINT, &endpoint)?;
        message.put_u16(WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL, 25)?;
        message.put(WGPEER_A_LAST_HANDSHAKE_TIME, &[1; 16])?;
        message.put(WGPEER_A_RX_BYTES, &[1; 8])?;
        message.put(WGPEER_A_TX_BYTES, &[2; 8])?;
        let ips = message.nest(WGPEER_A_ALLOWEDIPS)?;
        for address in [&[10, 0, 0, 0][..], &[0xfd; 16]] {
            let ip = message.nest(0)?;
            let family = if address.len() == 4 { 2 } else { 10 };
            message.put_u16(WGALLOWEDIP_A_FAMILY, family)?;
            message.put(WGALLOWEDIP_A_IPADDR, address)?;
            message.put_u8(WGALLOWEDIP_A_CIDR_MASK, 8)?;
            message.close(ip);
        }
        message.close(ips);
        message.close(peer);
        message.close(peers);
        Ok::<(), wg::netlink::message::Full>(())
    };
    build(&mut message).expect("it fits");
    [&[0; 4], message.as_bytes()].concat()
}

fn main() -> std::io::Result<()> {
    let initiation = Initiation {
        sender: 1,
        ephemeral: [2; 32],
        sealed_static: [3; 48],
        sealed_timestamp: [4; 28],
    };
    let response = Response {
        sender: 1,
        receiver: 2,
        ephemeral: [3; 32],
        sealed_nothing: [4; 16],
    };
    let cookie_reply = CookieReply {
        receiver: 1,
        nonce: [2; 24],
        sealed_cookie: [3; 32],
    };
    let header = DataHeader {
        receiver: 1,
        counter: 2,
    };
    let seeds: [(&str, &[u8]); 7] = [
        ("wg_config/all", CONFIG.as_bytes()),
        ("wg_userspace/all", USERSPACE.as_bytes()),
        ("wg_reply/all", &reply()),
        ("message/initiation", &initiation.to_bytes()),
        ("message/response", &response.to_bytes()),
        ("message/cookie", &cookie_reply.to_bytes()),
        (
            "message/keepalive",
            &[&header.to_bytes()[..], &[3; 16]].concat(),
        ),
    ];
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds");
    for (name, bytes) in seeds {
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().expect("a folder per target"))?;
        std::fs::write(path, bytes)?;
    }
    Ok(())
}
