// SPDX-License-Identifier: GPL-2.0
//! Two endpoints, a network and applications that do as the input says: what
//! each end does, and when, is what the rules want.
#![no_main]

#[path = "../../tests/common/mod.rs"]
mod common;

use common::rules::judge;
use common::simulation::{Simulation, SECOND};
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;

/// Each may cost a handshake.
const MAX_STEPS: usize = 24;
/// Steps begin before this, which is enough for sessions to end and for peers
/// to be given up.
const LAST_STEP: u64 = 400 * SECOND;
/// Silence at the end, until all is forgotten.
const END: u64 = 700 * SECOND;

#[derive(Arbitrary, Debug)]
enum Step {
    Say {
        end: bool,
    },
    /// A packet of every message sent from now on is lost, or takes so long.
    Network {
        lost: bool,
        delay: u16,
    },
    Keepalive {
        end: bool,
        seconds: u8,
    },
    /// Tenths of a second.
    Wait(u16),
}

fuzz_target!(|steps: Vec<Step>| {
    let mut sim = Simulation::new();
    for step in steps.into_iter().take(MAX_STEPS) {
        if sim.now >= LAST_STEP {
            break;
        }
        match step {
            Step::Say { end } => sim.say(end.into()),
            Step::Network { lost, delay } => {
                sim.network = Box::new(
                    move |_, _| {
                        if lost {
                            vec![]
                        } else {
                            vec![u64::from(delay)]
                        }
                    },
                );
            }
            Step::Keepalive { end, seconds } => {
                sim.ends[usize::from(end)].set_persistent_keepalive(seconds.into());
                sim.flush();
            }
            Step::Wait(tenths) => sim.run(sim.now + u64::from(tenths % 2048) * 100),
        }
    }
    for end in 0..2 {
        sim.ends[end].set_persistent_keepalive(0);
    }
    let end = sim.now + END;
    sim.run(end);
    for endpoint in &sim.ends {
        judge(&endpoint.events, end);
    }
});
