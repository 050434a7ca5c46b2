# SPDX-License-Identifier: GPL-2.0
"""Passive and persistent keepalives."""

from house import (DAY, HOUR, INSTANT, KEEPALIVE_TIMEOUT, TICK, World, expect_times, fires, gaps,
                   late, odd_keepalives, same, short)
from tap import check, scenario
from wire import INITIATION, KEEPALIVE


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
