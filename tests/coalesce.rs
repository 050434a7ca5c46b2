// SPDX-License-Identifier: GPL-2.0
//! Events: whoever applies those that are told gets to the state that those that happened lead to,
//! and they are few.

use std::net::SocketAddr;
use wireguard_protocol::coalesce::{
    record, wait, Change, DeviceValues, Event, Kind, Outcome, PeerValues, MAX_PENDING, PAUSE,
};

/// Flag of a session that takes over from another.
const RENEWAL: u32 = 1;

/// What a listener knows of a peer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct State {
    exists: bool,
    endpoint: Option<SocketAddr>,
    keepalive: u16,
    session: bool,
    handshakes: u32,
}

impl State {
    fn apply(&mut self, event: &Event) {
        match event.kind {
            Kind::PeerAdd => self.exists = true,
            Kind::PeerDel => *self = Self::default(),
            Kind::SessionBegin => {
                self.session = true;
                self.handshakes += event.count;
            }
            Kind::SessionEnd => self.session = false,
            _ => (),
        }
        if let (Kind::PeerRoam | Kind::PeerChange | Kind::PeerAdd, Change::Peer(_, to)) =
            (event.kind, event.change)
        {
            self.endpoint = to.endpoint;
            self.keepalive = to.keepalive;
        }
    }
}

/// What can happen, in words: the event depends on the state before.
#[derive(Clone, Copy, Debug)]
enum Act {
    Roam(u16),
    Begin,
    End,
    Set(u16),
    Del,
    Add,
}

const ACTS: [Act; 7] = [
    Act::Roam(1),
    Act::Roam(2),
    Act::Begin,
    Act::End,
    Act::Set(1),
    Act::Del,
    Act::Add,
];

fn at(port: u16) -> Option<SocketAddr> {
    Some(([192, 0, 2, 1], port).into())
}

/// The event of an act, or nothing if it cannot happen in this state.
fn event(act: Act, peer: u64, state: &State, time: i64) -> Option<Event> {
    let from = PeerValues {
        endpoint: state.endpoint,
        keepalive: state.keepalive,
    };
    let moved = |port| PeerValues {
        endpoint: at(port),
        ..from
    };
    if state.exists == matches!(act, Act::Add) {
        return None;
    }
    let (kind, flags, to) = match act {
        Act::Roam(port) if at(port) != state.endpoint => (Kind::PeerRoam, 0, moved(port)),
        Act::Begin => (
            Kind::SessionBegin,
            if state.session { RENEWAL } else { 0 },
            from,
        ),
        Act::End if state.session => (Kind::SessionEnd, 0, from),
        Act::Set(port) if at(port) != state.endpoint => (Kind::PeerChange, 0, moved(port)),
        Act::Del => (Kind::PeerDel, 0, from),
        Act::Add => (Kind::PeerAdd, 0, from),
        _ => return None,
    };
    Some(Event {
        kind,
        peer,
        key: [peer as u8; 32],
        flags,
        count: 1,
        time: (time, 0),
        change: Change::Peer(from, to),
    })
}

/// Queues an event; whether it is told.
fn queue(pending: &mut Vec<Event>, new: &Event) -> bool {
    match record(pending, new) {
        Outcome::Merged => true,
        Outcome::Append => {
            pending.push(*new);
            true
        }
        Outcome::Lost => false,
    }
}

/// Every sequence of acts of two peers, delivered at its end.
#[test]
fn what_is_told_leads_to_the_same_state() {
    const LENGTH: usize = 5;
    let start = State {
        exists: true,
        endpoint: at(1),
        ..State::default()
    };
    let choices = ACTS.len() * 2;
    let mut told_at_most = 0;
    for mut number in 0..choices.pow(LENGTH as u32) {
        let mut real = [start; 2];
        let mut pending: Vec<Event> = Vec::new();
        let (mut happened, mut latest) = (0, [0; 2]);
        for step in 0..LENGTH {
            let choice = number % choices;
            number /= choices;
            let (act, peer) = (ACTS[choice / 2], choice % 2);
            let time = step as i64 + 1;
            let Some(new) = event(act, peer as u64 + 1, &real[peer], time) else {
                continue;
            };
            real[peer].apply(&new);
            assert!(queue(&mut pending, &new));
            happened += 1;
            latest[peer] = time;
        }
        let mut told = [start; 2];
        for event in &pending {
            let peer = &mut told[event.peer as usize - 1];
            if let (Kind::PeerRoam | Kind::PeerChange, Change::Peer(from, _)) =
                (event.kind, event.change)
            {
                assert_eq!(from.endpoint, peer.endpoint, "{pending:?}");
            }
            if event.kind == Kind::SessionBegin {
                assert_eq!(event.flags == RENEWAL, peer.session, "{pending:?}");
            }
            if event.kind == Kind::SessionEnd {
                assert!(peer.session, "{pending:?}");
            }
            peer.apply(event);
        }
        assert_eq!(told, real, "{pending:?}");
        let counted: u32 = pending.iter().map(|event| event.count).sum();
        assert_eq!(counted, happened);
        for peer in 0..2u64 {
            let of = pending.iter().filter(|event| event.peer == peer + 1);
            let time = of.map(|event| event.time.0).max().unwrap_or(0);
            assert_eq!(time, latest[peer as usize]);
        }
        told_at_most = told_at_most.max(pending.len());
    }
    assert_eq!(told_at_most, LENGTH);
}

#[test]
fn a_flood_of_packets_becomes_one_event_of_each_kind() {
    let mut state = State {
        exists: true,
        ..State::default()
    };
    let mut pending = Vec::new();
    for number in 0..1000u16 {
        for act in [Act::Roam(number), Act::Begin] {
            let new = event(act, 1, &state, number.into()).unwrap();
            state.apply(&new);
            assert!(queue(&mut pending, &new));
        }
    }
    assert_eq!(pending.len(), 2);
    assert_eq!((pending[0].kind, pending[0].count), (Kind::PeerRoam, 1000));
    assert_eq!(
        (pending[1].kind, pending[1].count),
        (Kind::SessionBegin, 1000)
    );
    let Change::Peer(from, to) = pending[0].change else {
        panic!("no endpoints");
    };
    assert_eq!((from.endpoint, to.endpoint), (None, at(999)));
}

#[test]
fn what_waits_is_bounded() {
    let state = State {
        exists: true,
        ..State::default()
    };
    let mut pending = Vec::new();
    for peer in 0..2 * MAX_PENDING as u64 {
        let new = event(Act::Begin, peer + 1, &state, 1).unwrap();
        assert_eq!(queue(&mut pending, &new), peer < MAX_PENDING as u64);
    }
    // Who waits already is still counted.
    let new = event(Act::Begin, 1, &state, 2).unwrap();
    assert!(queue(&mut pending, &new));
    assert_eq!(pending[0].count, 2);
    assert_eq!(pending.len(), MAX_PENDING);
}

#[test]
fn counts_saturate() {
    let state = State {
        exists: true,
        ..State::default()
    };
    let mut old = event(Act::Begin, 1, &state, 1).unwrap();
    old.count = u32::MAX;
    let new = event(Act::Begin, 1, &state, 2).unwrap();
    assert_eq!(
        record(std::slice::from_mut(&mut old), &new),
        Outcome::Merged
    );
    assert_eq!(old.count, u32::MAX);
}

#[test]
fn configuration_is_told_change_by_change() {
    let values = DeviceValues {
        public_key: None,
        port: 1,
        mark: 0,
        applied_mark: 0,
        nsid: None,
    };
    let mut pending = Vec::new();
    for port in 2..5 {
        let new = Event {
            kind: Kind::DeviceChange,
            peer: 0,
            key: [0; 32],
            flags: 0,
            count: 1,
            time: (1, 0),
            change: Change::Device(values, DeviceValues { port, ..values }),
        };
        assert!(queue(&mut pending, &new));
    }
    assert_eq!(pending.len(), 3);
}

#[test]
fn there_is_a_pause_between_deliveries() {
    assert_eq!(wait(None, 5), 0);
    assert_eq!(wait(Some(5), 5), PAUSE);
    assert_eq!(wait(Some(5), 6), PAUSE - 1);
    assert_eq!(wait(Some(5), 5 + PAUSE), 0);
    assert_eq!(wait(Some(5), u64::MAX), 0);
    assert_eq!(wait(Some(u64::MAX), 0), PAUSE);
}
