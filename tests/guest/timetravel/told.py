# SPDX-License-Identifier: GPL-2.0
"""When sessions begin and end, as who listens to events is told."""

import time

import netlink as nl
from events import RENEWAL, Listener
from house import JITTER, OURS, REJECT_AFTER, World, fires, short
from tap import check, scenario, skip
from world import inside

WIPED = 3 * REJECT_AFTER


def heard(listener):
    """(kind, flags, time) of each event."""
    return [(event["kind"], event.get("flags", 0), event["time"][0] + event["time"][1] / 1e9)
            for event in listener.forget()]


def kinds(events):
    return [kind for kind, _, _ in events]


@scenario
def expiry():
    """A session that expires is told 180 s after it began, or when it is wiped"""
    if not OURS:
        skip("a session that expires is told", "the module has no events")
        return
    with World() as world, Listener(world.nets["left"]) as left, \
            Listener(world.nets["right"]) as right:
        world.say("left")
        world.run(1000)
        for name, listener in (("left", left), ("right", right)):
            events = heard(listener)
            check(kinds(events) == ["session-begin", "session-end"],
                  f"{name}: one begin and one end, and nothing when keys are wiped", events)
            times = [at for _, _, at in events]
            check(fires(times[0], times[-1], REJECT_AFTER), "180 s later", short(times))
    for asks, expected in ((True, REJECT_AFTER), (False, WIPED)):
        with World() as world:
            world.say("left")
            world.run(50)
            with Listener(world.nets["left"]) as listener:
                if asks:
                    with inside(world.nets["left"]):
                        nl.wg_get("wg0")
                # The session began with the world.
                start = time.time() - world.now()
                world.run(1000)
                events = heard(listener)
                check(kinds(events) == ["session-end"],
                      "who joins later is told of the end once", events)
                check(events and fires(start, events[0][2], expected, 1),
                      f"after {expected} s " + ("if she has asked for the state" if asks
                                                else "if she has not"),
                      events, start)


@scenario
def renewal():
    """A session that is renewed has no end, and that it is is told"""
    if not OURS:
        skip("a session that is renewed is told", "the module has no events")
        return
    with World() as world, Listener(world.nets["left"]) as listener:
        world.talk("left", 1.7, 0, 500)
        world.run(500)
        events = heard(listener)
        check(set(kinds(events)) == {"session-begin"} and len(events) == 5
              and [flags for _, flags, _ in events] == [0] + [RENEWAL] * 4,
              "each handshake is told, all but the first as a renewal", events)
    with World() as world, Listener(world.nets["left"]) as listener:
        world.say("left")
        world.at(400, world.say, "left")
        world.run(410 + JITTER)
        events = heard(listener)
        check(kinds(events) == ["session-begin", "session-end", "session-begin"]
              and [flags for _, flags, _ in events] == [0, 0, 0],
              "a session after one that has expired is none", events)
