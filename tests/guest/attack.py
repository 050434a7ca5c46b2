# SPDX-License-Identifier: GPL-2.0
"""What somebody would try who wants more than her rights from a move. Run by attack.sh.

transit.py has the rules one by one; here are the ways around them. Alice (uid 1000) and Bob (uid
1001) have user and network namespaces of their own. Alice's device wg0 has its sockets in the
initial netns, from where there is a way to its peer, in the netns `far'. Both users hold UDP
sockets in the initial netns under the numbers GOOD; alice holds one of every other kind as well,
more than she could open herself.

What a refused request looked at must not stay behind. The kernel counts open files exactly, and a
netns ends only when no socket and no device in it is held.
"""

import contextlib
import ctypes
import errno
import fcntl
import itertools
import os
import random
import re
import resource
import socket
import struct
import subprocess
import sys
import threading
import time
from typing import NamedTuple

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import actor  # noqa: E402
import netlink as nl  # noqa: E402
import tap  # noqa: E402
import world  # noqa: E402
from actor import Actor  # noqa: E402
from tap import check, scenario  # noqa: E402
from world import inside, new_ping, ports, sh  # noqa: E402

SEED = int(os.environ.get("SEED") or random.randrange(1 << 32))
CAP_NET_BIND_SERVICE = 10
RACES = int(os.environ.get("RACES", "250"))

GOOD = (100, 101)
OTHERS = (102, 103)  # UDP sockets in `other'
PORT = 6000
PEER = "192.168.77.2"
OURS = 900  # open in this process, and not in hers
NETNS, V4, V6 = nl.NETNS_FD, nl.CREDENTIAL4, nl.CREDENTIAL6

libc = ctypes.CDLL(None, use_errno=True)
alice = bob = None
nets = {}
kinds = []
keys = {name: os.urandom(32) for name in ("hers", "far")}


# --- descriptors of every kind ------------------------------------------------------------

class Kind(NamedTuple):
    """A descriptor that alice holds, and what is said of it."""
    name: str
    number: int
    as_netns: str
    as_credential: str


def syscall(number, *args):
    """A system call of x86-64's that Python has no name for."""
    result = libc.syscall(number, *args)
    if result < 0:
        raise OSError(ctypes.get_errno(), f"system call {number}")
    return result


def open_files():
    """Descriptors that are no sockets, of each kind that there is: name and number."""
    read, write = os.pipe()
    master, slave = os.openpty()
    made = {
        "a file": os.open("/etc/hostname", os.O_RDONLY),
        "a file without a name": os.open("/tmp", os.O_TMPFILE | os.O_RDWR),
        "a folder": os.open("/", os.O_RDONLY),
        "a device": os.open("/dev/null", os.O_RDWR),
        "memory": os.memfd_create("memory"),
        "the reading end of a pipe": read,
        "the writing end of a pipe": write,
        "a terminal": slave,
        "a terminal's other side": master,
        "an epoll": syscall(291, 0),
        "an event counter": os.eventfd(0),
        "a timer": syscall(283, 1, 0),
        "a signal queue": syscall(282, -1, (ctypes.c_ulong * 1)(), 8, 0),
        "a watch on files": syscall(294, 0),
        "a process": os.pidfd_open(os.getpid()),
        "a message queue": syscall(240, b"attack", os.O_CREAT | os.O_RDWR, 0o600, None),
        "an io_uring": syscall(425, 4, ctypes.create_string_buffer(120)),
        "a file system's context": syscall(430, b"tmpfs", 0),
    }
    syscall(241, b"attack")
    for name in ("user", "mnt", "uts", "ipc", "pid", "cgroup"):
        made[f"a namespace ({name})"] = os.open(f"/proc/self/ns/{name}", os.O_RDONLY)
    return made


def open_paths():
    """Descriptors that are good for nothing but naming a file."""
    paths = {"a file": "/etc/hostname", "a netns": "/proc/self/ns/net",
             "a UDP socket": f"/proc/self/fd/{GOOD[0]}", "a unix socket's file": "/run/attack"}
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(paths["a unix socket's file"])
    return {"a mount tree": syscall(428, -100, b"/proc", 1),
            **{f"the path of {name}": os.open(path, os.O_PATH) for name, path in paths.items()}}


def open_sockets():
    """A socket of every family, type and protocol that the kernel has but UDP's."""
    protocols = {
        socket.AF_INET: (0, 1, 2, 6, 17, 41, 47, 50, 115, 132, 136, 255, 256, 262),
        socket.AF_INET6: (0, 6, 17, 47, 50, 58, 115, 132, 136, 255, 256, 262),
        socket.AF_NETLINK: range(23),
        socket.AF_PACKET: (0, 3, 0x300),
        socket.AF_KEY: (2,),
    }
    made = {}
    for family in range(1, 47):
        for kind in (1, 2, 3, 4, 5, 6, 10):
            for protocol in protocols.get(family, (0, 1)):
                if family in (socket.AF_INET, socket.AF_INET6) and kind == 2 and \
                        protocol in (0, 17):
                    continue
                fd = libc.socket(family, kind, protocol)
                if fd >= 0:
                    made[f"a socket ({family}, {kind}, {protocol})"] = fd
    return made


def udp(family):
    sock = socket.socket(family, socket.SOCK_DGRAM)
    sock.connect(("127.0.0.1" if family == socket.AF_INET else "::1", 9))
    return sock.detach()


def open_restricted(how, family):
    """A UDP socket under a restriction."""
    sock = socket.socket(family, socket.SOCK_DGRAM)
    six = family == socket.AF_INET6
    loopback = "::1" if six else "127.0.0.1"
    if how == "tied to a device by its number":
        sock.setsockopt(socket.SOL_SOCKET, 62, socket.if_nametoindex("lo"))  # SO_BINDTOIFINDEX
    elif how == "bound to a port and connected":
        sock.bind((loopback, 40900 + six))
        sock.connect((loopback, 9))
    elif how == "bound to a port and disconnected":
        sock.bind((loopback, 40910 + six))
        sock.connect((loopback, 9))
        libc.connect(sock.fileno(), bytes(28), 28)
    elif how == "bound to a port that is shared":
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind(("", 40920 + six))
    elif how == "whose filter is locked before there is one":
        sock.setsockopt(socket.SOL_SOCKET, 44, 1)  # SO_LOCK_FILTER
    elif how == "with a mark":
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, 5)
    elif how == "that may not send":
        with contextlib.suppress(OSError):  # not connected, it says, and does it
            sock.shutdown(socket.SHUT_WR)
    elif how == "with an IPsec policy":
        # Nothing leaves by it: struct xfrm_userpolicy_info, of which the selector has a family.
        policy = bytearray(168)
        struct.pack_into("=H", policy, 40, family)
        struct.pack_into("=BB", policy, 160, 1, 1)
        sock.setsockopt(*((41, 35) if six else (0, 17)), policy)
    return sock.detach()


RESTRICTED = {
    "tied to a device by its number": "tied to a device",
    "bound to a port and connected": "bound to an address or port",
    "bound to a port and disconnected": "bound to an address or port",
    "bound to a port that is shared": "bound to an address or port",
    "whose filter is locked before there is one": "locked filter",
    "with a mark": "carries a mark",
    "that may not send": "shut down for sending",
    "with an IPsec policy": "has an IPsec policy",
}


def restricted_numbers(how):
    number = 200 + 2 * list(RESTRICTED).index(how)
    return number, number + 1


def keep(fd, number):
    os.dup2(fd, number, inheritable=True)
    os.close(fd)


def keep_good(numbers=GOOD):
    for family, number in zip((socket.AF_INET, socket.AF_INET6), numbers):
        keep(udp(family), number)


def become_user(uid):
    actor.drop_user(uid)
    keep_good()
    actor.new_namespaces()
    nl.link_up("lo").or_raise()


def become_alice():
    resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
    with inside("other"):
        keep_good(OTHERS)
    keep_good()
    for how in RESTRICTED:
        for family, number in zip((socket.AF_INET, socket.AF_INET6), restricted_numbers(how)):
            keep(open_restricted(how, family), number)
    found, number = [], 1000
    for make, answers in ((open_files, ("EINVAL", "ENOTSOCK")), (open_paths, ("EBADF", "EBADF")),
                          (open_sockets, ("EINVAL", "EINVAL"))):
        for name, fd in make().items():
            keep(fd, number)
            found.append(Kind(name, number, *answers))
            number += 1
    become_user(1000)
    return found


# --- the world --------------------------------------------------------------------------

def build():
    global alice, bob
    if subprocess.run(["modprobe", "-q", "xfrm_user"], check=False).returncode:
        tap.skip("a socket with an IPsec policy", "this kernel has none")
        del RESTRICTED["with an IPsec policy"]
    if world.debugs():
        # It has no modules for the kinds of sockets that it lacks, and takes a second to look.
        with open("/proc/sys/kernel/modprobe", "w", encoding="ascii") as file:
            file.write("\n")
    sh("""
        ip netns add other
        ip -n other link set lo up
    """)
    world.far_end()
    with inside("far"):
        nl.link_add("wg1").or_raise()
        nl.wg_set("wg1", private_key=keys["hers"]).or_raise()
        hers = nl.wg_get("wg1")["public_key"]
        nl.link_del("wg1").or_raise()
        nl.wg_set("wg0", private_key=keys["far"], port=5000, peers=[
            nl.peer(hers, allowed=["192.168.77.1/32"])]).or_raise()
        nl.link_up("wg0").or_raise()
        keys["far public"] = nl.wg_get("wg0")["public_key"]
    # They know what is known by now.
    alice, bob = Actor(), Actor(become_user, 1001)
    kinds.extend(alice(become_alice))


def proof(pair=GOOD):
    return {"credential4": pair[0], "credential6": pair[1]}


def make_device(words, up):
    """A new wg0, its sockets in the initial netns, in the netns of whoever calls."""
    nl.link_del("wg0")
    nl.link_add("wg0").or_raise()
    nl.wg_set("wg0", private_key=keys["hers"], netns_pid=1, **proof(), peers=[
        nl.peer(keys["far public"], endpoint=("10.9.0.2", 5000), allowed=["0.0.0.0/0"])],
        **{"port": PORT, **words}).or_raise()
    nl.address_add("wg0", "192.168.77.1/24").or_raise()
    if up:
        nl.link_up("wg0").or_raise()


def device(up=True, **words):
    alice(make_device, words, up)


def net_of(who):
    """A descriptor of somebody's netns, which is ours to keep."""
    if who not in nets:
        nets[who] = who.net()
    return nets[who]


def root_in(net):
    return Actor(os.setns, net, os.CLONE_NEWNET)


def get(who=None):
    with inside(net_of(who or alice)):
        return nl.wg_get("wg0")


def state(who=None):
    """Everything that a refused request might have changed."""
    with inside(net_of(who or alice)):
        shown = nl.wg_get("wg0")
        for one in shown["peers"].values():
            for changing in ("rx", "tx", "handshake"):
                one.pop(changing)
        return {"device": shown, "link": nl.link_get("wg0"), "sockets": world.udp_sockets(),
                "sockets in init": world.udp_sockets("init"),
                "sockets in other": world.udp_sockets("other")}


def differences(before, after):
    return [f"{part}: {before[part]} became {after[part]}"
            for part in before if before[part] != after[part]]


def pings():
    return new_ping(net_of(alice), PEER, 4)


def wrong(answer, error, attribute=None, kernel=""):
    """What is not as it should be about an answer."""
    problems = []
    if answer.name != error:
        problems.append(f"{answer.name} instead of {error}")
    if attribute is not None and answer.attribute != attribute:
        problems.append(f"it points at attribute {answer.attribute}, not {attribute}")
    if not re.search(kernel or ".", answer.message):
        problems.append(f"the kernel does not say {kernel!r}: {answer.message!r}")
    return problems


def refused(what, error, kernel, who=None, holder=None, attribute=None, **words):
    """A request is refused, and nothing has changed."""
    before = state(holder)
    answer = (who or alice)(nl.wg_set, "wg0", **words)
    problems = wrong(answer, error, attribute, kernel) + differences(before, state(holder))
    check(not problems, f"{what}: {error}", *problems)


def count_files():
    with open("/proc/sys/fs/file-nr", encoding="ascii") as file:
        return int(file.read().split()[0])


# --- scenarios -----------------------------------------------------------------------------

def try_kind(kind):
    """One descriptor in each of the three places; what is wrong with the answers."""
    number = kind.number
    problems = []
    for words, error, attribute in (
            ({"netns_fd": number, **proof()}, kind.as_netns, NETNS),
            ({"port": 6001, "credential4": number, "credential6": GOOD[1]},
             kind.as_credential, V4),
            ({"port": 6001, "credential4": GOOD[0], "credential6": number},
             kind.as_credential, V6),
            ({"netns_pid": 1, "credential6": number}, kind.as_credential, V6)):
        problems += wrong(nl.wg_set("wg0", **words), error, attribute)
    return problems


@scenario
def descriptors_of_every_kind():
    """A descriptor of anything but what is wanted is no netns and no proof."""
    device()
    check(pings(), "to begin with packets get through")
    before = state()
    for kind in kinds:
        problems = alice(try_kind, kind) + differences(before, state())
        check(not problems, f"{kind.name}: {kind.as_netns} for a netns, {kind.as_credential} for "
              "a credential", *problems)
    own = alice(os.open, "/proc/self/ns/net", os.O_RDONLY)
    refused("a netns for a credential", "ENOTSOCK", "not a socket", port=6001, credential4=own,
            credential6=GOOD[1], attribute=V4)
    refused("the same netns for all three", "ENOTSOCK", "not a socket", netns_fd=own,
            credential4=own, credential6=own, attribute=V4)
    alice(os.close, own)
    check(pings(), "after all of it packets get through")


@scenario
def numbers_of_nothing():
    """Numbers that no descriptor has, or none of hers."""
    device()
    ours = world.open_net("init")
    os.dup2(ours, OURS)
    problems = []
    before = state()
    for number in (-1, -2, -100, -0x80000000, 0x7fffffff, 1 << 20, 4095, 4096, 999, OURS):
        for words, attribute in (({"netns_fd": number, **proof()}, NETNS),
                                 ({"credential4": number}, V4), ({"credential6": number}, V6)):
            problems += [f"{number}: {problem}" for problem in
                         wrong(alice(nl.wg_set, "wg0", **words), "EBADF", attribute, "not open")]
    os.close(ours)
    os.close(OURS)
    problems += differences(before, state())
    check(not problems, "numbers without a descriptor of the caller's: EBADF", *problems)


def dead_and_undead():
    """The PIDs of a process that is gone and of one that is not waited for yet."""
    pids = []
    for _ in range(2):
        pid = os.fork()
        if pid == 0:
            os._exit(0)
        pids.append(pid)
    os.waitpid(pids[0], 0)
    os.waitid(os.P_PID, pids[1], os.WEXITED | os.WNOWAIT)
    return pids


def become_lonely():
    """A user who has a pid namespace as well, in which only she is."""
    actor.drop_user()
    keep_good()
    os.unshare(os.CLONE_NEWUSER | os.CLONE_NEWNET | os.CLONE_NEWPID)
    if os.fork():
        os.wait()
        os._exit(0)
    nl.link_up("lo").or_raise()
    nl.link_add("wg0").or_raise()
    nl.wg_set("wg0", private_key=keys["hers"], port=6002).or_raise()
    nl.link_up("wg0").or_raise()


@scenario
def processes():
    """PIDs of processes that are gone, somebody else's, or of another pid namespace."""
    device()
    dead, undead = alice(dead_and_undead)
    for what, pid in (("a dead process", dead), ("a zombie", undead), ("PID 0", 0),
                      ("PID -1", -1), ("a PID below all", -0x80000000),
                      ("a PID above all", 0x7fffffff)):
        refused(what, "ESRCH", "no process", netns_pid=pid, **proof(), attribute=nl.NETNS_PID)
    alice(os.waitpid, undead, 0)
    refused("another user's process", "EPERM", "needs CAP_NET_ADMIN", netns_pid=bob.pid)
    refused("another user's process, with sockets of elsewhere", "EPERM",
            "not in the transit netns", netns_pid=bob.pid, **proof(), attribute=V4)
    refused("a thread of the kernel's", "EPERM", "not in the transit netns", netns_pid=2,
            **proof(OTHERS), attribute=V4)

    lonely = Actor(become_lonely)
    before = lonely(nl.wg_get, "wg0")
    problems = []
    # Of those outside, none has a number in there; and there, the process 1 is herself.
    for pid in (os.getpid(), alice.pid, bob.pid):
        problems += wrong(lonely(nl.wg_set, "wg0", netns_pid=pid, **proof()), "ESRCH")
    problems += wrong(lonely(nl.wg_set, "wg0", netns_pid=1, **proof()), "EPERM", V4,
                      "not in the transit netns")
    if lonely(nl.wg_get, "wg0") != before:
        problems.append("the device has changed")
    check(not problems, "in a pid namespace only its own numbers count", *problems)
    lonely.end()


@scenario
def restricted_sockets():
    """Sockets that were restricted before she was given them, in other ways than transit.py's."""
    device()
    for how, kernel in RESTRICTED.items():
        v4, v6 = restricted_numbers(how)
        refused(f"a socket {how}, for IPv4", "EPERM", kernel, port=6003, attribute=V4,
                **proof((v4, GOOD[1])))
        refused(f"a socket {how}, for IPv6", "EPERM", kernel, port=6003, attribute=V6,
                **proof((GOOD[0], v6)))


# --- races -----------------------------------------------------------------------------------

SLOTS = 150, 151, 152
NULL = 190


@contextlib.contextmanager
def changing(seed, choices):
    """Meanwhile other threads put one thing or another behind each of the descriptors, or nothing."""
    done = threading.Event()

    def change():
        own = random.Random(seed)
        while not done.is_set():
            slot = own.randrange(len(choices))
            if own.randrange(8) == 0:
                try:
                    os.close(SLOTS[slot])
                except OSError:
                    pass
            else:
                os.dup2(own.choice(choices[slot]), SLOTS[slot])

    changers = [threading.Thread(target=change) for _ in range(2)]
    for one in changers:
        one.start()
    try:
        yield
    finally:
        done.set()
        for one in changers:
            one.join()
        for number in SLOTS:
            with contextlib.suppress(OSError):
                os.close(number)


def race_descriptors(seed, count):
    """Sends messages while what is behind their descriptors changes. Returns how often which answer
    came, and what is wrong."""
    rng = random.Random(seed)
    places = [os.open("/run/netns/other", os.O_RDONLY),
              os.open("/proc/self/ns/net", os.O_RDONLY)]
    keep(os.open("/dev/null", os.O_RDWR), NULL)
    bad = [*OTHERS, NULL, *restricted_numbers("bound to a port and connected")]
    choices = [[GOOD[0]] * 20 + bad, [GOOD[1]] * 20 + bad, places * 4 + [NULL]]
    answers, problems = {}, []
    with changing(seed + 1, choices):
        for _ in range(count):
            words = {"port": rng.randrange(6100, 6200), **proof(SLOTS[:2])}
            words.update(rng.choice(({}, {"netns_fd": SLOTS[2]}, {"netns_pid": 1})))
            name = nl.wg_set("wg0", **words).name
            answers[name] = answers.get(name, 0) + 1
            if name == "OK" and nl.wg_get("wg0")["port"] != words["port"]:
                problems.append(f"{words} is not what it became")
    for number in (*places, NULL):
        os.close(number)
    return answers, problems


def race_bad_ones(seed, count):
    """The same with sockets that are either elsewhere or bound, so that none is ever good: only who
    looks twice can see what is right in both."""
    bound = restricted_numbers("bound to a port and connected")
    answers = {}
    with changing(seed, list(zip(OTHERS, bound))):
        for number in range(count):
            name = nl.wg_set("wg0", netns_pid=1, port=6200 + number % 100, **proof(SLOTS[:2])).name
            answers[name] = answers.get(name, 0) + 1
    return answers


def in_one_place(who):
    """Whether the device has both its sockets in one netns and none elsewhere."""
    shown = get(who)
    pair = {(4, shown["port"]), (6, shown["port"])}
    found = [bool(ports(net) & pair) + (pair <= ports(net))
             for net in (net_of(who), "init", "other")]
    return sorted(found) == [0, 0, 2]


@scenario
def descriptors_that_change():
    """Other threads close descriptors, and put others there, while messages are handled."""
    tap.note(f"SEED={SEED}, RACES={RACES}")
    device()
    answers, problems = alice(race_descriptors, SEED, RACES)
    tap.note(answers)
    check(not problems, "each message is carried out as it was sent", *problems)
    check(len(answers) > 2 and not set(answers) - {
        "OK", "EBADF", "EINVAL", "ENOTSOCK", "EPERM", "EADDRINUSE"},
        "or refused for one of the reasons that there are", answers)
    check(in_one_place(alice), "the sockets are in one netns, both of them", state())
    answers = alice(race_bad_ones, SEED, RACES)
    tap.note(answers)
    check("EPERM" in answers and set(answers) <= {"EPERM", "EBADF"},
          "what is looked at once is what is judged", answers)
    alice(nl.wg_set, "wg0", netns_pid=1, **proof()).or_raise()
    check(pings(), "and the device works there")


def short_lives(seed, count, here):
    """Makes processes with a netns of their own that end soon; `here` is where their PID is."""
    own = random.Random(seed)
    for _ in range(count):
        read, write = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                os.unshare(os.CLONE_NEWNET)
                os.close(write)
                time.sleep(own.random() * 0.01)
            finally:
                os._exit(0)
        os.close(write)
        os.read(read, 1)  # its netns is made
        os.close(read)
        os.pwrite(here, struct.pack("=I", pid), 0)
        time.sleep(own.random() * 0.01)
        os.waitpid(pid, 0)
    os.pwrite(here, bytes(4), 0)


def move_after(here):
    """Moves the sockets to wherever the process is whose PID is there, until there is none."""
    answers = {}
    end = time.monotonic() + 300
    while time.monotonic() < end and (pid := struct.unpack("=I", os.pread(here, 4, 0))[0]):
        name = nl.wg_set("wg0", netns_pid=pid).name
        answers[name] = answers.get(name, 0) + 1
    return answers


def join(user, net):
    os.setns(user, os.CLONE_NEWUSER)
    os.setns(net, os.CLONE_NEWNET)


def second_in(who):
    """Another process in somebody's namespaces."""
    user = os.open(f"/proc/{who.pid}/ns/user", os.O_RDONLY)
    try:
        return Actor(join, user, net_of(who))
    finally:
        os.close(user)


@scenario
def namespaces_that_go():
    """Namespaces are deleted while the sockets move into them."""
    device()
    here = os.memfd_create("pid")
    # No process has it.
    os.pwrite(here, struct.pack("=I", 1 << 30), 0)
    # Forked from here, so they have the descriptor.
    maker, mover = second_in(alice), second_in(alice)
    before = maker(world.count_net_namespaces)
    maker.start(short_lives, SEED, RACES // 8, here)
    mover.start(move_after, here)
    answers = mover.result()
    maker.result()
    tap.note(answers)
    check({"OK", "ESRCH"} <= set(answers) <= {"OK", "ESRCH", "ENOENT", "EINVAL"},
          "a netns that is going is moved into, or is none any more", answers)
    # To count them takes another one, which has to end before the next count.
    check(world.until(lambda: maker(world.count_net_namespaces) <= before, 20,
                      5 if world.debugs() else 0.2),
          "the namespaces end", before, maker(world.count_net_namespaces))
    maker.end()
    mover.end()
    alice(nl.wg_set, "wg0", netns_pid=1, port=PORT, **proof()).or_raise()
    check(pings(), "and the device can be moved out again")


# --- other people's programs ------------------------------------------------------------------

def output_to(sock, message, *fds):
    """A privileged program writes what it was given to its output, which is somebody's socket. The
    errno that came back to there."""
    subprocess.run(["cat"], input=message, stdout=sock, check=True, pass_fds=fds)
    data = sock.recv(1 << 16)
    return errno.errorcode.get(-struct.unpack_from("=i", data, 16)[0], "OK")


def message(**words):
    """A request as the bytes that go over a socket."""
    body = nl.wg_set_body("wg0", **words)
    return struct.pack("=IHHIIBBH", 20 + len(body), nl.family(), 1 | nl.F_ACK, 1, 0,
                       nl.SET_DEVICE, 1, 0) + body


def open_genl():
    return socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, nl.NETLINK_GENERIC).detach()


@scenario
def privileged_programs():
    """A program with all rights has the attacker's netlink socket for its output."""
    device()
    hers = socket.socket(fileno=actor.take(alice, alice(open_genl)))
    pair = udp(socket.AF_INET), udp(socket.AF_INET6)
    for what, error, words, fds in (
            ("to move the sockets", "EPERM", {"netns_pid": bob.pid}, ()),
            ("to change the port", "EPERM", {"port": 6020}, ()),
            ("to take a privileged port", "EPERM", {"port": 53}, ()),
            # Its descriptors are no proof of hers.
            ("to change the port with sockets of the program's", "EPERM",
             {"port": 6020, **proof(pair)}, pair),
            ("to move with sockets of the program's", "EPERM",
             {"netns_pid": 1, "port": 6020, **proof(pair)}, pair)):
        before = state()
        answer = output_to(hers, message(**words), *fds)
        changed = differences(before, state())
        check(answer == error and not changed, f"{what}: {error}", answer, *changed)
    answer = output_to(hers, message(fwmark=9))
    check(answer == "OK" and get()["transit_fwmark"] == 0,
          "a mark that is set so is not applied", answer, get())
    # The tool gives no address either, and its caller is who she is.
    check(alice(nl.wg_set, "wg0", port=6021, **proof()).name == "OK", "she herself may with hers")
    hers.close()
    for fd in pair:
        os.close(fd)


def set_through(number, **words):
    """Sends a request by a netlink socket that somebody else may have opened."""
    with socket.socket(fileno=os.dup(number)) as sock:
        return nl.wg_set("wg0", sock=sock, **words)


def join_with_less(user, net):
    join(user, net)
    actor.drop_capabilities(CAP_NET_BIND_SERVICE)


@scenario
def other_programs():
    """Who sends is almost, and not quite, who opened the netlink socket."""
    device()
    pair = udp(socket.AF_INET), udp(socket.AF_INET6)
    first = second_in(alice)
    user = os.open(f"/proc/{alice.pid}/ns/user", os.O_RDONLY)
    weak = Actor(join_with_less, user, net_of(alice))
    os.close(user)
    opened = {who: actor.take(who, who(open_genl)) for who in (alice, first, weak)}
    # They have the descriptors from here. Both but the outsider have all rights in her namespaces.
    second = second_in(alice)
    outsider = Actor(actor.drop_user)
    for what, sender, opener, error in (
            ("it is another user's process", second, alice, "EPERM"),
            ("it has a right that the opener lacks", second, weak, "EPERM"),
            ("it is outside her user namespace", outsider, alice, "EPERM"),
            ("it has the same rights, where it shows what it has", second, first, "OK")):
        before = state()
        answer = sender(set_through, opened[opener], port=6025, **proof(pair))
        changed = differences(before, state()) if error != "OK" else ()
        check(answer.name == error and not changed, f"{what}: {error}", answer, *changed)
        answer = sender(set_through, opened[opener], fwmark=0)
        check(answer.name == "OK", "what takes no proof is done", answer)
    for fd in (*opened.values(), *pair):
        os.close(fd)
    for who in (first, weak, second, outsider):
        who.end()


# --- marks and ports --------------------------------------------------------------------------

@scenario
def marks():
    """A mark gets onto packets in no order of things."""
    root = root_in(net_of(alice))
    other = alice(os.open, "/run/netns/other", os.O_RDONLY)

    def applied():
        shown = get()
        return shown["transit_fwmark"]

    device(fwmark=0)
    for what, steps in {
            "set with the move": [{"netns_fd": other, "fwmark": 9, **proof(OTHERS)}],
            "set with the port": [{"port": 6030, "fwmark": 9, **proof()}],
            "set with another mark before": [{"fwmark": 8}, {"fwmark": 9}],
            "set twice": [{"fwmark": 9}, {"fwmark": 9}],
            "set before two moves": [{"netns_pid": alice.pid, "fwmark": 9},
                                     {"netns_fd": other, **proof(OTHERS)},
                                     {"netns_pid": 1, **proof()}],
            "set in a netns of hers, and again with the move":
                [{"netns_pid": alice.pid}, {"fwmark": 9},
                 {"netns_pid": 1, "fwmark": 9, **proof()}],
            "set, taken back and set": [{"fwmark": 9}, {"fwmark": 0}, {"fwmark": 9}]}.items():
        device(fwmark=0)
        for step in steps:
            alice(nl.wg_set, "wg0", **step).or_raise()
        check(get()["fwmark"] == 9 and applied() == 0, f"{what}, it is kept and not applied", get())
    # One that root has allowed does not live on through hers.
    for what, step in {"a move": {"netns_fd": other, **proof(OTHERS)},
                       "a move and the same mark": {"netns_fd": other, "fwmark": 9,
                                                    **proof(OTHERS)}}.items():
        device(fwmark=0)
        root(nl.wg_set, "wg0", fwmark=9).or_raise()
        check(applied() == 9, "root's is applied", get())
        alice(nl.wg_set, "wg0", **step).or_raise()
        check(applied() == 0, f"after {what} of hers it is not", get())
        alice(nl.wg_set, "wg0", netns_pid=1, **proof()).or_raise()
        check(applied() == 0, "nor after the move back", get())
    alice(os.close, other)
    root.end()


def up_by_ioctl():
    request = struct.pack("16sh22x", b"wg0", 1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        fcntl.ioctl(sock, 0x8914, request)  # SIOCSIFFLAGS


def up_by_sysfs():
    os.unshare(os.CLONE_NEWNS)
    if libc.mount(b"sysfs", b"/sys", b"sysfs", 0, None):
        raise OSError(ctypes.get_errno(), "mount")
    with open("/sys/class/net/wg0/flags", "w", encoding="ascii") as file:
        file.write("0x1")


def up_renamed():
    nl.rtnl(nl.RTM_NEWLINK, struct.pack("=BBHiII", 0, 0, 0, socket.if_nametoindex("wg0"), 1, 1),
            nl.string(3, "wg7")).or_raise()


def up_here():
    nl.link_up("wg0").or_raise()


def try_up(how):
    """Has the device up; the errno."""
    try:
        how()
    except OSError as error:
        return errno.errorcode[error.errno]
    return "OK"


@scenario
def privileged_ports():
    """No way of having a device up opens a port that its user could not."""
    device(up=False)
    root = root_in(net_of(alice))
    root(nl.wg_set, "wg0", port=53).or_raise()
    hers = second_in(alice)
    for how in (up_here, up_by_ioctl, up_by_sysfs, up_renamed):
        before = state()
        answer = hers(try_up, how)
        if how is up_renamed:
            alice(rename, "wg7", "wg0")
        problems = [] if answer == "EACCES" else [answer]
        problems += differences(before, state())
        check(not problems, f"{how.__name__.replace('_', ' ')}: EACCES", *problems)
    check(not {(4, 53), (6, 53)} & ports("init"), "and nobody listens there")
    refused("a privileged port with a move elsewhere", "EACCES", "CAP_NET_BIND_SERVICE", port=80,
            netns_fd=alice(os.open, "/run/netns/other", os.O_RDONLY), **proof(OTHERS))
    refused("a move that would keep one", "EACCES", "CAP_NET_BIND_SERVICE",
            netns_fd=alice(os.open, "/run/netns/other", os.O_RDONLY), **proof(OTHERS))

    # By way of a netns of hers, where all ports are.
    alice(nl.wg_set, "wg0", netns_pid=alice.pid, port=80).or_raise()
    alice(nl.link_up, "wg0").or_raise()
    refused("one that was allowed elsewhere", "EACCES", "CAP_NET_BIND_SERVICE", netns_pid=1,
            **proof())
    alice(nl.link_down, "wg0").or_raise()
    refused("and while it is down", "EACCES", "CAP_NET_BIND_SERVICE", netns_pid=1, **proof())
    hers.end()
    root.end()


def rename(old, new):
    """Gives the link its name again, if it has lost it."""
    if old in [name for _, name in socket.if_nameindex()]:
        nl.rtnl(nl.RTM_NEWLINK, struct.pack("=BBHiII", 0, 0, 0, socket.if_nametoindex(old), 0, 0),
                nl.string(3, new)).or_raise()


# --- sockets of a device -----------------------------------------------------------------------

def descriptors_of(inodes):
    """Descriptors of any process that lead to a socket with one of these numbers."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            for number in os.listdir(f"/proc/{pid}/fd"):
                link = os.readlink(f"/proc/{pid}/fd/{number}")
                if any(link == f"socket:[{inode}]" for inode in inodes):
                    found.append(f"{pid}: {link}")
        except OSError:
            pass  # it is gone
    return found


@scenario
def sockets_of_another_device():
    """What belongs to a device is within nobody's reach."""
    device(port=6040)
    sh("ip link add wg9 type wireguard; ip link set wg9 up; wg set wg9 listen-port 6041")
    with open("/proc/net/udp", encoding="ascii") as file:
        inodes = [line.split()[9] for line in file
                  if line.split()[1].endswith((":1798", ":1799"))]
    check(len(inodes) == 2, "both devices' sockets are listed", inodes)
    check(not descriptors_of(set(inodes) - {"0"}), "no process has a descriptor of one")
    path = sh("ss -ulnp").splitlines()
    check(not any("users:" in line for line in path if ":6040 " in line or ":6041 " in line),
          "nobody uses them", *path)
    before = state()
    done = alice(kill_sockets)
    changed = differences(before, state())
    check(not changed and pings(), "she cannot end those in the initial netns", done, *changed)

    # Whoever owns the netns may. That is the device's loss, and nobody else's.
    alice(nl.wg_set, "wg0", netns_pid=alice.pid).or_raise()
    done = alice(kill_sockets)
    check(":6040 " in done, "but those in her own, as their owner may", done)
    alice(nl.wg_set, "wg0", netns_pid=1, port=6042, **proof()).or_raise()
    check(in_one_place(alice) and pings(), "a device whose sockets were ended gets new ones",
          state())
    sh("ip link del wg9")


def kill_sockets():
    """Has the kernel end all UDP sockets here, as far as one may."""
    return subprocess.run(["ss", "-K", "-u", "-a"], check=False, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT).stdout


# --- users in users ------------------------------------------------------------------------------

DEPTH = 6


def descend():
    """Makes namespaces in namespaces, with sockets in each; the device is in the last."""
    actor.drop_user()
    for level in range(DEPTH + 1):
        if level:
            actor.new_namespaces()
            nl.link_up("lo").or_raise()
        keep_good((300 + 2 * level, 301 + 2 * level))
        keep(os.open("/proc/self/ns/net", os.O_RDONLY), 400 + level)
        keep(os.open("/proc/self/ns/user", os.O_RDONLY), 500 + level)
    nl.link_add("wg0").or_raise()
    nl.wg_set("wg0", private_key=keys["hers"], port=6050).or_raise()
    nl.link_up("wg0").or_raise()


def try_levels(with_proof):
    """Moves the sockets to the netns of each level, from that of the last; the answers."""
    answers = []
    for level in range(DEPTH + 1):
        nl.wg_set("wg0", netns_fd=400 + DEPTH, **proof((300 + 2 * DEPTH, 301 + 2 * DEPTH))
                  ).or_raise()
        words = proof((300 + 2 * level, 301 + 2 * level)) if with_proof else {}
        answers.append(nl.wg_set("wg0", netns_fd=400 + level, **words).name)
    nl.wg_set("wg0", netns_fd=400 + DEPTH).or_raise()
    return answers


def take_all(numbers, fds):
    for number, fd in zip(numbers, fds):
        os.dup2(fd, number, inheritable=True)


@scenario
def nested_users():
    """User namespaces in user namespaces: rights count downwards, proof for its own netns only."""
    deep = Actor(descend)
    check(deep(try_levels, True) == ["OK"] * (DEPTH + 1), "sockets of each level are proof for it")
    answers = [deep(nl.wg_set, "wg0", netns_fd=400 + target, **proof((300 + 2 * of, 301 + 2 * of))
                    ).name for target, of in itertools.permutations(range(DEPTH), 2)]
    check(set(answers) == {"EPERM"}, "and for no other", answers)
    numbers = list(range(300, 302 + 2 * DEPTH)) + list(range(400, 401 + DEPTH))
    fds = [actor.take(deep, number) for number in numbers]
    users = [actor.take(deep, 500 + level) for level in range(DEPTH + 1)]
    last = fds[-1]
    for level in range(DEPTH + 1):
        if level == 0:
            someone = Actor(os.setns, last, os.CLONE_NEWNET)
        else:
            someone = Actor(join, users[level], last)
        someone(take_all, numbers, fds)
        answers = someone(try_levels, False)
        wanted = ["EPERM"] * level + ["OK"] * (DEPTH + 1 - level)
        check(answers == wanted, f"rights at level {level} are enough from there on down", answers)
        someone.end()
    for fd in fds + users:
        os.close(fd)
    deep.end()


@scenario
def owners():
    """A device goes to the netns of somebody else, with all that was granted before."""
    root = root_in(net_of(alice))
    device(port=6060)
    root(nl.wg_set, "wg0", port=53, fwmark=9).or_raise()
    check(alice(nl.link_move, "wg0", alice(os.open, f"/proc/{alice.pid}/ns/net", os.O_RDONLY)
                ).name == "OK", "she may move it to where it is")
    with inside(net_of(alice)):
        nl.link_move("wg0", net_of(bob)).or_raise()
    root.end()
    check(alice(nl.wg_set, "wg0", port=6061, **proof()).name == "ENODEV",
          "for her it is no more")
    root = root_in(net_of(bob))
    root(nl.link_up, "wg0").or_raise()
    check(get(bob)["transit_fwmark"] == 9 and {(4, 53), (6, 53)} <= ports("init"),
          "what root allowed is still there", get(bob))
    for what, error, kernel, words in (
            ("another port without proof", "EPERM", "needs CAP_NET_ADMIN", {"port": 6062}),
            ("another privileged port", "EACCES", "CAP_NET_BIND", {"port": 54, **proof()}),
            ("a move to her who had it", "EPERM", "needs CAP_NET_ADMIN",
             {"netns_pid": alice.pid}),
            ("a move to her with other sockets", "EPERM", "not in the transit",
             {"netns_pid": alice.pid, **proof()}),
            ("another mark", "EPERM", "fwmark is on the packets", {"fwmark": 8}),
            ("no mark", "EPERM", "fwmark is on the packets", {"fwmark": 0}),
            ("no mark, with credentials", "EPERM", "fwmark is on the packets",
             {"fwmark": 0, "port": 6062, **proof()})):
        refused(f"by its new owner {what}", error, kernel, who=bob, holder=bob, **words)
    bob(nl.link_down, "wg0").or_raise()
    check(bob(nl.link_up, "wg0").name == "EACCES", "nor does the port come back that root opened")
    answer = bob(nl.wg_set, "wg0", port=6063, netns_pid=bob.pid)
    check(answer.name == "OK" and bob(nl.link_up, "wg0").name == "OK" and in_place_of(bob, 6063),
          "home he may take it", answer)
    bob(nl.link_del, "wg0").or_raise()
    root.end()


def in_place_of(who, port):
    return {(4, port), (6, port)} <= ports(net_of(who))


# --- what is left ------------------------------------------------------------------------------

@scenario
def nothing_is_held():
    """Nothing that was looked at, moved to or refused is held by the kernel."""
    alice(nl.link_del, "wg0")
    with inside("init"):
        numbers = {7001: net_of(alice), 7002: net_of(bob), 7003: world.open_net("other")}
        for number, fd in numbers.items():
            nl.nsid_set(fd, number).or_raise()
            os.close(fd)
    nets.clear()
    alice.end()
    bob.end()
    sh("ip netns del other")
    check(world.until(lambda: not set(nl.nsids()) & set(numbers), 20), "all their netns end",
          nl.nsids())
    check(world.until(lambda: count_files() <= files + 10, 20),
          f"and the {len(kinds)} descriptors that alice showed are closed for good",
          f"{files} files to begin with, {count_files()} now")


files = count_files()
build()
tap.run()
