// SPDX-License-Identifier: GPL-2.0

#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/sctp.h>

#include "bindings.h"

MODULE_VERSION(WG_VERSION);

/* Locks. */

void wg_spin_lock_init(spinlock_t *lock, const char *name, struct lock_class_key *key)
{
#if defined(CONFIG_PREEMPT_RT) && defined(CONFIG_DEBUG_LOCK_ALLOC)
	__spin_lock_init(lock, name, key, false);
#elif defined(CONFIG_DEBUG_SPINLOCK) && !defined(CONFIG_PREEMPT_RT)
	__raw_spin_lock_init(spinlock_check(lock), name, key, LD_WAIT_CONFIG);
#else
	spin_lock_init(lock);
#endif
}

void wg_spin_lock_bh(spinlock_t *lock)
{
	spin_lock_bh(lock);
}

void wg_spin_unlock_bh(spinlock_t *lock)
{
	spin_unlock_bh(lock);
}

bool wg_spin_trylock_bh(spinlock_t *lock)
{
	return spin_trylock_bh(lock);
}

void wg_spin_assert_held(spinlock_t *lock)
{
	lockdep_assert_held(lock);
}

void wg_rwlock_init(rwlock_t *lock, const char *name, struct lock_class_key *key)
{
#if defined(CONFIG_PREEMPT_RT) && defined(CONFIG_DEBUG_LOCK_ALLOC)
	init_rwbase_rt(&lock->rwbase);
	__rt_rwlock_init(lock, name, key);
#elif defined(CONFIG_DEBUG_SPINLOCK) && !defined(CONFIG_PREEMPT_RT)
	__rwlock_init(lock, name, key);
#else
	rwlock_init(lock);
#endif
}

void wg_read_lock_bh(rwlock_t *lock)
{
	read_lock_bh(lock);
}

void wg_read_unlock_bh(rwlock_t *lock)
{
	read_unlock_bh(lock);
}

void wg_write_lock_bh(rwlock_t *lock)
{
	write_lock_bh(lock);
}

void wg_write_unlock_bh(rwlock_t *lock)
{
	write_unlock_bh(lock);
}

void wg_init_rwsem(struct rw_semaphore *sem, const char *name, struct lock_class_key *key)
{
	__init_rwsem(sem, name, key);
}

void wg_rcu_read_lock_bh(void)
{
	rcu_read_lock_bh();
}

void wg_rcu_read_unlock_bh(void)
{
	rcu_read_unlock_bh();
}

bool wg_need_resched(void)
{
	return need_resched();
}

void wg_cond_resched(void)
{
	cond_resched();
}

/* Memory, CPUs and random numbers. */

void __percpu *wg_alloc_percpu(size_t size, size_t align)
{
	return __alloc_percpu(size, align);
}

void wg_free_percpu(void __percpu *ptr)
{
	free_percpu(ptr);
}

void *wg_per_cpu_ptr(void __percpu *ptr, unsigned int cpu)
{
	return per_cpu_ptr(ptr, cpu);
}

struct kmem_cache *wg_kmem_cache_create(const char *name, unsigned int size, unsigned int align)
{
	return kmem_cache_create(name, size, align, 0, NULL);
}

void *wg_kzalloc(size_t size, gfp_t gfp)
{
	return kzalloc(size, gfp);
}

void *wg_kmem_cache_zalloc(struct kmem_cache *cache, gfp_t gfp)
{
	return kmem_cache_zalloc(cache, gfp);
}

void wg_kvfree(const void *ptr)
{
	kvfree(ptr);
}

void *wg_kmalloc(size_t size, gfp_t gfp)
{
	return kmalloc(size, gfp);
}

void *wg_alloc_pages_exact(size_t size, gfp_t gfp)
{
	return alloc_pages_exact(size, gfp);
}

void *wg_vmalloc(size_t size)
{
	return vmalloc(size);
}

u64 wg_total_memory(void)
{
	return (u64)totalram_pages() << PAGE_SHIFT;
}

unsigned int wg_cpumask_next_online(int cpu)
{
	return cpumask_next(cpu, cpu_online_mask);
}

unsigned int wg_cpumask_nth_online(unsigned int nth)
{
	return cpumask_nth(nth, cpu_online_mask);
}

bool wg_cpu_possible(unsigned int cpu)
{
	return cpu_possible(cpu);
}

bool wg_cpu_online(unsigned int cpu)
{
	return cpu_online(cpu);
}

unsigned int wg_nr_cpu_ids(void)
{
	return nr_cpu_ids;
}

unsigned int wg_num_online_cpus(void)
{
	return num_online_cpus();
}

void wg_memzero_explicit(void *ptr, size_t len)
{
	memzero_explicit(ptr, len);
}

bool wg_crypto_memneq(const void *a, const void *b, size_t len)
{
	return crypto_memneq(a, b, len);
}

void wg_blake2s_init(struct blake2s_ctx *ctx, size_t outlen)
{
	blake2s_init(ctx, outlen);
}

void wg_blake2s_init_key(struct blake2s_ctx *ctx, size_t outlen, const void *key, size_t keylen)
{
	blake2s_init_key(ctx, outlen, key, keylen);
}

u64 wg_siphash(const void *data, size_t len, const siphash_key_t *key)
{
	return siphash(data, len, key);
}

u32 wg_get_random_u32_below(u32 ceil)
{
	return get_random_u32_below(ceil);
}

u64 wg_ktime_get_coarse_boottime_ns(void)
{
	return ktime_get_coarse_boottime_ns();
}

unsigned long wg_jiffies(void)
{
	return jiffies;
}

int wg_register_pm_notifier(struct notifier_block *nb)
{
	return register_pm_notifier(nb);
}

void wg_unregister_pm_notifier(struct notifier_block *nb)
{
	unregister_pm_notifier(nb);
}

int wg_register_vmfork_notifier(struct notifier_block *nb)
{
	return register_random_vmfork_notifier(nb);
}

void wg_unregister_vmfork_notifier(struct notifier_block *nb)
{
	unregister_random_vmfork_notifier(nb);
}

/* Workqueues, timers and NAPI. */

struct workqueue_struct *wg_alloc_workqueue(const char *kind, unsigned int flags, const char *name)
{
	return alloc_workqueue("%s-%s", flags, 0, kind, name);
}

void wg_init_work(struct work_struct *work, work_func_t func, struct lock_class_key *key)
{
	__INIT_WORK_KEY(work, func, 0, key);
}

void wg_init_delayed_work(struct delayed_work *work, work_func_t func)
{
	INIT_DELAYED_WORK(work, func);
}

void wg_timer_init(struct timer_list *timer, void (*func)(struct timer_list *), const char *name,
		   struct lock_class_key *key)
{
	timer_init_key(timer, func, 0, name, key);
}

bool wg_timer_pending(const struct timer_list *timer)
{
	return timer_pending(timer);
}

void wg_netif_napi_add(struct net_device *dev, struct napi_struct *napi,
		       int (*poll)(struct napi_struct *, int))
{
	netif_napi_add(dev, napi, poll);
}

void wg_netif_napi_del(struct napi_struct *napi)
{
	__netif_napi_del(napi);
}

void wg_napi_synchronize(struct napi_struct *napi)
{
	/* Not napi_synchronize(), which does not wait for threads where there is one CPU. */
	while (test_bit(NAPI_STATE_SCHED, &napi->state))
		msleep(1);
}

void wg_napi_schedule(struct napi_struct *napi)
{
	napi_schedule(napi);
}

void wg_napi_gro_receive(struct napi_struct *napi, struct sk_buff *skb)
{
	napi_gro_receive(napi, skb);
}

/* Rings. */

int wg_ptr_ring_init(struct ptr_ring *ring, int size, gfp_t gfp)
{
	return ptr_ring_init(ring, size, gfp);
}

void wg_ptr_ring_cleanup(struct ptr_ring *ring)
{
	ptr_ring_cleanup(ring, NULL);
}

int wg_ptr_ring_produce_bh(struct ptr_ring *ring, void *ptr)
{
	return ptr_ring_produce_bh(ring, ptr);
}

int wg_ptr_ring_produce_locked(struct ptr_ring *ring, void *ptr)
{
	return __ptr_ring_produce(ring, ptr);
}

void *wg_ptr_ring_consume_bh(struct ptr_ring *ring)
{
	return ptr_ring_consume_bh(ring);
}

void *wg_ptr_ring_peek_locked(struct ptr_ring *ring)
{
	return __ptr_ring_peek(ring);
}

void *wg_ptr_ring_consume_locked(struct ptr_ring *ring)
{
	return __ptr_ring_consume(ring);
}

/* Packets. */

struct sk_buff *wg_alloc_skb(unsigned int size, gfp_t gfp)
{
	return alloc_skb(size, gfp);
}

void wg_skb_reserve(struct sk_buff *skb, int len)
{
	BUILD_BUG_ON(NET_SKB_PAD != (L1_CACHE_BYTES > 32 ? L1_CACHE_BYTES : 32));
	skb_reserve(skb, len);
}

bool wg_pskb_may_pull(struct sk_buff *skb, unsigned int len)
{
	return pskb_may_pull(skb, len);
}

bool wg_pskb_network_may_pull(struct sk_buff *skb, unsigned int len)
{
	return pskb_network_may_pull(skb, len);
}

int wg_pskb_trim(struct sk_buff *skb, unsigned int len)
{
	return pskb_trim(skb, len);
}

struct sk_buff *wg_skb_share_check(struct sk_buff *skb)
{
	return skb_share_check(skb, GFP_ATOMIC);
}

int wg_skb_cow_head(struct sk_buff *skb, unsigned int headroom)
{
	return skb_cow_head(skb, headroom);
}

struct sk_buff *wg_skb_gso_segment(struct sk_buff *skb)
{
	return skb_gso_segment(skb, 0);
}

void wg_put_page(struct page *page)
{
	put_page(page);
}

void wg_get_page(struct page *page)
{
	get_page(page);
}

void *wg_page_address(const struct page *page)
{
	return page_address(page);
}

void wg_skb_add_rx_frag(struct sk_buff *skb, int i, struct page *page, int off, int size)
{
	skb_add_rx_frag(skb, i, page, off, size, size);
}

void *wg_skb_frag_address(const skb_frag_t *frag)
{
	return skb_frag_address(frag);
}

unsigned int wg_skb_frag_size(const skb_frag_t *frag)
{
	return skb_frag_size(frag);
}

struct sk_buff *wg_skb_segment_received(struct sk_buff *skb)
{
	return __skb_gso_segment(skb, NETIF_F_SG | NETIF_F_IP_CSUM | NETIF_F_IPV6_CSUM, false);
}

unsigned int wg_gro_max_size(const struct net_device *dev)
{
	/* What is longer has no length in its header. */
	return min3(READ_ONCE(dev->gro_max_size), READ_ONCE(dev->gro_ipv4_max_size), 65536U);
}

bool wg_netif_elide_gro(const struct net_device *dev)
{
	return netif_elide_gro(dev);
}

void wg_dev_sw_netstats_tx_add(struct net_device *dev, unsigned int packets)
{
	dev_sw_netstats_tx_add(dev, packets, 0);
}

bool wg_skb_frags_readable(const struct sk_buff *skb)
{
	return skb_frags_readable(skb);
}

bool wg_skb_owner_is_sender(const struct sk_buff *skb)
{
	return !skb->destructor || is_skb_wmem(skb);
}

void wg_skb_share_owner(struct sk_buff *skb, const struct sk_buff *from)
{
	if (from->sk && is_skb_wmem(from)) {
		refcount_add(skb->truesize, &from->sk->sk_wmem_alloc);
		skb->sk = from->sk;
		skb->destructor = from->destructor;
	}
}

bool wg_skb_is_gso(const struct sk_buff *skb)
{
	return skb_is_gso(skb);
}

void wg_skb_dst_drop(struct sk_buff *skb)
{
	skb_dst_drop(skb);
}

u32 wg_skb_mtu(const struct sk_buff *skb, const struct net_device *dev)
{
	return skb_valid_dst(skb) ? dst_mtu(skb_dst(skb)) : dev->mtu;
}

void wg_skb_orphan(struct sk_buff *skb)
{
	skb_orphan(skb);
}

void wg_skb_get_hash(struct sk_buff *skb)
{
	skb_get_hash(skb);
}

void wg_skb_reset_redirect(struct sk_buff *skb)
{
	skb_reset_redirect(skb);
}

void wg_skb_probe_transport_header(struct sk_buff *skb)
{
	skb_probe_transport_header(skb);
}

void wg_inet_ecn_decapsulate(struct sk_buff *skb, u8 outer, u8 inner)
{
	INET_ECN_decapsulate(skb, outer, inner);
}

void wg_kfree_skb(struct sk_buff *skb)
{
	kfree_skb(skb);
}

void wg_consume_skb(struct sk_buff *skb)
{
	dev_kfree_skb(skb);
}

void wg_icmp_ndo_send(struct sk_buff *skb, int type, int code)
{
	icmp_ndo_send(skb, type, code, 0);
}

void wg_icmpv6_ndo_send(struct sk_buff *skb, u8 type, u8 code)
{
	icmpv6_ndo_send(skb, type, code, 0);
}

/* Network devices and namespaces. */

void *wg_netdev_priv(const struct net_device *dev)
{
	return netdev_priv(dev);
}

struct net *wg_dev_net(const struct net_device *dev)
{
	return dev_net(dev);
}

bool wg_netif_running(const struct net_device *dev)
{
	return netif_running(dev);
}

void wg_dev_put(struct net_device *dev)
{
	dev_put(dev);
}

void wg_count_tx_errors(struct net_device *dev, unsigned long by)
{
	DEV_STATS_ADD(dev, tx_errors, by);
}

void wg_count_tx_dropped(struct net_device *dev, unsigned long by)
{
	DEV_STATS_ADD(dev, tx_dropped, by);
}

void wg_count_rx_errors(struct net_device *dev, unsigned long by)
{
	DEV_STATS_ADD(dev, rx_errors, by);
}

void wg_count_rx_frame_errors(struct net_device *dev, unsigned long by)
{
	DEV_STATS_ADD(dev, rx_frame_errors, by);
}

void wg_count_rx_length_errors(struct net_device *dev, unsigned long by)
{
	DEV_STATS_ADD(dev, rx_length_errors, by);
}

void wg_dev_sw_netstats_rx_add(struct net_device *dev, unsigned int packets, unsigned int len)
{
	struct pcpu_sw_netstats *tstats = this_cpu_ptr(dev->tstats);

	u64_stats_update_begin(&tstats->syncp);
	u64_stats_add(&tstats->rx_bytes, len);
	u64_stats_add(&tstats->rx_packets, packets);
	u64_stats_update_end(&tstats->syncp);
}

void wg_netif_keep_dst(struct net_device *dev)
{
	netif_keep_dst(dev);
}

struct in_device *wg_in_dev_get_rtnl(const struct net_device *dev)
{
	return __in_dev_get_rtnl(dev);
}

void wg_in_dev_no_redirects(struct in_device *in_dev)
{
	IN_DEV_CONF_SET(in_dev, SEND_REDIRECTS, false);
}

void wg_net_no_redirects(struct net *net)
{
	IPV4_DEVCONF_ALL(net, SEND_REDIRECTS) = false;
}

struct inet6_dev *wg_in6_dev_get(const struct net_device *dev)
{
	return __in6_dev_get(dev);
}

void wg_in6_dev_no_autoconf(struct inet6_dev *in6_dev)
{
	in6_dev->cnf.addr_gen_mode = IN6_ADDR_GEN_MODE_NONE;
}

void wg_set_devtype(struct net_device *dev, const struct device_type *type)
{
	SET_NETDEV_DEVTYPE(dev, type);
}

void wg_set_lltx(struct net_device *dev)
{
	dev->lltx = true;
}

void wg_set_no_queue(struct net_device *dev)
{
	dev->priv_flags |= IFF_NO_QUEUE;
}

void wg_set_tstats(struct net_device *dev)
{
	dev->pcpu_stat_type = NETDEV_PCPU_STAT_TSTATS;
}

struct net *wg_newlink_link_net(struct rtnl_newlink_params *params)
{
	return rtnl_newlink_link_net(params);
}

struct net *wg_maybe_get_net(struct net *net)
{
	return maybe_get_net(net);
}

void wg_put_net(struct net *net)
{
	put_net(net);
}

bool wg_port_requires_bind_service(struct net *net, unsigned short port)
{
	return inet_port_requires_bind_service(net, port);
}

bool wg_ipv6_mod_enabled(void)
{
	return ipv6_mod_enabled();
}

/* Sockets and routes. */

int wg_udp_sock_create(struct net *net, struct udp_port_cfg *cfg, struct socket **sock)
{
	return udp_sock_create(net, cfg, sock);
}

__be16 wg_inet_sport(const struct sock *sk)
{
	return inet_sk(sk)->inet_sport;
}

struct net *wg_sock_net(const struct sock *sk)
{
	return sock_net(sk);
}

void wg_sk_classify_flow4(const struct sock *sk, struct flowi4 *fl)
{
	security_sk_classify_flow(sk, flowi4_to_flowi_common(fl));
}

void wg_sk_classify_flow6(const struct sock *sk, struct flowi6 *fl)
{
	security_sk_classify_flow(sk, flowi6_to_flowi_common(fl));
}

int wg_dst_hoplimit4(struct rtable *rt)
{
	return ip4_dst_hoplimit(&rt->dst);
}

int wg_dst_hoplimit6(struct dst_entry *dst)
{
#if IS_ENABLED(CONFIG_IPV6)
	return ip6_dst_hoplimit(dst);
#else
	return 0;
#endif
}

void wg_dst_release(struct dst_entry *dst)
{
	dst_release(dst);
}

bool wg_sock_has_policy(const struct sock *sk)
{
#ifdef CONFIG_XFRM
	return rcu_access_pointer(sk->sk_policy[0]) || rcu_access_pointer(sk->sk_policy[1]);
#else
	return false;
#endif
}

bool wg_sock_flag(const struct sock *sk, enum sock_flags flag)
{
	return sock_flag(sk, flag);
}

void wg_udp_set_data_ready(struct sock *sk, void (*data_ready)(struct sock *sk))
{
	/* Whoever fills the queue empties it, so nobody ever polls for more. */
	WRITE_ONCE(sk->sk_ll_usec, 0);
	write_lock_bh(&sk->sk_callback_lock);
	WRITE_ONCE(sk->sk_data_ready, data_ready);
	write_unlock_bh(&sk->sk_callback_lock);
	/* For packets that are cut up: their checksums are known to be right. */
	inet_dec_convert_csum(sk);
	udp_set_bit(ACCEPT_L4, sk);
}

void wg_udp_set_gro(struct sock *sk, int (*receive)(struct sock *sk, struct sk_buff *skb))
{
	WRITE_ONCE(udp_sk(sk)->encap_rcv, receive);
	udp_assign_bit(GRO_ENABLED, sk, !receive);
}

bool wg_udp_queue_empty(struct sock *sk)
{
	return skb_queue_empty_lockless(&sk->sk_receive_queue) &&
	       skb_queue_empty_lockless(&udp_sk(sk)->reader_queue);
}

bool wg_udp_accept(struct sock *sk, struct sk_buff *skb)
{
	bool ipv4 = sk->sk_family == AF_INET;

	if (udp_lib_checksum_complete(skb)) {
		SNMP_ADD_STATS(__UDPX_MIB(sk, ipv4), UDP_MIB_CSUMERRORS, 1);
		SNMP_ADD_STATS(__UDPX_MIB(sk, ipv4), UDP_MIB_INERRORS, 1);
		return false;
	}
	SNMP_ADD_STATS(__UDPX_MIB(sk, ipv4), UDP_MIB_INDATAGRAMS, skb_shinfo(skb)->gso_segs ?: 1);
	return true;
}

/* Sockets of the task that asks for them. */

void wg_sock_hold_net_passively(struct sock *sk)
{
	net_passive_inc(sock_net(sk));
	sock_inuse_add(sock_net(sk), -1);
	put_net_track(sock_net(sk), &sk->ns_tracker);
	__netns_tracker_alloc(sock_net(sk), &sk->ns_tracker, false, GFP_KERNEL);
	sk->sk_net_refcnt = 0;
}

int wg_sock_set_v6only(struct sock *sk)
{
	return ip6_sock_set_v6only(sk);
}

bool wg_no_new_privs(void)
{
	return task_no_new_privs(current);
}

bool wg_is_local_port(const struct net *net, u16 port)
{
	int low, high;

	inet_get_local_port_range(net, &low, &high);
	return low <= port && port <= high && !inet_is_local_reserved_port(net, port);
}

int wg_security_may_bind(struct sock *sk, struct sockaddr *address, int len)
{
	return security_sctp_bind_connect(sk, SCTP_SOCKOPT_BINDX_ADD, address, len);
}

#ifdef CONFIG_CGROUP_BPF
#define rules(sk, type) (cgroup_bpf_enabled(type) && cgroup_bpf_sock_enabled(sk, type))
#else
#define rules(sk, type) false
#endif

bool wg_cgroup_rules_connecting4(struct sock *sk)
{
	return rules(sk, CGROUP_INET4_CONNECT);
}

bool wg_cgroup_rules_connecting6(struct sock *sk)
{
	return rules(sk, CGROUP_INET6_CONNECT);
}

bool wg_cgroup_rules_sending4(struct sock *sk)
{
	return rules(sk, CGROUP_UDP4_SENDMSG);
}

bool wg_cgroup_rules_sending6(struct sock *sk)
{
	return rules(sk, CGROUP_UDP6_SENDMSG);
}

bool wg_sk_filter_passes(struct sock *sk, struct sk_buff *skb)
{
	return !sk_filter_trim_cap(sk, skb, sizeof(struct udphdr));
}

unsigned int wg_sk_wmem_alloc(const struct sock *sk)
{
	return refcount_read(&sk->sk_wmem_alloc);
}

int wg_sk_sndbuf(const struct sock *sk)
{
	return READ_ONCE(sk->sk_sndbuf);
}

void wg_sk_forget_user_data(struct sock *sk)
{
	rcu_assign_sk_user_data(sk, NULL);
}

kuid_t wg_sk_uid(const struct sock *sk)
{
	return sk_uid(sk);
}

void wg_wake_up(wait_queue_head_t *queue)
{
	wake_up(queue);
}

void wg_wake_up_all(wait_queue_head_t *queue)
{
	wake_up_all(queue);
}

unsigned long wg_wait_queue_lock(wait_queue_head_t *queue)
{
	unsigned long flags;

	spin_lock_irqsave(&queue->lock, flags);
	return flags;
}

void wg_wait_queue_unlock(wait_queue_head_t *queue, unsigned long flags)
{
	spin_unlock_irqrestore(&queue->lock, flags);
}

void wg_wait_queue_append(wait_queue_head_t *queue, wait_queue_entry_t *entry)
{
	__add_wait_queue_entry_tail(queue, entry);
}

void wg_skb_no_timestamp(struct sk_buff *skb)
{
	skb_shinfo(skb)->tx_flags &= ~SKBTX_ANY_TSTAMP;
}

bool wg_sk_is_plain(const struct sock *sk)
{
	return !sk->sk_mark && !sk->sk_bound_dev_if && !sk->sk_priority &&
	       !(sk->sk_userlocks & SOCK_BINDADDR_LOCK);
}

void wg_list_del_init(struct list_head *entry)
{
	list_del_init(entry);
}

/* Switches of each network namespace. */

struct ctl_table_header *wg_register_net_sysctl(struct net *net, const char *path,
						struct ctl_table *table)
{
	return register_net_sysctl_sz(net, path, table, 1);
}

void wg_unregister_net_sysctl(struct ctl_table_header *header)
{
	unregister_net_sysctl_table(header);
}

void *wg_net_generic(const struct net *net, unsigned int id)
{
	return net_generic(net, id);
}

void wg_sockfd_put(struct socket *sock)
{
	sockfd_put(sock);
}

void wg_dst_cache_reset(struct dst_cache *cache)
{
	dst_cache_reset(cache);
}

/* Netlink. */

const struct netlink_skb_parms *wg_netlink_cb(const struct sk_buff *skb)
{
	return &NETLINK_CB(skb);
}

const struct cred *wg_current_cred(void)
{
	return current_cred();
}

void *wg_genlmsg_put(struct sk_buff *skb, struct netlink_callback *cb,
		     const struct genl_family *family, int flags, u8 cmd)
{
	return genlmsg_put(skb, NETLINK_CB(cb->skb).portid, cb->nlh->nlmsg_seq, family, flags, cmd);
}

void wg_genlmsg_end(struct sk_buff *skb, void *hdr)
{
	genlmsg_end(skb, hdr);
}

void wg_genlmsg_cancel(struct sk_buff *skb, void *hdr)
{
	genlmsg_cancel(skb, hdr);
}

struct sk_buff *wg_genlmsg_new(size_t payload)
{
	return genlmsg_new(payload, GFP_KERNEL);
}

void wg_genlmsg_free(struct sk_buff *skb)
{
	nlmsg_free(skb);
}

/* All families' listeners of all namespaces are in one table. */
bool wg_genl_has_listeners(const struct genl_family *family)
{
	return genl_has_listeners(family, &init_net, 0);
}

int wg_genlmsg_multicast(const struct genl_family *family, struct net *net, struct sk_buff *skb,
			 netlink_filter_fn filter)
{
	return genlmsg_multicast_netns_filtered(family, net, skb, 0, 0, GFP_KERNEL, filter, net);
}

void wg_genl_dump_check_consistent(struct netlink_callback *cb, void *hdr)
{
	genl_dump_check_consistent(cb, hdr);
}

struct nlattr *wg_nla_nest_start(struct sk_buff *skb, int type)
{
	return nla_nest_start(skb, type);
}

void wg_nla_nest_end(struct sk_buff *skb, struct nlattr *nest)
{
	nla_nest_end(skb, nest);
}

void wg_nla_nest_cancel(struct sk_buff *skb, struct nlattr *nest)
{
	nla_nest_cancel(skb, nest);
}

int wg_nla_put_u64(struct sk_buff *skb, int type, u64 value, int pad)
{
	return nla_put_u64_64bit(skb, type, value, pad);
}

u32 wg_netlink_uid(const struct sk_buff *skb, kuid_t uid)
{
	return from_kuid_munged(sk_user_ns(NETLINK_CB(skb).sk), uid);
}

const struct genl_info *wg_genl_info_dump(struct netlink_callback *cb)
{
	return genl_info_dump(cb);
}

/* Messages, most of them for dynamic debug. */

void wg_error_socket(const char *dev, const char *which)
{
	pr_err("%s: No %s socket for the interface\n", dev, which);
}

void wg_debug_peer(const char *dev, const char *what, u64 peer, const void *endpoint)
{
	net_dbg_ratelimited("%s: %s peer %llu (%pISpfsc)\n", dev, what, peer, endpoint);
}

void wg_debug_addr(const char *dev, const char *what, const void *endpoint)
{
	net_dbg_ratelimited("%s: %s %pISpfsc\n", dev, what, endpoint);
}

void wg_debug_no_peer(const char *dev, const void *ip)
{
	net_dbg_ratelimited("%s: No peer has allowed IPs matching %pISc\n", dev, ip);
}

void wg_debug_source(const char *dev, const void *ip, u64 peer, const void *endpoint)
{
	net_dbg_ratelimited("%s: Packet has unallowed src IP (%pISc) from peer %llu (%pISpfsc)\n",
			    dev, ip, peer, endpoint);
}

void wg_debug_often(const char *dev, const char *what)
{
	net_dbg_ratelimited("%s: %s\n", dev, what);
}

void wg_debug_no_route(const char *dev, const void *endpoint, int error)
{
	net_dbg_ratelimited("%s: No route to %pISpfsc (error %d)\n", dev, endpoint, error);
}

void wg_debug_counter(const char *dev, u64 peer, const void *endpoint, u64 counter, u64 highest)
{
	net_dbg_ratelimited("%s: Packet has invalid nonce %llu (highest %llu) from peer %llu (%pISpfsc)\n",
			    dev, counter, highest, peer, endpoint);
}

void wg_debug_unanswered(const char *dev, u64 peer, const void *endpoint, unsigned int seconds,
			 unsigned int attempt)
{
	pr_debug("%s: No answer to a handshake from peer %llu (%pISpfsc) in %u seconds, attempt %u follows\n",
		 dev, peer, endpoint, seconds, attempt);
}

void wg_debug_given_up(const char *dev, u64 peer, const void *endpoint, unsigned int attempts)
{
	pr_debug("%s: Giving up the handshake with peer %llu (%pISpfsc) after %u attempts\n",
		 dev, peer, endpoint, attempts);
}

void wg_debug_silence(const char *dev, u64 peer, const void *endpoint, unsigned int seconds)
{
	pr_debug("%s: Nothing heard from peer %llu (%pISpfsc) in %u seconds, a new handshake follows\n",
		 dev, peer, endpoint, seconds);
}

void wg_debug_wiping(const char *dev, u64 peer, const void *endpoint, unsigned int seconds)
{
	pr_debug("%s: Wiping all keys of peer %llu (%pISpfsc), of which none is new in %u seconds\n",
		 dev, peer, endpoint, seconds);
}

void wg_debug_peer_created(const char *dev, u64 peer)
{
	pr_debug("%s: Peer %llu created\n", dev, peer);
}

void wg_debug_peer_destroyed(const char *dev, u64 peer, const void *endpoint)
{
	pr_debug("%s: Peer %llu (%pISpfsc) destroyed\n", dev, peer, endpoint);
}

void wg_debug_keypair(const char *dev, u64 id, const char *what, u64 peer)
{
	net_dbg_ratelimited("%s: Keypair %llu %s for peer %llu\n", dev, id, what, peer);
}

void wg_debug_dev(const char *dev, const char *what)
{
	pr_debug("%s: %s\n", dev, what);
}
