// SPDX-License-Identifier: GPL-2.0
//! nsswitch.conf: by which services hosts are looked up.
//!
//! Lines are bytes: a comment may be in any encoding.

/// Services that look at files, or send to name servers from where they are used.
const INSIDE: [&[u8]; 3] = [b"files", b"myhostname", b"dns"];

/// The text without those ways to find a host that lead to a daemon outside,
/// such as systemd-resolved: it would answer from there. None if there is no
/// such way in it.
pub fn without_services_outside(text: &[u8]) -> Option<Vec<u8>> {
    let mut changed = false;
    let mut kept_lines = Vec::with_capacity(text.len());
    for line in text.split_inclusive(|&byte| byte == b'\n') {
        let Some(services) = services_of(line) else {
            kept_lines.extend_from_slice(line);
            continue;
        };
        let mut kept: Vec<&[u8]> = Vec::new();
        let mut stays = true;
        // What is in brackets belongs to the service before it.
        for word in split(services) {
            let bracket = word.starts_with(b"[");
            if !bracket {
                stays = INSIDE.contains(&word);
            }
            // Without an end it would swallow what follows.
            if stays && bracket == word.ends_with(b"]") {
                kept.push(word);
            } else {
                changed = true;
            }
        }
        if !kept.contains(&&b"dns"[..]) {
            changed = true;
            kept.push(b"dns");
        }
        kept_lines.extend_from_slice(b"hosts: ");
        kept_lines.extend_from_slice(&kept.join(&b' '));
        kept_lines.push(b'\n');
    }
    changed.then_some(kept_lines)
}

/// Whether hosts are looked up by this service.
pub fn uses(text: &[u8], service: &[u8]) -> bool {
    text.split(|&byte| byte == b'\n')
        .filter_map(services_of)
        .any(|services| split(services).contains(&service))
}

/// What stands behind `hosts:`, if this is that line.
fn services_of(line: &[u8]) -> Option<&[u8]> {
    let end = line.iter().position(|&byte| byte == b'#');
    let code = &line[..end.unwrap_or(line.len())];
    code.trim_ascii().strip_prefix(b"hosts:")
}

/// Words, and brackets with all that is in them.
fn split(mut text: &[u8]) -> Vec<&[u8]> {
    let mut words = Vec::new();
    loop {
        text = text.trim_ascii_start();
        let end = match text.first() {
            None => return words,
            Some(b'[') => text.iter().position(|&b| b == b']').map(|end| end + 1),
            Some(_) => text
                .iter()
                .position(|&b| b == b'[' || b.is_ascii_whitespace()),
        };
        let (word, rest) = text.split_at(end.unwrap_or(text.len()));
        words.push(word);
        text = rest;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn daemons_outside_are_not_asked() {
        let hosts = |services: &str| {
            without_services_outside(format!("passwd: files sss\nhosts:{services}\n").as_bytes())
        };
        for (before, after) in [
            (
                " mymachines resolve [!UNAVAIL=return] files myhostname dns",
                "files myhostname dns",
            ),
            (
                "\tfiles mdns4_minimal [NOTFOUND=return] dns # comment",
                "files dns",
            ),
            (
                " files[NOTFOUND = continue]resolve",
                "files [NOTFOUND = continue] dns",
            ),
            (" files [x dns", "files dns"),
            (" files", "files dns"),
            ("", "dns"),
        ] {
            assert_eq!(
                String::from_utf8(hosts(before).unwrap()).unwrap(),
                format!("passwd: files sss\nhosts: {after}\n")
            );
        }
        assert_eq!(hosts(" files dns"), None);
        assert_eq!(hosts("  files myhostname [SUCCESS=return] dns"), None);
        assert_eq!(without_services_outside(b"passwd: files\n"), None);
    }

    #[test]
    fn text_in_any_encoding() {
        assert_eq!(
            without_services_outside(b"# gr\xf6\xdfe\nhosts: files resolve dns\n# \xff").unwrap(),
            b"# gr\xf6\xdfe\nhosts: files dns\n# \xff"
        );
    }

    #[test]
    fn services() {
        let text = b"passwd: mdns\n hosts: files resolve [!UNAVAIL=return] dns # sss\n";
        assert!(uses(text, b"resolve") && uses(text, b"dns"));
        assert!(!uses(text, b"mdns") && !uses(text, b"sss") && !uses(text, b"[!UNAVAIL=return]x"));
    }
}
