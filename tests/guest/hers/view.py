# SPDX-License-Identifier: GPL-2.0
"""What the owner of a netns sees of the sockets in it, and how she forbids them."""

import contextlib
import errno
import os
import re
import struct

import actor
import bpf
import house
import netlink as nl
from actor import Actor
from house import BOTH, NAMES, ORDINARY_PORT, PORT, V4, V6, User, all_go_on, errno_of, own_port
from tap import check, scenario, skip
from world import inside, sh

CAP_NET_ADMIN = 12
SWITCH = "/proc/sys/net/wireguard/transit_credentials"
OFF = "transit credentials are switched off in the transit netns"


# --- sock_diag ----------------------------------------------------------------------------

def shown(family, port):
    """What ss says of a socket of the initial netns."""
    lines = sh(f"ss -{family} -Huane --cgroup sport = :{port}").splitlines()
    text = " ".join(lines)
    return {"sockets": len(lines),
            "uid": next(iter(re.findall(r"uid:(\d+)", text)), "0"),
            "inode": next(iter(re.findall(r"ino:(\d+)", text)), "0"),
            "cgroup": next(iter(re.findall(r"cgroup:(\S+)", text)), None)}


@scenario
def sock_diag():
    """ss shows whose the sockets are."""
    if not house.has_module("udp_diag"):
        skip("ss", "this kernel has no udp_diag")
        return
    her = house.alice
    her.device()
    for family in BOTH:
        all_go_on(her)
        reference = shown(family, her.program(own_port, family))
        # Where nothing can be attached to cgroups, sockets do not know theirs.
        check(reference["uid"] == "1000" and reference["inode"] != "0" and
              reference["cgroup"] == (f"/{house.HERS}" if bpf.supported() else None),
              f"ss shows uid and cgroup of her program, {NAMES[family]}", reference)
        tunnel = shown(family, PORT)
        check(tunnel["inode"] not in ("0", reference["inode"]),
              f"an inode of the tunnel, {NAMES[family]}", tunnel)
        check({**tunnel, "inode": 0} == {**reference, "inode": 0},
              f"and the same as of the program, {NAMES[family]}", tunnel, reference)
        root = shown(family, ORDINARY_PORT)
        check(root["sockets"] == 1 and root["uid"] == "0",
              f"an ordinary device's is root's, {NAMES[family]}", root)


# --- the switch ---------------------------------------------------------------------------

def switch(value=None):
    """Reads or sets it in the netns of whoever calls."""
    with open(SWITCH, "r" if value is None else "w", encoding="ascii") as file:
        return file.read().strip() if value is None else file.write(str(value))


@contextlib.contextmanager
def switched_off():
    switch(0)
    try:
        yield
    finally:
        switch(1)


@scenario
def switch_off():
    """The owner of a netns says that credentials do not count in it."""
    her = house.alice
    check(switch() == "1", "to begin with they count")
    her.device()
    all_go_on(her)
    first = her.sockets()
    with switched_off():
        check(switch() == "0", "they can be switched off")
        with inside(her.net):
            check(switch() == "1", "in this netns and no other")
        found = all_go_on(her)
        check(found == house.EVERYTHING and her.sockets() == first,
              "what was bought before goes on", found, her.sockets())
        her.owner(nl.link_down, "wg0").or_raise()
        her.owner(nl.link_up, "wg0").or_raise()
        found = all_go_on(her)
        check(found == house.EVERYTHING and her.sockets() == first, "across down and up too", found)
        her.refused("another port", "EPERM", OFF, (V4, V6), lambda: her.buy(port=6062))
        her.take_home()
        her.refused("a move", "EPERM", OFF, (V4, V6))
        root = Actor(os.setns, her.net, os.CLONE_NEWNET)
        answer = root(nl.wg_set, "wg0", netns_pid=1)
        check(answer.name == "OK", "who has the right needs no credentials", answer)
        root.end()
        her.take_home()
    check(her.buy().name == "OK", "switched on again, they count")
    found = all_go_on(her)
    check(found == house.EVERYTHING, "and all goes on", found)
    for value in (2, -1, "no"):
        check(errno_of(switch, value) == errno.EINVAL and switch() == "1",
              f"{value} is no position of it", switch())


@scenario
def switch_owner():
    """Who may set it."""
    her = house.alice
    her.device(bought=False)
    check(her.program(errno_of, switch, 0) in (errno.EACCES, errno.EPERM) and switch() == "1",
          "not a user without rights", switch())
    check(her.program(switch) == "1", "though she may read it")
    check(her.owner(errno_of, switch, 0) == 0 and her.owner(switch) == "0",
          "the owner of a netns may, in hers")
    check(switch() == "1", "which says nothing of others")
    # Credentials of somebody else's in her netns: her own right is asked for first.
    answer = her.owner(nl.wg_set, "wg0", netns_pid=her.owner.pid, port=6063)
    check(answer.name == "OK", "and does not bind who has the right over it", answer)
    check(her.owner(errno_of, switch, 1) == 0, "she may set it back")
    weak = Actor(become_weak, her.owner.pid)
    check(weak(errno_of, switch, 0) in (errno.EACCES, errno.EPERM) and her.owner(switch) == "1",
          "nobody without CAP_NET_ADMIN may there", her.owner(switch))
    weak.end()
    # What a netns starts with does not depend on that of whoever makes it.
    with switched_off(), User() as other:
        check(other.owner(switch) == "1", "a new netns begins with 1")
        other.device(bought=False)
        other.refused("credentials for one where they do not count", "EPERM", OFF, (V4, V6))


def become_weak(pid):
    """Alice in her own netns, without the capability."""
    actor.drop_user()
    for name, kind in (("user", os.CLONE_NEWUSER), ("net", os.CLONE_NEWNET)):
        fd = os.open(f"/proc/{pid}/ns/{name}", os.O_RDONLY)
        os.setns(fd, kind)
        os.close(fd)
    actor.drop_capabilities(CAP_NET_ADMIN)


# --- who is there -------------------------------------------------------------------------

GET_TRANSIT = 64
_NUMBERS = {2: ("port", "=H"), 5: ("uid", "=I"), 7: ("netnsid", "=i"), 8: ("rx_packets", "=Q"),
            9: ("rx_bytes", "=Q"), 10: ("tx_packets", "=Q"), 11: ("tx_bytes", "=Q")}
_FLAGS = {3: 4, 4: 6}


def residents():
    """The sockets of devices elsewhere that live in the netns of whoever calls, by port; or what the
    kernel says."""
    with nl.Netlink(nl.NETLINK_GENERIC) as genl:
        answer = genl.ask(nl.family(), struct.pack("=BBH", GET_TRANSIT, 1, 0), b"",
                          nl.F_ACK | nl.F_DUMP)
    if answer.errno:
        return answer.name
    found = {}
    for _, payload in answer.replies:
        one = {"families": set(), "bought": False, "netnsid": None, "unknown": set()}
        for _, kind, value in nl.attrs(payload[4:]):
            if kind in _NUMBERS:
                name, form = _NUMBERS[kind]
                one[name] = struct.unpack(form, value)[0]
            elif kind in _FLAGS:
                one["families"].add(_FLAGS[kind])
            elif kind == 6:
                one["bought"] = True
            elif kind != 1:
                one["unknown"].add(kind)
        found[one["port"]] = one
    return found


def traffic(one):
    return {name: one.get(name) for name in ("rx_packets", "rx_bytes", "tx_packets", "tx_bytes")}


@scenario
def dump():
    """She can see who has sockets there."""
    her = house.alice
    her.device()
    all_go_on(her)
    number = nl.nsid_of(her.net)
    nl.link_add("wg8").or_raise()
    nl.wg_set("wg8", port=6064).or_raise()
    nl.link_up("wg8").or_raise()
    try:
        found = residents()
        check(isinstance(found, dict) and set(found) == {PORT, ORDINARY_PORT},
              "the dump lists the devices of other netns, and no others", found)
        if not isinstance(found, dict):
            return
        one, root = found.get(PORT, {}), found.get(ORDINARY_PORT, {})
        check(one.get("uid") == 1000 and one.get("bought") and one["families"] == {4, 6},
              "hers is hers", one)
        check(root.get("uid") == 0 and not root.get("bought") and root["families"] == {4, 6},
              "root's is root's", root)
        check(root.get("netnsid") == nl.nsid_of(house.ordinary), "with the number of its netns",
              root)
        check(one.get("netnsid") == number, "hers too", one, number)
        check(not one["unknown"] | root["unknown"], "and nothing else is told", one, root)
        before = traffic(one)
        for _ in range(5):
            house.one_round(her, 1)
        after = traffic(residents()[PORT])
        check(all(after[name] >= before[name] + 10 for name in after),
              "packets and bytes are counted", before, after)
    finally:
        nl.link_del("wg8").or_raise()
    found = her.program(residents)
    check(found == "EPERM", "who has no CAP_NET_ADMIN there is told nothing", found)
    found = her.owner(residents)
    check(found == {}, "in her own netns nobody is", found)
    her.owner(nl.link_down, "wg0").or_raise()
    found = residents()
    check(PORT in found, "hers is there while the device is down", found)
    her.take_home()
    found = residents()
    check(PORT not in found, "at home it is not", found)
    with User() as other:
        other.device()
        found = residents().get(other.port, {})
        check(found.get("netnsid") is None and found.get("uid") == 1000,
              "a netns that has no number here has none", found)


@scenario
def dump_in_user_namespace():
    """The owner of a netns in a user namespace sees uids as that numbers them."""
    her = house.alice
    # An ordinary device with its sockets in her netns: made there, moved here.
    her.owner(nl.link_add, "wg9").or_raise()
    her.owner(nl.wg_set, "wg9", port=6066).or_raise()
    here = os.open("/proc/self/ns/net", os.O_RDONLY)
    try:
        with inside(her.net):
            nl.link_move("wg9", here).or_raise()
        nl.link_up("wg9").or_raise()
        found = her.owner(residents)
        check(isinstance(found, dict) and set(found) == {6066}
              and found[6066]["uid"] in (65534, 0xffffffff) and not found[6066]["bought"],
              "root of elsewhere has no number there", found)
    finally:
        nl.link_del("wg9")
        os.close(here)
