# SPDX-License-Identifier: GPL-2.0
"""BPF programs of cgroups, assembled by hand: the guest has no compiler, and these are short."""

import contextlib
import ctypes
import os
import socket
import struct

import calls

libc = ctypes.CDLL(None, use_errno=True)

PROG_LOAD, PROG_ATTACH, PROG_DETACH, LINK_CREATE = 5, 8, 9, 28
ALLOW_MULTI = 2

# Types of programs
CGROUP_SKB, CGROUP_SOCK, CGROUP_SOCK_ADDR, PROG_XDP = 8, 9, 18, 6
# Where they are attached
INGRESS, EGRESS, SOCK_CREATE, XDP = 0, 1, 2, 37
BIND = {4: 8, 6: 9}
CONNECT = {4: 10, 6: 11}
POST_BIND = {4: 12, 6: 13}
SENDMSG = {4: 14, 6: 15}

_TYPES = {INGRESS: CGROUP_SKB, EGRESS: CGROUP_SKB, SOCK_CREATE: CGROUP_SOCK, XDP: PROG_XDP,
          **dict.fromkeys(POST_BIND.values(), CGROUP_SOCK),
          **dict.fromkeys((*BIND.values(), *CONNECT.values(), *SENDMSG.values()),
                          CGROUP_SOCK_ADDR)}

# Of struct bpf_sock and struct bpf_sock_addr
SOCK_FAMILY, SOCK_PROTOCOL = 4, 12
ADDR_IP4, ADDR_IP6, ADDR_PORT = 4, 8, 24
# Of an IP header
SOURCE = {4: (12, 4), 6: (8, 16)}
DESTINATION = {4: (16, 4), 6: (24, 16)}


def supported():
    """Whether the kernel has bpf(2)."""
    return _bpf(PROG_LOAD, b"") != -1 or ctypes.get_errno() != 38


def _bpf(command, attributes):
    data = ctypes.create_string_buffer(attributes, max(len(attributes), 1))
    return libc.syscall(calls.number("bpf"), command, data, len(attributes))


def _must(command, attributes, what):
    result = _bpf(command, attributes)
    if result < 0:
        raise OSError(ctypes.get_errno(), what)
    return result


# --- instructions ---------------------------------------------------------------------

def _insn(code, dst=0, src=0, off=0, imm=0):
    return struct.pack("=BBhi", code, dst | src << 4, off, (imm + (1 << 31)) % (1 << 32) - (1 << 31))


def mov(dst, number):
    return _insn(0xb7, dst, imm=number)


def mov_reg(dst, src):
    return _insn(0xbf, dst, src)


def load(dst, src, off):
    """dst = *(u32 *)(src + off)"""
    return _insn(0x61, dst, src, off)


def store(dst, off, src):
    """*(u32 *)(dst + off) = src"""
    return _insn(0x63, dst, src, off)


def call(number):
    return _insn(0x85, imm=number)


EXIT = _insn(0x95)


def returns(number):
    """A program's end, or all of it: 0 to refuse or drop, 1 to let it be."""
    return mov(0, number) + EXIT


def unless(conditions, otherwise, then):
    """`then` where each loaded word is what it should be: (code that loads into register 2, word)."""
    code = then
    for loading, word in reversed(conditions):
        # 0x56: a jump over all that follows if the lower halves are not equal
        code = loading + _insn(0x56, 2, off=len(code) // 8, imm=word) + code
    return code + otherwise


def drops_longer(length):
    """Drops packets that are longer."""
    return load(2, 1, 0) + _insn(0xb5, 2, off=2, imm=length) + returns(0) + returns(1)


def drops_address(place, family, address):
    """Drops packets with an address at a place, SOURCE or DESTINATION, of their IP header."""
    offset, size = place[family]
    packed = socket.inet_pton(socket.AF_INET if family == 4 else socket.AF_INET6, address)
    words = struct.unpack(f"=1I{size // 4 - 1}I", packed)
    read = (mov_reg(6, 1) + _loads(0, 1, -24) + mov_reg(1, 6) + _loads(offset, size, -16))
    # The version is the upper half of the first byte: what is below cannot be told apart by a word.
    version = (_insn(0x71, 2, 10, -24) + _insn(0x77, 2, imm=4), family)
    return read + unless([version, *((load(2, 10, -16 + 4 * at), word)
                                     for at, word in enumerate(words))], returns(1), returns(0))


def _loads(offset, size, at):
    """skb_load_bytes(): so much of the packet in register 1, to the stack. All packets have it."""
    return mov(2, offset) + mov_reg(3, 10) + _insn(0x07, 3, imm=at) + mov(4, size) + call(26)


def refuses_udp(family):
    """Refuses the creation of UDP sockets of a family."""
    number = socket.AF_INET if family == 4 else socket.AF_INET6
    return unless([(load(2, 1, SOCK_FAMILY), number),
                   (load(2, 1, SOCK_PROTOCOL), socket.IPPROTO_UDP)], returns(1), returns(0))


def refuses_with(errno):
    """Refuses with an error of its own, by bpf_set_retval()."""
    return mov(1, -errno) + call(187) + returns(0)


def rewrites_address(family, address):
    """Has what is bound be bound to another address."""
    packed = socket.inet_pton(socket.AF_INET if family == 4 else socket.AF_INET6, address)
    at = ADDR_IP4 if family == 4 else ADDR_IP6
    code = b""
    for number, word in enumerate(struct.unpack(f"={len(packed) // 4}I", packed)):
        code += _insn(0xb4, 2, imm=word) + store(1, at + 4 * number, 2)
    return code + returns(1)


# --- programs in force ------------------------------------------------------------------

def program(attach_type, code):
    """Loads a program; its descriptor."""
    insns = ctypes.create_string_buffer(code, len(code))
    log = ctypes.create_string_buffer(1 << 16)
    license_ = ctypes.create_string_buffer(b"GPL")
    attributes = struct.pack(
        "=IIQQIIQII16sII", _TYPES[attach_type], len(code) // 8, ctypes.addressof(insns),
        ctypes.addressof(license_), 1, len(log), ctypes.addressof(log), 0, 0, b"", 0, attach_type)
    result = _bpf(PROG_LOAD, attributes)
    if result < 0:
        raise OSError(ctypes.get_errno(), "the verifier says: " + log.value.decode())
    return result


@contextlib.contextmanager
def attached(cgroup, *programs, link=False):
    """Has programs, (attach type, code) each, in force for a cgroup, given by its path."""
    target = os.open(cgroup, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    with contextlib.ExitStack() as stack:
        stack.callback(os.close, target)
        for attach_type, code in programs:
            fd = program(attach_type, code)
            stack.callback(os.close, fd)
            if link:
                stack.callback(os.close, _must(
                    LINK_CREATE, struct.pack("=IIII", fd, target, attach_type, 0), "BPF_LINK_CREATE"))
                continue
            _must(PROG_ATTACH, struct.pack("=IIII", target, fd, attach_type, ALLOW_MULTI),
                  "BPF_PROG_ATTACH")
            stack.callback(_must, PROG_DETACH, struct.pack("=III", target, fd, attach_type),
                           "BPF_PROG_DETACH")
        yield
