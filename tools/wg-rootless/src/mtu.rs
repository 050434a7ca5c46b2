// SPDX-License-Identifier: GPL-2.0
//! The largest packet of the interface: what the way to the endpoints lets
//! through, less what is put around it, as wg-quick(8) finds it.

use crate::outside::path_mtu;
use crate::quick::{File, IPV6_MIN_MTU};

/// Outer headers and those of WireGuard, over IPv6.
const AROUND: u32 = 80;
/// What a link has where nothing else is known.
const ETHERNET: u32 = 1500;

/// What a file asks for, or what fits. To be asked outside.
pub fn of(file: &File) -> u32 {
    let endpoints = file.change.peers.iter().filter_map(|peer| peer.endpoint);
    let paths = endpoints.filter_map(|endpoint| path_mtu(&endpoint));
    let has_ipv6 = file.addresses.iter().any(|net| net.addr().is_ipv6());
    file.mtu.unwrap_or_else(|| fitting(paths, has_ipv6))
}

/// What fits through the narrowest of several ways. wg-quick takes the widest,
/// which is the same where there is one.
fn fitting(paths: impl Iterator<Item = u32>, has_ipv6: bool) -> u32 {
    let inner = paths.min().unwrap_or(ETHERNET).saturating_sub(AROUND);
    // Where not even that fits, fragments have to.
    inner
        .max(if has_ipv6 { IPV6_MIN_MTU } else { 576 })
        .min(65535)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fits() {
        let fitting = |paths: &[u32], v6| fitting(paths.iter().copied(), v6);
        assert_eq!(fitting(&[], true), 1420);
        assert_eq!(fitting(&[1500], true), 1420);
        assert_eq!(fitting(&[1400], true), 1320);
        assert_eq!(fitting(&[9000, 1492], false), 1412);
        assert_eq!(fitting(&[65536], true), 65456);
        assert_eq!(fitting(&[1300], false), 1220);
        // IPv6 takes no less.
        assert_eq!(fitting(&[1300], true), 1280);
        assert_eq!(fitting(&[10], false), 576);
        assert_eq!(fitting(&[u32::MAX], false), 65535);
    }

    #[test]
    fn the_way_to_oneself_is_known() {
        let endpoint = "127.0.0.1:9".parse().unwrap();
        assert!(path_mtu(&endpoint).unwrap() >= 1280);
    }
}
