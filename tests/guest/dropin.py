# SPDX-License-Identifier: GPL-2.0
"""dropin.py record MODULE FILE [SCENARIO…]: writes down what a client can see of a wireguard module.
dropin.py compare FILE FILE: compares what was seen of the kernel's own with what was seen of ours.

Here is what devices, requests and files show; dropin_acts.py has what devices do. Run by dropin.sh.
"""

import os
import socket
import struct
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import actor  # noqa: E402
import looks  # noqa: E402
import netlink as nl  # noqa: E402
import record  # noqa: E402
import requests  # noqa: E402
import world  # noqa: E402
from actor import Actor  # noqa: E402
from record import Nets, is_ours, note, scenario  # noqa: E402
from world import inside, sh  # noqa: E402

PORT = 51820
MARK = 0x1234
PRIVATE = bytes(range(32, 64))
FAR_PRIVATE = bytes(range(64, 96))
PEER_KEYS = [bytes([first]) + bytes(range(1, 32)) for first in range(1, 7)]

# --- netns and devices ----------------------------------------------------------------

def zoned(zone):
    """A link-local endpoint."""
    address = socket.inet_pton(socket.AF_INET6, "fe80::77")
    return nl.attr(4, struct.pack("=H", socket.AF_INET6) + struct.pack(">HI", 7, 0) + address
                   + struct.pack("=I", zone))


def peers():
    """One of each kind; none that anything is sent to."""
    one, two, three, four, five, _ = PEER_KEYS
    return [
        nl.nest(0, nl.attr(1, one), nl.attr(2, b"psk!" * 8),
                nl.attr(4, struct.pack("=H", 2) + bytes((0, 77, 192, 0, 2, 7)) + bytes(8)),
                nl.nest(9, *(nl.nest(0, *requests.allowed(*words)) for words in (
                    (2, b"\n\1\2\3", 16), (2, b"\n\1\2\3", 32), (10, b"\xfd" * 16, 64),
                    (2, bytes(4), 0), (10, bytes(16), 0))))),
        nl.peer(two, keepalive=25, allowed=["10.2.0.0/16"]),
        nl.peer(three, endpoint=("2001:db8::7", 7)),
        nl.nest(0, nl.attr(1, four), zoned(1)),
        nl.peer(five),
    ]


def configure(**words):
    nl.wg_set("wg0", private_key=PRIVATE, peers=peers(), **words).or_raise()


# The others are a matter of netlink and sysfs alone.
WAYS_FOR_PROGRAMS = ("created", "moved")
WAYS = {
    "created": "ip -n home link add wg0 type wireguard",
    "moved": "ip -n away link add wg0 type wireguard; ip -n away link set wg0 netns home",
    "moved there and back": "ip -n home link add wg0 type wireguard; "
                            "ip -n home link set wg0 netns away; "
                            "ip -n away link set wg0 netns home",
    "made from elsewhere": "ip -n away link add wg0 netns home type wireguard",
    "made here, its link netns elsewhere": "ip -n home link add wg0 link-netns away type wireguard",
    "made from a third netns, its link netns first":
        "ip -n third link add link-netns away wg0 netns home type wireguard",
    "made from a third netns, its link netns last":
        "ip -n third link add wg0 netns home link-netns away type wireguard",
}


def look_at(key, who, look, like=None, but=()):
    for aspect, lines in who(look, "wg0", PORT).items():
        if aspect not in but:
            note(f"{key}: {aspect}", lines, **({"like": f"{like}: {aspect}"} if like else {}))


def set_up(nets):
    nets.home(configure, port=PORT, fwmark=MARK)
    nets.home(nl.address_add, "wg0", "10.0.0.1/24").or_raise()
    nets.home(nl.link_up, "wg0").or_raise()


@scenario
def devices():
    """What is shown of devices, by how they came to be where they are."""
    for way, command in WAYS.items():
        with Nets("home", "away", "third") as nets:
            sh(command)
            if way in WAYS_FOR_PROGRAMS:
                look_at(f"{way}, new", nets.home, looks.raw)
            set_up(nets)
            look_at(f"{way}, up", nets.home,
                    looks.everything if way in WAYS_FOR_PROGRAMS else looks.raw)
            with inside("away"):
                note(f"{way}, up: sockets of the other netns", looks.sockets(PORT))
                note(f"{way}, up: nsids of the other netns", sorted(nl.nsids()))


@scenario
def transit():
    """Devices whose sockets were moved look like those that were created."""
    if not is_ours():
        return
    for way, (first, when) in {
            "its sockets moved when it was new": ("created", "new"),
            "its sockets moved when it was up": ("created", "up"),
            "moved, and its sockets to a third netns": ("moved", "up"),
    }.items():
        with Nets("home", "away", "third") as nets:
            target = "third" if first == "moved" else "away"
            sh(WAYS[first])
            if when == "new":
                nets.home(record.transit_to, target)
                look_at(f"{way}, new", nets.home, looks.raw, "created, new")
            set_up(nets)
            if when == "up":
                nets.home(record.transit_to, target)
            look_at(f"{way}, up", nets.home, looks.everything, "created, up", but=("sockets",))


@scenario
def orphan():
    """A device whose netns of creation has gone."""
    with Nets("home", "away") as nets:
        sh("ip netns add gone; ip -n gone link add wg0 type wireguard; "
           "ip -n gone link set wg0 netns home")
        nets.home(configure, port=PORT)
        nets.home(nl.link_up, "wg0").or_raise()
        with inside("home"):
            watch = looks.Watch()
        sh("ip netns del gone")
        world.until(lambda: not nets.home(nl.link_get, "wg0")["carrier"])
        time.sleep(0.1)
        note("its first netns gone: events", watch.heard())
        look_at("its first netns gone", nets.home, looks.everything)
        lines = [nets.home(nl.link_down, "wg0").name, nets.home(nl.link_up, "wg0").name]
        note("its first netns gone: down and up", lines + nets.home(looks.get_link, "wg0"))


@scenario
def large():
    """How an answer that takes many messages is divided."""
    with Nets("home") as nets:
        sh(WAYS["created"])
        for number in range(40):
            entries = (nl.nest(0, *requests.allowed(2, bytes((10, number, 0, entry)), 32))
                       for entry in range(number * 6))
            key = bytes((number + 1,)) + bytes(range(31))
            one = nl.nest(0, nl.attr(1, key), nl.nest(9, *entries))
            nets.home(nl.wg_set, "wg0", peers=[one]).or_raise()
        note("many peers: GET_DEVICE", nets.home(looks.get_device, "wg0"))
        note("many peers: wg show", nets.home(looks.flat, ["wg show wg0 allowed-ips"]))
        if is_ours():
            asked = nets.home(looks.get_device, "wg0", nl.attr(looks.WANTED, b""))
            note("many peers: our attributes are in the first message only",
                 [line for line in asked if "transit" in line],
                 expected=["  transit-fwmark = 00000000"])


@scenario
def wanted():
    """Our attributes come if they are asked for, and change nothing of the rest."""
    for way in ("created", "moved", "its sockets moved"):
        if way not in WAYS and not is_ours():
            continue
        with Nets("home", "away") as nets:
            sh(WAYS.get(way, WAYS["created"]))
            nets.home(configure, port=PORT, fwmark=MARK)
            if way not in WAYS:
                nets.home(record.transit_to, "away")
            plain = nets.home(looks.get_device, "wg0")
            asked = nets.home(looks.get_device, "wg0", nl.attr(looks.WANTED, b""))
            ours = [line.strip() for line in asked if "transit" in line]
            if not is_ours():
                note(f"{way}: the kernel's own module refuses who asks for ours", asked,
                     expected=["end, flags 0x0: EINVAL"])
                continue
            with inside("home"):
                fd = world.open_net("away")
                number = nl.nsid_of(fd)
                os.close(fd)
            netnsid = [f"transit-netnsid = {struct.pack('=i', number).hex()}"]
            note(f"{way}: ours answer who asks for them", sorted(ours),
                 expected=[f"transit-fwmark = {struct.pack('=I', MARK).hex()}"]
                 + (netnsid if way != "created" else []))
            note(f"{way}: the rest of the answer is as it is without",
                 [line for line in asked if "transit" not in line], expected=plain)


# --- events --------------------------------------------------------------------------

@scenario
def events():
    """What is announced, by rtnetlink and to udev."""
    with Nets("home", "away") as nets:
        watches = {}
        for net in nets.names:
            with inside(net):
                watches[net] = looks.Watch()

        def step(what, action, **more):
            action()
            time.sleep(0.06)
            note(f"events: {what}", [f"{net}: {line}" for net, watch in watches.items()
                                     for line in watch.heard()], **more)

        def ip(arguments, net="home"):
            return lambda: subprocess.run(["ip", "-n", net, *arguments.split()], check=True)

        step("created", ip("link add wg0 type wireguard"))
        step("address", ip("address add 10.0.0.1/24 dev wg0"))
        step("configured", lambda: nets.home(configure, port=PORT, fwmark=MARK))
        step("up", ip("link set wg0 up"))
        step("another mark and port",
             lambda: nets.home(nl.wg_set, "wg0", port=PORT + 1, fwmark=0).or_raise())
        step("IPv6 address", ip("address add fd00::1/64 dev wg0"))
        step("smaller", ip("link set wg0 mtu 1280"))
        step("down", ip("link set wg0 down"))
        step("moved", ip("link set wg0 netns away"))
        step("up there", ip("link set wg0 up", "away"))
        step("moved back while up", ip("link set wg0 netns home", "away"))
        step("renamed", ip("link set wg0 down name wg1"))
        step("deleted", ip("link del wg1"))
        step("made elsewhere", ip("link add wg0 netns away type wireguard"))
        step("deleted there", ip("link del wg0", "away"))
        step("made with a link netns", ip("link add wg0 link-netns away type wireguard"))
        step("deleted with a link netns", ip("link del wg0"))
        step("created again", ip("link add wg0 type wireguard"))
        step("address again", ip("address add 10.0.0.1/24 dev wg0"))
        step("up again", ip("link set wg0 up"))
        step("down again", ip("link set wg0 down"))
        step("deleted with an address", ip("link del wg0"))
        if not is_ours():
            return
        step("created for the move", ip("link add wg0 type wireguard"), like="events: created")
        step("its address", ip("address add 10.0.0.1/24 dev wg0"), like="events: address")
        step("its sockets moved while it is down", lambda: nets.home(record.transit_to, "away"),
             expected=[])
        step("up after the move", ip("link set wg0 up"), like="events: up again")
        step("its sockets moved back while it is up", lambda: nets.home(record.transit_to, "home"),
             expected=[])
        step("its sockets moved again while it is up", lambda: nets.home(record.transit_to, "away"),
             expected=[])
        step("down after the move", ip("link set wg0 down"), like="events: down again")
        step("deleted after the move", ip("link del wg0"), like="events: deleted with an address")


# --- requests ------------------------------------------------------------------------

def answers_of(which, *args):
    return requests.answers(which(*args))


@scenario
def refusals():
    """What is said to requests."""
    with Nets("home") as nets:
        sh(WAYS["created"])
        index = nets.home(socket.if_nametoindex, "wg0")
        note("requests: how the device is named", nets.home(answers_of, requests.naming, index, 1))
        for what, which in (("headers", requests.headers),
                            ("attributes of the device", requests.device_attributes),
                            ("attributes of a peer", requests.peer_attributes),
                            ("attributes of an allowed IP", requests.allowed_attributes)):
            note(f"requests: {what}", nets.home(answers_of, which))
            nets.home(nl.wg_set, "wg0", flags=nl.REPLACE_PEERS).or_raise()
    note("the family", requests.family())
    note("its policies", requests.policies())


def become_stranger(net):
    os.setns(world.open_net(net), os.CLONE_NEWNET)
    actor.drop_user()


def become_container():
    actor.drop_user()
    actor.new_namespaces()
    nl.link_up("lo").or_raise()


def attempts():
    """What somebody may do, one after the other."""
    lines = []
    for what, words in {
            "a peer": {"peers": [nl.peer(PEER_KEYS[5])]}, "a key": {"private_key": FAR_PRIVATE},
            "no mark": {"fwmark": 0}, "another mark": {"fwmark": 6},
            "another port": {"port": PORT + 2}, "any port": {"port": 0},
            "a mark with a port": {"fwmark": 6, "port": PORT + 2},
            "flags": {"flags": nl.REPLACE_PEERS},
    }.items():
        # Ours points at the attribute as well.
        lines.append(f"SET {what}: {nl.wg_set('wg0', **words).name}")
    return lines + [f"GET: {requests.said(requests.get(nl.string(2, 'wg0')))}"]


@scenario
def rights():
    """Who may do what, to a device of others and to one that was handed to her."""
    with Nets("home") as nets:
        sh(WAYS["created"])
        stranger = Actor(become_stranger, "home")
        container = Actor(become_container)
        note("rights: a user without any", stranger(attempts))
        note("rights: a container, about a device that is not in it", container(attempts))
        nets.home(configure, port=PORT, fwmark=MARK)
        nets.home(nl_move, container.pid)
        note("rights: a container that was handed a device with a mark", container(attempts))
        note("rights: what it has then", container(looks.get_device, "wg0"))
        container(nl.link_up, "wg0").or_raise()
        note("rights: the same, up", container(attempts))
        look_at("rights: what it sees", container, looks.everything, but=("sysfs",))
        stranger.end()
        container.end()


def nl_move(pid):
    fd = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
    try:
        nl.link_move("wg0", fd).or_raise()
    finally:
        os.close(fd)


# --- the module ----------------------------------------------------------------------

@scenario
def files():
    """What the module's file and its folder say."""
    note("modinfo: aliases", sorted(looks.flat(["modinfo -F alias wireguard"])))
    note("modinfo: the rest", looks.flat([f"modinfo -F {field} wireguard"
                                          for field in ("name", "license", "version", "parm")]))
    note("modprobe: aliases",
         looks.flat([f"modprobe -q -n {alias}" for alias in (
             "rtnl-link-wireguard", "net-pf-16-proto-16-family-wireguard")]))
    with Nets("home"):
        sh(WAYS["created"] + "; ip -n home link set wg0 up")
        note("/sys/module", [f"{name} = {looks.read(f'/sys/module/wireguard/{name}')}"
                             for name in ("version", "refcnt", "initstate")]
             + looks.folder("/sys/module/wireguard/parameters")
             + looks.folder("/sys/module/wireguard/holders"))
        with open("/proc/modules", encoding="ascii") as file:
            for line in file:
                name, _, used, by, state = line.split()[:5]
                if name == "wireguard":
                    note("/proc/modules", [f"{name} {used} {by} {state}"])


if __name__ == "__main__":
    import dropin_acts  # noqa: F401
    record.main()
