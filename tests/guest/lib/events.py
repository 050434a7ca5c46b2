# SPDX-License-Identifier: GPL-2.0
"""A listener to the events of devices, by plain sockets."""

import contextlib
import errno
import ipaddress
import select
import socket
import struct
import time

import netlink as nl
from world import inside

ADD_MEMBERSHIP, LISTEN_ALL_NSID = 1, 8
KINDS = {65: "device-change", 66: "peer-add", 67: "peer-change", 68: "peer-del", 69: "peer-roam",
         70: "session-begin", 71: "session-end", 72: "transit-change", 73: "transit-gone",
         74: "overrun"}
RENEWAL, PRESHARED_KEY, ALLOWED_IPS = 1, 2, 4


def groups():
    """The multicast groups of the family: numbers by name."""
    with nl.Netlink(nl.NETLINK_GENERIC) as genl:
        answer = genl.ask(16, struct.pack("=BBH", 3, 1, 0), nl.string(2, "wireguard")).or_raise()
    found = {}
    for _, kind, value in nl.attrs(answer.replies[0][1][4:]):
        if kind == 7:
            for _, _, group in nl.attrs(value):
                parts = {kind: value for _, kind, value in nl.attrs(group)}
                found[parts[1].rstrip(b"\0").decode()] = struct.unpack("=I", parts[2])[0]
    return found


def _endpoint(data):
    port = struct.unpack(">H", data[2:4])[0]
    packed = data[4:8] if struct.unpack("=H", data[:2])[0] == socket.AF_INET else data[8:24]
    return (str(ipaddress.ip_address(packed)), port)


_DEVICE = {3: ("private_key", bytes), 4: ("public_key", bytes),
           6: ("port", lambda data: struct.unpack("=H", data)[0]),
           7: ("fwmark", lambda data: struct.unpack("=I", data)[0]),
           68: ("netnsid", lambda data: struct.unpack("=i", data)[0]),
           69: ("applied", lambda data: struct.unpack("=I", data)[0])}
_PEER = {1: ("public_key", bytes), 2: ("preshared_key", bytes), 4: ("endpoint", _endpoint),
         5: ("keepalive", lambda data: struct.unpack("=H", data)[0])}


def _side(names, data):
    return {names[kind][0]: names[kind][1](value) for _, kind, value in nl.attrs(data)}


def parse(data):
    """An event as a dictionary, without what every event has."""
    event = {"kind": KINDS[data[0]]}
    for _, kind, value in nl.attrs(data[4:]):
        if kind == 1:
            event["index"] = struct.unpack("=I", value)[0]
        elif kind == 2:
            event["name"] = value.rstrip(b"\0").decode()
        elif kind == 3:
            event["time"] = struct.unpack("=qq", value)
        elif kind == 4:
            event["count"] = struct.unpack("=I", value)[0]
        elif kind == 5:
            event["peer"] = value
        elif kind == 6:
            event["flags"] = struct.unpack("=I", value)[0]
        elif kind in (7, 8):
            event["old" if kind == 7 else "new"] = _side(_DEVICE, value)
        elif kind in (9, 10):
            event["old" if kind == 9 else "new"] = _side(_PEER, value)
        else:
            event[f"attribute {kind}"] = value
    return event


class Listener:
    """Hears the events of a netns: of the caller's, or of one given by name or descriptor."""

    def __init__(self, net=None, everywhere=False, room=4 << 20, sock=None):
        with inside(net) if net is not None else contextlib.nullcontext():
            self.sock = sock or socket.socket(socket.AF_NETLINK, socket.SOCK_RAW,
                                              nl.NETLINK_GENERIC)
        # SO_RCVBUFFORCE takes root of the host.
        self.sock.setsockopt(socket.SOL_SOCKET, 33 if room else socket.SO_RCVBUF, room or 1 << 17)
        # The kernel does not multicast to port 0, which is its own.
        self.sock.bind((0, 0))
        if everywhere:
            self.sock.setsockopt(nl.SOL_NETLINK, LISTEN_ALL_NSID, 1)
        self.sock.setsockopt(nl.SOL_NETLINK, ADD_MEMBERSHIP, groups()["events"])
        self.sock.setblocking(False)
        self.heard = []
        self.raw = []
        self.missed = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    def take(self):
        """Adds to `heard' what has come, and returns that."""
        found = []
        while True:
            try:
                data = self.sock.recv(1 << 16)
            except BlockingIOError:
                self.heard += found
                return found
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                self.missed += 1
                continue
            length, kind = struct.unpack_from("=IH", data)
            if kind == nl.family():
                self.raw.append(data)
                found.append(parse(data[16:length]))

    def wait(self, condition, seconds=20):
        """Listens until what was heard fulfils a condition; whether it did."""
        end = time.monotonic() + seconds
        while True:
            self.take()
            if condition(self.heard):
                return True
            left = end - time.monotonic()
            if left <= 0:
                return False
            select.select([self.sock], [], [], left)

    def wait_for(self, *kinds, seconds=20):
        """Listens until these kinds have come, in whatever order; whether they have."""
        def have(events):
            heard = [event["kind"] for event in events]
            return all(heard.count(kind) >= kinds.count(kind) for kind in kinds)
        return self.wait(have, seconds)

    def forget(self):
        """What was heard up to now."""
        self.take()
        heard, self.heard = self.heard, []
        return heard
