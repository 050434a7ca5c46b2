# SPDX-License-Identifier: GPL-2.0
"""What the measurements stand on: two netns with a tunnel between them, and traffic in it."""

import contextlib
import json
import os
import struct
import subprocess
import time

import netlink as nl
from world import inside, sh

TRAFFIC = "/wg/files/traffic"
LEFT, RIGHT = "192.168.88.1", "192.168.88.2"
# What IPv4 and WireGuard put around a packet.
OVERHEAD = 80
MODULES = {"c": "intree", "ours": "ours"}
# The kernel's own module once more, under a name that does not collide (bench/c).
SECOND, SECOND_FILE = "wireguard-c", "/wg/files/wireguard-c.ko"


def load(module):
    """Loads one of the two modules in place of the other."""
    sh(f"use-module {MODULES[module]}; modprobe wireguard")
    nl.forget_family()


@contextlib.contextmanager
def speaking_to(module):
    """Netlink goes to the module of that name meanwhile."""
    nl.forget_family(module)
    try:
        yield
    finally:
        nl.forget_family()


def public_keys(private):
    """The public keys that belong to private ones."""
    nl.link_add("scratch").or_raise()
    found = []
    for key in private:
        nl.wg_set("scratch", private_key=key).or_raise()
        found.append(nl.wg_get("scratch")["public_key"])
    nl.link_del("scratch").or_raise()
    return found


class Tunnel:
    """`left` and `right`, which is where the tunnel's addresses are. The device of `right` is of the
    module that is named."""

    def __init__(self, mtu, right="wireguard"):
        self.names = ("left", "right")
        for name in self.names:
            sh(f"ip netns add {name}")
            with inside(name):
                nl.link_up("lo").or_raise()
        sh(f"""
            ip link add cable netns left mtu {mtu + OVERHEAD} type veth \
                peer name cable netns right mtu {mtu + OVERHEAD}
            ip -n left addr add 10.1.0.1/24 dev cable
            ip -n right addr add 10.1.0.2/24 dev cable
            ip -n left link set cable up
            ip -n right link set cable up
        """)
        private = [os.urandom(32) for _ in self.names]
        self.public = public_keys(private)
        # Each at a port that is not the other's, so that a mistake shows.
        for at, name in enumerate(self.names):
            module = ("wireguard", right)[at]
            with inside(name), speaking_to(module):
                nl.link_add("wg0", module.replace("-", "_")).or_raise()
                nl.wg_set("wg0", private_key=private[at], port=5000 + at, peers=[
                    nl.peer(self.public[1 - at], endpoint=(f"10.1.0.{2 - at}", 5001 - at),
                            allowed=[f"{(RIGHT, LEFT)[at]}/32"])]).or_raise()
                nl.address_add("wg0", f"{(LEFT, RIGHT)[at]}/24").or_raise()
                sh(f"ip link set wg0 mtu {mtu} up")
        # The session, and the routes' caches.
        Traffic("left", "ping", RIGHT, 5, 0).done()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for name in self.names:
            sh(f"ip netns del {name}")


class Traffic:
    """The traffic program, running in a netns."""

    def __init__(self, net, *words):
        self.what = words
        with inside(net):
            self.process = subprocess.Popen([TRAFFIC, *map(str, words)], text=True,
                                            stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def done(self):
        """What it found."""
        out, err = self.process.communicate(timeout=120)
        if self.process.returncode:
            raise RuntimeError(f"traffic {self.what}: {err}")
        return json.loads(out) if out else None


def window(seconds, settle=0.35):
    """From when to when to count: not before all has started and TCP is at its speed."""
    begin = time.monotonic() + settle
    return begin, begin + seconds


def worked():
    """Seconds that the kernel's CPUs have worked, or those of the clock where it does not tell."""
    try:
        with open("/proc/machine-time", encoding="ascii") as file:
            return int(file.read()) * 1e-9
    except FileNotFoundError:
        return time.monotonic()


def delivered(device):
    """Packets and bytes that a device in this netns has received."""
    answer = nl.rtnl(nl.RTM_GETLINK, bytes(16), nl.string(3, device)).or_raise()
    found = {kind: value for _, kind, value in nl.attrs(answer.replies[0][1][16:])}
    packets, _, size = struct.unpack_from("=QQQ", found[23])
    return packets, size


def received(net):
    """What the tunnel's device there has delivered."""
    with inside(net):
        return delivered("wg0")


@contextlib.contextmanager
def at_once():
    """No program runs before this one, nor between two figures that it reads: packets of that time
    would count and cost nothing."""
    os.sched_setscheduler(0, os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, os.sched_param(1))
    try:
        yield
    finally:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


def rates(nets, begin, end):
    """Packets and bytes delivered in these netns from one moment to another: per second, and per
    second that the kernel's CPUs worked."""
    def look(moment):
        time.sleep(max(0, moment - time.monotonic()))
        counts = [sum(of) for of in zip(*map(received, nets))]
        return [*counts, time.monotonic(), worked()]
    with at_once():
        before = look(begin)
        packets, size, seconds, work = (now - then for now, then in zip(look(end), before))
    # A machine that is busy may not have run this one at all.
    work = work or seconds
    return ({"seconds": packets / seconds, "worked": packets / work},
            {"seconds": size * 8 / seconds, "worked": size * 8 / work})


def tcp(streams, ways, seconds, left="left", behind=None):
    """Bits of so many streams, `forth`, `back` or `both`; `left` is where that end of the tunnel
    is, and `behind` the netns and the address of a host that it forwards for."""
    begin, end = window(seconds, 0.5 + 0.04 * streams * (1 + (ways == "both")))
    running, nets = [], []
    host, home = behind or (left, LEFT)
    for way, source, target, address, net in (("forth", host, "right", RIGHT, "right"),
                                              ("back", "right", host, home, left)):
        if ways in (way, "both"):
            nets.append(net)
            for port in range(7000, 7000 + streams):
                # A little longer, so that the end is still in full flow.
                running.append(Traffic(target, "tcp-receive", address, port, end + 0.05))
                running.append(Traffic(source, "tcp-send", address, port))
    _, bits = rates(nets, begin, end)
    for one in running:
        one.done()
    return bits


def udp(size, seconds, address=RIGHT, spread=1, train=1):
    """Packets of `size` bytes, with their headers, that arrive, and the share that is lost. They
    are sent in trains of so many, and read as trains if it is more than one."""
    begin, end = window(seconds, 0.3)
    receiver = Traffic("right", "udp-receive", "0.0.0.0", 7000, end + 0.05,
                       *([size - 28] if train > 1 else []))
    time.sleep(0.05)
    sender = Traffic("left", "udp-send", address, 7000, size - 28, end + 0.05, spread, train)
    packets, _ = rates(["right"], begin, end)
    return packets, 1 - receiver.done()["received"] / sender.done()["sent"]
