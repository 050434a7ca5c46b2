// SPDX-License-Identifier: GPL-2.0
//! Looking up host names and services with the system's resolver.

use crate::error::{describe, escape, quote, say, warn, Failure, Result};
use crate::model::DeviceChange;
use crate::value::{Endpoint, Port};
use crate::zone::{self, Wanted, Zones};
use dns_lookup::{getaddrinfo, AddrInfoHints, LookupError, LookupErrorKind};
use std::net::SocketAddr;
use std::thread::sleep;
use std::time::Duration;

/// Where the result of a lookup goes.
#[derive(Debug, PartialEq, Eq)]
enum Target {
    ListenPort,
    Endpoint { peer: usize },
}

/// A name that has to be looked up.
#[derive(Debug, PartialEq, Eq)]
pub struct Lookup {
    target: Target,
    host: Option<String>,
    service: String,
}

/// All names of a change, in the order in which they were given.
#[derive(Debug, Default)]
pub struct Lookups {
    list: Vec<(Lookup, usize)>,
    /// Whether nothing is asked twice, whatever the environment says.
    once: bool,
}

impl Lookup {
    /// Stores a port that is a number; hands back one that is a name.
    pub fn port(port: Port, slot: &mut Option<u16>) -> Option<Self> {
        match port {
            Port::Number(number) => {
                *slot = Some(number);
                None
            }
            Port::Service(service) => Some(Self {
                target: Target::ListenPort,
                host: None,
                service,
            }),
        }
    }

    /// Stores an endpoint that is numbers; hands back one that has names.
    pub fn endpoint(
        endpoint: Endpoint,
        peer: usize,
        slot: &mut Option<SocketAddr>,
    ) -> Option<Self> {
        match endpoint {
            Endpoint::Address(address) => {
                *slot = Some(address);
                None
            }
            Endpoint::Names { host, service } => Some(Self {
                target: Target::Endpoint { peer },
                host: Some(host),
                service,
            }),
        }
    }

    fn what(&self) -> String {
        match &self.host {
            None => quote(self.service.as_bytes()),
            Some(host) if host.contains(':') => {
                quote(format!("[{host}]:{}", self.service).as_bytes())
            }
            Some(host) => quote(format!("{host}:{}", self.service).as_bytes()),
        }
    }

    fn word(&self) -> &'static str {
        match self.target {
            Target::ListenPort => "listen port",
            Target::Endpoint { .. } => "endpoint",
        }
    }
}

impl Lookups {
    /// Adds a lookup, if there is one to add, for the given line (0 for the
    /// command line).
    pub fn add(&mut self, lookup: Option<Lookup>, line: usize) {
        self.list.extend(lookup.map(|lookup| (lookup, line)));
    }

    /// Does not ask again where there is no answer.
    pub fn ask_once(&mut self) {
        self.once = true;
    }

    /// Whether there is nothing to look up.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// How many names there are.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Looks everything up and stores it in `change`. `file` is the name of
    /// the configuration file, if the names came from one; `zones` are those
    /// of the device that is to be changed.
    pub fn run(
        self,
        change: &mut DeviceChange,
        file: Option<&str>,
        zones: &Wanted<'_>,
    ) -> Result<()> {
        for (lookup, line) in self.list {
            let place = file.map_or(String::new(), |file| {
                format!("{}:{line}: ", escape(file.as_bytes()))
            });
            let address = match lookup.target {
                Target::ListenPort => ask(None, &lookup.service, libc::AI_PASSIVE)
                    .map_err(|error| Failed::Lookup(error).tell(&lookup, &place))?,
                Target::Endpoint { .. } => endpoint(&lookup, &place, zones, self.once)
                    .map_err(|failed| failed.tell(&lookup, &place))?,
            };
            if let Some(number) = oversized(&lookup.service) {
                warn(format_args!(
                    "{place}port {number} is above 65535, the system makes {} of it",
                    address.port()
                ));
            }
            match lookup.target {
                Target::ListenPort => change.listen_port = Some(address.port()),
                Target::Endpoint { peer } => change.peers[peer].endpoint = Some(address),
            }
        }
        Ok(())
    }
}

enum Failed {
    Lookup(LookupError),
    Retries(Vec<u8>),
    /// The reason why its zone is none.
    Zone(String),
    /// What its zone is could not be found out.
    Device(Failure),
}

impl Failed {
    fn tell(self, lookup: &Lookup, place: &str) -> Failure {
        match self {
            Failed::Lookup(error) => Failure::new(format!(
                "{place}unable to resolve the {} {}: {}",
                lookup.word(),
                lookup.what(),
                explain(error)
            )),
            Failed::Zone(reason) => Failure::new(format!(
                "{place}unable to resolve the {} {}: {reason}",
                lookup.word(),
                lookup.what()
            )),
            Failed::Device(failure) => failure,
            Failed::Retries(value) => Failure::new(format!(
                "WG_ENDPOINT_RESOLUTION_RETRIES is {}; it is a number of retries or `infinity'",
                quote(&value)
            )),
        }
    }
}

/// Looks up an endpoint. The system's resolver takes a zone for an interface of
/// our netns, so it is told of none that is elsewhere.
fn endpoint(
    lookup: &Lookup,
    place: &str,
    wanted: &Wanted<'_>,
    once: bool,
) -> std::result::Result<SocketAddr, Failed> {
    let host = lookup.host.as_deref();
    if let Some((ip, zone)) = host.and_then(zone::split) {
        let zones = wanted.get().map_err(Failed::Device)?;
        if matches!(zones, Zones::Own) {
            return retry(host, lookup, place, once);
        }
        let scope = zones.scope(ip, zone).map_err(Failed::Zone)?;
        let mut address = retry(Some(&ip.to_string()), lookup, place, once)?;
        if let SocketAddr::V6(v6) = &mut address {
            v6.set_scope_id(scope);
        }
        return Ok(address);
    }
    let address = retry(host, lookup, place, once)?;
    // Names of the local link have one of our interfaces behind them.
    let here = zone::scope_of(&address) != 0;
    if here && !matches!(wanted.get().map_err(Failed::Device)?, Zones::Own) {
        return Err(Failed::Zone(
            "its address is behind an interface of this netns, and the device sends from another"
                .into(),
        ));
    }
    Ok(address)
}

/// Asks until there is an answer, a failure for good, or no try left.
fn retry(
    host: Option<&str>,
    lookup: &Lookup,
    place: &str,
    once: bool,
) -> std::result::Result<SocketAddr, Failed> {
    const LONGEST: Duration = Duration::from_secs(20);
    let mut retries = if once { Some(0) } else { retries_wanted()? };
    let mut pause = Duration::from_secs(1);
    loop {
        let error = match ask(host, &lookup.service, 0) {
            Ok(address) => return Ok(address),
            Err(error) => error,
        };
        let permanent = matches!(
            error.kind(),
            LookupErrorKind::NoName
                | LookupErrorKind::NoData
                | LookupErrorKind::Fail
                | LookupErrorKind::Service
        );
        if permanent || retries == Some(0) {
            return Err(Failed::Lookup(error));
        }
        retries = retries.map(|left| left - 1);
        say(format_args!(
            "{place}{}: {}. Trying again in {:.2} seconds...",
            explain(error),
            lookup.what(),
            pause.as_secs_f64()
        ));
        sleep(pause);
        pause = (pause * 6 / 5).min(LONGEST);
    }
}

/// How often to ask again; `None` for as long as it takes.
fn retries_wanted() -> std::result::Result<Option<u32>, Failed> {
    use std::os::unix::ffi::OsStringExt;
    const USUAL: u32 = 15;
    let Some(value) = std::env::var_os("WG_ENDPOINT_RESOLUTION_RETRIES") else {
        return Ok(Some(USUAL));
    };
    let value = value.into_vec();
    parse_retries(&value).map_err(|()| Failed::Retries(value))
}

fn parse_retries(value: &[u8]) -> std::result::Result<Option<u32>, ()> {
    if value == b"infinity" {
        return Ok(None);
    }
    let text = std::str::from_utf8(value).map_err(|_| ())?;
    let text = text.trim_start_matches(|c: char| c.is_ascii_whitespace());
    // An empty value has always meant none.
    if value.is_empty() {
        return Ok(Some(0));
    }
    let number: i32 = text.parse().map_err(|_| ())?;
    u32::try_from(number).map(Some).map_err(|_| ())
}

fn ask(
    host: Option<&str>,
    service: &str,
    flags: i32,
) -> std::result::Result<SocketAddr, LookupError> {
    let hints = AddrInfoHints {
        flags,
        address: libc::AF_UNSPEC,
        socktype: libc::SOCK_DGRAM,
        protocol: libc::IPPROTO_UDP,
    };
    let mut answers = getaddrinfo(host, Some(service), Some(hints))?;
    match answers.next() {
        Some(Ok(answer)) => Ok(answer.sockaddr),
        _ => Err(LookupError::new(libc::EAI_NONAME)),
    }
}

/// Resolves an address that a userspace device reports. No retries: it has
/// this address in use, so it is made of numbers.
pub fn numeric(host: &str, service: &str) -> Option<SocketAddr> {
    ask(Some(host), service, 0).ok()
}

fn explain(error: LookupError) -> String {
    match error.kind() {
        LookupErrorKind::Again => "Temporary failure in name resolution".into(),
        LookupErrorKind::NoName => "Name or service not known".into(),
        LookupErrorKind::NoData => "No address associated with hostname".into(),
        LookupErrorKind::Service => {
            "it is neither a number from 0 to 65535 nor a known service of UDP".into()
        }
        LookupErrorKind::Fail => "Non-recoverable failure in name resolution".into(),
        _ => describe(&error.into()),
    }
}

/// The number, if `service` is one that is no port.
fn oversized(service: &str) -> Option<&str> {
    let digits = service.trim_start().trim_start_matches(['+', '-']);
    let number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    (number && digits.parse::<u16>().is_err()).then_some(service)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::PublicKey;
    use crate::model::PeerChange;

    #[test]
    fn retries() {
        assert_eq!(parse_retries(b"infinity"), Ok(None));
        assert_eq!(parse_retries(b""), Ok(Some(0)));
        assert_eq!(parse_retries(b"0"), Ok(Some(0)));
        assert_eq!(parse_retries(b"+7"), Ok(Some(7)));
        for bad in ["x", "-1", "1x", "Infinity", "2147483648", " "] {
            assert_eq!(parse_retries(bad.as_bytes()), Err(()), "{bad}");
        }
    }

    #[test]
    fn odd_spellings_go_through_the_system() {
        let mut change = DeviceChange::default();
        let mut lookups = Lookups::default();
        lookups.add(
            Lookup::port(Port::Service("+5".into()), &mut change.listen_port),
            0,
        );
        lookups
            .run(&mut change, None, &Wanted::known(Zones::Own))
            .unwrap();
        assert_eq!(change.listen_port, Some(5));
    }

    #[test]
    fn failures_name_the_place() {
        let mut change = DeviceChange::default();
        let mut lookups = Lookups::default();
        lookups.add(
            Lookup::port(Port::Service("no service".into()), &mut change.listen_port),
            7,
        );
        let failure = lookups
            .run(&mut change, Some("a.conf"), &Wanted::known(Zones::Own))
            .unwrap_err();
        assert!(failure.lines[0].starts_with("a.conf:7: "));
        assert!(failure.lines[0].contains("`no service'"));
    }

    fn look_up(endpoint: &[u8], zones: Zones) -> Result<SocketAddr> {
        let mut change = DeviceChange::default();
        let peer = PeerChange::new(PublicKey([0; 32]));
        change.peers.push(peer);
        let mut lookups = Lookups::default();
        let endpoint = crate::value::endpoint(endpoint).unwrap();
        let lookup = Lookup::endpoint(endpoint, 0, &mut change.peers[0].endpoint);
        lookups.add(lookup, 3);
        lookups.run(&mut change, Some("a.conf"), &Wanted::known(zones))?;
        Ok(change.peers[0].endpoint.unwrap())
    }

    #[test]
    fn a_zone_is_an_interface_where_the_sockets_are() {
        let there = || Zones::listed(&[(7, b"eth0")]);
        // Interface 1 is the loopback everywhere.
        for (endpoint, zones, scope) in [
            ("[fe80::1%lo]:5", Zones::Own, 1),
            ("[fe80::1%1]:5", Zones::Own, 1),
            ("[fe80::1%eth0]:5", there(), 7),
            ("[fe80::1%1]:5", there(), 1),
            ("[fe80::1%2]:05", Zones::Unseen, 2),
            ("[fe80::1]:5", Zones::Unseen, 0),
        ] {
            let address = look_up(endpoint.as_bytes(), zones).unwrap();
            assert_eq!(zone::scope_of(&address), scope, "{endpoint}");
            assert_eq!(address.ip().to_string(), "fe80::1");
            assert_eq!(address.port(), 5);
        }
        for (zones, part) in [(there(), "none of this name"), (Zones::Unseen, "number")] {
            let line = look_up(b"[fe80::1%lo]:5", zones)
                .unwrap_err()
                .lines
                .remove(0);
            let start = "a.conf:3: unable to resolve the endpoint `[fe80::1%lo]:5': ";
            assert!(line.starts_with(start) && line.contains(part), "{line}");
        }
    }

    #[test]
    fn ports_too_large() {
        assert_eq!(oversized("65535"), None);
        assert_eq!(oversized("ntp"), None);
        assert_eq!(oversized("65536"), Some("65536"));
        assert_eq!(
            oversized("99999999999999999999999"),
            Some("99999999999999999999999")
        );
    }
}
