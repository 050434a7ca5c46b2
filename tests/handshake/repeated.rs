// SPDX-License-Identifier: GPL-2.0

//! Initiations that come again, too often, late or from both ends.

use super::*;

#[test]
fn timestamps_must_increase() {
    let mut pair = Pair::new();
    let first = pair.initiate(stamp(100));
    let consumed = pair.open_initiation(&first).unwrap();
    pair.to_alice.accept_initiation(&consumed, s(1)).unwrap();
    let mut now = s(10);
    for (seconds, nanos, expected) in [
        (100, 0, Err(InitiationRefused::Replay)),
        (99, 999_999_999, Err(InitiationRefused::Replay)),
        (0, 0, Err(InitiationRefused::Replay)),
        // Rounded down to the same label.
        (100, Tai64n::GRANULARITY - 1, Err(InitiationRefused::Replay)),
        (100, Tai64n::GRANULARITY, Ok(())),
        (100, Tai64n::GRANULARITY, Err(InitiationRefused::Replay)),
        (101, 0, Ok(())),
        (100, 999_999_999, Err(InitiationRefused::Replay)),
    ] {
        now = now.after(1);
        let first = pair.initiate(Tai64n::from_unix(seconds, nanos));
        let consumed = pair.open_initiation(&first).unwrap();
        let before = pair.to_alice.phase();
        let result = pair.to_alice.accept_initiation(&consumed, now);
        assert_eq!(result, expected, "{seconds}.{nanos:09}");
        if result.is_err() {
            assert_eq!(pair.to_alice.phase(), before);
        }
    }
}

#[test]
fn initiations_are_limited_to_fifty_a_second() {
    let mut pair = Pair::new();
    let mut offer = |seconds, now| {
        let first = pair.initiate(stamp(seconds));
        let consumed = pair.open_initiation(&first).unwrap();
        pair.to_alice.accept_initiation(&consumed, now)
    };
    // Even at the very start of the clock there is none before the first.
    assert_eq!(offer(1, ms(0)), Ok(()));
    assert_eq!(offer(2, ms(0)), Err(InitiationRefused::Flood));
    assert_eq!(offer(2, Instant(19_999_999)), Err(InitiationRefused::Flood));
    // What was refused does not count, neither its time nor its timestamp.
    assert_eq!(offer(2, ms(20)), Ok(()));
    assert_eq!(offer(3, ms(39)), Err(InitiationRefused::Flood));
    assert_eq!(offer(3, ms(40)), Ok(()));
    // Replay is the answer if it is both.
    assert_eq!(offer(3, ms(40)), Err(InitiationRefused::Replay));

    let accepted = (0..1000).filter(|i| offer(10 + i, ms(1000 + *i as u64)).is_ok());
    assert_eq!(accepted.count(), 50);
}

#[test]
fn a_superseded_initiation_does_not_complete() {
    let mut pair = Pair::new();
    let late = pair.exchange(stamp(1), T);
    let verified = pair.open_response(&late).unwrap();
    // While the response is being verified, another initiation goes out, with
    // the same index at that.
    let second = pair.exchange(stamp(2), T.after(1));
    assert!(!pair.to_bob.accept_response(&verified));
    assert!(pair.open_response(&late).is_none());
    assert!(matches!(
        pair.to_bob.phase(),
        Phase::CreatedInitiation { .. }
    ));
    let consumed = pair.open_response(&second).unwrap();
    assert!(pair.to_bob.accept_response(&consumed));
    let keys = pair.to_bob.begin_session().unwrap();
    assert_matching(&keys, &pair.to_alice.begin_session().unwrap());
}

#[test]
fn an_accepted_initiation_supersedes_our_own() {
    let mut pair = Pair::new();
    let ours = pair.initiate(stamp(1));
    let theirs = pair
        .to_alice
        .create_initiation(&pair.bob, &SecretKey::generate(), stamp(1), 7)
        .unwrap();
    let consumed = consume_initiation(&theirs, &pair.alice)
        .unwrap()
        .finish(&pair.to_bob)
        .unwrap();
    pair.to_bob.accept_initiation(&consumed, T).unwrap();
    assert!(pair.to_bob.pending_response().is_none());
    let second = pair
        .to_bob
        .create_response(&SecretKey::generate(), 8)
        .unwrap();
    let consumed = pair
        .to_alice
        .pending_response()
        .unwrap()
        .finish(&second, &pair.bob)
        .unwrap();
    assert!(pair.to_alice.accept_response(&consumed));
    assert_matching(
        &pair.to_alice.begin_session().unwrap(),
        &pair.to_bob.begin_session().unwrap(),
    );
    // The one that crossed is still good, should it arrive later.
    assert!(pair.open_initiation(&ours).is_some());
}
