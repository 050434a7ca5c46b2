# SPDX-License-Identifier: GPL-2.0
"""The module, namespaces that end, and a device with peers."""

import itertools
import os
import random
import time

import netlink as nl
import world
from world import inside

PORT = 7000
LIMIT = "/proc/sys/user/max_net_namespaces"
SEED = int(os.environ.get("SEED") or random.randrange(1 << 32))
# How many orders are tried; a kernel that looks for leaks takes ten times as long for each.
ORDERS = int(os.environ.get("ORDERS") or (16 if world.debugs() else 120))

keys = {}
far = None
before = None  # how many netns there were
numbers = itertools.count(1000)


# --- the module ---------------------------------------------------------------------------

def unload():
    """Unloads the module; whether that was possible at once."""
    return not world.unload_module()


def load():
    nl.forget_family()
    error = world.load_module()
    if error:
        raise OSError(error, "finit_module")


def loaded():
    return os.path.exists("/sys/module/wireguard")


def references():
    with open("/sys/module/wireguard/refcnt", encoding="ascii") as file:
        return int(file.read())


# --- namespaces ----------------------------------------------------------------------------

class Net:
    """A netns that lives as long as this holds it."""

    def __init__(self, connected=False):
        self.number = next(numbers)
        here = os.open("/proc/self/ns/net", os.O_RDONLY)
        try:
            os.unshare(os.CLONE_NEWNET)
            self.fd = os.open("/proc/self/ns/net", os.O_RDONLY)
            nl.link_up("lo").or_raise()
            if connected:
                self._connect(self.number)
        finally:
            os.setns(here, os.CLONE_NEWNET)
            os.close(here)
        nl.nsid_set(self.fd, self.number).or_raise()

    @staticmethod
    def _connect(number):
        """A way to `far', by addresses that were not there lately."""
        network = f"10.{number // 100 % 100}.{number % 100}"
        nl.veth_add("out", f"in{number}", far.fd).or_raise()
        nl.address_add("out", f"{network}.1/24").or_raise()
        with inside(far.fd):
            nl.address_add(f"in{number}", f"{network}.2/24").or_raise()
            nl.link_up(f"in{number}").or_raise()
        nl.link_up("out").or_raise()
        nl.route_add("10.100.0.0/16", f"{network}.2").or_raise()

    @property
    def open(self):
        return self.fd is not None

    def close(self):
        os.close(self.fd)
        self.fd = None

    def gone(self):
        """Whether nothing in the kernel holds it, soon."""
        return not self.open and ended([self.number])


def ended(wanted, seconds=10):
    """Whether the netns with these numbers end within a while."""
    return bool(world.until(lambda: not nl.nsids().intersection(wanted), seconds))


def build_far():
    global far
    far = Net()
    with inside(far.fd):
        nl.address_add("lo", "10.100.0.2/32").or_raise()


def furnish_far():
    """The peer, which goes with the module."""
    with inside(far.fd):
        nl.link_add("wg0").or_raise()
        nl.wg_set("wg0", private_key=keys["far"], port=5000).or_raise()
        keys["far public"] = nl.wg_get("wg0")["public_key"]
        nl.link_add("wg1").or_raise()
        nl.wg_set("wg1", private_key=keys["device"]).or_raise()
        public = nl.wg_get("wg1")["public_key"]
        nl.link_del("wg1").or_raise()
        nl.wg_set("wg0", peers=[nl.peer(public, allowed=["192.168.88.1/32"])]).or_raise()
        nl.address_add("wg0", "192.168.88.2/24").or_raise()
        nl.link_up("wg0").or_raise()


def create(net, transit):
    """A device with a session and a handshake that never ends."""
    with inside(net.fd):
        nl.link_add("wg0").or_raise()
        nl.wg_set("wg0", private_key=keys["device"], port=PORT, netns_fd=transit.fd, peers=[
            nl.peer(keys["far public"], endpoint=("10.100.0.2", 5000),
                    allowed=["192.168.88.0/24"], keepalive=1),
            nl.peer(keys["nobody"], endpoint=("10.100.9.9", 5000), allowed=["192.168.89.0/24"],
                    keepalive=1)]).or_raise()
        nl.address_add("wg0", "192.168.88.1/24").or_raise()
        nl.link_up("wg0").or_raise()


def build():
    global before
    before = world.count_net_namespaces()
    keys.update({name: os.urandom(32) for name in ("far", "device", "nobody")})
    time.sleep(0.5)
    build_far()
    furnish_far()
