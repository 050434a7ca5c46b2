# SPDX-License-Identifier: GPL-2.0
"""What sockets cost, and who pays: memory of her cgroup, and of queues that wait for a slow link."""

import contextlib
import os
import re
import socket
import time
from typing import NamedTuple

import house
import netlink as nl
import world
from house import AF, BOTH, FAR, INSIDE, NAMES, PORT, User, all_go_on, make_cgroup
from stream import Stream
from tap import check, note, scenario, skip
from world import inside, sh

DEVICES = 50


# --- her cgroup -----------------------------------------------------------------------------

# What is not much is added up that often only.
FLUSH = 2.2


def memory(*cgroups):
    """What the kernel has in memory for cgroups, in bytes."""
    time.sleep(FLUSH)
    found = []
    for cgroup in cgroups:
        with open(f"{cgroup}/memory.stat", encoding="ascii") as file:
            figures = {words[0]: int(words[1]) for words in map(str.split, file)}
        found.append(figures["slab"] + figures["sock"])
    return found


def settled(wanted, *cgroups):
    """The same, as soon as it is as wanted: on a busy machine it takes longer to be added up."""
    for _ in range(15):
        found = memory(*cgroups)
        if wanted(*found):
            break
    return found


_many = []


def open_many(count):
    """Opens UDP sockets, bound as a device's are."""
    for number in range(count):
        sock = socket.socket(AF[BOTH[number % 2]], socket.SOCK_DGRAM)
        sock.bind(("", 0))
        _many.append(sock)


def make_many(count):
    for number in range(count):
        nl.link_add(f"many{number}").or_raise()


def buy_many(count):
    return [nl.wg_set(f"many{number}", netns_pid=1, **house.proof()).name
            for number in range(count)]


@scenario
def charged():
    """Bought sockets are charged to her memory cgroup as her own are."""
    plain, bought = make_cgroup("users/plain"), make_cgroup("users/bought")
    if not os.path.exists(f"{plain}/memory.stat"):
        skip("memory", "this kernel has no memory cgroups")
        return
    # Beside each other, for the kernel takes its time until it says what has changed.
    with User(cgroups=(bought,), as_program=lambda uid, _: house.become_program(uid, (plain,))) \
            as her:
        her.owner(make_many, DEVICES)
        before = memory(plain, bought)
        her.program(open_many, 2 * DEVICES)
        answers = her.owner(buy_many, DEVICES)
        least = 2 * DEVICES * 1000
        after = settled(lambda own, of_bought: own - before[0] > least
                        and of_bought - before[1] > (own - before[0]) * 0.7, plain, bought)
        check(set(answers) == {"OK"}, f"{DEVICES} devices get their sockets", answers)
        cost, cost_of_bought = (now - then for now, then in zip(after, before))
        note(f"{2 * DEVICES} sockets of hers cost {cost} bytes, those of {DEVICES} devices "
             f"{cost_of_bought}")
        check(cost > least, "what her own sockets cost is told", cost)
        check(cost_of_bought > cost * 0.7, "bought ones cost her as much", cost, cost_of_bought)
    left = settled(lambda now: now - before[1] < cost // 4, bought)[0] - before[1]
    check(left < cost // 4, "and nothing when they have gone", before, left)


# --- a slow link ------------------------------------------------------------------------------

@contextlib.contextmanager
def slow_link(rate):
    """Everything that leaves the initial netns waits for its turn. The queue has room for more than any
    one socket may have in it."""
    sh(f"tc qdisc add dev out root tbf rate {rate} burst 4k limit 64m")
    try:
        yield
    finally:
        sh("tc qdisc del dev out root")


def backlog():
    """Bytes that wait in it."""
    text = sh("tc -s qdisc show dev out")
    number, unit = re.search(r"backlog (\d+)(K|M)?b", text).groups()
    return int(number) << {None: 0, "K": 10, "M": 20}[unit]


def send_fast(kind, address, port, seconds, sockets):
    """Sends by so many sockets whatever can be sent; how many packets that was."""
    socks = [socket.socket(kind, socket.SOCK_DGRAM) for _ in range(sockets)]
    data = bytes(1200)
    sent = 0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for sock in socks:
            with contextlib.suppress(OSError):
                for _ in range(10):
                    sock.sendto(data, socket.MSG_DONTWAIT, (address, port))
                    sent += 1
        time.sleep(0.001)
    for sock in socks:
        sock.close()
    return sent


class Peak(NamedTuple):
    """What becomes of what somebody sends fast."""
    queued: int  # the most bytes that have waited in the queue
    held: int  # and in the tunnel's sockets
    sent: int  # packets
    arrived: int


def peak(who, kind, address, sockets, seconds=0.8):
    """Has somebody send fast over a slow link, which is none any more when that is done."""
    with inside("far"):
        receiver = socket.socket(kind, socket.SOCK_DGRAM)
    receiver.setsockopt(socket.SOL_SOCKET, 33, 16 << 20)  # SO_RCVBUFFORCE
    receiver.bind((address, 0))
    with receiver, slow_link("2mbit"):
        who.start(send_fast, kind, address, receiver.getsockname()[1], seconds, sockets)
        queued, held = watch(who)
        sh("tc qdisc change dev out root tbf rate 1gbit burst 64k limit 64m")
        sent, arrived = who.result(), 0
        receiver.settimeout(1)
        with contextlib.suppress(TimeoutError):
            while arrived < sent:
                receiver.recv(2000)
                arrived += 1
        return Peak(queued, held, sent, arrived)


def watch(who):
    """The most that waits, up to the end of what somebody does."""
    queued, held = 0, 0
    while not who.has_answered():
        queued = max(queued, backlog())
        text = sh(f"ss -Huanm sport = :{PORT}")
        held = max([held, *(int(number) for number in re.findall(r"skmem:\(.*?,t(\d+)", text))])
    return queued, held


def sndbuf():
    with open("/proc/sys/net/core/wmem_default", encoding="ascii") as file:
        return int(file.read())


@scenario
def slow():
    """What waits for a slow link is bounded by the socket's buffer, as her program's is."""
    if not house.has_module("sch_tbf"):
        skip("a slow link", "this kernel has none")
        return
    her = house.alice
    her.device()
    all_go_on(her)
    limit = sndbuf()
    for family in BOTH:
        plain = peak(her.program, AF[family], FAR[family][0], 1)
        tunnel = peak(her.owner, socket.AF_INET, f"{INSIDE[family]}.2", 8)
        note(f"{NAMES[family]}: {plain.queued} bytes of her program's have waited, {tunnel.queued} of "
             f"the tunnel's; its socket held {tunnel.held}, and may hold {limit}")
        # Where the kernel checks all that it does, a packet has left before the next comes.
        least = -1 if world.debugs() else 20000
        check(least < plain.queued <= limit, f"the queue holds a buffer's worth of her program's, "
              f"{NAMES[family]}", plain, limit)
        check(20000 < tunnel.queued <= 2 * limit, f"and of the tunnel's, whoever sends through it, "
              f"{NAMES[family]}", tunnel, limit)
        check(tunnel.held <= 2 * limit, f"that is what its socket holds, {NAMES[family]}", tunnel,
              limit)
        check(plain.arrived == plain.sent, f"what her program was let send arrives, {NAMES[family]}",
              plain)
        check(tunnel.arrived == tunnel.sent, f"who sends by the tunnel is held back as well, so that "
              f"nothing is lost, {NAMES[family]}", tunnel)
        found = all_go_on(her)
        check(found == house.EVERYTHING, f"then all goes on, {NAMES[family]}", found)


@scenario
def slow_stream():
    """TCP over a slow link arrives as it was sent."""
    if not house.has_module("sch_tbf"):
        skip("a slow link", "this kernel has none")
        return
    her = house.alice
    her.device()
    all_go_on(her)
    with slow_link("16mbit"):
        running = [Stream(f"over a slow link and {NAMES[family]}", her.net, "far",
                          f"{INSIDE[family]}.2", 0) for family in BOTH]
        queued = 0
        end = time.monotonic() + 1.5
        while time.monotonic() < end:
            queued = max(queued, backlog())
        counts = [one.count() for one in running]
        check(all(count > 100000 for count in counts), "TCP gets through a slow link", counts)
        check(queued <= 4 * sndbuf(), "and does not fill its queue", queued, sndbuf())
        for one in running:
            one.finish()
