# SPDX-License-Identifier: GPL-2.0
"""What wg0 sends: each module's record of it, and the comparison.

Packets come in by a device with GRO, from where they are forwarded into the tunnel, so that they are the
same ones for both modules, byte for byte; datagrams are sent by UDP_SEGMENT as well. What leaves is
captured behind a cable that does not segment, and opened by the peer."""

import contextlib
import fcntl
import json
import os
import socket
import struct

import drawn
import house
import packets
from house import BEHIND, BEHIND6, SENDER, SENDER6
from packets import CWR, ECE, FIN, PSH
from tap import check, note
from world import sh

TUNSETIFF, IFF_TAP, IFF_NAPI, IFF_NO_PI = 0x400454ca, 0x2, 0x10, 0x1000
SOFTWARE, STACK, WHOLE = "cut and summed by the stack", "cut by the stack", "whole"
# The kinds of packets that are sent in every way.
SOME = ("TCP with timestamps", "TCP over IPv6", "UDP_SEGMENT", "one by one")
# Kinds whose flow changes after every three packets.
ALTERNATING = ("one by one, by two sockets", "one by one, to two ports",
               "one by one, by two sockets of one port", "one by one, of two priorities")
SO_REUSEPORT, SO_PRIORITY = 15, 12


class Source:
    """A device whose NAPI merges what is written to it, as that of a NIC does. It polls in a thread, which
    runs when all has been written."""

    def __init__(self):
        self.fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        fcntl.ioctl(self.fd, TUNSETIFF, struct.pack("16sH22x", b"source",
                                                    IFF_TAP | IFF_NAPI | IFF_NO_PI))
        sh("""
            ip link set source up address 02:00:00:00:00:01
            ip addr add 192.168.90.1/24 dev source
            ip addr add fd90::1/64 dev source nodad
            echo 1 >/sys/class/net/source/threaded
        """)
        threads = [pid for pid in os.listdir("/proc") if pid.isdigit()
                   and open(f"/proc/{pid}/comm", encoding="ascii").read().startswith("napi/source")]
        for pid in threads:
            os.sched_setaffinity(int(pid), {0})

    def write(self, batch):
        cpus = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {0})
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
        for packet in batch:
            kind = b"\x86\xdd" if packet[0] >> 4 == 6 else b"\x08\0"
            os.write(self.fd, bytes((2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2)) + kind + packet)
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
        os.sched_setaffinity(0, cpus)

    def close(self):
        os.close(self.fd)


def streams():
    """What is sent, and what it is to show."""
    stamp = packets.stamps(1000, 7)
    v4, v6 = (SENDER, BEHIND), (SENDER6, BEHIND6)
    full = 1368
    return {
        "TCP with timestamps": packets.stream(*v4, [full] * 12 + [777], options=stamp),
        "TCP without options": packets.stream(*v4, [1380] * 12 + [1]),
        "TCP, a FIN": packets.stream(*v4, [full] * 9 + [100], options=stamp, last=FIN | PSH),
        "TCP, the last as long as the others": packets.stream(*v4, [full] * 10, options=stamp),
        "TCP, with CWR first": packets.stream(*v4, [full] * 10, options=stamp, first=CWR, tos=2),
        "TCP, CWR on all": packets.stream(*v4, [full] * 10, options=stamp, tos=2,
                                          flags=packets.ACK | CWR),
        "TCP with ECE": packets.stream(*v4, [full] * 8, flags=packets.ACK | ECE, tos=1),
        "TCP, congestion experienced": packets.stream(*v4, [full] * 8, tos=0xb8 | 3),
        "TCP with a DSCP": packets.stream(*v4, [full] * 8, tos=0xb8),
        "TCP with one ID": packets.stream(*v4, [full] * 10, step=0),
        "TCP, small segments": packets.stream(*v4, [33] * 40),
        "TCP over IPv6": packets.stream(*v6, [1348] * 12 + [500], options=stamp, flow=0x12345),
        "TCP over IPv6, ECN and a FIN": packets.stream(*v6, [1340] * 9 + [3], tos=0x2a, last=FIN),
        "two flows in turn": [packet for pair in zip(
            packets.stream(*v4, [full] * 10), packets.stream(*v4, [full] * 10, ports=(40001, 5001)))
                              for packet in pair],
        "datagrams": [packets.udp(*v4, packets.content(n * 500, 500), ident=n) for n in range(15)],
    }


def trains():
    """Datagrams that are sent by UDP_SEGMENT: to whom, how long each is, how long all are."""
    return {"UDP_SEGMENT": (BEHIND, 500, 500 * 20 + 33),
            "UDP_SEGMENT, full ones": (BEHIND, 1392, 1392 * 30),
            "UDP_SEGMENT over IPv6": (BEHIND6, 1000, 1000 * 12 + 1),
            "UDP_SEGMENT, tiny ones": (BEHIND, 1, 40)}


def send_train(target, size, total):
    v6 = ":" in target
    with socket.socket(socket.AF_INET6 if v6 else socket.AF_INET, socket.SOCK_DGRAM) as sock:
        if not v6:
            # With DF, so that they have no IDs but those that count up within.
            sock.setsockopt(socket.IPPROTO_IP, 10, 2)
        sock.bind(("", 41000))
        sock.sendmsg([packets.content(0, total)], [(socket.IPPROTO_UDP, 103, struct.pack("=H", size))],
                     0, (target, 7000))


def singles():
    """Datagrams that are sent one by one: by which socket, with which DS field, how long, and to
    which port, with which priority."""
    return {"one by one": [(0, 0, 700)] * 20,
            "one by one, ECN changes": [(0, 2 * (n // 5 % 2), 700) for n in range(20)],
            "one by one, of many lengths": [(0, 0, 500 + n // 4) for n in range(24)],
            "one by one, by two sockets": [(n // 3 % 2, 0, 700) for n in range(20)],
            "one by one, to two ports": [(0, 0, 700, 7000 + n // 3 % 2) for n in range(20)],
            "one by one, by two sockets of one port": [(n // 3 % 2 * 2, 0, 700) for n in range(20)],
            "one by one, of two priorities": [(0, 0, 700, 7000, n // 3 % 2) for n in range(20)],
            "one by one, full ones": [(0, 0, 1392)] * 30,
            "one by one, nothing in them": [(0, 0, 0)] * 20}


def send_singly(datagrams):
    """Sends datagrams one by one, before the first of them is encrypted."""
    with house.one_cpu(), contextlib.ExitStack() as stack:
        socks = []
        for port in (41001, 41002, 41001):
            sock = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            sock.setsockopt(socket.SOL_SOCKET, SO_REUSEPORT, 1)
            sock.bind(("", port))
            # With DF and not connected, so that they have no IDs.
            sock.setsockopt(socket.IPPROTO_IP, 10, 2)
            socks.append(sock)
        with house.before_all_work():
            for number, (which, tos, size, *more) in enumerate(datagrams):
                to, priority = (*more, *(7000, 0)[len(more):])
                socks[which].setsockopt(socket.IPPROTO_IP, socket.IP_TOS, tos)
                # That sets the priority, too.
                socks[which].setsockopt(socket.SOL_SOCKET, SO_PRIORITY, priority)
                socks[which].sendto(packets.content(number * size, size), (BEHIND, to))


def describe(seen, counter, plain):
    """What of a packet on the wire has to be as another module makes it."""
    udp_len, = struct.unpack_from(">H", seen.body, 4)
    return [len(seen.packet), seen.tos, seen.ttl, seen.fragment, udp_len, seen.sums_are_right(),
            seen.partial, counter, plain.hex()]


def observe(behind, peer, count, send):
    """What passes the cable until so many data messages with a content have, and how many came as one
    at most."""
    behind.clear()
    result, idents, largest = [], [], 0
    send()

    def wanted(seen):
        nonlocal largest
        if seen.outgoing or seen.protocol != 17 or seen.ports[0] != house.PORT:
            return False
        size = seen.gso_size or len(seen.payload)
        for start in range(0, len(seen.payload), size):
            opened = peer.open(seen.payload[start:start + size])
            if opened is None:
                raise ValueError("what left is not authentic")
            if opened[1]:
                result.append(describe(seen, *opened))
                idents.append(seen.ident)
        largest = max(largest, seen.segments)
        return True
    behind.collect(lambda _: len(result) >= count, wanted=wanted)
    for packet in result[1:]:
        packet[7] -= result[0][7]
    if result:
        result[0][7] = 0
    return result, idents, largest


def record(path):
    """Writes down what the module sends."""
    source = Source()
    found, idents, largest = {}, {}, {}
    inputs = streams()
    for version, how in ((4, SOFTWARE), (6, SOFTWARE), (4, STACK), (6, STACK), (4, WHOLE)):
        off = {SOFTWARE: {"tx_udp_segmentation": False, "tx_checksum_ip_generic": False},
               STACK: {"tx_udp_segmentation": False}, WHOLE: {}}[how]
        kinds = {name: (len(batch), lambda batch=batch: source.write(batch))
                 for name, batch in inputs.items()}
        kinds |= {name: (-(-total // size), lambda words=(target, size, total): send_train(*words))
                  for name, (target, size, total) in trains().items()}
        kinds |= {name: (len(batch), lambda batch=batch: send_singly(batch))
                  for name, batch in singles().items()}
        if (version, how) != (4, SOFTWARE):
            kinds = {name: kinds[name] for name in (*SOME, *ALTERNATING)}
        with house.peer(version) as peer, house.features("out", **off) as came, \
                house.capture("in", "far") as behind:
            found[f"the cable: {how}, IPv{version}"] = came
            if (version, how) == (4, SOFTWARE):
                found |= drawn.record(source, lambda *kind, behind=behind, peer=peer: observe(
                    behind, peer, *kind)[0], peer.connect)
            for name, kind in kinds.items():
                seen, ids, most = observe(behind, peer, *kind)
                largest[how] = max(largest.get(how, 0), most)
                if how == WHOLE:
                    largest[name] = most
                else:
                    what = f"{name}, by IPv{version}, {how}"
                    found[what], idents[what] = seen, ids
    source.close()
    with open(path, "w", encoding="ascii") as file:
        json.dump([found, idents, largest], file)


def compare(intree, ours):
    """Checks that what both have sent is the same."""
    with open(intree, encoding="ascii") as file:
        theirs, _, their_largest = json.load(file)
    with open(ours, encoding="ascii") as file:
        own, idents, largest = json.load(file)
    note(f"datagrams in the largest UDP GSO packet: {largest}")
    check(their_largest[WHOLE] == 1, "the in-tree module sends no UDP GSO packets", their_largest)
    check(min(largest[name] for name in SOME) >= 12, "ours does", largest)
    for name in ALTERNATING:
        check(largest[name] == 3, f"{name}: of one flow each", largest)
    check(largest[SOFTWARE] == largest[STACK] == 1, "the cable carries none where it is not to", largest)
    drawn.compare(theirs, own)
    inputs = streams()
    for name, seen in theirs.items():
        mine = own[name]
        if name.startswith("drawn"):
            continue
        if name.startswith("the cable"):
            check(seen and mine, f"the cable was set as it should be: {name}")
            continue
        differing = [n for n, (a, b) in enumerate(zip(seen, mine)) if a != b]
        check(seen == mine and seen, f"{name}: the same on the wire",
              f"{len(seen)} packets, and {len(mine)}", f"different: {differing}",
              *((seen[differing[0]], mine[differing[0]]) if differing else ()))
        if SOFTWARE in name:
            check(all(packet[5] and not packet[6] for packet in mine), f"{name}: the sums are right")
        if "UDP_SEGMENT" in name and "by IPv4" in name:
            check([ident - idents[name][0] & 0xffff for ident in idents[name]]
                  == list(range(len(mine))), f"{name}: the IDs count up", idents[name])
        batch = inputs.get(name.split(", by IPv")[0])
        if batch:
            # But for the TTL that the router takes.
            expected = [packets.forwarded(packet) for packet in batch]
            came = [bytes.fromhex(packet[8]) for packet in mine]
            if "in turn" in name:
                # Each flow is in order.
                expected.sort(key=lambda packet: packet[20:24])
                came.sort(key=lambda packet: packet[20:24])
            came = [got[:len(packet)] for got, packet in zip(came, expected)]
            check(came == expected, f"{name}: what went in is what came out, byte for byte",
                  next(((a.hex(), b.hex()) for a, b in zip(came, expected) if a != b), len(came)))
