# SPDX-License-Identifier: GPL-2.0
"""Users in users, and who owns what there."""

import itertools
import os

import actor
import house
import netlink as nl
from actor import Actor
from fds import keep, keep_good
from house import device, get, keys, net_of, proof, refused, root_in
from races import join
from tap import check, scenario
from world import inside, ports

DEPTH = 6


def descend():
    """Makes namespaces in namespaces, with sockets in each; the device is in the last."""
    actor.drop_user()
    for level in range(DEPTH + 1):
        if level:
            actor.new_namespaces()
            nl.link_up("lo").or_raise()
        keep_good((300 + 2 * level, 301 + 2 * level))
        keep(os.open("/proc/self/ns/net", os.O_RDONLY), 400 + level)
        keep(os.open("/proc/self/ns/user", os.O_RDONLY), 500 + level)
    nl.link_add("wg0").or_raise()
    nl.wg_set("wg0", private_key=keys["hers"], port=6050).or_raise()
    nl.link_up("wg0").or_raise()


def try_levels(with_proof):
    """Moves the sockets to the netns of each level, from that of the last; the answers."""
    answers = []
    for level in range(DEPTH + 1):
        nl.wg_set("wg0", netns_fd=400 + DEPTH, **proof((300 + 2 * DEPTH, 301 + 2 * DEPTH))
                  ).or_raise()
        words = proof((300 + 2 * level, 301 + 2 * level)) if with_proof else {}
        answers.append(nl.wg_set("wg0", netns_fd=400 + level, **words).name)
    nl.wg_set("wg0", netns_fd=400 + DEPTH).or_raise()
    return answers


def take_all(numbers, fds):
    for number, fd in zip(numbers, fds):
        os.dup2(fd, number, inheritable=True)


@scenario
def nested_users():
    """User namespaces in user namespaces: rights count downwards, proof for its own netns only."""
    deep = Actor(descend)
    check(deep(try_levels, True) == ["OK"] * (DEPTH + 1), "sockets of each level are proof for it")
    answers = [deep(nl.wg_set, "wg0", netns_fd=400 + target, **proof((300 + 2 * of, 301 + 2 * of))
                    ).name for target, of in itertools.permutations(range(DEPTH), 2)]
    check(set(answers) == {"EPERM"}, "and for no other", answers)
    numbers = list(range(300, 302 + 2 * DEPTH)) + list(range(400, 401 + DEPTH))
    fds = [actor.take(deep, number) for number in numbers]
    users = [actor.take(deep, 500 + level) for level in range(DEPTH + 1)]
    last = fds[-1]
    for level in range(DEPTH + 1):
        if level == 0:
            someone = Actor(os.setns, last, os.CLONE_NEWNET)
        else:
            someone = Actor(join, users[level], last)
        someone(take_all, numbers, fds)
        answers = someone(try_levels, False)
        wanted = ["EPERM"] * level + ["OK"] * (DEPTH + 1 - level)
        check(answers == wanted, f"rights at level {level} are enough from there on down", answers)
        someone.end()
    for fd in fds + users:
        os.close(fd)
    deep.end()


@scenario
def owners():
    """A device goes to the netns of somebody else, with all that was granted before."""
    root = root_in(net_of(house.alice))
    device(port=6060)
    root(nl.wg_set, "wg0", port=53, fwmark=9).or_raise()
    own = house.alice(os.open, f"/proc/{house.alice.pid}/ns/net", os.O_RDONLY)
    check(house.alice(nl.link_move, "wg0", own).name == "OK", "she may move it to where it is")
    with inside(net_of(house.alice)):
        nl.link_move("wg0", net_of(house.bob)).or_raise()
    root.end()
    check(house.alice(nl.wg_set, "wg0", port=6061, **proof()).name == "ENODEV",
          "for her it is no more")
    root = root_in(net_of(house.bob))
    root(nl.link_up, "wg0").or_raise()
    check(get(house.bob)["transit_fwmark"] == 9 and {(4, 53), (6, 53)} <= ports("init"),
          "what root allowed is still there", get(house.bob))
    for what, error, kernel, words in (
            ("another port without proof", "EPERM", "needs CAP_NET_ADMIN", {"port": 6062}),
            ("another privileged port", "EACCES", "CAP_NET_BIND", {"port": 54, **proof()}),
            ("a move to her who had it", "EPERM", "needs CAP_NET_ADMIN",
             {"netns_pid": house.alice.pid}),
            ("a move to her with other sockets", "EPERM", "not in the transit",
             {"netns_pid": house.alice.pid, **proof()}),
            ("another mark", "EPERM", "fwmark is on the packets", {"fwmark": 8}),
            ("no mark", "EPERM", "fwmark is on the packets", {"fwmark": 0}),
            ("no mark, with credentials", "EPERM", "fwmark is on the packets",
             {"fwmark": 0, "port": 6062, **proof()})):
        refused(f"by its new owner {what}", error, kernel, who=house.bob, holder=house.bob, **words)
    house.bob(nl.link_down, "wg0").or_raise()
    check(house.bob(nl.link_up, "wg0").name == "EACCES",
          "nor does the port come back that root opened")
    answer = house.bob(nl.wg_set, "wg0", port=6063, netns_pid=house.bob.pid)
    check(answer.name == "OK" and house.bob(nl.link_up, "wg0").name == "OK"
          and in_place_of(house.bob, 6063),
          "home he may take it", answer)
    house.bob(nl.link_del, "wg0").or_raise()
    root.end()


def in_place_of(who, port):
    return {(4, port), (6, port)} <= ports(net_of(who))
