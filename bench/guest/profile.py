#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Keeps a module busy for bench/profile: MODULE (c or ours), LOAD (tcp, jumbo for TCP in large
packets, link for TCP over an ordinary link, to-c and from-c for such to and from the C module, trains for
UDP in trains, the size of packets, peers, which sets and removes 10,000, or load, which unloads and loads
the module itself), and SECONDS. Tells which symbols this kernel has where."""

import os
import sys
import time

sys.path[:0] = ["/wg/files/guest", "/wg/tests/guest/lib"]

import ground  # pylint: disable=wrong-import-position
import netlink as nl  # pylint: disable=wrong-import-position
import rows  # pylint: disable=wrong-import-position

MODULE, LOAD = os.environ["MODULE"], os.environ["LOAD"]
SECONDS = float(os.environ.get("SECONDS", 10))


def peers():
    """How often 10,000 peers can be set, and seconds that it took each time."""
    many, times = rows.Many("many"), []
    end = time.monotonic() + SECONDS
    with rows.device("many"):
        while time.monotonic() < end:
            times.append(rows.config(nl.SET_DEVICE, many.peers))
            rows.config(nl.SET_DEVICE, [nl.wg_set_body("many", flags=1)])
    return times


def loads():
    """How often the module can be loaded, and what that takes."""
    path, times = rows.module_path(), []
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        times.append(rows.reload(path))
    return len(times), sorted(times)[len(times) // 2]


def symbols():
    """Of the kernel, and of the module where it is now."""
    with open("/proc/kallsyms", encoding="ascii") as file:
        sys.stdout.write(file.read())
    print("begin", flush=True)


# For the cores that it keeps the CPUs on.
rows.load_limit()
ground.load(MODULE)
if LOAD == "load":
    symbols()
    print("end", loads(), flush=True)
    sys.exit()
WITH_C = ("to-c", "from-c")
if LOAD in WITH_C:
    rows.load_second()
with ground.Tunnel(rows.MTUS.get(LOAD, 1420),
                   *([rows.SECOND] if LOAD in WITH_C else [])) as tunnel:
    if LOAD == "link" or LOAD in WITH_C:
        rows.ordinary(tunnel)
    symbols()
    if LOAD == "peers":
        found = peers()
    elif LOAD in ("tcp", "jumbo", "link", *WITH_C):
        found = ground.tcp(1, "back" if LOAD == "from-c" else "forth", SECONDS)
    elif LOAD == "trains":
        found = ground.udp(1400, SECONDS, train=rows.TRAIN)
    else:
        found = ground.udp(int(LOAD), SECONDS)
    print("end", found, flush=True)
