# SPDX-License-Identifier: GPL-2.0
"""Sessions that follow one another."""

from house import (HOUR, JITTER, KEEPALIVE_TIMEOUT, REKEY_AFTER, REKEY_TIMEOUT, World, every,
                   expect_times, fires, gaps, late, odd_keepalives, rekeys, short)
from tap import check, scenario
from wire import INITIATION, KEEPALIVE, RESPONSE


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
