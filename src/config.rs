// SPDX-License-Identifier: GPL-2.0

//! What is configured of a device, and the right to change it.

use crate::{
    device::{Dev, Device},
    judgement,
    kernel::{
        arena::Spare,
        crypto::KernelCrypto,
        lock::{new_rw, ReadGuard, RwSem, SleepRw, WriteGuard},
        napi::NapiEnabled,
        netdev::LinkStats,
        udp::Sockets,
    },
    peer::Peer,
    protocol::noise::StaticIdentity,
    transit,
};
use core::ops::{Deref, DerefMut};
use kernel::{
    new_mutex,
    prelude::*,
    sync::{Arc, Mutex, MutexGuard},
};

/// What is configured, behind the device's configuration lock.
pub(crate) struct Config {
    /// Oldest first, which is by number.
    pub(crate) peers: KVVec<NapiEnabled<Peer>>,
    /// Changes with every change of configuration.
    pub(crate) generation: u32,
    pub(crate) spare: Spare,
    /// What decides about the sockets.
    pub(crate) state: judgement::State,
    /// The sockets that are open.
    pub(crate) sockets: Option<Arc<Sockets<Device>>>,
    /// Of the sockets that are open, or will be when the interface goes up.
    pub(crate) transit_generation: u64,
    /// What the interface had carried when they were made.
    pub(crate) carried_before: LinkStats,
}

/// A device's configuration lock.
#[pin_data]
pub(crate) struct ConfigLock {
    #[pin]
    config: Mutex<Config>,
}

impl ConfigLock {
    /// That of a new device.
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            config <- new_mutex!(Config {
                peers: KVVec::new(),
                generation: 1,
                spare: Spare::new(),
                state: judgement::State::NEW,
                sockets: None,
                transit_generation: transit::new_generation(),
                carried_before: LinkStats::default(),
            }, "wg_config"),
        })
    }
}

/// Holds a device's configuration lock. What changes under that lock alone asks for this, and finds the
/// device by it: the lock of another one is not taken for this one's.
pub(crate) struct ConfigGuard<'a> {
    dev: &'a Dev,
    config: MutexGuard<'a, Config>,
}

impl<'a> ConfigGuard<'a> {
    /// Waits for the configuration lock of a device.
    pub(crate) fn lock(dev: &'a Dev) -> Self {
        Self {
            dev,
            config: dev.config.config.lock(),
        }
    }

    /// The device.
    pub(crate) fn dev(&self) -> &'a Dev {
        self.dev
    }

    /// Keeps others from reading the device's own key pair, to change it.
    pub(crate) fn write_identity(&mut self) -> WriteGuard<'a, Identity, SleepRw> {
        self.dev.identity.identity.write()
    }
}

impl Deref for ConfigGuard<'_> {
    type Target = Config;

    fn deref(&self) -> &Config {
        &self.config
    }
}

impl DerefMut for ConfigGuard<'_> {
    fn deref_mut(&mut self) -> &mut Config {
        &mut self.config
    }
}

/// A device's own key pair; none without a key.
pub(crate) type Identity = Option<StaticIdentity<KernelCrypto>>;

/// Where a device has its own key pair. It changes under the configuration lock only.
#[pin_data]
pub(crate) struct IdentityLock {
    #[pin]
    identity: RwSem<Identity>,
}

impl IdentityLock {
    /// No key.
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self { identity <- new_rw!(None, "wg_identity") })
    }

    /// The key pair, which stays meanwhile.
    pub(crate) fn read(&self) -> ReadGuard<'_, Identity, SleepRw> {
        self.identity.read()
    }
}
