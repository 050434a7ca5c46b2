// SPDX-License-Identifier: GPL-2.0

//! Two endpoints run for hours of virtual time through silence, loss, overload
//! and restarts.

mod common;

use common::simulation::{instant, Endpoint, Random, Sent, Simulation, A, B, HOUR, MINUTE, SECOND};
use std::cell::Cell;
use wireguard_protocol::protocol::constants::{MAX_STAGED_PACKETS, REKEY_TIMEOUT};
use wireguard_protocol::protocol::noise::StaticIdentity;

#[test]
fn conversation_of_six_hours() {
    let mut sim = Simulation::new();
    sim.talk(A, 250, 0, 6 * HOUR);
    sim.talk(B, 300, SECOND, 6 * HOUR);
    sim.run(6 * HOUR + MINUTE);
    sim.assert_all_delivered();
    // The initiator replaces the session every two minutes, and nobody has
    // reason to send a keepalive but for confirmation.
    let initiations = sim.ends[A].times(Sent::Initiation);
    assert_eq!(sim.ends[B].times(Sent::Initiation), []);
    for pair in initiations.windows(2) {
        assert!((120_000..121_000).contains(&(pair[1] - pair[0])));
    }
    assert_eq!(initiations.len(), sim.handshakes());
    // The first session is confirmed by the packet that waited for it.
    let keepalives = sim.ends[A].times(Sent::Keepalive).len();
    assert!(keepalives.abs_diff(initiations.len()) <= 2);
    assert!(sim.ends[B].times(Sent::Keepalive).len() <= 1);
}

#[test]
fn monologue_is_acknowledged_every_ten_seconds() {
    let mut sim = Simulation::new();
    sim.talk(A, SECOND, 0, HOUR);
    sim.run(HOUR + MINUTE);
    sim.assert_all_delivered();
    let keepalives = sim.ends[B].times(Sent::Keepalive);
    assert!(keepalives.len() >= 300, "{}", keepalives.len());
    for pair in keepalives.windows(2) {
        // A handshake response in between serves as well and restarts the wait.
        assert!((10_000..=21_000).contains(&(pair[1] - pair[0])));
    }
    // A never thinks that B is gone.
    assert!(sim.ends[A].times(Sent::Initiation).len() <= 31);
}

#[test]
fn a_listening_initiator_replaces_the_session_at_the_last_minute() {
    let mut sim = Simulation::new();
    sim.say(A);
    sim.run(SECOND);
    sim.talk(B, 500, SECOND, 2 * HOUR);
    sim.run(2 * HOUR + MINUTE);
    sim.assert_all_delivered();
    let initiations = sim.ends[A].times(Sent::Initiation);
    assert!(initiations.len() >= 40);
    for pair in initiations.windows(2) {
        // Its keepalives are sent with the session as well, so that the duty to
        // replace it after 120 seconds applies with the next of those.
        assert!((120_000..166_000).contains(&(pair[1] - pair[0])));
    }
    assert_eq!(sim.ends[B].times(Sent::Initiation), []);
}

#[test]
fn silence_is_silent_and_forgets() {
    let mut sim = Simulation::new();
    sim.say(A);
    sim.run(HOUR);
    sim.assert_all_delivered();
    // Initiation, response, the packet itself, and a keepalive in return.
    assert_eq!(sim.ends[A].sent, [(0, Sent::Initiation), (40, Sent::Data)]);
    assert_eq!(
        sim.ends[B].sent,
        [(20, Sent::Response), (10_060, Sent::Keepalive)]
    );
    // Keys last for nine minutes.
    assert_eq!(sim.ends[A].zeroed, [540_040]);
    assert_eq!(sim.ends[B].zeroed, [540_020]);
    for end in &sim.ends {
        assert!(end.current.is_none() && end.next.is_none() && end.previous.is_none());
    }
    // And all begins anew.
    sim.say(B);
    sim.run(HOUR + MINUTE);
    sim.assert_all_delivered();
}

#[test]
fn an_unreachable_peer_is_given_up() {
    let mut sim = Simulation::new();
    sim.network = Box::new(|_, _| vec![]);
    sim.say(A);
    sim.run(HOUR);
    let attempts = sim.ends[A].times(Sent::Initiation);
    assert_eq!(attempts.len(), 20);
    for pair in attempts.windows(2) {
        assert!((5_000..5_333).contains(&(pair[1] - pair[0])));
    }
    let jitters: std::collections::HashSet<u64> =
        attempts.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(jitters.len() > 10);
    let gave_up = sim.ends[A].gave_up[0];
    assert!((100_000..106_660).contains(&gave_up));
    assert_eq!(sim.ends[A].gave_up.len(), 1);
    assert!(sim.ends[A].staged.is_empty());
    assert_eq!(sim.ends[A].zeroed, [gave_up + 540_000]);
}

#[test]
fn traffic_keeps_the_attempts_going() {
    let mut sim = Simulation::new();
    sim.network = Box::new(|now, _| if now < HOUR { vec![] } else { vec![20] });
    sim.talk(A, 2 * SECOND, 0, 2 * HOUR);
    sim.run(HOUR);
    assert_eq!(sim.ends[A].gave_up, []);
    assert!(sim.ends[A].times(Sent::Initiation).len() >= 600);
    assert_eq!(sim.ends[A].staged.len(), MAX_STAGED_PACKETS);
    sim.run(HOUR + 6 * SECOND);
    // Within one retry, all that was held back arrives, oldest dropped.
    let delivered = &sim.ends[B].delivered;
    assert!(delivered.len() >= MAX_STAGED_PACKETS);
    assert!(delivered.windows(2).all(|pair| pair[1] == pair[0] + 1));
    sim.run(2 * HOUR + MINUTE);
    assert_eq!(sim.ends[B].delivered.last(), Some(&(sim.payloads[A] - 1)));
}

#[test]
fn an_outage_is_noticed_after_fifteen_seconds() {
    let mut sim = Simulation::new();
    sim.network = Box::new(|now, _| {
        if (31 * SECOND..61 * SECOND).contains(&now) {
            vec![]
        } else {
            vec![20]
        }
    });
    sim.talk(A, SECOND, 0, 5 * MINUTE);
    sim.talk(B, SECOND, 500, 5 * MINUTE);
    sim.run(6 * MINUTE);
    for end in &sim.ends {
        // Whatever is sent without an answer starts the wait.
        let first = end
            .times(Sent::Initiation)
            .into_iter()
            .find(|at| *at > 31 * SECOND);
        assert!((45_500..47_000).contains(&first.unwrap()), "{first:?}");
    }
    // The packets of half a minute are lost, no more.
    for end in &sim.ends {
        assert!(end.delivered.len() >= 300 - 31);
        assert_eq!(end.delivered.last(), Some(&299));
    }
}

#[test]
fn persistent_keepalives_hold_for_hours() {
    let mut sim = Simulation::new();
    sim.ends[A].set_persistent_keepalive(25);
    sim.flush();
    sim.run(5 * HOUR);
    let packets: Vec<u64> = sim.ends[A].sent.iter().map(|(at, _)| *at).collect();
    for pair in packets.windows(2) {
        assert!(pair[1] - pair[0] <= 25_000);
    }
    assert!(packets.len() >= 5 * 3600 / 25);
    // Every session replaced in time, by A alone, and B sends nothing else.
    let initiations = sim.ends[A].times(Sent::Initiation);
    assert!(initiations
        .windows(2)
        .all(|pair| pair[1] - pair[0] <= 150_000));
    assert_eq!(sim.ends[B].times(Sent::Response).len(), initiations.len());
    assert_eq!(sim.ends[B].sent.len(), initiations.len());
    assert_eq!(sim.ends[A].zeroed, []);
}

#[test]
fn a_restarted_peer_is_found_again() {
    let mut sim = Simulation::new();
    sim.talk(A, SECOND, 0, 10 * MINUTE);
    sim.run(5 * MINUTE);
    let fresh = {
        let old = &sim.ends[B];
        let own = StaticIdentity::new(old.own.secret()).unwrap();
        let mut fresh = Endpoint::new(own, old.remote, 77);
        fresh.wheel.now = Cell::new(old.ms());
        fresh.last_handshake = instant(old.ms()).before(REKEY_TIMEOUT + 1);
        fresh
    };
    sim.ends[B] = fresh;
    sim.run(11 * MINUTE);
    let first = sim.ends[B].sent[0];
    assert_eq!(first.1, Sent::Response);
    // The last packet answered may be ten seconds old by then.
    assert!(first.0 <= 5 * MINUTE + 16 * SECOND);
    assert_eq!(sim.ends[B].delivered.last(), Some(&599));
}

#[test]
fn initiations_that_cross_settle() {
    let mut sim = Simulation::new();
    sim.talk(A, SECOND, 0, 10 * MINUTE);
    sim.talk(B, SECOND, 0, 10 * MINUTE);
    sim.run(11 * MINUTE);
    let delivered: Vec<usize> = sim.ends.iter().map(|end| end.delivered.len()).collect();
    assert_eq!(delivered, [600, 600]);
}

#[test]
fn a_responder_under_load_lets_through_who_holds_a_cookie() {
    let mut sim = Simulation::new();
    sim.ends[B].under_load = true;
    sim.talk(A, SECOND, 0, HOUR);
    sim.talk(B, SECOND, SECOND, HOUR);
    sim.run(HOUR + MINUTE);
    sim.assert_all_delivered();
    // What has no cookie, or one that is out of date, is answered with one,
    // initiations and responses alike. Cookies live about as long as sessions.
    let cookies = sim.ends[B].times(Sent::Cookie).len();
    assert!((28..=61).contains(&cookies), "{cookies}");
    assert!(sim.handshakes() >= 28);
    assert_eq!(sim.ends[A].times(Sent::Cookie), []);
}

#[test]
fn hours_of_loss_reordering_and_duplication() {
    for seed in 1..=4 {
        let mut sim = Simulation::new();
        let random = Random(Cell::new(seed * 0x9e37_79b9));
        sim.network = Box::new(move |now, _| {
            // Now and then nothing gets through for a while.
            if now / MINUTE % 7 == 3 || now > 3 * HOUR && now < 3 * HOUR + 4 * MINUTE {
                return vec![];
            }
            match random.below(10) {
                0 | 1 => vec![],
                2 => vec![random.below(400), random.below(4000)],
                _ => vec![10 + random.below(300)],
            }
        });
        sim.talk(A, 700, 0, 4 * HOUR);
        sim.talk(B, 900, 0, HOUR);
        sim.talk(B, 40 * SECOND, HOUR, 4 * HOUR);
        sim.run(4 * HOUR);

        for end in &sim.ends {
            // Nothing is delivered twice.
            let unique: std::collections::HashSet<&u64> = end.delivered.iter().collect();
            assert_eq!(unique.len(), end.delivered.len());
        }
        let delivered = sim.ends[B].delivered.len() as u64;
        assert!(delivered * 10 >= sim.payloads[A] * 6, "{delivered}");

        // Left alone, they recover completely.
        sim.network = Box::new(|_, _| vec![20]);
        sim.run(4 * HOUR + MINUTE);
        let before = sim.payloads;
        sim.talk(A, SECOND, sim.now, sim.now + MINUTE);
        sim.talk(B, SECOND, sim.now + 10, sim.now + MINUTE);
        sim.run(4 * HOUR + 3 * MINUTE);
        for (from, to) in [(A, B), (B, A)] {
            let expected: Vec<u64> = (before[from]..sim.payloads[from]).collect();
            assert!(sim.ends[to].delivered.ends_with(&expected));
        }
        // And fall silent.
        sim.run(5 * HOUR);
        for end in &sim.ends {
            assert!(end.sent.last().unwrap().0 < 4 * HOUR + 3 * MINUTE + 20 * SECOND);
            assert!(end.current.is_none());
        }
    }
}
