# SPDX-License-Identifier: GPL-2.0
"""Datagrams in a train that should not be there cost themselves, and nobody else."""

import contextlib
import os
import random
import socket
import struct

import house
import netlink as nl
import packets
import world
from house import HERE, PEER
from noise import UDP_SEGMENT
from tap import check, scenario
from world import inside


@contextlib.contextmanager
def talk():
    """A peer and the inner socket that it sends to."""
    inbox = house.Inbox()
    try:
        with house.peer() as peer:
            yield peer, inbox
    finally:
        inbox.close()


def train(peer, numbers, **words):
    return [house.inner(peer, number, **words) for number in numbers]


def flip(message, at=40):
    """A message that somebody has changed on the way."""
    return message[:at] + bytes([message[at] ^ 1]) + message[at + 1:]


def arrives(peer, inbox, what, expected, in_order=True):
    came = inbox.numbers(peer)
    good = came == expected if in_order else sorted(came) == sorted(expected)
    return check(good, what, f"expected {expected}", f"came     {came}")


def received():
    """What wg0 counts: packets, and errors."""
    counts = []
    for name in ("rx_packets", "rx_errors"):
        with open(f"/sys/class/net/wg0/statistics/{name}", encoding="ascii") as file:
            counts.append(int(file.read()))
    return counts


@scenario
def forged():
    """A forged datagram costs itself: the first, one in the middle, the last, several, and all"""
    with talk() as (peer, inbox):
        for what, bad in (("the first", {0}), ("one in the middle", {7}), ("the last", {19}),
                          ("three of them", {3, 4, 9}), ("every other", set(range(0, 20, 2))),
                          ("all but one", set(range(20)) - {11}), ("none", set())):
            messages = train(peer, range(20))
            peer.send_train([flip(message) if number in bad else message
                             for number, message in enumerate(messages)])
            arrives(peer, inbox, f"all others arrive, in order, where {what} is forged",
                    [number for number in range(20) if number not in bad])
        peer.send_train([flip(message) for message in train(peer, range(20))])
        arrives(peer, inbox, "nothing of a train arrives that is forged altogether", [])
        # What was forged has used up nothing: the true one still counts.
        messages = train(peer, range(20))
        peer.send_train([flip(message) for message in messages])
        peer.send_train(messages)
        arrives(peer, inbox, "a forged train does not stand in the way of the true one",
                list(range(20)))


@scenario
def replayed():
    """A train, or a part of it, that was there before does not arrive again"""
    with talk() as (peer, inbox):
        messages = train(peer, range(20))
        peer.send_train(messages)
        arrives(peer, inbox, "a train arrives", list(range(20)))
        peer.send_train(messages)
        arrives(peer, inbox, "replayed as it was it does not", [])
        for message in messages:
            peer.sock.send(message)
        arrives(peer, inbox, "nor one by one", [])
        messages = train(peer, range(20))
        for number in (0, 5, 19):
            peer.sock.send(messages[number])
        arrives(peer, inbox, "three datagrams arrive singly", [0, 5, 19])
        peer.send_train(messages)
        arrives(peer, inbox, "of a train with those in it the others do",
                [number for number in range(20) if number not in (0, 5, 19)])
        messages = train(peer, range(10))
        peer.send_train([message for message in messages for _ in range(2)])
        arrives(peer, inbox, "of a train with each datagram twice each arrives once",
                list(range(10)))


@scenario
def out_of_order():
    """Trains whose datagrams are in another order arrive, once, in theirs"""
    with talk() as (peer, inbox):
        messages = train(peer, range(30))
        peer.send_train(messages[::-1])
        arrives(peer, inbox, "a train backwards", list(range(30))[::-1])
        order = list(range(40))
        random.Random(15).shuffle(order)
        messages = train(peer, range(40))
        peer.send_train([messages[number] for number in order])
        arrives(peer, inbox, "a train shuffled", order)
        peer.send_train([messages[number] for number in order])
        arrives(peer, inbox, "the same once more", [])
        early, late = train(peer, range(20)), train(peer, range(20, 40))
        peer.send_train(late)
        peer.send_train(early)
        arrives(peer, inbox, "a train after the one that was to come behind it",
                list(range(20, 40)) + list(range(20)))
        # Further behind than the window reaches
        old = train(peer, range(20))
        peer.counter += 9000
        peer.send_train(train(peer, range(20, 40)))
        peer.send_train(old)
        arrives(peer, inbox, "a train too far behind does not, and the one before it does",
                list(range(20, 40)))


@scenario
def foreign():
    """Datagrams for another session, for none, of a handshake and of nothing at all are dealt with as
    if they came singly"""
    second = os.urandom(32)
    second = bytes([second[0] & 248]) + second[1:]
    nl.wg_set("wg0", peers=[nl.peer(house.public_key(second), allowed=["192.168.79.2/32"])]).or_raise()
    inbox = house.Inbox()
    with house.peer() as peer, contextlib.closing(house.Peer(
            "far", house.CABLE[4][1], second, house.public_key(house.private),
            (house.CABLE[4][0], house.PORT))) as other:
        other.connect()
        for at in (0, 19):
            messages = train(peer, range(20))
            messages[at] = house.inner(peer, at, index=os.urandom(4))
            peer.send_train(messages)
            arrives(peer, inbox, f"all others arrive where number {at} is for no session",
                    [number for number in range(20) if number != at], in_order=False)
        for at in (0, 19):
            messages = train(peer, range(20))
            # It is authentic for the session that it names, whose peer may send from there.
            messages[at] = other.seal(packets.udp("192.168.79.2", HERE, struct.pack(">I", 100)
                                                  + bytes(196), ports=(40000, 7777)))
            peer.send_train(messages)
            other_came = []

            def came(at=at):
                other_came.extend(inbox.numbers(peer))
                return len(other_came) >= 20
            world.until(came)
            check(sorted(other_came) == [n for n in range(20) if n != at] + [100],
                  f"number {at}, which is for another session, arrives there, and the others here",
                  other_came)
        for at in (0, 19):
            messages = train(peer, range(20))
            # For the other session, but with the key of this one: accepted by neither.
            messages[at] = house.inner(peer, at, index=other.index)
            peer.send_train(messages)
            arrives(peer, inbox, f"number {at} does not arrive that is sealed for one session and "
                    "names another", [n for n in range(20) if n != at], in_order=False)
        # The other's inner source address in this session
        messages = train(peer, range(20))
        messages[9] = peer.seal(packets.udp("192.168.79.2", HERE, struct.pack(">I", 100) + bytes(196),
                                            ports=(40000, 7777)))
        errors = received()[1]
        peer.send_train(messages)
        arrives(peer, inbox, "a packet with another peer's inner address costs itself",
                [n for n in range(20) if n != 9])
        check(received()[1] == errors + 1, "and is counted as one error", errors, received())
        size = len(messages[0])
        for what, bad in (("an initiation of the length of a data message",
                           b"\1\0\0\0" + os.urandom(size - 4)),
                          ("an unknown type", b"\5\0\0\0" + os.urandom(size - 4)),
                          ("a type with reserved bits", b"\4\0\1\0" + messages[0][4:]),
                          ("zeroes", bytes(size))):
            for at in (0, 10):
                messages = train(peer, range(20))
                messages[at] = bad
                peer.send_train(messages)
                arrives(peer, inbox, f"all others arrive where number {at} is {what}",
                        [n for n in range(20) if n != at], in_order=False)
        # A true one, which has 148 bytes, as have data messages that their sender did not pad.
        messages = train(peer, range(20), size=88, padded=False)
        messages[9] = other.initiation()
        peer.send_train(messages)
        arrives(peer, inbox, "all others arrive around the initiation of a handshake",
                [n for n in range(20) if n != 9], in_order=False)
        # The response comes to where that came from, behind a keepalive at most.
        peer.sock.settimeout(5)
        check(any(other.take_response(peer.sock.recv(2048)) for _ in range(2)),
              "and that is answered")
        inbox.close()
    nl.wg_set("wg0", peers=[nl.peer(house.public_key(second), flags=1)]).or_raise()


@scenario
def wrong_checksum():
    """What has a wrong UDP checksum is no message, as authentic as it is"""
    with talk() as (peer, inbox), inside("far"), \
            socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as raw:
        here, there = house.CABLE[4]

        def send(message, wrong):
            packet = packets.udp(there, here, message, ports=(peer.sock.getsockname()[1], house.PORT))
            if wrong:
                packet = packet[:26] + bytes([packet[26] ^ 0x55]) + packet[27:]
            raw.sendto(packet, (here, 0))
        messages = train(peer, range(20))
        for number, message in enumerate(messages):
            send(message, number % 2)
        arrives(peer, inbox, "all others arrive where every other is one with a wrong checksum",
                list(range(0, 20, 2)))
        for message in messages:
            send(message, False)
        arrives(peer, inbox, "and with the right one they do", list(range(1, 20, 2)))


@scenario
def short_last():
    """A last datagram that is no message, and one that is shorter than the others"""
    with talk() as (peer, inbox):
        for size in (1, 3, 4, 15, 16, 31):
            messages = train(peer, range(20))
            peer.send_train([*messages, messages[0][:size]])
            arrives(peer, inbox, f"all others arrive before one of {size} bytes", list(range(20)),
                    in_order=False)
        peer.send_train([*train(peer, range(20)), peer.seal(b"")])
        arrives(peer, inbox, "all others arrive before a keepalive", list(range(20)))
        peer.send_train([*train(peer, range(20)), house.inner(peer, 20, size=32)])
        arrives(peer, inbox, "a shorter one arrives as well", list(range(21)))
        peer.send_train([message[:1] for message in train(peer, range(60))])
        arrives(peer, inbox, "a train of one byte each is nothing, and does no harm", [])


@scenario
def keepalives():
    """A train of keepalives is as many packets that nobody gets"""
    with talk() as (peer, inbox):
        arrives(peer, inbox, "nothing is under way", [])
        before = received()
        peer.send_train([peer.seal(b"") for _ in range(50)])
        arrives(peer, inbox, "nothing arrives", [])
        check(received() == [before[0] + 51, before[1]],
              "each is counted as a packet, and none as an error", before, received())
        peer.send_train([flip(peer.seal(b""), 20) for _ in range(50)])
        arrives(peer, inbox, "nor of forged ones", [])
        check(received()[0] == before[0] + 52, "of which none is counted", before, received())


@scenario
def sizes():
    """Trains of every size that a message has, short ones and jumbo"""
    with talk() as (peer, inbox):
        with house.cable_mtu(65535):
            for size, count in ((4, 60), (1392, 44), (4000, 15), (20000, 3), (32000, 2)):
                peer.send_train(train(peer, range(count), size=size))
                arrives(peer, inbox, f"{count} of {size} bytes within", list(range(count)))
        # With the tail of one in the last message, of every length
        for size in range(4, 200, 13):
            peer.send_train([*train(peer, range(5)), house.inner(peer, 5, size=size)])
        arrives(peer, inbox, "last ones of every length",
                [number for _ in range(4, 200, 13) for number in range(6)])


@scenario
def over_ipv6():
    """The same over IPv6: a forged, a replayed and a foreign one in one train"""
    inbox = house.Inbox()
    with house.peer(6) as peer:
        messages = train(peer, range(20))
        replayed_one = messages[4]
        peer.sock.send(replayed_one)
        arrives(peer, inbox, "one singly", [4])
        messages[9] = flip(messages[9])
        peer.send_train(messages)
        arrives(peer, inbox, "all but a forged and a replayed one",
                [n for n in range(20) if n not in (4, 9)])
        messages = train(peer, range(20))
        messages[3] = house.inner(peer, 3, index=os.urandom(4))
        peer.send_train(messages)
        arrives(peer, inbox, "all but a foreign one", [n for n in range(20) if n != 3],
                in_order=False)
    inbox.close()


@scenario
def spliced():
    """Pages of a file that are sent to the device's port stay as they are"""
    inbox = house.Inbox()
    path = "/tmp/spliced"
    with house.peer() as peer:
        size = len(house.inner(peer, 0, size=1000))
        for what, forge, segment, expected in (
                ("a train of what nobody sealed", True, size, []),
                ("a train of true messages", False, size, list(range(8))),
                ("one message that nobody sealed", True, 0, []),
                ("one true message", False, 0, [0])):
            messages = train(peer, range(8 if segment else 1), size=1000)
            data = b"".join(flip(message) if forge else message for message in messages)
            with open(path, "wb") as file:
                file.write(data)
            peer.sock.setsockopt(17, UDP_SEGMENT, segment)
            with open(path, "rb") as file:
                out, into = os.pipe()
                left = len(data)
                while left:
                    left -= os.splice(file.fileno(), into, left)
                    os.splice(out, peer.sock.fileno(), len(data), flags=4 if left else 0)
                os.close(out)
                os.close(into)
            peer.sock.setsockopt(17, UDP_SEGMENT, 0)
            came = inbox.numbers(peer)
            with open(path, "rb") as file:
                check(file.read() == data, f"the file is as it was: {what}")
            check(came == expected, f"and delivered is only what is authentic: {what}", came)
    inbox.close()


# --- segments of TCP, which become one packet --------------------------------------------

def joined(seen, sequence):
    """What arrived of a stream, as {offset: byte range}, and how many packets that were."""
    data = {}
    for one in seen:
        at = struct.unpack_from(">I", one.body, 4)[0] - sequence & 0xffffffff
        for start in range(0, len(one.payload), one.gso_size or len(one.payload) or 1):
            piece = one.payload[start:start + (one.gso_size or len(one.payload))]
            data.setdefault(at + start, []).append(piece)
    return data


def segments_arrive(peer, watch, what, messages, expected, sequence=0xfffff000, merged=None):
    """Sends a train of TCP segments, each of 1000 bytes by its number, and checks what comes of it."""
    house.flush(peer, watch)
    if messages is not None:
        peer.send_train(messages)
    seen = house.until_end(peer, watch, 1000 * len(expected))
    data = joined(seen, sequence)
    wanted = {number * 1000: [packets.content(sequence + number * 1000, 1000)]
              for number in expected}
    check(data == wanted, what,
          f"came {sorted((at // 1000, len(pieces)) for at, pieces in data.items())}",
          f"wrong content in {[at // 1000 for at in data if data[at] != wanted.get(at)]}")
    if merged is not None:
        check([one.segments for one in seen] == merged, f"{what}: merged as GRO would",
              [one.segments for one in seen])
    return seen


def tcp_train(peer, count=20, **words):
    return [peer.seal(packet) for packet in packets.stream(
        PEER, HERE, [1000] * count, last=packets.ACK, **words)]


@scenario
def merged():
    """TCP segments in a train become one packet; forged ones, replayed ones and gaps do not change a
    byte of the others"""
    with house.capture("wg0", ethernet=False) as watch, house.peer() as peer:
        segments_arrive(peer, watch, "a train of TCP segments", tcp_train(peer), range(20), merged=[20])
        for bad in ({0}, {5}, {19}, {5, 6}, {3, 12}, set(range(1, 20, 2))):
            messages = tcp_train(peer)
            segments_arrive(peer, watch, f"TCP segments, {sorted(bad)} of them forged",
                            [flip(m) if n in bad else m for n, m in enumerate(messages)],
                            [n for n in range(20) if n not in bad])
        messages = tcp_train(peer)
        segments_arrive(peer, watch, "TCP segments, once", messages, range(20))
        segments_arrive(peer, watch, "TCP segments, replayed", messages, [])
        messages = tcp_train(peer)
        peer.sock.send(messages[7])
        house.until_end(peer, watch, 1000)
        segments_arrive(peer, watch, "TCP segments, of which one came before", messages,
                        [n for n in range(20) if n != 7])
        segments_arrive(peer, watch, "all of those, replayed", messages, [])
        # The same segments, but in messages whose numbers jump.
        stream = packets.stream(PEER, HERE, [1000] * 20, last=packets.ACK)
        start = peer.counter
        counters = [start + n + (100 if n >= 10 else 0) for n in range(20)]
        messages = [peer.seal(packet, counter) for packet, counter in zip(stream, counters)]
        segments_arrive(peer, watch, "TCP segments in messages whose counters jump", messages,
                        range(20))
        segments_arrive(peer, watch, "those behind the jump, replayed",
                        messages[10:], [])
        again = [peer.seal(packet, start + 10 + n) for n, packet in enumerate(stream[:10])]
        segments_arrive(peer, watch, "and those whose numbers were left out", again, range(10))
        # Forged at each length of header and tail: what the next header is written over is put back.
        for options in (b"", packets.stamps(1, 2), packets.stamps(1, 2) + bytes([1] * 28)):
            messages = tcp_train(peer, options=options)
            segments_arrive(peer, watch, f"TCP segments with {len(options)} bytes of options",
                            messages, range(20), merged=[20])
            messages = tcp_train(peer, options=options)
            messages[10] = flip(messages[10], len(messages[10]) - 1)
            segments_arrive(peer, watch, "the same with a forged one", messages,
                            [n for n in range(20) if n != 10])


@scenario
def not_merged():
    """What is no part of the stream stays a packet of its own, with every byte of it"""
    with house.capture("wg0", ethernet=False) as watch, house.peer() as peer:
        stream = packets.stream(PEER, HERE, [1000] * 20, last=packets.ACK)
        for what, packet in (
                ("a datagram", packets.udp(PEER, HERE, bytes(1012))),
                ("a segment of another connection", packets.stream(
                    PEER, HERE, [1000], ports=(40001, 5001))[0]),
                ("an acknowledgment", packets.tcp(PEER, HERE, 0xfffff000 + 9000, bytes(1000),
                                                  acknowledged=2)),
                ("a packet too long for what it says", stream[9][:2] + b"\0\x30" + stream[9][4:]),
                ("a packet that says it is longer", stream[9][:2] + b"\7\0" + stream[9][4:]),
                ("a packet of version 7", b"\x70" + stream[9][1:]),
                ("another peer's address", packets.stream("192.168.79.9", HERE, [1000])[0]),
                ("zeroes", bytes(1040))):
            messages = [peer.seal(one) for one in stream]
            size = len(messages[0])
            messages[9] = peer.seal((packet + bytes(size))[:size - 32], peer.counter - 11)
            house.flush(peer, watch)
            peer.send_train(messages)
            seen = [one for one in house.until_end(peer, watch, 19000)
                    if one.protocol == 6 and one.ports == (40000, 5001)
                    and one.body[8:12] == struct.pack(">I", 1)]
            data = joined(seen, 0xfffff000)
            wanted = {n * 1000: [packets.content(0xfffff000 + n * 1000, 1000)]
                      for n in range(20) if n != 9}
            data.pop(9000, None)
            check(data == wanted, f"all others arrive as they were around {what}",
                  sorted(at // 1000 for at in data))
        with house.features("wg0", rx_gro=False):
            segments_arrive(peer, watch, "with GRO off on wg0", tcp_train(peer), range(20),
                            merged=[1] * 20)
        segments_arrive(peer, watch, "with GRO on again", tcp_train(peer), range(20), merged=[20])
