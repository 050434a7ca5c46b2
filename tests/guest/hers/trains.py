# SPDX-License-Identifier: GPL-2.0
"""UDP GSO packets of a tunnel with bought sockets are hers as well: what rules by her uid or cgroup sees
them as they are, and her send buffer bounds them."""

import contextlib
import re
import socket
import struct
import time

import bpf
import house
import world
from amounts import slow_link, sndbuf, watch
from bpf import attached
from house import BOTH, CGROUPS, HERS, INSIDE, NAMES, PORT, all_go_on, nft
from programs import with_bpf
from tap import check, note, scenario, skip
from world import inside, sh

UDP_SEGMENT = 103
# A train is longer than any one datagram of it could be, and than what tells that it is over.
DATAGRAMS, SIZE, LONG = 20, 1000, 3000
TRAINS = 5
HER_CGROUP = f"{CGROUPS}/{HERS}"


def send_train(sock, address, datagrams=DATAGRAMS):
    sock.sendmsg([bytes(SIZE) * datagrams], [(socket.IPPROTO_UDP, UDP_SEGMENT, struct.pack("=H", SIZE))],
                 0, address)


def through(source, target, address):
    """How many datagrams of some trains arrive; None if not even single ones do."""
    with inside(target):
        receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with inside(source):
        sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with receiver, sender:
        receiver.setsockopt(socket.SOL_SOCKET, 33, 4 << 20)  # SO_RCVBUFFORCE
        receiver.bind((address, 0))
        receiver.settimeout(0.5)
        for _ in range(TRAINS):
            send_train(sender, receiver.getsockname())
        arrived, end = 0, time.monotonic() + 15
        while time.monotonic() < end:
            sender.sendto(b"end", receiver.getsockname())
            with contextlib.suppress(TimeoutError):
                while (data := receiver.recv(2048)) != b"end":
                    arrived += len(data) == SIZE
                return arrived
        return None


def out(family):
    return through(house.alice.net, "far", f"{INSIDE[family]}.2")


def back(family):
    return through("far", house.alice.net, f"{INSIDE[family]}.1")


def are_stopped(what, rule, way):
    """A rule about long packets stops trains and nothing else."""
    for family in BOTH:
        with rule():
            hers = way(family)
            other = through(house.ordinary, "far", f"{INSIDE[family]}.2")
        check(hers == 0, f"{what} stops long packets of hers, and short ones go on, {NAMES[family]}", hers)
        check(other == TRAINS * DATAGRAMS, f"{what} stops none of root's, {NAMES[family]}", other)


@scenario
def trains():
    """Rules for her uid see UDP GSO packets"""
    house.alice.device()
    all_go_on(house.alice)
    for family in BOTH:
        check(out(family) == back(family) == TRAINS * DATAGRAMS,
              f"trains get through both ways, {NAMES[family]}")
    are_stopped("a rule for her uid", lambda: nft(f"meta skuid 1000 meta length > {LONG} drop"), out)
    with nft(f"meta skuid 1001 meta length > {LONG} drop"):
        check(out(4) == TRAINS * DATAGRAMS, "a rule for another's uid stops none")


@with_bpf
def trains_programs():
    """Programs of her cgroup see UDP GSO packets, on their way out and in"""
    house.alice.device()
    all_go_on(house.alice)
    for kind, name, way in ((bpf.EGRESS, "egress", out), (bpf.INGRESS, "ingress", back)):
        are_stopped(f"an {name} program of her cgroup that drops long packets",
                    lambda kind=kind: attached(HER_CGROUP, (kind, bpf.drops_longer(LONG))), way)
        with attached(f"{CGROUPS}/users/bob", (kind, bpf.drops_longer(LONG))):
            check(way(4) == TRAINS * DATAGRAMS, f"an {name} program of the cgroup beside hers stops none")


def send_fast(address, seconds):
    """Sends trains by several sockets as fast as that goes; how many datagrams that was."""
    socks = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(8)]
    sent, end = 0, time.monotonic() + seconds
    while time.monotonic() < end:
        for sock in socks:
            sock.setblocking(False)
            with contextlib.suppress(OSError):
                send_train(sock, (address, 9), 40)
                sent += 40
        time.sleep(0.001)
    for sock in socks:
        sock.close()
    return sent


@scenario
def trains_slow():
    """What waits for a slow link in UDP GSO packets is bounded by her socket's buffer"""
    if not house.has_module("sch_tbf"):
        skip("a slow link", "this kernel has none")
        return
    her = house.alice
    her.device()
    all_go_on(her)
    for family in BOTH:
        with slow_link("2mbit"):
            her.owner.start(send_fast, f"{INSIDE[family]}.2", 0.8)
            queued, held = watch(her.owner)
            sent = her.owner.result()
            note(f"{NAMES[family]}: of {sent * SIZE} bytes {queued} have waited, her socket held {held}")
            check(20000 < held <= 2 * sndbuf(), f"her socket holds no more than its buffer, "
                  f"{NAMES[family]}", held, sndbuf())
            check(queued <= 2 * sndbuf(), f"nor does the queue, {NAMES[family]}", queued)
            sh("tc qdisc change dev out root tbf rate 1gbit burst 64k limit 64m")

            def empty():
                return set(re.findall(r"skmem:\(.*?,t(\d+)", sh(f"ss -Huanm sport = :{PORT}"))) == {"0"}
            check(world.until(empty, 20), f"and nothing when all has left, {NAMES[family]}",
                  sh(f"ss -Huanm sport = :{PORT}"))
    found = all_go_on(her)
    check(found == house.EVERYTHING, "then all goes on", found)
