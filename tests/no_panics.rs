// SPDX-License-Identifier: GPL-2.0

//! Shows that nothing in the core can panic: compiled with optimisation, but
//! with overflow checks, it calls nothing but what copies and compares bytes.

use std::path::Path;
use std::process::Command;

/// What the compiler may have called of its own accord.
const BYTES: [&str; 5] = ["memcpy", "memmove", "memset", "memcmp", "bcmp"];

/// The functions that an object has of the kind that `option` of nm names.
fn symbols(object: &Path, option: &str) -> Vec<String> {
    let out = Command::new("nm")
        .args(["--format=just-symbols", option])
        .arg(object)
        .output()
        .expect("nm, of binutils, runs");
    assert!(out.status.success());
    let names = String::from_utf8(out.stdout).unwrap();
    names.lines().map(str::to_owned).collect()
}

/// Compiles a source, and tells what it calls that is not in it.
fn calls(source: &Path, object: &Path) -> Vec<String> {
    let status = Command::new("rustc")
        .args(["--edition=2021", "--crate-type=lib", "--emit=obj"])
        .args(["-Copt-level=2", "-Ccodegen-units=1", "-Cpanic=abort"])
        .arg("-Coverflow-checks=on")
        .arg("-o")
        .args([object, source])
        .status()
        .expect("rustc runs");
    assert!(status.success());
    let mut calls = symbols(object, "--undefined-only");
    calls.retain(|name| !BYTES.contains(&name.as_str()));
    calls
}

#[test]
fn the_core_cannot_panic() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/no_panics");
    let out = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let object = out.join("probe.o");
    let called = calls(&tests.join("probe.rs"), &object);
    assert!(called.is_empty(), "{called:?}");
    let there = symbols(&object, "--defined-only");
    assert!(there.contains(&"probe_expired".to_owned()));

    // That each way to panic would have been seen.
    for (name, code) in [
        ("add", "(a: u8, b: u8) -> u8 { a + b }"),
        ("index", "(a: &[u8], n: usize) -> u8 { a[n] }"),
        ("slice", "(a: &[u8], n: usize) -> &[u8] { &a[..n] }"),
        ("unwrap", "(a: Option<u8>) -> u8 { a.unwrap() }"),
        ("expect", "(a: Result<u8, ()>) -> u8 { a.expect(\"\") }"),
        ("copy", "(a: &mut [u8], b: &[u8]) { a.copy_from_slice(b) }"),
    ] {
        let culprit = out.join(name).with_extension("rs");
        let code = format!("#![no_std]\n#[no_mangle] pub fn culprit{code}\n");
        std::fs::write(&culprit, code).unwrap();
        let called = calls(&culprit, &culprit.with_extension("o"));
        assert!(!called.is_empty(), "{name}");
    }
}
