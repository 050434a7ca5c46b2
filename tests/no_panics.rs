// SPDX-License-Identifier: GPL-2.0

//! Shows that nothing in the core can panic: compiled with optimisation, but
//! with overflow checks, no call to the panic machinery is left in it.

use std::path::Path;
use std::process::Command;

/// What the names of all functions that panic have in common.
const PANICKING: &[u8] = b"core9panicking";

fn compile(source: &Path, object: &Path) -> Vec<u8> {
    let status = Command::new("rustc")
        .args(["--edition=2021", "--crate-type=lib", "--emit=obj"])
        .args(["-Copt-level=2", "-Ccodegen-units=1", "-Cpanic=abort"])
        .arg("-Coverflow-checks=on")
        .arg("-o")
        .args([object, source])
        .status()
        .expect("rustc runs");
    assert!(status.success());
    std::fs::read(object).unwrap()
}

fn mentions(object: &[u8], name: &[u8]) -> bool {
    object.windows(name.len()).any(|window| window == name)
}

#[test]
fn the_core_cannot_panic() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/no_panics");
    let out = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let core = compile(&tests.join("probe.rs"), &out.join("probe.o"));
    assert!(mentions(&core, b"probe_expired"));
    assert!(!mentions(&core, PANICKING));

    // That the object is searched for the right thing.
    let culprit = out.join("culprit.rs");
    let code = "#![no_std]\n#[no_mangle] pub fn add(a: u8, b: u8) -> u8 { a + b }\n";
    std::fs::write(&culprit, code).unwrap();
    let culprit = compile(&culprit, &out.join("culprit.o"));
    assert!(mentions(&culprit, PANICKING));
}
