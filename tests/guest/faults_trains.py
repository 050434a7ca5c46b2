# SPDX-License-Identifier: GPL-2.0
"""Each call that allocates on the way of UDP GSO packets and of what is dealt with together: all that
it allocates fails while packets go through it, and then some of it.

The calls are found in the module's file. Where the packets have another way they have to arrive;
elsewhere they may be lost, and what is sent afterwards arrives.
"""

import contextlib
import fcntl
import os
import re
import socket
import struct
import time

import callsites
import ethtool
import injection
import memory
import netlink as nl
import packets
import world
from injection import KINDS, left, only_below, tell
from noise import UDP_SEGMENT, Peer, public_key
from stream import Stream
from tap import check, note
from world import inside, sh

SIOCOUTQ = 0x5411
SO_RCVBUFFORCE = 33
MANY = 1_000_000
# Datagrams of a train, and their size.
DATAGRAMS, SIZE = 25, 1300
# Trains of a flood, one way.
FLOOD = 60
# Of the streams, after each piece.
PAUSE = 0.3
CABLE = ("10.9.0.1", "10.9.0.2", 5000)
STRANGER = "192.168.77.3"

# The functions that the calls are in, by which way packets go,
OUT = re.compile(r"encrypt|gso::|Device::xmit")
IN = re.compile(r"decrypt|deliver::Arrival|gro::|Packet::open|receive::packet")
# whom they call to get memory,
SOURCES = re.compile(r"^wg_|^skb_|with_linear$|PageFrag::refill$")
# those without which packets take another way,
DISPENSABLE = re.compile(r"Encrypt::run -> (wg_alloc_skb|skb_checksum_help|.*refill)$|Decrypt::run -> .*refill$")
# those that are on that way, which is taken where there is no page,
OTHER_WAY = re.compile(r"cut_and_|segment_received|encrypt::seal|Packet::open")
# and those of which at least one has to fail, by what is to be shown.
REACHED = {
    OUT: {
        "a UDP GSO packet of segments or of single packets": r"Encrypt::run -> wg_alloc_skb",
        "a page to encrypt to": r"Encrypt::run -> .*refill",
        "segments that are cut and sealed one by one": r"cut_and_seal -> wg_skb_gso_segment",
    },
    IN: {
        "a page to decrypt to": r"Decrypt::run -> .*refill",
        "a packet that was decrypted": r"Opened::begin -> .*with_linear",
        "a packet that was merged": r"Opened::end_run -> .*with_linear",
        "datagrams that are cut and opened one by one": r"segment_received -> wg_skb_segment_received",
        "segments that are cut since one was replayed": r"apart -> wg_skb_gso_segment",
    },
}


class Way:
    """Datagrams from one end of the tunnel to the other."""

    def __init__(self, name, source, target, address):
        self.name, self.sent = name, 0
        with inside(target):
            self.receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.receiver.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 16 << 20)
        self.receiver.bind((address, 0))
        self.receiver.setblocking(False)
        with inside(source):
            self.sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sender.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        self.sender.connect(self.receiver.getsockname())

    def _datagram(self):
        self.sent += 1
        return struct.pack(">I", self.sent) + packets.content(self.sent * 7, SIZE - 4)

    def train(self):
        """Sends datagrams as one packet."""
        # The stack says so where the device had no memory.
        with contextlib.suppress(OSError):
            self.sender.sendmsg([b"".join(self._datagram() for _ in range(DATAGRAMS))],
                                [(socket.IPPROTO_UDP, UDP_SEGMENT, struct.pack("=H", SIZE))])

    def singly(self):
        """Sends datagrams one by one, before the first is encrypted."""
        datagrams = [self._datagram() for _ in range(DATAGRAMS)]
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
        for datagram in datagrams:
            with contextlib.suppress(OSError):
                self.sender.send(datagram)
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))

    def gone(self):
        """Whether nothing counts against the sender any more."""
        return struct.unpack("=i", fcntl.ioctl(self.sender, SIOCOUTQ, bytes(4)))[0] == 0

    def came(self, since, into):
        """Takes what has come of what was sent since, and says whether that is all."""
        while True:
            try:
                data = self.receiver.recv(65536)
            except BlockingIOError:
                return len(into) >= self.sent - since
            number, = struct.unpack_from(">I", data)
            if data[4:] != packets.content(number * 7, SIZE - 4) or number in into:
                raise ValueError(f"what came is not what was sent: {number}, {len(data)} bytes")
            if number > since:
                into.add(number)


class Traffic:
    """What goes through the tunnel, and through a peer of the script's."""

    def __init__(self, here, address, far, far_address, far_key):
        self.far = far
        own = bytes([8]) + os.urandom(31)
        with inside(far):
            nl.wg_set("wg0", peers=[nl.peer(public_key(own), allowed=[f"{STRANGER}/32"])]).or_raise()
        self.ways = [Way("out", here, far, far_address), Way("in", far, here, address)]
        self.streams = [Stream("to the far end", here, far, far_address, PAUSE),
                        Stream("from the far end", far, here, address, PAUSE)]
        self.peer = Peer("init", CABLE[0], own, far_key, CABLE[1:])
        self.datagrams = self.segments = None
        self.segment_step = 0
        self.renew()

    def renew(self):
        """Begins a session of the peer's, before the last one expires."""
        address = self.ways[0].receiver.getsockname()[0]
        self.peer.connect()
        self.datagrams = [self.peer.seal(packets.udp(STRANGER, address, bytes(SIZE)))
                          for _ in range(DATAGRAMS)]
        self.segments = [self.peer.seal(packet) for packet in packets.stream(
            STRANGER, address, [SIZE] * DATAGRAMS, last=packets.ACK)]

    def _fresh_segments(self):
        """A train that is merged, and after it one of which a part was there before."""
        self.segment_step += 1
        fresh = [self.peer.seal(packet) for packet in packets.stream(
            STRANGER, self.ways[0].receiver.getsockname()[0], [1000] * 6,
            sequence=self.segment_step * 6000, last=packets.ACK)]
        self.peer.sock.send(fresh[3])
        self.peer.send_train(fresh)
        self.peer.send_train([*fresh[:3], b"\4\0\0\0" + bytes(4) + fresh[3][8:], *fresh[4:]])

    def once(self, all_of_it):
        """Sends by all ways; with the far end's UDP GSO and without. How many datagrams were lost."""
        lost = 0
        for on in (True, False):
            with inside(self.far):
                ethtool.set_flag("wg0", "udp-gso", on)
            for way in self.ways:
                since, arrived = way.sent, set()
                for send in (way.train, way.singly):
                    send()
                    world.until(way.gone)
                world.until(lambda way=way, since=since, arrived=arrived: way.came(since, arrived),
                            10 if all_of_it else 0.05)
                lost += way.sent - since - len(arrived)
            self._fresh_segments()
        with inside(self.far):
            ethtool.set_flag("wg0", "udp-gso", True)
        return lost

    def flood(self):
        """Sends trains by all ways, whatever becomes of them."""
        for _ in range(FLOOD):
            self.peer.send_train(self.datagrams)
            self.peer.send_train(self.segments)
            for way in self.ways:
                way.train()
                way.came(way.sent, set())
        for way in self.ways:
            world.until(way.gone)
            way.came(way.sent, set())

    def goes_on(self):
        """Whether the streams do."""
        before = [stream.count() for stream in self.streams]
        return world.until(lambda: all(stream.count() > count for stream, count
                                       in zip(self.streams, before)), 20)


def failing(call, refill, probability):
    """Has what a call allocates fail. `refill` is where pages come from."""
    at = call.address()
    only_below(at, at + 1)
    if OTHER_WAY.search(str(call)):
        # The way is taken where no page is to be had.
        refill = refill.address()
        only_below(refill, refill + 1, KINDS[1:])
        tell(KINDS[1], probability=100)
        tell(KINDS[0], probability=probability, times=MANY)
        return
    for kind in KINDS:
        tell(kind, probability=probability, times=MANY)


def reliable():
    """Has nothing fail, and says how much did of what was to."""
    failed = sum(max(MANY - left(kind), 0) for kind in KINDS if left(kind) >= 0)
    for kind in KINDS:
        tell(kind, probability=0, times=0)
    return failed


def fail_each(functions, here, address, far, far_address, far_key):
    """A scenario, about calls in these functions: the tunnel's ends are the netns `here' and `far', which
    have these addresses."""
    calls = callsites.of_module()
    refill = next(call for call in calls if call.callee == "skb_page_frag_refill")
    calls = [call for call in calls
             if functions.search(callsites.plain(call.caller)) and SOURCES.search(callsites.plain(call.callee))]
    # What is sent at once is dealt with together.
    sh("echo 0 >/sys/devices/system/cpu/cpu1/online")
    try:
        traffic = Traffic(here, address, far, far_address, far_key)
        check(traffic.goes_on() and traffic.once(True) == 0, f"all arrives before {len(calls)} calls fail")
        reached = set()
        for call in calls:
            total, start = 0, time.monotonic()
            traffic.renew()
            for probability in (100, 30):
                failing(call, refill, probability)
                dispensable = DISPENSABLE.search(str(call))
                lost = traffic.once(bool(dispensable))
                if dispensable:
                    check(lost == 0 and traffic.goes_on(), f"nothing is lost where {call} fails in "
                          f"{probability} of 100 cases", lost)
                total += reliable()
                if not total:
                    break
            if not total:
                note(f"{call} is not come to")
                continue
            reached.add(str(call))
            note(f"{call}: {total} failed ({time.monotonic() - start:.0f} s)")
            check(traffic.goes_on() and traffic.once(True) == 0, f"all arrives after {call} has failed")
            failing(call, refill, 100)
            memory.is_back(f"a flood where {call} fails", traffic.flood,
                           FLOOD * DATAGRAMS * SIZE)
            reliable()
        for what, pattern in REACHED[functions].items():
            check(any(re.search(pattern, call) for call in reached), f"there was no memory for {what}")
        for stream in traffic.streams:
            stream.finish()
    finally:
        sh("echo 1 >/sys/devices/system/cpu/cpu1/online")
        injection.tell(KINDS[0], probability=0)
        injection.tell(KINDS[1], probability=0)
