# SPDX-License-Identifier: GPL-2.0
"""Messages and packets that nobody should send. Run by fuzz.sh.

Between the netns `left' and `right' there is a tunnel, wg0 on both sides, through which a TCP stream
goes each way as long as anything is thrown at the devices; both have to arrive as they were sent.

The packets come from the netns `storm', by a peer that has all keys and no manners, and go to the
device in `right'. The netlink messages are about other devices, whose name is `fuzzed': root's in
the netns `rooted', and alice's in a netns of her own, with its sockets in the initial one. Packets
leave by these all the time, whichever peers they have.
"""

import ipaddress
import os
import random
import select
import socket
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import actor  # noqa: E402
import netlink as nl  # noqa: E402
import tap  # noqa: E402
import tunnel  # noqa: E402
import world  # noqa: E402
from actor import Actor  # noqa: E402
from tap import check, scenario  # noqa: E402
from world import inside, ping, sh  # noqa: E402

SEED = int(os.environ.get("SEED") or random.randrange(1 << 32))
MESSAGES = int(os.environ.get("MESSAGES", "300"))
PACKETS = int(os.environ.get("PACKETS", "3000"))
THREADS = 3
STORM = "/wg/files/storm"
GOOD = (100, 101)
OTHERS = (102, 103)
NETNS = 104
NULL = 105

keys = public = None


def storm(net, *words, fds=()):
    """Runs tools/storm; what it says, by what it is about."""
    start = time.monotonic()
    with inside(net):
        done = subprocess.run([STORM, *map(str, words)], check=False, text=True, pass_fds=fds,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    return done.returncode, done.stdout, done.stderr, time.monotonic() - start


def report(what, outcome):
    code, out, err, took = outcome
    check(code == 0, what, err, out)
    tap.note(f"{took:.0f} s: " + ", ".join(out.split("\n")).rstrip(", "))


# --- packets --------------------------------------------------------------------------------

@scenario
def packets():
    """A peer without manners, and strangers, send to a device in use."""
    tap.note(f"SEED={SEED}, PACKETS={PACKETS}")
    streams = tunnel.Streams()
    report(f"{PACKETS} packets, and a device that answers an honest peer after them",
           storm("storm", "packets", SEED, PACKETS, "10.2.0.2:5000", keys["storm"].hex(),
                 public["right"].hex(), "192.168.88.3", "192.168.88.2"))
    streams.finish()
    with inside("right"):
        peers = nl.wg_get("wg0")["peers"]
    check({public[name] for name in ("left", "storm", "rooted")} == set(peers)
          and peers[public["left"]]["endpoint"][4:8] == ipaddress.ip_address("10.1.0.1").packed,
          "nobody has taken another peer's place", peers)
    check(peers[public["rooted"]]["handshake"] == (0, 0) and not peers[public["rooted"]]["rx"],
          "nor made a session in the name of one", peers)


# --- netlink --------------------------------------------------------------------------------

def keep(sock, number):
    os.dup2(sock.fileno(), number, inheritable=True)
    sock.close()


def hold_numbers():
    """What the numbers in messages may lead to."""
    for number, family in zip(GOOD + OTHERS, (socket.AF_INET, socket.AF_INET6) * 2):
        sock = socket.socket(family, socket.SOCK_DGRAM)
        if number in OTHERS:
            sock.bind(("", 0 if number == OTHERS[0] else 40100))
        keep(sock, number)
    for number, path in ((NETNS, "/proc/self/ns/net"), (NULL, "/dev/null")):
        with open(path, "rb") as file:
            keep(file, number)


NUMBERS = (*GOOD, *OTHERS, NETNS, NULL, 1, 0)


def become_alice():
    actor.drop_user()
    hold_numbers()
    actor.new_namespaces()
    nl.link_up("lo").or_raise()
    nl.link_add("fuzzed").or_raise()
    nl.wg_set("fuzzed", private_key=keys["rooted"], netns_pid=1, credential4=GOOD[0],
              credential6=GOOD[1]).or_raise()


def become_root_in(net):
    hold_numbers()
    os.setns(world.open_net(net), os.CLONE_NEWNET)


def prepare():
    nl.address_add("fuzzed", "192.168.88.4/24").or_raise()
    nl.link_up("fuzzed").or_raise()
    sh("ip route replace 10.0.0.0/22 dev fuzzed")


def spray(seed, number):
    """Sends packets to wherever a peer may be, until told to stop."""
    rng = random.Random(seed)
    stop = socket.socket(fileno=number)
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sent = 0
    while True:
        if select.select([stop], [], [], 0)[0]:
            return sent
        for _ in range(5):
            try:
                sock.sendto(b"x" * rng.randrange(1400),
                            (f"10.0.{rng.randrange(4)}.{rng.randrange(256)}", 9))
                sent += 1
            except OSError:
                pass  # no peer has it now
        time.sleep(0.02)


def throw(seed, messages):
    """Runs tools/storm here, with the descriptors that there are."""
    start = time.monotonic()
    done = subprocess.run([STORM, "netlink", str(seed), str(messages), str(THREADS), "fuzzed",
                           *map(str, NUMBERS), str(os.getpid())], check=False, text=True,
                          close_fds=False, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    return done.returncode, done.stdout, done.stderr, time.monotonic() - start


def mend(home):
    """Makes the device one that works, whatever it has become."""
    nl.link_up("fuzzed", False).or_raise()
    nl.wg_set("fuzzed", netns_pid=home, port=0, fwmark=0, private_key=keys["rooted"],
              flags=nl.REPLACE_PEERS).or_raise()
    nl.wg_set("fuzzed", peers=[nl.peer(public["right"], endpoint=("10.3.0.2", 5000),
                                       allowed=["192.168.88.2/32"])]).or_raise()
    nl.link_up("fuzzed").or_raise()
    return nl.wg_get("fuzzed")


def fuzz(who, name, seed, look=lambda: None):
    """Has somebody throw messages at a device in use; `look` is called all the while."""
    ours, stop = socket.socketpair()
    second = Actor(join, who.pid)
    second.start(spray, seed, stop.fileno())
    streams = tunnel.Streams()
    who.start(throw, seed, MESSAGES)
    while not select.select([who.channel], [], [], 0.05)[0]:
        look()
    report(f"{THREADS} times {MESSAGES} messages from {name}, each with its answer", who.result())
    ours.send(b".")
    tap.note(f"meanwhile {second.result()} packets left by the device")
    second.end()
    streams.finish()
    shown = who(mend, who.pid)
    check(list(shown["peers"]) == [public["right"]] and shown["fwmark"] == 0
          and shown["public_key"] == public["rooted"], f"{name} can configure the device after it",
          shown)


def join(pid):
    net = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
    if os.stat(f"/proc/{pid}/ns/user").st_ino != os.stat("/proc/self/ns/user").st_ino:
        os.setns(os.open(f"/proc/{pid}/ns/user", os.O_RDONLY), os.CLONE_NEWUSER)
    os.setns(net, os.CLONE_NEWNET)


@scenario
def netlink_from_root():
    """Requests from root, whom nothing is refused for want of rights."""
    tap.note(f"SEED={SEED}, MESSAGES={MESSAGES}")
    root = Actor(become_root_in, "rooted")
    root(prepare)
    fuzz(root, "root", SEED)
    check(ping("rooted", "192.168.88.2", 8), "and it works")
    with inside("rooted"):
        nl.link_del("fuzzed").or_raise()
    root.end()


@scenario
def netlink_from_alice():
    """Requests from a user without rights, in a netns of her own."""
    sh("nft -f -", input="""
        table inet watch {
            counter marked { }
            counter unmarked { }
            chain out {
                type filter hook output priority 0
                oifname != "lo" meta mark != 0 counter name marked
                oifname != "lo" meta mark 0 counter name unmarked
            }
        }""")
    sh("ip link add outside type dummy; ip addr add 10.3.0.1/24 dev outside; "
       "ip link set outside up; ip route add default dev outside")
    alice = Actor(become_alice)
    alice(prepare)
    taken = set()
    fuzz(alice, "alice", SEED + 1000, lambda: taken.update(port for _, port in world.ports("init")))
    with inside("init"):
        seen = nl.counters("watch")
    check(seen["marked"] == 0 < seen["unmarked"], "no packet left with a mark of hers", seen)
    check(taken and min(taken) >= 1024, "no privileged port was taken for her", taken)
    alice.end()


@scenario
def the_end():
    """Nothing is left of all that."""
    tunnel.demolish()


keys, public = tunnel.build(("storm", "rooted"))
sh("ip -n rooted link add fuzzed type wireguard")
tap.run()
