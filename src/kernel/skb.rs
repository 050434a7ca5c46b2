// SPDX-License-Identifier: GPL-2.0

//! Packets: `struct sk_buff`, owned or borrowed.
//!
//! C header: `include/linux/skbuff.h`.

use super::{
    bindings,
    frag::Frag,
    gso,
    layout::{self, SkbHeaders},
    netdev::NetDevice,
};
use core::{
    marker::PhantomData,
    mem::{size_of, ManuallyDrop},
    ptr::{self, NonNull},
    slice,
    sync::atomic::AtomicU32,
};
use kernel::prelude::*;

/// What this module keeps in a packet's control block. Every bit pattern is valid, since other
/// layers leave theirs there.
#[repr(C)]
pub(crate) struct Control {
    /// A counted reference that [`super::batch`] and [`super::ring`] keep here as a raw pointer.
    pub(super) owner: *const (),
    /// What came of the batch that this packet is the first of.
    pub(super) results: *mut bindings::sk_buff,
    /// Progress of that batch.
    pub(super) state: AtomicU32,
    /// How much of its queue's capacity that batch takes.
    pub(super) weight: u32,
    /// Message counter, the AEAD nonce.
    pub(crate) nonce: u64,
    /// MTU of the route the packet came by; bounds its padding. 0: unknown.
    pub(crate) mtu: u32,
    /// Bytes of the messages that it was.
    pub(crate) wire_len: u32,
    /// Messages that it becomes or was, which are numbered from `nonce` on.
    pub(crate) segments: u16,
    /// DS field for the outer header when sending, of the outer header when receiving.
    pub(crate) ds: u8,
}

const _: () = {
    assert!(size_of::<Control>() <= 48);
    // What is behind this is overwritten when the packet is cut.
    assert!(core::mem::offset_of!(Control, nonce) <= bindings::SKB_GSO_CB_OFFSET as usize);
    assert!(core::mem::offset_of!(bindings::sk_buff, cb) % align_of::<Control>() == 0);
};

/// Why a packet is given up, which packet-drop monitors tell apart.
pub(crate) enum Fate {
    /// It did what it was for.
    Consumed,
    /// It was dropped.
    Dropped,
}

/// A packet of our own.
///
/// # Invariants
///
/// The pointer is valid, the reference behind it belongs to this value, and the packet is on no
/// list. Its linear part has been written, from the network header or from `data` on, whichever comes
/// first.
pub(crate) struct Skb(pub(super) NonNull<bindings::sk_buff>);

// SAFETY: A packet may be handed to another CPU.
unsafe impl Send for Skb {}

/// A packet of a chain, borrowed. What is written of it is as in [`Skb`].
pub(crate) struct Packet<'a>(
    pub(super) NonNull<bindings::sk_buff>,
    pub(super) PhantomData<&'a mut Skb>,
);

/// The space in front of a packet for everything that is put before the encrypted data: outer IP
/// and UDP headers, the device's own padding, the message header; a multiple of four.
pub(crate) const DATA_HEADROOM: u32 = align4(16 + HEADROOM);
/// The space in front of a handshake message.
pub(crate) const HEADROOM: u32 = 40 + 8 + bindings::NET_SKB_PAD_BYTES;
/// Bytes in front of what is encrypted in a data message.
pub(super) const DATA_HEADER: u32 = 16;
/// Bytes behind it.
pub(super) const TAG: u32 = 16;

const fn align4(n: u32) -> u32 {
    (n + 3) & !3
}

impl<'a> Packet<'a> {
    #[inline]
    pub(super) fn raw(&self) -> *mut bindings::sk_buff {
        self.0.as_ptr()
    }

    /// Where the current start of the packet is, from the start of its buffer.
    #[inline]
    pub(super) fn data_offset(&self) -> u16 {
        // SAFETY: The packet is valid; buffer offsets fit 16 bits.
        unsafe { (*self.raw()).data.offset_from((*self.raw()).head) as u16 }
    }

    /// The control block.
    #[inline]
    pub(crate) fn control(&self) -> &Control {
        // SAFETY: Layout was checked above, every bit pattern is valid, and the block belongs to
        // whoever holds the packet.
        unsafe { &*(&raw const (*self.raw()).cb).cast() }
    }

    /// Notes the message counter, the first if there are several messages in it, how many there are,
    /// and the DS field of the outer header.
    #[inline]
    pub(crate) fn note_message(&mut self, nonce: u64, segments: u16, ds: u8) {
        let control = Skb::control_ptr(self.0);
        // SAFETY: As for `control`. Others may look at the state, but not at these.
        unsafe {
            (*control).nonce = nonce;
            (*control).segments = segments;
            (*control).ds = ds;
        }
    }

    /// Notes what the packet was: messages of `wire_len` bytes together, which were numbered from `nonce`
    /// on, and the DS field of their outer header.
    #[inline]
    pub(crate) fn note_received(&mut self, nonce: u64, segments: u16, ds: u8, wire_len: u32) {
        self.note_message(nonce, segments, ds);
        // SAFETY: As above.
        unsafe { (*Skb::control_ptr(self.0)).wire_len = wire_len };
    }

    /// Notes the MTU that bounds its padding.
    #[inline]
    pub(crate) fn note_mtu(&mut self, mtu: u32) {
        // SAFETY: As above.
        unsafe { (*Skb::control_ptr(self.0)).mtu = mtu };
    }

    /// Notes that MTU, and how many messages the packet becomes.
    #[inline]
    pub(crate) fn note_staged(&mut self, mtu: u32, segments: u16) {
        let control = Skb::control_ptr(self.0);
        // SAFETY: As above.
        unsafe {
            (*control).mtu = mtu;
            (*control).segments = segments;
        }
    }

    /// Bytes from the current start of the packet to its end.
    #[inline]
    pub(crate) fn len(&self) -> u32 {
        // SAFETY: The packet is valid. No reference to all of it is made, here or below: a queue may
        // be writing its link.
        unsafe { (*self.raw()).len }
    }

    #[inline]
    pub(super) fn head_len(&self) -> usize {
        // SAFETY: The packet is valid.
        let data_len = unsafe { (*self.raw()).data_len };
        self.len().wrapping_sub(data_len) as usize
    }

    /// The bytes at the current start of the packet that are contiguous in memory.
    #[inline]
    pub(crate) fn linear(&self) -> &[u8] {
        // SAFETY: `head_len()` bytes from `data` on are initialised packet data. Whoever shares
        // them with us does not write them: that would need a copy first.
        unsafe { slice::from_raw_parts((*self.raw()).data, self.head_len()) }
    }

    /// Contiguous bytes from `offset` bytes after the buffer's start to the end of the linear
    /// part; none where the offset is outside, or before the network header.
    #[inline]
    fn from_offset(&self, offset: u16) -> &[u8] {
        if offset < self.headers().network_header {
            return &[];
        }
        // SAFETY: The packet is valid. `head` is the start of the buffer, `data` is inside it, hence
        // one allocation.
        let (head, end) = unsafe {
            let skb = self.raw();
            ((*skb).head, (*skb).data.offset_from((*skb).head) as usize)
        };
        let end = end.wrapping_add(self.head_len());
        match end.checked_sub(usize::from(offset)) {
            // SAFETY: From `head + offset` to the tail is inside the buffer, and written by the type
            // invariant, as `offset` is not before the network header. Nobody writes these bytes.
            Some(len) => unsafe { slice::from_raw_parts(head.add(usize::from(offset)), len) },
            None => &[],
        }
    }

    #[inline]
    pub(super) fn headers(&self) -> &SkbHeaders {
        // SAFETY: The packet is valid.
        unsafe { &*layout::skb_headers(self.raw()) }
    }

    #[inline]
    pub(super) fn headers_mut(&mut self) -> &mut SkbHeaders {
        // SAFETY: As above; `&mut self` makes the access exclusive.
        unsafe { &mut *layout::skb_headers(self.raw()) }
    }

    /// The bytes from the network header on.
    #[inline]
    pub(crate) fn network(&self) -> &[u8] {
        self.from_offset(self.headers().network_header)
    }

    /// The bytes from the transport header on.
    #[inline]
    pub(crate) fn transport(&self) -> &[u8] {
        match self.headers().transport_header {
            u16::MAX => &[],
            offset => self.from_offset(offset),
        }
    }

    /// The ethertype that the packet was received as or is sent as, in host byte order.
    #[inline]
    pub(crate) fn protocol(&self) -> u16 {
        u16::from_be(self.headers().protocol)
    }

    /// Index of the device it was received on.
    #[inline]
    pub(crate) fn received_on(&self) -> i32 {
        self.headers().skb_iif
    }

    /// Detaches the packet from the socket that sent it, so that it does not count against its
    /// send buffer any more.
    #[inline]
    pub(crate) fn orphan(&mut self) {
        // SAFETY: The packet is valid and ours.
        unsafe { bindings::wg_skb_orphan(self.raw()) };
    }

    /// Forgets what the packet's former life left in its fields, since it starts a new one on the
    /// other side of the tunnel. An encapsulated packet keeps its flow hash.
    #[inline]
    pub(crate) fn scrub(&mut self, encapsulating: bool) {
        let skb = self.raw();
        let old = self.headers();
        let (l4_hash, sw_hash, hash, tstamp) =
            (old.l4_hash(), old.sw_hash(), old.hash, old.tstamp_type());
        // SAFETY: The packet is valid and ours. The group of header fields is plain data for
        // which zero is "not set".
        unsafe {
            bindings::skb_scrub_packet(skb, true);
            layout::skb_headers(skb).write_bytes(0, 1);
        }
        let new = self.headers_mut();
        if encapsulating {
            new.set_l4_hash(l4_hash);
            new.set_sw_hash(sw_hash);
            new.hash = hash;
            new.set_tstamp_type(tstamp);
        }
        // SAFETY: As above; `data` is inside the buffer that begins at `head`, whose offsets fit
        // 16 bits.
        unsafe {
            (*skb).queue_mapping = 0;
            (*skb).set_nohdr(0);
            (*skb).set_peeked(0);
            (*skb).mac_len = 0;
            *layout::skb_dev(skb) = ptr::null_mut();
            (*skb).hdr_len = (*skb).data.offset_from((*skb).head) as u16;
            bindings::wg_skb_reset_redirect(skb);
        }
        self.reset_offsets();
    }

    /// Has all headers begin where the packet does, but for the transport header, which is looked for.
    pub(super) fn reset_offsets(&mut self) {
        let (skb, at) = (self.raw(), self.data_offset());
        let new = self.headers_mut();
        new.mac_header = at;
        new.network_header = at;
        new.transport_header = at;
        // SAFETY: The packet is valid; it looks for the transport header behind the network one.
        unsafe { bindings::wg_skb_probe_transport_header(skb) };
        let new = self.headers_mut();
        new.inner_mac_header = at;
        new.inner_network_header = at;
        new.inner_transport_header = at;
    }
}

impl Skb {
    /// Takes over a packet.
    ///
    /// # Safety
    ///
    /// `skb` is valid and on no list, and its reference passes to the result. Where it has a network
    /// header in front of `data`, that was written, and what is between.
    #[inline]
    pub(super) unsafe fn from_raw(skb: *mut bindings::sk_buff) -> Self {
        // SAFETY: By the contract; the link is cleared so that "on no list" is true of it.
        unsafe {
            *layout::skb_next(skb) = ptr::null_mut();
            Self(NonNull::new_unchecked(skb))
        }
    }

    /// Takes over a packet that the stack sends.
    ///
    /// # Safety
    ///
    /// `skb` is valid and on no list, and its reference passes to the result.
    #[inline]
    pub(super) unsafe fn from_stack(skb: *mut bindings::sk_buff) -> Self {
        // SAFETY: By the contract, and by what is done below before anybody gets it.
        let mut this = unsafe { Self::from_raw(skb) };
        let start = this.data_offset();
        let mut packet = this.packet();
        let header = &mut packet.headers_mut().network_header;
        // Who made it need not have set this, and then there may be headroom.
        *header = start.max(*header);
        this
    }

    #[inline]
    pub(super) fn as_ptr(&mut self) -> *mut bindings::sk_buff {
        self.0.as_ptr()
    }

    /// Gives the packet away.
    #[inline]
    pub(super) fn into_raw(self) -> *mut bindings::sk_buff {
        ManuallyDrop::new(self).0.as_ptr()
    }

    /// A packet with `content`, and room for the outer headers in front.
    pub(crate) fn with_content(content: &[u8]) -> Option<Self> {
        let mut skb = Self::with_linear(HEADROOM, content)?;
        let offset = skb.data_offset();
        skb.packet().headers_mut().inner_network_header = offset;
        Some(skb)
    }

    /// A packet with `content`, and `headroom` bytes in front.
    pub(super) fn with_linear(headroom: u32, content: &[u8]) -> Option<Self> {
        let len = u32::try_from(content.len()).ok()?;
        let skb = Self::alloc(headroom, len)?;
        let at = skb.0;
        // SAFETY: `len` bytes of tail room were allocated.
        unsafe {
            ptr::copy_nonoverlapping(
                content.as_ptr(),
                bindings::skb_put(at.as_ptr(), len).cast(),
                content.len(),
            );
        }
        Some(skb)
    }

    /// An empty packet with room for the headers of a data message in front and its tag behind.
    pub(crate) fn empty(dev: &NetDevice) -> Option<Self> {
        let mut skb = Self::alloc(DATA_HEADROOM, DATA_HEADER + TAG)?;
        // The stack looks there for the namespace of a packet that it computes a hash for.
        skb.set_dev(dev);
        Some(skb)
    }

    /// A packet without linear part but for room for all headers of a data message.
    pub(super) fn without_content() -> Option<Self> {
        Self::alloc(DATA_HEADROOM, 0)
    }

    /// Appends a fragment. `None`: there are as many as there can be.
    #[inline]
    pub(crate) fn add_frag(&mut self, frag: Frag) -> Option<()> {
        let skb = self.0.as_ptr();
        // SAFETY: The packet is ours, and so is its shared information.
        let at = unsafe { (*gso::shared_info(skb)).nr_frags };
        if u32::from(at) >= bindings::MAX_SKB_FRAGS {
            return None;
        }
        let (page, offset, len) = frag.into_raw();
        // SAFETY: There is room for one more, and the reference passes to the packet.
        unsafe {
            bindings::wg_skb_add_rx_frag(skb, at.into(), page, offset as i32, len as i32);
        }
        Some(())
    }

    pub(super) fn alloc(headroom: u32, len: u32) -> Option<Self> {
        // SAFETY: Callable in every context with GFP_ATOMIC; the headroom is part of the size.
        unsafe {
            let skb =
                bindings::wg_alloc_skb(headroom.checked_add(len)?, bindings::GFP_ATOMIC_FLAGS);
            if skb.is_null() {
                return None;
            }
            bindings::wg_skb_reserve(skb, headroom as i32);
            // Where `data` is.
            Some(Self::from_stack(skb))
        }
    }

    #[inline]
    pub(super) fn data_offset(&self) -> u16 {
        self.view().data_offset()
    }

    /// The packet as an element of a chain.
    #[inline]
    pub(crate) fn packet(&mut self) -> Packet<'_> {
        Packet(self.0, PhantomData)
    }

    /// The packet, to be looked at.
    #[inline]
    pub(crate) fn view(&self) -> View<'_> {
        View(ManuallyDrop::new(Packet(self.0, PhantomData)), PhantomData)
    }

    /// Ends the packet's life.
    #[inline]
    pub(crate) fn free(self, fate: Fate) {
        let skb = self.into_raw();
        // SAFETY: The packet was ours.
        unsafe {
            match fate {
                Fate::Consumed => bindings::wg_consume_skb(skb),
                Fate::Dropped => bindings::wg_kfree_skb(skb),
            }
        }
    }

    /// Makes at least `len` bytes at the start contiguous. `false`: the packet is shorter.
    #[inline]
    pub(crate) fn make_linear(&mut self, len: u32) -> bool {
        // SAFETY: Valid by the type invariant.
        unsafe { bindings::wg_pskb_may_pull(self.0.as_ptr(), len) }
    }

    /// The same, counted from the network header.
    #[inline]
    pub(crate) fn make_network_linear(&mut self, len: u32) -> bool {
        // SAFETY: Valid by the type invariant.
        unsafe { bindings::wg_pskb_network_may_pull(self.0.as_ptr(), len) }
    }

    /// Cuts the packet after `len` bytes.
    #[inline]
    pub(crate) fn trim(&mut self, len: u32) -> bool {
        // SAFETY: Valid by the type invariant.
        unsafe { bindings::wg_pskb_trim(self.0.as_ptr(), len) == 0 }
    }

    /// Moves the start `len` bytes further. `false`: the linear part is shorter.
    #[inline]
    pub(crate) fn advance(&mut self, len: u32) -> bool {
        if self.view().linear().len() < len as usize {
            return false;
        }
        // SAFETY: `len` contiguous bytes are there.
        unsafe { !bindings::skb_pull(self.0.as_ptr(), len).is_null() }
    }

    /// Moves the start `len` bytes back. `false`: the network header is less in front of it.
    #[inline]
    pub(crate) fn retreat(&mut self, len: u32) -> bool {
        let header = self.view().headers().network_header;
        match self.data_offset().checked_sub(header) {
            Some(before) if u32::from(before) >= len => (),
            _ => return false,
        }
        // SAFETY: There is that much in front of it, which was written by the type invariant.
        unsafe { !bindings::skb_push(self.0.as_ptr(), len).is_null() }
    }

    /// Offset of the transport header from the current start, where it is not before it.
    #[inline]
    pub(crate) fn transport_offset(&self) -> Option<u32> {
        match self.view().headers().transport_header {
            u16::MAX => None,
            at => at.checked_sub(self.data_offset()).map(u32::from),
        }
    }

    /// Makes the packet ours alone, by a copy of its descriptor where it is shared.
    #[inline]
    pub(crate) fn unshare(self) -> Option<Self> {
        // SAFETY: The packet passes to the function, which returns it, a copy, or null.
        unsafe {
            let skb = bindings::wg_skb_share_check(self.into_raw());
            (!skb.is_null()).then(|| Self::from_raw(skb))
        }
    }

    /// The largest packet that its route or else `dev` takes.
    #[inline]
    pub(crate) fn mtu(&self, dev: &NetDevice) -> u32 {
        // SAFETY: Both are valid.
        unsafe { bindings::wg_skb_mtu(self.0.as_ptr(), dev.as_ptr()) }
    }

    /// Drops the reference to the route.
    #[inline]
    pub(crate) fn drop_route(&mut self) {
        // SAFETY: Valid by the type invariant.
        unsafe { bindings::wg_skb_dst_drop(self.0.as_ptr()) };
    }

    /// Sets what is true of a packet whose authenticity was just checked, and that now appears on
    /// `dev` as one of `ethertype`. One that is merged of several has checksums that are to be made.
    #[inline]
    pub(crate) fn arrive_on(&mut self, dev: &NetDevice, ethertype: u16) {
        self.set_dev(dev);
        let mut packet = self.packet();
        let headers = packet.headers_mut();
        // All checksums inside were covered by the Poly1305 tag.
        if headers.ip_summed() != bindings::CHECKSUM_PARTIAL as u8 {
            headers.set_ip_summed(bindings::CHECKSUM_UNNECESSARY as u8);
            headers.set_csum_level(3);
        }
        headers.protocol = ethertype.to_be();
    }

    /// Merges the outer header's congestion mark into the inner header (RFC 6040).
    #[inline]
    pub(crate) fn decapsulate_ecn(&mut self, outer: u8, inner: u8) {
        // SAFETY: The packet is valid and ours. The function looks whether its header is in the buffer.
        unsafe { bindings::wg_inet_ecn_decapsulate(self.0.as_ptr(), outer, inner) };
    }

    #[inline]
    fn set_dev(&mut self, dev: &NetDevice) {
        // SAFETY: Valid by the type invariant, and ours.
        unsafe { *layout::skb_dev(self.0.as_ptr()) = dev.as_ptr() };
    }

    /// Marks the packet as belonging to `dev`, with firewall mark `mark`, for sending.
    #[inline]
    pub(crate) fn leave_through(&mut self, dev: &NetDevice, mark: u32) {
        self.set_dev(dev);
        // Routing has been decided for MTU's sake by the tunnel: fragment if need be.
        let mut packet = self.packet();
        let headers = packet.headers_mut();
        headers.set_ignore_df(1);
        layout::set_mark(headers, mark);
    }

    /// Answers with an ICMP error of `dev`'s: nobody is there for the destination.
    pub(crate) fn refuse_unreachable(&mut self) {
        let skb = self.0.as_ptr();
        // SAFETY: Valid by the type invariant; the functions check the packet for themselves.
        unsafe {
            match i32::from(self.view().protocol()) {
                ETH_P_IP => bindings::wg_icmp_ndo_send(
                    skb,
                    bindings::ICMP_DEST_UNREACH as i32,
                    bindings::ICMP_HOST_UNREACH as i32,
                ),
                ETH_P_IPV6 => bindings::wg_icmpv6_ndo_send(
                    skb,
                    bindings::ICMPV6_DEST_UNREACH as u8,
                    bindings::ICMPV6_ADDR_UNREACH as u8,
                ),
                _ => (),
            }
        }
    }

    pub(super) fn control_block(&mut self) -> *mut Control {
        Self::control_ptr(self.0)
    }

    pub(super) fn control_ptr(skb: NonNull<bindings::sk_buff>) -> *mut Control {
        // SAFETY: Only a field's address is computed.
        unsafe { (&raw mut (*skb.as_ptr()).cb).cast() }
    }
}

const ETH_P_IP: i32 = bindings::ETH_P_IP as i32;
const ETH_P_IPV6: i32 = bindings::ETH_P_IPV6 as i32;

impl Drop for Skb {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: The packet is ours and ends here.
        unsafe { bindings::wg_kfree_skb(self.0.as_ptr()) };
    }
}

/// A packet that can only be looked at.
pub(crate) struct View<'a>(ManuallyDrop<Packet<'a>>, PhantomData<&'a Skb>);

impl View<'_> {
    /// # Safety
    ///
    /// The packet is valid, and nobody changes it while the result is used.
    #[inline]
    pub(super) unsafe fn from_raw(skb: NonNull<bindings::sk_buff>) -> Self {
        Self(ManuallyDrop::new(Packet(skb, PhantomData)), PhantomData)
    }
}

impl<'a> core::ops::Deref for View<'a> {
    type Target = Packet<'a>;

    #[inline]
    fn deref(&self) -> &Packet<'a> {
        &self.0
    }
}
