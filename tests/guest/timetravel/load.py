# SPDX-License-Identifier: GPL-2.0
"""Under load: cookies and limits."""

import bisect
import hashlib
import os
import socket
import struct

import tap
from house import ADDRESS, OURS, PORT, PUBLIC, World, expect_times, short
from secrets_end import Log, print_all
from tap import check, scenario
from wire import COOKIE, INITIATION, RESPONSE, Packet
from world import checksum, inside, sh

# Section 5.3 leaves most numbers open; these are those of the kernel's own module.
STRICT_FOR, COOKIE_LIFE, COOKIE_LATENCY = 1, 120, 5
HANDSHAKES_PER_SECOND, HANDSHAKES_AT_ONCE = 20, 5
# From 512 on that wait a device is strict.
ENOUGH = 600


class Flood:
    """Handshakes that are none, but for their MAC1, to a device."""

    def __init__(self, world, name, source="10.0.0.9"):
        self.world, self.times = world, []
        with inside(world.nets[name]):
            # So that the wire can hold all answers at a time.
            sh(f"ip link set wire txqueuelen {2 * ENOUGH}")
        key = hashlib.blake2s(b"mac1----" + PUBLIC[name]).digest()
        self.packets = [self._packet(key, source, ADDRESS[name]) for _ in range(ENOUGH)]

    @staticmethod
    def _packet(key, source, destination):
        message = struct.pack("<II", 1, 0) + os.urandom(108)
        message += hashlib.blake2s(message, digest_size=16, key=key).digest() + bytes(16)
        udp = struct.pack(">HHHH", 9, PORT, 8 + len(message), 0) + message
        ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0,
                         socket.inet_aton(source), socket.inet_aton(destination))
        ip = ip[:10] + struct.pack(">H", checksum(ip)) + ip[12:]
        return Packet(0, "outside", INITIATION, len(message), False, ip + udp)

    def one(self):
        self.world.deliver(self.packets[0])

    def all(self):
        """All of them, before the device gets to look at the first."""
        self.times.append(self.world.now())
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
        for packet in self.packets:
            self.world.deliver(packet)
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))

    def every(self, seconds, since, until):
        for number in range(int((until - since) / seconds)):
            self.world.at(since + number * seconds, self.all)


def answers(world, to, *kinds, who="right"):
    """What a device has sent to an address."""
    return [packet for packet in world.record if packet.source == who
            and packet.kind in kinds and packet.whole[16:20] == socket.inet_aton(to)]


@scenario
def strictness_ends():
    """A device that was flooded asks for cookies for a second"""
    with World() as world:
        flood = Flood(world, "right")
        probes = {0.5: False, 1.9: True, 2.1: False, 60: False}
        for when in probes:
            world.at(when, flood.one)
        world.at(1, flood.all)
        world.run(61)
        asked = [packet.time for packet in answers(world, "10.0.0.9", COOKIE)]
        check(len([at for at in asked if 1 <= at < 1.5]) == ENOUGH,
              "each of a flood is asked for a cookie", len(asked))
        expect_times([at for at in asked if not 1 <= at < 1.5],
                     [when for when, strict in probes.items() if strict],
                     "and others for a second more, no longer")


@scenario
def strictness_is_ones_own():
    """A device asks for no cookies because another one of the machine is flooded"""
    if not OURS:
        return
    with World() as world:
        flood, beside = Flood(world, "right"), Flood(world, "left")
        for when in (1, 1.5):
            world.at(when, flood.all)
        for when in (1.2, 1.9, 2.1):
            world.at(when, beside.one)
        # A handshake between the two as well, of which one is flooded.
        world.at(1.3, world.say, "right")
        world.run(3)
        asked = [packet.time for packet in answers(world, "10.0.0.9", COOKIE)]
        check(len(asked) == 2 * ENOUGH, "each of a flood at one is asked for a cookie", len(asked))
        asked = [packet.time for packet in answers(world, "10.0.0.9", COOKIE, who="left")]
        check(not asked, "nobody is by the other meanwhile", short(asked))
        answered = [packet.kind for packet in answers(world, ADDRESS["right"], COOKIE, RESPONSE,
                                                      who="left")]
        check(answered == [RESPONSE], "which answers the flooded one's handshake", answered)


@scenario
def cookies_expire():
    """Cookies are used for 115 s, and taken until the secret behind them is 120 s old"""
    with World() as world:
        flood = Flood(world, "right")
        # None of them 120 s after another, when it would be the clock's resolution that decides whether
        # the secret is renewed.
        flood.every(0.7, 99.9, 400)
        world.lose(RESPONSE)
        # The last after the flood, when the last cookie is good for more than a minute yet.
        for when in (100, 195, 290, 405):
            world.at(when, world.say, "left")
        world.run(500)
        tries = [packet for packet in world.record if packet.source == "left"
                 and packet.kind == INITIATION]
        got = answers(world, ADDRESS["left"], COOKIE, RESPONSE)
        check(len(tries) == len(got), "each handshake has one answer", len(tries), len(got))
        # When the secret was renewed: with the first cookie that is needed when it is too old.
        births = [0]
        for at in sorted([*flood.times, *(packet.time for packet in tries)]):
            if COOKIE_LIFE <= at - births[-1] and at <= flood.times[-1]:
                births.append(at)
        cookie, used, taken = None, [], []
        for initiation, answer in zip(tries, got):
            now = initiation.time
            fresh = cookie is not None and now - cookie < COOKIE_LIFE - COOKIE_LATENCY
            used.append((any(initiation.message[-16:]), fresh))
            good = now > flood.times[-1] + STRICT_FOR or (
                fresh and bisect.bisect(births, cookie) == bisect.bisect(births, now))
            taken.append((answer.kind, RESPONSE if good else COOKIE))
            if answer.kind == COOKIE:
                cookie = now
        tap.note(f"{len(tries)} handshakes at {short(packet.time for packet in tries)}, secrets "
                 f"from {short(births)}")
        check(all(found == wanted for found, wanted in used) and {True, False} == {
            found for found, _ in used}, "the initiator uses a cookie for 115 s", used)
        check(all(found == wanted for found, wanted in taken) and len(births) == 4
              and [kind for kind, _ in taken].count(COOKIE) >= 3,
              "the responder takes it until its secret is 120 s old, then asks for a new one", taken)


@scenario
def sources_are_limited():
    """Under load a source may begin 20 handshakes a second, and 5 at once"""
    log = Log()
    with World() as world:
        flood = Flood(world, "right")
        held = []

        def lose(packet):
            if packet.kind == INITIATION and packet.time > 2:
                held.append(packet)
                return True
            return False
        world.loses = lose
        world.at(1, flood.all)
        world.at(1.001, world.say, "left")
        times = [20.01 + 0.025 * number for number in range(36)]
        world.at(20, flood.all)
        # From now on nothing of what is said of packets is left out.
        world.at(20.005, print_all, True)
        for when in times:
            world.at(when, lambda: world.deliver(held[0]))
        world.run(20.005)
        log.take("x")
        world.run(22)
        print_all(False)
        tokens, allowed = HANDSHAKES_AT_ONCE, 0
        for before, now in zip([times[0], *times], times):
            tokens = min(HANDSHAKES_AT_ONCE, tokens + (now - before) * HANDSHAKES_PER_SECOND)
            if tokens >= 1:
                tokens -= 1
                allowed += 1
        said = log.take("(Invalid handshake initiation|Invalid MAC of handshake)")
        responses = len([at for at in world.sent("right", RESPONSE, since=20)])
        looked_at = responses + said.count("Invalid handshake initiation")
        check(responses == 1 and len(said) == len(times) - 1,
              "of one handshake again and again the first is answered", responses, said)
        # The sum above and the kernel's may differ in what is just enough.
        check(abs(looked_at - allowed) <= 1, f"{allowed} of {len(times)} are looked at", looked_at)
