// SPDX-License-Identifier: GPL-2.0
//! Devices of userspace implementations, which listen on a Unix socket and
//! speak lines of `key=value`.

use crate::format::{Endpoint, Ip};
use crate::input::read_all;
use crate::key::{PublicKey, SecretKey};
use crate::model::{AllowedIp, Device, DeviceChange, Peer, PeerChange};
use crate::resolve;
use crate::zone::Zones;
use std::ffi::OsStr;
use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

const FOLDER: &str = "/var/run/wireguard";
const SUFFIX: &[u8] = b".sock";

/// Names of the devices that have a process behind their socket.
pub fn list() -> io::Result<Vec<Vec<u8>>> {
    let entries = match std::fs::read_dir(FOLDER) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let file = entry?.file_name().into_vec();
        let name = file.strip_suffix(SUFFIX).filter(|name| !name.is_empty());
        names.extend(
            name.filter(|name| connect(name).is_some())
                .map(<[u8]>::to_vec),
        );
    }
    Ok(names)
}

/// Connects to the device of that name. `None` if there is no such device in
/// userspace; an error if there is, but it cannot be talked to.
pub fn connect(name: &[u8]) -> Option<io::Result<UnixStream>> {
    if name.contains(&b'/') || name.contains(&0) {
        return None;
    }
    let path = socket_path(name);
    if !std::fs::metadata(&path).ok()?.file_type().is_socket() {
        return None;
    }
    match UnixStream::connect(&path) {
        // Nobody listens any more: clean up behind the process.
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            let _ = std::fs::remove_file(&path);
            None
        }
        connected => Some(connected),
    }
}

fn socket_path(name: &[u8]) -> PathBuf {
    let file = [name, SUFFIX].concat();
    Path::new(FOLDER).join(OsStr::from_bytes(&file))
}

/// Reads the device at the other end.
pub fn get(name: &[u8], mut stream: UnixStream) -> io::Result<Device> {
    stream.write_all(b"get=1\n\n")?;
    let text = read_answer(&mut stream)?;
    parse(name, &text)
}

/// Changes the device at the other end.
pub fn set(change: &DeviceChange, mut stream: UnixStream) -> io::Result<()> {
    stream.write_all(&request(change))?;
    let text = read_answer(&mut stream)?;
    let mut errno = None;
    for line in lines(&text)? {
        if let (b"errno", value) = split(line)? {
            let text = std::str::from_utf8(value).map_err(|_| nonsense())?;
            errno = Some(text.parse::<i32>().map_err(|_| nonsense())?);
        }
    }
    match errno {
        Some(0) => Ok(()),
        Some(errno) => Err(io::Error::from_raw_os_error(errno.saturating_abs())),
        None => Err(nonsense()),
    }
}

/// Reads up to the empty line that ends an answer. The other end may keep the
/// connection open for more requests.
fn read_answer(stream: &mut UnixStream) -> io::Result<Zeroizing<Vec<u8>>> {
    struct UntilBlank<'a> {
        stream: &'a mut UnixStream,
        tail: [u8; 2],
    }
    impl io::Read for UntilBlank<'_> {
        fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            if self.tail == *b"\n\n" {
                return Ok(0);
            }
            let len = self.stream.read(buf)?;
            for &byte in &buf[..len] {
                self.tail = [self.tail[1], byte];
            }
            Ok(len)
        }
    }
    read_all(&mut UntilBlank {
        stream,
        tail: *b" \n",
    })
}

/// The lines before the empty one; an answer without that was cut short.
fn lines(text: &[u8]) -> io::Result<impl Iterator<Item = &[u8]>> {
    let end = text.windows(2).position(|pair| pair == b"\n\n");
    let end = end.ok_or_else(nonsense)?;
    Ok(text[..end].split(|&byte| byte == b'\n'))
}

fn split(line: &[u8]) -> io::Result<(&[u8], &[u8])> {
    let equals = line
        .iter()
        .position(|&byte| byte == b'=')
        .ok_or_else(nonsense)?;
    Ok((&line[..equals], &line[equals + 1..]))
}

fn nonsense() -> io::Error {
    io::Error::from_raw_os_error(libc::EPROTO)
}

/// The request that makes a change.
pub fn request(change: &DeviceChange) -> Zeroizing<Vec<u8>> {
    // Room for the longest form of everything, so that it never grows and
    // leaves keys behind.
    const PER_PEER: usize = 512;
    const PER_RANGE: usize = 64;
    let ranges: usize = change.peers.iter().map(|peer| peer.allowed_ips.len()).sum();
    let capacity = 512 + change.peers.len() * PER_PEER + ranges * PER_RANGE;
    let mut out = Zeroizing::new(Vec::with_capacity(capacity));
    // Writing to memory cannot fail.
    let _ = write_request(&mut *out, change);
    debug_assert!(out.len() <= capacity);
    out
}

fn write_request(out: &mut impl Write, change: &DeviceChange) -> io::Result<()> {
    writeln!(out, "set=1")?;
    if let Some(key) = &change.private_key {
        writeln!(out, "private_key={}", key.to_hex().as_str())?;
    }
    if let Some(port) = change.listen_port {
        writeln!(out, "listen_port={port}")?;
    }
    if let Some(mark) = change.fwmark {
        writeln!(out, "fwmark={mark}")?;
    }
    if change.replace_peers {
        writeln!(out, "replace_peers=true")?;
    }
    for peer in &change.peers {
        write_peer(out, peer)?;
    }
    writeln!(out)
}

fn write_peer(out: &mut impl Write, peer: &PeerChange) -> io::Result<()> {
    writeln!(out, "public_key={}", peer.public_key.to_hex())?;
    if peer.remove {
        return writeln!(out, "remove=true");
    }
    if let Some(key) = &peer.preshared_key {
        writeln!(out, "preshared_key={}", key.to_hex().as_str())?;
    }
    if let Some(endpoint) = peer.endpoint {
        writeln!(out, "endpoint={}", Endpoint(endpoint, &Zones::Own))?;
    }
    if let Some(interval) = peer.keepalive {
        writeln!(out, "persistent_keepalive_interval={interval}")?;
    }
    if peer.replace_allowed_ips {
        writeln!(out, "replace_allowed_ips=true")?;
    }
    for range in &peer.allowed_ips {
        let sign = if range.remove { "-" } else { "" };
        let ip = range.ip;
        writeln!(out, "allowed_ip={sign}{}/{}", Ip(ip.addr), ip.cidr)?;
    }
    Ok(())
}

/// Reads the answer to a `get`.
pub fn parse(name: &[u8], text: &[u8]) -> io::Result<Device> {
    let mut device = Device {
        name: name.to_vec(),
        ..Device::default()
    };
    let mut errno = None;
    for line in lines(text)? {
        let (key, value) = split(line)?;
        if key == b"errno" {
            errno = Some(number(value, i32::MAX.unsigned_abs().into())?);
        } else {
            field(&mut device, key, value).ok_or_else(nonsense)?;
        }
    }
    match errno {
        Some(0) => Ok(device),
        Some(errno) => Err(io::Error::from_raw_os_error(
            i32::try_from(errno).unwrap_or(libc::EPROTO),
        )),
        None => Err(nonsense()),
    }
}

/// Takes one line; `None` if it makes no sense.
fn field(device: &mut Device, key: &[u8], value: &[u8]) -> Option<()> {
    if key == b"public_key" {
        device.peers.push(Peer::new(PublicKey::from_hex(value)?));
        return Some(());
    }
    match device.peers.last_mut() {
        Some(peer) => peer_field(peer, key, value),
        None => device_field(device, key, value),
    }
}

fn device_field(device: &mut Device, key: &[u8], value: &[u8]) -> Option<()> {
    match key {
        b"private_key" => {
            let private = SecretKey::from_hex(value)?;
            device.public_key = Some(private.public());
            device.private_key = Some(private);
        }
        b"listen_port" => device.listen_port = narrow(value)?,
        b"fwmark" => device.fwmark = narrow(value)?,
        _ => {}
    }
    Some(())
}

fn peer_field(peer: &mut Peer, key: &[u8], value: &[u8]) -> Option<()> {
    match key {
        b"preshared_key" => {
            let key = SecretKey::from_hex(value)?;
            peer.preshared_key = Some(key).filter(|key| !key.is_zero());
        }
        b"endpoint" => peer.endpoint = Some(endpoint(value)?),
        b"persistent_keepalive_interval" => peer.keepalive = narrow(value)?,
        b"allowed_ip" => peer.allowed_ips.push(allowed_ip(value)?),
        b"last_handshake_time_sec" => peer.last_handshake.0 = narrow(value)?,
        b"last_handshake_time_nsec" => peer.last_handshake.1 = narrow(value)?,
        b"rx_bytes" => peer.rx_bytes = narrow(value)?,
        b"tx_bytes" => peer.tx_bytes = narrow(value)?,
        _ => {}
    }
    Some(())
}

fn narrow<T: TryFrom<u64>>(value: &[u8]) -> Option<T> {
    T::try_from(number(value, u64::MAX).ok()?).ok()
}

fn number(value: &[u8], largest: u64) -> io::Result<u64> {
    let digits = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
    let text = std::str::from_utf8(value).map_err(|_| nonsense())?;
    match text.parse() {
        Ok(number) if digits && number <= largest => Ok(number),
        _ => Err(nonsense()),
    }
}

fn endpoint(value: &[u8]) -> Option<SocketAddr> {
    match crate::value::endpoint(value).ok()? {
        crate::value::Endpoint::Address(address) => Some(address),
        crate::value::Endpoint::Names { host, service } => resolve::numeric(&host, &service),
    }
}

fn allowed_ip(value: &[u8]) -> Option<AllowedIp> {
    let text = std::str::from_utf8(value).ok()?;
    let (addr, cidr) = text.split_once('/')?;
    let addr: IpAddr = addr.parse().ok()?;
    let cidr: u8 = narrow(cidr.as_bytes())?;
    let widest = if addr.is_ipv4() { 32 } else { 128 };
    (cidr <= widest).then_some(AllowedIp { addr, cidr })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::AllowedIpChange;

    const HEX: &str = "a8d3b7fc002d0b8f715541d813593fdfb7a08ec0e091bf0bae4f115341fb844a";

    #[test]
    fn a_whole_answer() {
        let zero = "0".repeat(64);
        let text = format!(
            "private_key={HEX}\nlisten_port=51820\nfwmark=7\nsomething_new=1\n\
             public_key={HEX}\npreshared_key={zero}\nprotocol_version=1\n\
             endpoint=[fe80::1%1]:5\nlast_handshake_time_sec=1\nlast_handshake_time_nsec=2\n\
             rx_bytes=3\ntx_bytes=18446744073709551615\npersistent_keepalive_interval=25\n\
             allowed_ip=10.0.0.0/8\nallowed_ip=::/0\nerrno=0\n\nrubbish"
        );
        let device = parse(b"wg0", text.as_bytes()).unwrap();
        assert_eq!(device.name, b"wg0");
        assert_eq!((device.listen_port, device.fwmark), (51820, 7));
        assert_eq!(
            device.public_key.unwrap().to_string(),
            "YtYKSMZRJK7ip74EWf2hnFeYvLPO5VaEalH4wIqDOCY="
        );
        let peer = &device.peers[0];
        assert!(peer.preshared_key.is_none());
        assert_eq!(peer.endpoint.unwrap().to_string(), "[fe80::1%1]:5");
        assert_eq!(peer.last_handshake, (1, 2));
        assert_eq!((peer.rx_bytes, peer.tx_bytes), (3, u64::MAX));
        assert_eq!(peer.keepalive, 25);
        assert_eq!(peer.allowed_ips.len(), 2);
    }

    #[test]
    fn broken_answers() {
        for (text, errno) in [
            ("", libc::EPROTO),
            ("\n", libc::EPROTO),
            ("errno=0\n", libc::EPROTO),
            ("errno=1\n\n", libc::EPERM),
            ("errno=x\n\n", libc::EPROTO),
            ("no equals\nerrno=0\n\n", libc::EPROTO),
            ("public_key=00\nerrno=0\n\n", libc::EPROTO),
            ("listen_port=65536\nerrno=0\n\n", libc::EPROTO),
            ("listen_port=-1\nerrno=0\n\n", libc::EPROTO),
            ("fwmark=\nerrno=0\n\n", libc::EPROTO),
        ] {
            let error = parse(b"wg0", text.as_bytes()).unwrap_err();
            assert_eq!(error.raw_os_error(), Some(errno), "{text}");
        }
        for range in ["1.2.3.4", "1.2.3.4/33", "1.2.3.4/+1", "/1", "::/129"] {
            let text = format!("public_key={HEX}\nallowed_ip={range}\nerrno=0\n\n");
            assert!(parse(b"wg0", text.as_bytes()).is_err(), "{range}");
        }
    }

    #[test]
    fn a_whole_request() {
        let key = PublicKey::from_hex(HEX.as_bytes()).unwrap();
        let mut peer = PeerChange::new(key);
        peer.preshared_key = SecretKey::from_hex(HEX.as_bytes());
        peer.endpoint = Some("[::1]:5".parse().unwrap());
        peer.keepalive = Some(0);
        peer.replace_allowed_ips = true;
        let ip = AllowedIp {
            addr: "10.0.0.0".parse().unwrap(),
            cidr: 8,
        };
        peer.allowed_ips = vec![
            AllowedIpChange { ip, remove: false },
            AllowedIpChange { ip, remove: true },
        ];
        let mut gone = PeerChange::new(key);
        gone.remove = true;
        let change = DeviceChange {
            replace_peers: true,
            private_key: SecretKey::from_hex(HEX.as_bytes()),
            listen_port: Some(5),
            fwmark: Some(6),
            peers: vec![peer, gone],
            ..DeviceChange::default()
        };
        assert_eq!(
            String::from_utf8_lossy(&request(&change)),
            format!(
                "set=1\nprivate_key={HEX}\nlisten_port=5\nfwmark=6\nreplace_peers=true\n\
                 public_key={HEX}\npreshared_key={HEX}\nendpoint=[::1]:5\n\
                 persistent_keepalive_interval=0\nreplace_allowed_ips=true\n\
                 allowed_ip=10.0.0.0/8\nallowed_ip=-10.0.0.0/8\n\
                 public_key={HEX}\nremove=true\n\n"
            )
        );
    }
}
