// SPDX-License-Identifier: GPL-2.0

//! What changes of a packet where it passes from the stack to the tunnel, or back.
//!
//! C headers: `include/linux/skbuff.h`, `include/linux/icmpv6.h`.

use super::{Packet, Skb};
use crate::{
    ip::{ETH_P_IP, ETH_P_IPV6},
    kernel::{bindings, layout, netdev::NetDevice},
};
use core::ptr;

impl Packet<'_> {
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
    pub(in crate::kernel) fn reset_offsets(&mut self) {
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
    pub(super) fn set_dev(&mut self, dev: &NetDevice) {
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
            match self.view().protocol() {
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
}
