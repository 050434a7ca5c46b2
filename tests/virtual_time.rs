// SPDX-License-Identifier: GPL-2.0

//! Days of virtual time, filled at random: with traffic of all kinds, outages,
//! loss, delays, duplicates, and persistent keepalives that come and go. What
//! each end does, and when, is judged by the rules in `common/rules.rs`.

mod common;

use common::rules::{judge, Counts};
use common::simulation::{Random, Simulation, A, B, HOUR, MINUTE, SECOND};
use proptest::prelude::*;
use std::cell::Cell;
use wireguard_protocol::protocol::timers::Timer;

const DAY: u64 = 24 * HOUR;

/// What the network does from a time on.
#[derive(Clone, Debug)]
struct Weather {
    since: u64,
    /// In percent; 100 is an outage.
    loss: [u64; 2],
    duplicates: u64,
    delay: u64,
    spread: u64,
}

#[derive(Clone, Debug)]
struct Talk {
    from: usize,
    since: u64,
    every: u64,
    packets: u64,
}

#[derive(Clone, Debug)]
struct Setting {
    at: u64,
    end: usize,
    seconds: u16,
}

#[derive(Clone, Debug)]
struct Scenario {
    length: u64,
    seed: u64,
    weather: Vec<Weather>,
    talks: Vec<Talk>,
    settings: Vec<Setting>,
}

impl Scenario {
    fn run(&self) -> [Counts; 2] {
        let mut sim = Simulation::new();
        let random = Random(Cell::new(self.seed | 1));
        let weather = self.weather.clone();
        sim.network = Box::new(move |now, from| {
            let Some(weather) = weather.iter().rev().find(|weather| weather.since <= now) else {
                return vec![20];
            };
            let copies = 1 + u64::from(random.below(100) < weather.duplicates);
            (0..copies)
                .filter(|_| random.below(100) >= weather.loss[from])
                .map(|_| weather.delay + random.below(weather.spread + 1))
                .collect()
        });
        for talk in &self.talks {
            let until = talk.since + talk.every * talk.packets;
            sim.talk(talk.from, talk.every, talk.since, until);
        }
        for setting in &self.settings {
            sim.run(setting.at);
            sim.ends[setting.end].set_persistent_keepalive(setting.seconds);
            sim.flush();
        }
        sim.run(self.length);
        [A, B].map(|end| judge(&sim.ends[end].events, self.length))
    }
}

fn weather(length: u64) -> impl Strategy<Value = Weather> {
    let loss = prop_oneof![6 => Just(0), 3 => 1..60u64, 3 => Just(100u64)];
    (
        0..length,
        [loss.clone(), loss],
        prop_oneof![Just(0), 0..30u64],
        prop_oneof![4 => 0..200u64, 1 => 0..8 * SECOND],
        prop_oneof![4 => 0..50u64, 1 => 0..12 * SECOND],
    )
        .prop_map(|(since, loss, duplicates, delay, spread)| Weather {
            since,
            loss,
            duplicates,
            delay,
            spread,
        })
}

fn talk(length: u64) -> impl Strategy<Value = Talk> {
    // Around each of the protocol's times, and far from them.
    let every = prop_oneof![
        3 => 100..3 * SECOND,
        2 => 4 * SECOND..21 * SECOND,
        2 => 110 * SECOND..200 * SECOND,
        1 => 500 * SECOND..HOUR,
    ];
    (0..2usize, 0..length, every, 1..700u64).prop_map(|(from, since, every, packets)| Talk {
        from,
        since,
        every,
        packets,
    })
}

fn setting(length: u64) -> impl Strategy<Value = Setting> {
    let seconds = prop_oneof![2 => Just(0), 4 => 1..30u16, 2 => 30..200u16, 1 => any::<u16>()];
    (0..length, 0..2usize, seconds).prop_map(|(at, end, seconds)| Setting { at, end, seconds })
}

fn scenario(length: u64) -> impl Strategy<Value = Scenario> {
    (
        any::<u64>(),
        prop::collection::vec(weather(length), 0..12),
        prop::collection::vec(talk(length), 1..12),
        prop_oneof![
            Just(Vec::new()).boxed(),
            prop::collection::vec(setting(length), 1..6).boxed()
        ],
    )
        .prop_map(move |(seed, mut weather, talks, mut settings)| {
            weather.sort_by_key(|weather| weather.since);
            settings.sort_by_key(|setting| setting.at);
            Scenario {
                length,
                seed,
                weather,
                talks,
                settings,
            }
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn an_hour_goes_by_the_rules(scenario in scenario(HOUR)) {
        scenario.run();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(6))]

    #[test]
    fn a_day_goes_by_the_rules(scenario in scenario(DAY)) {
        scenario.run();
    }
}

/// A week with something of everything in it, so that it is known that every
/// rule was needed.
#[test]
fn a_week_has_all_there_is() {
    let weather = |since, loss: u64, delay, spread| Weather {
        since,
        loss: [loss; 2],
        duplicates: loss / 10,
        delay,
        spread,
    };
    let talk = |from, since, every, packets| Talk {
        from,
        since,
        every,
        packets,
    };
    let scenario = Scenario {
        length: 7 * DAY,
        seed: 1,
        weather: vec![
            weather(0, 0, 20, 10),
            weather(DAY, 30, 40, 3000),
            weather(DAY + HOUR, 100, 0, 0),
            weather(DAY + HOUR + 10 * MINUTE, 0, 20, 0),
            weather(3 * DAY, 20, 20, 500),
        ],
        talks: vec![
            talk(A, 0, SECOND, 3600),
            talk(B, 0, 700, 3600),
            talk(B, 6 * HOUR, 500, 7200),
            talk(A, DAY, SECOND, 4000),
            talk(B, DAY + 5 * SECOND, 30 * SECOND, 400),
            talk(A, 2 * DAY, 150 * SECOND, 1000),
            talk(B, 4 * DAY, 20 * MINUTE, 200),
            // Nothing to send while the session is old, but something to hear.
            talk(A, 6 * DAY, 30 * MINUTE, 20),
            talk(B, 6 * DAY + 170 * SECOND, 30 * MINUTE, 20),
        ],
        settings: vec![
            Setting {
                at: 3 * DAY,
                end: A,
                seconds: 25,
            },
            Setting {
                at: 4 * DAY,
                end: A,
                seconds: 0,
            },
        ],
    };
    let counts = scenario.run();
    let sum = |of: fn(&Counts) -> u64| counts.iter().map(of).sum::<u64>();
    for timer in Timer::ALL {
        let fired: u64 = counts
            .iter()
            .map(|counts| counts.fired[timer.index()])
            .sum();
        assert!(fired > 0, "{timer:?}");
    }
    assert!(sum(|counts| counts.handshakes) > 500);
    assert!(sum(|counts| counts.retries) > 20);
    assert!(sum(|counts| counts.gave_up) > 0);
    assert!(sum(|counts| counts.last_minute) > 0);
    assert!(sum(|counts| counts.too_soon) > 0);
    assert!(sum(|counts| counts.another) > 0);
    // All of the margin is made use of.
    for counts in counts {
        let (least, most) = counts.jitter.unwrap();
        assert!(least < 60 && most > 270, "{least} to {most}");
    }
}
