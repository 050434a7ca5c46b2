# SPDX-License-Identifier: GPL-2.0
"""TCP through a tunnel of ours arrives as it was sent, whatever the devices on its way do or do not.

The device wg1 is in the initial netns and in `far', with 192.168.80.1 and 192.168.80.2."""

import contextlib
import errno
import hashlib
import os
import random
import socket
import struct
import subprocess
import threading

import bpf
import ethtool
import house
import netlink as nl
import world
from noise import public_key
from tap import check, scenario, skip
from world import inside, sh

HERE, THERE = "192.168.80.1", "192.168.80.2"
SIZE = 1 << 18
UDP_SEGMENT, UDP_GRO = 103, 104
_DATA = random.Random(15).randbytes(SIZE)
_built = False


def build():
    """Makes the tunnel, once."""
    global _built
    if _built:
        return
    keys = {net: bytes([8]) + os.urandom(31) for net in ("init", "far")}
    for net, own, address, other in (("init", HERE, "10.9.0.2", "far"), ("far", THERE, "10.9.0.1", "init")):
        with inside(net):
            nl.link_add("wg1").or_raise()
            nl.wg_set("wg1", private_key=keys[net], port=house.PORT + 1, peers=[
                nl.peer(public_key(keys[other]), endpoint=(address, house.PORT + 1),
                        allowed=["0.0.0.0/0"])]).or_raise()
            nl.address_add("wg1", f"{own}/24").or_raise()
            nl.link_up("wg1").or_raise()
    check(world.ping("init", THERE, 8), "there is a tunnel")
    _built = True


class Transfer:
    """A TCP stream, sent by a thread and received by another."""

    def __init__(self, source, target, address, size=SIZE, options=()):
        self.size, self.digest = size, None
        with inside(target):
            listener = socket.create_server((address, 0))
        with inside(source):
            self.sender = socket.create_connection(listener.getsockname(), 20)
        self.receiver = listener.accept()[0]
        listener.close()
        for option in options:
            self.sender.setsockopt(*option)
        self.receiver.settimeout(20)
        self.threads = [threading.Thread(target=work) for work in (self._send, self._receive)]
        for thread in self.threads:
            thread.start()

    def _send(self):
        with contextlib.suppress(OSError):
            for at in range(0, self.size, SIZE):
                self.sender.sendall(_DATA[:self.size - at])
            self.sender.shutdown(socket.SHUT_WR)

    def _receive(self):
        digest = hashlib.sha256()
        with contextlib.suppress(OSError):
            while data := self.receiver.recv(1 << 18):
                digest.update(data)
            self.digest = digest.digest()

    def runs(self):
        return self.threads[1].is_alive()

    def arrived(self):
        """Whether all did, as it was."""
        for thread in self.threads[::-1]:
            thread.join(40)
        self.sender.close()
        self.receiver.close()
        expected = hashlib.sha256()
        for at in range(0, self.size, SIZE):
            expected.update(_DATA[:self.size - at])
        return self.digest == expected.digest()


def carries(what, size=SIZE):
    """Both ways, one after the other."""
    build()
    good = [Transfer(*ends, size).arrived() for ends in (("init", "far", THERE), ("far", "init", HERE))]
    check(all(good), f"streams arrive as they were sent {what}", good)


def segments_seen(device, net="far"):
    """How many segments the largest packet on a device was, while a stream goes there."""
    build()
    with house.capture(device, net, ethernet=not device.startswith("wg")) as watch:
        ends = ("init", "far", THERE) if net == "far" else ("far", "init", HERE)
        good = Transfer(*ends).arrived()
        largest = 1
        while (seen := watch.read()) is not None:
            if not seen.outgoing:
                largest = max(largest, seen.segments)
    return good, largest


@contextlib.contextmanager
def switch(net, on):
    with inside(net):
        ethtool.set_flag("wg1", "udp-gso", on)
    try:
        yield
    finally:
        with inside(net):
            ethtool.set_flag("wg1", "udp-gso", not on)


@scenario
def plain():
    """A stream is carried in UDP GSO packets and becomes large packets again"""
    for device in ("in", "wg1"):
        good, largest = segments_seen(device)
        check(good and largest > 1, f"packets on {device} are of several segments", good, largest)
    carries("both ways")


@scenario
def switched_off():
    """The private flag udp-gso, at either end and at both"""
    build()
    check(ethtool.flags("wg1") == {"udp-gso": True}, "the flag is there, and set",
          ethtool.flags("wg1"))
    for name, nets in (("here", ["init"]), ("there", ["far"]), ("at both ends", ["init", "far"])):
        with contextlib.ExitStack() as stack:
            for net in nets:
                stack.enter_context(switch(net, False))
            carries(f"with the switch off {name}")
            if "init" in nets:
                good, largest = segments_seen("in")
                check(good and largest == 1, f"and packets on the cable are single ones: off {name}",
                      largest)
    check(ethtool.flags("wg1") == {"udp-gso": True}, "it is set again", ethtool.flags("wg1"))


@scenario
def switched_under_traffic():
    """The switch, GRO and the cable's segmentation change while streams go both ways"""
    build()
    streams = [Transfer("init", "far", THERE, 2 * SIZE), Transfer("far", "init", HERE, 2 * SIZE)]
    changes = 0
    while any(stream.runs() for stream in streams) or changes < 10:
        on = bool(changes & 1)
        for net in ("init", "far"):
            with inside(net):
                ethtool.set_flag("wg1", "udp-gso", on ^ (net == "far" and bool(changes & 2)))
                ethtool.set_features("wg1", rx_gro=bool(changes & 4))
                ethtool.set_features({"init": "out", "far": "in"}[net],
                                     tx_udp_segmentation=bool(changes & 8))
        changes += 1
    for net in ("init", "far"):
        with inside(net):
            ethtool.set_flag("wg1", "udp-gso", True)
            ethtool.set_features("wg1", rx_gro=True)
            ethtool.set_features({"init": "out", "far": "in"}[net], tx_udp_segmentation=True)
    good = [stream.arrived() for stream in streams]
    check(all(good), f"streams arrive as they were sent through {changes} changes", good)


@scenario
def offloads():
    """GRO on the cable and not on wg1, segmentation and checksums by the stack"""
    build()
    for what, wanted in (("with GRO on the cable", {"rx_gro": True}),
                         ("without UDP segmentation on the cable", {"tx_udp_segmentation": False}),
                         ("without checksums and scattered packets on the cable",
                          {"tx_checksum_ip_generic": False})):
        with house.features("out", **wanted), house.features("in", "far", **wanted):
            carries(what)
    with house.features("in", "far", rx_gro=True), house.features("out", tx_udp_segmentation=False):
        carries("with GRO there and without segmentation here, as by a NIC")
        good, largest = segments_seen("wg1")
        check(good and largest > 1, "and they become large packets", largest)
    with house.features("wg1", "far", rx_gro=False):
        good, largest = segments_seen("wg1")
        check(good and largest == 1, "with GRO off on wg1 no packet is of several segments", good, largest)


IP_RECVERR = 11
RTM_SETLINK, IFLA_XDP = 19, 43
XDP_SKB_MODE, XDP_PASS = 2, 2


@contextlib.contextmanager
def xdp(device, net):
    """Generic XDP on a device, that lets all pass."""
    program = bpf.program(bpf.XDP, bpf.returns(XDP_PASS))

    def attach(fd):
        with inside(net):
            body = nl._ifinfo(socket.if_nametoindex(device))
            nl.rtnl(RTM_SETLINK, body, nl.nest(IFLA_XDP, nl.attr(1, struct.pack("=i", fd)),
                                                  nl.u32(3, XDP_SKB_MODE))).or_raise()
    attach(program)
    try:
        yield
    finally:
        attach(-1)
        os.close(program)


@scenario
def generic_xdp():
    """Generic XDP on wg1 and on the cable: no program sees what GRO made"""
    build()
    with xdp("wg1", "far"):
        carries("with XDP on wg1")
        good, largest = segments_seen("wg1")
        check(good and largest == 1, "and no packet is of several segments", good, largest)
    with xdp("in", "far"):
        carries("with XDP on the cable")
    with xdp("in", "far"), xdp("out", "init"), xdp("wg1", "far"), xdp("wg1", "init"):
        carries("with XDP on all of them")


@scenario
def short_path():
    """The path takes less than a segment: there are fragments outside"""
    build()
    with house.capture("in", "far") as watch:
        sh("ip link set out mtu 1300; ip -n far link set in mtu 1300")
        try:
            carries("by a path of 1300 bytes", SIZE // 2)
        finally:
            sh("ip link set out mtu 1500; ip -n far link set in mtu 1500")
        largest = fragments = 0
        while (seen := watch.read()) is not None:
            if seen.version == 4 and not seen.outgoing:
                largest = max(largest, len(seen.packet))
                fragments += bool(seen.fragment & 0x3fff)
        check(fragments > 10 and largest <= 1300, "in fragments", fragments, largest)


def datagrams(size, count, gro):
    """Sends datagrams by UDP_SEGMENT, to a socket that has UDP_GRO set or not. Returns what came with each
    read, and how long it says that the datagrams in there are."""
    with inside("far"):
        receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with receiver, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        receiver.bind((THERE, 7000))
        receiver.settimeout(5)
        receiver.setsockopt(socket.IPPROTO_UDP, UDP_GRO, gro)
        sender.sendmsg([_DATA[:size * count]], [(socket.IPPROTO_UDP, UDP_SEGMENT, struct.pack("=H", size))],
                       0, (THERE, 7000))
        came = []
        with contextlib.suppress(TimeoutError):
            while sum(len(data) for data, _ in came) < size * count:
                data, more, _, _ = receiver.recvmsg(1 << 16, 64)
                told = [struct.unpack_from("=i", value)[0] for _, kind, value in more if kind == UDP_GRO]
                came.append((data, told[0] if told else None))
        return came


@scenario
def udp_trains():
    """Datagrams that were sent as one come as one to a socket with UDP_GRO, and else one by one"""
    build()
    for size, count in ((1392, 40), (1392, 2), (500, 60), (101, 60), (99, 60), (60, 60)):
        sent = _DATA[:size * count]
        came = datagrams(size, count, 1)
        check(b"".join(data for data, _ in came) == sent
              and any(told == size and len(data) > size for data, told in came),
              f"{count} of {size} bytes come as one", [(len(data), told) for data, told in came])
        came = datagrams(size, count, 0)
        check([data for data, _ in came] == [sent[at:at + size] for at in range(0, len(sent), size)],
              f"{count} of {size} bytes come one by one", [len(data) for data, _ in came])


@scenario
def alone():
    """What shares no UDP GSO packet with others is none itself"""
    build()
    size = 21800
    message = (28 + size + 15) // 16 * 16 + 32
    mtu = "ip link set wg1 mtu {0}; ip -n far link set wg1 mtu {0}".format
    with house.cable_mtu(65535), house.capture("in", "far") as watch, \
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sh(mtu(30000))
        try:
            # As many bytes as there can be, of which two messages fit into one packet.
            sender.sendmsg([bytes(3 * size)], [(socket.IPPROTO_UDP, UDP_SEGMENT, struct.pack("=H", size))],
                           0, (THERE, 7000))
            seen = watch.collect(lambda found: len(found) >= 2, wanted=lambda one: not one.outgoing
                                 and one.protocol == 17 and len(one.payload) >= message)
        finally:
            sh(mtu(1420))
    seen = [(len(one.payload), one.gso_size) for one in seen]
    check(seen == [(2 * message, message), (message, 0)], "two leave as one packet, and the third does not",
          seen)


@scenario
def redirected():
    """tc redirects what comes out of wg1 to another device, and what goes into it"""
    build()
    if subprocess.run(["tc", "-V"], check=False, stdout=subprocess.DEVNULL).returncode:
        skip("tc redirects", "there is no tc")
        return
    sh("""
        ip netns add aside
        ip -n far link add tap0 type veth peer name tap1 netns aside
        ip -n far link set tap0 up
        ip -n aside link set tap1 up
    """)
    clsact = ["tc", "-n", "far", "qdisc", "add", "dev", "wg1", "clsact"]
    if subprocess.run(clsact, check=False, stderr=subprocess.DEVNULL).returncode:
        sh("ip netns del aside")
        skip("tc redirects", "the kernel has no clsact")
        return
    try:
        with house.capture("tap1", "aside", ethernet=False) as watch:
            sh("tc -n far filter add dev wg1 ingress matchall action mirred egress mirror dev tap0")
            carries("while tc mirrors what comes in on wg1")
            sh("""
                tc -n far filter del dev wg1 ingress
                tc -n far filter add dev wg1 egress matchall action mirred egress mirror dev tap0
            """)
            carries("while tc mirrors what goes out by wg1")
            check(watch.read() is not None, "which it does")
            sh("""
                tc -n far filter del dev wg1 egress
                tc -n far filter add dev wg1 ingress matchall action mirred egress redirect dev tap0
            """)
            watch.clear()
            check(not world.ping("init", THERE, 0.5), "what is redirected does not arrive")
            check(watch.read(5) is not None, "but where it is redirected to")
    finally:
        sh("tc -n far qdisc del dev wg1 clsact; ip -n far link del tap0; ip netns del aside")
    check(world.ping("init", THERE), "and when nothing is redirected any more it arrives")


# SCM_TSTAMP_SND, _SCHED and _ACK, of linux/errqueue.h.
SENT, SCHEDULED, ACKNOWLEDGED = range(3)


@scenario
def timestamps():
    """A sender that asks for timestamps of its packets gets them, and its stream arrives"""
    build()
    # TX_SOFTWARE, SOFTWARE, OPT_ID, TX_SCHED, TX_ACK, OPT_TSONLY
    what = 1 << 1 | 1 << 4 | 1 << 7 | 1 << 8 | 1 << 9 | 1 << 11
    stream = Transfer("init", "far", THERE, options=[(socket.SOL_SOCKET, 37, what)])
    stream.threads[0].join(30)
    stream.sender.settimeout(None)
    stamped = {SENT: set(), SCHEDULED: set(), ACKNOWLEDGED: set()}

    def got():
        with contextlib.suppress(OSError):
            while True:
                _, more, _, _ = stream.sender.recvmsg(1, 512, socket.MSG_ERRQUEUE | socket.MSG_DONTWAIT)
                for _, kind, data in more:
                    if kind == IP_RECVERR and data[:4] == struct.pack("=I", errno.ENOMSG):
                        which, number = struct.unpack_from("=II", data, 8)
                        stamped[which].add(number)
        return stamped[ACKNOWLEDGED] and all(one == stamped[SENT] for one in stamped.values())
    check(world.until(got, 10), "it learns of all that was acknowledged when it was scheduled and sent",
          {which: len(numbers) for which, numbers in stamped.items()})
    check(stream.arrived(), "and the stream arrives as it was sent")


@scenario
def forwarded():
    """Streams from a third netns are forwarded into the tunnel, and back"""
    build()
    sh("""
        ip netns add third
        ip link add to-third type veth peer name eth0 netns third
        ip addr add 192.168.81.1/24 dev to-third
        ip link set to-third up
        ip -n third addr add 192.168.81.2/24 dev eth0
        ip -n third link set eth0 up
        ip -n third route add default via 192.168.81.1
        ip -n far route add 192.168.81.0/24 dev wg1
        ip -n third link set eth0 mtu 1420
    """)
    try:
        for gro in (False, True):
            with house.features("to-third", rx_gro=gro):
                good = [Transfer("third", "far", THERE).arrived(),
                        Transfer("far", "third", "192.168.81.2").arrived()]
                check(all(good), f"streams arrive as they were sent, GRO {'on' if gro else 'off'}", good)
    finally:
        sh("ip netns del third; ip -n far route del 192.168.81.0/24")


@scenario
def ipsec():
    """IPsec on the route of the outer packets: they are encrypted, and singly"""
    build()
    added = subprocess.run(["ip", "xfrm", "state", "add", "src", "10.9.0.1", "dst", "10.9.0.2",
                            "proto", "esp", "spi", "0x100", "mode", "transport", "reqid", "1",
                            "auth", "hmac(sha256)", "0x" + "11" * 32,
                            "enc", "ecb(cipher_null)", ""], check=False, capture_output=True, text=True)
    if added.returncode:
        skip("IPsec on the route", added.stderr.strip())
        return
    sh("ip xfrm state flush")
    states = "".join(f"ip {net} xfrm state add src {a} dst {b} proto esp spi {spi} mode transport "
                     f"reqid 1 auth 'hmac(sha256)' 0x{'11' * 32} enc 'ecb(cipher_null)' ''\n"
                     for net in ("", "-n far")
                     for a, b, spi in (("10.9.0.1", "10.9.0.2", "0x100"), ("10.9.0.2", "10.9.0.1", "0x101")))
    policies = "".join(f"ip {net} xfrm policy add src {a} dst {b} dir {way} tmpl proto esp mode transport "
                       "reqid 1\n"
                       for net, own, other in (("", "10.9.0.1", "10.9.0.2"), ("-n far", "10.9.0.2", "10.9.0.1"))
                       for a, b, way in ((own, other, "out"), (other, own, "in")))
    try:
        sh(states + policies)
        with house.capture("in", "far") as watch:
            carries("with IPsec on the route", SIZE // 2)
            kinds = set()
            while (seen := watch.read()) is not None:
                if seen.version == 4 and seen.packet[12:20] == bytes((10, 9, 0, 1, 10, 9, 0, 2)):
                    kinds.add(seen.protocol)
            check(kinds == {50}, "and nothing leaves but ESP", kinds)
    finally:
        sh("for n in '' '-n far'; do ip $n xfrm state flush; ip $n xfrm policy flush; done")
    check(world.ping("init", THERE), "without it all is as before")
