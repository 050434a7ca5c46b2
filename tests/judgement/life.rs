// SPDX-License-Identifier: GPL-2.0

//! Interfaces that go up, and all that a device can become.

use crate::cases::{states, worlds, Case, BOOLS, GOOD, PICKED, PRIVILEGED};
use std::cell::Cell;
use wireguard_protocol::judgement::{
    go_up, Owner, PortOrigin, Refusal, Requested, SocketPlan, State, Target,
};

#[test]
fn going_up_binds_by_the_rules() {
    for state in states(&[0, 5000, PRIVILEGED], &[0, 7]) {
        for (is_privileged, may_bind) in
            [(false, false), (false, true), (true, false), (true, true)]
        {
            let asked = Cell::new(0_u32);
            let verdict = go_up(&state, is_privileged, || {
                asked.set(asked.get() + 1);
                may_bind
            });
            let takes_right = state.port != 0 && is_privileged;
            assert_eq!(asked.get(), u32::from(takes_right), "{state:?}");
            let is_out_of_reach = takes_right && !may_bind;
            if is_out_of_reach && state.port_origin == PortOrigin::Asked {
                assert_eq!(verdict, Err(Refusal::PrivilegedPort), "{state:?}");
                continue;
            }
            let bind = verdict.unwrap_or_else(|refusal| panic!("{refusal:?}: {state:?}"));
            // Those of others are there already.
            assert_eq!(bind.owner, Owner::Root, "{state:?}");
            let port = if is_out_of_reach { 0 } else { state.port };
            assert_eq!(bind.port, port, "{state:?}");
            // A port that is new in the netns is nothing to insist on; one that was picked there is, as
            // in-tree.
            let is_new = state.port_origin == PortOrigin::PickedElsewhere;
            assert!(bind.port == 0 || bind.may_repick == is_new, "{state:?}");
        }
    }
}

/// A device at some time.
#[derive(Clone, Copy, PartialEq, Debug)]
struct Device {
    state: State,
    has_net: bool,
    is_running: bool,
    has_sockets: bool,
}

impl Device {
    const NEW: Self = Self {
        state: State::NEW,
        has_net: true,
        is_running: false,
        has_sockets: false,
    };

    /// What it is after sockets were bound to `port`.
    fn bound(mut self, port: u16) -> Self {
        self.has_sockets = true;
        self.state.port = if port == 0 { PICKED } else { port };
        if self.state.port_origin != PortOrigin::Asked {
            self.state.port_origin = PortOrigin::PickedHere;
        }
        self
    }

    fn after_request(self, case: &Case) -> Option<Self> {
        let plan = case.verdict().ok()?;
        let mut next = Self {
            state: plan.state,
            has_net: self.has_net || plan.moves,
            ..self
        };
        Some(match plan.sockets {
            SocketPlan::Keep => next,
            SocketPlan::New(bind) => next.bound(bind.port),
            SocketPlan::WhenUp => {
                next.has_sockets = false;
                next
            }
        })
    }

    fn after_up(self, is_privileged: bool, may_bind: bool) -> Option<Self> {
        let up = Self {
            is_running: true,
            ..self
        };
        if self.has_sockets {
            return Some(up);
        }
        if !self.has_net {
            return None;
        }
        // Sockets that were bought are open all the time: no interface makes root's of them.
        assert_eq!(self.state.owner, Owner::Root, "{self:?}");
        let bind = go_up(&self.state, is_privileged, || may_bind).ok()?;
        Some(up.bound(bind.port))
    }

    fn after_down(self) -> Self {
        Self {
            is_running: false,
            has_sockets: self.has_sockets && self.state.owner == Owner::Caller,
            ..self
        }
    }

    fn after_end_of_netns(self) -> Self {
        Self {
            has_net: false,
            has_sockets: false,
            ..self
        }
    }

    fn check(&self) {
        let State {
            port,
            port_origin,
            owner,
            ..
        } = self.state;
        assert!(self.has_net || !self.has_sockets, "{self:?}");
        if self.has_net {
            // Only those that were bought are open while the interface is down.
            let lives = self.is_running || owner == Owner::Caller;
            assert_eq!(self.has_sockets, lives, "{self:?}");
        }
        assert!(!self.has_sockets || port != 0, "{self:?}");
        let is_known = port_origin != PortOrigin::PickedElsewhere;
        assert!(port != 0 || !is_known, "{self:?}");
        assert!(!self.has_sockets || is_known, "{self:?}");
    }
}

/// All requests with good credentials or none, by anybody, to a device that anything happened to
/// before.
#[test]
fn whatever_happens_a_device_has_the_sockets_it_should() {
    let mut seen = vec![Device::NEW];
    let mut at = 0;
    while let Some(&device) = seen.get(at) {
        at += 1;
        device.check();
        let mut found = vec![device.after_down(), device.after_end_of_netns()];
        for is_privileged in BOOLS {
            for may_bind in BOOLS {
                found.extend(device.after_up(is_privileged, may_bind));
            }
        }
        each_request(device, |case| found.extend(device.after_request(case)));
        for next in found {
            if !seen.contains(&next) {
                seen.push(next);
            }
        }
    }
    // Of all kinds, not only the new one.
    assert!(seen.len() > 100, "{}", seen.len());
}

fn each_request(device: Device, mut f: impl FnMut(&Case)) {
    for world in worlds() {
        for net in [None, Some(Target::Other)] {
            for port in [None, Some(0), Some(5000), Some(PRIVILEGED)] {
                for mark in [None, Some(0), Some(7)] {
                    for shown in [None, Some(GOOD)] {
                        f(&Case {
                            state: device.state,
                            has_net: device.has_net,
                            is_running: device.is_running,
                            wish: Requested {
                                net,
                                port,
                                mark,
                                v4: shown,
                                v6: shown,
                            },
                            world,
                        });
                    }
                }
            }
        }
    }
}
