// SPDX-License-Identifier: GPL-2.0

//! Generic netlink: a family with one command that sets and two that dump, and with events.
//!
//! C headers: `include/net/genetlink.h`, `include/net/netlink.h`, `include/uapi/linux/netlink.h`.

mod attr;
mod event;
mod message;
mod policy;
mod request;
mod secret;

pub(crate) use {
    attr::Attr,
    message::{Message, Messages, Reader},
    policy::Policy,
    request::{DeviceId, Extack, Request, SocketNet},
    secret::EACH,
};

use super::{
    bindings, layout,
    netdev::{Dev, Driver},
    once::{Claim, Claimed, HasStatic},
    rtnl::Rtnl,
};
use core::{
    cell::UnsafeCell,
    marker::PhantomData,
    ptr,
    sync::atomic::{AtomicBool, Ordering},
};
use kernel::{
    error::{from_result, to_result},
    prelude::*,
    str::CStr,
};

/// How far a dump has come; begins as zeroes.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Cursor {
    pub(crate) words: [u64; 4],
}

/// What the context of a dump holds. It names the device and does not hold it: the reader may take
/// as long as it likes for the next message, or never ask for it.
#[repr(C)]
struct DumpContext {
    /// Number of the device in its namespace.
    index: u32,
    /// Its address, to be compared only.
    address: usize,
    cursor: Cursor,
}

/// Whether a dump needs another message.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    More,
    Complete,
}

/// What a family does.
pub(crate) trait FamilyOps: HasStatic<Family<Self>> + Sized + 'static {
    /// The devices that it is about.
    type Device: Driver;
    /// The family's name.
    const NAME: &'static CStr;
    /// Its version.
    const VERSION: u8;
    /// Number of the command that dumps.
    const GET: u8;
    /// Number of the command that sets.
    const SET: u8;
    /// Number of the command that lists what is in the namespace of the reader.
    const LIST: u8;
    /// The name of the group that its events are multicast to.
    const EVENTS: &'static CStr;
    /// What its requests may contain.
    const GET_POLICY: &'static [Policy];
    /// What its requests may contain.
    const SET_POLICY: &'static [Policy];
    /// Which attributes of theirs are wiped when they have been answered: paths of numbers.
    const SECRETS: &'static [&'static [u32]];

    /// Which device a request is about.
    fn device_id<'a>(request: &Request<'a>) -> Result<DeviceId<'a>>;
    /// Writes one message of a dump. The number returned tells one state of the device from the
    /// next: when it changes during a dump, the reader is told.
    fn get(
        dev: &Dev<Self::Device>,
        request: &Request<'_>,
        cursor: &mut Cursor,
        begin: &mut dyn FnMut(u32),
        message: &mut Message<'_>,
    ) -> Result<Progress>;
    /// Carries a request out.
    fn set(request: &Request<'_>) -> Result;
    /// Writes as many messages of a list as fit. `EMSGSIZE`: there are more to come.
    fn list(socket_net: SocketNet<'_>, cursor: &mut Cursor, messages: &mut Messages<'_>) -> Result;
}

/// A name as the kernel stores it.
const fn name_of(name: &CStr) -> [kernel::ffi::c_char; bindings::GENL_NAMSIZ as usize] {
    let mut chars = [0; bindings::GENL_NAMSIZ as usize];
    let name = name.to_bytes();
    let mut i = 0;
    while i < name.len() {
        chars[i] = name[i] as kernel::ffi::c_char;
        i += 1;
    }
    chars
}

/// The highest number that a policy has an entry for.
const fn max_of(policy: &[Policy]) -> u32 {
    (policy.len() - 1) as u32
}

/// A family as the kernel knows it, in the static of its service.
///
/// # Invariants
///
/// While somebody has the `claim` the C structure belongs to the kernel.
pub(crate) struct Family<S: FamilyOps> {
    family: UnsafeCell<bindings::genl_family>,
    groups: UnsafeCell<[bindings::genl_multicast_group; 1]>,
    /// Whether the group is ours; changes under RTNL.
    has_group: AtomicBool,
    claim: Claim,
    _service: PhantomData<S>,
}

// SAFETY: The structures are handed to the kernel, which locks for itself.
unsafe impl<S: FamilyOps> Sync for Family<S> {}

impl<S: FamilyOps> Family<S> {
    const CONTEXT_FITS: () =
        assert!(size_of::<DumpContext>() <= size_of::<layout::CallbackContext>());

    /// The commands, which the kernel only reads.
    const OPS: &'static [bindings::genl_split_ops; 3] = &{
        const ADMIN: u32 = bindings::GENL_UNS_ADMIN_PERM;
        let mut get: bindings::genl_split_ops = pin_init::zeroed();
        get.cmd = S::GET;
        get.flags = (ADMIN | bindings::GENL_CMD_CAP_DUMP) as u8;
        get.policy = S::GET_POLICY.as_ptr().cast();
        get.maxattr = max_of(S::GET_POLICY);
        layout::set_dump(&mut get, Some(Self::start), Self::dump);
        let mut set: bindings::genl_split_ops = pin_init::zeroed();
        set.cmd = S::SET;
        set.flags = (ADMIN | bindings::GENL_CMD_CAP_DO) as u8;
        set.policy = S::SET_POLICY.as_ptr().cast();
        set.maxattr = max_of(S::SET_POLICY);
        layout::set_doit(&mut set, Self::doit);
        let mut list: bindings::genl_split_ops = pin_init::zeroed();
        list.cmd = S::LIST;
        list.flags = (ADMIN | bindings::GENL_CMD_CAP_DUMP) as u8;
        layout::set_dump(&mut list, None, Self::list);
        [get, set, list]
    };

    /// A family that is not registered.
    pub(crate) const fn new() -> Self {
        let () = Self::CONTEXT_FITS;
        let mut family: bindings::genl_family = pin_init::zeroed();
        family.name = name_of(S::NAME);
        family.version = S::VERSION as u32;
        family.split_ops = Self::OPS.as_ptr();
        family.n_split_ops = Self::OPS.len() as u8;
        family.n_mcgrps = 1;
        // Joining takes CAP_NET_ADMIN over the namespace of the listener's socket.
        let group = bindings::genl_multicast_group {
            name: name_of(S::EVENTS),
            flags: bindings::MCAST_CAP_NET_ADMIN,
        };
        Self {
            family: UnsafeCell::new(family),
            groups: UnsafeCell::new([group]),
            has_group: AtomicBool::new(false),
            claim: Claim::new(),
            _service: PhantomData,
        }
    }

    /// Makes the family known to the kernel until the result is dropped. `EBUSY`: it is.
    pub(crate) fn register(module: &'static ThisModule) -> Result<Registration<S>> {
        let this = S::get_static();
        let claimed = this.claim.take()?;
        // SAFETY: Not registered, as nobody else got this far, so nobody else looks at it; everything is
        // static.
        unsafe {
            let family = this.family.get();
            (*family).module = module.as_ptr().cast();
            (*family).mcgrps = this.groups.get().cast();
            (*family).set_netnsok(1);
            to_result(bindings::genl_register_family(family))?;
        }
        this.has_group.store(true, Ordering::Relaxed);
        Ok(Registration(this, claimed))
    }

    unsafe extern "C" fn doit(skb: *mut bindings::sk_buff, info: *mut bindings::genl_info) -> i32 {
        from_result(|| {
            // SAFETY: Both are valid during the call; the table is that of the policy.
            let request = unsafe { Request::new(skb, info, max_of(S::SET_POLICY)) };
            let result = S::set(&request);
            // SAFETY: The message was copied from its sender for us. What referred to its content has
            // ended with the request.
            unsafe { secret::wipe_request(skb, (*info).nlhdr, S::SECRETS) };
            result.map(|()| 0)
        })
    }

    /// # Safety
    ///
    /// `cb` is valid, and nobody else uses its context.
    unsafe fn context<'a>(cb: *mut bindings::netlink_callback) -> &'a mut DumpContext {
        // SAFETY: By the contract. The context is large enough, as was checked, and begins as
        // zeroes, which are a valid value.
        unsafe { &mut *layout::dump_context(cb).cast() }
    }

    unsafe extern "C" fn start(cb: *mut bindings::netlink_callback) -> i32 {
        // SAFETY: The callback is valid and its context ours.
        from_result(|| unsafe {
            let info = bindings::wg_genl_info_dump(cb);
            let request = Request::new((*cb).skb, info, max_of(S::GET_POLICY));
            let device = request.device::<S::Device>(S::device_id(&request)?)?;
            let context = Self::context(cb);
            context.index = device.netdev().index_now();
            context.address = ptr::from_ref::<Dev<_>>(&device).addr();
            Ok(0)
        })
    }

    unsafe extern "C" fn dump(
        skb: *mut bindings::sk_buff,
        cb: *mut bindings::netlink_callback,
    ) -> i32 {
        // SAFETY: As above; `start` has named a device in the context. The callback's message has the
        // reader's socket.
        unsafe {
            let context = Self::context(cb);
            let info = bindings::wg_genl_info_dump(cb);
            let request = Request::new((*cb).skb, info, max_of(S::GET_POLICY));
            let dev = match request.device::<S::Device>(DeviceId::Index(context.index)) {
                Ok(dev) if ptr::from_ref::<Dev<_>>(&dev).addr() == context.address => dev,
                _ => return ENODEV.to_errno(),
            };
            let flags = bindings::NLM_F_MULTI as i32;
            let family = S::get_static().family.get();
            let header = bindings::wg_genlmsg_put(skb, cb, family, flags, S::GET);
            if header.is_null() {
                return EMSGSIZE.to_errno();
            }
            let mut begin = |seq| {
                (*cb).seq = seq;
                bindings::wg_genl_dump_check_consistent(cb, header);
            };
            let mut message = Message::new(skb);
            match S::get(
                &dev,
                &request,
                &mut context.cursor,
                &mut begin,
                &mut message,
            ) {
                Ok(progress) => {
                    bindings::wg_genlmsg_end(skb, header);
                    match progress {
                        Progress::Complete => 0,
                        Progress::More => (*skb).len as i32,
                    }
                }
                Err(error) => {
                    bindings::wg_genlmsg_cancel(skb, header);
                    error.to_errno()
                }
            }
        }
    }

    unsafe extern "C" fn list(
        skb: *mut bindings::sk_buff,
        cb: *mut bindings::netlink_callback,
    ) -> i32 {
        // SAFETY: Both are valid during the call, and the context is ours. The callback's message has
        // the reader's socket.
        unsafe {
            let cursor = &mut Self::context(cb).cursor;
            let socket_net = SocketNet::new((*(*cb).skb).sk);
            let family = S::get_static().family.get();
            let mut messages = Messages::new(skb, cb, family, S::LIST);
            match S::list(socket_net, cursor, &mut messages) {
                Ok(()) => 0,
                Err(EMSGSIZE) if (*skb).len != 0 => (*skb).len as i32,
                Err(error) => error.to_errno(),
            }
        }
    }
}

/// Keeps a [`Family`] registered.
pub(crate) struct Registration<S: FamilyOps>(
    &'static Family<S>,
    #[expect(dead_code, reason = "dropped last")] Claimed,
);

impl<S: FamilyOps> Drop for Registration<S> {
    fn drop(&mut self) {
        {
            // Events are told under it. The group is somebody else's next.
            let _rtnl = Rtnl::lock();
            self.0.has_group.store(false, Ordering::Relaxed);
        }
        // SAFETY: It was registered. Waits for requests that are being handled.
        unsafe { bindings::genl_unregister_family(self.0.family.get()) };
    }
}
