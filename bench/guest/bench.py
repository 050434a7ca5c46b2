#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Measures the in-tree module and ours in turn, A B B A, and prints a line of JSON for each
time that it has measured something.

ROUNDS, SCALE (of the times for which traffic flows), STREAMS (of TCP: 1,2,4) and ONLY (words that
names begin with, in capitals or not, with commas between them) say how much; PREFIX goes before the
names of rows.
With NOISE both are the in-tree module, so that all differences are the measurement's own.
"""

import json
import os
import sys
import time

sys.path[:0] = ["/wg/files/guest", "/wg/tests/guest/lib"]

import ground  # pylint: disable=wrong-import-position
import rows  # pylint: disable=wrong-import-position

ROUNDS = int(os.environ.get("ROUNDS", 7))
SCALE = float(os.environ.get("SCALE", 1))
PREFIX = os.environ.get("PREFIX", "")
NOISE = bool(os.environ.get("NOISE"))
ONLY = tuple(os.environ.get("ONLY", "").lower().split(","))


class Progress:
    """How far it is, and how long it will take at this pace."""

    def __init__(self, total):
        self.total, self.done, self.start = total, 0.0, time.monotonic()

    def step(self, takes, what):
        spent = time.monotonic() - self.start
        # The estimates are for a machine that is left alone.
        pace = spent / self.done if self.done else 1.0
        left = pace * (self.total - self.done)
        print(f"[{int(spent) // 60}:{int(spent) % 60:02d}, {int(left) // 60}:{int(left) % 60:02d} "
              f"to go] {what}", flush=True)
        self.done += takes


def tell(**what):
    """One line for the host."""
    print(json.dumps(what), flush=True)


def main():
    asked = [group for group in rows.BOTH if group.name.lower().startswith(ONLY)]
    both = [group for group in asked if group.possible()]
    for group in asked:
        if group not in both:
            print(f"[0:00] {group.name}: left out, this kernel has not what it takes", flush=True)
    ours = [group for group in rows.OURS if not NOISE and group.name.lower().startswith(ONLY)]
    progress = Progress(ROUNDS * (2 * sum(group.takes for group in both)
                                  + sum(group.takes for group in ours)))
    rows.load_limit()
    tell(kernel=os.uname().release, cpus=os.cpu_count(), rounds=ROUNDS, scale=SCALE, noise=NOISE)

    def measure(group, number, module):
        progress.step(group.takes, f"{group.name}, {number + 1} of {ROUNDS}, {module}")
        ground.load("c" if NOISE else module)
        values = {PREFIX + row: value for row, value in group.measure(SCALE).items()}
        tell(round=number, module=module, values=values)

    for group in both:
        # The limit once more each time, since what the machine can do changes.
        tell(limit=rows.limit(int(40 * SCALE) + 10))
        for number in range(ROUNDS):
            for module in ("c", "ours") if number % 2 == 0 else ("ours", "c"):
                measure(group, number, module)
    for group in ours:
        for number in range(ROUNDS):
            measure(group, number, "ours")


main()
