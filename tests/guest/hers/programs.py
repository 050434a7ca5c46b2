# SPDX-License-Identifier: GPL-2.0
"""BPF programs of cgroups."""

import errno
import os
import socket

import bpf
import house
import netlink as nl
from actor import Actor
from bpf import DESTINATION, SOURCE, attached, drops_address, returns
from house import (AF, BOTH, CGROUPS, FAR, HERS, NAMES, acts, all_go_on, errno_of, spares,
                   stopped_alike, what_goes_on)
from tap import check, scenario, skip

HER_CGROUP = f"{CGROUPS}/{HERS}"
CONNECT_OR_SEND = ("a BPF program of the cgroup rules over where this task may connect or send")
OTHER = {4: ("10.7.0.3", "10.9.0.2"), 6: ("fd07::3", "fd09::2")}


def with_bpf(function):
    """A scenario for kernels that have BPF."""
    def run():
        if bpf.supported():
            function()
        else:
            skip(function.__name__, "this kernel has no BPF")
    run.__name__, run.__doc__ = function.__name__, function.__doc__
    return scenario(run)


# --- packets ----------------------------------------------------------------------------

@with_bpf
def egress():
    """What leaves."""
    house.alice.device()
    acts("an egress program that drops all", attached(HER_CGROUP, (bpf.EGRESS, returns(0))))
    for family in BOTH:
        acts(f"an egress program that drops what goes to {FAR[family][0]}",
             attached(HER_CGROUP,
                      (bpf.EGRESS, drops_address(DESTINATION, family, FAR[family][0]))), (family,))
    acts("an egress program of the cgroup that hers is in",
         attached(f"{CGROUPS}/users", (bpf.EGRESS, returns(0)), link=True))
    spares("an egress program for the cgroup beside hers",
           attached(f"{CGROUPS}/users/bob", (bpf.EGRESS, returns(0))))
    spares("an egress program that drops what goes elsewhere",
           attached(HER_CGROUP, *((bpf.EGRESS, drops_address(DESTINATION, family, address))
                                  for family in BOTH for address in OTHER[family])))
    before_the_move("an egress program", (bpf.EGRESS, returns(0)))


@with_bpf
def ingress():
    """What arrives."""
    house.alice.device()
    acts("an ingress program that drops all", attached(HER_CGROUP, (bpf.INGRESS, returns(0))))
    for family in BOTH:
        acts(f"an ingress program that drops what comes from {FAR[family][0]}",
             attached(HER_CGROUP,
                      (bpf.INGRESS, drops_address(SOURCE, family, FAR[family][0]))), (family,))
    acts("an ingress program of the cgroup that hers is in",
         attached(f"{CGROUPS}/users", (bpf.INGRESS, returns(0)), link=True))
    spares("an ingress program for the cgroup beside hers",
           attached(f"{CGROUPS}/users/bob", (bpf.INGRESS, returns(0))))
    spares("an ingress program that drops what comes from elsewhere",
           attached(HER_CGROUP, *((bpf.INGRESS, drops_address(SOURCE, family, address))
                                  for family in BOTH for address in OTHER[family])))
    before_the_move("an ingress program", (bpf.INGRESS, returns(0)))


def before_the_move(what, program):
    """A program that is there already when the sockets are made, of the tunnel and of hers."""
    house.alice.take_home()
    with attached(HER_CGROUP, program):
        house.alice.program(house.open_sockets)
        house.alice.buy().or_raise()
        stopped_alike(f"{what} from before the move", what_goes_on(house.alice))
    found = all_go_on(house.alice)
    check(found == house.EVERYTHING, f"after {what} from before the move all goes on", found)


# --- sockets ----------------------------------------------------------------------------

def binds(family):
    """What binding a new socket of hers fails with."""
    return errno_of(try_bind, family)


def try_bind(family):
    with socket.socket(AF[family], socket.SOCK_DGRAM) as sock:
        if family == 6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(("", 0))
        return sock.getsockname()


def opens(family):
    return errno_of(house.udp, family)


def refuse_both(what, family, program, reference, error=errno.EPERM):
    """A program refuses what she would do for a socket of her own; then she cannot buy one either."""
    name = f"{what}, {NAMES[family]}"
    with attached(HER_CGROUP, program):
        found = house.alice.program(reference, family)
        check(found == error, f"{name}, refuses her program", found)
        house.alice.refused(f"{name}, refuses the move", errno.errorcode[error])
        house.alice.refused(f"{name}, refuses another port", errno.errorcode[error],
                            request=lambda: house.alice.buy(port=6060))
    check(house.alice.program(reference, family) == 0, f"after {name}, her program may")


@with_bpf
def creation():
    """Programs that refuse the creation of sockets, and binding."""
    her = house.alice
    her.device(bought=False)
    for family in BOTH:
        refuse_both("a program that refuses sockets", family,
                    (bpf.SOCK_CREATE, bpf.refuses_udp(family)), opens)
        refuse_both("a program that refuses to bind", family, (bpf.BIND[family], returns(0)), binds)
        refuse_both("a program that refuses a port that was bound", family,
                    (bpf.POST_BIND[family], returns(0)), binds)
        refuse_both("a program that refuses to bind with an error of its own", family,
                    (bpf.BIND[family], bpf.refuses_with(errno.EADDRNOTAVAIL)), binds,
                    errno.EADDRNOTAVAIL)
    check(her.buy().name == "OK", "without any she may move the sockets", her.get())
    # What was bought stays as it is: the same holds for sockets that are open.
    with attached(HER_CGROUP, *((bpf.SOCK_CREATE, bpf.refuses_udp(family)) for family in BOTH),
                  *((kind[family], returns(0)) for kind in (bpf.BIND, bpf.POST_BIND)
                    for family in BOTH)):
        found = all_go_on(her)
        check(found == house.EVERYTHING, "programs that come after leave what is there", found)
        check(her.owner(down_and_up).name == "OK", "the device can go down and up then")
        found = all_go_on(her)
        check(found == house.EVERYTHING, "and all goes on", found)


def down_and_up():
    nl.link_down("wg0").or_raise()
    return nl.link_up("wg0")


@with_bpf
def creation_elsewhere():
    """The hooks are those of the sender's cgroup, and no other."""
    her = house.alice
    her.device(bought=False)
    with attached(f"{CGROUPS}/users/bob",
                  *((bpf.SOCK_CREATE, bpf.refuses_udp(family)) for family in BOTH)):
        answer = her.buy()
        check(answer.name == "OK", "a program for the cgroup beside hers does not matter", answer)


@with_bpf
def binding_elsewhere():
    """A program that has all be bound to an address of its choice."""
    her = house.alice
    for family, address in ((4, "10.9.0.1"), (6, "fd09::1")):
        her.device(bought=False)
        with attached(HER_CGROUP, (bpf.BIND[family], bpf.rewrites_address(family, address))):
            found = her.program(try_bind, family)
            check(found[0] == address, f"her program is bound to {address}", found)
            answer = her.buy()
        shown = house.sh(f"ss -{family} -Huan sport = :{house.PORT}")
        check(answer.name != "OK" or address in shown,
              f"her tunnel too, or the move is refused, {NAMES[family]}", answer, shown)
        if answer.name == "OK":
            found = all_go_on(her)
            check(found == house.EVERYTHING, f"and all gets through, {NAMES[family]}", found)


# --- where to send ------------------------------------------------------------------------

def connects(family):
    """What connecting a new socket of hers fails with."""
    with socket.socket(AF[family], socket.SOCK_DGRAM) as sock:
        return errno_of(sock.connect, (FAR[family][0], house.ECHO_PORT))


def sends(family):
    """The same for sending by one that is not connected."""
    with socket.socket(AF[family], socket.SOCK_DGRAM) as sock:
        return errno_of(sock.sendto, b"", (FAR[family][0], house.ECHO_PORT))


@with_bpf
def connect_and_send():
    """Where a program says where she may connect or send, the sockets cannot be moved."""
    her = house.alice
    her.device(bought=False)
    for family in BOTH:
        for name, kind, reference in (("connect", bpf.CONNECT, connects),
                                      ("sendmsg", bpf.SENDMSG, sends)):
            what = f"a {name}{family} program"
            with attached(HER_CGROUP, (kind[family], returns(0))):
                found = her.program(reference, family)
                check(found == errno.EPERM, f"{what} that refuses, refuses her program", found)
                her.refused(f"{what} that refuses", "EPERM", CONNECT_OR_SEND)
            with attached(HER_CGROUP, (kind[family], returns(1))):
                check(her.program(reference, family) == 0, f"{what} may let her program")
                her.refused(f"{what} that refuses nothing yet", "EPERM", CONNECT_OR_SEND)
            with attached(f"{CGROUPS}/users", (kind[family], returns(1)), link=True):
                her.refused(f"{what} of the cgroup that hers is in", "EPERM", CONNECT_OR_SEND)
            check(her.program(reference, family) == 0, f"after {what} her program may")
    with attached(f"{CGROUPS}/users/bob",
                  *((kind[family], returns(0)) for kind in (bpf.CONNECT, bpf.SENDMSG)
                    for family in BOTH)):
        answer = her.buy()
        check(answer.name == "OK", "programs for the cgroup beside hers do not matter", answer)
    # Nor is root asked, whatever cgroup she is in.
    with attached(HER_CGROUP, (bpf.SENDMSG[4], returns(0)), (bpf.SENDMSG[6], returns(0))):
        answer = root_moves()
        check(answer.name == "OK", "an ordinary device can be moved all the same", answer)


def become_root(uid, cgroups):
    """Root, in the ordinary device's netns and in that cgroup."""
    for path in cgroups:
        house.enter_cgroup(path)
    os.setns(house.ordinary, os.CLONE_NEWNET)


def both_ways():
    nl.wg_set("wg1", netns_pid=os.getpid()).or_raise()
    return nl.wg_set("wg1", netns_pid=1)


def root_moves():
    """Root moves the sockets of the ordinary device to its netns and back, from her cgroup."""
    root = Actor(become_root, 0, (HER_CGROUP,))
    try:
        return root(both_ways)
    finally:
        root.end()


@with_bpf
def sendmsg_later():
    """A program for where she may send that comes after the move: the tunnel stops."""
    her = house.alice
    her.device()
    for family in BOTH:
        acts(f"a sendmsg{family} program from after the move",
             attached(HER_CGROUP, (bpf.SENDMSG[family], returns(0))), (family,))
    acts("a pair of programs of the cgroup that hers is in",
         attached(f"{CGROUPS}/users", *((bpf.SENDMSG[family], returns(0)) for family in BOTH),
                  link=True))
    spares("such a pair for the cgroup beside hers",
           attached(f"{CGROUPS}/users/bob", *((bpf.SENDMSG[family], returns(0))
                                              for family in BOTH)))
    with attached(HER_CGROUP, (bpf.SENDMSG[4], returns(0))):
        her.refused("another port while there is one", "EPERM", CONNECT_OR_SEND,
                    request=lambda: her.buy(port=6061))
