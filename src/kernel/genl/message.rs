// SPDX-License-Identifier: GPL-2.0

//! The messages of a dump.
//!
//! C headers: `include/net/genetlink.h`, `include/net/netlink.h`.

use crate::kernel::bindings;
use core::marker::PhantomData;
use kernel::{error::to_result, prelude::*, task::Kuid};

/// Who reads a dump.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'a>(*const bindings::sk_buff, PhantomData<&'a ()>);

/// A message that is being written. Full: `EMSGSIZE`.
pub(crate) struct Message<'a>(*mut bindings::sk_buff, PhantomData<&'a mut ()>);

impl Message<'_> {
    /// # Safety
    ///
    /// `skb` is a message that is being written, by nobody else while the result lives.
    pub(super) unsafe fn new(skb: *mut bindings::sk_buff) -> Self {
        Self(skb, PhantomData)
    }

    /// Adds an attribute of bytes.
    pub(crate) fn put(&mut self, number: u32, bytes: &[u8]) -> Result {
        let len = i32::try_from(bytes.len()).map_err(|_| EMSGSIZE)?;
        // SAFETY: The message is ours to write, the slice is valid for its length.
        to_result(unsafe { bindings::nla_put(self.0, number as i32, len, bytes.as_ptr().cast()) })
    }

    /// Adds an attribute without content.
    pub(crate) fn put_flag(&mut self, number: u32) -> Result {
        self.put(number, &[])
    }

    /// Adds the number of a user, as the user namespace of the reader's socket has it.
    pub(crate) fn put_uid(&mut self, number: u32, user: Kuid, reader: Reader<'_>) -> Result {
        let user = bindings::kuid_t {
            val: user.into_raw().val,
        };
        // SAFETY: The reader's message is valid, and has a socket.
        let uid = unsafe { bindings::wg_netlink_uid(reader.0, user) };
        self.put_u32(number, uid)
    }

    /// Adds a number of one byte.
    pub(crate) fn put_u8(&mut self, number: u32, value: u8) -> Result {
        self.put(number, &[value])
    }

    /// Adds a number of two bytes.
    pub(crate) fn put_u16(&mut self, number: u32, value: u16) -> Result {
        self.put(number, &value.to_ne_bytes())
    }

    /// Adds a number of four bytes.
    pub(crate) fn put_u32(&mut self, number: u32, value: u32) -> Result {
        self.put(number, &value.to_ne_bytes())
    }

    /// Adds a number of eight bytes, aligned by an attribute `pad` where the machine needs it.
    pub(crate) fn put_u64(&mut self, number: u32, value: u64, pad: u32) -> Result {
        // SAFETY: The message is ours to write.
        to_result(unsafe { bindings::wg_nla_put_u64(self.0, number as i32, value, pad as i32) })
    }

    /// Adds an attribute with what `fill` adds inside. If that fails, nothing is added.
    pub(crate) fn nest<R>(
        &mut self,
        number: u32,
        fill: impl FnOnce(&mut Self) -> Result<R>,
    ) -> Result<R> {
        // SAFETY: The message is ours to write; what is begun is ended or taken back.
        unsafe {
            let nest = bindings::wg_nla_nest_start(self.0, number as i32);
            if nest.is_null() {
                return Err(EMSGSIZE);
            }
            let result = fill(self);
            match result {
                Ok(_) => bindings::wg_nla_nest_end(self.0, nest),
                Err(_) => bindings::wg_nla_nest_cancel(self.0, nest),
            }
            result
        }
    }
}

/// Messages of a dump, as many as fit.
pub(crate) struct Messages<'a> {
    skb: *mut bindings::sk_buff,
    cb: *mut bindings::netlink_callback,
    family: *const bindings::genl_family,
    command: u8,
    _dump: PhantomData<&'a mut ()>,
}

impl Messages<'_> {
    /// # Safety
    ///
    /// A dump of `cb` is being written to `skb`, by nobody else while the result lives; the request in
    /// `cb` has a socket.
    pub(super) unsafe fn new(
        skb: *mut bindings::sk_buff,
        cb: *mut bindings::netlink_callback,
        family: *const bindings::genl_family,
        command: u8,
    ) -> Self {
        Self {
            skb,
            cb,
            family,
            command,
            _dump: PhantomData,
        }
    }

    /// Adds one with what `fill` adds to it. If that fails, nothing is added. `EMSGSIZE`: it is full.
    pub(crate) fn add(
        &mut self,
        fill: impl FnOnce(&mut Message<'_>, Reader<'_>) -> Result,
    ) -> Result {
        // SAFETY: The dump is being written, by us; what is begun is ended or taken back.
        unsafe {
            let flags = bindings::NLM_F_MULTI as i32;
            let header =
                bindings::wg_genlmsg_put(self.skb, self.cb, self.family, flags, self.command);
            if header.is_null() {
                return Err(EMSGSIZE);
            }
            let mut message = Message(self.skb, PhantomData);
            let result = fill(&mut message, Reader((*self.cb).skb, PhantomData));
            match result {
                Ok(()) => bindings::wg_genlmsg_end(self.skb, header),
                Err(_) => bindings::wg_genlmsg_cancel(self.skb, header),
            }
            result
        }
    }
}
