# SPDX-License-Identifier: GPL-2.0
"""A tunnel between two netns, and proof that it carries what it should."""

import os
import subprocess
import time

import netlink as nl
import world
from stream import Stream
from tap import check
from world import inside, sh

LEFT, RIGHT = "192.168.88.1", "192.168.88.2"
PORT = 5000
# Between two pieces of a stream.
PAUSE = 0.02


def cable(name, number):
    """A netns with a cable to `right', where the other end has the netns's name. The addresses are
    10.NUMBER.0.1 there and 10.NUMBER.0.2 in `right'."""
    sh(f"""
        ip netns add {name}
        ip -n {name} link set lo up
        ip link add to-right netns {name} type veth peer name {name} netns right
        ip -n {name} addr add 10.{number}.0.1/24 dev to-right
        ip -n {name} link set to-right up
        ip -n right addr add 10.{number}.0.2/24 dev {name}
        ip -n right link set {name} up
    """)


def public_keys(keys):
    """The public keys that belong to private ones, as the kernel computes them."""
    nl.link_add("scratch").or_raise()
    found = {}
    for name, key in keys.items():
        nl.wg_set("scratch", private_key=key).or_raise()
        found[name] = nl.wg_get("scratch")["public_key"]
    nl.link_del("scratch").or_raise()
    return found


def build(others=()):
    """The netns `left' and `right' with wg0 in both, and a netns with a cable to `right' for each
    of the others, which have keys that it knows: private and public ones by name."""
    keys = {name: os.urandom(32) for name in ("left", "right", *others)}
    public = public_keys(keys)
    sh("ip netns add right; ip -n right link set lo up")
    for number, name in enumerate(("left", *others), 1):
        cable(name, number)
    with inside("left"):
        nl.link_add("wg0").or_raise()
        nl.wg_set("wg0", private_key=keys["left"], peers=[
            nl.peer(public["right"], endpoint=("10.1.0.2", PORT), allowed=[f"{RIGHT}/32"])
        ]).or_raise()
        nl.address_add("wg0", f"{LEFT}/24").or_raise()
        nl.link_up("wg0").or_raise()
    with inside("right"):
        nl.link_add("wg0").or_raise()
        nl.wg_set("wg0", private_key=keys["right"], port=PORT, peers=[
            nl.peer(public[name], allowed=[f"192.168.88.{number}/32"])
            for number, name in zip((1, 3, 4, 5), ("left", *others))]).or_raise()
        nl.address_add("wg0", f"{RIGHT}/24").or_raise()
        nl.link_up("wg0").or_raise()
    check(world.ping("left", RIGHT, 8), "there is a tunnel")
    return keys, public


class Streams:
    """A TCP stream each way, for as long as something goes on."""

    def __init__(self):
        self.streams = [Stream("to the right", "left", "right", RIGHT, PAUSE),
                        Stream("to the left", "right", "left", LEFT, PAUSE)]
        for stream in self.streams:
            world.until(lambda stream=stream: stream.count() > 1 << 16, 30)
        self.start = self.counts()

    def counts(self):
        return [stream.count() for stream in self.streams]

    def wait(self, seconds=60):
        """Whether both have made progress since the last time, or do within a while: TCP waits for
        longer and longer when packets are lost."""
        before = self.counts()
        return world.until(lambda: all(now > then for now, then in zip(self.counts(), before)),
                           seconds)

    def finish(self):
        """Both went on meanwhile, and arrived as they were sent."""
        check(self.wait() and all(now > then for now, then in zip(self.counts(), self.start)),
              "the streams went on meanwhile", self.start, self.counts())
        for stream in self.streams:
            stream.finish()


def handshake(name):
    """When the session in that netns began."""
    with inside(name):
        return max(peer["handshake"] for peer in nl.wg_get("wg0")["peers"].values())


def new_session(seconds=30):
    """Whether the left device makes a session anew within a while."""
    before = handshake("left")
    with inside("left"):
        nl.link_down("wg0").or_raise()
        nl.link_up("wg0").or_raise()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if world.ping("left", RIGHT, 2) and handshake("left") > before:
            return True
    return False


def demolish():
    """Takes all netns away, and the module, of which nothing may be left."""
    sh("for n in $(ip netns list | cut -d ' ' -f 1); do ip netns del $n; done")

    def unloaded():
        return subprocess.run(["rmmod", "wireguard"], check=False,
                              stderr=subprocess.DEVNULL).returncode == 0
    check(world.until(unloaded, 30, 0.2), "the module can be unloaded, so nothing refers to it")
