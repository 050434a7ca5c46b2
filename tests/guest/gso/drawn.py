# SPDX-License-Identifier: GPL-2.0
"""Packets that are drawn at random, and what becomes of them: next to what the kernel's own segmentation
and GRO make of the same ones.

SEED chooses others than those of each run, SERIES is how many series of packets there are each way.
"""

import contextlib
import itertools
import os
import random
import select
import socket
import struct

import house
import packets
from house import BEHIND, BEHIND6, HERE, HERE6, PEER, PEER6, SENDER, SENDER6
from packets import ACK, CWR, ECE, FIN, PSH
from tap import check, note, scenario, skip
from world import debugs

SEED = int(os.environ.get("SEED") or 1)
SERIES = int(os.environ.get("SERIES") or 40)
SYN, RST, URG = 0x02, 0x04, 0x20
# What fits through the tunnel in one piece.
MTU = 1420
# Bytes that one flow of a series has: it is one packet, if all goes well.
FLOW_BYTES = 45000
# What packets are decrypted to at once, and what of it there is around each: a run ends where that does.
PAGE, AROUND = 32768, 64
# Bytes of the largest train.
TRAIN = 65507
# Packets that NAPI polls for at once, and datagrams of a train.
MOST = 60
IP_TOS, IP_TTL, IP_OPTIONS, IP_MTU_DISCOVER = 1, 2, 4, 10
IPV6_TCLASS, IPV6_UNICAST_HOPS = 67, 16


def repeats(number):
    """How a series can be had again."""
    return f"SEED={SEED}, series {number}"


def _options(rng):
    """TCP options, of which GRO wants to know only whether they are the same."""
    return rng.choice((b"", b"", packets.stamps(rng.randrange(1 << 32), rng.randrange(1 << 32)),
                       b"\1" * 4 * rng.randint(1, 10),
                       packets.stamps(7, 8) + b"\1\1\5\x0a" + rng.randbytes(8)))


def _differently(rng, words, size, alone, step):
    """Changes one thing about a segment; the bytes that the sequence goes on by besides its payload, and
    the size that the segment has then."""
    what = rng.choice(("push", "fin", "tos", "ttl", "df", "ident", "ack", "window", "echo", "reduced",
                       "options", "gap", "back", "longer", "shorter", "empty", "urgent", "syn", "reset",
                       "flow"))
    if what in ("push", "fin", "urgent", "syn", "reset"):
        words["flags"] |= {"push": PSH, "fin": FIN, "urgent": URG, "syn": SYN, "reset": RST}[what]
    elif what in ("echo", "reduced"):
        words["flags"] ^= {"echo": ECE, "reduced": CWR}[what]
    elif what == "tos":
        words["tos"] ^= 1 << rng.randrange(8)
    elif what == "ttl":
        words["ttl"] ^= 1
    elif what == "df":
        words["fragment"] ^= 0x4000
    elif what == "ident":
        # See flow().
        words["ident"] += rng.choice((1, 2, 0x8000, -1 if alone else 1)) * step
    elif what == "ack":
        words["acknowledged"] += 1
    elif what == "window":
        words["window"] += 1
    elif what == "flow":
        words["flow"] ^= 1
    elif what == "options" and words["options"]:
        words["options"] = words["options"][:-1] + bytes([words["options"][-1] ^ 1])
    elif what in ("gap", "back"):
        return {"gap": 1, "back": -1}[what], size
    elif what == "longer":
        # What is shorter may follow, but no packet that was merged: see flow().
        return 0, size + alone
    elif what in ("shorter", "empty"):
        return 0, rng.randint(1, size) if what == "shorter" else 0
    return 0, size


def flow(rng, ends4, ends6, ports, most, alone):
    """Segments of one TCP stream, most of which continue the one before."""
    v6 = rng.random() < 0.4
    words = {"options": _options(rng), "ports": ports, "tos": rng.choice((0, 0, 2, 1, 0xb8, 0xba, 3)),
             "ttl": rng.choice((64, 64, 3, 255, 128)), "flow": rng.choice((0, 0x12345)),
             "fragment": rng.choice((0x4000, 0x4000, 0)), "ident": rng.choice((0, 0xfff0, 77)),
             "acknowledged": rng.randrange(1 << 31), "window": rng.randrange(1 << 15),
             "flags": ACK | rng.choice((0, 0, 0, ECE, CWR, ECE | CWR))}
    # A run ends with another flow's packet, and the stack has to merge it with the next one of the flow. That
    # all segments of a packet have one ID is lost on it: it takes such a packet for one whose IDs count up.
    step = rng.choice((1, 1, 1, 0)) if alone else 1
    room = MTU - (60 if v6 else 40) - len(words["options"])
    size = rng.choice((room, room, room, room - 1, 1000, 536, rng.randint(1, room), rng.randint(1, 40)))
    count = min(rng.choice((rng.randint(1, 5), rng.randint(2, most), most)), most,
                max(FLOW_BYTES // size, 1))
    sequence = rng.choice((rng.randrange(1 << 32), 0xfffff000))
    wild = rng.choice((0, 0, 0.03, 0.2))
    found = []
    for number in range(count):
        this, length = dict(words), size
        if number == 0 and rng.random() < 0.15:
            this["flags"] |= CWR
        if number + 1 == count:
            length = rng.choice((size, rng.randint(1, size)))
            this["flags"] |= rng.choice((0, PSH, PSH, FIN | PSH, FIN))
        if rng.random() < wild:
            skipped, length = _differently(rng, this, length, alone, step)
            sequence += skipped
            length = min(length, room)
            if rng.random() < 0.4:
                # From here on
                words |= {name: value for name, value in this.items() if name != "flags"}
        this["ident"] += step * number
        found.append(packets.tcp(*(ends6 if v6 else ends4), sequence,
                                 packets.content(sequence % 60000, length), **this))
        sequence += length
    return found


def series(number, ends4, ends6):
    """A series of packets: a flow, or some whose packets are between each other's."""
    rng = random.Random(f"{SEED} {number}")
    several = rng.choice(((44,), (44,), (44,), (20, 20), (15, 15, 15)))
    more = rng.random() < 0.2
    flows = [flow(rng, ends4, ends6, (rng.randint(1024, 60000), 5001 + at), most,
                  len(several) == 1 and not more) for at, most in enumerate(several)]
    if more:
        flows.append([packets.udp(*ends4, rng.randbytes(rng.randint(0, 1300)), ident=at)
                      for at in range(5)])
    found = []
    chunk = rng.choice((1, 3, 100))
    while any(flows):
        for one in flows:
            found += one[:chunk]
            del one[:chunk]
    return found[:MOST]


def flow_of(packet):
    """What tells flows apart for GRO, which keeps the order within them only."""
    if packet[0] >> 4 == 6:
        return packet[1:4] + packet[6:7] + packet[8:44]
    return packet[9:10] + packet[12:24]


# --- out: datagrams that are sent by UDP_SEGMENT --------------------------------------------

def train(number):
    """A socket's options, and how it sends: to which address family, how long each, how long all."""
    rng = random.Random(f"{SEED} train {number}")
    v6 = rng.random() < 0.4
    options = []
    if v6:
        options += [(41, IPV6_TCLASS, rng.choice((0, 2, 0xb8))), (41, IPV6_UNICAST_HOPS, rng.choice((64, 3)))]
        room = MTU - 48
    else:
        more = b"\1" * 4 * rng.choice((0, 0, 1, 3, 10))
        options += [(0, IP_TOS, rng.choice((0, 2, 0xb8))), (0, IP_TTL, rng.choice((64, 3, 255))),
                    (0, IP_MTU_DISCOVER, rng.choice((2, 2, 0)))]
        if more:
            options.append((0, IP_OPTIONS, more))
        room = MTU - 28 - len(more)
    size = rng.choice((room, room, 1000, rng.randint(1, room), rng.randint(1, 40)))
    count = rng.randint(2, max(2, min(MOST, 60000 // size)))
    return v6, options, size, size * (count - 1) + rng.choice((size, rng.randint(1, size)))


def send_train(number, target, target6):
    """Sends such datagrams."""
    v6, options, size, total = train(number)
    with socket.socket(socket.AF_INET6 if v6 else socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("", 41003))
        for level, name, value in options:
            sock.setsockopt(level, name, value)
        sock.sendmsg([packets.content(number, total)], [(socket.IPPROTO_UDP, 103, struct.pack("=H", size))],
                     0, (target6 if v6 else target, 7000))


def without_ids(plain):
    """IPv4 packets of a train, of which the stack draws the first ID: how far each is behind that, and
    whether the header's checksum is right."""
    found, first = [], None
    for packet in plain:
        if packet[0] >> 4 == 4:
            ident, size = struct.unpack_from(">H", packet, 4)[0], (packet[0] & 15) * 4
            first = ident if first is None else first
            found.append([ident - first & 0xffff, packets.folded(packet[:size]) == 0xffff,
                          (packet[:4] + packet[6:10] + packet[12:]).hex()])
        else:
            found.append(packet.hex())
    return found


def record(source, observe, renew):
    """Sends such packets; what is seen of each series, by name."""
    found = {}
    for number in range(SERIES):
        if number % 50 == 49:
            renew()
        batch = series(number, (SENDER, BEHIND), (SENDER6, BEHIND6))
        found[f"drawn series {number}"] = observe(len(batch), lambda batch=batch: source.write(batch))
        v6, _, size, total = train(number)
        found[f"drawn train {number}"] = observe(
            -(-total // size), lambda number=number: send_train(number, BEHIND, BEHIND6))
    return found


def compare(theirs, own):
    """Checks that both have sent the same, which is what came in."""
    wrong = []
    for number in range(SERIES):
        sent = [packets.forwarded(packet) for packet in series(number, (SENDER, BEHIND), (SENDER6, BEHIND6))]
        for name in (f"drawn series {number}", f"drawn train {number}"):
            good, plain = [], {}
            for which, seen in (("in-tree", theirs[name]), ("ours", own[name])):
                plain[which] = [bytes.fromhex(one[8]) for one in seen]
                good.append([one[:8] for one in seen])
            if "train" in name:
                plain = {which: without_ids(all_of_it) for which, all_of_it in plain.items()}
            else:
                # Without padding, and in the order of each flow
                expected = by_flow(sent)
                if by_flow([cut(packet) for packet in plain["ours"]]) != expected:
                    wrong.append(f"{repeats(number)}: {name} is not what came in")
                    first_difference(name, expected, by_flow([cut(packet) for packet in plain["ours"]]))
            if good[0] != good[1] or plain["in-tree"] != plain["ours"] or not plain["ours"]:
                wrong.append(f"{repeats(number)}: {name}")
                at = next((n for n, pair in enumerate(zip(*plain.values())) if pair[0] != pair[1]), None)
                note(f"{name}: {len(theirs[name])} packets and {len(own[name])}; the first to differ is {at}")
                if at is not None:
                    for which, seen in (("in-tree", theirs[name]), ("ours", own[name])):
                        note(f"{which}: {seen[at][:8]} {seen[at][8][:160]}")
    check(not wrong, f"{SERIES} series of packets and {SERIES} trains leave as by the in-tree module, "
          "byte for byte", f"SEED={SEED}", *wrong)


def cut(packet):
    """A packet without its padding."""
    length, = struct.unpack_from(">H", packet, 4 if packet[0] >> 4 == 6 else 2)
    return packet[:length + (40 if packet[0] >> 4 == 6 else 0)]


def by_flow(batch):
    flows = {}
    for packet in batch:
        flows.setdefault(flow_of(packet), []).append(packet)
    return flows


def first_difference(name, expected, came):
    for key, flow_packets in expected.items():
        others = came.get(key, [])
        for at, (one, other) in enumerate(zip(flow_packets, others)):
            if one != other:
                note(f"{name}: packet {at} of a flow is\n#   {other[:80].hex()}, not\n#   {one[:80].hex()}")
                return
        if len(flow_packets) != len(others):
            note(f"{name}: {len(others)} packets of a flow, not {len(flow_packets)}")


# --- in -------------------------------------------------------------------------------------

def described(seen):
    """What GRO has made of packets: each flow by itself."""
    flows = {}
    for one in seen:
        flows.setdefault(flow_of(one.packet), []).append(
            (one.segments, one.gso_type, one.gso_size, one.partial, one.packet))
    return flows


def merged_by_the_stack(source, watch, batch):
    """What the kernel's GRO makes of packets that come in on a device without a tunnel."""
    watch.clear()
    # GRO keeps nothing back once they have been polled for: the last of them is for nobody.
    end = packets.udp(PEER, "192.168.90.250", os.urandom(8), ports=(9, 9))
    source.write([*batch, end])
    found = []
    while (one := watch.read(10)) is not None and one.packet != end:
        if not one.outgoing:
            found.append(one)
    while select.select([watch.sock], [], [], 0.02)[0]:
        if (one := watch.read()) is not None and not one.outgoing:
            found.append(one)
    return found


def padded(batch):
    """The length of all of a series's packets with padding, which is not a part of them: it makes the series
    one train."""
    return -(-max(map(len, batch)) // 16) * 16


def delivered(peer, watch, batch):
    """What comes out of the tunnel if they come in as one UDP GSO packet."""
    # There is no room behind the first, and none is needed of the next for the second.
    peer.send_train([peer.seal(packets.udp(PEER, HERE, bytes(size), ports=(40000, 9)))
                     for size in (PAGE - 32 - 28, 1)])
    house.flush(peer, watch)
    watch.clear()
    size = padded(batch)
    peer.send_train([peer.seal(packet + bytes(size - len(packet))) for packet in batch])
    total = sum(len(payload_of(packet)) for packet in batch)
    end = os.urandom(8)
    peer.sock.send(peer.seal(packets.udp(PEER, HERE, end, ports=(40000, 9))))
    found, ended, size = [], False, 0
    while not ended or size < total:
        one = watch.read(10)
        if one is None:
            break
        if one.outgoing:
            continue
        if one.protocol == 17 and one.payload == end:
            ended = True
            continue
        found.append(one)
        size += len(one.payload)
    return found


def payload_of(packet):
    return packets.Seen(False, 0, 0, False, packet).payload


@scenario
def merged_as_by_the_kernel():
    """Series of packets, drawn at random, become the packets that the kernel's GRO makes of them"""
    if debugs():
        # As it does in `wire', the tap would leave something behind.
        skip("packets are merged as by the kernel", "the tap's socket stays, and kmemleak says so")
        return
    import sent
    note(f"SEED={SEED}, SERIES={SERIES}")
    source = sent.Source()
    wrong, several = [], 0
    with house.one_cpu(), house.cable_mtu(65535), house.capture("source") as stack, \
            house.capture("wg0", ethernet=False) as tunnel, contextlib.ExitStack() as session:
        for number in range(SERIES):
            if number % 50 == 0:
                # A session does not last for all of them.
                session.close()
                peer = session.enter_context(house.peer())
            batch = series(number, (PEER, HERE), (PEER6, HERE6))
            sizes = itertools.accumulate(len(packet) + AROUND for packet in batch)
            batch = batch[:min(sum(size <= PAGE - 2048 for size in sizes),
                               TRAIN // (padded(batch) + 32))]
            expected = described(merged_by_the_stack(source, stack, batch))
            came = described(delivered(peer, tunnel, batch))
            several += any(one[0] > 1 for flow in expected.values() for one in flow)
            if came != expected:
                wrong.append(repeats(number))
                for key in expected.keys() | came.keys():
                    if expected.get(key) != came.get(key):
                        note(f"{repeats(number)}, flow {key.hex()}:")
                        for name, what in (("expected", expected), ("came", came)):
                            note(f"{name} " + str([(*one[:4], len(one[4]), one[4][:80].hex())
                                                   for one in what.get(key, ())])[:1500])
    source.close()
    check(not wrong and several > SERIES // 4,
          f"{SERIES} series are merged as the kernel's GRO merges them, {several} into larger packets",
          *wrong)
