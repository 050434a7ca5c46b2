/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the module's Rust half sees of the kernel's C half: bindgen turns this
 * header into $(obj)/generated/bindings.rs.
 */
#ifndef WG_KERNEL_BINDINGS_H
#define WG_KERNEL_BINDINGS_H

#include <linux/module.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/percpu.h>
#include <linux/random.h>
#include <linux/ktime.h>
#include <linux/timer.h>
#include <linux/workqueue.h>
#include <linux/ptr_ring.h>
#include <linux/rcupdate.h>
#include <linux/suspend.h>
#include <linux/inetdevice.h>
#include <linux/netdevice.h>
#include <linux/etherdevice.h>
#include <linux/ethtool.h>
#include <linux/if_arp.h>
#include <linux/icmp.h>
#include <linux/icmpv6.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/udp.h>
#include <linux/skbuff.h>
#include <net/genetlink.h>
#include <net/rtnetlink.h>
#include <net/netns/generic.h>
#include <net/net_namespace.h>
#include <net/dst_cache.h>
#include <net/dst_metadata.h>
#include <net/gro.h>
#include <net/gso.h>
#include <net/icmp.h>
#include <net/ip_tunnels.h>
#include <net/udp.h>
#include <net/udp_tunnel.h>
#include <net/ipv6.h>
#include <crypto/utils.h>
#include <crypto/blake2s.h>
#include <crypto/chacha.h>
#include <crypto/chacha20poly1305.h>
#include <crypto/curve25519.h>
#include <crypto/poly1305.h>

#include "helpers.h"

#ifdef __BINDGEN__
/* Where members of anonymous structures are: layout.rs compares it with where bindgen puts them. */
#define OFFSET(name, type, member) const size_t OFFSET_##name = offsetof(struct type, member)
OFFSET(POLICY_REJECT_MESSAGE, nla_policy, reject_message);
OFFSET(POLICY_NESTED, nla_policy, nested_policy);
OFFSET(POLICY_MASK, nla_policy, mask);
OFFSET(POLICY_MIN, nla_policy, min);
OFFSET(POLICY_MAX, nla_policy, max);
OFFSET(OPS_DOIT, genl_split_ops, doit);
OFFSET(OPS_START, genl_split_ops, start);
OFFSET(OPS_DUMPIT, genl_split_ops, dumpit);
OFFSET(CALLBACK_CTX, netlink_callback, ctx);
OFFSET(DST_DEV, dst_entry, dev);
OFFSET(SKB_NEXT, sk_buff, next);
OFFSET(SKB_PREV, sk_buff, prev);
OFFSET(SKB_DEV, sk_buff, dev);
OFFSET(SKB_MARK, sk_buff, mark);
OFFSET(SKB_HEADERS, sk_buff, headers);
OFFSET(SKB_CSUM_START, sk_buff, csum_start);
OFFSET(SKB_CSUM_OFFSET, sk_buff, csum_offset);

/*
 * Macros that bindgen cannot evaluate, as constants that it can. helpers.c checks the one that
 * had to be spelled out.
 */
const unsigned int NET_SKB_PAD_BYTES = L1_CACHE_BYTES > 32 ? L1_CACHE_BYTES : 32;
const gfp_t GFP_KERNEL_FLAGS = GFP_KERNEL;
const gfp_t GFP_TRY_FLAGS = GFP_KERNEL | __GFP_NORETRY | __GFP_NOWARN;
const gfp_t GFP_ATOMIC_FLAGS = GFP_ATOMIC;
const gfp_t GFP_ATOMIC_NOWARN_FLAGS = GFP_ATOMIC | __GFP_NOWARN;
const netdev_features_t NETIF_F_WG = NETIF_F_HW_CSUM | NETIF_F_RXCSUM | NETIF_F_SG |
				     NETIF_F_GSO | NETIF_F_GSO_SOFTWARE | NETIF_F_HIGHDMA;
const unsigned int SKBTX_ANY_TIMESTAMP = SKBTX_ANY_TSTAMP;
const unsigned int AUTHTAG_SIZE = CHACHA20POLY1305_AUTHTAG_SIZE;
const unsigned int KEY_SIZE = CHACHA20POLY1305_KEY_SIZE;
const int TX_OK = NETDEV_TX_OK;
const unsigned char MCAST_CAP_NET_ADMIN = GENL_MCAST_CAP_NET_ADMIN;
const bool HAS_SYSCTL = IS_ENABLED(CONFIG_SYSCTL);
const bool SUSPENDS_ALL_THE_TIME = IS_ENABLED(CONFIG_PM_AUTOSLEEP) ||
				   IS_ENABLED(CONFIG_PM_USERSPACE_AUTOSLEEP);
#endif

#endif
