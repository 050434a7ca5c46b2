// SPDX-License-Identifier: GPL-2.0

//! Where a peer is: its address and port, and by which of our own addresses it was last heard.

use crate::{
    ip::{IpHeader, UdpHeader},
    judgement::Version,
    kernel::{
        lock::{new_rw, RwLockBh},
        route::RouteCache,
        skb::View,
    },
};
use core::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6},
    sync::atomic::{AtomicU64, Ordering},
};
use kernel::prelude::*;

/// Words that an endpoint is stored as.
const WORDS: usize = 6;
/// The words of the source.
const SOURCE: core::ops::Range<usize> = 3..WORDS;

/// An endpoint, or none yet. Two are equal if address, port and source are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Endpoint {
    /// Family (0, 4 or 6), port and scope; address; source address; source interface.
    words: [u64; WORDS],
}

/// The version of IP that the first word of an endpoint names.
fn version_of(first: u64) -> Version {
    if first & 0xff == 6 {
        Version::V6
    } else {
        Version::V4
    }
}

fn split(address: IpAddr) -> (u64, [u64; 2]) {
    match address {
        IpAddr::V4(v4) => (4, [u32::from(v4).into(), 0]),
        IpAddr::V6(v6) => {
            let bits = u128::from(v6);
            (6, [(bits >> 64) as u64, bits as u64])
        }
    }
}

fn join(high: u64, low: u64) -> Ipv6Addr {
    Ipv6Addr::from((u128::from(high) << 64) | u128::from(low))
}

impl Endpoint {
    /// An endpoint with no source yet.
    pub(crate) fn new(address: SocketAddr) -> Self {
        let (family, [high, low]) = split(address.ip());
        let scope = match address {
            SocketAddr::V4(_) => 0,
            SocketAddr::V6(v6) => v6.scope_id(),
        };
        let first = family | u64::from(address.port()) << 16 | u64::from(scope) << 32;
        Self {
            words: [first, high, low, 0, 0, 0],
        }
    }

    /// Where a packet came from, and what it was sent to. `None`: its outer headers are not there.
    pub(crate) fn of(packet: &View<'_>) -> Option<Self> {
        let ip = IpHeader::parse_as(packet.network(), packet.protocol())?;
        let port = UdpHeader::parse(packet.transport())?.source_port();
        let interface = packet.received_on();
        let address = match ip.source() {
            IpAddr::V4(v4) => SocketAddr::from((v4, port)),
            IpAddr::V6(v6) => {
                let scope = if v6.is_unicast_link_local() || v6.is_multicast() {
                    interface as u32
                } else {
                    0
                };
                SocketAddrV6::new(v6, port, 0, scope).into()
            }
        };
        let mut this = Self::new(address);
        let (family, [high, low]) = split(ip.destination());
        this.words[3] = high;
        this.words[4] = low;
        if family == 4 {
            this.words[5] = (interface as u32).into();
        }
        Some(this)
    }

    /// Address and port.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        let [first, high, low, ..] = self.words;
        let port = (first >> 16) as u16;
        match first & 0xff {
            4 => Some((Ipv4Addr::from(high as u32), port).into()),
            6 => Some(SocketAddrV6::new(join(high, low), port, 0, (first >> 32) as u32).into()),
            _ => None,
        }
    }

    fn version(&self) -> Version {
        version_of(self.words[0])
    }

    /// Our address for an IPv4 endpoint, 0.0.0.0 if open, and the interface it is to leave by.
    pub(crate) fn source4(&self) -> (Ipv4Addr, i32) {
        (Ipv4Addr::from(self.words[3] as u32), self.words[5] as i32)
    }

    /// Our address for an IPv6 endpoint, :: if open.
    pub(crate) fn source6(&self) -> Ipv6Addr {
        join(self.words[3], self.words[4])
    }

    /// Leaves the source open.
    pub(crate) fn forget_source(&mut self) {
        let [.., a, b, c] = &mut self.words;
        (*a, *b, *c) = (0, 0, 0);
    }
}

/// A peer's endpoint, and the routes to it.
///
/// The words are atomics so that they may be compared without the lock for every packet that
/// comes in, although another CPU may be writing them: whatever that comparison then sees, the next
/// packet sets it right. All other uses hold the lock.
#[pin_data]
pub(crate) struct EndpointCell {
    words: [AtomicU64; WORDS],
    /// Which [`Transit`](crate::transit::Transit) source and routes belong to.
    generation: AtomicU64,
    #[pin]
    routes: RwLockBh<RouteCache>,
}

impl EndpointCell {
    /// No endpoint.
    pub(crate) fn new() -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            words: [const { AtomicU64::new(0) }; WORDS],
            generation: AtomicU64::new(0),
            routes <- new_rw!(RouteCache::new()?, "wg_endpoint"),
        }? Error)
    }

    fn load(&self) -> Endpoint {
        Endpoint {
            words: self
                .words
                .each_ref()
                .map(|word| word.load(Ordering::Relaxed)),
        }
    }

    fn store_source(&self, source: [u64; 3]) {
        for (word, value) in self.words.iter().skip(SOURCE.start).zip(source) {
            word.store(value, Ordering::Relaxed);
        }
    }

    /// The endpoint.
    pub(crate) fn get(&self) -> Endpoint {
        let _guard = self.routes.read();
        self.load()
    }

    /// Whether there is one. For a decision that may be outdated at once.
    #[inline]
    pub(crate) fn is_set(&self) -> bool {
        self.words[0].load(Ordering::Relaxed) & 0xff != 0
    }

    /// Address and port, for messages.
    #[inline(never)]
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        self.load().address()
    }

    /// Sets the endpoint, and forgets the routes if it is another one.
    pub(crate) fn set(&self, new: Endpoint) {
        let _ = self.note(new, self.generation.load(Ordering::Relaxed));
    }

    /// Sets the endpoint to what a packet tells that came in while the sockets of `generation` were
    /// in use. Its source is good for these; if it came by the ones before it is found out when it
    /// is used. Returns what the endpoint was if it has another address or port now.
    #[inline]
    pub(crate) fn note(&self, new: Endpoint, generation: u64) -> Option<Endpoint> {
        if self.load() != new || self.generation.load(Ordering::Relaxed) < generation {
            self.replace(new, generation)
        } else {
            None
        }
    }

    #[cold]
    fn replace(&self, new: Endpoint, generation: u64) -> Option<Endpoint> {
        let mut routes = self.routes.write();
        let old = self.load();
        for (word, value) in self.words.iter().zip(new.words) {
            word.store(value, Ordering::Relaxed);
        }
        routes.turn_to(new.version());
        if self.generation.load(Ordering::Relaxed) < generation {
            self.generation.store(generation, Ordering::Relaxed);
            routes.reset_now();
        } else {
            routes.reset();
        }
        Some(old).filter(|old| old.address() != new.address())
    }

    /// The version of IP by which it is reached. For a decision that may be outdated at once.
    #[inline]
    pub(crate) fn version(&self) -> Version {
        version_of(self.words[0].load(Ordering::Relaxed))
    }

    /// Forgets the routes.
    #[inline(never)]
    pub(crate) fn forget_routes(&self) {
        self.routes.write().reset_now();
    }

    /// Forgets source and routes.
    #[inline(never)]
    pub(crate) fn forget_source(&self) {
        let mut routes = self.routes.write();
        self.store_source([0; 3]);
        routes.reset_now();
    }

    /// The same for a caller who is reading, because the source turned out to be wrong.
    fn forget_wrong_source(&self, routes: &RouteCache) {
        self.store_source([0; 3]);
        routes.reset();
    }

    /// Calls `act` with the endpoint, as it is to be used with sockets of `generation`.
    ///
    /// Whoever first sends by new sockets drops what belonged to the old ones. Who is still at the
    /// old ones gets neither source nor cache, and so leaves nothing behind for the new.
    #[inline]
    pub(crate) fn with<R>(
        &self,
        generation: u64,
        act: impl FnOnce(Endpoint, EndpointCache<'_>) -> R,
    ) -> R {
        if self.generation.load(Ordering::Relaxed) < generation {
            let mut routes = self.routes.write();
            if self.generation.load(Ordering::Relaxed) < generation {
                self.store_source([0; 3]);
                routes.reset_now();
                self.generation.store(generation, Ordering::Relaxed);
            }
        }
        let routes = self.routes.read();
        let mut endpoint = self.load();
        if self.generation.load(Ordering::Relaxed) == generation {
            act(endpoint, EndpointCache(Some((self, &routes))))
        } else {
            endpoint.forget_source();
            act(endpoint, EndpointCache(None))
        }
    }
}

/// What is remembered of former packets to the endpoint, if anything is.
#[derive(Clone, Copy)]
pub(crate) struct EndpointCache<'a>(Option<(&'a EndpointCell, &'a RouteCache)>);

impl<'a> EndpointCache<'a> {
    /// Nothing.
    pub(crate) const NONE: Self = Self(None);

    /// The routes.
    #[inline]
    pub(crate) fn routes(self) -> Option<&'a RouteCache> {
        self.0.map(|(_, routes)| routes)
    }

    /// The source is not good any more.
    pub(crate) fn forget_source(self) {
        if let Some((cell, routes)) = self.0 {
            cell.forget_wrong_source(routes);
        }
    }
}
