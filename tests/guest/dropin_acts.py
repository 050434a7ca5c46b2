# SPDX-License-Identifier: GPL-2.0
"""What devices do that a client can tell: which address packets leave from, which ports are taken,
what wg-quick saves. A part of dropin.py."""

import os
import re
import socket
import struct
import subprocess
import time

import looks
import netlink as nl
import record
from record import Nets, is_ours, note, scenario
from world import inside, new_ping, ping, sh

PORT, FAR_PORT = 7001, 7002
PRIVATE, FAR_PRIVATE = bytes(range(32, 64)), bytes(range(64, 96))
PEER = "192.168.77.2"


# --- which address packets leave from -----------------------------------------------------

def cable():
    """`home' has two addresses of each family on the way to `far', the second of which packets have
    no reason to leave from."""
    sh("""
        ip -n home -batch - <<-'END'
		link add out type veth peer name in netns far
		addr add 10.9.0.1/24 dev out
		addr add 10.9.0.3/24 dev out
		addr add fd09::1/64 dev out nodad
		addr add fd09::3/64 dev out nodad preferred_lft 0
		link set out up
		END
        ip -n far -batch - <<-'END'
		addr add 10.9.0.2/24 dev in
		addr add fd09::2/64 dev in nodad
		link set in up
		link add wg0 type wireguard
		addr add 192.168.77.2/24 dev wg0
		END
    """)


def public_key(net):
    with inside(net):
        return nl.wg_get("wg0")["public_key"]


class Sniffer:
    """Sees what arrives from the other end of the cable."""

    def __init__(self):
        with inside("far"):
            self.sock = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3))
            self.sock.bind(("in", 3))

    def arrived(self, wait=0.0):
        """The packets of WireGuard up to now, or the first that comes."""
        lines = []
        self.sock.settimeout(wait or 0.001)
        try:
            while not lines or not wait:
                data, where = self.sock.recvfrom(2048)
                if where[2] == 4:  # its own
                    continue
                if where[1] == 0x0800 and data[9] == 17:
                    source, at = socket.inet_ntop(socket.AF_INET, data[12:16]), 20
                elif where[1] == 0x86dd and data[6] == 17:
                    source, at = socket.inet_ntop(socket.AF_INET6, data[8:24]), 40
                else:
                    continue
                kind = {1: "an initiation", 2: "a response", 4: "data"}.get(data[at + 8], "?")
                lines.append(f"{kind} from {source}")
        except (socket.timeout, BlockingIOError):
            pass
        return lines



def again(address):
    """Has the endpoint set to what it is."""
    key = public_key("far")
    return lambda: nl.wg_set("wg0", peers=[nl.peer(key, endpoint=(address, FAR_PORT))]).or_raise()


def down_and_up(between=lambda: None):
    def act():
        nl.link_down("wg0").or_raise()
        between()
        nl.link_up("wg0").or_raise()
    return act


def setting(**words):
    return lambda: nl.wg_set("wg0", **words).or_raise()


# What may make a device forget the address that its peer knows it by.
ACTS = {
    "nothing": lambda: None,
    "down and up": down_and_up(),
    "the same port": setting(port=PORT),
    "the same mark": setting(fwmark=0),
    "another mark": setting(fwmark=7),
    "that mark again": setting(fwmark=7),
    "no mark": setting(fwmark=0),
    "the endpoint again": None,
    "the same key": setting(private_key=PRIVATE),
    "another port": setting(port=PORT + 1),
    "the port from before": setting(port=PORT),
    "down, another port, up": down_and_up(setting(port=PORT + 1)),
    "down, the port from before, up": down_and_up(setting(port=PORT)),
    "down, the same mark, up": down_and_up(setting(fwmark=0)),
}
FEW = ("down and up", "the same mark", "another port", "down, the same mark, up")


def make_pair(device):
    """The device of `home', which lives in the netns `device', and its peer."""
    with inside(device):
        nl.wg_set("wg0", private_key=PRIVATE, port=PORT).or_raise()
        nl.address_add("wg0", "192.168.77.1/24").or_raise()
    with inside("far"):
        nl.wg_set("wg0", private_key=FAR_PRIVATE, port=FAR_PORT).or_raise()
    with inside(device):
        nl.wg_set("wg0", peers=[nl.peer(public_key("far"), allowed=[PEER + "/32"])]).or_raise()
        nl.link_up("wg0").or_raise()
    with inside("far"):
        nl.link_up("wg0").or_raise()


def learn(device, address):
    """Has the device hear from its peer at an address of its own."""
    with inside(device):
        port = nl.wg_get("wg0")["port"]
    with inside("far"):
        nl.wg_set("wg0", peers=[nl.peer(public_key(device), endpoint=(address, port),
                                        allowed=["192.168.77.1/32"])]).or_raise()
    for _ in range(4):
        if new_ping("far", "192.168.77.1"):
            return
    raise TimeoutError("the peer is not heard")


def sources(device, like=None):
    """Which address the first packet leaves from, after each of the acts."""
    sniffer = Sniffer()
    for family, (address, far) in {"IPv4": ("10.9.0.3", "10.9.0.2"),
                                   "IPv6": ("fd09::3", "fd09::2")}.items():
        for what, act in ACTS.items():
            if what not in FEW and (family == "IPv6" or device != "home"):
                continue
            learn(device, address)
            before = sniffer.arrived()[-1:]
            with inside(device):
                (act or again(far))()
            # What the act itself sends comes first, if it sends something.
            new_ping(device, PEER, 0.3)
            key = f"source: {family}, {what}, device in {like or device}"
            note(key, [*before, "then", *sniffer.arrived(1)])
            sniffer.arrived()


@scenario
def source():
    """The address that a peer knows a device by is kept, or not, as in-tree."""
    with Nets("home", "far"):
        cable()
        sh("ip -n home link add wg0 type wireguard")
        make_pair("home")
        sources("home")
    with Nets("home", "far", "inner"):
        cable()
        sh("ip -n home link add wg0 type wireguard; ip -n home link set wg0 netns inner")
        make_pair("inner")
        sources("inner")


# --- what a sender is told, and what is counted ---------------------------------------------

def send_to(address):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        said = []
        for _ in range(2):
            try:
                sock.sendto(b"x" * 100, (address, 9))
                said.append("sent")
            except OSError as error:
                said.append(os.strerror(error.errno))
            time.sleep(0.05)
    return f"to {address}: " + ", ".join(said)


@scenario
def counting():
    """What becomes of packets, as their sender and the counters tell."""
    with Nets("home", "far"):
        cable()
        sh("ip -n home link add wg0 type wireguard")
        make_pair("home")
        with inside("home"):
            nl.wg_set("wg0", peers=[nl.peer(bytes(range(1, 33)), allowed=["192.168.77.3/32"])])
            nl.address_add("wg0", "fd77::1/64").or_raise()
            note("sending: without a peer, or without its address",
                 [send_to(address) for address in (
                     "192.168.77.9", "192.168.77.2", "192.168.77.3", "fd77::9")])
        learn("home", "10.9.0.3")
        note("counting: replies", [ping("home", PEER, 2, count=5)])
        with inside("home"):
            note("counting: GET_DEVICE", looks.get_device("wg0"))
            note("counting: statistics", 
                 # Its first line is the index.
                 [looks.read("/proc/self/net/dev_snmp6/wg0").partition(" / ")[2]] + looks.flat(["ip -j -s -s link show wg0"]))


# --- ports ------------------------------------------------------------------------------------

def take(port, family=socket.AF_INET):
    sock = socket.socket(family, socket.SOCK_DGRAM)
    if family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    sock.bind(("", port))
    return sock


def taken_ports(where):
    """What is said when a port is taken, for a device whose sockets live in `where'."""
    lines = []

    def port():
        return nl.wg_get("wg0")["port"]

    def say(what, answer, expected):
        now = port()
        lines.append(f"{what}: {answer.name}, up {nl.link_get('wg0')['up']}, "
                     f"{'its port' if now == expected else 'another port'}")

    nl.link_up("wg0").or_raise()
    picked = port()
    for family in (socket.AF_INET, socket.AF_INET6):
        nl.link_down("wg0").or_raise()
        with inside(where):
            holder = take(picked, family)
        say(f"a picked port that is taken for {family.name}, up", nl.link_up("wg0"), picked)
        nl.link_down("wg0").or_raise()
        holder.close()
        say("and free again, up", nl.link_up("wg0"), picked)
    nl.link_down("wg0").or_raise()
    with inside(where):
        holders = [take(7010), take(7011, socket.AF_INET6)]
    for number in (7010, 7011):
        say(f"{number}, which is taken, while down", nl.wg_set("wg0", port=number), number)
        say("and up", nl.link_up("wg0"), number)
        nl.link_down("wg0").or_raise()
    nl.wg_set("wg0", port=7012).or_raise()
    nl.link_up("wg0").or_raise()
    for number in (7010, 7011):
        say(f"{number}, which is taken, while up", nl.wg_set("wg0", port=number), 7012)
    say("any port while up", nl.wg_set("wg0", port=0), 7012)
    say("any port again", nl.wg_set("wg0", port=0), 7012)
    for holder in holders:
        holder.close()
    nl.link_down("wg0").or_raise()
    picked = port()
    say("any port while down", nl.wg_set("wg0", port=0), 0)
    say("and up", nl.link_up("wg0"), picked)
    return lines


@scenario
def ports():
    """Ports that are taken."""
    for way, command in {
            "created": "ip -n home link add wg0 type wireguard",
            "moved": "ip -n away link add wg0 type wireguard; ip -n away link set wg0 netns home",
    }.items():
        with Nets("home", "away") as nets:
            sh(command)
            note(f"ports: {way}", nets.home(taken_ports, "home" if way == "created" else "away"))


# --- wg-quick -----------------------------------------------------------------------------------

CONFIG = """[Interface]
Address = 10.0.0.1/24, fd00::1/64
ListenPort = 7001
PrivateKey = ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pn8=
MTU = 1300
SaveConfig = true
PostUp = true %i

[Peer]
PublicKey = AQECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=
AllowedIPs = 10.3.0.0/16, fd03::/64
Endpoint = 192.0.2.9:99
PersistentKeepalive = 25
"""
FILE = "/etc/wireguard/wg0.conf"


def use_tool(tool):
    """Has wg-quick find another wg, in the mount namespace of this process."""
    sh(f'mount --bind "$(command -v {tool})" "$(command -v wg)"')


def quick(*words):
    done = subprocess.run(["wg-quick", *words], text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, check=False)
    return [f"$ wg-quick {' '.join(words)} # {done.returncode}",
            *re.sub(r"/dev/fd/\d+", "/dev/fd/N", done.stdout).splitlines()]


def saved():
    """What is in the file. The name of the netns is only asked for by our wg."""
    return ["the file:"] + [line for line in looks.read(FILE).split(" / ")
                            if not line.startswith("TransitNetns")]


def save(up, tool):
    """Saves a device, changes it, and takes it down, which saves it again."""
    lines = []
    with open(FILE, "w", encoding="ascii") as file:
        file.write(CONFIG)
    if up:
        lines += quick("up", "wg0")
    else:
        sh(f"""
            wg setconf wg0 <(grep -vE '^(Address|MTU|SaveConfig|PostUp)' {FILE})
            ip -batch - <<-'END'
			addr add 10.0.0.1/24 dev wg0
			addr add fd00::1/64 dev wg0
			link set wg0 mtu 1300 up
			END
        """)
    if tool == "wg":
        lines += quick("save", "wg0") + saved()
    nl.address_add("wg0", "10.0.5.1/24").or_raise()
    return lines + quick("down", "wg0") + saved()


@scenario
def wg_quick():
    """wg-quick saves all that a device has, wherever its sockets are."""
    # In memory, since each save waits for the disk.
    sh("mkdir -p /etc/wireguard; mount -t tmpfs none /etc/wireguard")
    for tool in ("wg", "wg-ours"):
        for way, command in {
                "up": "true",
                "moved": "ip -n away link add wg0 type wireguard; "
                         "ip -n away link set wg0 netns home",
                "its sockets moved": "ip -n home link add wg0 type wireguard",
        }.items():
            # wg-quick.sh brings devices up with ours.
            if way == "its sockets moved" and not is_ours() or (way, tool) == ("up", "wg-ours"):
                continue
            with Nets("home", "away") as nets:
                nets.home(use_tool, tool)
                sh(command)
                if way == "its sockets moved":
                    nets.home(record.transit_to, "away")
                note(f"wg-quick with {tool}: {way}", nets.home(save, way == "up", tool),
                     **({"like": f"wg-quick with {tool}: moved"} if way == "its sockets moved"
                        else {}))
    sh("umount /etc/wireguard")
