#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Keeps a tunnel busy for bench/profile: MODULE (c or ours), LOAD (tcp or the size of packets), and
SECONDS. Tells which symbols this kernel has where."""

import os
import sys

sys.path[:0] = ["/wg/files/guest", "/wg/tests/guest/lib"]

import ground  # pylint: disable=wrong-import-position

MODULE, LOAD = os.environ["MODULE"], os.environ["LOAD"]
SECONDS = float(os.environ.get("SECONDS", 10))

ground.load(MODULE)
with ground.Tunnel(1420):
    with open("/proc/kallsyms", encoding="ascii") as file:
        sys.stdout.write(file.read())
    print("begin", flush=True)
    found = ground.tcp(1, "forth", SECONDS) if LOAD == "tcp" else ground.udp(int(LOAD), SECONDS)
    print("end", found, flush=True)
