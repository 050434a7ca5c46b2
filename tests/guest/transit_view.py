# SPDX-License-Identifier: GPL-2.0
"""What wg shows and reads of devices whose sockets have moved. Run by transit-view.sh.

The world is that of the suite hers (hers/house.py), and some more interfaces. Three cables lead to the
netns `far', which is fe80::2 at the end of each: `out' and `aside' from the initial netns, `way' from
the netns `other'. `bare', in the initial netns, has no address. In her own netns alice has interfaces
of the same numbers with other names, and of the same names with other numbers: none of them is ever to
be shown or taken for one of the transit netns.
"""

import base64
import contextlib
import os
import re
import socket
import struct
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "lib"), os.path.join(HERE, "hers")]
import actor  # noqa: E402
import house  # noqa: E402
import netlink as nl  # noqa: E402
import tap  # noqa: E402
import world  # noqa: E402
from actor import Actor  # noqa: E402
from house import GOOD, INSIDE, ORDINARY_PORT, User  # noqa: E402
from tap import check, scenario, skip  # noqa: E402
from world import inside, sh  # noqa: E402

OTHERS = (102, 103)  # alice's sockets in the netns `other'
PORT = 6100
ASIDE, WAY, BARE = 41, 42, 43
NO_SUCH = "its zone has to be an interface of the transit netns, which has none of this name"
NO_SUCH_SEEN = "none of this name that has an IPv6 address, and wg cannot see the others"
GIVE_NUMBER = "which is gone or which wg cannot look into: give its number"

alice = None
root = None  # in alice's netns
guide = None  # in the netns `other'
out = None  # the number of that interface
far_key = base64.b64encode(os.urandom(32)).decode()


def become_alice(uid, cgroups):
    with inside("other"):
        house.keep_credentials(OTHERS)
    house.become_owner(uid, cgroups)


def build():
    global alice, root, guide, out, far_key
    house.build()
    far_key = base64.b64encode(house.public["far6"]).decode()
    out = socket.if_nametoindex("out")
    sh(f"""
        ip netns add other
        ip -n other link set lo up
        ip link add name aside index {ASIDE} type veth peer name in2 netns far
        ip -n other link add name way index {WAY} type veth peer name in3 netns far
        ip link add name bare index {BARE} type dummy
        ip -batch - <<-'END'
		link set aside addrgenmode none
		link set bare addrgenmode none
		link set bare up
		link set aside up
		addr add fe80::1/64 dev out nodad
		addr add fe80::1/64 dev aside nodad
		END
        ip -n other -batch - <<-'END'
		link set way up
		addr add fe80::1/64 dev way nodad
		END
        ip -n far -batch - <<-'END'
		link set in2 up
		link set in3 up
		addr add fe80::2/64 dev in nodad
		addr add fe80::2/64 dev in2 nodad
		addr add fe80::2/64 dev in3 nodad
		END
    """)
    alice = User(cgroups=(), as_owner=become_alice)
    with inside(alice.net):
        sh("\n".join(f"ip link add name {name} index {number} type dummy" for name, number in (
            ("wrong1", out), ("wrong2", ASIDE), ("wrong3", WAY), ("wrong4", BARE),
            ("out", 61), ("aside", 62), ("way", 63))))
    root = Actor(os.setns, alice.net, os.CLONE_NEWNET)
    guide = Actor(os.setns, world.open_net("other"), os.CLONE_NEWNET)


# --- zones --------------------------------------------------------------------------------

def endpoint(zone):
    return f"[fe80::2%{zone}]:5001"


def words(zone):
    return ("peer", far_key, "endpoint", endpoint(zone))


def creds(pair):
    return ("transit-credentials", f"{pair[0]},{pair[1]}")


def scope_of(device, peer):
    """The zone of a peer's endpoint as the kernel has it."""
    address = device["peers"][house.public[peer]]["endpoint"]
    return struct.unpack_from("=I", address, 24)[0] if address and len(address) == 28 else None


def scope():
    return scope_of(alice.get(), "far6")


def sets(what, who, zone, number, *more):
    """A command that names a zone is taken, and means that interface."""
    status, _, err = who.wg("set", "wg0", *more, *words(zone))
    check(status == 0 and not err and scope() == number, what, err, scope(), number)


def refused(what, who, zone, why, *more):
    """A command that names a zone is refused, and nothing has changed."""
    before = alice.state()
    status, _, err = who.wg("set", "wg0", *more, *words(zone))
    problems = house.changes(before, alice.state())
    check(status == 1 and f"`{endpoint(zone)}'" in err and why in err and not problems, what,
          status, err, *problems)


def shown(what, who, zone, commands=(("show", "wg0"),)):
    """What shows endpoints shows this zone."""
    texts = {" ".join(args): who.wg(*args)[1] for args in commands}
    found = {name: re.findall(r"\[fe80::2%(.*?)\]:5001", text) for name, text in texts.items()}
    check(all(zones == [str(zone)] for zones in found.values()), what, found)


def comes_back(what, who, zone, commands=("setconf",)):
    """What showconf prints, with this zone, is read as what there is."""
    text, before = who.wg("showconf", "wg0")[1], alice.state()
    for command in commands:
        status, _, err = who.wg(command, "wg0", "/dev/stdin", stdin=text)
        problems = house.changes(before, alice.state())
        check(status == 0 and not problems and f"Endpoint = {endpoint(zone)}\n" in text, what, err,
              *problems, text)


def goes_over(cable):
    """Packets reach the peer at fe80::2, and by that cable: far knows on which they came."""
    with inside("far"):
        nl.link_up("wg6").or_raise()
    # For a new session.
    root(nl.link_down, "wg0").or_raise()
    root(nl.link_up, "wg0").or_raise()
    through = world.reaches(alice.net, f"{INSIDE[6]}.2")
    with inside("far"):
        seen = scope_of(nl.wg_get("wg6"), "hers")
        wanted = socket.if_nametoindex(cable)
        # Else it would write later, when the endpoint is another, and be followed.
        nl.link_down("wg6").or_raise()
    check(through and seen == wanted, f"packets go that way, to far's {cable}", through, seen)


@scenario
def zones_at_home():
    """Of a device that has not moved they are what they always were."""
    alice.device(bought=False)
    sets("an interface of her own netns", alice.owner, "out", 61)
    sets("another", alice.owner, "wrong4", BARE)
    ours, stock = alice.owner.wg("show", "wg0")[1], alice.owner(sh, "wg show wg0")
    check(ours == stock and endpoint("wrong4") in ours, "it is shown as the stock tool does", ours,
          stock)
    comes_back("what is shown is read back", alice.owner, "wrong4")
    status, _, err = alice.owner.wg("set", "wg0", *words("bare"))
    check(status == 1 and "endpoint" in err and scope() == BARE, "others are refused", err)


@scenario
def zones_of_process_1():
    """In the netns of process 1 she knows those that have an IPv6 address, and root knows all."""
    alice.device()
    sets("the name of an interface of the transit netns", alice.owner, "out", out)
    shown("is shown to her", alice.owner, "out", (
        ("show", "wg0"), ("show", "wg0", "endpoints"), ("show", "all", "dump")))
    shown("and to root", root, "out")
    goes_over("in")
    comes_back("what she is shown is read back", alice.owner, "out", ("setconf", "syncconf"))
    comes_back("so is what root is shown", root, "out")
    sets("another", alice.owner, "aside", ASIDE)
    goes_over("in2")
    refused("the name of one of her own is refused", alice.owner, "wrong1", NO_SUCH_SEEN)
    refused("from root as well", root, "wrong1", NO_SUCH)
    sets("a number is taken", alice.owner, 99, 99)
    shown("and is a number still, if there is no such interface", alice.owner, 99)
    sets("without an address an interface has a name for root", root, "bare", BARE)
    shown("who sees that", root, "bare")
    shown("while she sees a number", alice.owner, BARE)
    refused("and may not use its name", alice.owner, "bare", NO_SUCH_SEEN)
    comes_back("the number is read back", alice.owner, BARE)


@scenario
def zones_elsewhere():
    """Of a netns that she cannot look into she has numbers."""
    alice.device()
    sets("before the move it is an interface here", alice.owner, "aside", ASIDE)
    to_other = ("transit-netns", guide.pid, *creds(OTHERS))
    to_init = ("transit-netns", 1, *creds(GOOD))
    refused("in the command that moves the sockets a name of the old netns is refused",
            alice.owner, "aside", NO_SUCH_SEEN, *to_other)
    refused("a name of her own as well", alice.owner, "wrong3", NO_SUCH_SEEN, *to_other)
    sets("one of the new netns is taken", alice.owner, "way", WAY, *to_other)
    goes_over("in3")
    shown("from now on she sees a number", alice.owner, WAY)
    shown("and root the name", root, "way")
    refused("no name is taken from her now", alice.owner, "way", GIVE_NUMBER)
    refused("not even of her own", alice.owner, "wrong3", GIVE_NUMBER)
    sets("a number is", alice.owner, WAY, WAY)
    comes_back("which is what she gets", alice.owner, WAY)
    comes_back("root's file names the netns too", root, "way")
    refused("root's names are of that netns", root, "aside", NO_SUCH)
    sets("back in one command", alice.owner, "aside", ASIDE, *to_init)
    goes_over("in2")
    refused("a command of root's that moves the sockets: a name of the old netns", root, "aside",
            NO_SUCH, "transit-netns", "other")
    text = root.wg("showconf", "wg0")[1].replace("[Interface]\n", "[Interface]\nTransitNetns = other\n")
    status, _, err = root.wg("setconf", "wg0", "/dev/stdin", stdin=text)
    check(status == 1 and NO_SUCH in err and scope() == ASIDE, "a file as well", err)
    status, _, err = root.wg("setconf", "wg0", "/dev/stdin", stdin=text.replace("%aside", "%way"))
    check(status == 0 and scope() == WAY, "and one with a name of the new is taken", err)
    goes_over("in3")


@scenario
def zones_unseen():
    """Neither another process 1 nor a netns that is gone has names for anybody."""
    alice.device()
    sets("a name to begin with", alice.owner, "aside", ASIDE)
    apart = Actor(become_apart, alice.owner.pid)
    shown("with a PID namespace of her own she sees a number", apart, ASIDE)
    refused("and has to give one", apart, "aside", GIVE_NUMBER)
    refused("not a name that she has herself", apart, "wrong2", GIVE_NUMBER)
    sets("which is taken", apart, ASIDE, ASIDE)
    apart.end()

    sh("ip netns add hall; ip -n hall link set lo up")
    status, _, err = root.wg("set", "wg0", "transit-netns", "hall", *words("lo"))
    check(status == 0 and scope() == 1, "root moves the sockets to a netns that will not last", err)
    shown("and names its interface", root, "lo")
    with inside(alice.net):
        sh("ip netns del hall")
    check(world.until(lambda: alice.get()["netnsid"] == -1), "then it goes")
    shown("root sees a number", root, 1)
    refused("and may give no name", root, "lo", GIVE_NUMBER)
    sets("but a number", root, ASIDE, ASIDE)
    sets("or a name with a new netns", root, "way", WAY, "transit-netns", "other")


def become_apart(pid):
    """In the user and network namespaces of a process, and as process 1 of a PID namespace."""
    actor.drop_user()
    for name, kind in (("user", os.CLONE_NEWUSER), ("net", os.CLONE_NEWNET)):
        fd = os.open(f"/proc/{pid}/ns/{name}", os.O_RDONLY)
        os.setns(fd, kind)
        os.close(fd)
    os.unshare(os.CLONE_NEWPID | os.CLONE_NEWNS)
    fork_and_wait()
    sh("mount -t proc proc /proc")


def fork_and_wait():
    """Only a child is in the new PID namespace."""
    if child := os.fork():
        os.waitpid(child, 0)
        os._exit(0)


# --- wg show transit ----------------------------------------------------------------------

def columns(line):
    return re.split(r" {2,}", line)


def table(text):
    """The rows of the table, by port."""
    if not text:
        return {}
    head, *lines = map(columns, text.splitlines())
    rows = [dict(zip(head, line)) for line in lines]
    found = {int(row.pop("port")): row for row in rows}
    if len(found) != len(rows):
        raise RuntimeError(f"a device is listed twice:\n{text}")
    return found


def listed(who=None):
    """What `wg show transit' prints."""
    status, text, err = who.wg("show", "transit") if who else actor.wg(["show", "transit"])
    if status or err:
        raise RuntimeError(f"exit status {status}: {err}")
    return table(text)


def packets(cell):
    return int(re.fullmatch(r".*, (\d+) packets?", cell)[1])


@contextlib.contextmanager
def nobody():
    """The user 1001 has a device as well, and no name."""
    with User(uid=1001, cgroups=()) as user:
        user.device(port=PORT)
        yield user


def told(user, name, right, place):
    return {"uid": str(user), "user": name, "families": "IPv4, IPv6", "made by": right,
            "device in": place}


def without_traffic(row):
    return {name: cell for name, cell in row.items() if name not in ("received", "sent")}


@scenario
def transit():
    """Who has sockets here, and whose devices they are for."""
    with inside("far"):
        nl.link_up("wg6").or_raise()
    alice.device()
    nl.nsid_set(alice.net, 77).or_raise()
    for name, up in (("wg8", True), ("wg9", False)):
        nl.link_add(name).or_raise()
        nl.wg_set(name, port=6200 + up).or_raise()
        if up:
            nl.link_up(name).or_raise()
        else:
            nl.link_move(name, house.ordinary).or_raise()
    with nobody() as other:
        rows = listed()
        check({port: without_traffic(row) for port, row in rows.items()} == {
            alice.port: told(1000, "alice", "credentials", "nsid 77"),
            PORT: told(1001, "-", "credentials", "unknown"),
            ORDINARY_PORT: told(0, "root", "root", "ordinary"),
        }, "the table has two users' devices and root's, and none of here or that is down", rows)
        before = rows[alice.port]
        house.all_go_on(alice)
        for _ in range(5):
            house.one_round(alice, 1)
        after = listed()[alice.port]
        check(all(packets(after[name]) >= packets(before[name]) + 10 and after[name] != before[name]
                  for name in ("received", "sent")), "traffic grows", before, after)
        check(alice.owner.wg("show", "transit") == (0, "", ""),
              "in her own netns there is nobody, which is no error",
              alice.owner.wg("show", "transit"))
        alice.owner(nl.link_down, "wg0").or_raise()
        check(alice.port in listed(), "what was bought is listed while the device is down", listed())
        alice.take_home()
        check(alice.port not in listed(), "but not when it is home", listed())
        with inside("ordinary"):
            nl.link_up("wg9").or_raise()
        row = without_traffic(listed().get(6200, {}))
        check(row == told(0, "root", "root", "ordinary"), "root's is listed when it is up", row)
    nl.link_del("wg8").or_raise()
    with inside("ordinary"):
        nl.link_del("wg9").or_raise()


@scenario
def transit_refused():
    """It takes the right over the netns, and nothing else."""
    text = ("Unable to list transit sockets: Operation not permitted\n"
            "This takes CAP_NET_ADMIN over this network namespace; try as root.\n")
    said = alice.program.wg("show", "transit")
    check(said == (1, "", text), "a user without it is refused", said)
    said = alice.program(subprocess.run, ["unshare", "-Ur", actor.WG, "show", "transit"], text=True,
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    check((said.returncode, said.stdout, said.stderr) == (1, "", text),
          "having it over a namespace of her own does not help", said)
    # An ordinary device of root's with its sockets in her netns: made there, moved here.
    here = world.open_net("init")
    with inside(alice.net):
        nl.link_add("wg7").or_raise()
        nl.wg_set("wg7", port=6300).or_raise()
        nl.link_move("wg7", here).or_raise()
    os.close(here)
    nl.link_up("wg7").or_raise()
    try:
        rows = listed(alice.owner)
        row = without_traffic(rows.get(6300, {}))
        check(set(rows) == {6300} and row["uid"] == "65534" and row["made by"] == "root",
              "she sees who is in hers; root has no number there", rows)
    finally:
        nl.link_del("wg7").or_raise()


# --- many ---------------------------------------------------------------------------------

# The tool gets some 340 in a message.
MANY, BOUGHT, FIRST = 360, 20, 20000


def make_many(first, count, buy=False):
    """Devices in the netns of whoever calls, with their sockets in the initial one."""
    if not buy:
        there = os.open("/proc/self/ns/net", os.O_RDONLY)
        with inside("init"):
            for number in range(first, first + count):
                nl.link_add(f"many{number}", netns_fd=there).or_raise()
        os.close(there)
    for number in range(first, first + count):
        name = f"many{number}"
        if buy:
            nl.link_add(name).or_raise()
            nl.wg_set(name, port=number, netns_pid=1, **house.proof()).or_raise()
        else:
            nl.wg_set(name, port=number).or_raise()
            nl.link_up(name).or_raise()


def remove(numbers):
    for number in numbers:
        nl.link_del(f"many{number}").or_raise()


class Dump:
    """A dump of which no more is read than one wants to see. The kernel is one message ahead."""

    def __init__(self):
        family = nl.family()
        self.sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, nl.NETLINK_GENERIC)
        self.sock.send(struct.pack("=IHHIIBBH", 20, family, nl.F_REQUEST | nl.F_DUMP, 1, 0,
                                   nl.GET_TRANSIT, 1, 0))
        self.ports = []
        self.parts = 0
        self.error = None

    def read(self):
        """Reads the next message; whether there may be more."""
        data = self.sock.recv(4096)
        self.parts += 1
        at = 0
        while at + 16 <= len(data):
            length, kind = struct.unpack_from("=IH", data, at)
            payload = data[at + 16:at + length]
            at += length + 3 & ~3
            if kind in (nl.NLMSG_DONE, nl.NLMSG_ERROR):
                self.error = struct.unpack_from("=i", payload)[0]
                self.sock.close()
                return False
            found = {number: value for _, number, value in nl.attrs(payload[4:])}
            self.ports.append(struct.unpack("=H", found[nl.TRANSIT_PORT])[0])
        return True


def duplicates(ports):
    return {port for port in ports if ports.count(port) > 1}


@scenario
def transit_many():
    """So many that their list takes several messages, while some come and go."""
    sh("ip netns add crowd")
    buyer = User(cgroups=())
    buyer.owner(make_many, FIRST, BOUGHT, True)
    ours = range(FIRST + BOUGHT, FIRST + MANY)
    with inside("crowd"):
        make_many(ours.start, len(ours))
    everybody = {*range(FIRST, FIRST + MANY), ORDINARY_PORT}
    rows = listed()
    bought = {port for port, row in rows.items() if row["made by"] == "credentials"}
    check(set(rows) == everybody and bought == set(range(FIRST, FIRST + BOUGHT)),
          f"{MANY} devices are listed, each once", sorted(set(rows) ^ everybody), bought)
    dump = Dump()
    while dump.read():
        pass
    check(dump.error == 0 and dump.parts > 6 and set(dump.ports) == everybody
          and not duplicates(dump.ports), f"in {dump.parts} messages too", dump.error, dump.ports)

    coming_and_going(everybody, ours, buyer)
    churning()
    buyer.end()
    sh("ip netns del crowd")
    check(world.until(lambda: set(listed()) == {ORDINARY_PORT}, 30), "in the end there is no one",
          len(listed()))


def coming_and_going(everybody, ours, buyer):
    """The same, by its messages, while some come and go."""
    dump, new = Dump(), range(FIRST + MANY, FIRST + MANY + 5)
    dump.read()
    # Some that were listed, and some of those with which the message ends that is made already: after
    # the last of them the next one goes on.
    size, at = len(dump.ports), ours.index(dump.ports[-1])
    gone = {*dump.ports[2:4], *ours[at - size - 3:at - size + 4]}
    with inside("crowd"):
        remove(gone)
        make_many(new.start, len(new))
    buyer.owner(remove, [FIRST + 3])
    gone.add(FIRST + 3)
    more = True
    while more:
        more = dump.read()
    stayed = everybody - gone
    check(dump.error == 0 and not duplicates(dump.ports) and stayed <= set(dump.ports)
          and set(dump.ports) <= everybody | set(new),
          "while some come and go those that stay are listed, each once", dump.error,
          sorted(stayed - set(dump.ports)), sorted(duplicates(dump.ports)))
    rows = listed()
    check(set(rows) == stayed | set(new), "and later those that are there",
          sorted(set(rows) ^ (stayed | set(new))))


def churn(name, rounds):
    """Makes a device in the netns crowd and removes it again, so many times."""
    with inside("crowd"):
        for _ in range(rounds):
            make_many(name, 1)
            remove([name])


def churning():
    """The same by the tool, at random."""
    before, restless = set(listed()), FIRST + 1000
    other = Actor()
    other.start(churn, restless, 12)
    problems, tries = [], 0
    while not other.has_answered():
        tries += 1
        found = set(listed())
        if found - {restless} != before:
            problems.append(sorted(before ^ found))
    other.result()
    other.end()
    check(not problems and tries, "wg lists all that stay while others are made and removed", tries,
          *problems)


# --- what wg says -------------------------------------------------------------------------

@scenario
def switched_off():
    """wg says that credentials do not count here, and what to do."""
    alice.device(bought=False)
    sh("sysctl -qw net.wireguard.transit_credentials=0")
    try:
        said = alice.owner.wg("set", "wg0", "transit-netns", 1, *creds(GOOD))
    finally:
        sh("sysctl -qw net.wireguard.transit_credentials=1")
    check(said == (1, "", (
        "Unable to modify interface: Operation not permitted\n"
        "The kernel says: transit credentials are switched off in the transit netns\n"
        "transit-credentials: none counts in this transit netns, where the sysctl "
        "net.wireguard.transit_credentials is 0; only the owner of that netns can set it to 1.\n")),
        "a refusal by the switch", *said)
    said = alice.owner.wg("set", "wg0", "transit-netns", 1, *creds(GOOD))
    check(said == (0, "", ""), "switched on again it is done", said)


@scenario
def marks():
    """wg shows a mark that is kept but not applied."""
    alice.device()
    note = " (kept, but not applied to transit packets)"

    def mark(who):
        return re.search("  fwmark: (.*)\n", who.wg("show", "wg0")[1])[1]
    status, _, err = alice.owner.wg("set", "wg0", "fwmark", 7)
    check(status == 0 and err.startswith("Warning: fwmark is kept but not applied"),
          "a mark of hers brings a warning", err)
    check(mark(alice.owner) == "0x7" + note, "and is shown so", mark(alice.owner))
    ours, stock = (text.splitlines()[0] for text in (
        alice.owner.wg("show", "wg0", "dump")[1], alice.owner(sh, "wg show wg0 dump")))
    check(ours == stock and ours.endswith("\t0x7"), "but not to scripts", ours, stock)
    status, _, err = root.wg("set", "wg0", "fwmark", 8)
    check(status == 0 and not err and mark(alice.owner) == "0x8", "root's is applied",
          err, mark(alice.owner))


# --- the in-tree module -------------------------------------------------------------------

def in_tree():
    """With the in-tree module nobody is elsewhere, and zones are what they were."""
    tap.note(f"in_tree: {in_tree.__doc__}")
    sh("rmmod wireguard")
    done = subprocess.run("use-module intree && modprobe wireguard", shell=True, check=False)
    if done.returncode:
        skip("the in-tree module", "this machine has none")
    else:
        nl.forget_family()
        sh("ip netns add home; ip link add name out index 31 type dummy")
        with_in_tree()
        sh("ip netns del home; ip link del out; rmmod wireguard")
    sh("use-module ours; modprobe wireguard")
    nl.forget_family()


def with_in_tree():
    said = actor.wg(["show", "transit"])
    check(said == (1, "", (
        "Unable to list transit sockets: Operation not supported\n"
        "This kernel's wireguard module cannot move sockets, so no device elsewhere has any here.\n"
    )), "wg says that it cannot move sockets", *said)
    for name in ("wg0", "transit"):
        nl.link_add(name).or_raise()
    said = actor.wg(["show", "transit", "dump"])
    check(said == (0, "(none)\t(none)\t0\toff\n", ""), "with a field that is an interface", *said)
    nl.link_del("transit").or_raise()
    args = ["show", "wg0", "endpoints"]
    said = actor.wg(["set", "wg0", *words("out")]), actor.wg(args)[1]
    check(said[0] == (0, "", "") and said[1] == sh("wg show wg0 endpoints")
          and f"\t{endpoint('out')}\n" in said[1], "zones are interfaces of here", *said)
    # That module does not tell where the sockets are: the stock tool can do no better.
    home = world.open_net("home")
    nl.link_move("wg0", home).or_raise()
    with inside(home):
        sh("ip link add name same index 31 type dummy; ip link add name way type dummy")
        said = actor.wg(args)[1]
        check(said == sh("wg show wg0 endpoints") and f"\t{endpoint('same')}\n" in said,
              "of the device's netns if it was moved", said)
        said = actor.wg(["set", "wg0", *words("way")]), actor.wg(args)[1]
        check(said[0] == (0, "", "") and f"\t{endpoint('way')}\n" in said[1], "and read so", *said)
        nl.link_del("wg0").or_raise()
    os.close(home)


if not sys.argv[1:]:
    in_tree()
build()
tap.run()
