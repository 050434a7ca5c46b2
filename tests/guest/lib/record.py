# SPDX-License-Identifier: GPL-2.0
"""Records of what can be seen of a module, and their comparison.

A record has a list of lines for each thing that was looked at. Of our module it also has what only
that can do: what is `like' something of the kernel's own is compared with that, and what has only
one right answer is `expected' to be so.
"""

import difflib
import errno
import json
import os
import sys
import time
import traceback

import netlink as nl
import tap
import world
from actor import Actor
from world import sh

module = None
seen = {}
scenarios = []


def scenario(function):
    scenarios.append(function)
    return function


# What a client can tell ours by, and what it sees of the kernel's own in its place: the switch of
# UDP GSO, and receive buffers that have room for packets which are many.
OURS = {"supports-priv-flags: yes": "supports-priv-flags: no", ",rb16777216,": ",rb212992,"}


def note(key, lines, **more):
    """Writes down what was seen."""
    lines = [str(line) for line in lines]
    if is_ours():
        for ours, theirs in OURS.items():
            lines = [line.replace(ours, theirs) for line in lines]
    seen[key] = {"seen": lines, **more}


def is_ours():
    return module == "ours"


# --- netns ----------------------------------------------------------------------------


def settle(net):
    """Goes to a netns and has its /sys."""
    os.setns(world.open_net(net), os.CLONE_NEWNET)
    os.unshare(os.CLONE_NEWNS)
    for arguments in ((b"none", b"/", None, 0x4000 | 0x80000, None),  # MS_REC | MS_SLAVE
                      (b"sysfs", b"/sys", b"sysfs", 0, None)):
        if world.libc.mount(*arguments):
            raise OSError(errno.EIO, "mount")


class Nets:
    """Some netns with names, and an actor in the first."""

    def __init__(self, *names):
        self.names = names
        sh("ip -batch - <<END\n" + "\n".join(f"netns add {name}" for name in names) + "\nEND")
        self.home = Actor(settle, names[0])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.home.end()
        sh("ip -batch - <<END\n" + "\n".join(f"netns del {name}" for name in self.names) + "\nEND")


def transit_to(net):
    """Moves the sockets of wg0, which only our module can."""
    fd = world.open_net(net)
    try:
        nl.wg_set("wg0", netns_fd=fd).or_raise()
    finally:
        os.close(fd)


# --- all of it --------------------------------------------------------------------------

def write(path):
    wanted = tuple(sys.argv[4:])
    for function in scenarios:
        if wanted and not function.__name__.startswith(wanted):
            continue
        start = time.monotonic()
        problem = []
        try:
            function()
        except Exception:  # the next one may still have something to tell
            problem = traceback.format_exc().splitlines()
        note(f"{function.__name__} runs to its end, {module}", problem, expected=[])
        tap.note(f"{module}: {function.__name__} ({time.monotonic() - start:.1f} s)")
    with open(path, "w", encoding="utf8") as file:
        json.dump(seen, file)
    sys.stdout.flush()
    # Not sys.exit: actors that still live are none of the interpreter's business.
    os._exit(0)


def difference(wanted, found):
    """The lines in which two differ, and where."""
    lines = list(difflib.unified_diff(wanted, found, n=0, lineterm=""))[2:]
    if len(lines) > 32:
        lines = lines[:32] + [f"and {len(lines) - 32} lines more"]
    return lines


def compare():
    records = []
    for path in sys.argv[2:4]:
        with open(path, encoding="utf8") as file:
            records.append(json.load(file))
    intree, ours = records
    for key, entry in intree.items():
        if "expected" in entry:
            tap.check(entry["seen"] == entry["expected"], key,
                      *difference(entry["expected"], entry["seen"]))
        elif key not in ours:
            tap.check(False, key, "only of the kernel's own module there is a record")
    for key, entry in ours.items():
        wanted = entry.get("expected")
        what = key
        if wanted is None:
            other = entry.get("like", key)
            wanted = intree.get(other, {}).get("seen", ["there is no record to compare with"])
            what = key if other == key else f"{key} is like that of ({other})"
        elif key in intree:
            continue
        tap.check(wanted == entry["seen"], what, *difference(wanted, entry["seen"]))
    tap.run()


def main():
    global module
    if sys.argv[1] == "record":
        module = sys.argv[2]
        write(sys.argv[3])
    else:
        compare()
