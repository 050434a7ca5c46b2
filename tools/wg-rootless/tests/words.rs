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

/// A line of the manual as it is read.
fn plain(line: &str) -> String {
    line.replace("\\(aq", "'")
        .replace("\\-", "-")
        .replace("\\e", "\\")
}

#[test]
fn the_manual_shows_the_examples() {
    let manual: Vec<String> = MANUAL.lines().map(plain).collect();
    let manual = manual.join("\n");
    for example in [
        include_str!("../examples/page.service"),
        include_str!("../examples/web.socket"),
        include_str!("../examples/web.service"),
        include_str!("../examples/box.container"),
    ] {
        let indented = example.trim_end().lines().map(|line| match line {
            "" => String::new(),
            line => format!("    {line}"),
        });
        let text = indented.collect::<Vec<_>>().join("\n");
        assert!(manual.contains(&format!(".EX\n{text}\n.EE")), "{example}");
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
