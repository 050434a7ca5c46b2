# SPDX-License-Identifier: GPL-2.0
"""Requests that name what is no netns, no process and no credential."""

import os

import actor
import house
import netlink as nl
import world
from actor import Actor
from fds import GOOD, OTHERS, OURS, RESTRICTED, keep_good, restricted_numbers
from house import (NETNS, V4, V6, device, differences, keys, kinds, pings, proof, refused, state,
                   wrong)
from tap import check, scenario


def try_kind(kind):
    """One descriptor in each of the three places; what is wrong with the answers."""
    number = kind.number
    problems = []
    for words, error, attribute in (
            ({"netns_fd": number, **proof()}, kind.as_netns, NETNS),
            ({"port": 6001, "credential4": number, "credential6": GOOD[1]},
             kind.as_credential, V4),
            ({"port": 6001, "credential4": GOOD[0], "credential6": number},
             kind.as_credential, V6),
            ({"netns_pid": 1, "credential6": number}, kind.as_credential, V6)):
        problems += wrong(nl.wg_set("wg0", **words), error, attribute)
    return problems


@scenario
def descriptors_of_every_kind():
    """A descriptor of anything but what is wanted is no netns and no proof."""
    device()
    check(pings(), "to begin with packets get through")
    before = state()
    for kind in kinds:
        problems = house.alice(try_kind, kind) + differences(before, state())
        check(not problems, f"{kind.name}: {kind.as_netns} for a netns, {kind.as_credential} for "
              "a credential", *problems)
    own = house.alice(os.open, "/proc/self/ns/net", os.O_RDONLY)
    refused("a netns for a credential", "ENOTSOCK", "not a socket", port=6001, credential4=own,
            credential6=GOOD[1], attribute=V4)
    refused("the same netns for all three", "ENOTSOCK", "not a socket", netns_fd=own,
            credential4=own, credential6=own, attribute=V4)
    house.alice(os.close, own)
    check(pings(), "after all of it packets get through")


@scenario
def numbers_of_nothing():
    """Numbers that no descriptor has, or none of hers."""
    device()
    ours = world.open_net("init")
    os.dup2(ours, OURS)
    problems = []
    before = state()
    for number in (-1, -2, -100, -0x80000000, 0x7fffffff, 1 << 20, 4095, 4096, 999, OURS):
        for words, attribute in (({"netns_fd": number, **proof()}, NETNS),
                                 ({"credential4": number}, V4), ({"credential6": number}, V6)):
            problems += [f"{number}: {problem}" for problem in
                         wrong(house.alice(nl.wg_set, "wg0", **words), "EBADF", attribute,
                               "not open")]
    os.close(ours)
    os.close(OURS)
    problems += differences(before, state())
    check(not problems, "numbers without a descriptor of the caller's: EBADF", *problems)


def dead_and_undead():
    """The PIDs of a process that is gone and of one that is not waited for yet."""
    pids = []
    for _ in range(2):
        pid = os.fork()
        if pid == 0:
            os._exit(0)
        pids.append(pid)
    os.waitpid(pids[0], 0)
    os.waitid(os.P_PID, pids[1], os.WEXITED | os.WNOWAIT)
    return pids


def become_lonely():
    """A user who has a pid namespace as well, in which only she is."""
    actor.drop_user()
    keep_good()
    os.unshare(os.CLONE_NEWUSER | os.CLONE_NEWNET | os.CLONE_NEWPID)
    if os.fork():
        os.wait()
        os._exit(0)
    nl.link_up("lo").or_raise()
    nl.link_add("wg0").or_raise()
    nl.wg_set("wg0", private_key=keys["hers"], port=6002).or_raise()
    nl.link_up("wg0").or_raise()


@scenario
def processes():
    """PIDs of processes that are gone, somebody else's, or of another pid namespace."""
    device()
    dead, undead = house.alice(dead_and_undead)
    for what, pid in (("a dead process", dead), ("a zombie", undead), ("PID 0", 0),
                      ("PID -1", -1), ("a PID below all", -0x80000000),
                      ("a PID above all", 0x7fffffff)):
        refused(what, "ESRCH", "no process", netns_pid=pid, **proof(), attribute=nl.NETNS_PID)
    house.alice(os.waitpid, undead, 0)
    refused("another user's process", "EPERM", "needs CAP_NET_ADMIN", netns_pid=house.bob.pid)
    refused("another user's process, with sockets of elsewhere", "EPERM",
            "not in the transit netns", netns_pid=house.bob.pid, **proof(), attribute=V4)
    refused("a thread of the kernel's", "EPERM", "not in the transit netns", netns_pid=2,
            **proof(OTHERS), attribute=V4)

    lonely = Actor(become_lonely)
    before = lonely(nl.wg_get, "wg0")
    problems = []
    # Of those outside, none has a number in there; and there, the process 1 is herself.
    for pid in (os.getpid(), house.alice.pid, house.bob.pid):
        problems += wrong(lonely(nl.wg_set, "wg0", netns_pid=pid, **proof()), "ESRCH")
    problems += wrong(lonely(nl.wg_set, "wg0", netns_pid=1, **proof()), "EPERM", V4,
                      "not in the transit netns")
    if lonely(nl.wg_get, "wg0") != before:
        problems.append("the device has changed")
    check(not problems, "in a pid namespace only its own numbers count", *problems)
    lonely.end()


@scenario
def restricted_sockets():
    """Sockets that were restricted before she was given them, in other ways than transit.py's."""
    device()
    for how, kernel in RESTRICTED.items():
        v4, v6 = restricted_numbers(how)
        refused(f"a socket {how}, for IPv4", "EPERM", kernel, port=6003, attribute=V4,
                **proof((v4, GOOD[1])))
        refused(f"a socket {how}, for IPv6", "EPERM", kernel, port=6003, attribute=V6,
                **proof((GOOD[0], v6)))
