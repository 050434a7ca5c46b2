// SPDX-License-Identifier: GPL-2.0

//! Which peer has which addresses: the protocol's trie with peers in it.

use crate::{
    config::ConfigGuard,
    kernel::{
        arena::{Nodes, Writer},
        rcu::{BhGuard, RcuArc, RcuPtr, ReadSection},
    },
    peer::Peer,
    protocol::allowed_ips::{self, OwnerList, Prefix, Table},
};
use core::net::IpAddr;
use kernel::prelude::*;

/// Where an entry keeps its peer.
pub(crate) struct PeerSlot(RcuPtr<Peer>);

impl Default for PeerSlot {
    fn default() -> Self {
        Self(RcuPtr::empty())
    }
}

impl allowed_ips::Slot for PeerSlot {
    type Owner = RcuArc<Peer>;

    #[inline]
    fn is_set(&self) -> bool {
        self.0.is_some()
    }

    fn set(&self, owner: RcuArc<Peer>) {
        drop(self.0.swap(Some(owner)));
    }

    fn clear(&self) {
        drop(self.0.swap(None));
    }

    fn list_of(owner: &RcuArc<Peer>) -> &OwnerList {
        &owner.allowed_ips
    }

    fn with_list<R>(&self, act: impl FnOnce(&OwnerList) -> R) -> Option<R> {
        let bh = BhGuard::new();
        self.0.load(&bh).map(|peer| act(&peer.allowed_ips))
    }
}

/// The allowed IPs of a device. Lookups take no lock; changes take the device's configuration lock,
/// behind which the spare nodes are.
pub(crate) struct AllowedIps {
    table: Table,
    nodes: Nodes<PeerSlot>,
}

impl AllowedIps {
    pub(crate) const fn new() -> Self {
        Self {
            table: Table::new(),
            nodes: Nodes::new(),
        }
    }

    /// A number that changes with every change.
    pub(crate) fn seq(&self) -> u64 {
        self.table.seq()
    }

    /// The nodes, to list a peer's entries.
    pub(crate) fn nodes(&self) -> &Nodes<PeerSlot> {
        &self.nodes
    }

    /// The peer that has an address.
    #[inline]
    pub(crate) fn lookup(
        &self,
        section: &impl ReadSection,
        address: IpAddr,
    ) -> Option<RcuArc<Peer>> {
        self.table
            .lookup(&self.nodes, address, |slot| slot.0.load(section)?.get())
    }

    /// Whether it is `peer` that has an address.
    #[inline]
    pub(crate) fn belongs(&self, section: &impl ReadSection, address: IpAddr, peer: &Peer) -> bool {
        self.table
            .find(&self.nodes, address)
            .and_then(|node| node.value().0.load(section))
            .is_some_and(|found| core::ptr::eq(found.value(), peer))
    }

    /// The table of the device of `config`, and the right to change it. `None`: the spare nodes there
    /// are those of another table.
    fn writer<'a>(config: &'a mut ConfigGuard<'_>) -> Option<(&'a Table, Writer<'a, PeerSlot>)> {
        let this = &config.dev().allowed_ips;
        Some((&this.table, Writer::new(&this.nodes, &mut config.spare)?))
    }

    /// Makes sure that so many ranges can be given to peers.
    pub(crate) fn reserve(config: &mut ConfigGuard<'_>, ranges: usize) -> Result {
        let nodes = ranges.saturating_mul(allowed_ips::NODES_PER_ENTRY);
        Self::writer(config).ok_or(EINVAL)?.1.reserve(nodes)
    }

    /// Gives a range to a peer, whoever had it before.
    pub(crate) fn insert(
        config: &mut ConfigGuard<'_>,
        prefix: Prefix,
        peer: &RcuArc<Peer>,
    ) -> Result {
        let (table, mut writer) = Self::writer(config).ok_or(EINVAL)?;
        table
            .insert(&mut writer, prefix, peer.clone())
            .map_err(|_| ENOMEM)
    }

    /// Takes a range from a peer, if it has it.
    pub(crate) fn remove(config: &mut ConfigGuard<'_>, prefix: Prefix, peer: &Peer) {
        if let Some((table, mut writer)) = Self::writer(config) {
            table.remove(&mut writer, prefix, &peer.allowed_ips);
        }
    }

    /// Takes all its ranges from a peer.
    pub(crate) fn remove_all_of(config: &mut ConfigGuard<'_>, peer: &Peer) {
        if let Some((table, mut writer)) = Self::writer(config) {
            table.remove_by_owner(&mut writer, &peer.allowed_ips);
        }
    }

    /// Takes all ranges from all peers.
    pub(crate) fn clear(config: &mut ConfigGuard<'_>) {
        if let Some((table, mut writer)) = Self::writer(config) {
            table.clear(&mut writer);
        }
    }
}
