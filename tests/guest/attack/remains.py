# SPDX-License-Identifier: GPL-2.0
"""What is left when all is over."""

import os

import house
import netlink as nl
import world
from house import count_files, kinds, net_of, nets
from tap import check, scenario
from world import inside, sh


@scenario
def nothing_is_held():
    """Nothing that was looked at, moved to or refused is held by the kernel."""
    house.alice(nl.link_del, "wg0")
    with inside("init"):
        numbers = {7001: net_of(house.alice), 7002: net_of(house.bob),
                   7003: world.open_net("other")}
        for number, fd in numbers.items():
            nl.nsid_set(fd, number).or_raise()
            os.close(fd)
    nets.clear()
    house.alice.end()
    house.bob.end()
    sh("ip netns del other")
    check(world.until(lambda: not set(nl.nsids()) & set(numbers), 20), "all their netns end",
          nl.nsids())
    check(world.until(lambda: count_files() <= house.files + 10, 20),
          f"and the {len(kinds)} descriptors that alice showed are closed for good",
          f"{house.files} files to begin with, {count_files()} now")
