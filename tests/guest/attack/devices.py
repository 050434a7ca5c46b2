# SPDX-License-Identifier: GPL-2.0
"""Sockets of a device as credentials, and sockets that are destroyed from outside."""

import os
import subprocess

import house
import netlink as nl
from house import device, differences, pings, proof, state
from races import in_one_place
from tap import check, scenario
from world import sh


def descriptors_of(inodes):
    """Descriptors of any process that lead to a socket with one of these numbers."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            for number in os.listdir(f"/proc/{pid}/fd"):
                link = os.readlink(f"/proc/{pid}/fd/{number}")
                if any(link == f"socket:[{inode}]" for inode in inodes):
                    found.append(f"{pid}: {link}")
        except OSError:
            pass  # it is gone
    return found


@scenario
def sockets_of_another_device():
    """What belongs to a device is within nobody's reach."""
    device(port=6040)
    sh("ip link add wg9 type wireguard; ip link set wg9 up; wg set wg9 listen-port 6041")
    with open("/proc/net/udp", encoding="ascii") as file:
        inodes = [line.split()[9] for line in file
                  if line.split()[1].endswith((":1798", ":1799"))]
    check(len(inodes) == 2, "both devices' sockets are listed", inodes)
    check(not descriptors_of(set(inodes) - {"0"}), "no process has a descriptor of one")
    path = sh("ss -ulnp").splitlines()
    check(not any("users:" in line for line in path if ":6040 " in line or ":6041 " in line),
          "nobody uses them", *path)
    before = state()
    done = house.alice(kill_sockets)
    changed = differences(before, state())
    check(not changed and pings(), "she cannot end those in the initial netns", done, *changed)

    # Whoever owns the netns may. That is the device's loss, and nobody else's.
    house.alice(nl.wg_set, "wg0", netns_pid=house.alice.pid).or_raise()
    done = house.alice(kill_sockets)
    check(":6040 " in done, "but those in her own, as their owner may", done)
    house.alice(nl.wg_set, "wg0", netns_pid=1, port=6042, **proof()).or_raise()
    check(in_one_place(house.alice) and pings(), "a device whose sockets were ended gets new ones",
          state())
    sh("ip link del wg9")


def kill_sockets():
    """Has the kernel end all UDP sockets here, as far as one may."""
    return subprocess.run(["ss", "-K", "-u", "-a"], check=False, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT).stdout
