// SPDX-License-Identifier: GPL-2.0
//! Why the module that can move sockets is not there, as its package has kept it.

use std::path::Path;

/// Where the package that builds the module for each kernel keeps the reasons for which it could not.
const REASONS: &str = "/var/lib/wireguard-rs";

/// What is known about the running kernel: the reason, and what to do. None, if the package is not
/// installed, or has built the module.
pub fn why_not_ours() -> Option<Vec<String>> {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").ok()?;
    kept(Path::new(REASONS), release.trim())
}

fn kept(reasons: &Path, release: &str) -> Option<Vec<String>> {
    let text = std::fs::read_to_string(reasons.join(release)).ok()?;
    let mut lines = text
        .lines()
        .take(4)
        .map(|line| line.chars().filter(|c| !c.is_control()).take(400).collect());
    let first: String = lines.next()?;
    Some(
        std::iter::once(format!("It was not built: {first}."))
            .chain(lines)
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::kept;

    #[test]
    fn a_kept_reason_is_told_and_none_is_made_up() {
        let dir = std::env::temp_dir().join(format!("wg-packaged-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(dir.join("7.3"), "no \x1b[2JRust\nInstall it\n").unwrap();
        std::fs::write(dir.join("7.4"), "").unwrap();
        let of = |release| kept(&dir, release);
        assert_eq!(
            of("7.3").unwrap(),
            ["It was not built: no [2JRust.", "Install it"]
        );
        assert_eq!(of("7.4"), None);
        assert_eq!(of("7.5"), None);
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
