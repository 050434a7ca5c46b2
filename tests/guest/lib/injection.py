# SPDX-License-Identifier: GPL-2.0
"""Allocations that fail, of those that are made below given functions (Documentation/fault-injection)."""

import os

DEBUGFS = "/sys/kernel/debug"
KINDS = ("failslab", "fail_page_alloc")


def tell(kind, **settings):
    """Sets how allocations of a kind fail."""
    for name, value in settings.items():
        path = f"{DEBUGFS}/{kind}/{name.replace('_', '-')}"
        with open(path, "w", encoding="ascii") as file:
            file.write(str(value))


def left(kind):
    """How many of them may fail yet."""
    with open(f"{DEBUGFS}/{kind}/times", encoding="ascii") as file:
        return int(file.read())


def symbols(wanted):
    """Addresses of the functions of which `wanted` says that they count."""
    with open("/proc/kallsyms", encoding="ascii") as file:
        for line in file:
            address, kind, name, *module = line.split()
            if kind in "tT" and wanted(name, module):
                yield int(address, 16)


def only_below(start, end, kinds=KINDS):
    """Has allocations count that are made below functions between these addresses."""
    for kind in kinds:
        tell(kind, verbose=0, task_filter="N", stacktrace_depth=32, probability=0, times=-1,
             require_start=hex(start), require_end=hex(end))
        for name in ("ignore-gfp-wait", "ignore-gfp-highmem", "min-order"):
            path = f"{DEBUGFS}/{kind}/{name}"
            if os.path.exists(path):
                with open(path, "w", encoding="ascii") as file:
                    file.write("0" if name == "min-order" else "N")
