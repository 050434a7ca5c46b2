// SPDX-License-Identifier: GPL-2.0

//! Safe wrappers over the kernel's C interfaces, and the only home of `unsafe`.
//!
//! The `kernel` crate covers little of networking, so what a tunnel device needs is wrapped here:
//! packets, queues, NAPI, network devices and namespaces, UDP sockets, generic netlink. Every
//! wrapper states what must hold as a type invariant, so that the driver above can be safe Rust.
//!
//! Atomics are `core`'s, which compile to instructions; the `kernel` crate's call a C function
//! for each operation on a kernel without inlined helpers, and distribution kernels are such. What
//! each ordering is for, and that it is enough by the kernel's memory model, is in
//! `docs/memory-ordering.md`.
//!
//! Of what the `kernel` crate has, this is not used, and why: `net::netlink` sends multicast messages
//! only; `Refcount` cannot raise a count unless it is zero, as `RcuArc` has to; `CpuId` may name a
//! CPU that there is none of; `rcu_barrier()` is not in Linux 7.2.

#[allow(
    clippy::all,
    dead_code,
    improper_ctypes,
    missing_docs,
    non_camel_case_types,
    non_snake_case,
    non_upper_case_globals,
    rustdoc::all,
    unknown_lints,
    unnecessary_transmutes,
    unreachable_pub,
    unsafe_op_in_unsafe_fn
)]
mod bindings {
    use pin_init::{MaybeZeroable, Zeroable};

    include!(env!("WG_BINDINGS"));

    // SAFETY: It is no more than its storage.
    unsafe impl<Storage: Zeroable> Zeroable for __BindgenBitfieldUnit<Storage> {}
    // SAFETY: It has no size.
    unsafe impl<T> Zeroable for __BindgenUnionField<T> {}

    /// `enum netdev_tx`. An enum of C's has a type of its own for control-flow integrity; what bindgen
    /// makes of it, and what is transparent, has that of a number. A structure has the right one, and
    /// where there is such integrity it is returned as a number is.
    #[cfg_attr(CONFIG_CFI, repr(C))]
    #[cfg_attr(not(CONFIG_CFI), repr(transparent))]
    pub struct netdev_tx(pub ::kernel::ffi::c_int);

    const _: () = assert!(
        cfg!(not(CONFIG_CFI)) || cfg!(target_arch = "x86_64") || cfg!(target_arch = "aarch64"),
        "elsewhere the rest of the register may matter"
    );
}

/// The version of the module, as modinfo(8) has it.
pub(crate) const VERSION: &str = match core::ffi::CStr::from_bytes_with_nul(bindings::WG_VERSION) {
    Ok(version) => match version.to_str() {
        Ok(version) => version,
        Err(_) => panic!("not UTF-8"),
    },
    Err(_) => panic!("not terminated"),
};

// What both the protocol and C have names for.
const _: () = {
    use crate::{ip, protocol};
    assert!(ip::ETH_P_IP as u32 == bindings::ETH_P_IP);
    assert!(ip::ETH_P_IPV6 as u32 == bindings::ETH_P_IPV6);
    assert!(ip::IPV4_HEADER_LEN as usize == size_of::<bindings::iphdr>());
    assert!(ip::IPV6_HEADER_LEN as usize == size_of::<bindings::ipv6hdr>());
    assert!(ip::UDP_HEADER_LEN as usize == size_of::<bindings::udphdr>());
    assert!(protocol::constants::TAG_LEN as u32 == bindings::AUTHTAG_SIZE);
    assert!(protocol::constants::KEY_LEN as u32 == bindings::KEY_SIZE);
};

// Offsets in packets are pointers where words are shorter, and counters of devices not 64 bits long.
const _: () = assert!(usize::BITS == 64, "written for machines of 64 bits");

mod aead;
pub(crate) mod arena;
pub(crate) mod batch;
pub(crate) mod caps;
pub(crate) mod chain;
pub(crate) mod cipher;
pub(crate) mod cpu;
pub(crate) mod credential;
pub(crate) mod crypto;
pub(crate) mod debug;
pub(crate) mod delayed;
pub(crate) mod errno;
pub(crate) mod frag;
pub(crate) mod genl;
pub(crate) mod gro;
pub(crate) mod gso;
pub(crate) mod hashtable;
mod layout;
pub(crate) mod lock;
pub(crate) mod mm;
pub(crate) mod napi;
pub(crate) mod net;
pub(crate) mod netdev;
pub(crate) mod notifier;
pub(crate) mod once;
mod pieces;
pub(crate) mod random;
pub(crate) mod rcu;
pub(crate) mod ring;
pub(crate) mod route;
pub(crate) mod rtnl;
pub(crate) mod skb;
pub(crate) mod sockaddr;
pub(crate) mod sysctl;
mod task_socket;
pub(crate) mod time;
pub(crate) mod timer;
pub(crate) mod udp;
pub(crate) mod waiter;
pub(crate) mod workqueue;
