// SPDX-License-Identifier: GPL-2.0

//! Who may have the sockets of a device where (`docs/transit.md`): all that can be asked for, by
//! anybody, of any device, is compared with the rules, which are written down here once more.
//! Then come promises in their own words, each tried with everything too.

#[path = "judgement/cases.rs"]
mod cases;
#[path = "judgement/life.rs"]
mod life;
#[path = "judgement/refusals.rs"]
mod refusals;
#[path = "judgement/rules.rs"]
mod rules;

use cases::{bad_credentials, each_case, each_credential, Case, World, PICKED};
use wireguard_protocol::judgement::{
    Credential, Owner, Plan, PortOrigin, Refusal, Requested, SocketPlan, Target,
};

const NOTHING: Requested = Requested {
    net: None,
    port: None,
    mark: None,
    v4: None,
    v6: None,
};

fn compare(case: &Case) {
    match case.verdict() {
        Ok(plan) => {
            assert!(!rules::is_forbidden(case), "forbidden: {case:?}");
            if let Some(what) = rules::what_is_wrong(case, &plan) {
                panic!("{what}: {case:?}\n{plan:?}");
            }
        }
        Err(refusal) => {
            assert!(
                rules::is_forbidden(case),
                "{refusal:?}, but allowed: {case:?}"
            );
            assert!(rules::is_true(refusal, case), "{refusal:?}: {case:?}");
            assert_eq!(refusal.errno(), rules::errno(refusal));
        }
    }
}

#[test]
fn every_case_is_judged_by_the_rules() {
    each_case(compare);
}

#[test]
fn every_credential_is_judged_by_the_rules() {
    each_credential(compare);
}

// Who may.

#[test]
fn without_right_and_credentials_nothing_changes_outside() {
    each_case(|case| {
        let proven = case.wish.v4.is_some() || case.wish.v6.is_some();
        if case.world.administers || proven {
            return;
        }
        if let Ok(plan) = case.verdict() {
            assert_eq!(plan.sockets, SocketPlan::Keep, "{case:?}");
            assert!(!plan.moves, "{case:?}");
            assert_eq!(plan.state.port, case.state.port, "{case:?}");
            assert_eq!(plan.state.owner, case.state.owner, "{case:?}");
            assert_eq!(
                plan.state.applied_mark(),
                case.state.applied_mark(),
                "{case:?}"
            );
        }
    });
}

#[test]
fn half_of_the_credentials_are_none() {
    each_case(|case| {
        let both = case.wish.v4.is_some() && (case.wish.v6.is_some() || !case.world.has_ipv6);
        if let (false, false, Ok(plan)) = (case.world.administers, both, case.verdict()) {
            assert_eq!(plan.sockets, SocketPlan::Keep, "{case:?}");
        }
    });
}

#[test]
fn credentials_of_another_sender_are_none() {
    each_case(|case| {
        let lent = !case.world.administers && !case.world.is_the_opener;
        if let (true, Ok(plan)) = (lent, case.verdict()) {
            assert_eq!(plan.sockets, SocketPlan::Keep, "{case:?}");
        }
    });
}

#[test]
fn more_rights_refuse_nothing() {
    let more: [fn(&mut World); 3] = [
        |world| world.administers = true,
        |world| world.may_bind_privileged = true,
        |world| world.is_the_opener = true,
    ];
    // What the kernel could refuse yet, since the port is taken.
    let insists = |plan: Plan| match plan.sockets {
        SocketPlan::New(bind) => bind.port != 0 && !bind.may_repick,
        _ => false,
    };
    each_case(|case| {
        let Ok(with_less) = case.verdict() else {
            return;
        };
        for more in more {
            let mut with = *case;
            more(&mut with.world);
            match with.verdict() {
                Ok(plan) => assert!(!insists(plan) || insists(with_less), "{with:?}"),
                Err(refusal) => panic!("{refusal:?}: {with:?}"),
            }
        }
    });
}

// Marks.

#[test]
fn a_mark_on_the_packets_stays_without_the_right() {
    each_case(|case| {
        let before = case.state.applied_mark();
        if before == 0 || case.world.administers {
            return;
        }
        match case.verdict() {
            Ok(plan) if !plan.moves => assert_eq!(plan.state.applied_mark(), before, "{case:?}"),
            _ => (),
        }
    });
}

#[test]
fn credentials_put_no_mark_on_packets() {
    each_case(|case| {
        if let Ok(plan) = case.verdict() {
            let after = plan.state.applied_mark();
            let is_new = plan.moves || after != case.state.applied_mark();
            assert!(after == 0 || !is_new || case.world.administers, "{case:?}");
        }
    });
}

#[test]
fn a_mark_is_kept_and_said_to_be_off_the_packets() {
    each_case(|case| {
        let Ok(plan) = case.verdict() else {
            return;
        };
        let mark = case.wish.mark.unwrap_or(case.state.mark);
        assert_eq!(plan.state.mark, mark, "{case:?}");
        let is_off = plan.state.applied_mark() != mark;
        let was_told = case.wish.mark.is_none() && !plan.moves;
        assert_eq!(plan.warns_of_mark, is_off && !was_told, "{case:?}");
    });
}

#[test]
fn a_mark_that_is_on_no_packets_is_anybodys() {
    each_case(|case| {
        let wish = Requested {
            mark: case.wish.mark,
            ..NOTHING
        };
        if case.has_net && case.state.applied_mark() == 0 && wish == case.wish {
            assert!(case.verdict().is_ok(), "{case:?}");
        }
    });
}

// Ports.

#[test]
fn privileged_ports_take_the_right() {
    each_case(|case| {
        let Ok(plan) = case.verdict() else {
            return;
        };
        let port = match plan.sockets {
            SocketPlan::Keep => return,
            SocketPlan::New(bind) => {
                assert_eq!(bind.port, plan.state.port, "{case:?}");
                bind.port
            }
            SocketPlan::WhenUp => plan.state.port,
        };
        let takes_right = port != 0 && case.world.is_privileged(port);
        assert!(!takes_right || case.world.may_bind_privileged, "{case:?}");
    });
}

#[test]
fn a_port_that_was_asked_for_is_never_picked_again() {
    each_case(|case| {
        let asked_now = case.wish.port.is_some_and(|port| port != 0);
        let asked_before = case.wish.port.is_none() && case.state.port_origin == PortOrigin::Asked;
        if !asked_now && !asked_before {
            return;
        }
        if let Ok(plan) = case.verdict() {
            let port = case.wish.port.unwrap_or(case.state.port);
            assert_eq!(plan.state.port, port, "{case:?}");
            assert_eq!(plan.state.port_origin, PortOrigin::Asked, "{case:?}");
            if let SocketPlan::New(bind) = plan.sockets {
                assert_eq!(bind.port, port, "{case:?}");
                assert!(port == 0 || !bind.may_repick, "{case:?}");
            }
        }
    });
}

// What is no change.

#[test]
fn no_change_needs_no_right() {
    each_case(|case| {
        let Requested {
            net,
            port,
            mark,
            v4,
            v6,
        } = case.wish;
        let changes = net == Some(Target::Other)
            || port.is_some_and(|port| port == 0 || port != case.state.port)
            || mark.is_some_and(|mark| mark != case.state.mark);
        let is_bad = |shown: Credential| !case.is_valid(shown);
        if !case.has_net || changes || v4.is_some_and(is_bad) || v6.is_some_and(is_bad) {
            return;
        }
        match case.verdict() {
            Ok(plan) => assert_eq!(plan.sockets, SocketPlan::Keep, "{case:?}"),
            Err(refusal) => panic!("{refusal:?}: {case:?}"),
        }
    });
}

#[test]
fn the_netns_that_it_has_is_no_change() {
    each_case(|case| {
        if case.wish.net == Some(Target::Same) {
            let mut without = *case;
            without.wish.net = None;
            assert_eq!(
                case.verdict_and_questions(),
                without.verdict_and_questions(),
                "{case:?}"
            );
        }
    });
}

/// One that the kernel had picked is insisted on from then on, so that a move in the same request
/// may be refused for it.
#[test]
fn the_port_that_it_has_is_no_change() {
    each_case(|case| {
        let same = case.wish.port == Some(case.state.port) && case.state.port != 0;
        if !same || !case.ends_in_a_net() {
            return;
        }
        let mut without = *case;
        without.wish.port = None;
        let (with, asked) = case.verdict_and_questions();
        let (without, asked_without) = without.verdict_and_questions();
        assert_eq!(asked, asked_without, "{case:?}");
        let without = without.map(|mut plan| {
            plan.state.port_origin = PortOrigin::Asked;
            if let SocketPlan::New(bind) = &mut plan.sockets {
                bind.may_repick = false;
            }
            plan
        });
        match without {
            Ok(plan) if plan.moves && plan.state.port == 0 => {
                assert_eq!(with, Err(Refusal::PrivilegedPort), "{case:?}");
            }
            _ => assert_eq!(with, without, "{case:?}"),
        }
    });
}

#[test]
fn the_mark_that_it_has_is_no_change() {
    each_case(|case| {
        if case.wish.mark != Some(case.state.mark) || !case.ends_in_a_net() {
            return;
        }
        let mut without = *case;
        without.wish.mark = None;
        let without = without.verdict().map(|mut plan| {
            // It gets onto the packets, if whoever sets it may have it there.
            if case.world.administers {
                plan.state.mark_authorised = true;
            }
            plan.forgets_routes = true;
            plan.warns_of_mark = plan.state.mark != plan.state.applied_mark();
            plan
        });
        let with = case.verdict();
        assert_eq!(
            with.map(told_of_marks),
            without.map(told_of_marks),
            "{case:?}"
        );
    });
}

/// A plan in which it is not told apart who set no mark.
fn told_of_marks(mut plan: Plan) -> Plan {
    plan.state.mark_authorised |= plan.state.mark == 0;
    plan
}

#[test]
fn the_same_wish_again_is_no_change() {
    each_case(|case| {
        let Ok(first) = case.verdict() else {
            return;
        };
        let mut again = *case;
        again.state = first.state;
        again.has_net = case.ends_in_a_net();
        if first.moves {
            again.wish.net = Some(Target::Same);
        }
        if matches!(first.sockets, SocketPlan::New(_)) && first.state.port == 0 {
            again.state.port = PICKED;
        }
        let second = match again.verdict() {
            Ok(second) => second,
            Err(refusal) => panic!("{refusal:?}: {case:?}"),
        };
        assert!(!second.moves, "{case:?}");
        if case.wish.port != Some(0) {
            assert_eq!(second.sockets, SocketPlan::Keep, "{case:?}");
            let expected = told_of_marks(Plan {
                state: again.state,
                ..second
            });
            assert_eq!(told_of_marks(second), expected, "{case:?}");
        }
    });
}

/// A "no" may be logged, so it is not asked for in vain, nor twice.
#[test]
fn rights_are_asked_for_where_they_matter() {
    let check = |case: &Case| {
        let (_, asked) = case.verdict_and_questions();
        let rebinds = case.takes_proof() && case.ends_in_a_net();
        let marks = case.has_net
            && case.wish.mark.is_some()
            && (case.changes_mark() || !case.state.mark_authorised);
        assert!(asked.administers <= u32::from(rebinds || marks), "{case:?}");
        let shows = case.wish.v4.is_some() && (case.wish.v6.is_some() || !case.world.has_ipv6);
        let buys = rebinds && shows && !case.world.administers;
        assert!(asked.is_the_opener <= u32::from(buys), "{case:?}");
        let port = case.resulting_port();
        let is_privileged = rebinds && port != 0 && case.world.is_privileged(port);
        assert!(
            asked.may_bind_privileged <= u32::from(is_privileged),
            "{case:?}"
        );
        assert!(!asked.port_zero, "{case:?}");
    };
    each_case(check);
    each_credential(check);
}

// Credentials.

#[test]
fn a_bad_credential_is_refused_needed_or_not() {
    let bad = bad_credentials();
    each_credential(|case| {
        let shown = [case.wish.v4, case.wish.v6];
        if shown.iter().flatten().any(|shown| bad.contains(shown)) {
            assert!(case.verdict().is_err(), "{case:?}");
        }
    });
}

#[test]
fn credentials_that_are_switched_off_are_refused() {
    each_credential(|case| {
        let shows = case.wish.v4.is_some() || case.wish.v6.is_some();
        if shows && !case.world.credentials_count {
            assert!(case.verdict().is_err(), "{case:?}");
        }
    });
}

// Whose sockets they are, and when they are made.

#[test]
fn sockets_are_the_callers_where_they_are_bought() {
    each_case(|case| {
        let Ok(plan) = case.verdict() else {
            return;
        };
        match plan.sockets {
            SocketPlan::Keep => assert_eq!(plan.state.owner, case.state.owner, "{case:?}"),
            SocketPlan::WhenUp => assert_eq!(plan.state.owner, Owner::Root, "{case:?}"),
            SocketPlan::New(bind) => {
                assert_eq!(bind.owner, plan.state.owner, "{case:?}");
                let bought = !case.world.administers;
                assert_eq!(bind.owner == Owner::Caller, bought, "{case:?}");
            }
        }
    });
}

#[test]
fn bought_sockets_are_made_at_once() {
    each_case(|case| {
        let Ok(plan) = case.verdict() else {
            return;
        };
        let replaces = plan.sockets != SocketPlan::Keep;
        if replaces && (case.is_running || !case.world.administers) {
            assert!(matches!(plan.sockets, SocketPlan::New(_)), "{case:?}");
        } else if replaces {
            assert_eq!(plan.sockets, SocketPlan::WhenUp, "{case:?}");
        }
    });
}
