// SPDX-License-Identifier: GPL-2.0

//! Generic netlink: a family with one command that dumps and one that sets.
//!
//! C headers: `include/net/genetlink.h`, `include/net/netlink.h`, `include/uapi/linux/netlink.h`.

use super::{
    bindings,
    caps::Caller,
    net::{Kuid, Net},
    netdev::{Dev, Driver, HeldDev, NetDevice},
    once::{Claim, Claimed, HasStatic},
    rtnl::Rtnl,
};
use core::{
    cell::UnsafeCell,
    marker::PhantomData,
    mem::MaybeUninit,
    ptr::{self, NonNull},
    slice,
};
use kernel::{
    error::{from_result, to_result},
    prelude::*,
    str::CStr,
};

/// What an attribute must look like. The kernel checks requests against it before we see them.
#[repr(transparent)]
pub(crate) struct Policy(bindings::nla_policy);

// SAFETY: Constant data.
unsafe impl Sync for Policy {}

impl Policy {
    const fn plain(kind: u32, len: u16) -> Self {
        // SAFETY: All zeroes are valid: a policy that accepts nothing.
        let mut policy: bindings::nla_policy = unsafe { MaybeUninit::zeroed().assume_init() };
        policy.type_ = kind as u8;
        policy.len = len;
        Self(policy)
    }

    /// Not accepted.
    pub(crate) const fn none() -> Self {
        Self::plain(bindings::NLA_REJECT, 0).with_message(c"not an attribute that can be set")
    }

    const fn with_message(mut self, message: &'static core::ffi::CStr) -> Self {
        self.0.__bindgen_anon_1.reject_message = message.as_ptr().cast();
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
        policy.0.__bindgen_anon_1.mask = mask;
        policy
    }

    /// Exactly `len` bytes.
    pub(crate) const fn exact(len: u16) -> Self {
        let mut policy = Self::plain(bindings::NLA_BINARY, len);
        // The range is one of lengths. `len` is not looked at then.
        policy.0.__bindgen_anon_1.__bindgen_anon_1.min = len as i16;
        policy.0.__bindgen_anon_1.__bindgen_anon_1.max = len as i16;
        policy.0.validation_type = bindings::nla_policy_validation_NLA_VALIDATE_RANGE as u8;
        policy
    }

    /// At least `len` bytes.
    pub(crate) const fn at_least(len: u16) -> Self {
        let mut policy = Self::plain(bindings::NLA_BINARY, 0);
        policy.0.validation_type = bindings::nla_policy_validation_NLA_VALIDATE_MIN as u8;
        policy.0.__bindgen_anon_1.__bindgen_anon_1.min = len as i16;
        policy
    }

    /// A terminated string of up to `len` bytes.
    pub(crate) const fn string(len: u16) -> Self {
        Self::plain(bindings::NLA_NUL_STRING, len)
    }

    /// A list of attribute sets.
    pub(crate) const fn list_of(sets: &'static [Policy]) -> Self {
        let mut policy = Self::plain(bindings::NLA_NESTED_ARRAY, (sets.len() - 1) as u16);
        policy.0.__bindgen_anon_1.nested_policy = sets.as_ptr().cast();
        policy
    }
}

/// An attribute of a request: its header, and as much after it as that says.
#[derive(Clone, Copy)]
pub(crate) struct Attr<'a>(&'a [u8]);

const HEADER: usize = size_of::<bindings::nlattr>();
/// Of the headers before a request's first attribute.
const HEADERS: usize = size_of::<bindings::nlmsghdr>() + size_of::<bindings::genlmsghdr>();

fn number_of(kind: u16) -> u32 {
    u32::from(kind) & !(bindings::NLA_F_NESTED | bindings::NLA_F_NET_BYTEORDER)
}

impl<'a> Attr<'a> {
    /// The attribute at the start of `bytes`, and how many bytes it takes with padding.
    fn parse(bytes: &'a [u8]) -> Option<(Self, usize)> {
        let len = usize::from(u16::from_ne_bytes(*bytes.first_chunk()?));
        let attr = bytes.get(..len).filter(|attr| attr.len() >= HEADER)?;
        Some((Self(attr), len.checked_add(3)? & !3))
    }

    /// Its number, with flags.
    fn kind(self) -> u16 {
        let kind = self.0.get(2..).and_then(|bytes| bytes.first_chunk());
        kind.map_or(0, |kind| u16::from_ne_bytes(*kind))
    }

    /// Its content.
    pub(crate) fn bytes(self) -> &'a [u8] {
        self.0.get(HEADER..).unwrap_or(&[])
    }

    fn array<const N: usize>(self) -> Option<[u8; N]> {
        self.bytes().try_into().ok()
    }

    /// A number of one byte.
    pub(crate) fn u8(self) -> Result<u8> {
        self.array().map(u8::from_ne_bytes).ok_or(EINVAL)
    }

    /// A number of two bytes.
    pub(crate) fn u16(self) -> Result<u16> {
        self.array().map(u16::from_ne_bytes).ok_or(EINVAL)
    }

    /// A number of four bytes.
    pub(crate) fn u32(self) -> Result<u32> {
        self.array().map(u32::from_ne_bytes).ok_or(EINVAL)
    }

    /// What it is, by number.
    pub(crate) fn number(self) -> u32 {
        number_of(self.kind())
    }

    /// The attributes inside.
    pub(crate) fn children(self) -> Attrs<'a> {
        Attrs(self.bytes())
    }

    /// The attributes inside by number; of several with one number the last. `EINVAL`: it is not
    /// marked as having attributes inside.
    pub(crate) fn set<const N: usize>(self) -> Result<[Option<Attr<'a>>; N]> {
        if u32::from(self.kind()) & bindings::NLA_F_NESTED == 0 {
            return Err(EINVAL);
        }
        let mut set = [None; N];
        for attr in self.children() {
            if let Some(place) = set.get_mut(attr.number() as usize) {
                *place = Some(attr);
            }
        }
        Ok(set)
    }
}

/// Walks attributes that follow each other.
pub(crate) struct Attrs<'a>(&'a [u8]);

impl<'a> Iterator for Attrs<'a> {
    type Item = Attr<'a>;

    fn next(&mut self) -> Option<Attr<'a>> {
        let (attr, len) = Attr::parse(self.0)?;
        self.0 = self.0.get(len..).unwrap_or(&[]);
        Some(attr)
    }
}

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
            extack.bad_attr = attr.0.as_ptr().cast();
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
        // SAFETY: The message has a socket, which has a namespace.
        SocketNet(
            unsafe { bindings::wg_sock_net((*self.skb).sk) },
            PhantomData,
        )
    }
}

/// In the path to a secret: each attribute of a list.
pub(crate) const EACH: u32 = u32::MAX;

/// Wipes, of the attributes in `len` bytes from `at`, the contents of those that `path` leads to; an
/// empty one leads here.
///
/// # Safety
///
/// These bytes may be written, and nobody has a reference to any of them.
unsafe fn wipe(mut at: *mut u8, mut len: usize, path: &[u32]) {
    let Some((&number, rest)) = path.split_first() else {
        // SAFETY: By the contract.
        return unsafe { bindings::wg_memzero_explicit(at.cast(), len) };
    };
    while len >= HEADER {
        // SAFETY: The bytes of a header are left.
        let header = unsafe { at.cast::<bindings::nlattr>().read_unaligned() };
        let size = usize::from(header.nla_len);
        if size < HEADER || size > len {
            return;
        }
        // SAFETY: As many bytes as the attribute says are left, its header included, and the next
        // begins within what is left, or at its end.
        unsafe {
            if number == EACH || number == number_of(header.nla_type) {
                wipe(at.add(HEADER), size.wrapping_sub(HEADER), rest);
            }
            let step = (size.saturating_add(3) & !3).min(len);
            at = at.add(step);
            len = len.wrapping_sub(step);
        }
    }
}

/// The namespace of a sender's socket, over which the sender was found to have rights.
pub(crate) struct SocketNet<'a>(*const bindings::net, PhantomData<&'a ()>);

impl SocketNet<'_> {
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

/// Who reads a dump.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'a>(*const bindings::sk_buff, PhantomData<&'a ()>);

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

/// A message that is being written. Full: `EMSGSIZE`.
pub(crate) struct Message<'a>(*mut bindings::sk_buff, PhantomData<&'a mut ()>);

impl Message<'_> {
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
        // SAFETY: The reader's message is valid, and has a socket.
        let uid = unsafe { bindings::wg_netlink_uid(reader.0, user.0) };
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

/// Messages of a dump, as many as fit.
pub(crate) struct Messages<'a> {
    skb: *mut bindings::sk_buff,
    cb: *mut bindings::netlink_callback,
    family: *const bindings::genl_family,
    command: u8,
    _dump: PhantomData<&'a mut ()>,
}

impl Messages<'_> {
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

/// A family as the kernel knows it, in the static of its service.
///
/// # Invariants
///
/// While somebody has the `claim` the C structures belong to the kernel.
pub(crate) struct Family<S: FamilyOps> {
    family: UnsafeCell<bindings::genl_family>,
    ops: UnsafeCell<[bindings::genl_split_ops; 3]>,
    claim: Claim,
    _service: PhantomData<S>,
}

// SAFETY: The structures are handed to the kernel, which locks for itself.
unsafe impl<S: FamilyOps> Sync for Family<S> {}

impl<S: FamilyOps> Family<S> {
    const CONTEXT_FITS: () =
        assert!(size_of::<DumpContext>() <= size_of::<bindings::netlink_callback__bindgen_ty_1>());

    /// A family that is not registered.
    pub(crate) const fn new() -> Self {
        let () = Self::CONTEXT_FITS;
        // SAFETY: All zeroes are valid: no functions, no commands.
        let (mut family, mut get, mut set, mut list): (
            bindings::genl_family,
            bindings::genl_split_ops,
            bindings::genl_split_ops,
            bindings::genl_split_ops,
        ) = unsafe {
            (
                MaybeUninit::zeroed().assume_init(),
                MaybeUninit::zeroed().assume_init(),
                MaybeUninit::zeroed().assume_init(),
                MaybeUninit::zeroed().assume_init(),
            )
        };
        get.cmd = S::GET;
        get.flags = (bindings::GENL_UNS_ADMIN_PERM | bindings::GENL_CMD_CAP_DUMP) as u8;
        get.policy = S::GET_POLICY.as_ptr().cast();
        get.maxattr = (S::GET_POLICY.len() - 1) as u32;
        get.__bindgen_anon_1.__bindgen_anon_2 =
            bindings::genl_split_ops__bindgen_ty_1__bindgen_ty_2 {
                start: Some(Self::start),
                dumpit: Some(Self::dump),
                done: None,
            };
        set.cmd = S::SET;
        set.flags = (bindings::GENL_UNS_ADMIN_PERM | bindings::GENL_CMD_CAP_DO) as u8;
        set.policy = S::SET_POLICY.as_ptr().cast();
        set.maxattr = (S::SET_POLICY.len() - 1) as u32;
        set.__bindgen_anon_1.__bindgen_anon_1 =
            bindings::genl_split_ops__bindgen_ty_1__bindgen_ty_1 {
                pre_doit: None,
                doit: Some(Self::doit),
                post_doit: None,
            };
        list.cmd = S::LIST;
        list.flags = (bindings::GENL_UNS_ADMIN_PERM | bindings::GENL_CMD_CAP_DUMP) as u8;
        list.__bindgen_anon_1.__bindgen_anon_2 =
            bindings::genl_split_ops__bindgen_ty_1__bindgen_ty_2 {
                start: None,
                dumpit: Some(Self::list),
                done: None,
            };
        let name = S::NAME.to_bytes();
        let mut i = 0;
        while i < name.len() {
            family.name[i] = name[i] as kernel::ffi::c_char;
            i += 1;
        }
        family.version = S::VERSION as u32;
        Self {
            family: UnsafeCell::new(family),
            ops: UnsafeCell::new([get, set, list]),
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
            (*family).split_ops = this.ops.get().cast();
            (*family).n_split_ops = 3;
            (*family).set_netnsok(1);
            to_result(bindings::genl_register_family(family))?;
        }
        Ok(Registration(this, claimed))
    }

    unsafe extern "C" fn doit(skb: *mut bindings::sk_buff, info: *mut bindings::genl_info) -> i32 {
        from_result(|| {
            // SAFETY: Both are valid during the call.
            let request = Request {
                skb,
                info: unsafe { &*info },
                max: (S::SET_POLICY.len() - 1) as u32,
                _exactly: PhantomData,
            };
            let result = S::set(&request);
            // SAFETY: The message was copied from its sender for us. What referred to its content has
            // ended with the request; a tap of the kernel's may copy it meanwhile, and gets what was
            // there or zeroes. The pointer to write by is the message's own.
            unsafe {
                let message = (*info).nlhdr;
                let head = (*skb).head;
                let first = message
                    .addr()
                    .wrapping_sub(head.addr())
                    .wrapping_add(HEADERS);
                let len = ((*message).nlmsg_len as usize).saturating_sub(HEADERS);
                for path in S::SECRETS {
                    wipe(head.add(first), len, path);
                }
            }
            result.map(|()| 0)
        })
    }

    /// # Safety
    ///
    /// `cb` is valid, and nobody else uses its context.
    unsafe fn context<'a>(cb: *mut bindings::netlink_callback) -> &'a mut DumpContext {
        // SAFETY: By the contract. The context is large enough, as was checked, and begins as
        // zeroes, which are a valid value.
        unsafe { &mut *(&raw mut (*cb).__bindgen_anon_1).cast() }
    }

    unsafe extern "C" fn start(cb: *mut bindings::netlink_callback) -> i32 {
        // SAFETY: The callback is valid and its context ours.
        from_result(|| unsafe {
            let request = Request {
                skb: (*cb).skb,
                info: &*bindings::wg_genl_info_dump(cb),
                max: (S::GET_POLICY.len() - 1) as u32,
                _exactly: PhantomData,
            };
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
            let request = Request {
                skb: (*cb).skb,
                info: &*bindings::wg_genl_info_dump(cb),
                max: (S::GET_POLICY.len() - 1) as u32,
                _exactly: PhantomData,
            };
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
            let mut message = Message(skb, PhantomData);
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
            let socket_net = SocketNet(bindings::wg_sock_net((*(*cb).skb).sk), PhantomData);
            let mut messages = Messages {
                skb,
                cb,
                family: S::get_static().family.get(),
                command: S::LIST,
                _dump: PhantomData,
            };
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
        // SAFETY: It was registered. Waits for requests that are being handled.
        unsafe { bindings::genl_unregister_family(self.0.family.get()) };
    }
}
