// SPDX-License-Identifier: GPL-2.0

//! Trees of netlink attributes: such as the devices' interface describes them, and others.

use fastrand::Rng;

const NESTED: u16 = 0x8000;

/// An attribute.
#[derive(Clone)]
pub struct Attribute {
    kind: u16,
    value: Value,
}

#[derive(Clone)]
enum Value {
    Bytes(Vec<u8>),
    Nest(Vec<Attribute>),
}

/// What messages are made of.
pub struct World {
    pub device: String,
    /// Descriptors and PIDs.
    pub numbers: Vec<u32>,
    /// A few, so that messages are about the same peers again and again.
    pub keys: Vec<[u8; 32]>,
}

fn bytes(kind: u16, value: &[u8]) -> Attribute {
    Attribute {
        kind,
        value: Value::Bytes(value.to_vec()),
    }
}

fn nest(kind: u16, inside: Vec<Attribute>) -> Attribute {
    Attribute {
        kind: kind | NESTED,
        value: Value::Nest(inside),
    }
}

/// A number that is at the edge of something.
fn edge(rng: &mut Rng) -> u64 {
    let near = [
        0,
        1,
        2,
        7,
        16,
        24,
        32,
        64,
        128,
        0xff,
        0xffff,
        1 << 31,
        u64::MAX,
    ];
    near[rng.usize(..near.len())]
        .wrapping_add(rng.u64(..3))
        .wrapping_sub(1)
}

fn sometimes(rng: &mut Rng, one_in: u32) -> bool {
    rng.u32(..one_in) == 0
}

fn address(rng: &mut Rng) -> (u16, Vec<u8>, u8) {
    if rng.bool() {
        let tail = if rng.bool() { rng.u8(..4) } else { rng.u8(..) };
        (2, vec![10, 0, rng.u8(..4), tail], rng.u8(..=32))
    } else {
        let mut address = vec![0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, rng.u8(..)];
        if rng.bool() {
            rng.fill(&mut address);
        }
        (10, address, rng.u8(..=128))
    }
}

fn allowed_ip(rng: &mut Rng) -> Attribute {
    let (family, address, length) = address(rng);
    let mut inside = vec![
        bytes(1, &family.to_ne_bytes()),
        bytes(2, &address),
        bytes(3, &[length]),
    ];
    if sometimes(rng, 4) {
        inside.push(bytes(4, &1u32.to_ne_bytes()));
    }
    nest(0, inside)
}

fn endpoint(rng: &mut Rng) -> Vec<u8> {
    let (family, address, _) = address(rng);
    let mut out = family.to_ne_bytes().to_vec();
    out.extend(rng.u16(..).to_be_bytes());
    if family == 2 {
        out.extend(address);
        out.extend([0; 8]);
    } else {
        out.extend([0; 4]);
        out.extend(address);
        out.extend(rng.u32(..3).to_ne_bytes());
    }
    out
}

fn peer(rng: &mut Rng, world: &World) -> Attribute {
    let mut inside = vec![bytes(1, rng.choice(&world.keys).unwrap_or(&[0; 32]))];
    if sometimes(rng, 4) {
        let mut psk = [0; 32];
        rng.fill(&mut psk);
        inside.push(bytes(2, &psk));
    }
    if sometimes(rng, 3) {
        inside.push(bytes(3, &rng.u32(..8).to_ne_bytes()));
    }
    if rng.bool() {
        inside.push(bytes(4, &endpoint(rng)));
    }
    if sometimes(rng, 3) {
        inside.push(bytes(5, &rng.u16(..3).to_ne_bytes()));
    }
    if rng.bool() {
        let count = if sometimes(rng, 20) {
            200
        } else {
            rng.usize(..6)
        };
        inside.push(nest(9, (0..count).map(|_| allowed_ip(rng)).collect()));
    }
    if sometimes(rng, 8) {
        inside.push(bytes(10, &1u32.to_ne_bytes()));
    }
    nest(0, inside)
}

/// A request as the interface has it.
pub fn request(rng: &mut Rng, world: &World, set: bool) -> Vec<Attribute> {
    let mut name = world.device.clone().into_bytes();
    name.push(0);
    let mut tree = vec![bytes(2, &name)];
    if !set {
        return tree;
    }
    let number = |rng: &mut Rng| {
        rng.choice(&world.numbers)
            .copied()
            .unwrap_or(0)
            .to_ne_bytes()
    };
    if sometimes(rng, 8) {
        tree.push(bytes(3, rng.choice(&world.keys).unwrap_or(&[0; 32])));
    }
    if sometimes(rng, 30) {
        tree.push(bytes(5, &rng.u32(..2).to_ne_bytes()));
    }
    // What makes the device wait for the machine would have it do nothing else.
    if sometimes(rng, 12) {
        let port = if sometimes(rng, 4) {
            // What takes a right.
            [53, 80, 1023][rng.usize(..3)]
        } else {
            20_000 + rng.u16(..64)
        };
        tree.push(bytes(6, &port.to_ne_bytes()));
    }
    if sometimes(rng, 3) {
        tree.push(bytes(7, &rng.u32(..4).to_ne_bytes()));
    }
    if rng.bool() {
        let count = if sometimes(rng, 30) {
            60
        } else {
            rng.usize(..4)
        };
        tree.push(nest(8, (0..count).map(|_| peer(rng, world)).collect()));
    }
    let rare = if sometimes(rng, 4) { 2 } else { 40 };
    for kind in [64, 65, 66, 67] {
        if sometimes(rng, rare) {
            tree.push(bytes(kind, &number(rng)));
        }
    }
    tree
}

/// Changes something somewhere in a tree.
pub fn mutate(rng: &mut Rng, tree: &mut Vec<Attribute>) {
    if tree.is_empty() {
        tree.push(bytes(rng.u16(..), &edge(rng).to_ne_bytes()));
        return;
    }
    let at = rng.usize(..tree.len());
    if let Value::Nest(inside) = &mut tree[at].value {
        if !sometimes(rng, 4) {
            return mutate(rng, inside);
        }
    }
    let one = &mut tree[at];
    match rng.u32(..12) {
        0 => {
            tree.remove(at);
        }
        1 => {
            let again = tree[at].clone();
            for _ in 0..rng.usize(1..5) {
                tree.push(again.clone());
            }
        }
        2 => {
            let other = rng.usize(..tree.len());
            tree.swap(at, other);
        }
        3 => one.kind = (one.kind & NESTED) | rng.u16(..80),
        4 => one.kind = rng.u16(..),
        5 => one.kind ^= [NESTED, 0x4000, 0xc000][rng.usize(..3)],
        6 => one.value = Value::Bytes(edge(rng).to_ne_bytes()[..rng.usize(..=8)].to_vec()),
        7 => {
            let mut noise = vec![0; rng.usize(..300)];
            rng.fill(&mut noise);
            one.value = Value::Bytes(noise);
        }
        8 => {
            let inside = one.clone();
            one.value = Value::Nest(vec![inside]);
        }
        9 => {
            // Deeper than anything has a use for.
            let mut inside = one.clone();
            for _ in 0..rng.usize(..200) {
                inside = nest(8, vec![inside]);
            }
            *one = inside;
        }
        10 => one.value = Value::Nest(Vec::new()),
        _ => match &mut one.value {
            Value::Bytes(value) if value.is_empty() => value.push(rng.u8(..)),
            Value::Bytes(value) => {
                let place = rng.usize(..value.len());
                value[place] ^= 1 << rng.u32(..8);
                if rng.bool() {
                    value.truncate(place);
                }
            }
            Value::Nest(inside) => inside.reverse(),
        },
    }
}

/// What a tree looks like in a message. Lengths that do not fit are cut off, as anybody's would be.
pub fn encode(tree: &[Attribute]) -> Vec<u8> {
    let mut out = Vec::new();
    for one in tree {
        let content = match &one.value {
            Value::Bytes(value) => value.clone(),
            Value::Nest(inside) => encode(inside),
        };
        out.extend((content.len().wrapping_add(4) as u16).to_ne_bytes());
        out.extend(one.kind.to_ne_bytes());
        out.extend(content);
        out.resize(out.len().next_multiple_of(4), 0);
    }
    out
}
