# SPDX-License-Identifier: GPL-2.0
"""Where the kernel has no IPv6. Run by no-ipv6.sh."""

import os
import socket
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import netlink as nl  # noqa: E402
import tap  # noqa: E402
import world  # noqa: E402
from actor import Actor, drop_user, new_namespaces  # noqa: E402
from tap import check, scenario  # noqa: E402
from world import inside, ping  # noqa: E402

WHY = "IPv6 is on; boot with VM_APPEND=ipv6.disable=1"


def become_alice():
    drop_user()
    for number in (100, 101):
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.connect(("127.0.0.1", 9))
        os.dup2(sock.fileno(), number)
    new_namespaces()


def create(far_key):
    nl.link_add("wg0").or_raise()
    nl.wg_set("wg0", private_key=os.urandom(32), port=7000, peers=[
        nl.peer(far_key, endpoint=("10.9.0.2", 5000), allowed=["0.0.0.0/0"])]).or_raise()
    nl.address_add("wg0", "192.168.77.1/24").or_raise()
    nl.link_up("wg0").or_raise()
    return nl.wg_get("wg0")["public_key"]


@scenario
def one_credential():
    """One credential is enough."""
    if os.path.exists("/proc/sys/net/ipv6"):
        tap.skip("one credential is enough where there is no IPv6", WHY)
        return
    world.far_end()
    with inside("far"):
        nl.link_up("wg0").or_raise()
        nl.wg_set("wg0", private_key=os.urandom(32), port=5000).or_raise()
        theirs = nl.wg_get("wg0")["public_key"]
    alice = Actor(become_alice)
    net = alice.net()
    hers = alice(create, theirs)
    with inside("far"):
        nl.wg_set("wg0", peers=[nl.peer(hers, allowed=["192.168.77.1/32"])]).or_raise()

    answer = alice(nl.wg_set, "wg0", netns_pid=1)
    check(answer.name == "EPERM", "with no credential at all: EPERM", answer)
    answer = alice(nl.wg_set, "wg0", netns_pid=1, credential4=100, credential6=101)
    check(answer.name == "EINVAL" and answer.attribute == nl.CREDENTIAL6,
          "with one for IPv6 that is none: EINVAL", answer)
    check(world.ports(net) == {(4, 7000)}, "the sockets are where they were", world.ports(net))
    status, _, err = alice.wg("set", "wg0", "transit-netns", 1, "transit-credentials", 100)
    check(status == 0 and not err, "with one for IPv4 the sockets move", err)
    check((4, 7000) in world.ports("init") and not world.ports(net), "there is one")
    check(ping(net, "192.168.77.2", 8) == 1, "and packets get through")
    status, _, err = alice.wg("set", "wg0", "listen-port", 7001, "transit-credentials", 100)
    check(status == 0 and ping(net, "192.168.77.2", 4) == 1, "and after a change of port", err)


tap.run()
