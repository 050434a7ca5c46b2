# SPDX-License-Identifier: GPL-2.0
"""Memory that runs out. For each operation the first allocation fails, then the second, and so on
until it gets through without: each failure says so, and changes nothing.

Only allocations count that the module makes, or that are made for it: those with one of its
functions on the stack. What a process asks for is failed by its own fail-nth, what workers and
interrupts do by failslab and fail_page_alloc (Documentation/fault-injection).

The world: alice has a device wg0 in a netns of hers, its peer is in the netns `far', and packets
can leave from the initial netns and from `other'.
"""

import glob
import os
import socket
import sys

ROOT = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(ROOT, "lib"), os.path.join(ROOT, "gso")]
import actor  # noqa: E402
import faults_trains  # noqa: E402
import netlink as nl  # noqa: E402
import tap  # noqa: E402
import world  # noqa: E402
from actor import Actor  # noqa: E402
from injection import KINDS, left, only_below, symbols, tell  # noqa: E402
from tap import check, scenario  # noqa: E402
from world import inside, ping, sh  # noqa: E402

# The last is what socket() says when there is none for the inode.
NO_MEMORY = ("ENOMEM", "ENOBUFS", "ENFILE")
# More than any operation makes.
ENOUGH = 400
PORT = 5000
GOOD = {"init": (100, 101), "other": (102, 103)}

text_size = 0
alice = None
her_net = None
# Alice's descriptor of the netns `other'.
other = None
far_key = None


# --- faults -------------------------------------------------------------------------

def only_function(name):
    """Those below a function of the kernel's, which is no longer than a page."""
    start, = symbols(lambda symbol, module: symbol == name and not module)
    only_below(start, start + 0x1000)


def only_module():
    """Those below the module's functions. To look for all of them takes seconds, so that is done
    once; the module may be somewhere else later, but is as long as it was."""
    global text_size
    with open("/sys/module/wireguard/sections/.text", encoding="ascii") as file:
        start = int(file.read(), 16)
    if not text_size:
        found = [address for address in symbols(lambda _, module: module == ["[wireguard]"])
                 if address >= start]
        text_size = max(found) + 0x4000 - start
    only_below(start, start + text_size)


def attempt(number, function, *args, **kwargs):
    """Calls a function while the allocation of that number is to fail. Says also whether there
    was such a one."""
    with open("/proc/thread-self/fail-nth", "r+b", buffering=0) as switch:
        switch.write(str(number).encode())
        try:
            answer = function(*args, **kwargs)
        finally:
            left = int(switch.read())
            switch.write(b"0")
    return answer, left == 0


def every_allocation(what, prepare, who, function, *args, effect, unchanged=None, also=(),
                     **kwargs):
    """Fails each allocation of an operation in turn. `prepare` makes the state that it starts
    from, `effect` says whether it was done, all of it; `also` are other errors that will do."""
    unchanged = unchanged or state
    problems = []
    failed = survived = 0
    for number in range(1, ENOUGH):
        prepare()
        before = unchanged()
        answer, hit = (who or run_here)(attempt, number, function, *args, **kwargs)
        if answer.errno:
            failed += 1
            after = unchanged()
            if answer.name not in (*NO_MEMORY, *also):
                problems.append(f"allocation {number}: {answer}")
            if before != after:
                problems.append(f"allocation {number}: {before} became {after}")
        elif not effect():
            problems.append(f"allocation {number}: not all of it was done: {unchanged()}")
        elif hit:
            survived += 1
        if not hit:
            break
    else:
        problems.append("there is no end to it")
    # An operation that never fails would mean that no fault was injected.
    check(not problems and failed, f"{what}: {failed} failures, {survived} survived", *problems[:5])


def run_here(function, *args, **kwargs):
    return function(*args, **kwargs)


# --- the world ----------------------------------------------------------------------

def udp(family, number):
    sock = socket.socket(family, socket.SOCK_DGRAM)
    os.dup2(sock.fileno(), number)
    sock.close()


def become_alice():
    with inside("other"):
        udp(socket.AF_INET, GOOD["other"][0])
        udp(socket.AF_INET6, GOOD["other"][1])
    actor.drop_user()
    udp(socket.AF_INET, GOOD["init"][0])
    udp(socket.AF_INET6, GOOD["init"][1])
    actor.new_namespaces()


def build():
    global alice, her_net, other, far_key
    sh("""
        ip netns add other
        ip netns add far
        ip link add out type veth peer name in netns far
        ip addr add 10.9.0.1/24 dev out
        ip link set out up
        ip -n other link add out type veth peer name in2 netns far
        ip -n other addr add 10.8.0.1/24 dev out
        ip -n other link set out up
        ip route add 10.7.0.2 via 10.9.0.2
        ip -n other route add 10.7.0.2 via 10.8.0.2
        ip -n far addr add 10.9.0.2/24 dev in
        ip -n far addr add 10.8.0.2/24 dev in2
        ip -n far addr add 10.7.0.2/32 dev lo
        ip -n far link set lo up
        ip -n far link set in up
        ip -n far link set in2 up
        ip -n far link add wg0 type wireguard
        ip -n far addr add 192.168.77.2/24 dev wg0
        ip -n far link set wg0 up
    """)
    with inside("far"):
        nl.wg_set("wg0", private_key=os.urandom(32), port=PORT).or_raise()
        far_key = nl.wg_get("wg0")["public_key"]
    alice = Actor(become_alice)
    her_net = alice.net()
    other = alice(os.open, "/run/netns/other", os.O_RDONLY)
    device()


def far_peer():
    return nl.peer(far_key, endpoint=("10.7.0.2", PORT), allowed=["192.168.77.0/24"])


def device():
    """A new wg0 for alice, its sockets in the initial netns."""
    alice(nl.link_del, "wg0")
    alice(nl.link_add, "wg0").or_raise()
    alice(nl.wg_set, "wg0", private_key=os.urandom(32), peers=[far_peer()]).or_raise()
    alice(nl.address_add, "wg0", "192.168.77.1/24").or_raise()
    move("init").or_raise()
    alice(nl.link_up, "wg0").or_raise()
    with inside("far"):
        nl.wg_set("wg0", flags=nl.REPLACE_PEERS,
                  peers=[nl.peer(get()["public_key"], allowed=["192.168.77.1/32"])]).or_raise()


def get():
    return alice(nl.wg_get, "wg0")


def move(where, **more):
    v4, v6 = GOOD[where]
    if where == "init":
        return alice(nl.wg_set, "wg0", netns_pid=1, credential4=v4, credential6=v6, **more)
    return alice(nl.wg_set, "wg0", netns_fd=other, credential4=v4, credential6=v6, **more)


def unchanging(shown):
    """What is shown of a device, without what changes by itself."""
    for one in shown["peers"].values():
        for changing in ("rx", "tx", "handshake", "endpoint"):
            one.pop(changing, None)
    return shown


def state():
    """Everything that a failed operation might have changed."""
    return {
        "device": unchanging(get()),
        "link": alice(nl.link_get, "wg0"),
        "sockets": [sorted(world.udp_sockets(net)) for net in (her_net, "init", "other")],
    }


def lives_in(net):
    port = get()["port"]
    return {(4, port), (6, port)} <= world.ports(net)


def pings():
    return ping(her_net, "192.168.77.2", count=3, interval=0.5) > 0


def links():
    return sorted(os.path.basename(p) for p in glob.glob("/sys/class/net/*"))


# --- what is asked for --------------------------------------------------------------

@scenario
def create():
    """ip link add"""
    def gone():
        nl.link_del("new0")
    # A device whose name the driver core found no memory for has none, it says.
    every_allocation("creating a device", gone, None, nl.link_add, "new0",
                     effect=lambda: "new0" in links(), unchanged=links, also=("EINVAL",))
    gone()


@scenario
def peers():
    """wg set with a key, peers and their allowed IPs, all of it or nothing"""
    new = [nl.peer(os.urandom(32), endpoint=("10.7.0.2", 7000 + n), keepalive=0,
                   allowed=[f"10.{n}.{m}.0/24" for m in range(8)] + [f"fd{n:02x}::/16"])
           for n in range(10, 14)]

    def only_far():
        alice(nl.wg_set, "wg0", private_key=os.urandom(32), flags=nl.REPLACE_PEERS,
              peers=[far_peer()]).or_raise()
    key = os.urandom(32)
    every_allocation("adding peers", only_far, alice, nl.wg_set, "wg0", private_key=key,
                     peers=new, effect=lambda: len(get()["peers"]) == 5)
    # The range of a peer that is there goes to one that is not.
    every_allocation("replacing peers", only_far, alice, nl.wg_set, "wg0", private_key=key,
                     flags=nl.REPLACE_PEERS, peers=new, effect=lambda: len(get()["peers"]) == 4)
    device()
    check(pings(), "the device works after that")


@scenario
def moves():
    """wg set with a transit netns, port and mark"""
    v4, v6 = GOOD["other"]

    def back():
        move("init", port=6000, fwmark=0).or_raise()
    every_allocation("a move", back, alice, nl.wg_set, "wg0", netns_fd=other, credential4=v4,
                     credential6=v6, effect=lambda: lives_in("other"))
    every_allocation("a move with port, mark, key and peer", back, alice, nl.wg_set, "wg0",
                     netns_fd=other, credential4=v4, credential6=v6, port=6001, fwmark=5,
                     private_key=os.urandom(32), peers=[nl.peer(os.urandom(32))],
                     effect=lambda: lives_in("other") and get()["port"] == 6001
                     and get()["fwmark"] == 5)
    device()
    back()
    v4, v6 = GOOD["init"]
    every_allocation("a change of port", back, alice, nl.wg_set, "wg0", port=6002,
                     credential4=v4, credential6=v6, effect=lambda: get()["port"] == 6002)
    back()
    check(pings(), "the device works after that")


@scenario
def up():
    """ip link set up"""
    def down():
        alice(nl.link_down, "wg0").or_raise()
    every_allocation("bringing a device up", down, alice, nl.link_up, "wg0",
                     effect=lambda: alice(nl.link_get, "wg0")["up"] and lives_in("init"))
    check(pings(), "the device works after that")


@scenario
def dumps():
    """wg show"""
    def show():
        try:
            return nl.Answer(replies=(unchanging(nl.wg_get("wg0")),))
        except OSError as error:
            return nl.Answer(error.errno)
    # The module makes none in a dump: netlink gives it the messages that it fills.
    only_function("netlink_dump")
    done = []
    whole = unchanging(get())
    for number in range(1, ENOUGH):
        with inside(her_net):
            answer, hit = attempt(number, show)
        short = not answer.errno and answer.replies != (whole,)
        done.append("short" if short else answer.name)
        if not hit:
            break
    check(set(done) <= {"OK", "ENOMEM", "ENOBUFS"} and done[-1] == "OK" and len(done) > 1,
          f"a dump fails cleanly or is whole: {len(done) - 1} allocations", done)


def load_module():
    return nl.Answer(world.load_module())


@scenario
def load():
    """modprobe and rmmod"""
    # Loading has thousands of allocations before the module has a say.
    sh("ip -n far link del wg0")
    alice(nl.link_del, "wg0")
    sh("rmmod wireguard")
    only_function("do_init_module")
    failed = []
    for number in range(1, ENOUGH):
        answer, hit = attempt(number, load_module)
        if answer.errno:
            failed.append(answer.name)
        else:
            unload_module().or_raise()
        if not hit:
            break
    check(failed and set(failed) <= set(NO_MEMORY) and number < ENOUGH - 1,
          f"loading the module: {len(failed)} of {number - 1} allocations failed it", failed)
    sh("modprobe wireguard")
    furnish()
    check(pings(), "it works when it is loaded again")


def unload_module():
    return nl.Answer(world.unload_module())


@scenario
def unload():
    """rmmod, of a module with devices that are up, which cannot fail"""
    sh("ip -n far link del wg0; ip netns add last")
    alice(nl.link_del, "wg0")
    unload_module().or_raise()
    problems = []
    for number in range(1, ENOUGH):
        load_module().or_raise()
        nl.forget_family()
        only_module()
        with inside("last"):
            nl.link_add("wg0").or_raise()
            nl.wg_set("wg0", private_key=os.urandom(32), peers=[
                nl.peer(os.urandom(32), endpoint=("10.7.0.2", PORT), allowed=["10.0.0.0/8"],
                        keepalive=1)]).or_raise()
            nl.link_up("wg0").or_raise()
        answer, hit = attempt(number, unload_module)
        if answer.errno or os.path.exists("/sys/module/wireguard"):
            problems.append(f"allocation {number}: {answer}")
            sh("rmmod wireguard")
        if not hit:
            break
    check(not problems and 1 < number < ENOUGH - 1,
          f"unloading survives that each of {number - 1} allocations fails", *problems[:5])
    sh("ip netns del last")
    sh("modprobe wireguard")
    furnish()
    check(pings(), "it works when it is loaded again")


def furnish():
    """All devices, of a module that was loaded just now."""
    global far_key
    nl.forget_family()
    only_module()
    sh("""ip -n far link add wg0 type wireguard
          ip -n far addr add 192.168.77.2/24 dev wg0
          ip -n far link set wg0 up""")
    with inside("far"):
        nl.wg_set("wg0", private_key=os.urandom(32), port=PORT).or_raise()
        far_key = nl.wg_get("wg0")["public_key"]
    alice(nl.forget_family)
    device()


@scenario
def handshakes():
    """handshakes and packets, at both ends"""
    for kind in KINDS:
        tell(kind, probability=100, times=0)
    recovered = []
    failed = 0
    # After so many bytes the next allocation fails, once.
    spaces = [*range(0, 4096, 256), *range(4096, 65536, 8192)]
    for space in spaces:
        device()
        for kind in KINDS:
            tell(kind, space=space, times=1)
        ping(her_net, "192.168.77.2", count=4, interval=0.1, timeout=0.3)
        failed += any(left(kind) == 0 for kind in KINDS)
        for kind in KINDS:
            tell(kind, space=0, times=0)
        # Whatever was lost: the next handshake does it.
        alice(nl.wg_set, "wg0", flags=nl.REPLACE_PEERS, peers=[far_peer()]).or_raise()
        recovered.append(pings())
    check(all(recovered), "one that fails somewhere is made up for", recovered)
    check(failed > len(spaces) // 2, f"and {failed} did fail")
    # And now all the time.
    many = 1_000_000
    for kind in KINDS:
        tell(kind, probability=20, times=many)
    ping(her_net, "192.168.77.2", count=100, interval=0.02)
    for _ in range(20):
        move("other")
        move("init")
    failed = sum(many - left(kind) for kind in KINDS)
    for kind in KINDS:
        tell(kind, probability=0)
    check(failed > 20, f"{failed} allocations fail")
    check(world.until(pings, 30), "one allocation in five fails, and afterwards all is well")


@scenario
def trains_out():
    """UDP GSO packets that leave, and packets that are encrypted together"""
    device()
    faults_trains.fail_each(faults_trains.OUT, her_net, "192.168.77.1", "far", "192.168.77.2", far_key)


@scenario
def trains_in():
    """UDP GSO packets that come in, merged segments, and packets that are decrypted together"""
    device()
    faults_trains.fail_each(faults_trains.IN, her_net, "192.168.77.1", "far", "192.168.77.2", far_key)


def reliable_memory():
    """Whatever a scenario that broke off has left on."""
    for kind in KINDS:
        tell(kind, probability=0)
    only_module()


only_module()
build()
tap.run(before_each=reliable_memory)
