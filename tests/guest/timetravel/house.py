# SPDX-License-Identifier: GPL-2.0
"""The two ends of a tunnel, what they say to each other, and when timers may fire."""

import itertools
import os
import socket

import netlink as nl
import tunnel
from tap import check
from wire import INITIATION, KEEPALIVE, Wire, new_netns
from world import inside

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
