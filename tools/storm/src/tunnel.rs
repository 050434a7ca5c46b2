// SPDX-License-Identifier: GPL-2.0

//! A peer in userspace, as far as it takes to send authentic messages.

use crate::{
    common::{peer, Host},
    Failure,
};
use std::{
    io::ErrorKind,
    net::{SocketAddr, UdpSocket},
    time::{Duration, Instant as Clock, SystemTime},
};
use wireguard_protocol::protocol::{
    constants::Instant,
    cookie::CookieJar,
    crypto::{Crypto, PublicKey, SecretKey},
    message::{classify, CookieReply, DataHeader, Initiation, MessageType, Response},
    noise::{Handshake, SessionKeys, StaticIdentity, Tai64n},
};

const TAG: usize = 16;

/// One end of a tunnel to a device.
pub struct Tunnel {
    pub to: SocketAddr,
    pub socket: UdpSocket,
    pub identity: StaticIdentity<Host>,
    pub remote: PublicKey,
    pub jar: CookieJar<Host>,
    pub session: Option<SessionKeys<Host>>,
    pub counter: u64,
    handshake: Handshake<Host>,
    start: Clock,
    index: u32,
}

impl Tunnel {
    pub fn new(to: SocketAddr, own: [u8; 32], remote: [u8; 32]) -> Result<Self, Failure> {
        let identity = StaticIdentity::new(&SecretKey::new(own)).ok_or("no key to begin with")?;
        let remote = PublicKey(remote);
        let any = if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        let socket = UdpSocket::bind(any)?;
        socket.connect(to)?;
        Ok(Self {
            to,
            socket,
            handshake: peer(&identity, &remote),
            jar: CookieJar::new(&remote),
            identity,
            remote,
            session: None,
            counter: 0,
            start: Clock::now(),
            index: 0,
        })
    }

    pub fn now(&self) -> Instant {
        Instant(self.start.elapsed().as_nanos() as u64)
    }

    /// Sends, whatever the network thinks of it.
    pub fn send(&self, message: &[u8]) {
        // A full queue or an ICMP message is no reason to stop.
        let _ = self.socket.send(message);
    }

    /// An initiation that the device should accept.
    pub fn initiation(&mut self) -> Result<Vec<u8>, Failure> {
        let time = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
        let label = Tai64n::from_unix(time.as_secs() as i64, time.subsec_nanos());
        self.index = self.index.wrapping_add(1);
        let message = self
            .handshake
            .create_initiation(&self.identity, &SecretKey::generate(), label, self.index)
            .ok_or("an initiation cannot be made")?;
        let mut bytes = message.to_bytes().to_vec();
        self.add_macs(&mut bytes);
        Ok(bytes)
    }

    pub fn add_macs(&mut self, message: &mut [u8]) {
        let now = self.now();
        self.jar.add_macs(message, now);
    }

    /// A message that comes within a while.
    pub fn receive(&self, wait: Duration) -> Result<Option<Vec<u8>>, Failure> {
        let mut buffer = vec![0; 1 << 16];
        self.socket.set_read_timeout(Some(wait))?;
        match self.socket.recv(&mut buffer) {
            Ok(len) => {
                buffer.truncate(len);
                Ok(Some(buffer))
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Makes a new session, in a few tries; the response, and a cookie reply if there was one.
    pub fn connect(&mut self) -> Result<Vec<Vec<u8>>, Failure> {
        let mut heard = Vec::new();
        for _ in 0..20 {
            let message = self.initiation()?;
            self.send(&message);
            let end = Clock::now() + Duration::from_secs(2);
            while let Some(left) = end
                .checked_duration_since(Clock::now())
                .filter(|d| !d.is_zero())
            {
                let Some(answer) = self.receive(left)? else {
                    break;
                };
                if let Some(reply) = CookieReply::parse(&answer) {
                    let now = self.now();
                    self.jar.consume_reply(&reply, now);
                    heard.push(answer);
                    break;
                }
                if self.consume(&answer) {
                    heard.push(answer);
                    return Ok(heard);
                }
            }
            // What is limited is limited to so many in a second.
            std::thread::sleep(Duration::from_millis(60));
        }
        Err("the device does not answer handshakes any more".into())
    }

    fn consume(&mut self, answer: &[u8]) -> bool {
        let session = Response::parse(answer)
            .and_then(|response| {
                let pending = self.handshake.pending_response()?;
                pending.finish(&response, &self.identity)
            })
            .filter(|consumed| self.handshake.accept_response(consumed))
            .and_then(|_| self.handshake.begin_session());
        let found = session.is_some();
        if found {
            self.session = session;
            self.counter = 0;
        }
        found
    }

    /// A data message with any content, counter and index.
    pub fn data(&self, counter: u64, content: &[u8]) -> Option<Vec<u8>> {
        let session = self.session.as_ref()?;
        let header = DataHeader {
            receiver: session.remote_index,
            counter,
        };
        let mut out = header.to_bytes().to_vec();
        let at = out.len();
        out.resize(at + content.len() + TAG, 0);
        Host::aead_seal(
            &mut out[at..],
            content,
            &[],
            counter,
            session.sending.as_bytes(),
        )
        .then_some(out)
    }

    /// The next data message.
    pub fn next_data(&mut self, content: &[u8]) -> Option<Vec<u8>> {
        self.counter += 1;
        self.data(self.counter - 1, content)
    }

    /// What is in a data message of this session.
    pub fn open(&self, message: &[u8]) -> Option<Vec<u8>> {
        let session = self.session.as_ref()?;
        let first = *message.first_chunk()?;
        let (MessageType::Data, at) = classify(first, message.len())? else {
            return None;
        };
        let header = DataHeader::parse(message)?;
        let sealed = message.get(at..)?;
        let mut content = vec![0; sealed.len().checked_sub(TAG)?];
        Host::aead_open(
            &mut content,
            sealed,
            &[],
            header.counter,
            session.receiving.as_bytes(),
        )
        .then_some(content)
    }

    /// Something that looks like an initiation.
    pub fn forged_initiation(&mut self, noise: &[u8; 148]) -> Vec<u8> {
        let mut bytes = noise.to_vec();
        bytes[..4].copy_from_slice(&MessageType::Initiation.prefix());
        if let Some(mut message) = Initiation::parse(&bytes) {
            message.sender = self.index;
            bytes = message.to_bytes().to_vec();
        }
        self.add_macs(&mut bytes);
        bytes
    }
}
