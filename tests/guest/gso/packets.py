# SPDX-License-Identifier: GPL-2.0
"""Packets of IPv4, IPv6, TCP and UDP, made and read, and what is captured on a link."""

import ipaddress
import random
import select
import socket
import struct
import time
from typing import NamedTuple

from world import inside

FIN, PSH, ACK, ECE, CWR = 0x01, 0x08, 0x10, 0x40, 0x80
SOL_PACKET, PACKET_VNET_HDR, PACKET_OUTGOING = 263, 15, 4
GSO_UDP_L4 = 5
_CONTENT = random.Random(15).randbytes(1 << 18)


def folded(data):
    """The one's complement sum of bytes."""
    data += bytes(len(data) % 2)
    return int.from_bytes(data, "big") % 0xffff or (0xffff if any(data) else 0)


def pseudo(source, target, protocol, size):
    return source + target + struct.pack(">IHBB", size, 0, 0, protocol)


def ip(source, target, protocol, body, ident=0, tos=0, ttl=64, flow=0, fragment=0x4000):
    """An IP packet: with DF, if it is one of IPv4 and nothing else is wanted."""
    source, target = (ipaddress.ip_address(text).packed for text in (source, target))
    if len(source) == 16:
        return struct.pack(">IHBB", 6 << 28 | tos << 20 | flow, len(body), protocol, ttl) \
            + source + target + body
    header = struct.pack(">BBHHHBBH", 0x45, tos, 20 + len(body), ident & 0xffff, fragment, ttl,
                         protocol, 0) + source + target
    return header[:10] + struct.pack(">H", ~folded(header) & 0xffff) + header[12:] + body


def _with_sum(source, target, protocol, body, at):
    source, target = (ipaddress.ip_address(text).packed for text in (source, target))
    total = ~folded(pseudo(source, target, protocol, len(body)) + body) & 0xffff
    return body[:at] + struct.pack(">H", total or 0xffff) + body[at + 2:]


def tcp(source, target, sequence, payload, flags=ACK, ports=(40000, 5001), options=b"",
        acknowledged=1, window=500, **words):
    """An IP packet with a TCP segment."""
    body = struct.pack(">HHIIBBHHH", *ports, sequence & 0xffffffff, acknowledged,
                       (20 + len(options)) // 4 << 4, flags, window, 0, 0) + options + payload
    return ip(source, target, 6, _with_sum(source, target, 6, body, 16), **words)


def stream(source, target, sizes, sequence=0xfffff000, last=PSH, first=0, ident=0xfff0, step=1,
           seed=0, **words):
    """TCP segments that follow each other, of these sizes."""
    packets = []
    for number, size in enumerate(sizes):
        flags = (words.get("flags", ACK) | (last if number + 1 == len(sizes) else 0)
                 | (first if number == 0 else 0))
        packets.append(tcp(source, target, sequence, content(sequence + seed, size),
                           ident=ident + step * number, **words | {"flags": flags}))
        sequence += size
    return packets


def content(start, size):
    """Bytes that tell where in a stream they belong."""
    start %= 65521
    return _CONTENT[start:start + size]


def stamps(value, echo):
    """TCP timestamps."""
    return struct.pack(">BBBBII", 1, 1, 8, 10, value, echo)


def udp(source, target, payload, ports=(40000, 7777), **words):
    """An IP packet with a UDP datagram."""
    body = struct.pack(">HHHH", *ports, 8 + len(payload), 0) + payload
    return ip(source, target, 17, _with_sum(source, target, 17, body, 6), **words)


def forwarded(packet):
    """A packet as a router passes it on."""
    if packet[0] >> 4 == 6:
        return packet[:7] + bytes([packet[7] - 1]) + packet[8:]
    packet = packet[:8] + bytes([packet[8] - 1, packet[9], 0, 0]) + packet[12:]
    return packet[:10] + struct.pack(">H", ~folded(packet[:20]) & 0xffff) + packet[12:]


class Seen(NamedTuple):
    """A captured packet, from its IP header on, and what it was marked with."""
    outgoing: bool
    gso_type: int
    gso_size: int
    partial: bool
    packet: bytes

    @property
    def version(self):
        return self.packet[0] >> 4

    @property
    def network_len(self):
        return 40 if self.version == 6 else (self.packet[0] & 15) * 4

    @property
    def protocol(self):
        return self.packet[6 if self.version == 6 else 9]

    @property
    def ident(self):
        return struct.unpack_from(">H", self.packet, 4)[0]

    @property
    def tos(self):
        return struct.unpack_from(">H", self.packet)[0] >> 4 & 0xff if self.version == 6 \
            else self.packet[1]

    @property
    def ttl(self):
        return self.packet[7 if self.version == 6 else 8]

    @property
    def fragment(self):
        """The field of DF, MF and the offset."""
        return None if self.version == 6 else struct.unpack_from(">H", self.packet, 6)[0]

    @property
    def body(self):
        return self.packet[self.network_len:]

    @property
    def ports(self):
        return struct.unpack_from(">HH", self.body)

    @property
    def segments(self):
        """How many datagrams or segments it is."""
        if not self.gso_size:
            return 1
        return -(-len(self.payload) // self.gso_size)

    @property
    def payload(self):
        """What is behind its TCP or UDP header."""
        header = 8 if self.protocol == 17 else (self.body[12] >> 4) * 4
        return self.body[header:]

    def sums_are_right(self):
        """Whether the checksums of the IP and the transport header are."""
        addresses = self.packet[8:40] if self.version == 6 else self.packet[12:20]
        half = len(addresses) // 2
        whole = pseudo(addresses[:half], addresses[half:], self.protocol, len(self.body))
        return folded(whole + self.body) == 0xffff and (
            self.version == 6 or folded(self.packet[:self.network_len]) == 0xffff)


class Capture:
    """What passes a link: of one that has Ethernet headers, or none."""

    def __init__(self, device, net="init", ethernet=True):
        with inside(net):
            self.sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        self.sock.setsockopt(socket.SOL_SOCKET, 33, 64 << 20)  # SO_RCVBUFFORCE
        self.sock.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
        with inside(net):
            self.sock.bind((device, 3))
        self.skip = 14 if ethernet else 0
        self.clear()

    def clear(self):
        """Forgets what has been captured."""
        while select.select([self.sock], [], [], 0)[0]:
            self.sock.recv(1 << 17)

    def read(self, timeout=0.0):
        """The next packet of IP, or None if there is none in that time."""
        end = time.monotonic() + timeout
        while select.select([self.sock], [], [], max(end - time.monotonic(), 0))[0]:
            data, address = self.sock.recvfrom(1 << 17)
            flags, gso_type, _, gso_size, _, _ = struct.unpack_from("=BBHHHH", data)
            packet = data[10 + self.skip:]
            if packet and packet[0] >> 4 in (4, 6) and (not self.skip or data[22:24] in (
                    b"\x08\0", b"\x86\xdd")):
                if packet[0] >> 4 == 4:
                    # Ethernet pads short packets.
                    packet = packet[:struct.unpack_from(">H", packet, 2)[0] or len(packet)]
                return Seen(address[2] == PACKET_OUTGOING, gso_type & 0x7f, gso_size,
                            bool(flags & 1), packet)
        return None

    def collect(self, enough, seconds=10.0, wanted=lambda seen: True):
        """Packets until they are enough, or time is up."""
        end, found = time.monotonic() + seconds, []
        while not enough(found) and (left := end - time.monotonic()) > 0:
            seen = self.read(left)
            if seen is not None and wanted(seen):
                found.append(seen)
        return found

    def close(self):
        self.sock.close()
