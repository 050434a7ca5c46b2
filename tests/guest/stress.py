# SPDX-License-Identifier: GPL-2.0
"""More of everything than is good. Run by stress.sh.

Between the netns `left' and `right' there is a tunnel, wg0 on both sides. Where something goes on
for a while, a TCP stream goes each way through it meanwhile, and both have to arrive as they were
sent. Floods come from the netns `flood'.
"""

import hashlib
import mmap
import os
import random
import select
import socket
import struct
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import netlink as nl  # noqa: E402
import sleep  # noqa: E402
import tap  # noqa: E402
import tunnel  # noqa: E402
import world  # noqa: E402
from actor import Actor  # noqa: E402
from tap import check, scenario  # noqa: E402
from world import inside, ping, sh  # noqa: E402

SEED = int(os.environ.get("SEED") or random.randrange(1 << 32))
DEVICES = int(os.environ.get("DEVICES", "100"))
PEERS = int(os.environ.get("PEERS", "200"))
ROUNDS = int(os.environ.get("ROUNDS", "30"))
# Seconds.
FLOOD = int(os.environ.get("FLOOD", "8"))
OURS = os.environ.get("MODULE", "ours") == "ours"
MIB = 1 << 20

keys = public = None


def free_memory():
    """How much memory there is for whoever wants it, in bytes."""
    return world.meminfo("MemAvailable")


def quarantine():
    """How much that was freed KASAN may keep from use, in bytes: mm/kasan/quarantine.c takes
    one part in 32 of the memory."""
    return world.meminfo("MemTotal") // 32 if world.debugs() else 0


def kernel_log():
    return subprocess.run(["dmesg"], check=True, text=True, stdout=subprocess.PIPE).stdout


# --- floods -----------------------------------------------------------------------------

def initiations(key, count):
    """Handshake initiations from nobody, with a right MAC1 if there is a key for it."""
    mac1_key = hashlib.blake2s(b"mac1----" + key).digest() if key else None
    for _ in range(count):
        body = struct.pack("<II", 1, 1) + os.urandom(108)
        mac1 = os.urandom(16)
        if mac1_key:
            mac1 = hashlib.blake2s(body, digest_size=16, key=mac1_key).digest()
        yield body + mac1 + bytes(16)


def is_asked(key):
    """Whether a handshake is answered, which only one is that lacks a cookie."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect(("10.2.0.2", tunnel.PORT))
        sock.send(next(initiations(key, 1)))
        return bool(select.select([sock], [], [], 0.3)[0])


def flood(key, stop):
    """Sends handshake initiations until told to stop. Returns how many were sent, and how many
    answers of each type came."""
    stop = socket.socket(fileno=stop)
    messages = list(initiations(key, 64))
    answers = {}
    sent = 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect(("10.2.0.2", tunnel.PORT))
        while not select.select([stop], [], [], 0)[0]:
            for message in messages:
                sock.send(message)
            sent += len(messages)
            while select.select([sock], [], [], 0)[0]:
                kind = sock.recv(2048)[0]
                answers[kind] = answers.get(kind, 0) + 1
    return sent, answers


def become_flooder():
    os.setns(world.open_net("flood"), os.CLONE_NEWNET)


@scenario
def floods():
    """More handshakes than can be dealt with."""
    for what, key in (("without a right MAC1", None), ("with a right MAC1", public["right"])):
        streams = tunnel.Streams()
        ours, its = socket.socketpair()
        flooder = Actor(become_flooder)
        before = least = free_memory()
        flooder.start(flood, key, its.fileno())
        end = time.monotonic() + FLOOD
        while time.monotonic() < end:
            least = min(least, free_memory())
            time.sleep(0.1)
        check(streams.wait(), f"streams go on beside a flood {what}")
        # The address that it comes from is another.
        check(tunnel.new_session(60), "the device makes sessions with others while it lasts")
        check(not select.select([flooder.channel], [], [], 0)[0], "which it does")
        ours.send(b".")
        sent, answers = flooder.result()
        tap.note(f"{sent} {what}: {answers}, {(before - least) / MIB:.1f} MiB less")
        what_for = "handshakes with a right MAC1 are answered with cookies when there are too many"
        if key and world.debugs() and not answers:
            tap.skip(what_for, "this kernel is too slow for that")
        elif key:
            check(answers.get(3, 0) > 0 and set(answers) == {3}, what_for, sent, answers)
        else:
            check(not answers, "handshakes without a right MAC1 are not answered", answers)
        # What waits is at most 4096 messages for the device, and what a socket may have.
        check(before - least < 24 * MIB + quarantine(), f"a flood {what} takes little memory",
              f"{(before - least) / MIB:.1f} MiB")
        check(tunnel.new_session(), "the device makes sessions after it")
        check(world.until(lambda: not flooder(is_asked, public["right"]), 10, 0.1),
              "nobody is asked for cookies any more")
        flooder.end()
        streams.finish()


# --- memory -----------------------------------------------------------------------------

def hog(leave, stop):
    """Takes memory until little is left, and more when there is more again."""
    stop = socket.socket(fileno=stop)
    pieces = []
    while not select.select([stop], [], [], 0.01)[0]:
        if free_memory() > leave + 4 * MIB:
            pieces.append(mmap.mmap(-1, 4 * MIB, flags=(
                mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | mmap.MAP_POPULATE)))
        elif free_memory() < leave - 4 * MIB and pieces:
            pieces.pop().close()
    return len(pieces)


@scenario
def little_memory():
    """The kernel has to look for each page."""
    streams = tunnel.Streams()
    ours, its = socket.socketpair()
    eater = Actor()
    eater.start(hog, 40 * MIB, its.fileno())
    if world.debugs():
        # It would take minutes to fill.
        tap.skip("little memory is left", f"{free_memory() / MIB:.0f} MiB with this kernel")
    else:
        check(world.until(lambda: free_memory() < 50 * MIB, 60, 0.2), "little memory is left",
              free_memory() / MIB)
    failed = []
    with inside("left"):
        for number in range(12):
            made = nl.link_add("wg1")
            if not made.errno:
                made = nl.wg_set("wg1", private_key=os.urandom(32), peers=[
                    nl.peer(os.urandom(32), allowed=[f"10.50.{number}.0/24"]) for _ in range(20)])
                nl.link_del("wg1").or_raise()
            if made.errno and made.name != "ENOMEM":
                failed.append(made)
    check(not failed, "devices come and go, or there is no memory for them", *failed)
    check(tunnel.new_session(60), "a session is made")
    check(streams.wait(), "the streams move")
    ours.send(b".")
    tap.note(f"{eater.result() * 4} MiB were taken")
    eater.end()
    streams.finish()
    check("Out of memory" not in kernel_log(), "nobody had to die for it")


# --- many ---------------------------------------------------------------------------------

def make_devices():
    for number in range(DEVICES):
        nl.link_add(f"wg{number}").or_raise()
        nl.wg_set(f"wg{number}", private_key=keys["left"], peers=[
            nl.peer(public["right"], endpoint=("10.9.9.9", 9), allowed=["10.0.0.0/8"])
        ]).or_raise()
        nl.link_up(f"wg{number}").or_raise()


@scenario
def many_devices():
    """Many devices, all of them up."""
    # At first the kernel keeps 25 MiB for the next time, with the in-tree module as well. What
    # leaks does so each time.
    kept, back = [], False
    for _ in range(5):
        start = time.monotonic()
        sh("ip netns add many")
        before = free_memory()
        with inside("many"):
            make_devices()
            ports = world.ports()
            asked = all(nl.wg_get(f"wg{number}")["public_key"] == public["left"]
                        for number in range(0, DEVICES, 17))
        tap.note(f"made in {time.monotonic() - start:.1f} s")
        undisturbed = ping("left", tunnel.RIGHT, 4)
        start = time.monotonic()
        sh("ip netns del many")
        # Each takes 250 KiB.
        back = world.until(lambda before=before: before - free_memory() < DEVICES * 100 << 10,
                           40, 0.2)
        kept.append(f"{(before - free_memory()) / MIB:.1f} MiB")
        tap.note(f"gone in {time.monotonic() - start:.1f} s but for {kept[-1]}")
        if back:
            break
    families = 2 if os.path.exists("/proc/sys/net/ipv6") else 1
    check(len(ports) == families * DEVICES, f"{DEVICES} devices have their sockets")
    check(asked, "and can be asked")
    check(undisturbed, "the tunnel is not disturbed")
    check(back, "their memory comes back when their netns ends", *kept)


def address_of(number):
    return f"10.{64 + (number >> 16)}.{number >> 8 & 255}.{number & 255}"


@scenario
def many_peers():
    """One device with many peers, of which one is there."""
    start = time.monotonic()
    streams = tunnel.Streams()
    per_message = 200
    with inside("right"):
        for first in range(0, PEERS, per_message):
            nl.wg_set("wg0", peers=[
                nl.peer(hashlib.blake2s(struct.pack("<I", number)).digest(),
                        allowed=[f"{address_of(number)}/32"], endpoint=("10.2.0.1", 9))
                for number in range(first, min(first + per_message, PEERS))]).or_raise()
        tap.note(f"{PEERS} peers in {time.monotonic() - start:.1f} s")
        shown = nl.wg_get("wg0")["peers"]
    check(len(shown) == PEERS + 2, f"{PEERS} peers are there, and those from before", len(shown))
    check(all(shown[hashlib.blake2s(struct.pack("<I", number)).digest()]["allowed"]
              == [f"{address_of(number)}/32"] for number in range(PEERS)),
          "each with the address that it was given")
    check(tunnel.new_session(60), "among them the one that is there can make a session")
    start = time.monotonic()
    with inside("right"):
        nl.wg_set("wg0", peers=[
            nl.peer(hashlib.blake2s(struct.pack("<I", number)).digest(), flags=1)
            for number in range(0, PEERS, max(1, PEERS // 100))]).or_raise()
        left = len(nl.wg_get("wg0")["peers"])
    check(left == PEERS + 2 - len(range(0, PEERS, max(1, PEERS // 100))), "some can be removed",
          left)
    streams.finish()
    with inside("right"):
        nl.wg_set("wg0", flags=nl.REPLACE_PEERS, peers=right_peers()).or_raise()
        check(len(nl.wg_get("wg0")["peers"]) == 2, "and then the rest")
    tap.note(f"gone in {time.monotonic() - start:.1f} s")
    check(tunnel.new_session(60), "the tunnel works")


def right_peers():
    return [nl.peer(public["left"], allowed=[f"{tunnel.LEFT}/32"]),
            nl.peer(public["flood"], allowed=["192.168.88.3/32"])]


# --- the machine ----------------------------------------------------------------------------

def online(state):
    with open("/sys/devices/system/cpu/cpu1/online", "w", encoding="ascii") as file:
        file.write(state)


@scenario
def processors():
    """A processor goes and comes back, again and again."""
    if not os.path.exists("/sys/devices/system/cpu/cpu1/online"):
        tap.skip("a processor goes and comes back", "there is but one")
        return
    streams = tunnel.Streams()
    good = True
    for _ in range(4):
        online("0")
        good &= bool(streams.wait())
        online("1")
        good &= bool(streams.wait())
    check(good, "streams go on with each number of processors")
    online("0")
    check(tunnel.new_session(), "with one a session is made")
    with inside("left"):
        nl.link_add("wg5").or_raise()
    online("1")
    with inside("left"):
        nl.link_up("wg5").or_raise()
        nl.link_del("wg5").or_raise()
    check(tunnel.new_session(), "with two again as well")
    streams.finish()


@scenario
def suspend():
    """The machine goes to sleep. Nothing in its memory opens what went through the tunnel before."""
    if not sleep.prepare():
        tap.skip("the machine goes to sleep", "this kernel has no module that stops it in time")
        return
    for what, state, event in (("suspended", "freeze", "PM_SUSPEND_PREPARE"),
                               ("hibernated", "disk", "PM_HIBERNATION_PREPARE")):
        with open("/sys/power/state", encoding="ascii") as file:
            if state not in file.read().split():
                tap.skip(f"the machine is {what}", "it cannot be")
                continue
        check(tunnel.new_session(), "there is a session")
        before = tunnel.handshake("left"), tunnel.handshake("right")
        check(ping("left", tunnel.RIGHT, 8) and before == (tunnel.handshake("left"),
                                                           tunnel.handshake("right")),
              "which is used for what comes next")
        streams = tunnel.Streams()
        error = sleep.almost(state, event)
        check(error == 16, f"the machine was about to be {what}", error)
        check(ping("left", tunnel.RIGHT, 20, 4, 2), "the tunnel works afterwards")
        after = tunnel.handshake("left"), tunnel.handshake("right")
        check(all(new > old for new, old in zip(after, before)),
              "with another session than before: the keys are gone", before, after)
        streams.finish()
    sleep.done()


# --- everything together ----------------------------------------------------------------------

class Round:
    """What may happen to the device on the left; each is undone before long."""

    def __init__(self, rng):
        self.rng = rng
        self.places = [world.open_net("left"), world.open_net("aside")]
        self.place = 0

    def move(self):
        self.place ^= 1
        nl.wg_set("wg0", netns_fd=self.places[self.place]).or_raise()

    def port(self):
        nl.wg_set("wg0", port=self.rng.choice((0, 7100, 7101))).or_raise()

    def mark(self):
        nl.wg_set("wg0", fwmark=self.rng.randrange(3)).or_raise()

    def rekey(self):
        # Another key and back: sessions end, and are made anew.
        nl.wg_set("wg0", private_key=os.urandom(32)).or_raise()
        nl.wg_set("wg0", private_key=keys["left"]).or_raise()

    def preshared(self, key=None):
        psk = nl.attr(2, key or os.urandom(32))
        for net, name in (("left", "right"), ("right", "left")):
            with inside(net):
                nl.wg_set("wg0", peers=[nl.nest(0, nl.attr(1, public[name]), psk)]).or_raise()

    def mtu(self):
        sh(f"ip link set wg0 mtu {self.rng.choice((1280, 1384, 1420))}")

    def address(self):
        outside = self.rng.choice((("left", "to-right", "10.1.0.9/24"),
                                   ("aside", "to-right", "10.3.0.9/24")))
        sh("ip -n {0} addr add {2} dev {1} && ip -n {0} addr del {2} dev {1}".format(*outside))

    def endpoint(self):
        nl.wg_set("wg0", peers=[nl.peer(public["right"], endpoint=(
            self.rng.choice(("10.1.0.2", "10.3.0.2")), tunnel.PORT))]).or_raise()

    def others(self):
        several = [os.urandom(32) for _ in range(10)]
        nl.wg_set("wg0", peers=[nl.peer(key, allowed=[f"192.168.90.{number}/32"])
                                for number, key in enumerate(several)]).or_raise()
        nl.wg_set("wg0", peers=[nl.peer(key, flags=1) for key in several]).or_raise()

    def remove(self):
        nl.wg_set("wg0", peers=[nl.peer(public["right"], flags=1)]).or_raise()
        self.restore()

    def steal(self):
        # Somebody else gets the address, and it is taken back.
        nl.wg_set("wg0", peers=[nl.peer(b"x" * 32, allowed=[f"{tunnel.RIGHT}/32"])]).or_raise()
        nl.wg_set("wg0", peers=[nl.peer(b"x" * 32, flags=1),
                                nl.peer(public["right"], allowed=[f"{tunnel.RIGHT}/32"])
                                ]).or_raise()

    def restore(self):
        nl.wg_set("wg0", peers=[nl.peer(public["right"], endpoint=("10.1.0.2", tunnel.PORT),
                                        allowed=[f"{tunnel.RIGHT}/32"])]).or_raise()
        self.preshared(bytes(32))


@scenario
def together():
    """Moves, keys, addresses, MTUs, ports, marks and peers, all in some order, under streams."""
    tap.note(f"SEED={SEED}, ROUNDS={ROUNDS}")
    rng = random.Random(SEED)
    tunnel.cable("aside", 3)
    # Either way leads to either address.
    sh("""
        ip -n left route add 10.3.0.2 via 10.1.0.2
        ip -n aside route add 10.1.0.2 via 10.3.0.2
    """)
    streams = tunnel.Streams()
    things = Round(rng)
    names = [name for name in vars(Round) if not name.startswith("_") and name != "restore"]
    if not OURS:
        names.remove("move")
    done = {}
    with inside("left"):
        for number in range(ROUNDS):
            name = rng.choice(names)
            getattr(things, name)()
            done[name] = done.get(name, 0) + 1
            time.sleep(rng.random() * 0.3)
            # TCP would wait longer and longer if it never got anything through.
            if number % 5 == 4:
                streams.wait()
        things.restore()
    tap.note(done)
    check(ping("left", tunnel.RIGHT, 20, 4, 2), "after all of it packets get through")
    streams.finish()


@scenario
def the_end():
    """Nothing is left of all that."""
    tunnel.demolish()


keys, public = tunnel.build(("flood",))
tap.run()
