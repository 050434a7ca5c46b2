# SPDX-License-Identifier: GPL-2.0
"""The world of the suite, and what its scenarios have in common.

Alice (uid 1000) and Bob (uid 1001) have user and network namespaces of their own. Alice's device
wg0 has its sockets in the initial netns, from where there is a way to its peer, in the netns `far'.
Both users hold UDP sockets in the initial netns under the numbers GOOD; alice holds one of every
other kind as well, more than she could open herself.
"""

import os
import random
import re
import subprocess

import netlink as nl
import tap
import world
from actor import Actor
from fds import GOOD, RESTRICTED, become_alice, become_user
from tap import check
from world import inside, new_ping, sh

SEED = int(os.environ.get("SEED") or random.randrange(1 << 32))
CAP_NET_BIND_SERVICE = 10
RACES = int(os.environ.get("RACES", "250"))
PORT = 6000
PEER = "192.168.77.2"
NETNS, V4, V6 = nl.NETNS_FD, nl.CREDENTIAL4, nl.CREDENTIAL6
alice = bob = None
files = None  # how many were open before
nets = {}
kinds = []
keys = {name: os.urandom(32) for name in ("hers", "far")}


def build():
    global alice, bob, files
    files = count_files()
    if subprocess.run(["modprobe", "-q", "xfrm_user"], check=False).returncode:
        tap.skip("a socket with an IPsec policy", "this kernel has none")
        del RESTRICTED["with an IPsec policy"]
    if world.debugs():
        # It has no modules for the kinds of sockets that it lacks, and takes a second to look.
        with open("/proc/sys/kernel/modprobe", "w", encoding="ascii") as file:
            file.write("\n")
    sh("""
        ip netns add other
        ip -n other link set lo up
    """)
    world.far_end()
    with inside("far"):
        nl.link_add("wg1").or_raise()
        nl.wg_set("wg1", private_key=keys["hers"]).or_raise()
        hers = nl.wg_get("wg1")["public_key"]
        nl.link_del("wg1").or_raise()
        nl.wg_set("wg0", private_key=keys["far"], port=5000, peers=[
            nl.peer(hers, allowed=["192.168.77.1/32"])]).or_raise()
        nl.link_up("wg0").or_raise()
        keys["far public"] = nl.wg_get("wg0")["public_key"]
    # They know what is known by now.
    alice, bob = Actor(), Actor(become_user, 1001)
    kinds.extend(alice(become_alice))


def proof(pair=GOOD):
    return {"credential4": pair[0], "credential6": pair[1]}


def make_device(words, up):
    """A new wg0, its sockets in the initial netns, in the netns of whoever calls."""
    nl.link_del("wg0")
    nl.link_add("wg0").or_raise()
    nl.wg_set("wg0", private_key=keys["hers"], netns_pid=1, **proof(), peers=[
        nl.peer(keys["far public"], endpoint=("10.9.0.2", 5000), allowed=["0.0.0.0/0"])],
        **{"port": PORT, **words}).or_raise()
    nl.address_add("wg0", "192.168.77.1/24").or_raise()
    if up:
        nl.link_up("wg0").or_raise()


def device(up=True, **words):
    alice(make_device, words, up)


def net_of(who):
    """A descriptor of somebody's netns, which is ours to keep."""
    if who not in nets:
        nets[who] = who.net()
    return nets[who]


def root_in(net):
    return Actor(os.setns, net, os.CLONE_NEWNET)


def get(who=None):
    with inside(net_of(who or alice)):
        return nl.wg_get("wg0")


def state(who=None):
    """Everything that a refused request might have changed."""
    with inside(net_of(who or alice)):
        shown = nl.wg_get("wg0")
        for one in shown["peers"].values():
            for changing in ("rx", "tx", "handshake"):
                one.pop(changing)
        return {"device": shown, "link": nl.link_get("wg0"), "sockets": world.udp_sockets(),
                "sockets in init": world.udp_sockets("init"),
                "sockets in other": world.udp_sockets("other")}


def differences(before, after):
    return [f"{part}: {before[part]} became {after[part]}"
            for part in before if before[part] != after[part]]


def pings():
    return new_ping(net_of(alice), PEER, 4)


def wrong(answer, error, attribute=None, kernel=""):
    """What is not as it should be about an answer."""
    problems = []
    if answer.name != error:
        problems.append(f"{answer.name} instead of {error}")
    if attribute is not None and answer.attribute != attribute:
        problems.append(f"it points at attribute {answer.attribute}, not {attribute}")
    if not re.search(kernel or ".", answer.message):
        problems.append(f"the kernel does not say {kernel!r}: {answer.message!r}")
    return problems


def refused(what, error, kernel, who=None, holder=None, attribute=None, **words):
    """A request is refused, and nothing has changed."""
    before = state(holder)
    answer = (who or alice)(nl.wg_set, "wg0", **words)
    problems = wrong(answer, error, attribute, kernel) + differences(before, state(holder))
    check(not problems, f"{what}: {error}", *problems)


def count_files():
    with open("/proc/sys/fs/file-nr", encoding="ascii") as file:
        return int(file.read().split()[0])
