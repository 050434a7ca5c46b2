// SPDX-License-Identifier: GPL-2.0

//! How many handshakes each source may send while we are under load.

use crate::{
    kernel::{
        crypto::SipKey,
        hashtable::{impl_hashed, HashNode, HashTable},
        lock::{new_spinlock_bh, SpinLockBh},
        mm,
        rcu::{BhGuard, RcuArc, Shared},
        time,
    },
    protocol::{
        constants::Instant,
        ratelimit::{shared_sources, Source, TokenBucket, OWN_SOURCES},
    },
};
use core::{
    net::IpAddr,
    sync::atomic::{AtomicU32, AtomicU64, Ordering},
};
use kernel::prelude::*;

const BUCKETS: usize = 1024;
/// How often idle sources are forgotten.
const SWEEP_NS: u64 = 1_000_000_000;

#[pin_data]
struct Entry {
    source: Source,
    #[pin]
    tokens: SpinLockBh<TokenBucket>,
    link: HashNode<Entry>,
    _shared: Option<SharedQuota>,
}

impl Shared for Entry {}
impl_hashed! { 0: Entry { self.link } }

/// Room for one of the sources that a device remembers beyond its own, which all devices share.
struct SharedQuota;

static SHARED_TAKEN: AtomicU32 = AtomicU32::new(0);

impl SharedQuota {
    /// Takes some, if there is any left.
    fn take() -> Option<Self> {
        let most = shared_sources(mm::total_ram());
        SHARED_TAKEN
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |taken| {
                (taken < most).then_some(taken.wrapping_add(1))
            })
            .is_ok()
            .then_some(Self)
    }
}

impl Drop for SharedQuota {
    fn drop(&mut self) {
        SHARED_TAKEN.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A token bucket for each source address, of IPv6 for each /64. Each device has one of these, so
/// that no namespace can use up what another one is entitled to.
#[pin_data]
pub(crate) struct RateLimiter {
    #[pin]
    table: HashTable<Entry, 0>,
    key: SipKey,
    entries: AtomicU32,
    swept: AtomicU64,
}

impl RateLimiter {
    /// No sources seen yet.
    pub(crate) fn new() -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            table <- HashTable::new(BUCKETS, new_spinlock_bh!((), "wg_ratelimiter")),
            key: SipKey::random(),
            entries: AtomicU32::new(0),
            swept: AtomicU64::new(0),
        })
    }

    /// Whether a source may have another handshake now. Process context.
    pub(crate) fn allow(&self, address: IpAddr) -> bool {
        let now = Instant(time::boottime_ns());
        self.sweep(now);
        let source = Source::of(address);
        let mut bytes = [0; 9];
        bytes[0] = source.v6.into();
        bytes[1..].copy_from_slice(&source.bits.to_ne_bytes());
        let hash = self.key.hash(&bytes) as usize;
        let find = |bh: &BhGuard| {
            let mut entries = self.table.iter(bh, hash);
            let entry = entries.find(|entry| entry.source == source)?;
            let allowed = entry.tokens.lock().allow(now);
            Some(allowed)
        };
        if let Some(allowed) = find(&BhGuard::new()) {
            return allowed;
        }
        let shared = if self.entries.load(Ordering::Relaxed) < OWN_SOURCES {
            None
        } else if let Some(quota) = SharedQuota::take() {
            Some(quota)
        } else {
            return false;
        };
        let Ok(entry) = RcuArc::pin_init(pin_init!(Entry {
            source,
            tokens <- new_spinlock_bh!(TokenBucket::new(now), "wg_tokens"),
            link: HashNode::new(),
            _shared: shared,
        })) else {
            return false;
        };
        let mut table = self.table.lock();
        // Another CPU may have been faster.
        if let Some(allowed) = find(&BhGuard::new()) {
            return allowed;
        }
        self.entries.fetch_add(1, Ordering::Relaxed);
        table.insert(hash, entry);
        true
    }

    /// Forgets sources that have been silent, every now and then.
    pub(crate) fn sweep(&self, now: Instant) {
        if self.entries.load(Ordering::Relaxed) == 0 {
            return;
        }
        let swept = self.swept.load(Ordering::Relaxed);
        if now.0.wrapping_sub(swept) < SWEEP_NS
            || self
                .swept
                .compare_exchange(swept, now.0, Ordering::Relaxed, Ordering::Relaxed)
                .is_err()
        {
            return;
        }
        for at in 0..BUCKETS {
            let bh = BhGuard::new();
            let mut table = self.table.lock();
            for entry in self.table.iter(&bh, at) {
                if entry.tokens.lock().is_idle(now) {
                    drop(table.remove(at, entry.value()));
                    self.entries.fetch_sub(1, Ordering::Relaxed);
                }
            }
        }
    }
}
