// SPDX-License-Identifier: GPL-2.0
//! Every option and word that the help names is in the manual and in the
//! completions of all shells.
#![allow(missing_docs)]

use wg_rootless::args::HELP;

const MANUAL: &str = include_str!("../wg-rootless.1");
const BASH: &str = include_str!("../completions/wg-rootless.bash");
const ZSH: &str = include_str!("../completions/_wg-rootless");
const FISH: &str = include_str!("../completions/wg-rootless.fish");

fn options() -> Vec<&'static str> {
    let words = HELP.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'));
    let mut options: Vec<_> = words
        .filter(|word| word.starts_with("--") && word.len() > 2)
        .chain(["--json", "--endpoints"])
        .collect();
    options.sort_unstable();
    options.dedup();
    options
}

#[test]
fn options_are_everywhere() {
    assert!(options().len() > 12);
    for option in options() {
        let name = &option[2..];
        let manual = MANUAL.replace('\\', "");
        assert!(manual.contains(option), "{option} is not in the manual");
        assert!(BASH.contains(option), "{option} is not in bash's");
        assert!(ZSH.contains(option), "{option} is not in zsh's");
        let fish = format!("-l {name} ");
        assert!(FISH.contains(&fish), "{option} is not in fish's");
    }
}

#[test]
fn verbs_are_everywhere() {
    for verb in ["exec", "list", "status", "sync", "down"] {
        for (what, text) in [
            ("help", HELP),
            ("manual", MANUAL),
            ("bash's", BASH),
            ("zsh's", ZSH),
            ("fish's", FISH),
        ] {
            let mut words = text.split(|c: char| !c.is_ascii_alphanumeric());
            assert!(words.any(|word| word == verb), "{verb} is not in {what}");
        }
    }
}
