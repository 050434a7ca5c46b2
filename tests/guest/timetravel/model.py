# SPDX-License-Identifier: GPL-2.0
"""Anything at all, against a model."""

import itertools
import random

import tap
from house import (DAY, INNER, INSTANT, KEEPALIVE_TIMEOUT, OTHER, REJECT_AFTER, REKEY_AFTER,
                   REKEY_TIMEOUT, TICK, World, fires, late, same, short)
from tap import check, scenario
from wire import INITIATION, KEEPALIVE


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
