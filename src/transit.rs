// SPDX-License-Identifier: GPL-2.0

//! The sockets of a device, the namespace that they live in, and the move to another one.
//!
//! Whoever has rights over a device need not have any where its packets leave. What a request may do
//! is judged in `judgement`, on facts that are gathered here, before anything changes; then the plan
//! is carried out. See `docs/transit.md`.

mod apply;
mod request;

pub(crate) use {apply::apply, request::SocketRequest};

use crate::{
    config::{Config, ConfigGuard},
    device::{Dev, Device},
    judgement::{self, Bind, Owner, PortOrigin, Version},
    kernel::{
        caps, debug,
        errno::{EADDRINUSE, ENONET},
        net::Net,
        once::impl_has_static,
        rcu::{GracePeriod, RcuArc, RcuBox, ReadSection, Retired},
        rtnl::Rtnl,
        sysctl::{NetSysctl, SysctlPath},
        udp::{Denied, Sockets},
        waiter::Waiter,
    },
    peer::Peer,
};
use core::sync::atomic::{AtomicU64, Ordering};
use kernel::{prelude::*, str::CStr, sync::Arc};
use request::errno_of;

/// What packets leave by. Readers see all of it or all of another one.
pub(crate) struct Transit {
    pub(crate) sockets: Arc<Sockets<Device>>,
    /// The mark that packets carry.
    pub(crate) mark: u32,
    /// Higher than that of every other one before, unless it is for the same sockets or for those that
    /// the interface had before it went down: routes and sources that belong to another do not apply.
    pub(crate) generation: u64,
}

impl Transit {
    fn new(sockets: Arc<Sockets<Device>>, mark: u32, generation: u64) -> Result<KBox<Self>> {
        let transit = Self {
            sockets,
            mark,
            generation,
        };
        Ok(KBox::new(transit, GFP_KERNEL)?)
    }
}

/// The [`Transit`] of a device, which changes under the device's configuration lock only.
pub(crate) struct TransitSlot(RcuBox<Transit>);

impl TransitSlot {
    /// None as yet.
    pub(crate) const fn empty() -> Self {
        Self(RcuBox::empty())
    }

    /// What packets leave by now; none while the interface is down.
    #[inline]
    pub(crate) fn load<'g>(&'g self, section: &'g impl ReadSection) -> Option<&'g Transit> {
        self.0.load(section)
    }

    /// Has the device of `config` go by another one.
    fn swap(config: &mut ConfigGuard<'_>, new: Option<KBox<Transit>>) -> Retired<Transit> {
        config.dev().transit.0.swap(new)
    }
}

/// The next generation of sockets.
pub(crate) fn new_generation() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// Whether credentials count in a namespace, for its owner to say:
/// `net.wireguard.transit_credentials`.
pub(crate) struct CredentialsSysctl;

impl_has_static! {
    CredentialsSysctl: NetSysctl<CredentialsSysctl>;
}

impl SysctlPath for CredentialsSysctl {
    const FOLDER: &'static CStr = c"net/wireguard";
    const NAME: &'static CStr = c"transit_credentials";
}

/// Makes sockets; a port that nobody asked for may be exchanged for another one.
fn bind(dev: &Dev, net: &Net, how: Bind) -> Result<Arc<Sockets<Device>>, Denied> {
    let sockets = match Sockets::bind(dev, net, how.owner, how.port) {
        Err(Denied(_, EADDRINUSE)) if how.may_repick && how.port != 0 => {
            Sockets::bind(dev, net, how.owner, 0)?
        }
        result => result?,
    };
    Arc::new(sockets, GFP_KERNEL).map_err(|_| Denied(Version::V4, ENOMEM))
}

/// Notes that the sockets of a device are other ones.
fn note_sockets(config: &mut ConfigGuard<'_>, rtnl: &Rtnl, sockets: &Arc<Sockets<Device>>) {
    config.state.port = sockets.v4().port();
    if config.state.port_origin != PortOrigin::Asked {
        config.state.port_origin = PortOrigin::PickedHere;
    }
    config.carried_before = config.dev().netdev().totals(rtnl).unwrap_or_default();
    // Closed here, if nobody is sending by them any more.
    config.sockets = Some(sockets.clone());
}

/// Has an interface that goes up send by its sockets, which are made unless they are open.
pub(crate) fn open(config: &mut ConfigGuard<'_>, rtnl: &Rtnl) -> Result {
    let dev = config.dev();
    let net = dev.transit_net(rtnl).ok_or(ENONET)?;
    let (sockets, new) = match &config.sockets {
        Some(sockets) => (sockets.clone(), false),
        None => {
            let privileged = net.is_privileged_port(config.state.port);
            let may = || caps::current_may_bind_privileged(&net);
            let how = judgement::go_up(&config.state, privileged, may)
                .map_err(|refusal| errno_of(refusal.errno()))?;
            let sockets = bind(dev, &net, how).map_err(|Denied(version, error)| {
                debug::no_socket(dev.netdev(), version);
                error
            })?;
            (sockets, true)
        }
    };
    let mark = config.state.applied_mark();
    let transit = Transit::new(sockets.clone(), mark, config.transit_generation)?;
    if new {
        config.state.owner = Owner::Root;
        note_sockets(config, rtnl, &sockets);
    }
    drop(TransitSlot::swap(config, Some(transit)).wait());
    Ok(())
}

/// Has an interface that goes down send no more. Sockets that credentials bought stay open.
pub(crate) fn close(config: &mut ConfigGuard<'_>) -> GracePeriod {
    // Also where there were no sockets: whoever saw the interface up is done with that.
    let (_, waited) = TransitSlot::swap(config, None).synchronize();
    match &config.sockets {
        Some(sockets) if sockets.are_tasks() => sockets.wake_all(),
        _ => config.sockets = None,
    }
    waited
}

/// Closes the sockets for good: their namespace or the device ends.
pub(crate) fn end(config: &mut ConfigGuard<'_>) {
    drop(TransitSlot::swap(config, None).wait());
    config.sockets = None;
}

/// Has a peer that has died wait no more for room in a send buffer.
pub(crate) fn cancel_waiting(config: &Config, peer: &RcuArc<Peer>) {
    if let Some(sockets) = &config.sockets {
        Waiter::cancel(peer, sockets);
    }
}
