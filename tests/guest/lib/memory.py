# SPDX-License-Identifier: GPL-2.0
"""Whether memory is back after a flood."""

import world
from tap import check

MIB = 1 << 20


def pages_of(protocol):
    """What the sockets of all netns hold, in pages."""
    with open("/proc/net/sockstat", encoding="ascii") as file:
        for line in file:
            words = line.split()
            if words[0] == f"{protocol}:":
                return int(words[words.index("mem") + 1])
    return 0


def kernel_memory():
    """What the kernel has for itself: slabs that do not shrink, and what is nobody's."""
    return world.meminfo("SUnreclaim") - world.meminfo("MemFree") - world.meminfo("Cached") \
        - world.meminfo("AnonPages")


def is_back(what, flood, sent):
    """Lets a flood of `sent` bytes go on, and once more if there is less memory after it: caches fill
    once, but what is lost is lost each time."""
    for _ in range(5):
        before, pages = kernel_memory(), pages_of("UDP")
        flood()
        good = world.until(lambda: kernel_memory() < before + sent // 2
                           and pages_of("UDP") <= pages + 64, 3, 0.1)
        if good:
            break
    return check(good, f"memory is back after {what}",
                 f"{(kernel_memory() - before) / MIB:.1f} MiB more, of {sent / MIB:.1f} that were sent",
                 f"UDP has {pages_of('UDP')} pages, and had {pages}")
