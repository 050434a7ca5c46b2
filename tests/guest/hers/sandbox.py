# SPDX-License-Identifier: GPL-2.0
"""Security modules: Landlock, by which a task restricts itself."""

import errno
import socket

import house
import landlock
import netlink as nl
from house import AF, BOTH, FAR, V4, V6, User, errno_of
from landlock import BIND_TCP, BIND_UDP, CONNECT_TCP, SEND_UDP
from programs import binds, connects, sends
from tap import check, scenario, skip

WHERE_IT_LIKES = "a security module does not let this task send by UDP where it likes"


def restricted(handled, allowed=()):
    """A user of whom both processes have restricted themselves; the owner has a device by then."""
    her = User()
    her.device(bought=False)
    for process in (her.owner, her.program):
        process(landlock.restrict, handled, allowed)
    return her


def her_program(her):
    """What is said to a program of hers that sends, connects and binds, in either family."""
    return {family: tuple(her.program(call, family) for call in (sends, connects, binds))
            for family in BOTH}


def sends_to(family, port):
    """What sending to a port at the far end fails with."""
    with socket.socket(AF[family], socket.SOCK_DGRAM) as sock:
        return errno_of(sock.sendto, b"", (FAR[family][0], port))


def has_udp():
    if landlock.abi() >= landlock.UDP_ABI:
        return True
    skip("Landlock", "this kernel's does not know UDP, or is not in use")
    return False


@scenario
def landlock_sending():
    """A task that may not send where it likes."""
    if not has_udp():
        return
    no = errno.EACCES
    for what, handled, allowed, said in (
            ("to port 9 only", SEND_UDP, [(9, SEND_UDP)], (no, no, 0)),
            ("to no port", SEND_UDP, [], (no, no, 0)),
            ("to the ports that she sends to, and no others", SEND_UDP,
             [(port, SEND_UDP) for port in (5000, 5001, house.ECHO_PORT)], (0, 0, 0)),
            ("to port 9 only, from a port that the kernel picks", SEND_UDP | BIND_UDP,
             [(9, SEND_UDP), (0, BIND_UDP)], (no, no, 0))):
        with restricted(handled, allowed) as her:
            found = her_program(her)
            check(all(one == said for one in found.values()),
                  f"a program that may send {what}", found)
            check(all(her.program(sends_to, family, 9) == (0 if (9, SEND_UDP) in allowed else no)
                      for family in BOTH), f"whether to port 9, if it may send {what}")
            for asked in ({}, {"port": 6070}, {"port": 0}):
                her.refused(f"a move by who may send {what} {asked or ''}", "EACCES",
                            WHERE_IT_LIKES, (V4, V6), lambda asked=asked: her.buy(**asked))


@scenario
def landlock_binding():
    """A task that may not bind."""
    if not has_udp():
        return
    no = errno.EACCES
    with restricted(BIND_UDP) as her:
        found = her_program(her)
        check(all(one == (no, no, no) for one in found.values()),
              "a program that may bind nothing cannot send from a new socket", found)
        for asked in ({}, {"port": 6070}, {"port": 0}):
            her.refused(f"a move by who may bind nothing {asked or ''}", "EACCES", ".",
                        request=lambda asked=asked: her.buy(**asked))
    with restricted(BIND_UDP, [(0, BIND_UDP)]) as her:
        found = her_program(her)
        check(all(one == (0, 0, 0) for one in found.values()),
              "a program that may bind to a port that the kernel picks can send", found)
        her.refused("a move to a certain port by who may have any but no certain one", "EACCES",
                    "port of the local range only", request=lambda: her.buy(port=6070))
        answer = her.buy(port=0)
        check(answer.name == "OK", "one that the kernel picks", answer)
        answer = her.buy(port=40000)
        check(answer.name == "OK", "and one that the kernel might pick, it may have", answer)
    with restricted(BIND_UDP | SEND_UDP) as her:
        her.refused("a move by who may neither bind nor send", "EACCES", ".")


@scenario
def landlock_else():
    """Restrictions that have nothing to do with it, and ones that come later."""
    if not has_udp():
        return
    with restricted(BIND_TCP | CONNECT_TCP) as her:
        answer = her.buy(port=0)
        check(answer.name == "OK", "a task that is restricted in TCP only may", answer)
    with User() as her:
        her.device()
        house.all_go_on(her)
        for process in (her.owner, her.program):
            process(landlock.restrict, SEND_UDP, [(9, SEND_UDP)])
        found = her_program(her)
        check(all(one[0] == errno.EACCES for one in found.values()),
              "a program that restricts itself now cannot send any more", found)
        her.refused("another port, by a task that restricted itself after the move", "EACCES",
                    WHERE_IT_LIKES, (V4, V6), lambda: her.buy(port=6071))
        answer = her.owner(nl.wg_set, "wg0", peers=[nl.peer(bytes(31) + b"\1")])
        check(answer.name == "OK", "what is not about sockets it may still do", answer)
        her.take_home()
        her.refused("a move by it", "EACCES", WHERE_IT_LIKES, (V4, V6))
