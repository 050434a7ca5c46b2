# SPDX-License-Identifier: GPL-2.0
"""Namespaces, what is in them, and packets between them."""

import contextlib
import ctypes
import os
import select
import socket
import struct
import subprocess
import time

import calls

libc = ctypes.CDLL(None, use_errno=True)


def sh(command, **more):
    """Runs a line of shell that has to succeed, and returns what it printed."""
    return subprocess.run(["bash", "-ec", command], check=True, text=True,
                          stdout=subprocess.PIPE, **more).stdout


def debugs():
    """Whether the kernel looks for mistakes, for which it takes its time."""
    return os.path.exists("/sys/kernel/debug/kmemleak")


def load_module():
    """Loads our module without asking modprobe; the errno, or 0."""
    with open(f"/lib/modules/{os.uname().release}/updates/wireguard.ko", "rb") as file:
        failed = libc.syscall(calls.number("finit_module"), file.fileno(), b"", 0)
        return ctypes.get_errno() if failed else 0


def unload_module():
    """Unloads the module if that is possible at once; the errno, or 0."""
    failed = libc.syscall(calls.number("delete_module"), b"wireguard", os.O_NONBLOCK)
    return ctypes.get_errno() if failed else 0


def open_net(name):
    """A descriptor of a netns that ip(8) made, or of the initial one."""
    path = "/proc/1/ns/net" if name == "init" else f"/run/netns/{name}"
    return os.open(path, os.O_RDONLY | os.O_CLOEXEC)


@contextlib.contextmanager
def inside(net):
    """Does something in another netns, given by a descriptor or a name."""
    here = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    there = net if isinstance(net, int) else open_net(net)
    try:
        os.setns(there, os.CLONE_NEWNET)
        yield
    finally:
        os.setns(here, os.CLONE_NEWNET)
        os.close(here)
        if there is not net:
            os.close(there)


def far_end():
    """The netns `far' at the end of a cable, with a device that is not configured: 10.9.0.1 is here,
    10.9.0.2 there, 192.168.77.2 on its wg0."""
    sh("""
        ip netns add far
        ip link add out type veth peer name in netns far
        ip addr add 10.9.0.1/24 dev out
        ip link set out up
        ip -n far -batch - <<-'END'
		addr add 10.9.0.2/24 dev in
		link set in up
		link add wg0 type wireguard
		addr add 192.168.77.2/24 dev wg0
		END
    """)


def count_net_namespaces():
    """How many there are in the kernel up to now, by trying with which limit another can be made.
    Only those that root has made count."""
    path = "/proc/sys/user/max_net_namespaces"
    with open(path, encoding="ascii") as file:
        limit = file.read()
    here = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        for number in range(64):
            with open(path, "w", encoding="ascii") as file:
                file.write(str(number + 1))
            try:
                os.unshare(os.CLONE_NEWNET)
                os.setns(here, os.CLONE_NEWNET)
                return number
            except OSError:
                pass
    finally:
        os.close(here)
        with open(path, "w", encoding="ascii") as file:
            file.write(limit)
    raise RuntimeError("there are too many")


def udp_sockets(net=None):
    """The UDP sockets of a netns: (family, port) and what tells one from another."""
    with inside(net) if net is not None else contextlib.nullcontext():
        found = set()
        for family, path in ((4, "/proc/self/net/udp"), (6, "/proc/self/net/udp6")):
            if not os.path.exists(path):
                continue  # a kernel without IPv6
            with open(path, encoding="ascii") as file:
                for line in list(file)[1:]:
                    fields = line.split()
                    found.add((family, int(fields[1].rsplit(":", 1)[1], 16), int(fields[9])))
        return frozenset(found)


def ports(net=None):
    """(family, port) of the UDP sockets of a netns."""
    return {(family, port) for family, port, _ in udp_sockets(net)}


def checksum(data):
    """The sum over an even number of bytes that the headers of IP and ICMP have."""
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def meminfo(name):
    """A figure of /proc/meminfo, in bytes."""
    with open("/proc/meminfo", encoding="ascii") as file:
        figures = {line.split(":")[0]: int(line.split()[1]) << 10 for line in file}
    return figures[name]


def new_ping(net, address, timeout=2.0):
    """Whether an ICMP echo request comes back from a tunnel that may just have begun anew: peers
    take no handshake less than 20 ms after the last, and another is tried after 5 seconds only."""
    time.sleep(0.05)
    return ping(net, address, timeout) > 0


def ping(net, address, timeout=2.0, count=1, interval=0.0):
    """How many of so many ICMP echo requests came back."""
    with inside(net):
        sock = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    with sock:
        sock.setblocking(False)
        ident = os.urandom(2)
        back = set()

        def listen(until, enough):
            while len(back) < enough:
                left = until - time.monotonic()
                if left <= 0 or not select.select([sock], [], [], left)[0]:
                    return
                data = sock.recv(2048)[20:]
                if data[0] == 0 and data[4:6] == ident:
                    back.add(data[6:8])

        for number in range(count):
            body = b"\x08\0\0\0" + ident + struct.pack(">H", number) + b"tunnel!!" * 4
            body = body[:2] + struct.pack(">H", checksum(body)) + body[4:]
            try:
                sock.sendto(body, (address, 0))
            except OSError:
                pass
            if number + 1 < count:
                listen(time.monotonic() + interval, count)
        listen(time.monotonic() + timeout, count)
        return len(back)


def reaches(net, address, seconds=8.0):
    """Whether packets get through before long. The first may be lost: where a carrier came back just
    now, the stack drops what is sent until a worker of its own has taken notice."""
    return bool(until(lambda: ping(net, address, 1), seconds))


def until(condition, seconds=5.0, step=0.02):
    """Waits for something that takes a moment, or some where the kernel checks all it does."""
    end = time.monotonic() + seconds * (4 if debugs() else 1)
    while True:
        value = condition()
        if value or time.monotonic() > end:
            return value
        time.sleep(step)


def await_that(what, condition, seconds=30.0):
    """The same for what a suite cannot go on without."""
    value = until(condition, seconds)
    if not value:
        raise TimeoutError(f"after {seconds} s it is still not so that {what}")
    return value
