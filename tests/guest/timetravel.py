# SPDX-License-Identifier: GPL-2.0
"""The protocol's timers over days, by the numbers in section 6 of the WireGuard paper. Run by
timetravel.sh, in a kernel where time passes only while everything waits.

A scenario has a device in `left' and one in `right', datagrams that both say to each other at times
that it chooses, and a wire in between which keeps record of each packet and its time. Nothing takes
any time on the wire, so what follows from an event has the same time as the event. Timers are the
kernel's: they fire late by up to the step of their level of the timer wheel, which at 100 Hz is
0.64 s for those of 5 to 40 s.
"""

import bisect
import hashlib
import itertools
import os
import random
import re
import socket
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import netlink as nl  # noqa: E402
import tap  # noqa: E402
import tunnel  # noqa: E402
from tap import check, scenario  # noqa: E402
from wire import (COOKIE, DATA, INITIATION, KEEPALIVE, RESPONSE, Packet, Wire,  # noqa: E402
                  new_netns)
from world import checksum, inside, sh  # noqa: E402

OURS = os.environ.get("MODULE", "ours") == "ours"
PORT, INNER_PORT = 51820, 1000
ADDRESS = {"left": "10.0.0.1", "right": "10.0.0.2", "outside": "10.0.0.3"}
INNER = {"left": "192.168.88.1", "right": "192.168.88.2"}
OTHER = {"left": "right", "right": "left"}
KEYS = {name: os.urandom(32) for name in INNER}
PUBLIC = tunnel.public_keys(KEYS)

# The paper's constants, in seconds.
REKEY_AFTER, REJECT_AFTER, REKEY_ATTEMPT, REKEY_TIMEOUT, KEEPALIVE_TIMEOUT = 120, 180, 90, 5, 10
# What is added at random to the times that could keep two peers in step.
JITTER = 0.333
HOUR, DAY = 3600, 86400

TICK = 0.01
# Time passes by microseconds where somebody reads the clock again and again.
INSTANT = 0.005


def late(seconds):
    """By how much a kernel timer of so many seconds may fire too late."""
    level = 0
    while seconds / TICK >= 63 << 3 * level:
        level += 1
    return TICK * 8 ** level + TICK


def fires(armed, at, seconds, jitter=0.0):
    """Whether a timer that was armed for so many seconds may have fired at a time."""
    return seconds - TICK <= at - armed <= seconds + jitter + late(seconds + jitter)


def same(one, other):
    """Whether two lists of times are the same."""
    return len(one) == len(other) and all(abs(a - b) < INSTANT for a, b in zip(one, other))


def gaps(times):
    return [later - earlier for earlier, later in itertools.pairwise(times)]


def short(times):
    """A list of times for a human."""
    return [round(at, 3) for at in times]


class World(Wire):
    """The two ends of a tunnel, and what they say to each other."""

    def __init__(self, keepalive=None):
        super().__init__()
        self.nets = {name: new_netns() for name in INNER}
        self.mouths = {}
        self.said = []  # (time, who); the index is what was said
        self.heard = {}  # what was said: when it was heard
        for name, net in self.nets.items():
            other = OTHER[name]
            self.add(name, net, ADDRESS[name])
            with inside(net):
                nl.link_add("wg0").or_raise()
                nl.wg_set("wg0", private_key=KEYS[name], port=PORT, peers=[nl.peer(
                    PUBLIC[other], endpoint=(ADDRESS[other], PORT),
                    allowed=[f"{INNER[other]}/32"])]).or_raise()
                nl.address_add("wg0", f"{INNER[name]}/24").or_raise()
                nl.link_up("wg0").or_raise()
                mouth = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
                mouth.bind((INNER[name], INNER_PORT))
            self.mouths[name] = mouth
            self.watch(mouth.fileno(), lambda mouth=mouth: self._hear(mouth))
        if keepalive:
            self.set_keepalive("left", keepalive)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for mouth in self.mouths.values():
            mouth.detach()
        self.close()
        for net in self.nets.values():
            os.close(net)

    def _hear(self, mouth):
        self.heard.setdefault(int(mouth.recv(100)), self.now())

    def say(self, who):
        """Sends a datagram into the tunnel."""
        self.said.append((self.now(), who))
        self.mouths[who].sendto(b"%d" % (len(self.said) - 1), (INNER[OTHER[who]], INNER_PORT))

    def talk(self, who, every, since, until):
        """Has somebody send a datagram in such intervals."""
        self.at(since, self.say, who)
        if since + every < until:
            self.at(since, self.talk, who, every, since + every, until)

    def set_keepalive(self, who, seconds):
        with inside(self.nets[who]):
            nl.wg_set("wg0", peers=[nl.peer(PUBLIC[OTHER[who]], keepalive=seconds)]).or_raise()

    def status(self, who):
        """What the device says of its peer."""
        with inside(self.nets[who]):
            return nl.wg_get("wg0")["peers"][PUBLIC[OTHER[who]]]

    def unheard(self):
        """When what was not heard at once was said."""
        return [at for number, (at, _) in enumerate(self.said)
                if self.heard.get(number, at + HOUR) - at > INSTANT]

    def lose(self, *kinds, source=None):
        """Has packets be lost from now on: those of some kinds, or all."""
        self.loses = lambda packet: (not kinds or packet.kind in kinds) and (
            source is None or packet.source == source)

    def lose_nothing(self):
        self.loses = lambda packet: False


def odd_keepalives(world, who):
    """When somebody sent keepalives but for what the rule asks for: 10 s after the first datagram
    heard since anything was sent, or to confirm a session."""
    handshakes = world.sent(who, INITIATION)
    events = [(at, None) for number, at in world.heard.items() if world.said[number][1] != who]
    events += [(packet.time, packet.kind) for packet in world.record if packet.source == who]
    odd, waiting = [], None
    for at, kind in sorted(events, key=lambda event: event[0]):
        if kind is None:
            waiting = at if waiting is None else waiting
            continue
        if kind == KEEPALIVE and not any(abs(at - other) < INSTANT for other in handshakes) and (
                waiting is None or not fires(waiting, at, KEEPALIVE_TIMEOUT)):
            odd.append(at)
        waiting = None
    return odd


def expect_times(found, expected, what):
    check(same(found, expected), what, f"at {short(found)}", f"not {short(expected)}")


def every(seconds, until):
    """When somebody sends who does so in such intervals."""
    return [number * seconds for number in range(int(until / seconds) + 1)
            if number * seconds < until]


def rekeys(sends):
    """When handshakes are due for who sends at these times: at first, and with the first packet that
    a session sends after 120 s."""
    found = [sends[0]]
    for at in sends:
        if at - found[-1] >= REKEY_AFTER:
            found.append(at)
    return found


# --- sessions that follow one another ----------------------------------------------------------

@scenario
def traffic_both_ways():
    """Both send all the time, for two hours"""
    with World() as world:
        # No packet is sent when a session is 120 s old to the microsecond.
        world.talk("left", 1.7, 0, 2 * HOUR)
        world.talk("right", 1.3, 0.25, 2 * HOUR)
        world.run(2 * HOUR)
        expected = rekeys(every(1.7, 2 * HOUR))
        expect_times(world.sent("left", INITIATION), expected,
                     f"the initiator rekeys 120 s after each session began: {len(expected)} times")
        check(not world.sent("right", INITIATION), "the responder never does",
              short(world.sent("right", INITIATION)))
        expect_times(world.sent("right", RESPONSE), expected, "each is answered at once")
        check(not world.unheard(), "nothing is lost and nothing waits", short(world.unheard()))
        # After the first handshake there is data to send.
        expect_times(world.sent("left", KEEPALIVE), expected[1:],
                     "keepalives do nothing but confirm sessions")
        check(not world.sent("right", KEEPALIVE), "and the responder needs none")


@scenario
def only_the_responder_sends():
    """A session's initiator hears much and has nothing to say"""
    with World() as world:
        world.say("left")
        world.talk("right", 1.7, 0.5, 1000)
        world.run(1000)
        initiations = world.sent("left", INITIATION)
        check(world.sent("right", INITIATION) == [], "the responder starts no handshake")
        longest = REKEY_AFTER + 1.7 + KEEPALIVE_TIMEOUT + late(KEEPALIVE_TIMEOUT)
        check(all(REKEY_AFTER < gap < longest for gap in gaps(initiations))
              and len(initiations) >= 8,
              "the initiator rekeys with its first keepalive after 120 s", short(initiations))
        odd = odd_keepalives(world, "left")
        check(not odd and len(world.sent("left", KEEPALIVE)) > 80,
              "it sends each 10 s after the first datagram since the last", short(odd))
        check(not world.unheard(), "nothing is lost and nothing waits", short(world.unheard()))


@scenario
def last_minute():
    """An initiator that only receives rekeys when a session is 165 s old, and not before"""
    for age, rekeyed in ((164.9, []), (165.1, [165.1])):
        with World() as world:
            world.say("left")
            world.at(age, world.say, "right")
            world.run(age + 1)
            expect_times(world.sent("left", INITIATION), [0, *rekeyed],
                         f"data that is received after {age} s starts "
                         + ("a handshake" if rekeyed else "none"))
            world.run(age + 30)
            # Otherwise its keepalive for that data is reason enough.
            last = world.sent("left", INITIATION)[-1]
            check(rekeyed or fires(age, last, KEEPALIVE_TIMEOUT),
                  "which happens once" if rekeyed else "but the keepalive for it does",
                  short(world.sent("left", INITIATION)))
            check(len(world.sent("left", INITIATION)) == 2 and not world.unheard(),
                  "there were two handshakes, and all arrived")
    with World() as world:
        world.say("left")
        world.at(165.1, world.say, "left")
        world.at(166, world.say, "right")
        world.loses = lambda packet: packet.kind == INITIATION and packet.time > 1
        world.talk("right", 1.0, 167, 179)
        world.run(179)
        times = world.sent("left", INITIATION)
        check(fires(times[1], times[2], REKEY_TIMEOUT, JITTER),
              "a last minute handshake is wanted once, and repeated every 5 s", short(times))


# --- keepalives ----------------------------------------------------------------------------

@scenario
def passive_keepalives():
    """Who hears and says nothing sends a keepalive after 10 s"""
    with World() as world:
        world.say("left")
        world.run(100)
        sent = world.sent("right", KEEPALIVE)
        check(len(sent) == 1 and fires(0, sent[0], KEEPALIVE_TIMEOUT),
              "one datagram is answered by one keepalive after 10 s", short(sent))
        check(not world.sent("left", KEEPALIVE), "which is answered by none")
    with World() as world:
        world.talk("left", 0.9, 0, 60)
        world.run(110)
        odd = odd_keepalives(world, "right")
        check(not odd and len(world.sent("right", KEEPALIVE)) == 6,
              "60 s of datagrams are answered by six", short(odd))
    with World() as world:
        world.talk("left", 0.9, 0, 100)
        world.talk("right", 9.9, 5, 100)
        world.run(100)
        check(not world.sent("left", KEEPALIVE) and not world.sent("right", KEEPALIVE),
              "there are none where both have something to say", short(world.sent("right")))


@scenario
def persistent_keepalives():
    """A keepalive each 25 s, whatever else there is, over three days"""
    with World(keepalive=25) as world:
        world.run(3 * DAY)
        sent = world.sent("left")
        steps = [gap for gap in gaps(sent) if gap > INSTANT]
        check(all(fires(0, gap, 25) for gap in steps), "it is silent for 25 s at a time",
              short([gap for gap in steps if not fires(0, gap, 25)]))
        check(3 * DAY / (25 + late(25)) - 1 <= len(steps) <= 3 * DAY / 25,
              "for three days", len(steps))
        rounds = gaps(world.sent("left", INITIATION))
        check(all(125 - TICK <= gap <= 5 * (25 + late(25)) for gap in rounds)
              and len(rounds) > 3 * DAY / 130,
              "each fifth of them renews the session", short(rounds)[:10])
        expect_times(world.sent("right"), world.sent("left", INITIATION),
                     "the other end does nothing but answer handshakes")

        began = world.now()
        world.set_keepalive("left", 10)
        world.run(began + 105)
        steps = [gap for gap in gaps(world.sent("left", since=began)) if gap > INSTANT]
        check(len(steps) in (7, 8, 9) and all(fires(0, gap, 10) for gap in steps),
              "another interval counts from the next on", short(steps))
        world.set_keepalive("left", 0)
        began = world.now()
        world.run(began + HOUR)
        check(not world.sent("left", since=began) and not world.sent("right", since=began),
              "0 turns them off", short(world.sent("left", since=began)))
        world.set_keepalive("left", 3)
        check(same(world.sent("left", since=began), []), "what is turned on")
        began = world.now()
        world.run(began + 10)
        check(abs(world.sent("left", INITIATION)[-1] - began) < INSTANT,
              "starts at once, with a handshake since it is needed")


# --- when nobody answers -------------------------------------------------------------------

@scenario
def peer_gone():
    """The other end vanishes in the midst of a session"""
    with World() as world:
        world.say("left")
        world.at(20, world.lose)
        world.at(21, world.say, "left")
        world.at(22, world.say, "left")
        world.run(200)
        sent = world.sent("left", INITIATION, since=20)
        check(fires(21, sent[0], KEEPALIVE_TIMEOUT + REKEY_TIMEOUT, JITTER),
              "a handshake starts 15 s after the first datagram that nothing followed",
              short(sent))
        attempts(sent)
        world.run(300)
        world.lose_nothing()
        world.say("left")
        world.run(301)
        check(len(world.heard) == 2 and world.heard.get(3, 0) > 300 - INSTANT,
              "a datagram after that makes a new session at once", world.heard)


def attempts(sent):
    """Checks a handshake's first message and its repetitions."""
    steps = gaps(sent)
    check(all(fires(0, gap, REKEY_TIMEOUT, JITTER) for gap in steps),
          "attempts follow each other after 5 s and up to 333 ms", short(steps))
    check(max(steps) - min(steps) > 0.3, "not always after the same time", short(steps))
    # One that is no repetition, those of 90 s, and one since it is only seen then that it is enough.
    check(len(sent) == 1 + REKEY_ATTEMPT // REKEY_TIMEOUT + 1, "there are attempts for 90 s",
          len(sent), short(sent))


@scenario
def never_there():
    """A peer that cannot be reached, until it can"""
    with World() as world:
        world.lose()
        for _ in range(5):
            world.say("left")
        world.run(60)
        world.lose_nothing()
        world.run(70)
        check(sorted(world.heard) == [0, 1, 2, 3, 4],
              "what was said meanwhile waits for the session", world.heard)
    with World() as world:
        world.lose()
        for _ in range(5):
            world.say("left")
        world.run(200)
        sent = world.sent("left", INITIATION)
        check(abs(sent[0]) < INSTANT, "the first attempt is made at once", short(sent))
        attempts(sent)
        world.lose_nothing()
        world.run(2 * HOUR)
        check(not world.heard and world.sent("left", since=200) == [],
              "after that nothing happens by itself", world.heard)
        world.say("left")
        world.run(2 * HOUR + 60)
        check(list(world.heard) == [5] and abs(world.heard[5] - 2 * HOUR) < INSTANT,
              "what is said then arrives at once, what was said before does not", world.heard)


@scenario
def many_peers_gone():
    """Forty peers go at the same time"""
    with World() as world:
        count = 40
        keys = [os.urandom(32) for _ in range(count)]
        with inside(world.nets["left"]):
            nl.wg_set("wg0", peers=[
                nl.peer(key, endpoint=(f"10.0.0.{100 + number}", PORT),
                        allowed=[f"192.168.88.{100 + number}/32"])
                for number, key in enumerate(keys)]).or_raise()
        for number in range(count):
            world.mouths["left"].sendto(b"0", (f"192.168.88.{100 + number}", INNER_PORT))
        world.run(200)
        tries = {}
        for packet in world.record:
            tries.setdefault(packet.whole[19], []).append(packet.time)
        check(len(tries) == count and {len(times) for times in tries.values()} == {20},
              "each is tried to be reached as often",
              {peer: len(times) for peer, times in tries.items()})
        check(all(abs(times[0]) < INSTANT for times in tries.values()), "from the same time on")
        last = [times[-1] for times in tries.values()]
        # The wheel has steps of 0.64 s.
        check(max(last) - min(last) > 1 and len({round(at, 1) for at in last}) >= 4,
              "but they spread out", short(sorted(last)))


# --- the end of keys -----------------------------------------------------------------------

@scenario
def no_more_handshakes():
    """Sessions are not renewed: they end after 180 s"""
    with World() as world:
        held = []

        def lose(packet):
            if packet.time > 1 and packet.kind in (INITIATION, RESPONSE):
                return True
            if packet.kind == DATA and packet.source == "right" and packet.time > 178 \
                    and len(held) < 2:
                held.append(packet)
                return True
            return False

        world.loses = lose
        world.talk("left", 0.7, 0, 300)
        world.talk("right", 0.7, 0.15, 300)
        world.at(REJECT_AFTER - 0.05, lambda: world.deliver(held[0]))
        world.at(REJECT_AFTER + 0.05, lambda: world.deliver(held[1]))
        world.run(300)
        for name in INNER:
            last = max(world.sent(name, DATA, KEEPALIVE))
            check(REJECT_AFTER - 0.7 <= last <= REJECT_AFTER,
                  f"{name} sends for 180 s and not any longer", last)
        heard = max(at for number, at in world.heard.items() if world.said[number][1] == "left")
        check(REJECT_AFTER - 0.7 <= heard <= REJECT_AFTER, "and is heard for as long", heard)
        received = [number for number, (at, who) in enumerate(world.said)
                    if who == "right" and at > 178][:2]
        check(abs(world.heard.get(received[0], 0) - (REJECT_AFTER - 0.05)) < INSTANT,
              "a packet that comes before that is taken", world.heard.get(received[0]))
        check(received[1] not in world.heard, "one that comes later is not",
              world.heard.get(received[1]))
        starts = world.sent("left", INITIATION, since=1)
        check(REKEY_AFTER < starts[0] < REKEY_AFTER + 0.7 + INSTANT,
              "the initiator wants a new one after 120 s", starts[0])
        starts = world.sent("right", INITIATION, since=1)
        check(REJECT_AFTER < starts[0] < REJECT_AFTER + 0.7 + INSTANT,
              "the responder when it has none", starts[0])
        # Each datagram asks for one anew, so it may come as soon as allowed, and never ends.
        for name in INNER:
            steps = gaps(world.sent(name, INITIATION, since=1))
            check(all(gap >= REKEY_TIMEOUT for gap in steps),
                  f"{name} makes no two attempts within 5 s", short(steps))


class Log:
    """What the kernel's log has to say from now on."""

    def __init__(self):
        self.kmsg = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        os.lseek(self.kmsg, 0, os.SEEK_END)

    def take(self, pattern):
        """What is new in it and fits."""
        found = []
        while True:
            try:
                found += re.findall(pattern, os.read(self.kmsg, 8192).decode())
            except BlockingIOError:
                return found
            except BrokenPipeError:
                pass  # the oldest messages had to go


def print_all(everything):
    """Whether each packet has its line in the log, however many there are."""
    with open("/proc/sys/net/core/message_cost", "w", encoding="ascii") as file:
        file.write("0" if everything else "5")


@scenario
def keys_are_wiped():
    """Three times 180 s after the last session began nothing is left of any"""
    log = Log()
    destroyed = r"Keypair (\d+) destroyed"
    with World() as world:
        print_all(True)
        world.talk("left", 1.7, 0, 130)
        world.run(130)
        began = world.sent("left", INITIATION)[-1]
        wiped = 3 * REJECT_AFTER
        created = log.take(r"Keypair (\d+) created")
        check(len(created) == 4, "there are two sessions at each end", created)
        log.take(destroyed)
        world.run(began + wiped - 1)
        gone = log.take(destroyed)
        check(not gone, "the keys are there for 540 s", gone)
        world.run(began + wiped + late(wiped))
        gone = log.take(destroyed)
        check(sorted(gone) == sorted(created), "and then they go", gone, created)
        print_all(False)


@scenario
def attempts_are_in_the_log():
    """What the timers do is in the log, with figures"""
    if not OURS:
        return
    log = Log()
    with World() as world:
        world.say("left")
        world.at(1, world.lose)
        world.at(2, world.say, "left")
        world.run(130)
        peer = r"peer \d+ \(10\.0\.0\.2:51820\)"
        said = log.take(rf"(?:Nothing heard from {peer} in|No answer to a handshake from {peer} in|"
                        rf"Giving up the handshake with {peer} after) (\d+ [a-z]+(?:, attempt \d+)?)")
        check(said == ["15 seconds", *(f"5 seconds, attempt {number}" for number in range(2, 21)),
                       "20 attempts"], "how long nothing was heard, each attempt, and the last", said)
        world.run(700)
        said = log.take(rf"Wiping all keys of {peer}, of which none is new in (\d+) seconds")
        check(said == ["540"], "and when keys are wiped", said)


@scenario
def handshakes_are_forgotten():
    """The state of a handshake that was given up is kept for 540 s and no longer"""
    for after, accepted in ((3 * REJECT_AFTER - 5, True),
                            (3 * REJECT_AFTER + late(3 * REJECT_AFTER), False)):
        with World() as world:
            world.lose(RESPONSE)
            world.say("left")
            world.run(150)
            last = [packet for packet in world.record if packet.kind == RESPONSE][-1]
            given_up = world.sent("left", INITIATION)[-1] + REKEY_TIMEOUT
            if not accepted:
                given_up += JITTER + late(REKEY_TIMEOUT + JITTER)
            world.run(given_up + after)
            before = world.now()
            world.deliver(last)
            world.run(before + 1)
            check((len(world.sent("left", KEEPALIVE, since=before)) == 1) == accepted,
                  f"a response {after:.0f} s after giving up is "
                  + ("one still" if accepted else "none any more"),
                  short(world.sent("left", since=before)))


# --- under load ----------------------------------------------------------------------------

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
        flood.every(0.8, 99.9, 400)
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


# --- with sockets elsewhere ----------------------------------------------------------------

def move(world, where):
    """Moves the sockets of the left device."""
    with inside(world.nets["left"]):
        nl.wg_set("wg0", netns_fd=world.nets[where]).or_raise()


def traffic_and_moves(world, until, moves):
    """Traffic both ways while the left device's sockets come and go."""
    world.nets["outside"] = new_netns()
    world.add("outside", world.nets["outside"], ADDRESS["outside"])
    world.talk("left", 1.7, 0, until)
    world.talk("right", 1.3, 0.25, until)
    for number, when in enumerate(moves):
        world.at(when, move, world, ("outside", "left")[number % 2])
    world.run(until)


@scenario
def moves():
    """Timers do not care where the sockets are"""
    if not OURS:
        return
    with World() as world:
        until = 2 * HOUR
        # Not at the time of a datagram, which would be on its way to the old place.
        when = [50.021 + 77.1 * number for number in range(90)]
        traffic_and_moves(world, until, when)
        outgoing = sorted(world.sent("left", INITIATION) + world.sent("outside", INITIATION))
        # The keepalive that tells where the device is now is a packet like others.
        expect_times(outgoing, rekeys(sorted(every(1.7, until) + when)),
                     "handshakes are due after 120 s, and no move makes one")
        check(not world.sent("right", INITIATION), "the other end starts none")
        check(not world.unheard(), "nothing is lost and nothing waits", short(world.unheard()))
        places = [packet.source for packet in world.record if packet.source != "right"]
        turns = sum(one != other for one, other in itertools.pairwise(places))
        check(turns == len(when), "packets come from where the sockets are", turns)
        left, right = world.status("left"), world.status("right")
        size = {name: sum(packet.size for packet in world.record if packet.source in name)
                for name in (("left", "outside"), ("right",))}
        check(left["tx"] == right["rx"] == size["left", "outside"]
              and right["tx"] == left["rx"] == size["right",],
              "both ends have counted each byte", left, right, size)


@scenario
def keepalives_after_moves():
    """Passive and persistent keepalives, retries and wiping, after a move"""
    if not OURS:
        return
    with World(keepalive=25) as world:
        traffic_and_moves(world, 5, [3])
        world.run(DAY)
        sent = world.sent("outside", since=3.5)
        steps = [gap for gap in gaps(sent) if gap > INSTANT]
        check(all(fires(0, gap, 25) for gap in steps[5:]) and len(steps) > DAY / 26,
              "a persistent keepalive is sent each 25 s", short(steps)[:10])
        world.set_keepalive("left", 0)
        world.run(DAY + 40)
        world.say("right")
        world.run(DAY + 55)
        last = world.sent("outside", KEEPALIVE)[-1]
        check(fires(DAY + 40, last, KEEPALIVE_TIMEOUT), "a passive one after 10 s", last - DAY)
        log = Log()
        began = world.sent("outside", INITIATION)[-1]
        world.run(began + 3 * REJECT_AFTER - 1)
        early = log.take(r"Keypair \d+ destroyed")
        world.run(began + 3 * REJECT_AFTER + late(3 * REJECT_AFTER))
        check(not early and log.take(r"Keypair \d+ destroyed"), "keys go after 540 s", early)
    with World() as world:
        traffic_and_moves(world, 5, [3])
        world.run(20)
        world.lose()
        world.at(21, world.say, "left")
        world.run(200)
        sent = world.sent("outside", INITIATION)
        check(fires(21, sent[0], KEEPALIVE_TIMEOUT + REKEY_TIMEOUT, JITTER),
              "silence starts a handshake after 15 s", short(sent))
        attempts(sent)
    with World() as world:
        traffic_and_moves(world, 5, [3])
        world.lose(INITIATION, RESPONSE)
        # None at the very end, where microseconds would decide.
        world.talk("left", 0.7, 5.1, 300)
        world.run(300)
        end = world.sent("left", INITIATION)[0] + REJECT_AFTER
        last = max(world.sent("outside", DATA, KEEPALIVE))
        check(end - 0.7 <= last <= end, "a session ends after 180 s", last)


# --- anything at all -----------------------------------------------------------------------

class Model:
    """What a tunnel without delay or loss does, by the paper's rules. When exactly a timer fires is
    taken from the record of the real one, which has to fit."""

    def __init__(self, record):
        # What each end did by itself: datagrams are known, responses are answers.
        self.did = {name: [packet.time for packet in record if packet.source == name
                           and packet.kind in (INITIATION, KEEPALIVE)] for name in INNER}
        self.birth, self.initiator = -DAY, None
        self.last_minute = False
        self.handshakes = []
        # When the data was received that a keepalive is due for.
        self.owes = dict.fromkeys(INNER)
        self.keepalives = 0

    def handshake(self, at, who):
        self.handshakes.append((at, who))
        self.birth, self.initiator, self.last_minute = at, who, False
        # Both have sent something.
        self.owes = dict.fromkeys(INNER)

    def send(self, at, who, data):
        other = OTHER[who]
        if at - self.birth >= REJECT_AFTER:
            self.handshake(at, who)
        self.owes[who] = None
        if data and self.owes[other] is None:
            self.owes[other] = at
        age = at - self.birth
        if self.initiator == who and age >= REKEY_AFTER:
            self.handshake(at, who)
        elif (self.initiator == other and not self.last_minute
              and age >= REJECT_AFTER - KEEPALIVE_TIMEOUT - REKEY_TIMEOUT):
            self.last_minute = True
            self.handshake(at, other)

    def keepalive_until(self, at):
        """Has the next keepalive happen that is sent before then, if any is."""
        for who in sorted(INNER, key=lambda name: self.owes[name] or DAY * DAY):
            armed = self.owes[who]
            if armed is None or armed + KEEPALIVE_TIMEOUT - TICK > at:
                continue
            fired = [time for time in self.did[who]
                     if fires(armed, time, KEEPALIVE_TIMEOUT) and time < at]
            if not fired:
                # It may be due, but need not have fired.
                if armed + KEEPALIVE_TIMEOUT + late(KEEPALIVE_TIMEOUT) < at:
                    raise ValueError(f"no keepalive of {who} for what it received at {armed}")
                continue
            self.keepalives += 1
            self.send(fired[0], who, False)
            return True
        return False


@scenario
def anything_at_all():
    """Four days of datagrams at random, few enough for sessions to end now and then"""
    seed = 20240229
    chance = random.Random(seed)
    with World() as world:
        plan = []
        at = 0.0
        while at < 4 * DAY:
            # Pauses around each of the protocol's times, and far from them; in bursts or not.
            at += chance.choice((chance.expovariate(1 / 3), chance.uniform(5, 20),
                                 chance.uniform(100, 200), chance.expovariate(1 / 300)))
            plan.append((at, chance.choice(("left", "right"))))
        for when, who in plan:
            world.at(when, world.say, who)
        world.run(5 * DAY)
        tap.note(f"seed {seed}, {len(plan)} datagrams")
        check(not world.unheard(), "each arrives at once", short(world.unheard()))
        model = Model(world.record)
        for when, who in [*plan, (5 * DAY, None)]:
            while model.keepalive_until(when):
                pass
            if who:
                model.send(when, who, True)
        real = [(packet.time, packet.source) for packet in world.record
                if packet.kind == INITIATION]
        check([who for _, who in real] == [who for _, who in model.handshakes]
              and same([at for at, _ in real], [at for at, _ in model.handshakes]),
              f"the handshakes are those that the model knows, {len(real)} of them",
              *first_difference(real, model.handshakes))
        check(model.keepalives > 1000 and len(real) > 1000, "it had much to do",
              model.keepalives)


def first_difference(real, model):
    for number, (one, other) in enumerate(itertools.zip_longest(real, model)):
        if not one or not other or one[1] != other[1] or abs(one[0] - other[0]) >= INSTANT:
            return [f"number {number}: {one}, and in the model {other}",
                    f"after {model[max(number - 3, 0):number]}"]
    return []


tap.run()
