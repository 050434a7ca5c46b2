// SPDX-License-Identifier: GPL-2.0

//! Every request that there is, as far as the judgement can tell them apart, and a sender who counts
//! what is asked about her.

use std::cell::Cell;
use wireguard_protocol::judgement::{
    judge, Credential, Facts, Owner, Plan, PortOrigin, Refusal, Requested, Restriction, State,
    Target,
};

/// A port that takes a right where there are privileged ones.
pub const PRIVILEGED: u16 = 500;
/// The port that the kernel picks when it is to pick one.
pub const PICKED: u16 = 40000;

pub const GOOD: Credential = Credential {
    is_udp: true,
    is_there: true,
    restriction: None,
};
pub const RESTRICTIONS: [Restriction; 6] = [
    Restriction::BoundByHand,
    Restriction::TiedToDevice,
    Restriction::FilterLocked,
    Restriction::Marked,
    Restriction::Shut,
    Restriction::Policy,
];
pub const BOOLS: [bool; 2] = [false, true];

/// What the sender of a request holds, and what the transit netns that results is like.
#[derive(Clone, Copy, Debug)]
pub struct World {
    pub administers: bool,
    pub may_bind_privileged: bool,
    pub is_the_opener: bool,
    /// The first port that takes no right.
    pub first_unprivileged: u16,
    pub credentials_count: bool,
    pub has_ipv6: bool,
}

impl World {
    pub fn is_privileged(&self, port: u16) -> bool {
        port < self.first_unprivileged
    }
}

/// A request to a device.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    pub state: State,
    pub has_net: bool,
    pub is_running: bool,
    pub wish: Requested,
    pub world: World,
}

/// How often each of the questions was asked whose answer is about the sender.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Asked {
    pub administers: u32,
    pub may_bind_privileged: u32,
    pub is_the_opener: u32,
    /// Whether a port was asked about that is none.
    pub port_zero: bool,
}

/// Answers, and counts the questions.
struct Witness {
    world: World,
    asked: Asked,
    port_zero: Cell<bool>,
}

impl Facts for Witness {
    fn administers(&mut self) -> bool {
        self.asked.administers += 1;
        self.world.administers
    }

    fn may_bind_privileged(&mut self) -> bool {
        self.asked.may_bind_privileged += 1;
        self.world.may_bind_privileged
    }

    fn is_the_opener(&mut self) -> bool {
        self.asked.is_the_opener += 1;
        self.world.is_the_opener
    }

    fn is_privileged(&self, port: u16) -> bool {
        self.port_zero.set(self.port_zero.get() || port == 0);
        self.world.is_privileged(port)
    }

    fn credentials_count(&self) -> bool {
        self.world.credentials_count
    }

    fn has_ipv6(&self) -> bool {
        self.world.has_ipv6
    }
}

impl Case {
    pub fn verdict(&self) -> Result<Plan, Refusal> {
        self.verdict_and_questions().0
    }

    pub fn verdict_and_questions(&self) -> (Result<Plan, Refusal>, Asked) {
        let mut witness = Witness {
            world: self.world,
            asked: Asked::default(),
            port_zero: Cell::new(false),
        };
        let verdict = judge(
            self.state,
            self.has_net,
            self.is_running,
            &self.wish,
            &mut witness,
        );
        let mut asked = witness.asked;
        asked.port_zero = witness.port_zero.get();
        (verdict, asked)
    }
}

pub fn states(ports: &[u16], marks: &[u32]) -> Vec<State> {
    let mut states = Vec::new();
    for &port in ports {
        for port_origin in [
            PortOrigin::Asked,
            PortOrigin::PickedHere,
            PortOrigin::PickedElsewhere,
        ] {
            for &mark in marks {
                for mark_authorised in BOOLS {
                    for owner in [Owner::Root, Owner::Caller] {
                        states.push(State {
                            port,
                            port_origin,
                            mark,
                            mark_authorised,
                            owner,
                        });
                    }
                }
            }
        }
    }
    states
}

/// Whether the device has a transit netns, and which one the request names.
pub fn places() -> Vec<(bool, Option<Target>)> {
    vec![
        (true, None),
        (true, Some(Target::Same)),
        (true, Some(Target::Other)),
        // Here no netns can be the one that the device has.
        (false, None),
        (false, Some(Target::Other)),
    ]
}

pub fn worlds() -> Vec<World> {
    let mut worlds = Vec::new();
    for bits in 0..64_u32 {
        let bit = |n: u32| bits >> n & 1 == 1;
        worlds.push(World {
            administers: bit(0),
            may_bind_privileged: bit(1),
            is_the_opener: bit(2),
            first_unprivileged: if bit(3) { 1024 } else { 0 },
            credentials_count: bit(4),
            has_ipv6: bit(5),
        });
    }
    worlds
}

/// Every way for a credential to be bad, and at last all that can be wrong at once.
pub fn bad_credentials() -> Vec<Credential> {
    let mut bad: Vec<Credential> = RESTRICTIONS
        .iter()
        .map(|&restriction| Credential {
            restriction: Some(restriction),
            ..GOOD
        })
        .collect();
    bad.push(Credential {
        is_udp: false,
        ..GOOD
    });
    bad.push(Credential {
        is_there: false,
        ..GOOD
    });
    bad.push(Credential {
        is_udp: false,
        is_there: false,
        restriction: Some(Restriction::Shut),
    });
    bad
}

/// Nothing shown, or something good, or `bad`.
fn shown(bad: &[Credential]) -> Vec<Option<Credential>> {
    let bad = bad.iter().copied().map(Some);
    [None, Some(GOOD)].into_iter().chain(bad).collect()
}

/// All combinations of these.
struct Product {
    states: Vec<State>,
    ports: Vec<Option<u16>>,
    marks: Vec<Option<u32>>,
    shown: Vec<Option<Credential>>,
}

impl Product {
    fn each(&self, f: &mut dyn FnMut(&Case)) {
        let (places, worlds) = (places(), worlds());
        for &state in &self.states {
            for &(has_net, net) in &places {
                for &port in &self.ports {
                    for &mark in &self.marks {
                        for &v4 in &self.shown {
                            for &v6 in &self.shown {
                                let wish = Requested {
                                    net,
                                    port,
                                    mark,
                                    v4,
                                    v6,
                                };
                                for &world in &worlds {
                                    for is_running in BOOLS {
                                        f(&Case {
                                            state,
                                            has_net,
                                            is_running,
                                            wish,
                                            world,
                                        });
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Everything that a device can be, with every wish, but of credentials only good ones and one kind
/// of bad ones.
pub fn each_case(mut f: impl FnMut(&Case)) {
    Product {
        states: states(&[0, 5000, 6000, PRIVILEGED], &[0, 7, 8]),
        ports: vec![None, Some(0), Some(5000), Some(6000), Some(PRIVILEGED)],
        marks: vec![None, Some(0), Some(7), Some(8)],
        shown: shown(&[Credential {
            restriction: Some(Restriction::Marked),
            ..GOOD
        }]),
    }
    .each(&mut f);
}

/// Every kind of bad credential beside every other one, with what matters of the rest.
pub fn each_credential(mut f: impl FnMut(&Case)) {
    let state = State {
        port: 5000,
        port_origin: PortOrigin::PickedHere,
        mark: 7,
        mark_authorised: true,
        owner: Owner::Root,
    };
    Product {
        states: vec![
            state,
            State {
                mark_authorised: false,
                owner: Owner::Caller,
                ..state
            },
        ],
        ports: vec![None, Some(5000), Some(PRIVILEGED)],
        marks: vec![None, Some(0), Some(7)],
        shown: shown(&bad_credentials()),
    }
    .each(&mut f);
}
