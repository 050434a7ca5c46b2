// SPDX-License-Identifier: GPL-2.0

//! What a refusal looks like.

use crate::cases::{each_case, each_credential, Case, RESTRICTIONS};
use crate::rules;
use std::collections::HashSet;
use wireguard_protocol::judgement::{Culprit, Refusal, Version};

/// Every refusal that there is.
fn refusals() -> Vec<Refusal> {
    let mut all = vec![
        Refusal::NoNet(Culprit::Port),
        Refusal::NoNet(Culprit::Mark),
        Refusal::NoProof,
        Refusal::Lent,
        Refusal::PrivilegedPort,
        Refusal::MarkApplied,
    ];
    for version in [Version::V4, Version::V6] {
        all.extend([
            Refusal::NoNet(Culprit::Credential(version)),
            Refusal::NotUdp(version),
            Refusal::NotThere(version),
            Refusal::SwitchedOff(version),
            Refusal::NoCredential(version),
        ]);
        let restricted = |&restriction| Refusal::Restricted(version, restriction);
        all.extend(RESTRICTIONS.iter().map(restricted));
    }
    all
}

#[test]
fn each_has_the_errno_of_the_table() {
    for refusal in refusals() {
        assert_eq!(refusal.errno(), rules::errno(refusal), "{refusal:?}");
    }
}

#[test]
fn each_is_what_some_request_gets() {
    let mut left = refusals();
    let mut meet = |case: &Case| {
        if let Err(refusal) = case.verdict() {
            left.retain(|&other| other != refusal);
        }
    };
    each_case(&mut meet);
    each_credential(&mut meet);
    assert_eq!(left, []);
}

/// Without a netns all that needs one is pointed at, one after the other.
#[test]
fn each_points_at_an_attribute_that_was_given() {
    let check = |case: &Case| {
        let culprit = case.verdict().err().and_then(Refusal::culprit);
        let was_given = match culprit {
            None => true,
            Some(Culprit::Port) => case.wish.port.is_some(),
            Some(Culprit::Mark) => case.wish.mark.is_some(),
            Some(Culprit::Credential(Version::V4)) => case.wish.v4.is_some(),
            Some(Culprit::Credential(Version::V6)) => case.wish.v6.is_some(),
        };
        assert!(was_given, "{culprit:?}: {case:?}");
    };
    each_case(check);
    each_credential(check);
}

#[test]
fn each_points_at_what_it_is_about() {
    for refusal in refusals() {
        let expected = match refusal {
            Refusal::NoNet(culprit) => Some(culprit),
            Refusal::NotUdp(version)
            | Refusal::NotThere(version)
            | Refusal::SwitchedOff(version)
            | Refusal::Restricted(version, _) => Some(Culprit::Credential(version)),
            Refusal::MarkApplied => Some(Culprit::Mark),
            // What is missing cannot be pointed at, and a port may be the device's.
            Refusal::NoCredential(_) | Refusal::NoProof | Refusal::Lent => None,
            Refusal::PrivilegedPort => None,
        };
        assert_eq!(refusal.culprit(), expected, "{refusal:?}");
    }
}

/// "An extack message that names the cause": no two causes have the same, unless the attribute that
/// is pointed at tells them apart.
#[test]
fn each_names_its_cause() {
    let mut seen = HashSet::new();
    for refusal in refusals() {
        let words = refusal.words().to_str().expect("not UTF-8");
        assert!(!words.is_empty() && words.is_ascii(), "{refusal:?}");
        assert!(!words.ends_with(['.', '\n']), "{refusal:?}");
        let culprit = format!("{:?}", refusal.culprit());
        assert!(seen.insert((words, culprit)), "{refusal:?}");
    }
}

#[test]
fn each_names_what_the_sender_lacks() {
    let words = |refusal: Refusal| refusal.words().to_str().expect("not UTF-8");
    assert!(words(Refusal::NoProof).contains("CAP_NET_ADMIN"));
    assert!(words(Refusal::NoProof).contains("credentials"));
    assert!(words(Refusal::MarkApplied).contains("CAP_NET_ADMIN"));
    assert!(words(Refusal::PrivilegedPort).contains("CAP_NET_BIND_SERVICE"));
    for (version, name) in [(Version::V4, "IPv4"), (Version::V6, "IPv6")] {
        assert!(words(Refusal::NoCredential(version)).contains(name));
        assert!(words(Refusal::NotUdp(version)).contains(name));
    }
}
