# SPDX-License-Identifier: GPL-2.0
"""The end of keys and of handshakes."""

import os
import re

from house import (INNER, INSTANT, JITTER, OURS, REJECT_AFTER, REKEY_AFTER, REKEY_TIMEOUT, World,
                   gaps, late, short)
from tap import check, scenario
from wire import DATA, INITIATION, KEEPALIVE, RESPONSE


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
