# SPDX-License-Identifier: GPL-2.0
"""Landlock: what a task may do is restricted by itself, for good."""

import ctypes
import os
import struct

BIND_TCP, CONNECT_TCP, BIND_UDP, SEND_UDP = 1, 2, 4, 8
# The first version that knows UDP
UDP_ABI = 10

libc = ctypes.CDLL(None, use_errno=True)


def _syscall(number, *args):
    result = libc.syscall(number, *args)
    if result < 0:
        raise OSError(ctypes.get_errno(), f"system call {number}")
    return result


def abi():
    """Its version in this kernel; 0 if it is not there or not in use."""
    try:
        return _syscall(444, None, 0, 1)
    except OSError:
        return 0


def restrict(handled, allowed=()):
    """Restricts the calling task: what of `handled` it does to a port has to be in `allowed`, pairs of
    a port and what may be done to it."""
    attributes = struct.pack("=QQQ", 0, handled, 0)
    ruleset = _syscall(444, attributes, len(attributes), 0)
    for port, access in allowed:
        _syscall(445, ruleset, 2, struct.pack("=QQ", access, port), 0)
    libc.prctl(38, 1, 0, 0, 0)  # PR_SET_NO_NEW_PRIVS
    _syscall(446, ruleset, 0)
    os.close(ruleset)
