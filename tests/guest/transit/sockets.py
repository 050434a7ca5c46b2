# SPDX-License-Identifier: GPL-2.0
"""The sockets that alice holds under fixed numbers: proof, and what is none."""

import ctypes
import os
import socket
import struct

import actor
import netlink as nl
from world import inside

GOOD = (100, 101)  # sockets in the initial netns, their ports picked by connect()
OTHERS = (102, 103)  # the same in `other'
OWN = (104, 105)  # the same in her own
NULL = 190  # /dev/null
CLOSED = 199

# What proves nothing: its numbers for IPv4 and IPv6, errno, the kernel's words and the tool's.
WANTED = "The first is an IPv4 UDP socket, the second an IPv6 one"
BAD = {
    "TCP sockets": (110, 111, "EINVAL", "not an IPv. UDP socket", WANTED),
    "ping sockets": (112, 113, "EINVAL", "not an IPv. UDP socket", WANTED),
    "raw sockets for UDP": (114, 115, "EINVAL", "not an IPv. UDP socket", WANTED),
    "unix sockets": (116, 117, "EINVAL", "not an IPv. UDP socket", WANTED),
    "UDP-Lite sockets": (118, 119, "EINVAL", "not an IPv. UDP socket", WANTED),
    "the other family's socket": (101, 100, "EINVAL", "not an IPv. UDP socket", WANTED),
    "no sockets": (NULL, NULL, "ENOTSOCK", "not a socket", "is no socket. " + WANTED),
    "a socket of another netns": (*OTHERS, "EPERM", "not in the transit netns",
                                  "must have been opened in it"),
    "a socket of her own netns": (*OWN, "EPERM", "not in the transit netns",
                                  "must have been opened in it"),
    "a socket bound to a port by hand": (120, 121, "EPERM", "bound to an address or port",
                                         "be bound to no port, address or device"),
    "a socket bound to an address by hand": (122, 123, "EPERM", "bound to an address or port",
                                             "be bound to no port, address or device"),
    "a socket tied to a device": (124, 125, "EPERM", "tied to a device",
                                  "be bound to no port, address or device"),
    "a socket with a locked filter": (126, 127, "EPERM", "locked filter",
                                      "no locked filter"),
}
UNSUPPORTED = set()
# What is proof all the same.
FINE = {
    "sockets that were never used": (140, 141),
    "sockets whose port bind() picked": (142, 143),
    "sockets with a filter that can be taken off": (144, 145),
    "sockets that were tied to a device once": (146, 147),
}


def keep(sock, number):
    """Puts a socket (or file) where everybody expects it."""
    os.dup2(sock if isinstance(sock, int) else sock.fileno(), number, inheritable=True)
    if not isinstance(sock, int):
        sock.close()


def udp(family):
    """A UDP socket whose port connect() picked, as bash's /dev/udp has it."""
    sock = socket.socket(family, socket.SOCK_DGRAM)
    sock.connect(("127.0.0.1" if family == socket.AF_INET else "::1", 9))
    return sock


def both(make, v4, v6):
    keep(make(socket.AF_INET), v4)
    keep(make(socket.AF_INET6), v6)


def bound(port):
    def make(family):
        sock = socket.socket(family, socket.SOCK_DGRAM)
        any_address = "0.0.0.0" if family == socket.AF_INET else "::"
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        loopback = "127.0.0.1" if family == socket.AF_INET else "::1"
        sock.bind((any_address if port else loopback, port))
        return sock
    return make


def with_option(level, option, value):
    def make(family):
        sock = socket.socket(family, socket.SOCK_DGRAM)
        sock.setsockopt(level, option, value)
        return sock
    return make


def of_type(kind, protocol4, protocol6):
    def make(family):
        return socket.socket(family, kind, protocol4 if family == socket.AF_INET else protocol6)
    return make


def anywhere(family):
    sock = socket.socket(family, socket.SOCK_DGRAM)
    sock.bind(("", 0))
    return sock


def filtered(family):
    sock = socket.socket(family, socket.SOCK_DGRAM)
    program = ctypes.create_string_buffer(struct.pack("=HBBI", 6, 0, 0, 0xffff))  # take all
    sock.setsockopt(socket.SOL_SOCKET, 26,  # SO_ATTACH_FILTER
                    struct.pack("@HP", 1, ctypes.addressof(program)))
    return sock


def untied(family):
    sock = with_option(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo")(family)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"")
    return sock


def become_alice(other):
    with inside(other):
        both(udp, *OTHERS)
    # Raw ones she could not open herself: they are more than she has, and still no proof. Nor could
    # she take its device from a socket.
    both(of_type(socket.SOCK_RAW, 17, 17), 114, 115)
    both(untied, 146, 147)
    actor.drop_user()
    both(udp, *GOOD)
    both(of_type(socket.SOCK_STREAM, 0, 0), 110, 111)
    both(of_type(socket.SOCK_DGRAM, 1, 58), 112, 113)
    both(lambda _: socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM), 116, 117)
    try:
        both(of_type(socket.SOCK_DGRAM, 136, 136), 118, 119)
    except OSError:
        UNSUPPORTED.add("UDP-Lite sockets")
    both(bound(40123), 120, 121)
    both(bound(0), 122, 123)
    both(with_option(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo"), 124, 125)
    both(with_option(socket.SOL_SOCKET, 44, 1), 126, 127)  # SO_LOCK_FILTER
    both(of_type(socket.SOCK_DGRAM, 17, 17), 140, 141)
    both(anywhere, 142, 143)
    both(filtered, 144, 145)
    keep(os.open("/dev/null", os.O_RDWR), NULL)
    actor.new_namespaces()
    nl.link_up("lo").or_raise()
    both(udp, *OWN)
    return UNSUPPORTED
