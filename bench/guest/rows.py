# SPDX-License-Identifier: GPL-2.0
"""What is measured. A group is measured in one go under one module; it gives values by row."""

import contextlib
import ctypes
import os
import random
import socket
import struct
import subprocess
import time
from typing import Callable, NamedTuple

import actor
import netlink as nl
from actor import Actor
from ground import (LEFT, RIGHT, SECOND, SECOND_FILE, Traffic, Tunnel, public_keys, tcp, udp, window,
                    worked)
from world import inside, meminfo, sh


class Group(NamedTuple):
    """`measure` takes a scale, 1 for as long as it should be."""
    name: str
    measure: Callable
    # Seconds that it takes, about.
    takes: float
    # Whether this kernel has what it takes.
    possible: Callable = lambda: True


MTUS = {"1420": 1420, "jumbo": 8920}
SIZES = (64, 512, 1400)
WAYS = {"forth": "one way", "back": "the other way", "both": "both ways"}
STREAMS = tuple(map(int, (os.environ.get("STREAMS") or "1,2,4").split(",")))
RANGES = (1, 1_000, 100_000)
PEERS, RANGES_EACH = 10_000, 10
DEVICES = 64
HANDSHAKES = 16


def flat(rates):
    """Rows of rates, by the clock and by the work that it took."""
    return {row if over == "seconds" else f"{row}/{over}": value
            for row, values in rates.items() for over, value in values.items()}


def tcp_rows(mtu):
    """Streams of TCP."""
    def measure(scale):
        with Tunnel(MTUS[mtu]):
            return flat({f"tcp/{mtu}/{streams}/{ways}": tcp(streams, ways, scale)
                         for streams in STREAMS for ways in WAYS})
    return measure


def each_way(name, scale, **where):
    """One stream of TCP, one way and the other."""
    return flat({f"{name}/{way}": tcp(1, way, scale, **where) for way in ("forth", "back")})


def rules():
    """A host's firewall: each packet on the cable passes a score of rules before one accepts it."""
    refused = [f"ip saddr 198.51.100.{host} counter drop" for host in range(1, 11)]
    services = [f"tcp dport {port} ct state new accept" for port in (22, 25, 80, 443, 993)]
    for hook, way in (("input", "iifname"), ("output", "oifname")):
        yield f"add chain inet host {hook} {{ type filter hook {hook} priority 0; policy drop; }}"
        for rule in (f'{way} != "cable" accept', "ct state invalid drop", *refused, *services,
                     "ip protocol icmp limit rate 100/second accept",
                     "udp sport 67 udp dport 68 accept", "ct state established,related accept",
                     "udp dport 5000-5001 ct state new accept"):
            yield f"add rule inet host {hook} {rule}"


def can_filter():
    """Whether there is a packet filter that knows connections."""
    return not subprocess.run(["modprobe", "-qa", "nf_tables", "nf_conntrack", "nft_ct", "nft_limit"],
                              check=False).returncode


def firewall_rows(scale):
    """TCP behind firewalls that follow the tunnel's connection, at both ends."""
    with Tunnel(MTUS["1420"]) as tunnel:
        text = "\n".join(["add table inet host", *rules()])
        for name in tunnel.names:
            sh(f"ip netns exec {name} nft -f -", input=text)
        # A packet that is refused would show as a tunnel that does not carry.
        Traffic("left", "ping", RIGHT, 5, 0).done()
        return each_way("firewall", scale)


def ordinary(tunnel):
    """Makes the link one that does not segment UDP, and gathers what arrives: an ordinary NIC."""
    for name in tunnel.names:
        # veth has GRO gather only what was sent by a device without TSO, which nothing here wants.
        sh(f"ip netns exec {name} ethtool -K cable tx-udp-segmentation off tso off gro on")


def link_rows(scale):
    """TCP over such a link."""
    with Tunnel(MTUS["1420"]) as tunnel:
        ordinary(tunnel)
        return each_way("link", scale)


def load_second():
    """Loads the C module under its second name."""
    sh(f"modprobe -a udp_tunnel ip6_udp_tunnel libcurve25519 libchacha20poly1305; "
       f"insmod {SECOND_FILE}")


def interop_rows(scale):
    """TCP where the right end is the kernel's own module, whichever is at the left."""
    load_second()
    try:
        with Tunnel(MTUS["1420"], SECOND) as tunnel:
            ordinary(tunnel)
            return each_way("interop", scale)
    finally:
        sh(f"rmmod {SECOND}")


def forwarded_rows(scale):
    """TCP of a host for which the left end forwards."""
    address = "192.168.89.2"
    with Tunnel(MTUS["1420"]) as tunnel:
        sh(f"""
            ip netns add behind
            ip link add lan netns behind mtu {MTUS["1420"]} type veth \
                peer name lan netns left mtu {MTUS["1420"]}
            ip -n behind addr add {address}/24 dev lan
            ip -n left addr add 192.168.89.1/24 dev lan
            ip -n behind link set lan up
            ip -n left link set lan up
            ip -n behind route add default via 192.168.89.1
            ip -n right route add 192.168.89.0/24 dev wg0
            ip netns exec left sysctl -qw net.ipv4.ip_forward=1
        """)
        with inside("right"):
            nl.wg_set("wg0", peers=[nl.peer(tunnel.public[0], allowed=["192.168.89.0/24"])]
                      ).or_raise()
        try:
            return each_way("forwarded", scale, behind=("behind", address))
        finally:
            sh("ip netns del behind")


TRAIN = 32


def train_rows(scale):
    """UDP that is sent in trains and read in trains, as QUIC does."""
    with Tunnel(MTUS["1420"]):
        found, lost = udp(1400, scale, train=TRAIN)
    return flat({"trains": found}) | {"trains/lost": lost}


def udp_rows(scale):
    """As many packets as will go."""
    found, lost = {}, {}
    with Tunnel(MTUS["1420"]):
        for size in SIZES:
            found[f"udp/{size}"], lost[f"udp/{size}/lost"] = udp(size, scale)
    return flat(found) | lost


def ping_rows(scale):
    """Round trips, in seconds."""
    found = {}
    with Tunnel(MTUS["1420"]):
        def ping(what, count, pause):
            times = Traffic("left", "ping", RIGHT, count, pause).done()
            for which in ("median", "p99"):
                found[f"rtt/{what}/{which}"] = times[which] * 1e-9
        ping("idle", int(500 * scale), 500)
        count, pause = int(300 * scale), 2000
        _, end = window(count * (pause * 1e-6 + 0.003))
        receiver = Traffic("right", "tcp-receive", RIGHT, 7000, end)
        sender = Traffic("left", "tcp-send", RIGHT, 7000)
        time.sleep(0.4)
        ping("load", count, pause)
        receiver.done()
        sender.done()
    return found


# --- peers and allowed IPs --------------------------------------------------------------

def chunks(name, peers, size=48 << 10):
    """Requests that set these peers, each of a size that one attribute may have."""
    bodies, part, length = [], [], 0
    for one in peers:
        if part and length + len(one) > size:
            bodies.append(nl.wg_set_body(name, peers=part))
            part, length = [], 0
        part.append(one)
        length += len(one)
    return [*bodies, nl.wg_set_body(name, peers=part)]


def entry(number, bits=32):
    """An allowed IP."""
    return nl.nest(0, nl.u16(1, 2), nl.attr(2, struct.pack(">I", number)), nl.attr(3, bytes([bits])))


def config(command, bodies, flags=nl.F_ACK):
    """Sends requests, and the seconds that took."""
    header = struct.pack("=BBH", command, 1, 0)
    family = nl.family()
    with nl.Netlink(nl.NETLINK_GENERIC) as genl:
        start = worked()
        for body in bodies:
            genl.ask(family, header, body, flags).or_raise()
        return worked() - start


def free():
    """Memory that is free, when what can be given back was."""
    time.sleep(0.1)
    with open("/proc/sys/vm/drop_caches", "w", encoding="ascii") as file:
        file.write("3")
    time.sleep(0.1)
    return meminfo("MemFree")


class Many:
    """The requests for very many peers: the same each time."""

    def __init__(self, name):
        source = random.Random(name)
        keys = [source.randbytes(32) for _ in range(PEERS)]
        self.peers = chunks(name, (nl.peer(key) for key in keys))
        ranges = [nl.nest(9, *(entry((10 << 24) + source.randrange(1 << 24))
                               for _ in range(RANGES_EACH))) for _ in keys]
        self.ranges = chunks(name, (nl.nest(0, nl.attr(1, key), nl.u32(3, 2), allowed)
                                    for key, allowed in zip(keys, ranges)))


@contextlib.contextmanager
def device(name):
    nl.link_add(name).or_raise()
    try:
        nl.wg_set(name, private_key=bytes([7] * 32)).or_raise()
        yield
    finally:
        nl.link_del(name).or_raise()


def config_rows(_):
    """Very many peers: seconds and bytes."""
    many = Many("many")
    found = {}
    with device("many"):
        before = free()
        found["config/peers"] = config(nl.SET_DEVICE, many.peers)
        peers = free()
        found["config/ranges"] = config(nl.SET_DEVICE, many.ranges)
        ranges = free()
        found["config/dump"] = config(nl.GET_DEVICE, [nl.string(nl.IFNAME, "many")],
                                      nl.F_ACK | nl.F_DUMP)
        found["config/remove"] = config(nl.SET_DEVICE, [nl.wg_set_body("many", flags=1)])
    found["memory/peer"] = (before - peers) / PEERS
    found["memory/range"] = (peers - ranges) / (PEERS * RANGES_EACH)
    return found


def device_rows(_):
    """Bytes of a device that is up."""
    def make(names):
        for name in names:
            nl.link_add(name).or_raise()
            nl.wg_set(name, private_key=bytes([7] * 32)).or_raise()
            nl.link_up(name).or_raise()
    names = [f"many{at}" for at in range(DEVICES)]
    # Once before: what comes with the first device is no device's.
    make(names[:1])
    before = free()
    make(names[1:])
    found = {"memory/device": (before - free()) / (DEVICES - 1)}
    for name in names:
        nl.link_del(name).or_raise()
    return found


def ranges_rows(scale):
    """Small packets to addresses at random, of few and of many."""
    base, other = 10 << 24 | 1 << 20, 10 << 24 | 8 << 20
    found = {}
    for count in RANGES:
        with Tunnel(MTUS["1420"]) as tunnel:
            sh("""ip -n left route add 10.16.0.0/12 dev wg0
                  ip -n right route add local 10.16.0.0/12 dev lo""")
            for net, key, start in (("left", tunnel.public[1], base),
                                    ("right", tunnel.public[0], other)):
                allowed = [entry(start + at) for at in range(count)]
                peers = (nl.nest(0, nl.attr(1, key), nl.nest(9, *allowed[at:at + 1000]))
                         for at in range(0, count, 1000))
                with inside(net):
                    config(nl.SET_DEVICE, chunks("wg0", peers))
            found[f"ranges/{count}"], _ = udp(64, scale, "10.16.0.0", count)
    return flat(found)


# --- handshakes ---------------------------------------------------------------------------

def handshake_rows(_):
    """Devices that all begin sessions with each other at once, in one namespace."""
    private = {side: [os.urandom(32) for _ in range(HANDSHAKES)] for side in "lr"}
    public = {side: public_keys(keys) for side, keys in private.items()}
    for side, others, port in (("l", "r", 20000), ("r", "l", 30000)):
        for at, key in enumerate(private[side]):
            name = f"{side}{at}"
            nl.link_add(name).or_raise()
            peers = [nl.peer(other, endpoint=("127.0.0.1", 30000 + to) if side == "l" else None,
                             keepalive=600 if side == "l" else None)
                     for to, other in enumerate(public[others])]
            nl.wg_set(name, private_key=key, port=port + at, peers=peers).or_raise()
    names = [f"r{at}" for at in range(HANDSHAKES)]
    for name in names:
        nl.link_up(name).or_raise()
    start, before = time.monotonic(), worked()
    for at in range(HANDSHAKES):
        nl.link_up(f"l{at}").or_raise()
    waiting = list(names)
    while waiting:
        peers = nl.wg_get(waiting[-1])["peers"].values()
        if all(peer["handshake"] != (0, 0) for peer in peers):
            waiting.pop()
        elif time.monotonic() > start + 60:
            raise RuntimeError("there are handshakes that do not end")
        else:
            time.sleep(0.005)
    took = {"seconds": time.monotonic() - start, "worked": worked() - before}
    for side in "lr":
        for at in range(HANDSHAKES):
            nl.link_del(f"{side}{at}").or_raise()
    return flat({"handshakes": {over: HANDSHAKES ** 2 / value for over, value in took.items()}})


# --- the module ------------------------------------------------------------------------------

FINIT_MODULE, DELETE_MODULE = 313, 176


def module_path():
    """The file of the module that is in use."""
    return subprocess.run(["modinfo", "-n", "wireguard"], check=True, text=True,
                          stdout=subprocess.PIPE).stdout.strip()


def reload(path):
    """Unloads the module and loads it again. What the latter alone took."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.syscall(DELETE_MODULE, b"wireguard", 0):
        raise OSError(ctypes.get_errno(), "delete_module")
    with open(path, "rb") as file:
        start = worked()
        if libc.syscall(FINIT_MODULE, file.fileno(), b"", 0):
            raise OSError(ctypes.get_errno(), "finit_module")
        return worked() - start


def module_rows(_):
    """Bytes in memory, and seconds that loading takes by itself."""
    with open("/proc/modules", encoding="ascii") as file:
        size = next(int(line.split()[1]) for line in file if line.startswith("wireguard "))
    path = module_path()
    return {"module/size": size, "module/load": sorted(reload(path) for _ in range(5))[2]}


# --- a move -------------------------------------------------------------------------------------

RATE = 1000


def move_rows(scale):
    """Packets lost and silence while sockets move, and while they do not. Only ours can."""
    found = {}
    seconds = max(1.2, 2 * scale)
    with Tunnel(MTUS["1420"]):
        sh("""
            ip netns add elsewhere
            ip link add cable netns elsewhere type veth peer name other netns right
            ip -n elsewhere addr add 10.2.0.1/24 dev cable
            ip -n right addr add 10.2.0.2/24 dev other
            ip -n elsewhere link set cable up
            ip -n right link set other up
            ip -n elsewhere route add default via 10.2.0.2
        """)
        for what, target in (("none", None), ("there", "elsewhere"), ("back", "left")):
            end = time.monotonic() + seconds
            receivers, senders = [], []
            for net, other, address in (("left", "right", RIGHT), ("right", "left", LEFT)):
                receivers.append(Traffic(other, "paced-receive", address, 7000, end + 0.3))
                time.sleep(0.05)
                senders.append(Traffic(net, "paced-send", address, 7000, RATE, end))
            time.sleep(seconds / 2)
            if target:
                fd = os.open(f"/run/netns/{target}", os.O_RDONLY)
                with inside("left"):
                    nl.wg_set("wg0", netns_fd=fd).or_raise()
                os.close(fd)
            for way, sender, receiver in zip(("out", "in"), senders, receivers):
                sent, got = sender.done(), receiver.done()
                found[f"move/{what}/{way}/lost"] = sent["sent"] - got["received"]
                found[f"move/{what}/{way}/silence"] = got["silence"]
        sh("ip netns del elsewhere")
    return found


# --- sockets that credentials buy ---------------------------------------------------------------

CREDENTIALS = (100, 101)


def become_owner():
    """Somebody without rights in `left`, with sockets that were opened there."""
    with inside("left"):
        for family, number in zip((socket.AF_INET, socket.AF_INET6), CREDENTIALS):
            with socket.socket(family, socket.SOCK_DGRAM) as sock:
                os.dup2(sock.fileno(), number)
    actor.drop_user()
    actor.new_namespaces()


def bought_rows(scale):
    """TCP of a device whose sockets its owner bought with credentials, and of the same one with
    sockets of root's. Only ours can."""
    found = {}
    for mtu, size in MTUS.items():
        with Tunnel(size):
            owner = Actor(become_owner)
            home = owner.net()
            with inside("left"):
                nl.link_move("wg0", home).or_raise()
            owner(nl.address_add, "wg0", f"{LEFT}/24").or_raise()
            owner(nl.link_up, "wg0").or_raise()
            # Neighbours are compared, each once before and once after the other.
            for at, who in enumerate(("root", "hers", "hers", "root")):
                port = 6000 + at
                if who == "hers":
                    owner(nl.wg_set, "wg0", port=port, credential4=CREDENTIALS[0],
                          credential6=CREDENTIALS[1]).or_raise()
                else:
                    with inside(home):
                        nl.wg_set("wg0", port=port).or_raise()
                Traffic(home, "ping", RIGHT, 5, 0).done()
                for way in ("forth", "back"):
                    for over, value in tcp(1, way, scale, home).items():
                        found[f"bought/{mtu}/{way}/{over}/{at // 2}/{who}"] = value
            os.close(home)
            owner.end()
    return found


def load_limit():
    """Loads what tells what can be done at best."""
    # The lengths that packets have when they are encrypted.
    sizes = sorted({-(-size // 16) * 16 for size in SIZES} | set(MTUS.values()))
    sh("modprobe libchacha20poly1305; insmod /wg/files/limit.ko "
       f"sizes={','.join(map(str, sizes))}")


def limit(milliseconds):
    """Nanoseconds that a packet takes to encrypt, and to encrypt and decrypt, by size: on one CPU
    while the others do the same."""
    with open("/sys/module/limit/parameters/milliseconds", "w", encoding="ascii") as file:
        file.write(str(milliseconds))
    found = {}
    for cpu in range(os.cpu_count()):
        found[cpu] = subprocess.Popen(["taskset", "-c", str(cpu), "cat", "/proc/aead-limit"],
                                      stdout=subprocess.PIPE, text=True)
    lines = [process.communicate()[0].split("\n") for process in found.values()]
    result = {}
    for rows in zip(*lines):
        figures = [list(map(int, row.split())) for row in rows if row]
        if figures:
            result[figures[0][0]] = [sum(of) / len(of) for of in list(zip(*figures))[1:]]
    return result


BOTH = [
    Group("TCP 1420", tcp_rows("1420"), 17),
    Group("TCP jumbo", tcp_rows("jumbo"), 17),
    Group("firewall", firewall_rows, 5, can_filter),
    Group("link", link_rows, 4),
    Group("interop", interop_rows, 5, lambda: os.path.exists(SECOND_FILE)),
    Group("forwarded", forwarded_rows, 4),
    Group("UDP", udp_rows, 6),
    Group("trains", train_rows, 2),
    Group("round trips", ping_rows, 4),
    Group("allowed IPs", ranges_rows, 8),
    Group("handshakes", handshake_rows, 3),
    Group("configuration", config_rows, 12),
    Group("devices", device_rows, 4),
    Group("module", module_rows, 2),
]
OURS = [Group("moves", move_rows, 9), Group("bought sockets", bought_rows, 22)]
