# SPDX-License-Identifier: GPL-2.0
"""As much netlink as the suites need, so that they can send what no tool would."""

import errno
import ipaddress
import os
import socket
import struct
from typing import NamedTuple

SOL_NETLINK = 270
NETLINK_CAP_ACK, NETLINK_EXT_ACK = 10, 11
NETLINK_GENERIC = 16
NLMSG_ERROR, NLMSG_DONE = 2, 3
F_REQUEST, F_MULTI, F_ACK, F_DUMP = 1, 2, 4, 0x300
F_EXCL, F_CREATE = 0x200, 0x400
F_CAPPED, F_ACK_TLVS = 0x100, 0x200
NESTED = 0x8000
RTM_NEWLINK, RTM_DELLINK, RTM_GETLINK, RTM_NEWADDR, RTM_NEWROUTE = 16, 17, 18, 20, 24
RTM_NEWNSID, RTM_GETNSID = 88, 90
IFF_UP = 1


def attr(kind, payload):
    """One attribute, padded."""
    data = struct.pack("=HH", 4 + len(payload), kind) + payload
    return data + bytes(-len(data) % 4)


def u16(kind, value):
    return attr(kind, struct.pack("=H", value))


def u32(kind, value):
    return attr(kind, struct.pack("=I", value & 0xffffffff))


def string(kind, value):
    return attr(kind, value.encode() + b"\0")


def nest(kind, *parts):
    return attr(kind | NESTED, b"".join(parts))


def attrs(data):
    """The attributes in a list, as (offset, kind, payload)."""
    at = 0
    while at + 4 <= len(data):
        length, kind = struct.unpack_from("=HH", data, at)
        if length < 4:
            break
        yield at, kind & 0x3fff, data[at + 4:at + length]
        at += length + 3 & ~3


class Answer(NamedTuple):
    """What the kernel said to a request."""
    errno: int = 0
    message: str = ""
    # Type of the top-level attribute that an error is about.
    attribute: int | None = None
    replies: tuple = ()

    @property
    def name(self):
        return errno.errorcode.get(self.errno, str(self.errno)) if self.errno else "OK"

    def or_raise(self):
        if self.errno:
            raise OSError(self.errno, f"{os.strerror(self.errno)}: {self.message}")
        return self


class Netlink:
    """A netlink socket; one that was opened by somebody else if `sock` is given."""

    def __init__(self, protocol, sock=None):
        self.sock = sock or socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, protocol)
        self.sock.setsockopt(SOL_NETLINK, NETLINK_EXT_ACK, 1)
        self.sock.setsockopt(SOL_NETLINK, NETLINK_CAP_ACK, 1)
        self.seq = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    def ask(self, kind, header, body, flags=F_ACK):
        """Sends a request and collects the answer. No address is given with it: a program that
        is tricked into writing to a socket gives none either, and the kernel cares."""
        self.seq += 1
        size = 16 + len(header) + len(body)
        self.sock.send(struct.pack("=IHHII", size, kind, flags | F_REQUEST, self.seq, 0)
                       + header + body)
        replies = []
        while True:
            data = self.sock.recv(1 << 17)
            at = 0
            while at + 16 <= len(data):
                length, reply, rflags, seq, _ = struct.unpack_from("=IHHII", data, at)
                payload = data[at + 16:at + length]
                at += length + 3 & ~3
                if seq != self.seq:
                    continue
                if reply in (NLMSG_ERROR, NLMSG_DONE):
                    return self._end(reply, rflags, payload, header, body, replies)
                replies.append((reply, payload))
                if not rflags & F_MULTI and not flags & F_ACK:
                    return Answer(replies=tuple(replies))

    @staticmethod
    def _end(reply, rflags, payload, header, body, replies):
        code = -struct.unpack_from("=i", payload)[0] if len(payload) >= 4 else 0
        message, attribute = "", None
        skip = 4
        if reply == NLMSG_ERROR:
            skip = 20
            if not rflags & F_CAPPED:
                skip = 4 + (struct.unpack_from("=I", payload, 4)[0] + 3 & ~3)
        if rflags & F_ACK_TLVS:
            for _, kind, value in attrs(payload[skip:]):
                if kind == 1:
                    message = value.rstrip(b"\0").decode()
                elif kind == 2:
                    offset = struct.unpack("=I", value)[0] - 16 - len(header)
                    for at, top, inner in attrs(body):
                        if at <= offset < at + 4 + len(inner):
                            attribute = top
        return Answer(code, message, attribute, tuple(replies))


# --- links ------------------------------------------------------------------------

def _ifinfo(index=0, flags=0, change=0):
    return struct.pack("=BBHiII", 0, 0, 0, index, flags, change)


def rtnl(kind, header, *parts, flags=F_ACK):
    """One request to rtnetlink in the netns of the calling process."""
    with Netlink(socket.NETLINK_ROUTE) as route:
        return route.ask(kind, header, b"".join(parts), flags)


def link_add(name, kind="wireguard", netns_fd=None, link_netns_fd=None):
    """Creates a link; `netns_fd` is where it appears, and `link_netns_fd` (a number that this
    netns has for it is made if need be) its link netns."""
    parts = [string(3, name), nest(18, string(1, kind))]
    if netns_fd is not None:
        parts.append(u32(28, netns_fd))
    if link_netns_fd is not None:
        parts.append(u32(37, nsid_of(link_netns_fd)))
    return rtnl(RTM_NEWLINK, _ifinfo(), *parts, flags=F_ACK | F_CREATE | F_EXCL)


def veth_add(name, peer_name, peer_netns_fd):
    """Creates a pair, its other end in another netns."""
    data = nest(2, attr(1, _ifinfo() + string(3, peer_name) + u32(28, peer_netns_fd)))
    return rtnl(RTM_NEWLINK, _ifinfo(), string(3, name), nest(18, string(1, "veth"), data),
                flags=F_ACK | F_CREATE | F_EXCL)


def link_del(name):
    return rtnl(RTM_DELLINK, _ifinfo(), string(3, name))


def link_up(name, up=True):
    return rtnl(RTM_NEWLINK, _ifinfo(0, IFF_UP if up else 0, IFF_UP), string(3, name))


def link_down(name):
    return link_up(name, False)


def link_move(name, netns_fd):
    """Moves the netdev itself to another netns."""
    return rtnl(RTM_NEWLINK, _ifinfo(), string(3, name), u32(28, netns_fd))


def _link(payload):
    flags = struct.unpack_from("=I", payload, 8)[0]
    found = {kind: value for _, kind, value in attrs(payload[16:])}
    number = struct.unpack("=i", found[37])[0] if 37 in found else None
    return {"name": found[3].rstrip(b"\0").decode(), "up": bool(flags & IFF_UP),
            "carrier": found[33] == b"\1", "netnsid": number}


def link_get(name):
    """Name, up, carrier and link netnsid of a link; None if there is none of that name."""
    answer = rtnl(RTM_GETLINK, _ifinfo(), string(3, name))
    return None if answer.errno else _link(answer.replies[0][1])


def links_watched():
    """A socket that hears what becomes of the links of this netns."""
    watcher = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
    watcher.bind((0, 1))
    watcher.setblocking(False)
    return watcher


def links_told(watcher):
    """What it has heard up to now."""
    found = []
    while True:
        try:
            data = watcher.recv(1 << 17)
        except BlockingIOError:
            return found
        length, kind = struct.unpack_from("=IH", data)
        if kind == RTM_NEWLINK:
            found.append(_link(data[16:length]))


def address_add(name, prefix):
    """Gives a link an address, such as 10.0.0.1/24."""
    interface = ipaddress.ip_interface(prefix)
    v4 = interface.version == 4
    header = struct.pack("=BBBBi", socket.AF_INET if v4 else socket.AF_INET6,
                         interface.network.prefixlen, 0 if v4 else 2, 0,
                         socket.if_nametoindex(name))
    packed = interface.ip.packed
    return rtnl(RTM_NEWADDR, header, attr(2, packed), attr(1, packed),
                flags=F_ACK | F_CREATE | F_EXCL)


def route_add(prefix, gateway):
    """A route by a gateway, such as 10.0.0.0/8."""
    network = ipaddress.ip_network(prefix)
    family = socket.AF_INET if network.version == 4 else socket.AF_INET6
    header = struct.pack("=BBBBBBBBI", family, network.prefixlen, 0, 0, 254, 3, 0, 1, 0)
    return rtnl(RTM_NEWROUTE, header, attr(1, network.network_address.packed),
                attr(5, ipaddress.ip_address(gateway).packed), flags=F_ACK | F_CREATE | F_EXCL)


def nsids():
    """All numbers that the calling process's netns has for others."""
    answer = rtnl(RTM_GETNSID, bytes(4), flags=F_ACK | F_DUMP).or_raise()
    return {struct.unpack("=i", value)[0] for _, payload in answer.replies
            for _, kind, value in attrs(payload[4:]) if kind == 1}


def nsid_of(netns_fd):
    """The number that the calling process's netns has for another; -1 if none. Assigns one."""
    def ask():
        answer = rtnl(RTM_GETNSID, bytes(4), u32(3, netns_fd)).or_raise()
        for _, kind, value in attrs(answer.replies[0][1][4:]):
            if kind == 1:
                return struct.unpack("=i", value)[0]
        return -1
    number = ask()
    if number < 0:
        nsid_set(netns_fd, -1).or_raise()
        number = ask()
    return number


def nsid_set(netns_fd, number):
    """Gives another netns a number here; -1 for any that is free."""
    return rtnl(RTM_NEWNSID, bytes(4), u32(3, netns_fd), u32(1, number))


# --- nftables ---------------------------------------------------------------------

def counters(table):
    """How many packets the named counters of an inet table have seen; nft(8) takes long."""
    with Netlink(12) as netfilter:
        answer = netfilter.ask(10 << 8 | 19, struct.pack("=BBH", 1, 0, 0), string(1, table),
                               F_ACK | F_DUMP).or_raise()
    found = {}
    for _, payload in answer.replies:
        parts = {kind: value for _, kind, value in attrs(payload[4:])}
        data = {kind: value for _, kind, value in attrs(parts[4])}
        found[parts[2].rstrip(b"\0").decode()] = struct.unpack(">Q", data[2])[0]
    return found


# --- wireguard ----------------------------------------------------------------------

GET_DEVICE, SET_DEVICE, GET_TRANSIT = 0, 1, 64
(IFNAME, PRIVATE_KEY, PUBLIC_KEY, FLAGS, LISTEN_PORT, FWMARK, PEERS) = range(2, 9)
(NETNS_FD, NETNS_PID, CREDENTIAL4, CREDENTIAL6, NETNSID, TRANSIT_FWMARK,
 TRANSIT_WANTED) = range(64, 71)
# Of the dump of sockets that devices of other netns have here.
(TRANSIT_PORT, TRANSIT_IPV4, TRANSIT_IPV6, TRANSIT_UID, TRANSIT_CREDENTIALS, TRANSIT_NETNSID,
 TRANSIT_RX_PACKETS, TRANSIT_RX_BYTES, TRANSIT_TX_PACKETS, TRANSIT_TX_BYTES) = range(2, 12)
REPLACE_PEERS = 1

_family, _family_name = None, "wireguard"


def family(sock=None):
    """The number of the family, which is the same in all namespaces."""
    global _family
    if _family is None:
        with Netlink(NETLINK_GENERIC) as genl:
            answer = genl.ask(16, struct.pack("=BBH", 3, 1, 0), string(2, _family_name))
            answer.or_raise()
            for _, kind, value in attrs(answer.replies[0][1][4:]):
                if kind == 1:
                    _family = struct.unpack("=H", value)[0]
    return _family


def forget_family(name="wireguard"):
    """To be called when the module was loaded anew, or to speak with one that has another name."""
    global _family, _family_name
    _family, _family_name = None, name


def _endpoint(address, port):
    ip = ipaddress.ip_address(address)
    if ip.version == 4:
        return struct.pack("=H", socket.AF_INET) + struct.pack(">H", port) + ip.packed + bytes(8)
    return (struct.pack("=H", socket.AF_INET6) + struct.pack(">HI", port, 0) + ip.packed
            + bytes(4))


def peer(public_key, endpoint=None, allowed=(), keepalive=None, flags=None):
    """The attributes of a peer."""
    parts = [attr(1, public_key)]
    if flags is not None:
        parts.append(u32(3, flags))
    if endpoint:
        parts.append(attr(4, _endpoint(*endpoint)))
    if keepalive is not None:
        parts.append(u16(5, keepalive))
    ranges = []
    for text in allowed:
        network = ipaddress.ip_network(text)
        ranges.append(nest(0, u16(1, socket.AF_INET if network.version == 4 else socket.AF_INET6),
                           attr(2, network.network_address.packed),
                           attr(3, bytes([network.prefixlen]))))
    if ranges:
        parts.append(nest(9, *ranges))
    return nest(0, *parts)


_WORDS = {
    "private_key": lambda key: attr(PRIVATE_KEY, key),
    "flags": lambda flags: u32(FLAGS, flags),
    "port": lambda port: u16(LISTEN_PORT, port),
    "fwmark": lambda mark: u32(FWMARK, mark),
    "peers": lambda peers: nest(PEERS, *peers),
    "netns_fd": lambda fd: u32(NETNS_FD, fd),
    "netns_pid": lambda pid: u32(NETNS_PID, pid),
    "credential4": lambda fd: u32(CREDENTIAL4, fd),
    "credential6": lambda fd: u32(CREDENTIAL6, fd),
}


def wg_set_body(name, /, **words):
    """The attributes of a request to change a device."""
    return string(IFNAME, name) + b"".join(_WORDS[word](value) for word, value in words.items())


def wg_set(name, /, sock=None, **words):
    """Changes a device."""
    body = wg_set_body(name, **words)
    with Netlink(NETLINK_GENERIC, sock) as genl:
        return genl.ask(family(), struct.pack("=BBH", SET_DEVICE, 1, 0), body)


def wg_get_body(name, /, transit=True):
    """The attributes of a request for a device, and for its transit netns if that is wanted."""
    return string(IFNAME, name) + (attr(TRANSIT_WANTED, b"") if transit else b"")


def wg_get(name, /, sock=None, transit=True):
    """All that there is to know of a device, as a dictionary."""
    with Netlink(NETLINK_GENERIC, sock) as genl:
        def ask(transit):
            return genl.ask(family(), struct.pack("=BBH", GET_DEVICE, 1, 0),
                            wg_get_body(name, transit), F_ACK | F_DUMP)
        answer = ask(transit)
        if transit and answer.errno == errno.EINVAL:
            # The in-tree module knows of no such wish.
            answer = ask(False)
        answer.or_raise()
    device = {"peers": {}, "netnsid": None, "transit_fwmark": None, "public_key": None}
    for _, payload in answer.replies:
        for _, kind, value in attrs(payload[4:]):
            if kind == PRIVATE_KEY:
                device["private_key"] = value
            elif kind == PUBLIC_KEY:
                device["public_key"] = value
            elif kind == LISTEN_PORT:
                device["port"] = struct.unpack("=H", value)[0]
            elif kind == FWMARK:
                device["fwmark"] = struct.unpack("=I", value)[0]
            elif kind == NETNSID:
                device["netnsid"] = struct.unpack("=i", value)[0]
            elif kind == TRANSIT_FWMARK:
                device["transit_fwmark"] = struct.unpack("=I", value)[0]
            elif kind == PEERS:
                for _, _, one in attrs(value):
                    _add_peer(device["peers"], one)
    return device


def _add_peer(peers, data):
    found = {kind: value for _, kind, value in attrs(data)}
    known = peers.setdefault(found[1], {"allowed": []})
    for _, _, entry in attrs(found.get(9, b"")):
        parts = {kind: value for _, kind, value in attrs(entry)}
        known["allowed"].append(f"{ipaddress.ip_address(parts[2])}/{parts[3][0]}")
    if 6 in found:
        known["psk"] = found[2]
        known["handshake"] = struct.unpack("=qq", found[6])
        known["keepalive"] = found[5]
        known["rx"] = struct.unpack("=Q", found[7])[0]
        known["tx"] = struct.unpack("=Q", found[8])[0]
        known["endpoint"] = found.get(4)


def wg_transit(sock=None):
    """The sockets that devices of other netns have in this one, a dictionary for each device."""
    with Netlink(NETLINK_GENERIC, sock) as genl:
        answer = genl.ask(family(), struct.pack("=BBH", GET_TRANSIT, 1, 0), b"",
                          F_ACK | F_DUMP).or_raise()
    listed = []
    for _, payload in answer.replies:
        found = {kind: value for _, kind, value in attrs(payload[4:])}
        one = {"port": struct.unpack("=H", found[TRANSIT_PORT])[0],
               "families": [version for version, kind in ((4, TRANSIT_IPV4), (6, TRANSIT_IPV6))
                            if kind in found],
               "uid": struct.unpack("=I", found[TRANSIT_UID])[0],
               "credentials": TRANSIT_CREDENTIALS in found,
               "netnsid": None}
        if TRANSIT_NETNSID in found:
            one["netnsid"] = struct.unpack("=i", found[TRANSIT_NETNSID])[0]
        for name, kind in (("rx_packets", TRANSIT_RX_PACKETS), ("rx_bytes", TRANSIT_RX_BYTES),
                           ("tx_packets", TRANSIT_TX_PACKETS), ("tx_bytes", TRANSIT_TX_BYTES)):
            # A device that is just ending has none.
            one[name] = struct.unpack("=Q", found.get(kind, bytes(8)))[0]
        listed.append(one)
    return listed
