// SPDX-License-Identifier: GPL-2.0

//! Carrying out a request about sockets: facts, judgement, what can fail, and then the change.

use super::{
    bind, new_generation, note_sockets,
    request::{explain, SenderFacts, SocketRequest},
    Transit, TransitSlot,
};
use crate::{
    config::{Config, ConfigGuard},
    device::{Dev, Device},
    handshake,
    judgement::{self, Owner, Plan, SocketPlan},
    kernel::{
        caps::Caller,
        genl::Extack,
        net::Net,
        rtnl::Rtnl,
        udp::{self, Sockets},
    },
    protocol::timers::{Host, Timer},
    send,
    timers::PeerTimers,
};
use kernel::{prelude::*, sync::Arc};

/// Carries out what a request says about sockets, all of it or nothing.
pub(crate) fn apply<'a>(
    config: &mut ConfigGuard<'_>,
    rtnl: &Rtnl,
    request: SocketRequest<'a>,
    caller: Caller<'_>,
    extack: Extack<'a>,
) -> Result {
    let dev = config.dev();
    let before = dev.transit_net(rtnl);
    let net = request.net.as_ref().or(before.as_ref());
    let requested = request.requested(before.as_ref(), net);
    let plan = judgement::judge(
        config.state,
        before.is_some(),
        dev.netdev().is_running(),
        &requested,
        &mut SenderFacts { caller, net },
    )
    .map_err(|refusal| request.refuse(refusal, extack))?;
    let Some(net) = net else {
        return Ok(());
    };
    let new = new_sockets(dev, net, &request, &plan, extack)?;
    let new = New::prepare(config, &plan, new)?;
    // From here on nothing fails.
    if plan.warns_of_mark {
        extack.say(
            c"fwmark is kept but not applied: that needs CAP_NET_ADMIN over the transit netns",
        );
    }
    if plan.moves {
        dev.set_transit_net(rtnl, net);
        if before.is_none() {
            dev.netdev().set_carrier(rtnl, true);
        }
    }
    new.commit(config, rtnl, &plan);
    Ok(())
}

/// The sockets that a plan asks for, if it does, after what the judgement cannot know.
fn new_sockets<'a>(
    dev: &Dev,
    net: &Net,
    request: &SocketRequest<'a>,
    plan: &Plan,
    extack: Extack<'a>,
) -> Result<Option<Arc<Sockets<Device>>>> {
    let SocketPlan::New(how) = plan.sockets else {
        // Nobody buys any; what is shown all the same is asked about.
        request.probe(net, Owner::Root, extack)?;
        return Ok(None);
    };
    request.probe(net, how.owner, extack)?;
    if how.owner == Owner::Caller && how.port != 0 && !udp::may_name(net, how.port) {
        extack.say(c"a task under no_new_privs may have a port of the local range only");
        return Err(EACCES);
    }
    let made = bind(dev, net, how);
    made.map(Some)
        .map_err(|denied| explain(denied, how.owner, extack))
}

/// What a plan leads to, made before anything changes.
struct New {
    /// Sockets in place of those that are open.
    sockets: Option<Arc<Sockets<Device>>>,
    /// What packets of an interface that is up leave by from then on.
    transit: Option<KBox<Transit>>,
    generation: u64,
}

impl New {
    fn prepare(
        config: &ConfigGuard<'_>,
        plan: &Plan,
        sockets: Option<Arc<Sockets<Device>>>,
    ) -> Result<Self> {
        let mark = plan.state.applied_mark();
        let replaces = plan.sockets != SocketPlan::Keep || mark != config.state.applied_mark();
        let generation = if replaces {
            new_generation()
        } else {
            config.transit_generation
        };
        let transit = match sockets.as_ref().or(config.sockets.as_ref()) {
            Some(sockets) if config.dev().netdev().is_running() && replaces => {
                Some(Transit::new(sockets.clone(), mark, generation)?)
            }
            _ => None,
        };
        Ok(Self {
            sockets,
            transit,
            generation,
        })
    }

    fn commit(self, config: &mut ConfigGuard<'_>, rtnl: &Rtnl, plan: &Plan) {
        config.state = plan.state;
        config.transit_generation = self.generation;
        if let Some(transit) = self.transit {
            // Packets leave by the new sockets from here on; the old ones are closed when nobody is
            // sending by them, and deliver what they receive up to then.
            drop(TransitSlot::swap(config, Some(transit)).wait());
        }
        match (&self.sockets, plan.sockets) {
            (Some(sockets), _) => note_sockets(config, rtnl, sockets),
            (None, SocketPlan::WhenUp) => config.sockets = None,
            (None, _) => (),
        }
        if plan.forgets_routes {
            // An IPv6 route must not outlive its namespace. Nobody is sending by the old sockets, so
            // none of these comes back.
            for peer in &config.peers {
                peer.endpoint.forget_source();
            }
        }
        if self.sockets.is_some() && config.dev().netdev().is_running() {
            announce(config);
        }
    }
}

/// Tells the peers where the device is now. Their packets go to the old sockets until they hear from
/// the new ones, and it may be long before there is something else to say: what they were sending
/// while the sockets changed is lost. A handshake that waits for an answer waits in vain: it is sent
/// again.
fn announce(config: &Config) {
    for peer in &config.peers {
        if PeerTimers(peer.borrow()).is_armed(Timer::RetransmitHandshake) {
            peer.allow_handshake();
            handshake::queue_initiation(peer, false);
        } else if peer.has_session() {
            send::keepalive(peer);
        }
    }
}
