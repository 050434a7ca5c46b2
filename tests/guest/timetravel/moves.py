# SPDX-License-Identifier: GPL-2.0
"""With sockets elsewhere."""

import itertools

import netlink as nl
from house import (ADDRESS, DAY, HOUR, INSTANT, JITTER, KEEPALIVE_TIMEOUT, OURS, REJECT_AFTER,
                   REKEY_TIMEOUT, World, every, expect_times, fires, gaps, late, rekeys, short)
from secrets_end import Log
from silence import attempts
from tap import check, scenario
from wire import DATA, INITIATION, KEEPALIVE, RESPONSE, new_netns
from world import inside


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
