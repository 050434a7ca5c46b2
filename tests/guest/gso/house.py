# SPDX-License-Identifier: GPL-2.0
"""The world of the suite: the device wg0 is in the initial netns, and at the far end of a cable, in the
netns `far', is a peer of the script's own, which reads what wg0 sends and sends what no other would.

10.9.0.1 and fd09::1 are on this end of the cable, 10.9.0.2 and fd09::2 on the other. wg0 has
192.168.77.1 and fd77::1; behind the peer are 192.168.77.2, 192.168.78.0/24, fd77::2 and fd78::/64.
"""

import contextlib
import os
import socket
import struct
import time

import ethtool
import netlink as nl
import packets
from noise import Peer, public_key
from world import inside, sh

PORT = 5000
HERE, PEER = "192.168.77.1", "192.168.77.2"
HERE6, PEER6 = "fd77::1", "fd77::2"
BEHIND, BEHIND6 = "192.168.78.5", "fd78::5"
# Who sends by a device without a tunnel.
SENDER, SENDER6 = "192.168.90.7", "fd90::7"
# Numbers of datagrams from here on say that what came before is all there is.
ENDS = 1 << 31
CABLE = {4: ("10.9.0.1", "10.9.0.2"), 6: ("fd09::1", "fd09::2")}

private = os.urandom(32)
own_private = bytes([private[0] & 248]) + os.urandom(31)


def build():
    """Makes the cable and the device."""
    sh("""
        sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0
        sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
        sysctl -qw net.ipv6.conf.default.accept_dad=0
        ip link set lo up
        ip netns add far
        ip -n far link set lo up
        ip link add out type veth peer name in netns far
        ip addr add 10.9.0.1/24 dev out
        ip addr add fd09::1/64 dev out nodad
        ip link set out up
        ip -n far addr add 10.9.0.2/24 dev in
        ip -n far addr add fd09::2/64 dev in nodad
        ip -n far link set in up
    """)
    device()


def device():
    """Makes wg0 anew."""
    if os.path.exists("/sys/class/net/wg0"):
        nl.link_del("wg0").or_raise()
    nl.link_add("wg0").or_raise()
    nl.wg_set("wg0", private_key=private, port=PORT, peers=[
        nl.peer(public_key(own_private), allowed=[
            f"{PEER}/32", "192.168.78.0/24", f"{PEER6}/128", "fd78::/64"])]).or_raise()
    sh(f"""
        ip addr add {HERE}/24 dev wg0
        ip addr add {HERE6}/64 dev wg0 nodad
        ip link set wg0 up
        ip route add 192.168.78.0/24 dev wg0
        ip route add fd78::/64 dev wg0
    """)


CPU1 = "/sys/devices/system/cpu/cpu1/online"


def online(state):
    if os.path.exists(CPU1):
        with open(CPU1, "w", encoding="ascii") as file:
            file.write(state)


@contextlib.contextmanager
def one_cpu():
    """Has the machine one processor, so that work queued while a real-time task runs waits for its end."""
    online("0")
    try:
        yield
    finally:
        online("1")


@contextlib.contextmanager
def before_all_work():
    """Whatever is sent within is there before any worker is, where there is one processor."""
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    try:
        yield
    finally:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


class Sender(Peer):
    """A peer whose trains are, if `singly` is set, packets that come in one by one at the same time."""
    singly = False

    def send_train(self, messages):
        if not Sender.singly:
            super().send_train(messages)
            return
        with before_all_work():
            for message in messages:
                self.sock.send(message)


@contextlib.contextmanager
def peer(version=4):
    """A peer with a new session."""
    here, there = CABLE[version]
    one = Sender("far", there, own_private, public_key(private), (here, PORT))
    try:
        yield one.connect()
    finally:
        one.close()


@contextlib.contextmanager
def capture(*args, **words):
    what = packets.Capture(*args, **words)
    try:
        yield what
    finally:
        what.close()


@contextlib.contextmanager
def cable_mtu(mtu):
    """Has the cable carry larger packets for a while."""
    sh(f"ip link set out mtu {mtu}; ip -n far link set in mtu {mtu}")
    try:
        yield
    finally:
        sh("ip link set out mtu 1500; ip -n far link set in mtu 1500")


@contextlib.contextmanager
def features(device_name, net="init", **wanted):
    """Has a device have features for a while, and says whether it does."""
    with inside(net):
        came = ethtool.set_features(device_name, **wanted)
    try:
        yield came
    finally:
        with inside(net):
            ethtool.set_features(device_name, **{name: not on for name, on in wanted.items()})


def receiver(address, port, buffer=8 << 20):
    """A UDP socket of this netns that nothing overflows."""
    sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, 33, buffer)
    sock.bind((address, port))
    return sock


def inner(peer_, number, size=200, port=7777, **words):
    """A sealed datagram to the inner socket, that begins with a number."""
    return peer_.seal(packets.udp(PEER, HERE, struct.pack(">I", number) + bytes(size - 4),
                                  ports=(40000, port)), **words)


class Inbox:
    """An inner socket, and which numbers have come to it, in the order in which they did."""

    def __init__(self, port=7777):
        self.sock = receiver(HERE, port)
        self.ends = ENDS

    def numbers(self, peer_, seconds=10.0):
        """What has come so far. A last datagram tells that nothing else is on its way: packets of a
        peer are delivered in the order in which they come."""
        found = []
        for _ in range(3):
            self.ends += 1
            peer_.sock.send(inner(peer_, self.ends))
            end = time.monotonic() + seconds
            while (left := end - time.monotonic()) > 0:
                self.sock.settimeout(left)
                try:
                    number, = struct.unpack_from(">I", self.sock.recv(65536))
                except TimeoutError:
                    break
                if number == self.ends:
                    return found
                if number < ENDS:
                    found.append(number)
        raise TimeoutError("nothing gets through any more")

    def close(self):
        self.sock.close()


def _end(peer_, number):
    """A packet that is an end: what follows in the same session is delivered behind it."""
    return peer_.seal(packets.udp(PEER, HERE, struct.pack(">I", number), ports=(40000, 9)))


def until_end(peer_, watch, size=0, seconds=10.0):
    """What a capture on wg0 has of TCP, up to a last packet of its own, and `size' bytes of payload: GRO
    may keep segments back until packets of other flows have been delivered."""
    number = os.urandom(4)
    peer_.sock.send(peer_.seal(packets.udp(PEER, HERE, number, ports=(40000, 9))))
    found, ended = [], False
    end = time.monotonic() + seconds
    while not ended or sum(len(one.payload) for one in found) < size:
        seen = watch.read(max(end - time.monotonic(), 0))
        if seen is None:
            break
        if seen.outgoing:
            continue
        if seen.protocol == 17 and seen.ports == (40000, 9):
            ended |= seen.payload[:4] == number
        elif seen.protocol == 6:
            found.append(seen)
    if not ended:
        raise TimeoutError("the last packet does not come")
    return found


def flush(peer_, watch):
    """Has everything come that is under way."""
    until_end(peer_, watch)
