# SPDX-License-Identifier: GPL-2.0
"""Whose the sockets are: the task's that sends the message, as it was then, whatever becomes of it
and whoever opened the credentials."""

import contextlib
import ctypes
import os
import socket
import struct
import subprocess
import time

import actor
import bpf
import house
import netlink as nl
import world
from actor import Actor
from bpf import attached, returns
from house import (BOTH, CGROUPS, HERS, INSIDE, NAMES, User, acts, all_go_on, has_module,
                   make_cgroup, nft, spares)
from stream import Stream
from tap import check, scenario, skip
from world import inside

SUB = 100005  # a user of the range that is alice's to give
UDP_SEGMENT = 103


# --- users --------------------------------------------------------------------------------

def become_nested(uid, cgroups):
    house.become_owner(uid, cgroups)
    actor.new_namespaces()
    nl.link_up("lo").or_raise()


@scenario
def nested():
    """The sender is in a user namespace within a user namespace."""
    with User(as_owner=become_nested) as her:
        her.device()
        acts("a rule for the uid of who is root of a nested user namespace",
             nft("meta skuid 1000 drop"), her=her)
        spares("a rule for root", nft("meta skuid 0 udp dport 5000-5001 drop"), her)
        check({one.uid for one in her.sockets().values()} == {1000}, "the sockets are of her uid",
              her.sockets())


def become_mapped(uid, cgroups):
    """In a user namespace in which other uids than hers are mapped, as of a container."""
    for path in cgroups:
        house.enter_cgroup(path)
    actor.drop_user(uid)
    house.keep_credentials()
    told, tell = os.pipe()
    owner, mapper = os.getpid(), os.fork()
    if mapper == 0:
        os.read(told, 1)
        os._exit(any(subprocess.run([tool, str(owner), *f"0 {uid} 1 1 100000 65535".split()],
                                    check=False).returncode
                     for tool in ("newuidmap", "newgidmap")))
    os.unshare(os.CLONE_NEWUSER | os.CLONE_NEWNET)
    os.write(tell, b".")
    status = os.waitpid(mapper, 0)[1]
    os.close(told)
    os.close(tell)
    if status:
        raise RuntimeError("the ids cannot be mapped")
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)
    nl.link_up("lo").or_raise()


def switch_user(uid):
    """Becomes another user of the namespace, and keeps what rights there are in it."""
    world.libc.prctl(8, 1, 0, 0, 0)  # PR_SET_KEEPCAPS
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    # What is permitted is not in effect any more.
    header, data = struct.pack("=Ii", 0x20080522, 0), ctypes.create_string_buffer(24)
    world.libc.capget(header, data)
    words = list(struct.unpack("=6I", data.raw))
    words[0], words[3] = words[1], words[4]
    if world.libc.capset(header, struct.pack("=6I", *words)):
        raise OSError(ctypes.get_errno(), "capset")


@scenario
def other_uid():
    """The sender is of another uid than alice, who opened the credentials."""
    def as_sub(uid, cgroups):
        become_mapped(uid, cgroups)
        switch_user(SUB - 99999)

    with User(as_owner=as_sub, as_program=lambda _, cgroups: house.become_program(SUB, cgroups)) \
            as her:
        her.device()
        acts("a rule for the uid of who sent the message", nft(f"meta skuid {SUB} drop"), her=her)
        acts("a rule for the gid of who sent the message", nft(f"meta skgid {SUB} drop"), her=her)
        spares("a rule for who opened the credentials", nft("meta skuid 1000 drop"), her)
        check({one.uid for one in her.sockets().values()} == {SUB}, "the sockets are of that uid",
              her.sockets())


def become_with_anothers(uid, cgroups):
    """With credentials that somebody else opened and handed over."""
    for path in cgroups:
        house.enter_cgroup(path)
    os.setresuid(1001, 1001, 0)
    house.keep_credentials()
    os.setresuid(0, 0, 0)
    actor.drop_user(uid)
    actor.new_namespaces()
    nl.link_up("lo").or_raise()


@scenario
def anothers_credentials():
    """The credentials were opened by another user than the sender."""
    with User(as_owner=become_with_anothers) as her:
        her.device()
        acts("a rule for the sender's uid", nft("meta skuid 1000 drop"), her=her)
        spares("a rule for who opened the credentials", nft("meta skuid 1001 drop"), her)
        check({one.uid for one in her.sockets().values()} == {1000},
              "the sockets are the sender's", her.sockets())


@scenario
def su():
    """The task becomes another user after the move, and so does the program."""
    def as_program(uid, cgroups):
        for path in cgroups:
            house.enter_cgroup(path)
        os.setresuid(uid, uid, 0)
        house.open_sockets()

    with User(as_owner=become_mapped, as_program=as_program) as her:
        her.device()
        her.owner(switch_user, SUB - 99999)
        her.program(os.setresuid, 0, 0, 0)
        her.program(os.setresuid, SUB, SUB, SUB)
        acts("a rule for who the sender was at the move", nft("meta skuid 1000 drop"), her=her)
        spares("a rule for who it is now", nft(f"meta skuid {SUB} drop"), her)
        answer = her.buy(port=6080)
        check(answer.name == "OK" and {one.uid for one in her.sockets().values()} == {SUB},
              "a new port makes sockets of who the sender is now", answer, her.sockets())


# --- cgroups ------------------------------------------------------------------------------

@scenario
def moved_cgroup():
    """The sender is put into another cgroup after the move, and so is the program."""
    first, second = make_cgroup("users/first"), make_cgroup("users/second")
    with User(cgroups=(first,)) as her:
        her.device()
        for process in (her.owner, her.program):
            with open(f"{second}/cgroup.procs", "w", encoding="ascii") as file:
                file.write(str(process.pid))
        rules_of("the old cgroup", "users/first", acts, her)
        rules_of("the new cgroup", "users/second", spares, her)
        her.program(house.open_sockets)
        her.anew()
        rules_of("the new cgroup, of which new sockets are,", "users/second", acts, her)
        rules_of("the old cgroup then", "users/first", spares, her)


def rules_of(what, cgroup, verdict, her):
    """The verdict over her of what rules by a cgroup."""
    if has_module("nft_socket"):
        verdict(f"a rule for {what}", nft(f'socket cgroupv2 level 2 "{cgroup}" drop'), her=her)
    if bpf.supported():
        verdict(f"an egress program of {what}",
                attached(f"{CGROUPS}/{cgroup}", (bpf.EGRESS, returns(0))), her=her)


@scenario
def removed_cgroup():
    """Her cgroup is removed after the move."""
    first, second = make_cgroup("users/first"), make_cgroup("users/second")
    with User(cgroups=(first,)) as her:
        her.device()
        with contextlib.ExitStack() as rules:
            if has_module("nft_socket"):
                rules.enter_context(nft('socket cgroupv2 level 2 "users/first" drop'))
            for process in (her.owner, her.program):
                with open(f"{second}/cgroup.procs", "w", encoding="ascii") as file:
                    file.write(str(process.pid))
            os.rmdir(first)
            if has_module("nft_socket"):
                house.stopped_alike("a rule for a cgroup that was removed",
                                    house.what_goes_on(her))
        found = all_go_on(her)
        check(found == house.EVERYTHING, "without it all goes on", found)
        # What is in force for a cgroup that is no more is what the kernel makes of it.
        if bpf.supported():
            with attached(f"{CGROUPS}/users", (bpf.EGRESS, returns(0))):
                found = house.what_goes_on(her)
            check(found["tunnel"] == found["program"],
                  "a program of the cgroup that it was in acts on both alike", found)
        found = all_go_on(her)
        check(found == house.EVERYTHING, "after that all goes on", found)


# --- descriptors and processes ------------------------------------------------------------

@scenario
def closed():
    """The credentials are closed after the move, and who showed them ends."""
    with User() as her:
        her.device()
        before = her.sockets()
        her.owner(house.close_credentials)
        acts("a rule for her uid, now that the credentials are closed,",
             nft("meta skuid 1000 drop"), her=her)
        check(her.sockets() == before, "the sockets are the same", before, her.sockets())
        # Her netns lives as long as it is held here.
        her.owner.end()
        her.owner = Actor(os.setns, her.net, os.CLONE_NEWNET)
        acts("a rule for her uid, now that her process has ended,", nft("meta skuid 1000 drop"),
             her=her)
        check(her.sockets() == before, "the sockets are the same", before, her.sockets())


# --- traffic of other kinds ----------------------------------------------------------------

def arrive(receiver, count, seconds):
    """Which of so many datagrams arrive within a time, whole."""
    found = set()
    end = time.monotonic() + seconds
    while len(found) < count and (left := end - time.monotonic()) > 0:
        receiver.settimeout(left)
        with contextlib.suppress(TimeoutError):
            data = receiver.recv(2048)
            if data == data[:1] * 1000:
                found.add(data[0])
    return len(found)


@scenario
def segments():
    """Many datagrams as one, UDP GSO, through the tunnel and by the program itself."""
    her = house.alice
    her.device()
    all_go_on(her)
    rules = {"a rule for her uid": lambda: nft("meta skuid 1000 drop")}
    if bpf.supported():
        rules["an egress program"] = lambda: attached(f"{CGROUPS}/{HERS}", (bpf.EGRESS, returns(0)))
    with contextlib.ExitStack() as stack:
        if bpf.supported():
            stack.enter_context(attached(f"{CGROUPS}/{HERS}", (bpf.EGRESS, returns(1)),
                                         (bpf.INGRESS, returns(1))))
        for family in BOTH:
            for rule in ("nothing", *rules):
                with rules.get(rule, contextlib.nullcontext)():
                    found = segments_arrive(her, family)
                wanted = 20 if rule == "nothing" else 0
                check(found["the program"] == wanted and found["the tunnel"] == wanted,
                      f"of 20 datagrams sent as one {wanted} arrive with {rule} in force, "
                      f"{NAMES[family]}", found)
    found = all_go_on(her)
    check(found == house.EVERYTHING, "then all goes on again", found)


def segments_arrive(her, family):
    found = {}
    for who, sender, kind, address in (
            ("the program", her.program, house.AF[family], house.FAR[family][0]),
            ("the tunnel", her.owner, socket.AF_INET, f"{INSIDE[family]}.2")):
        with inside("far"):
            receiver = socket.socket(kind, socket.SOCK_DGRAM)
        receiver.bind((address, 0))
        sender(send_segments, kind, address, receiver.getsockname()[1])
        found[who] = arrive(receiver, 20, 0.25)
        if 0 < found[who] < 20:
            found[who] += arrive(receiver, 20 - found[who], 3)
        receiver.close()
    return found


def send_segments(kind, address, port):
    with socket.socket(kind, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, 1000)
        with contextlib.suppress(OSError):
            sock.sendto(b"".join(bytes([number]) * 1000 for number in range(20)), (address, port))


@scenario
def streams():
    """TCP through the tunnel while programs look at every packet, and let it be."""
    if not bpf.supported():
        skip("streams", "this kernel has no BPF")
        return
    her = house.alice
    her.device()
    all_go_on(her)
    with attached(f"{CGROUPS}/{HERS}", (bpf.EGRESS, returns(1)), (bpf.INGRESS, returns(1))):
        running = [Stream(f"out over {NAMES[family]}", her.net, "far", f"{INSIDE[family]}.2")
                   for family in BOTH]
        running += [Stream(f"in over {NAMES[family]}", "far", her.net, f"{INSIDE[family]}.1")
                    for family in BOTH]
        before = [one.count() for one in running]
        check(world.until(lambda: all(one.count() > then for one, then in zip(running, before)), 10),
              "streams go on while programs look at every packet", before)
        with attached(f"{CGROUPS}/{HERS}", (bpf.EGRESS, returns(0))):
            def stand_still():
                before = [one.count() for one in running]
                time.sleep(0.3)
                return before == [one.count() for one in running]
            check(world.until(stand_still, 10), "they stand still while one drops all")
        check(world.until(lambda: all(one.count() > then for one, then in zip(running, before)), 20),
              "and go on after it", before)
        for one in running:
            one.finish()
