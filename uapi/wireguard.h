/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * Generic netlink interface of WireGuard devices.
 *
 * Family WG_GENL_NAME, version WG_GENL_VERSION. Everything up to
 * WGDEVICE_A_PEERS and all of the peer and allowed IP attributes have the
 * numbers and meanings of the kernel's own <linux/wireguard.h>, so programs
 * written for that work unchanged. The WGDEVICE_A_TRANSIT_* attributes,
 * WG_CMD_GET_TRANSIT and the events are this module's addition.
 *
 * Two commands, both with CAP_NET_ADMIN over the network namespace (netns) of
 * the device, in the user namespace that owns that netns, and a third one with
 * CAP_NET_ADMIN over the netns of the asker:
 *
 * WG_CMD_GET_DEVICE (dump)
 *	The request names the device by exactly one of WGDEVICE_A_IFINDEX and
 *	WGDEVICE_A_IFNAME. The answer is one or more messages. Only the first
 *	has the attributes of the device itself; it has those of the transit
 *	netns only if the request has WGDEVICE_A_TRANSIT_WANTED, which the
 *	kernel's own module refuses with EINVAL. When the peers do not fit into
 *	a message, the next one goes on with them; when the allowed IPs of a
 *	peer do not fit, the next message begins with that peer again, with
 *	WGPEER_A_PUBLIC_KEY and the remaining WGPEER_A_ALLOWEDIPS only, to be
 *	joined with the last peer of the message before. If the peers changed
 *	between two messages, NLM_F_DUMP_INTR is set and the dump has to be
 *	repeated.
 *
 * WG_CMD_SET_DEVICE (do)
 *	The request names the device likewise, and has those attributes that
 *	are to change. A long list of peers or allowed IPs is sent in several
 *	requests; WGDEVICE_F_REPLACE_PEERS and WGPEER_F_REPLACE_ALLOWEDIPS then
 *	belong into the first one only. Listen port, fwmark and transit netns
 *	of one request change together or not at all.
 *
 * WG_CMD_GET_TRANSIT (dump)
 *	The request has no attributes. The answer has a message for each device
 *	of another netns whose sockets live in the netns of the asker, with
 *	WGTRANSIT_A_*: who has sockets here, and how much they are used. It
 *	tells nothing of names, keys and peers.
 *
 * WG_CMD_*_NTF (events)
 *	What happens to a device is multicast to WG_GENL_MCGRP_EVENTS, in the
 *	netns of the device and in no other. Joining takes CAP_NET_ADMIN over
 *	that netns. See enum wg_cmd for the events and WGEVENT_A_* for what is
 *	in them. There is no key in an event but public ones. Like events of a
 *	peer that packets cause are told at most ten times a second, with a
 *	count. A listener whose socket is full gets ENOBUFS from recv(), and
 *	after WG_CMD_OVERRUN_NTF too it has to ask for the state again. A
 *	listener that wants state and events joins first, and then asks.
 *
 * Errors that either command may return, besides those named below:
 *
 *	EPERM		no CAP_NET_ADMIN over the netns of the device
 *	ENODEV		no such device
 *	EOPNOTSUPP	the device is not one of WireGuard's
 *	EBADR		the device was named by none or both of its attributes
 *	EINVAL		an attribute is malformed, or unknown
 *
 * Errors come with an extended acknowledgement (NETLINK_EXT_ACK) that says why
 * in words and, where one attribute is at fault, which.
 */
#ifndef _UAPI_WIREGUARD_H
#define _UAPI_WIREGUARD_H

#define WG_GENL_NAME	"wireguard"
#define WG_GENL_VERSION	1
#define WG_GENL_MCGRP_EVENTS	"events"

/* Bytes of every key: Curve25519 points and scalars, and preshared keys. */
#define WG_KEY_LEN	32

/* For WGDEVICE_A_FLAGS */
enum wgdevice_flag {
	/* Remove all peers before those of the request are added. */
	WGDEVICE_F_REPLACE_PEERS = 1,
};

/* For WGPEER_A_FLAGS */
enum wgpeer_flag {
	/* Remove the peer, if there is one. */
	WGPEER_F_REMOVE_ME = 1,
	/* Take all allowed IPs from the peer before those given are added. */
	WGPEER_F_REPLACE_ALLOWEDIPS = 2,
	/* Do nothing if there is no such peer, instead of adding it. */
	WGPEER_F_UPDATE_ONLY = 4,
};

/* For WGALLOWEDIP_A_FLAGS */
enum wgallowedip_flag {
	/* Take the allowed IP from the peer, if it has it. */
	WGALLOWEDIP_F_REMOVE_ME = 1,
};

enum wgdevice_attribute {
	WGDEVICE_A_UNSPEC,

	/* u32: index of the interface. GET, SET */
	WGDEVICE_A_IFINDEX,

	/* string, at most 15 characters and NUL: its name. GET, SET */
	WGDEVICE_A_IFNAME,

	/*
	 * WG_KEY_LEN bytes. SET: all zero to remove the key. GET: absent if
	 * there is none.
	 */
	WGDEVICE_A_PRIVATE_KEY,

	/* WG_KEY_LEN bytes: the key that belongs to it. GET */
	WGDEVICE_A_PUBLIC_KEY,

	/* u32: WGDEVICE_F_*. SET */
	WGDEVICE_A_FLAGS,

	/*
	 * u16, host byte order: UDP port of the sockets. SET: 0 to let the
	 * kernel choose. GET, SET. Errors of SET:
	 *
	 *	EADDRINUSE	taken in the transit netns
	 *	EACCES		below the first unprivileged port of the transit
	 *			netns, without CAP_NET_BIND_SERVICE over it
	 *	EPERM		without CAP_NET_ADMIN over the transit netns and
	 *			without credentials for it
	 *	ENONET		the transit netns is gone
	 */
	WGDEVICE_A_LISTEN_PORT,

	/*
	 * u32: mark of outgoing packets, 0 for none. GET, SET. A mark that is
	 * set, or whose device is moved, without CAP_NET_ADMIN over the transit
	 * netns is kept and reported, but not put on packets; SET succeeds then
	 * with a warning in its acknowledgement, and WGDEVICE_A_TRANSIT_FWMARK
	 * tells. Errors of SET:
	 *
	 *	EPERM		another mark than the one that is on the packets,
	 *			without CAP_NET_ADMIN over the transit netns
	 *	ENONET		the transit netns is gone
	 */
	WGDEVICE_A_FWMARK,

	/* nested array of nested WGPEER_A_*; types of elements are ignored. GET, SET */
	WGDEVICE_A_PEERS,

	__WGDEVICE_A_LAST,

	/*
	 * 9 to 63 are left free for what <linux/wireguard.h> may come to define.
	 */

	/*
	 * u32: fd of a netns in the table of the caller. The UDP sockets of the
	 * device are to live there. SET. Errors:
	 *
	 *	EBADF		not open
	 *	EINVAL		no netns, or WGDEVICE_A_TRANSIT_NETNS_PID is
	 *			given too
	 *	EPERM		without CAP_NET_ADMIN over that netns and
	 *			without credentials for it
	 *	EADDRINUSE	the listen port was set by hand and is taken
	 *			there
	 *	EACCES		the listen port is privileged there
	 */
	WGDEVICE_A_TRANSIT_NETNS_FD = 64,

	/*
	 * u32: or a process in the netns, as the PID namespace of the caller
	 * numbers it. SET. Errors as above, and:
	 *
	 *	ESRCH		no such process
	 */
	WGDEVICE_A_TRANSIT_NETNS_PID = 65,

	/*
	 * u32: fd of an IPv4 UDP socket in the table of the caller. It proves
	 * that the caller could run WireGuard in the netns of that socket,
	 * which has to be the transit netns as it will be after the request.
	 * The socket stays as it is. SET. Errors:
	 *
	 *	EBADF		not open
	 *	ENOTSOCK	no socket
	 *	EINVAL		not AF_INET, SOCK_DGRAM and IPPROTO_UDP
	 *	EPERM		in another netns, bound by hand to a port or
	 *			address, tied to an interface, shut down for
	 *			sending, with a mark, a locked filter or an IPsec
	 *			policy; net.wireguard.transit_credentials is 0
	 *			in that netns; or it is needed, and the sender is
	 *			not the one who opened the netlink socket, or has
	 *			a BPF program of its cgroup rule over where it
	 *			may connect or send
	 *	EACCES		a security module does not let the sender send by
	 *			UDP where it likes
	 *	ENONET		the transit netns is gone
	 *
	 * and whatever a security module or a BPF program of the cgroup answers
	 * when the sender has the sockets made and bound.
	 */
	WGDEVICE_A_TRANSIT_CREDENTIAL_IPV4 = 66,

	/*
	 * u32: the same with AF_INET6. Both are needed, except on a kernel
	 * without IPv6. SET
	 */
	WGDEVICE_A_TRANSIT_CREDENTIAL_IPV6 = 67,

	/*
	 * s32: nsid of the transit netns, as the netns of the asker numbers it.
	 * Absent if that is the netns of the device itself;
	 * NETNSA_NSID_NOT_ASSIGNED (-1) if it is gone. GET, where asked for
	 */
	WGDEVICE_A_TRANSIT_NETNSID = 68,

	/*
	 * u32: the mark that outgoing packets really carry:
	 * WGDEVICE_A_FWMARK, or 0 if that is kept but not applied. GET, where
	 * asked for
	 */
	WGDEVICE_A_TRANSIT_FWMARK = 69,

	/*
	 * flag: the answer is to have WGDEVICE_A_TRANSIT_NETNSID and
	 * WGDEVICE_A_TRANSIT_FWMARK. In requests of GET
	 */
	WGDEVICE_A_TRANSIT_WANTED = 70,

	__WGDEVICE_A_TRANSIT_LAST
};

/* Last attribute that the kernel's own header has too. */
#define WGDEVICE_A_MAX (__WGDEVICE_A_LAST - 1)
/* Last attribute of this one. */
#define WGDEVICE_A_TRANSIT_MAX (__WGDEVICE_A_TRANSIT_LAST - 1)

enum wgpeer_attribute {
	WGPEER_A_UNSPEC,

	/* WG_KEY_LEN bytes; names the peer. GET, SET */
	WGPEER_A_PUBLIC_KEY,

	/* WG_KEY_LEN bytes; all zero for none. GET, SET */
	WGPEER_A_PRESHARED_KEY,

	/* u32: WGPEER_F_*. SET */
	WGPEER_A_FLAGS,

	/* struct sockaddr_in or struct sockaddr_in6. GET, SET */
	WGPEER_A_ENDPOINT,

	/* u16: seconds between keepalives, 0 for off. GET, SET */
	WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL,

	/* struct __kernel_timespec: wall clock time, all zero for never. GET */
	WGPEER_A_LAST_HANDSHAKE_TIME,

	/* u64: bytes received from the peer, as they were on the wire. GET */
	WGPEER_A_RX_BYTES,

	/* u64: bytes sent to it. GET */
	WGPEER_A_TX_BYTES,

	/* nested array of nested WGALLOWEDIP_A_*; types of elements are ignored. GET, SET */
	WGPEER_A_ALLOWEDIPS,

	/*
	 * u32: version of the protocol to be spoken with the peer, which is 1.
	 * SET fails with EPFNOSUPPORT for any other. GET, SET
	 */
	WGPEER_A_PROTOCOL_VERSION,

	__WGPEER_A_LAST
};
#define WGPEER_A_MAX (__WGPEER_A_LAST - 1)

enum wgallowedip_attribute {
	WGALLOWEDIP_A_UNSPEC,

	/* u16: AF_INET or AF_INET6. GET, SET */
	WGALLOWEDIP_A_FAMILY,

	/* struct in_addr or struct in6_addr; bits beyond the mask are dropped. GET, SET */
	WGALLOWEDIP_A_IPADDR,

	/* u8: leading bits that count, up to 32 or 128. GET, SET */
	WGALLOWEDIP_A_CIDR_MASK,

	/* u32: WGALLOWEDIP_F_*. SET */
	WGALLOWEDIP_A_FLAGS,

	__WGALLOWEDIP_A_LAST
};
#define WGALLOWEDIP_A_MAX (__WGALLOWEDIP_A_LAST - 1)

enum wgtransit_attribute {
	WGTRANSIT_A_UNSPEC,

	/* aligns the numbers of 64 bits where the machine needs it */
	WGTRANSIT_A_PAD,

	/* u16, host byte order: UDP port of the sockets */
	WGTRANSIT_A_LISTEN_PORT,

	/* flag: there is an IPv4 socket */
	WGTRANSIT_A_IPV4,

	/* flag: there is an IPv6 socket */
	WGTRANSIT_A_IPV6,

	/*
	 * u32: user whom the sockets belong to, as the user namespace of the
	 * asker numbers her: who showed the credentials, or root
	 */
	WGTRANSIT_A_UID,

	/* flag: they were bought with credentials */
	WGTRANSIT_A_CREDENTIALS,

	/*
	 * s32: nsid of the netns of the device, as the netns of the asker
	 * numbers it. Absent if it has no number there
	 */
	WGTRANSIT_A_NETNSID,

	/*
	 * u64: packets and bytes since the sockets were made. Absent of a
	 * device that is just ending
	 */
	WGTRANSIT_A_RX_PACKETS,
	WGTRANSIT_A_RX_BYTES,
	WGTRANSIT_A_TX_PACKETS,
	WGTRANSIT_A_TX_BYTES,

	__WGTRANSIT_A_LAST
};
#define WGTRANSIT_A_MAX (__WGTRANSIT_A_LAST - 1)

/* For WGEVENT_A_FLAGS */
enum wgevent_flag {
	/* There was a session already, which the new one takes over from. */
	WGEVENT_F_RENEWAL = 1,
	/* The preshared key was changed. */
	WGEVENT_F_PRESHARED_KEY = 2,
	/* Allowed IPs were set or removed. */
	WGEVENT_F_ALLOWEDIPS = 4,
};

enum wgevent_attribute {
	WGEVENT_A_UNSPEC,

	/* u32: index of the interface */
	WGEVENT_A_IFINDEX,

	/* string: its name */
	WGEVENT_A_IFNAME,

	/*
	 * struct __kernel_timespec: wall clock time, of the last if there were
	 * several
	 */
	WGEVENT_A_TIME,

	/* u32: how many events this one stands for */
	WGEVENT_A_COUNT,

	/* WG_KEY_LEN bytes: public key of the peer */
	WGEVENT_A_PEER,

	/* u32: WGEVENT_F_*. Absent if 0 */
	WGEVENT_A_FLAGS,

	/*
	 * nested WGDEVICE_A_*: what changed of the device, as it was before
	 * and as it is now. What was not set or is not set any more is 0 or
	 * absent.
	 */
	WGEVENT_A_DEVICE_OLD,
	WGEVENT_A_DEVICE_NEW,

	/* nested WGPEER_A_*: the same of the peer */
	WGEVENT_A_PEER_OLD,
	WGEVENT_A_PEER_NEW,

	__WGEVENT_A_LAST
};
#define WGEVENT_A_MAX (__WGEVENT_A_LAST - 1)

enum wg_cmd {
	WG_CMD_GET_DEVICE,
	WG_CMD_SET_DEVICE,

	/* 2 to 63 are left free likewise. */
	WG_CMD_GET_TRANSIT = 64,

	/*
	 * Events. All have WGEVENT_A_IFINDEX, WGEVENT_A_IFNAME, WGEVENT_A_TIME
	 * and WGEVENT_A_COUNT; those of peers and sessions have WGEVENT_A_PEER.
	 */

	/*
	 * The device was configured. WGEVENT_A_DEVICE_*: WGDEVICE_A_PUBLIC_KEY,
	 * WGDEVICE_A_LISTEN_PORT; WGDEVICE_A_FWMARK and, with it,
	 * WGDEVICE_A_TRANSIT_FWMARK, which is 0 if the mark is kept but not
	 * applied
	 */
	WG_CMD_DEVICE_CHANGE_NTF,

	/*
	 * A peer was added. WGEVENT_A_PEER_NEW: WGPEER_A_ENDPOINT,
	 * WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL
	 */
	WG_CMD_PEER_ADD_NTF,

	/* It was configured. WGEVENT_A_PEER_*: the same; WGEVENT_A_FLAGS */
	WG_CMD_PEER_CHANGE_NTF,

	/* It was removed, and its session ended with it. */
	WG_CMD_PEER_DEL_NTF,

	/*
	 * It was heard at another endpoint than before. WGEVENT_A_PEER_*:
	 * WGPEER_A_ENDPOINT, of the first and the last if there were several
	 */
	WG_CMD_PEER_ROAM_NTF,

	/*
	 * A handshake is complete. WGEVENT_A_FLAGS; WGEVENT_A_PEER_NEW:
	 * WGPEER_A_ENDPOINT
	 */
	WG_CMD_SESSION_BEGIN_NTF,

	/*
	 * The keys of the last session expired or were wiped without another
	 * one. When they expire is told to who has asked for the state of the
	 * device since it joined, or if a session began since then; to others
	 * when they are wiped.
	 */
	WG_CMD_SESSION_END_NTF,

	/*
	 * The sockets were moved. WGEVENT_A_DEVICE_*:
	 * WGDEVICE_A_TRANSIT_NETNSID, WGDEVICE_A_LISTEN_PORT
	 */
	WG_CMD_TRANSIT_CHANGE_NTF,

	/* The transit netns is gone, and the sockets with it. */
	WG_CMD_TRANSIT_GONE_NTF,

	/* WGEVENT_A_COUNT events were not told: ask for the state again. */
	WG_CMD_OVERRUN_NTF,

	__WG_CMD_MAX
};
#define WG_CMD_MAX (__WG_CMD_MAX - 1)

#endif /* _UAPI_WIREGUARD_H */
