# SPDX-License-Identifier: GPL-2.0
"""A request is carried out as a whole, and traffic goes on (rules 9 and 10)."""

import os
import socket
import struct
import time

import house
import netlink as nl
import world
from house import (PEER, WARNING, allowed, creds, device, free, get, handshake, holder, lives_in,
                   move, pings, refused, refused_raw, root_in, set_by, state)
from sockets import GOOD, OTHERS
from tap import check, scenario
from world import inside, ping, ports, sh


@scenario
def rule_9_all_or_nothing():
    """netns, port, mark and credentials are judged together, on what they lead to."""
    device(port=6040, fwmark=0)
    held = holder("other", 6041)
    refused("a port that is taken where the message leads", "EADDRINUSE", "taken",
            "Port 6041 is taken in the transit netns", "transit-netns", "other",
            "listen-port", 6041, "fwmark", 9, "transit-credentials", creds(OTHERS),
            "peer", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", "allowed-ips", "10.99.0.0/16")
    status, _, err = house.alice.wg("setconf", "wg0", "/dev/stdin", stdin=(
        "[Interface]\nListenPort = 6041\nFwMark = 9\nTransitNetns = other\n"
        f"TransitCredentials = {creds(OTHERS)}\n"))
    check(status == 1 and "Address already in use" in err and get()["port"] == 6040
          and lives_in("init", 6040) and pings(),
          "a configuration whose port is taken takes no peers away", err)
    free(held)
    held = holder("other", 6041, (6,))
    refused("a port that is taken for IPv6 only", "EADDRINUSE", "taken", "Port 6041 is taken",
            "transit-netns", "other", "listen-port", 6041, "transit-credentials", creds(OTHERS))
    check((4, 6041) not in ports("other"), "no socket for IPv4 is left behind")
    free(held)
    held = holder("init", 6042)
    refused("a port that is taken where the sockets are", "EADDRINUSE", "taken",
            "Port 6042 is taken", "listen-port", 6042, "transit-credentials", creds(GOOD))
    allowed("but free where the message leads", "transit-netns", "other", "listen-port", 6042,
            "fwmark", 8, "transit-credentials", creds(OTHERS), warning=WARNING)
    check(lives_in("other", 6042) is False and (4, 6042) in ports("other") and pings(),
          "all of it is done", state())
    free(held)
    refused("credentials of which one is good", "EPERM", "not in the transit netns",
            "must have been opened in it", "transit-netns", 1, "listen-port", 6043, "fwmark", 9,
            "transit-credentials", f"{GOOD[0]},{OTHERS[1]}")
    # What is wrong comes last: a known peer's range is to move to a new peer, the one after is of
    # another version of the protocol.
    other = nl.attr(1, os.urandom(32)) + nl.u32(10, 2)
    refused_raw("a move with a peer that is malformed", "EPFNOSUPPORT", "",
                private_key=os.urandom(32), netns_pid=1, credential4=GOOD[0],
                credential6=GOOD[1], port=6044,
                peers=[nl.peer(os.urandom(32), allowed=["0.0.0.0/0", "10.98.0.0/16"]),
                       nl.nest(0, other)])
    refused_raw("a new key with bad credentials", "EPERM", "not in the transit netns",
                private_key=os.urandom(32), flags=nl.REPLACE_PEERS, netns_pid=1,
                credential4=OTHERS[0], credential6=OTHERS[1])


@scenario
def rule_9_in_order():
    """What a message says of one peer twice is done in that order."""
    device()
    key = os.urandom(32)
    set_by(house.alice, peers=[nl.peer(key, allowed=["10.50.0.0/16"], keepalive=7)])
    set_by(house.alice, peers=[nl.peer(key, flags=1), nl.peer(key, allowed=["10.51.0.0/16"])])
    found = get()["peers"].get(key, {})
    check(found.get("allowed") == ["10.51.0.0/16"] and not any(found["keepalive"]),
          "a peer that is removed and added again is another one", found)
    set_by(house.alice, peers=[nl.peer(key, allowed=["10.52.0.0/16"]), nl.peer(key, flags=1)])
    check(key not in get()["peers"], "one that is changed and removed is gone", get())
    other = os.urandom(32)
    set_by(house.alice, peers=[nl.peer(key), nl.peer(key, flags=1), nl.peer(key), nl.peer(other),
                               nl.peer(other, flags=1)])
    check(key in get()["peers"] and other not in get()["peers"], "the last word counts", get())
    check(pings(), "the other peer is there all the time")


@scenario
def rule_10_make_before_break():
    """Sessions survive, traffic goes on, and what was received is not lost."""
    device()
    check(pings(), "a session is there")
    before = handshake(), handshake("far")
    for where in ("other", "init", "own", "other", "init"):
        move(where)
        if where != "own":
            check(pings(), f"after a move to {where} packets get through")
    check((handshake(), handshake("far")) == before and before[0][0][0] > 0,
          "with no handshake but the first", before, handshake())

    move("other")
    check(is_found(), "the peer finds the device at once, though that has nothing to send")
    move("init", port=6080)
    check(is_found(), "and after a change of port", get())

    root = root_in(house.her_net)
    other = root(os.open, "/run/netns/other", os.O_RDONLY)
    receiver, sender = one_way("far", PEER, house.her_net, 300)
    for number in range(300):
        sender.send(struct.pack("=I", number))
        if number % 30 == 15:
            set_by(root, **({"netns_fd": other} if number // 30 % 2 else {"netns_pid": 1}))
        time.sleep(0.002)
    got = drain(receiver, 300)
    check(len(got) == 300, "nothing that is sent across ten moves is lost", f"{len(got)} of 300")

    # Towards the device what has reached the old socket counts; so it is waited for.
    set_by(root, netns_pid=1)
    pings()
    receiver, sender = one_way(house.her_net, "192.168.77.1", "far", 200)
    start = received_in("init")
    for number in range(200):
        sender.send(struct.pack("=I", number))
    arrived = world.until(lambda: received_in("init") >= start + 200, 5, 0)
    set_by(root, netns_fd=other)
    got = drain(receiver, 200)
    check(arrived and len(got) == 200, "nothing that the old socket had received is lost",
          f"{len(got)} of 200")
    check(handshake() == before[0], "still with the first handshake")
    root.end()


def is_found():
    """Whether the peer's packets reach the device; what tells it where that is may be on its way."""
    return world.until(lambda: ping("far", "192.168.77.1", 0.3), 2)


def one_way(to, address, source, count):
    """A receiver in one netns and a sender to it in another."""
    with inside(to):
        receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        receiver.setsockopt(socket.SOL_SOCKET, 33, count * 4096)  # SO_RCVBUFFORCE
        receiver.bind((address, 0))
    with inside(source):
        sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sender.connect(receiver.getsockname())
    return receiver, sender


def drain(receiver, count):
    """What arrives, until all has or nothing more comes."""
    receiver.settimeout(1.5)
    got = set()
    try:
        while len(got) < count:
            got.add(receiver.recv(100))
    except TimeoutError:
        pass
    return got


def received_in(net):
    """Datagrams that the UDP sockets of a netns have received, each of a packet that is several."""
    with inside(net), open("/proc/self/net/snmp", encoding="ascii") as file:
        names, numbers = (line.split() for line in file if line.startswith("Udp:"))
    return int(numbers[names.index("InDatagrams")])


@scenario
def rule_10_pending_handshake():
    """A handshake that waits for its next try is sent again at once."""
    device(transit=False)
    check(not pings(timeout=0.5), "where packets cannot leave, no handshake completes")
    start = time.monotonic()
    move("init")
    good = pings(timeout=3.5)
    check(good, "the first ping after the move gets through",
          f"{time.monotonic() - start:.1f} s")
    device()
    sh("nft add rule inet watch out udp dport 5000 drop")
    try:
        check(not pings(timeout=0.5), "where packets are dropped, no handshake completes")
        move("other")
        check(pings(timeout=3.5), "the first ping after that move gets through")
    finally:
        sh("nft flush chain inet watch out")
        sh("nft 'add rule inet watch out udp dport 5000 meta mark 0 counter name none; "
           "add rule inet watch out udp dport 5000 meta mark 7 counter name seven; "
           "add rule inet watch out udp dport 5000 meta mark 8 counter name eight'")


@scenario
def rule_10_cached_source():
    """Cached sources and routes are dropped."""
    sh("ip -n far link set wg0 down; ip -n far link set wg0 up")
    device()
    check(pings(), "a session is there")
    endpoint = next(iter(get()["peers"].values()))["endpoint"]
    check(socket.inet_ntoa(endpoint[4:8]) == "10.7.0.2",
          "answers leave from the address that was asked", endpoint)
    device()
    pings()
    # Here the old source is an address too, but none that an answer would find.
    sh("ip -n other addr add 10.9.0.1/32 dev lo")
    try:
        move("other")
        check(pings(), "after the move answers find the way")
        with inside("far"):
            seen = next(iter(nl.wg_get("wg0")["peers"].values()))["endpoint"]
        check(socket.inet_ntoa(seen[4:8]) == "10.8.0.1", "the source is one of the new netns",
              seen)
    finally:
        sh("ip -n other addr del 10.9.0.1/32 dev lo")
    device(endpoint="fd07::2")
    check(pings(), "over IPv6 there is a session")
    move("other")
    check(pings(), "which survives a move")
    move("init")
    check(pings(), "and the move back")
