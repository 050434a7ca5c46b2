// SPDX-License-Identifier: GPL-2.0

//! A request: what it asks for, who sent it, and where the reason goes if it is refused.
//!
//! C headers: `include/net/genetlink.h`, `include/linux/netlink.h`.

use super::attr::Attr;
use crate::kernel::{
    bindings,
    caps::Caller,
    net::Net,
    netdev::{Driver, HeldDev, NetDevice},
    rtnl::Rtnl,
};
use core::{
    marker::PhantomData,
    ptr::{self, NonNull},
    slice,
};
use kernel::{prelude::*, str::CStr};

/// A lifetime that is neither stretched nor shrunk.
type Exactly<'a> = PhantomData<fn(&'a ()) -> &'a ()>;

/// Where the reason for a refusal goes, until the request of `'a` has been answered.
#[derive(Clone, Copy)]
pub(crate) struct Extack<'a>(*mut bindings::netlink_ext_ack, Exactly<'a>);

impl<'a> Extack<'a> {
    /// Says `message`, which goes to the sender with the error, or as a warning with success.
    pub(crate) fn say(self, message: &'static CStr) {
        // SAFETY: Null or valid for `'a`; the message is static.
        if let Some(extack) = unsafe { self.0.as_mut() } {
            extack._msg = message.as_char_ptr();
        }
    }

    /// The same, pointing at the attribute in question.
    pub(crate) fn say_of(self, attr: Attr<'a>, message: &'static CStr) {
        self.say(message);
        // SAFETY: As above; the attribute lives as long, and is not looked into.
        if let Some(extack) = unsafe { self.0.as_mut() } {
            extack.bad_attr = attr.as_ptr().cast();
        }
    }
}

/// A request, which is answered after `'a`.
pub(crate) struct Request<'a> {
    skb: *mut bindings::sk_buff,
    info: &'a bindings::genl_info,
    max: u32,
    _exactly: Exactly<'a>,
}

impl<'a> Request<'a> {
    /// # Safety
    ///
    /// Both are valid during `'a`: a message that is being handled, whose socket is open, and what the
    /// kernel has found in it by a policy of numbers up to `max`. It is answered after `'a`.
    pub(super) unsafe fn new(
        skb: *mut bindings::sk_buff,
        info: *const bindings::genl_info,
        max: u32,
    ) -> Self {
        Self {
            skb,
            // SAFETY: By the contract.
            info: unsafe { &*info },
            max,
            _exactly: PhantomData,
        }
    }

    /// Attribute number `number`.
    pub(crate) fn attr(&self, number: u32) -> Option<Attr<'a>> {
        if number > self.max {
            return None;
        }
        // SAFETY: The table has an entry for every number up to the highest one of the policy; an entry
        // is null or points, as into all of the message, at an attribute that the kernel has found to be
        // as long as it says.
        let bytes = unsafe {
            let attr = NonNull::new(*self.info.attrs.add(number as usize))?.as_ptr();
            slice::from_raw_parts(attr.cast::<u8>(), (*attr).nla_len.into())
        };
        Attr::parse(bytes).map(|(attr, _)| attr)
    }

    /// Who sent it.
    pub(crate) fn caller(&self) -> Caller<'a> {
        // SAFETY: The message is being handled, in its sender's context.
        unsafe { Caller::new(self.skb) }
    }

    /// Where to say why it is refused.
    pub(crate) fn extack(&self) -> Extack<'a> {
        Extack(self.info.extack, PhantomData)
    }

    /// The device that the request is about, in the namespace of the sender's socket.
    pub(crate) fn device<D: Driver>(&self, id: DeviceId<'_>) -> Result<HeldDev<D>> {
        // SAFETY: The message has a socket, which has a namespace.
        unsafe { id.find((*self.skb).sk) }
    }

    /// Where the devices are that the sender may ask for.
    pub(crate) fn socket_net(&self) -> SocketNet<'a> {
        // SAFETY: The message has a socket.
        unsafe { SocketNet::new((*self.skb).sk) }
    }
}

/// How a device is named.
pub(crate) enum DeviceId<'a> {
    Index(u32),
    Name(&'a [u8]),
}

impl DeviceId<'_> {
    /// # Safety
    ///
    /// `sk` is valid.
    unsafe fn find<D: Driver>(self, sk: *mut bindings::sock) -> Result<HeldDev<D>> {
        // SAFETY: By the contract; a socket's namespace lives as long as the socket.
        unsafe {
            let net = bindings::wg_sock_net(sk);
            match self {
                DeviceId::Index(index) => HeldDev::by_index(net, index),
                DeviceId::Name(name) => {
                    let name = CStr::from_bytes_until_nul(name).map_err(|_| EINVAL)?;
                    HeldDev::by_name(net, name)
                }
            }
        }
    }
}

/// The namespace of a sender's socket, over which the sender was found to have rights.
pub(crate) struct SocketNet<'a>(*const bindings::net, PhantomData<&'a ()>);

impl SocketNet<'_> {
    /// # Safety
    ///
    /// `sk` is valid for as long as the result lives.
    pub(super) unsafe fn new(sk: *const bindings::sock) -> Self {
        // SAFETY: By the contract; a socket's namespace lives as long as the socket.
        Self(unsafe { bindings::wg_sock_net(sk) }, PhantomData)
    }

    /// Whether it is `net`.
    pub(crate) fn is(&self, net: &Net) -> bool {
        ptr::eq(net.as_ptr(), self.0)
    }

    /// The number by which it knows `net`, if it has one for it.
    pub(crate) fn id_of(&self, net: &Net) -> Option<i32> {
        // SAFETY: It is the namespace of a socket that is open, and `net` is alive.
        let id = unsafe { bindings::peernet2id(self.0, net.as_ptr()) };
        (id >= 0).then_some(id)
    }

    /// `ENODEV` if the device has moved away since it was found, to where the sender need not have any
    /// rights.
    pub(crate) fn check(&self, dev: &NetDevice, _rtnl: &Rtnl) -> Result {
        // SAFETY: The device is valid; under RTNL it stays where it is.
        if ptr::eq(unsafe { bindings::wg_dev_net(dev.as_ptr()) }, self.0) {
            Ok(())
        } else {
            Err(ENODEV)
        }
    }
}
