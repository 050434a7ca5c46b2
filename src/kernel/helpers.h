/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Inline functions and macros of the kernel as ordinary functions, so that
 * Rust can call them. Most are one expression; the others are what a caller in
 * C would write around it. What becomes of packets and peers is decided in Rust.
 */
#ifndef WG_KERNEL_HELPERS_H
#define WG_KERNEL_HELPERS_H

#include <linux/bpf-cgroup.h>
#include <linux/cpumask.h>
#include <linux/file.h>
#include <linux/filter.h>
#include <linux/icmpv6.h>
#include <linux/inetdevice.h>
#include <linux/mutex.h>
#include <linux/net.h>
#include <linux/netdevice.h>
#include <linux/percpu.h>
#include <linux/ptr_ring.h>
#include <linux/random.h>
#include <linux/rtnetlink.h>
#include <linux/rwsem.h>
#include <linux/scatterlist.h>
#include <linux/security.h>
#include <linux/siphash.h>
#include <linux/skbuff.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/sysctl.h>
#include <linux/timer.h>
#include <linux/workqueue.h>
#include <net/dst_cache.h>
#include <net/addrconf.h>
#include <net/genetlink.h>
#include <net/gso.h>
#include <net/icmp.h>
#include <net/inet_ecn.h>
#include <net/inet_sock.h>
#include <net/ip_tunnels.h>
#include <net/ipv6.h>
#include <net/net_namespace.h>
#include <net/netlink.h>
#include <net/netns/generic.h>
#include <net/rtnetlink.h>
#include <net/udp_tunnel.h>

/* That of the in-tree module. */
#ifndef WG_VERSION
#define WG_VERSION "1.0.0"
#endif

/* Locks. */
void wg_spin_lock_init(spinlock_t *lock, const char *name, struct lock_class_key *key);
void wg_spin_lock_bh(spinlock_t *lock);
void wg_spin_unlock_bh(spinlock_t *lock);
bool wg_spin_trylock_bh(spinlock_t *lock);
void wg_spin_assert_held(spinlock_t *lock);
void wg_rwlock_init(rwlock_t *lock, const char *name, struct lock_class_key *key);
void wg_read_lock_bh(rwlock_t *lock);
void wg_read_unlock_bh(rwlock_t *lock);
void wg_write_lock_bh(rwlock_t *lock);
void wg_write_unlock_bh(rwlock_t *lock);
void wg_init_rwsem(struct rw_semaphore *sem, const char *name, struct lock_class_key *key);
void wg_rcu_read_lock_bh(void);
void wg_rcu_read_unlock_bh(void);
bool wg_need_resched(void);
void wg_cond_resched(void);

/* Memory, CPUs and random numbers. */
void __percpu *wg_alloc_percpu(size_t size, size_t align);
void wg_free_percpu(void __percpu *ptr);
void *wg_per_cpu_ptr(void __percpu *ptr, unsigned int cpu);
struct kmem_cache *wg_kmem_cache_create(const char *name, unsigned int size, unsigned int align);
void *wg_kzalloc(size_t size, gfp_t gfp);
void *wg_kmem_cache_zalloc(struct kmem_cache *cache, gfp_t gfp);
void wg_kvfree(const void *ptr);
void *wg_kmalloc(size_t size, gfp_t gfp);
void *wg_alloc_pages_exact(size_t size, gfp_t gfp);
void *wg_vmalloc(size_t size);
u64 wg_total_memory(void);
unsigned int wg_cpumask_next_online(int cpu);
unsigned int wg_cpumask_nth_online(unsigned int nth);
bool wg_cpu_possible(unsigned int cpu);
bool wg_cpu_online(unsigned int cpu);
unsigned int wg_nr_cpu_ids(void);
unsigned int wg_num_online_cpus(void);
void wg_memzero_explicit(void *ptr, size_t len);
bool wg_crypto_memneq(const void *a, const void *b, size_t len);
void wg_blake2s_init(struct blake2s_ctx *ctx, size_t outlen);
void wg_blake2s_init_key(struct blake2s_ctx *ctx, size_t outlen, const void *key, size_t keylen);
u64 wg_siphash(const void *data, size_t len, const siphash_key_t *key);
u32 wg_get_random_u32_below(u32 ceil);
u64 wg_ktime_get_coarse_boottime_ns(void);
unsigned long wg_jiffies(void);
int wg_register_pm_notifier(struct notifier_block *nb);
void wg_unregister_pm_notifier(struct notifier_block *nb);
int wg_register_vmfork_notifier(struct notifier_block *nb);
void wg_unregister_vmfork_notifier(struct notifier_block *nb);

/* Workqueues, timers and NAPI. */
struct workqueue_struct *wg_alloc_workqueue(const char *kind, unsigned int flags, const char *name);
void wg_init_delayed_work(struct delayed_work *work, work_func_t func);
void wg_init_work(struct work_struct *work, work_func_t func, struct lock_class_key *key);
void wg_timer_init(struct timer_list *timer, void (*func)(struct timer_list *), const char *name,
		   struct lock_class_key *key);
bool wg_timer_pending(const struct timer_list *timer);
void wg_netif_napi_add(struct net_device *dev, struct napi_struct *napi,
		       int (*poll)(struct napi_struct *, int));
void wg_netif_napi_del(struct napi_struct *napi);
void wg_napi_synchronize(struct napi_struct *napi);
void wg_napi_schedule(struct napi_struct *napi);
void wg_napi_gro_receive(struct napi_struct *napi, struct sk_buff *skb);

/* Rings. */
int wg_ptr_ring_init(struct ptr_ring *ring, int size, gfp_t gfp);
void wg_ptr_ring_cleanup(struct ptr_ring *ring);
int wg_ptr_ring_produce_bh(struct ptr_ring *ring, void *ptr);
int wg_ptr_ring_produce_locked(struct ptr_ring *ring, void *ptr);
void *wg_ptr_ring_consume_bh(struct ptr_ring *ring);
void *wg_ptr_ring_peek_locked(struct ptr_ring *ring);
void *wg_ptr_ring_consume_locked(struct ptr_ring *ring);

/* Packets. */
struct sk_buff *wg_alloc_skb(unsigned int size, gfp_t gfp);
void wg_skb_reserve(struct sk_buff *skb, int len);
bool wg_pskb_may_pull(struct sk_buff *skb, unsigned int len);
bool wg_pskb_network_may_pull(struct sk_buff *skb, unsigned int len);
int wg_pskb_trim(struct sk_buff *skb, unsigned int len);
struct sk_buff *wg_skb_share_check(struct sk_buff *skb);
int wg_skb_cow_head(struct sk_buff *skb, unsigned int headroom);
struct sk_buff *wg_skb_gso_segment(struct sk_buff *skb);
void wg_put_page(struct page *page);
void wg_get_page(struct page *page);
void *wg_page_address(const struct page *page);
void wg_skb_add_rx_frag(struct sk_buff *skb, int i, struct page *page, int off, int size);
void *wg_skb_frag_address(const skb_frag_t *frag);
unsigned int wg_skb_frag_size(const skb_frag_t *frag);
struct sk_buff *wg_skb_segment_received(struct sk_buff *skb);
unsigned int wg_gro_max_size(const struct net_device *dev);
bool wg_netif_elide_gro(const struct net_device *dev);
void wg_dev_sw_netstats_tx_add(struct net_device *dev, unsigned int packets);
bool wg_skb_frags_readable(const struct sk_buff *skb);
bool wg_skb_owner_is_sender(const struct sk_buff *skb);
void wg_skb_share_owner(struct sk_buff *skb, const struct sk_buff *from);
bool wg_skb_is_gso(const struct sk_buff *skb);
void wg_skb_dst_drop(struct sk_buff *skb);
u32 wg_skb_mtu(const struct sk_buff *skb, const struct net_device *dev);
void wg_skb_orphan(struct sk_buff *skb);
void wg_skb_get_hash(struct sk_buff *skb);
void wg_skb_reset_redirect(struct sk_buff *skb);
void wg_skb_probe_transport_header(struct sk_buff *skb);
void wg_inet_ecn_decapsulate(struct sk_buff *skb, u8 outer, u8 inner);
void wg_kfree_skb(struct sk_buff *skb);
void wg_consume_skb(struct sk_buff *skb);
void wg_icmp_ndo_send(struct sk_buff *skb, int type, int code);
void wg_icmpv6_ndo_send(struct sk_buff *skb, u8 type, u8 code);

/* Network devices and namespaces. */
void *wg_netdev_priv(const struct net_device *dev);
struct net *wg_dev_net(const struct net_device *dev);
bool wg_netif_running(const struct net_device *dev);
void wg_dev_put(struct net_device *dev);
void wg_count_tx_errors(struct net_device *dev, unsigned long by);
void wg_count_tx_dropped(struct net_device *dev, unsigned long by);
void wg_count_rx_errors(struct net_device *dev, unsigned long by);
void wg_count_rx_frame_errors(struct net_device *dev, unsigned long by);
void wg_count_rx_length_errors(struct net_device *dev, unsigned long by);
void wg_dev_sw_netstats_rx_add(struct net_device *dev, unsigned int packets, unsigned int len);
void wg_netif_keep_dst(struct net_device *dev);
struct in_device *wg_in_dev_get_rtnl(const struct net_device *dev);
void wg_in_dev_no_redirects(struct in_device *in_dev);
void wg_net_no_redirects(struct net *net);
struct inet6_dev *wg_in6_dev_get(const struct net_device *dev);
void wg_in6_dev_no_autoconf(struct inet6_dev *in6_dev);
void wg_set_devtype(struct net_device *dev, const struct device_type *type);
void wg_set_lltx(struct net_device *dev);
void wg_set_no_queue(struct net_device *dev);
void wg_set_tstats(struct net_device *dev);
struct net *wg_newlink_link_net(struct rtnl_newlink_params *params);
struct net *wg_maybe_get_net(struct net *net);
void wg_put_net(struct net *net);
bool wg_port_requires_bind_service(struct net *net, unsigned short port);
bool wg_ipv6_mod_enabled(void);

/* Sockets and routes. */
int wg_udp_sock_create(struct net *net, struct udp_port_cfg *cfg, struct socket **sock);
__be16 wg_inet_sport(const struct sock *sk);
struct net *wg_sock_net(const struct sock *sk);
void wg_sk_classify_flow4(const struct sock *sk, struct flowi4 *fl);
void wg_sk_classify_flow6(const struct sock *sk, struct flowi6 *fl);
int wg_dst_hoplimit4(struct rtable *rt);
int wg_dst_hoplimit6(struct dst_entry *dst);
void wg_dst_release(struct dst_entry *dst);
bool wg_sock_has_policy(const struct sock *sk);
bool wg_sock_flag(const struct sock *sk, enum sock_flags flag);
void wg_udp_set_data_ready(struct sock *sk, void (*data_ready)(struct sock *sk));
void wg_udp_set_gro(struct sock *sk, int (*receive)(struct sock *sk, struct sk_buff *skb));
bool wg_udp_queue_empty(struct sock *sk);
bool wg_udp_accept(struct sock *sk, struct sk_buff *skb);
void wg_sock_hold_net_passively(struct sock *sk);
int wg_sock_set_v6only(struct sock *sk);
bool wg_no_new_privs(void);
bool wg_is_local_port(const struct net *net, u16 port);
int wg_security_may_bind(struct sock *sk, struct sockaddr *address, int len);
bool wg_cgroup_rules_connecting4(struct sock *sk);
bool wg_cgroup_rules_connecting6(struct sock *sk);
bool wg_cgroup_rules_sending4(struct sock *sk);
bool wg_cgroup_rules_sending6(struct sock *sk);
bool wg_sk_filter_passes(struct sock *sk, struct sk_buff *skb);
unsigned int wg_sk_wmem_alloc(const struct sock *sk);
int wg_sk_sndbuf(const struct sock *sk);
void wg_sk_forget_user_data(struct sock *sk);
kuid_t wg_sk_uid(const struct sock *sk);
void wg_wake_up(wait_queue_head_t *queue);
void wg_wake_up_all(wait_queue_head_t *queue);
unsigned long wg_wait_queue_lock(wait_queue_head_t *queue);
void wg_wait_queue_unlock(wait_queue_head_t *queue, unsigned long flags);
void wg_wait_queue_append(wait_queue_head_t *queue, wait_queue_entry_t *entry);
void wg_skb_no_timestamp(struct sk_buff *skb);
bool wg_sk_is_plain(const struct sock *sk);
void wg_list_del_init(struct list_head *entry);
struct ctl_table_header *wg_register_net_sysctl(struct net *net, const char *path,
						struct ctl_table *table);
void wg_unregister_net_sysctl(struct ctl_table_header *header);
void *wg_net_generic(const struct net *net, unsigned int id);
void wg_sockfd_put(struct socket *sock);
void wg_dst_cache_reset(struct dst_cache *cache);

/* Netlink. */
const struct netlink_skb_parms *wg_netlink_cb(const struct sk_buff *skb);
const struct cred *wg_current_cred(void);
void *wg_genlmsg_put(struct sk_buff *skb, struct netlink_callback *cb,
		     const struct genl_family *family, int flags, u8 cmd);
void wg_genlmsg_end(struct sk_buff *skb, void *hdr);
void wg_genlmsg_cancel(struct sk_buff *skb, void *hdr);
struct sk_buff *wg_genlmsg_new(size_t payload);
void wg_genlmsg_free(struct sk_buff *skb);
bool wg_genl_has_listeners(const struct genl_family *family);
int wg_genlmsg_multicast(const struct genl_family *family, struct net *net, struct sk_buff *skb,
			 netlink_filter_fn filter);
void wg_genl_dump_check_consistent(struct netlink_callback *cb, void *hdr);
struct nlattr *wg_nla_nest_start(struct sk_buff *skb, int type);
void wg_nla_nest_end(struct sk_buff *skb, struct nlattr *nest);
void wg_nla_nest_cancel(struct sk_buff *skb, struct nlattr *nest);
int wg_nla_put_u64(struct sk_buff *skb, int type, u64 value, int pad);
u32 wg_netlink_uid(const struct sk_buff *skb, kuid_t uid);
const struct genl_info *wg_genl_info_dump(struct netlink_callback *cb);

/* Messages, most of them for dynamic debug. */
void wg_error_socket(const char *dev, const char *which);
void wg_debug_peer(const char *dev, const char *what, u64 peer, const void *endpoint);
void wg_debug_addr(const char *dev, const char *what, const void *endpoint);
void wg_debug_no_peer(const char *dev, const void *ip);
void wg_debug_source(const char *dev, const void *ip, u64 peer, const void *endpoint);
void wg_debug_often(const char *dev, const char *what);
void wg_debug_no_route(const char *dev, const void *endpoint, int error);
void wg_debug_counter(const char *dev, u64 peer, const void *endpoint, u64 counter, u64 highest);
void wg_debug_unanswered(const char *dev, u64 peer, const void *endpoint, unsigned int seconds,
			 unsigned int attempt);
void wg_debug_given_up(const char *dev, u64 peer, const void *endpoint, unsigned int attempts);
void wg_debug_silence(const char *dev, u64 peer, const void *endpoint, unsigned int seconds);
void wg_debug_wiping(const char *dev, u64 peer, const void *endpoint, unsigned int seconds);
void wg_debug_peer_created(const char *dev, u64 peer);
void wg_debug_peer_destroyed(const char *dev, u64 peer, const void *endpoint);
void wg_debug_keypair(const char *dev, u64 id, const char *what, u64 peer);
void wg_debug_dev(const char *dev, const char *what);

#endif
