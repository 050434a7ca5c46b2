// SPDX-License-Identifier: GPL-2.0

//! Where `unsafe` may be in the kernel module, and what has to be said of it.

use std::path::Path;
use unsafe_report::{read, search, File, Kind, Totals, Unsafe};

fn module() -> Vec<File> {
    let files = search(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../src"))).unwrap();
    // A wrong folder would pass all tests.
    assert!(files.iter().any(|f| f.path.ends_with("kernel/skb.rs")));
    files
}

#[test]
fn unsafe_stays_in_its_folder() {
    let outside: Vec<_> = module()
        .into_iter()
        .filter(|f| !f.path.starts_with("kernel") && !f.found.is_empty())
        .map(|f| format!("src/{}:{}", f.path.display(), f.found[0].line))
        .collect();
    assert!(
        outside.is_empty(),
        "unsafe outside of src/kernel/: {outside:?}"
    );
}

#[test]
fn every_block_and_promise_is_argued_for() {
    // Functions are left out: callbacks of C and methods of traits have their rules elsewhere.
    let due = |u: &&Unsafe| matches!(u.kind, Kind::Block | Kind::Impl);
    let mut silent = Vec::new();
    for file in module() {
        for found in file.found.iter().filter(due).filter(|u| !u.argued) {
            silent.push(format!(
                "src/{}:{} ({})",
                file.path.display(),
                found.line,
                found.kind
            ));
        }
    }
    assert!(silent.is_empty(), "no SAFETY comment: {silent:#?}");
}

#[test]
fn tools_have_none() {
    for folder in ["wg", "wg-rootless", "storm", "unsafe-report"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("..")
            .join(folder)
            .join("src");
        for file in search(&path).unwrap() {
            assert!(file.found.is_empty(), "{folder}: {:?}", file.path);
        }
    }
}

#[test]
fn what_is_found() {
    let text = r##"
//! unsafe { in(a, comment) }

/// Takes care.
///
/// # Safety
///
/// None.
unsafe fn careful() {
    let _ = "unsafe { in_a(string) }";
}

macro_rules! hidden {
    () => {
        // SAFETY: Nothing is done.
        unsafe {
            careful()
        }
    };
}

unsafe impl Send for Silent {}
"##;
    let file = read(Path::new("x.rs"), text).unwrap();
    let seen: Vec<_> = file
        .found
        .iter()
        .map(|u| (u.line, u.kind, u.lines, u.argued))
        .collect();
    assert_eq!(
        seen,
        [
            (9, Kind::Function, 0, true),
            (16, Kind::Block, 3, true),
            (22, Kind::Impl, 0, false),
        ]
    );
    // The function's three lines, the macro's eight but for the comment, and the last.
    assert_eq!((file.code, file.code_in_blocks), (11, 3));
    let totals = Totals::of([&file, &file]);
    assert_eq!(
        totals,
        Totals {
            code: 22,
            code_in_blocks: 6,
            blocks: 2,
            functions: 2,
            others: 2,
        }
    );
    assert_eq!(format!("{:.1}", totals.per_hundred()), "27.3");
    assert_eq!(Totals::of([]).per_hundred(), 0.0);
}
