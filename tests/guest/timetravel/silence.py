# SPDX-License-Identifier: GPL-2.0
"""When nobody answers."""

import os

import netlink as nl
from house import (HOUR, INNER_PORT, INSTANT, JITTER, KEEPALIVE_TIMEOUT, PORT, REKEY_ATTEMPT,
                   REKEY_TIMEOUT, World, fires, gaps, short)
from tap import check, scenario
from wire import INITIATION
from world import inside


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
