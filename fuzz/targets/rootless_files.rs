// SPDX-License-Identifier: GPL-2.0
//! Any bytes as the files that wg-rootless reads: a tunnel's, nsswitch.conf and
//! resolv.conf. No panic, no control characters in a message, and nobody outside
//! is asked for names by what comes out.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wg_rootless::dns::Dns;
use wg_rootless::{nsswitch, quick, tunnel};

fuzz_target!(|data: &[u8]| {
    match quick::parse(data) {
        Ok(parsed) => {
            let _ = tunnel::routes(&parsed.file);
            let text = parsed.file.dns.resolv_conf();
            // No line of it is another one.
            assert_eq!(Dns::of_resolv_conf(text.as_bytes()), parsed.file.dns);
        }
        Err(mistake) => {
            assert!(mistake.line > 0);
            assert!(mistake.reason.len() < 1000);
            assert!(!mistake.reason.chars().any(char::is_control));
        }
    }
    let kept = nsswitch::without_services_outside(data);
    let kept = kept.as_deref().unwrap_or(data);
    assert!(!nsswitch::uses(kept, b"resolve"));
    assert!(nsswitch::without_services_outside(kept).is_none());
    let dns = Dns::of_resolv_conf(data);
    assert!(dns
        .servers
        .iter()
        .all(|server| !server.contains(char::is_whitespace)));
});
