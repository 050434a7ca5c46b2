// SPDX-License-Identifier: GPL-2.0

//! Which packets are dealt with together: those that are alike in everything that
//! matters, and that may be.

use wireguard_protocol::protocol::inet::Version;
use wireguard_protocol::protocol::join::{Incoming, Outgoing};

const OUTGOING: Outgoing = Outgoing {
    session: 1,
    alone: true,
    messages: 1,
    len: 1000,
    mtu: 1420,
    ds: 0,
    priority: 0,
    socket: 2,
    stamped: false,
    plain: true,
};

/// One packet differs from another in one thing.
type Change = (&'static str, fn(&mut Outgoing));

const CHANGES: [Change; 10] = [
    ("session", |it| it.session = 3),
    ("alone", |it| it.alone = false),
    ("messages", |it| it.messages = 2),
    ("len", |it| it.len = 999),
    ("mtu", |it| it.mtu = 1280),
    ("ds", |it| it.ds = 1),
    ("priority", |it| it.priority = 6),
    ("socket", |it| it.socket = 0),
    ("stamped", |it| it.stamped = true),
    ("plain", |it| it.plain = false),
];

/// Changes after which two packets that both have them are not dealt with together.
const NEVER: [&str; 4] = ["alone", "messages", "stamped", "plain"];

#[test]
fn packets_that_are_alike_are_encrypted_together() {
    assert!(OUTGOING.joins(&OUTGOING));
    for (name, change) in CHANGES {
        let mut changed = OUTGOING;
        change(&mut changed);
        assert!(!changed.joins(&OUTGOING), "{name}");
        assert!(!OUTGOING.joins(&changed), "{name}");
        assert_eq!(changed.joins(&changed), !NEVER.contains(&name), "{name}");
    }
}

#[test]
fn a_keepalive_is_encrypted_alone() {
    let keepalive = Outgoing { len: 0, ..OUTGOING };
    assert!(!keepalive.joins(&keepalive));
}

/// Every combination of changes in either of two packets.
#[test]
fn no_combination_of_packets_joins_that_must_not() {
    let all = 1u32 << CHANGES.len();
    let packet = |changes: u32| {
        let mut packet = OUTGOING;
        for (at, (_, change)) in CHANGES.iter().enumerate() {
            if changes & 1 << at != 0 {
                change(&mut packet);
            }
        }
        packet
    };
    let never = CHANGES
        .iter()
        .enumerate()
        .filter(|(_, (name, _))| NEVER.contains(name))
        .fold(0, |never, (at, _)| never | 1 << at);
    let step = if cfg!(miri) { 37 } else { 1 };
    for one in (0..all).step_by(step) {
        for other in (0..all).step_by(step) {
            let expected = one == other && one & never == 0;
            assert_eq!(packet(one).joins(&packet(other)), expected);
        }
    }
}

fn headers(version: Version) -> Vec<u8> {
    let len = match version {
        Version::V4 => 20,
        Version::V6 => 40,
    };
    (0..len + 8).collect()
}

fn incoming(version: Version, headers: &[u8]) -> Incoming<'_> {
    let transport = match version {
        Version::V4 => 20,
        Version::V6 => 40,
    };
    Incoming {
        session: 1,
        messages: 1,
        ds: 0,
        interface: 2,
        version: Some(version),
        network: headers,
        transport: &headers[transport..],
    }
}

#[test]
fn messages_from_one_endpoint_are_decrypted_together() {
    for version in [Version::V4, Version::V6] {
        let usual = headers(version);
        let last = incoming(version, &usual);
        assert!(last.joins(&last));
        let addresses = match version {
            Version::V4 => 12..20,
            Version::V6 => 8..40,
        };
        for at in 0..usual.len() {
            let mut other = usual.clone();
            other[at] ^= 1;
            let next = incoming(version, &other);
            // The ports are behind the addresses; lengths, IDs, TTLs and checksums may differ.
            let matters =
                addresses.contains(&at) || (addresses.end..addresses.end + 4).contains(&at);
            assert_eq!(next.joins(&last), !matters, "{version:?}, byte {at}");
            assert_eq!(last.joins(&next), !matters, "{version:?}, byte {at}");
        }
    }
}

#[test]
fn messages_that_differ_are_decrypted_apart() {
    type Change<'a> = (&'static str, fn(&mut Incoming<'a>));
    let changes: [Change<'_>; 7] = [
        ("session", |it| it.session = 3),
        ("messages", |it| it.messages = 2),
        ("ds", |it| it.ds = 3),
        ("interface", |it| it.interface = 0),
        ("version", |it| it.version = Some(Version::V6)),
        ("no version", |it| it.version = None),
        ("no ports", |it| it.transport = &[0; 3]),
    ];
    let headers = headers(Version::V6);
    let last = incoming(Version::V4, &headers);
    assert!(last.joins(&last));
    for (name, change) in changes {
        let mut next = last;
        change(&mut next);
        assert!(!next.joins(&last), "{name}");
        assert!(!last.joins(&next), "{name}");
    }
    for messages in [0, 2, 64] {
        let several = Incoming { messages, ..last };
        assert!(!several.joins(&several));
    }
    // What has no addresses has no endpoint.
    for network in [&headers[..19], &[]] {
        let cut = Incoming { network, ..last };
        assert!(!cut.joins(&cut));
    }
}
