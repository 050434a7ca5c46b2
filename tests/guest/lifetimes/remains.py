# SPDX-License-Identifier: GPL-2.0
"""What is held by dumps and routes, and what is left at the end."""

import errno
import os
import struct

import house
import netlink as nl
import world
from house import LIMIT, PORT, Net, keys, load, loaded, unload
from tap import check, scenario
from world import inside, ping


@scenario
def unread_dumps():
    """Dumps that are not read to their end when the device moves away"""
    here, there = Net(), Net()
    request = nl.string(nl.IFNAME, "wg0")
    with inside(here.fd):
        nl.link_add("wg0").or_raise()
        nl.wg_set("wg0", private_key=keys["device"], peers=[
            nl.peer(os.urandom(32)) for _ in range(600)]).or_raise()
        asked = nl.Netlink(nl.NETLINK_GENERIC)
        asked.sock.send(struct.pack("=IHHIIBBH", 20 + len(request), nl.family(),
                                    nl.F_REQUEST | nl.F_DUMP, 1, 0, nl.GET_DEVICE, 1, 0) + request)
        nl.link_move("wg0", there.fd).or_raise()
        first = asked.sock.recv(1 << 17)
        then = struct.unpack_from("=IHHIIi", asked.sock.recv(1 << 17))
    check(len(first) > 1000 and (then[1], then[5]) == (nl.NLMSG_DONE, -errno.ENODEV),
          "the reader is told no more of a device that has gone elsewhere", len(first), then)
    there.close()
    check(there.gone(), "and does not keep it from going with its netns")
    asked.sock.close()
    here.close()
    check(here.gone(), "nor the netns that it was in")


@scenario
def routes_of_the_old():
    """An IPv6 route to a peer that nobody sends to any more when the sockets move"""
    device, one, two = Net(), Net(), Net()
    with inside(device.fd):
        nl.link_add("wg0").or_raise()
        nl.wg_set("wg0", private_key=keys["device"], port=PORT, netns_fd=one.fd, peers=[
            nl.peer(os.urandom(32), endpoint=("::1", 9), allowed=["192.168.99.0/24"])]).or_raise()
        nl.address_add("wg0", "192.168.99.1/24").or_raise()
        nl.link_up("wg0").or_raise()
    ping(device.fd, "192.168.99.2", timeout=0.2)
    with inside(device.fd):
        nl.link_down("wg0").or_raise()
        nl.wg_set("wg0", netns_fd=two.fd).or_raise()
    one.close()
    good = one.gone()
    # What is left of a netns is freed when the next one ends.
    other = Net()
    other.close()
    good &= other.gone()
    with inside(device.fd):
        nl.link_up("wg0").or_raise()
    ping(device.fd, "192.168.99.2", timeout=0.2)
    with inside(device.fd):
        nl.link_del("wg0").or_raise()
    device.close()
    two.close()
    check(good and device.gone() and two.gone(), "it ends with the netns that it belongs to")


@scenario
def the_end():
    """Nothing is left of all the namespaces, and of the module."""
    house.far.close()
    check(world.until(unload, 10), "the module unloads")
    check(house.far.gone(), "the last netns ends")
    # One more than there were at the start: as many as were then can be made, and no more.
    with open(LIMIT, "w", encoding="ascii") as file:
        file.write(str(house.before + 2))
    made = []

    def fill():
        try:
            while len(made) < 3:
                made.append(Net())
        except OSError:
            pass
        return len(made) >= 2

    world.until(fill, 10, 0.1)
    check(len(made) == 2, "the kernel counts no namespaces but those that are there", len(made))
    load()
    check(loaded(), "the module loads")
