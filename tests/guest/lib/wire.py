# SPDX-License-Identifier: GPL-2.0
"""A network between namespaces that is a part of the script: it sees each packet, and what becomes of
it is up to the script. It is also the script's clock, to be used where time is simulated: nothing
here takes any, so what happens at a time happens exactly then."""

import fcntl
import heapq
import itertools
import os
import select
import socket
import struct
import time
from typing import NamedTuple

import netlink as nl
from world import inside

INITIATION, RESPONSE, COOKIE, DATA, KEEPALIVE, OTHER = (
    "initiation", "response", "cookie", "data", "keepalive", "other")
_KINDS = {(1, 148): INITIATION, (2, 92): RESPONSE, (3, 64): COOKIE, (4, 32): KEEPALIVE}

IFF_TUN, IFF_NO_PI, TUNSETIFF = 1, 0x1000, 0x400454ca


class Packet(NamedTuple):
    """A UDP packet that a port has sent."""
    time: float
    source: str
    kind: str
    size: int  # of the message
    lost: bool
    whole: bytes  # from the IP header on

    @property
    def message(self):
        return self.whole[28:]


def new_netns():
    """A descriptor of a netns that lives as long as what uses it."""
    here = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.unshare(os.CLONE_NEWNET)
        nl.link_up("lo").or_raise()
        return os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        os.setns(here, os.CLONE_NEWNET)
        os.close(here)


def _kind(message):
    kind = _KINDS.get((message[0], len(message)))
    if kind is None:
        kind = DATA if message[0] == 4 and len(message) > 32 else OTHER
    return kind


class Wire:
    """Ports with an address each, and what is to happen at what time. Times are seconds since this
    began."""

    def __init__(self):
        self.start = time.clock_gettime(time.CLOCK_BOOTTIME)
        self.record = []
        # Whether a packet is lost on the way; asked before it is recorded.
        self.loses = lambda packet: False
        self.ports = {}  # address: (name, descriptor)
        self.poll = select.epoll()
        self.readers = {}
        self.plans = []
        self.order = itertools.count()
        self.alarm = os.timerfd_create(time.CLOCK_BOOTTIME, flags=os.TFD_NONBLOCK | os.TFD_CLOEXEC)
        self.watch(self.alarm, lambda: os.read(self.alarm, 8))

    def now(self):
        return time.clock_gettime(time.CLOCK_BOOTTIME) - self.start

    def add(self, name, net, address, prefix=24):
        """Gives a netns a port."""
        with inside(net):
            tun = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
            fcntl.ioctl(tun, TUNSETIFF, struct.pack("16sH22x", b"wire", IFF_TUN | IFF_NO_PI))
            nl.address_add("wire", f"{address}/{prefix}").or_raise()
            nl.link_up("wire").or_raise()
        self.ports[socket.inet_aton(address)] = name, tun
        self.watch(tun, lambda: self._take(name, tun))

    def watch(self, number, reader):
        """Calls a function when a descriptor has something to read."""
        self.readers[number] = reader
        self.poll.register(number, select.EPOLLIN)

    def at(self, when, function, *args):
        """Calls a function at a time."""
        heapq.heappush(self.plans, (when, next(self.order), function, args))

    def run(self, until):
        """Lets time pass until then."""
        done = []
        self.at(until, done.append, True)
        while not done:
            when, _, function, args = self.plans[0]
            if when <= self.now():
                heapq.heappop(self.plans)
                function(*args)
                # What that led to comes before what else there is to do at this time.
                self._work(0)
            else:
                os.timerfd_settime(self.alarm, flags=os.TFD_TIMER_ABSTIME,
                                   initial=self.start + when)
                self._work(-1)

    def _work(self, timeout):
        while ready := self.poll.poll(timeout):
            for number, _ in ready:
                if number in self.readers:
                    self.readers[number]()
            timeout = 0

    def _take(self, name, tun):
        whole = os.read(tun, 65536)
        # IPv4 without options, UDP
        if whole[0] != 0x45 or whole[9] != 17:
            return
        message = whole[28:]
        packet = Packet(self.now(), name, _kind(message), len(message), False, whole)
        lost = bool(self.loses(packet))
        self.record.append(packet._replace(lost=lost))
        if not lost:
            self.deliver(packet)

    def deliver(self, packet):
        """Has a packet arrive, if anybody is there."""
        _, tun = self.ports.get(packet.whole[16:20], (None, None))
        if tun is not None:
            os.write(tun, packet.whole)

    def sent(self, source, *kinds, since=0.0):
        """When a port has sent packets of these kinds, or any."""
        return [packet.time for packet in self.record
                if packet.source == source and packet.time >= since
                and (not kinds or packet.kind in kinds)]

    def close(self):
        for number in self.readers:
            os.close(number)
        self.readers.clear()
        self.poll.close()
