// SPDX-License-Identifier: GPL-2.0

//! What attributes must look like.
//!
//! C header: `include/net/netlink.h`.

use crate::kernel::{bindings, layout};

/// What an attribute must look like. The kernel checks requests against it before we see them.
#[repr(transparent)]
pub(crate) struct Policy(bindings::nla_policy);

// SAFETY: Constant data.
unsafe impl Sync for Policy {}

impl Policy {
    const fn plain(kind: u32, len: u16) -> Self {
        let mut policy: bindings::nla_policy = pin_init::zeroed();
        policy.type_ = kind as u8;
        policy.len = len;
        Self(policy)
    }

    /// Not accepted.
    pub(crate) const fn none() -> Self {
        Self::plain(bindings::NLA_REJECT, 0).with_message(c"not an attribute that can be set")
    }

    const fn with_message(mut self, message: &'static core::ffi::CStr) -> Self {
        layout::set_reject_message(&mut self.0, message.as_ptr().cast());
        self
    }

    /// One byte.
    pub(crate) const fn u8() -> Self {
        Self::plain(bindings::NLA_U8, 0)
    }

    /// Two bytes.
    pub(crate) const fn u16() -> Self {
        Self::plain(bindings::NLA_U16, 0)
    }

    /// Four bytes.
    pub(crate) const fn u32() -> Self {
        Self::plain(bindings::NLA_U32, 0)
    }

    /// Eight bytes.
    pub(crate) const fn u64() -> Self {
        Self::plain(bindings::NLA_U64, 0)
    }

    /// No content: it is there or not.
    pub(crate) const fn flag() -> Self {
        Self::plain(bindings::NLA_FLAG, 0)
    }

    /// Four bytes, of which no bit but those in `mask` is set.
    pub(crate) const fn flags(mask: u32) -> Self {
        let mut policy = Self::u32();
        policy.0.validation_type = bindings::nla_policy_validation_NLA_VALIDATE_MASK as u8;
        layout::set_mask(&mut policy.0, mask);
        policy
    }

    /// Exactly `len` bytes.
    pub(crate) const fn exact(len: u16) -> Self {
        let mut policy = Self::plain(bindings::NLA_BINARY, len);
        // The range is one of lengths. `len` is not looked at then.
        layout::set_range(&mut policy.0, len as i16, len as i16);
        policy.0.validation_type = bindings::nla_policy_validation_NLA_VALIDATE_RANGE as u8;
        policy
    }

    /// At least `len` bytes.
    pub(crate) const fn at_least(len: u16) -> Self {
        let mut policy = Self::plain(bindings::NLA_BINARY, 0);
        policy.0.validation_type = bindings::nla_policy_validation_NLA_VALIDATE_MIN as u8;
        layout::set_range(&mut policy.0, len as i16, 0);
        policy
    }

    /// The name of an interface.
    pub(crate) const fn ifname() -> Self {
        Self::plain(bindings::NLA_NUL_STRING, bindings::IFNAMSIZ as u16 - 1)
    }

    /// A list of attribute sets.
    pub(crate) const fn list_of(sets: &'static [Policy]) -> Self {
        let mut policy = Self::plain(bindings::NLA_NESTED_ARRAY, (sets.len() - 1) as u16);
        layout::set_nested(&mut policy.0, sets.as_ptr().cast());
        policy
    }
}
