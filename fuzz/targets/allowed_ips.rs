// SPDX-License-Identifier: GPL-2.0
//! Changes to the allowed IPs in any order, nodes running out included: lookups
//! find what a search from end to end finds, and no node is kept that is not
//! needed.
#![no_main]

#[path = "../../tests/common/mod.rs"]
mod common;

use common::trie::{max_length, Both, Net, Nodes, OWNERS};
use core::net::IpAddr;
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;

/// More would only make it slow.
const MAX_OPS: usize = 48;

/// Few bytes are not zero, so that prefixes nest, collide and fork.
#[derive(Arbitrary, Debug)]
struct Address {
    v6: bool,
    at: u8,
    bytes: [u8; 2],
}

#[derive(Arbitrary, Debug)]
enum Op {
    Insert(Address, u8, u8),
    Remove(Address, u8, u8),
    RemoveKnown(u8),
    MoveKnown(u8, u8),
    RemoveOwner(u8),
    Clear,
    Lookup(Address),
    LookupAny(IpAddr),
    GracePeriod,
}

impl From<Address> for IpAddr {
    fn from(address: Address) -> Self {
        fn fill<const N: usize>(address: &Address) -> [u8; N] {
            let mut octets = [0; N];
            let at = usize::from(address.at) % (N - 1);
            octets[at..at + 2].copy_from_slice(&address.bytes);
            octets
        }
        if address.v6 {
            fill::<16>(&address).into()
        } else {
            fill::<4>(&address).into()
        }
    }
}

fn net(address: Address, length: u8) -> Net {
    let address = IpAddr::from(address);
    (address, length % (max_length(address) + 1))
}

fn owner(number: u8) -> usize {
    usize::from(number) % OWNERS
}

fuzz_target!(|ops: Vec<Op>| {
    let nodes = Nodes::new(2 * MAX_OPS);
    let mut both = Both::new(&nodes);
    for op in ops.into_iter().take(MAX_OPS) {
        let known = |both: &Both<'_>, number: u8| {
            let entries = &both.model.0;
            (!entries.is_empty()).then(|| entries[usize::from(number) % entries.len()])
        };
        match op {
            Op::Insert(address, length, who) => {
                assert!(both.insert_with_setbacks(net(address, length), owner(who)) <= 2);
            }
            Op::Remove(address, length, who) => both.remove(net(address, length), owner(who)),
            Op::RemoveKnown(number) => {
                if let Some((net, owner)) = known(&both, number) {
                    both.remove(net, owner);
                }
            }
            Op::MoveKnown(number, who) => {
                if let Some((net, _)) = known(&both, number) {
                    assert_eq!(both.insert_with_setbacks(net, owner(who)), 0);
                }
            }
            Op::RemoveOwner(who) => both.remove_by_owner(owner(who)),
            Op::Clear => both.clear(),
            Op::Lookup(address) => {
                let address = address.into();
                assert_eq!(both.lookup(address), both.model.lookup(address));
            }
            Op::LookupAny(address) => {
                assert_eq!(both.lookup(address), both.model.lookup(address));
            }
            Op::GracePeriod => both.storage.grace_period(),
        }
        // What is needed is in use, so there is room for it once the rest may
        // be handed out again.
        if both.storage.free.len() < 2 {
            both.storage.grace_period();
        }
    }
    both.check();
    both.clear();
    both.check();
});
