# SPDX-License-Identifier: GPL-2.0
"""The world of the suite, and what its scenarios have in common.

Packets can leave from the initial netns; at the other end of a cable is the netns `far', with
WireGuard devices that are reached over IPv4 and over IPv6, and a program that sends back what it gets.
A user, alice mostly, has two processes in a cgroup: `program' has UDP sockets in the initial netns,
and `owner' has a user and a network namespace with the device wg0, whose sockets it moves to the
initial netns with credentials. In the netns `ordinary' is a device of root's whose sockets are in the
initial netns as well, because it was made there: no rule for a user is to act on that one.
"""

import contextlib
import ctypes
import os
import re
import select
import socket
import struct
import subprocess
import time
from typing import NamedTuple

import actor
import netlink as nl
import world
from actor import Actor
from tap import check
from world import inside, sh

CGROUPS = "/sys/fs/cgroup"
HERS = "users/alice"

GOOD = (100, 101)  # numbers of her credentials
PORT, ORDINARY_PORT, OTHERS_PORT = 6000, 6001, 6002
# Where far's devices and the program are to be reached, by the family of the packets outside, and
# what far's devices have inside.
FAR = {4: ("10.7.0.2", 5000), 6: ("fd07::2", 5001)}
ECHO_PORT = 7000
INSIDE = {4: "192.168.77", 6: "192.168.78"}
AF = {4: socket.AF_INET, 6: socket.AF_INET6}
NAMES = {4: "IPv4", 6: "IPv6"}
BOTH = (4, 6)
V4, V6 = nl.CREDENTIAL4, nl.CREDENTIAL6

keys = {name: os.urandom(32) for name in ("hers", "ordinary", "far4", "far6")}
public = {}
alice = None
ordinary = None
_nft = None


# --- the program ------------------------------------------------------------------------

# Of a process that plays the program: its sockets by family.
_socks = {}


def open_sockets(families=BOTH):
    """Has it open new ones, without a port as yet."""
    for family in families:
        if family in _socks:
            _socks[family].close()
        _socks[family] = socket.socket(AF[family], socket.SOCK_DGRAM)


def ask(timeout):
    """Sends to the program at the far end; the families in which the answer came, and what was said
    where sending failed."""
    words, failed = os.urandom(8), {}
    answered, waiting = set(), {}
    for family, sock in _socks.items():
        try:
            sock.sendto(words, (FAR[family][0], ECHO_PORT))
            waiting[sock] = family
        except OSError as error:
            failed[family] = error.errno
    end = time.monotonic() + timeout
    while waiting and (left := end - time.monotonic()) > 0:
        for sock in select.select(list(waiting), [], [], left)[0]:
            with contextlib.suppress(OSError):
                if sock.recv(100, socket.MSG_DONTWAIT) == words:
                    answered.add(waiting.pop(sock))
    return answered, failed


def errno_of(function, *args):
    """What a call fails with, or 0."""
    try:
        function(*args)
    except OSError as error:
        return error.errno
    return 0


def own_port(family):
    """The port of one of its sockets."""
    return _socks[family].getsockname()[1]


def _echo():
    """What answers at the far end, for good."""
    socks = []
    for family in BOTH:
        sock = socket.socket(AF[family], socket.SOCK_DGRAM)
        sock.bind((FAR[family][0], ECHO_PORT))
        socks.append(sock)
    while True:
        for sock in select.select(socks, [], [])[0]:
            with contextlib.suppress(OSError):
                sock.sendto(*sock.recvfrom(2048))


# --- a user -----------------------------------------------------------------------------

def has_cgroups():
    with open("/proc/filesystems", encoding="ascii") as file:
        return "\tcgroup2\n" in file.read()


def enter_cgroup(path):
    with open(f"{path}/cgroup.procs", "w", encoding="ascii") as file:
        file.write("0")


def make_cgroup(name):
    path = f"{CGROUPS}/{name}"
    os.makedirs(path, exist_ok=True)
    return path


def udp(family):
    """A UDP socket whose port connect() picked, as bash's /dev/udp has it."""
    sock = socket.socket(AF[family], socket.SOCK_DGRAM)
    sock.connect(("127.0.0.1" if family == 4 else "::1", 9))
    return sock.detach()


def keep_credentials(numbers=GOOD):
    for family, number in zip(BOTH, numbers):
        fd = udp(family)
        os.dup2(fd, number, inheritable=True)
        os.close(fd)


def close_credentials():
    for number in GOOD:
        os.close(number)


def enter_cgroups(paths):
    if has_cgroups():
        for path in paths:
            enter_cgroup(path)


def become_program(uid, cgroups):
    enter_cgroups(cgroups)
    actor.drop_user(uid)
    open_sockets()


def become_owner(uid, cgroups):
    enter_cgroups(cgroups)
    actor.drop_user(uid)
    keep_credentials()
    actor.new_namespaces()
    nl.link_up("lo").or_raise()


def proof(numbers=GOOD):
    return {"credential4": numbers[0], "credential6": numbers[1]}


def make_device(name, words, up):
    """A new device, in the netns of whoever calls."""
    nl.link_del(name)
    nl.link_add(name).or_raise()
    peers = [nl.peer(public[f"far{family}"], endpoint=FAR[family],
                     allowed=[f"{INSIDE[family]}.0/24"]) for family in BOTH]
    nl.wg_set(name, private_key=keys["hers"], peers=peers, **words).or_raise()
    for family in BOTH:
        nl.address_add(name, f"{INSIDE[family]}.1/24").or_raise()
    if up:
        nl.link_up(name).or_raise()


class Udp(NamedTuple):
    """A UDP socket as /proc/net/udp has it."""
    uid: int
    inode: int
    waiting: int  # bytes that were received and not read


def udp_sockets(net, port):
    """The UDP sockets of a netns that have a port, by family."""
    with inside(net):
        found = {}
        for family, path in ((4, "/proc/self/net/udp"), (6, "/proc/self/net/udp6")):
            with open(path, encoding="ascii") as file:
                for line in list(file)[1:]:
                    fields = line.split()
                    if int(fields[1].rsplit(":", 1)[1], 16) == port:
                        found[family] = Udp(int(fields[7]), int(fields[9]),
                                            int(fields[4].split(":")[1], 16))
        return found


class User:
    """Somebody with a program and a device. Who she is can be told by what her processes do first;
    both are called with her uid and the paths of her cgroups."""

    def __init__(self, uid=1000, cgroups=(f"{CGROUPS}/{HERS}",), as_owner=become_owner,
                 as_program=become_program):
        self.program = Actor(as_program, uid, cgroups)
        self.owner = Actor(as_owner, uid, cgroups)
        self.net = self.owner.net()
        # Alice's device lives through the suite, with a port of its own.
        self.port = PORT if alice is None else OTHERS_PORT

    def end(self):
        os.close(self.net)
        self.owner.end()
        self.program.end()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()

    def device(self, bought=True, up=True, **words):
        """Gives her a new wg0; with its sockets in the initial netns unless they are not bought."""
        self.owner(make_device, "wg0", {"port": self.port, **words}, False)
        if bought:
            self.buy().or_raise()
        if up:
            # By root: whose the sockets are does not depend on it.
            with inside(self.net):
                nl.link_up("wg0").or_raise()

    def buy(self, **words):
        """Moves the sockets to the initial netns with her credentials; the answer."""
        return self.owner(nl.wg_set, "wg0", **{"netns_pid": 1, **proof(), **words})

    def take_home(self):
        """Moves them to her own netns, for which she needs none."""
        self.owner(nl.wg_set, "wg0", netns_pid=self.owner.pid).or_raise()

    def anew(self):
        """Gets her new sockets in the initial netns while the sessions stay."""
        self.take_home()
        self.buy().or_raise()

    def get(self):
        with inside(self.net):
            return nl.wg_get("wg0")

    def sockets(self):
        """Her sockets in the initial netns."""
        return udp_sockets("init", self.get()["port"])

    def state(self):
        """Everything that a refused request might have changed."""
        shown = self.get()
        for one in shown["peers"].values():
            for changing in ("rx", "tx", "handshake"):
                one.pop(changing)
        with inside(self.net):
            link = nl.link_get("wg0")
        return {"device": shown, "link": link, "sockets in hers": world.udp_sockets(self.net),
                "sockets in init": world.udp_sockets("init")}

    def refused(self, what, error, message="", attributes=None, request=None):
        """A request of hers, to buy unless another is given, is refused, and nothing has changed."""
        before = self.state()
        answer = (request or self.buy)()
        after = self.state()
        problems = changes(before, after)
        if answer.name != error:
            problems.append(f"{answer.name} instead of {error}")
        if not re.search(message, answer.message):
            problems.append(f"the kernel does not say {message!r}: {answer.message!r}")
        if attributes and answer.attribute not in attributes:
            problems.append(f"it points at attribute {answer.attribute}, not one of {attributes}")
        return check(not problems, f"{what}: {error}, and nothing has changed", *problems)


def changes(before, after):
    """What is different, in words."""
    problems = []
    for part in before:
        one, other = before[part], after[part]
        if part == "device":
            problems += [f"{name} was {one[name]} and is {other[name]}" for name in one
                         if one[name] != other[name]]
        elif one != other:
            problems.append(f"{part}: {one} became {other}" if part == "link" else
                            f"{part}: {sorted(one - other)} became {sorted(other - one)}")
    return problems


# --- what gets through -------------------------------------------------------------------

class Pings:
    """ICMP echo requests to far's devices from a netns, one over each family."""

    def __init__(self, net):
        with inside(net):
            self.sock = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
        self.sock.setblocking(False)
        ident = os.urandom(4)
        self.expected = {ident + socket.inet_aton(f"{INSIDE[family]}.2"): family
                         for family in BOTH}
        self.answered = set()
        body = b"\x08\0\0\0" + ident + b"tunnel!!" * 4
        body = body[:2] + struct.pack(">H", world.checksum(body)) + body[4:]
        for family in BOTH:
            with contextlib.suppress(OSError):
                self.sock.sendto(body, (f"{INSIDE[family]}.2", 0))

    def fileno(self):
        return self.sock.fileno()

    def take(self):
        """Takes what has arrived."""
        with contextlib.suppress(BlockingIOError):
            while packet := self.sock.recv(2048):
                if packet[20] == 0:
                    self.answered.add(self.expected.pop(packet[24:28] + packet[12:16], None))
        self.answered.discard(None)


def one_round(her, timeout):
    """Sends one packet each way of each kind; by who sent it, the families that were answered."""
    her.program.start(ask, timeout)
    pings = {"tunnel": Pings(her.net), "ordinary": Pings(ordinary)}
    end = time.monotonic() + timeout
    while (waiting := [one for one in pings.values() if one.expected]) and \
            (left := end - time.monotonic()) > 0:
        for one in select.select(waiting, [], [], left)[0]:
            one.take()
    for one in pings.values():
        one.sock.close()
    return {"program": her.program.result()[0],
            **{name: one.answered for name, one in pings.items()}}


EVERYTHING = {"program": {4, 6}, "tunnel": {4, 6}, "ordinary": {4, 6}}


def all_go_on(her, seconds=8.0, expected=None):
    """Waits until all gets through, or what is expected to; what does."""
    expected = expected or EVERYTHING
    end = time.monotonic() + seconds * (4 if world.debugs() else 1)
    while True:
        found = one_round(her, 1)
        if all(found[who] >= expected[who] for who in expected) or time.monotonic() > end:
            return found
        # Peers take no handshake less than 20 ms after the last.
        time.sleep(0.05)


def what_goes_on(her, families=BOTH, timeout=0.25):
    """What gets through where packets of some families are stopped. What is not stopped tells whether
    the machine is only slow: the ordinary device never is here."""
    others = set(BOTH) - set(families)
    for _ in range(4):
        found = one_round(her, timeout)
        if found["ordinary"] == {4, 6} and found["program"] >= others \
                and found["tunnel"] >= others:
            break
        timeout *= 2
    return found


def acts(what, rule, families=BOTH, her=None):
    """A rule, which is in force while its context lasts, stops the program and the tunnel, and nothing
    else; she has a device whose sockets were bought."""
    her = her or alice
    found = all_go_on(her)
    good = check(found == EVERYTHING, f"without {what} all goes on", found)
    with rule:
        stopped_alike(what, what_goes_on(her, families), families)
    if good:
        found = all_go_on(her)
        check(found == EVERYTHING, f"after {what} all goes on again", found)


def stopped_alike(what, found, families=BOTH):
    """Checks what gets through while a rule is in force."""
    for family in families:
        check(family not in found["program"], f"{what} stops her program, {NAMES[family]}", found)
        check(family not in found["tunnel"], f"{what} stops the tunnel, {NAMES[family]}", found)
    others = set(BOTH) - set(families)
    check(found["ordinary"] == {4, 6} and found["program"] >= others
          and found["tunnel"] >= others, f"{what} stops nothing else", found)


def spares(what, rule, her=None):
    """A rule that is for others stops nothing of hers."""
    her = her or alice
    with rule:
        found = all_go_on(her)
        check(found == EVERYTHING, f"{what} stops nothing", found)


def run_nft(command):
    """Does what nft(8) does, in the initial netns, without starting it: that takes long."""
    global _nft
    if _nft is None:
        library = ctypes.CDLL("libnftables.so.1")
        library.nft_ctx_new.restype = ctypes.c_void_p
        library.nft_ctx_get_error_buffer.restype = ctypes.c_char_p
        context = ctypes.c_void_p(library.nft_ctx_new(0))
        library.nft_ctx_buffer_error(context)
        _nft = library, context
    library, context = _nft
    if library.nft_run_cmd_from_buffer(context, command.encode()):
        raise RuntimeError(library.nft_ctx_get_error_buffer(context).decode())


@contextlib.contextmanager
def nft(*rules, hook="output"):
    """Rules of the initial netns."""
    lines = "\n".join((f"type filter hook {hook} priority 0", *rules))
    run_nft(f"table inet host {{ chain {hook} {{\n{lines}\n}}; }}")
    try:
        yield
    finally:
        run_nft("delete table inet host")


def has_module(*names):
    """Whether the kernel has modules, or what they are for."""
    return subprocess.run(["modprobe", "-q", "-a", *names], check=False).returncode == 0


# --- the world --------------------------------------------------------------------------

def public_key(private):
    nl.link_add("scratch").or_raise()
    nl.wg_set("scratch", private_key=private).or_raise()
    key = nl.wg_get("scratch")["public_key"]
    nl.link_del("scratch").or_raise()
    return key


def _make_far():
    for family in BOTH:
        name = f"wg{family}"
        nl.link_add(name).or_raise()
        nl.wg_set(name, private_key=keys[f"far{family}"], port=FAR[family][1], peers=[
            nl.peer(public["hers"], allowed=[f"{INSIDE[family]}.1/32"]),
            nl.peer(public["ordinary"], allowed=[f"{INSIDE[family]}.3/32"])]).or_raise()
        nl.address_add(name, f"{INSIDE[family]}.2/24").or_raise()
        nl.link_up(name).or_raise()


def make_cgroups():
    sh("mountpoint -q /sys/fs/cgroup || mount -t cgroup2 cgroup2 /sys/fs/cgroup")
    for controllers in ("", "users/"):
        os.makedirs(f"{CGROUPS}/users", exist_ok=True)
        with contextlib.suppress(OSError), \
                open(f"{CGROUPS}/{controllers}cgroup.subtree_control", "w",
                     encoding="ascii") as file:
            file.write("+memory")
    for name in (HERS, "users/bob"):
        make_cgroup(name)


def build():
    global alice, ordinary
    sh("""
        ip netns add far
        ip netns add ordinary
        ip -batch - <<-'END'
		link add out type veth peer name in netns far
		addr add 10.9.0.1/24 dev out
		addr add fd09::1/64 dev out nodad
		link set out up
		link set lo up
		route add 10.7.0.2 via 10.9.0.2
		route add fd07::2 via fd09::2
		END
        ip -n far -batch - <<-'END'
		link set lo up
		addr add 10.9.0.2/24 dev in
		addr add fd09::2/64 dev in nodad
		addr add 10.7.0.2/32 dev lo
		addr add fd07::2/128 dev lo nodad
		link set in up
		END
    """)
    if has_cgroups():
        make_cgroups()
    for name, key in keys.items():
        public[name] = public_key(key)
    with inside("far"):
        _make_far()
    ordinary = world.open_net("ordinary")
    nl.link_add("wg1").or_raise()
    nl.wg_set("wg1", private_key=keys["ordinary"], port=ORDINARY_PORT, peers=[
        nl.peer(public[f"far{family}"], endpoint=FAR[family],
                allowed=[f"{INSIDE[family]}.0/24"]) for family in BOTH]).or_raise()
    nl.link_move("wg1", ordinary).or_raise()
    with inside(ordinary):
        for family in BOTH:
            nl.address_add("wg1", f"{INSIDE[family]}.3/24").or_raise()
        nl.link_up("wg1").or_raise()
    Actor(os.setns, world.open_net("far"), os.CLONE_NEWNET).start(_echo)
    # What neighbours need at first is nobody's concern later.
    sh("ping -c 1 -W 5 10.7.0.2; ping -c 1 -W 5 fd07::2")
    # They know what is known by now.
    alice = User()
