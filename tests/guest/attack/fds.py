# SPDX-License-Identifier: GPL-2.0
"""Descriptors of every kind, under numbers of their own."""

import contextlib
import ctypes
import os
import resource
import socket
import struct
from typing import NamedTuple

import actor
import calls
import netlink as nl
from world import inside

GOOD = (100, 101)
OTHERS = (102, 103)  # UDP sockets in `other'
OURS = 900  # open in this process, and not in hers

libc = ctypes.CDLL(None, use_errno=True)


class Kind(NamedTuple):
    """A descriptor that alice holds, and what is said of it."""
    name: str
    number: int
    as_netns: str
    as_credential: str


def syscall(number, *args):
    """A system call that Python has no name for."""
    if isinstance(number, str):
        number = calls.number(number)
    result = libc.syscall(number, *args)
    if result < 0:
        raise OSError(ctypes.get_errno(), f"system call {number}")
    return result


def open_files():
    """Descriptors that are no sockets, of each kind that there is: name and number."""
    read, write = os.pipe()
    master, slave = os.openpty()
    made = {
        "a file": os.open("/etc/hostname", os.O_RDONLY),
        "a file without a name": os.open("/tmp", os.O_TMPFILE | os.O_RDWR),
        "a folder": os.open("/", os.O_RDONLY),
        "a device": os.open("/dev/null", os.O_RDWR),
        "memory": os.memfd_create("memory"),
        "the reading end of a pipe": read,
        "the writing end of a pipe": write,
        "a terminal": slave,
        "a terminal's other side": master,
        "an epoll": syscall("epoll_create1", 0),
        "an event counter": os.eventfd(0),
        "a timer": syscall("timerfd_create", 1, 0),
        "a signal queue": syscall("signalfd4", -1, (ctypes.c_ulong * 1)(), 8, 0),
        "a watch on files": syscall("inotify_init1", 0),
        "a process": os.pidfd_open(os.getpid()),
        "a message queue": syscall("mq_open", b"attack", os.O_CREAT | os.O_RDWR, 0o600, None),
        "an io_uring": syscall(425, 4, ctypes.create_string_buffer(120)),
        "a file system's context": syscall(430, b"tmpfs", 0),
    }
    syscall("mq_unlink", b"attack")
    for name in ("user", "mnt", "uts", "ipc", "pid", "cgroup"):
        made[f"a namespace ({name})"] = os.open(f"/proc/self/ns/{name}", os.O_RDONLY)
    return made


def open_paths():
    """Descriptors that are good for nothing but naming a file."""
    paths = {"a file": "/etc/hostname", "a netns": "/proc/self/ns/net",
             "a UDP socket": f"/proc/self/fd/{GOOD[0]}", "a unix socket's file": "/run/attack"}
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(paths["a unix socket's file"])
    return {"a mount tree": syscall(428, -100, b"/proc", 1),
            **{f"the path of {name}": os.open(path, os.O_PATH) for name, path in paths.items()}}


def open_sockets():
    """A socket of every family, type and protocol that the kernel has but UDP's."""
    protocols = {
        socket.AF_INET: (0, 1, 2, 6, 17, 41, 47, 50, 115, 132, 136, 255, 256, 262),
        socket.AF_INET6: (0, 6, 17, 47, 50, 58, 115, 132, 136, 255, 256, 262),
        socket.AF_NETLINK: range(23),
        socket.AF_PACKET: (0, 3, 0x300),
        socket.AF_KEY: (2,),
    }
    made = {}
    for family in range(1, 47):
        for kind in (1, 2, 3, 4, 5, 6, 10):
            for protocol in protocols.get(family, (0, 1)):
                if family in (socket.AF_INET, socket.AF_INET6) and kind == 2 and \
                        protocol in (0, 17):
                    continue
                fd = libc.socket(family, kind, protocol)
                if fd >= 0:
                    made[f"a socket ({family}, {kind}, {protocol})"] = fd
    return made


def udp(family):
    sock = socket.socket(family, socket.SOCK_DGRAM)
    sock.connect(("127.0.0.1" if family == socket.AF_INET else "::1", 9))
    return sock.detach()


def open_restricted(how, family):
    """A UDP socket under a restriction."""
    sock = socket.socket(family, socket.SOCK_DGRAM)
    six = family == socket.AF_INET6
    loopback = "::1" if six else "127.0.0.1"
    if how == "tied to a device by its number":
        sock.setsockopt(socket.SOL_SOCKET, 62, socket.if_nametoindex("lo"))  # SO_BINDTOIFINDEX
    elif how == "bound to a port and connected":
        sock.bind((loopback, 40900 + six))
        sock.connect((loopback, 9))
    elif how == "bound to a port and disconnected":
        sock.bind((loopback, 40910 + six))
        sock.connect((loopback, 9))
        libc.connect(sock.fileno(), bytes(28), 28)
    elif how == "bound to a port that is shared":
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind(("", 40920 + six))
    elif how == "whose filter is locked before there is one":
        sock.setsockopt(socket.SOL_SOCKET, 44, 1)  # SO_LOCK_FILTER
    elif how == "with a mark":
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, 5)
    elif how == "that may not send":
        with contextlib.suppress(OSError):  # not connected, it says, and does it
            sock.shutdown(socket.SHUT_WR)
    elif how == "with an IPsec policy":
        # Nothing leaves by it: struct xfrm_userpolicy_info, of which the selector has a family.
        policy = bytearray(168)
        struct.pack_into("=H", policy, 40, family)
        struct.pack_into("=BB", policy, 160, 1, 1)
        sock.setsockopt(*((41, 35) if six else (0, 17)), policy)
    return sock.detach()


RESTRICTED = {
    "tied to a device by its number": "tied to a device",
    "bound to a port and connected": "bound to an address or port",
    "bound to a port and disconnected": "bound to an address or port",
    "bound to a port that is shared": "bound to an address or port",
    "whose filter is locked before there is one": "locked filter",
    "with a mark": "carries a mark",
    "that may not send": "shut down for sending",
    "with an IPsec policy": "has an IPsec policy",
}


def restricted_numbers(how):
    number = 200 + 2 * list(RESTRICTED).index(how)
    return number, number + 1


def keep(fd, number):
    os.dup2(fd, number, inheritable=True)
    os.close(fd)


def keep_good(numbers=GOOD):
    for family, number in zip((socket.AF_INET, socket.AF_INET6), numbers):
        keep(udp(family), number)


def become_user(uid):
    actor.drop_user(uid)
    keep_good()
    actor.new_namespaces()
    nl.link_up("lo").or_raise()


def become_alice():
    resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
    with inside("other"):
        keep_good(OTHERS)
    keep_good()
    for how in RESTRICTED:
        for family, number in zip((socket.AF_INET, socket.AF_INET6), restricted_numbers(how)):
            keep(open_restricted(how, family), number)
    found, number = [], 1000
    for make, answers in ((open_files, ("EINVAL", "ENOTSOCK")), (open_paths, ("EBADF", "EBADF")),
                          (open_sockets, ("EINVAL", "EINVAL"))):
        for name, fd in make().items():
            keep(fd, number)
            found.append(Kind(name, number, *answers))
            number += 1
    become_user(1000)
    return found
