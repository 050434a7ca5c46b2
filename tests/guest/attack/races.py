# SPDX-License-Identifier: GPL-2.0
"""Descriptors and namespaces that change or go while a request is dealt with."""

import contextlib
import os
import random
import struct
import threading
import time

import house
import netlink as nl
import tap
import world
from actor import Actor
from fds import GOOD, OTHERS, keep, restricted_numbers
from house import PORT, RACES, SEED, device, get, net_of, pings, proof, state
from tap import check, scenario
from world import ports

SLOTS = 150, 151, 152
NULL = 190


@contextlib.contextmanager
def changing(seed, choices):
    """Meanwhile other threads put one thing or another behind each of the descriptors, or nothing."""
    done = threading.Event()

    def change():
        own = random.Random(seed)
        while not done.is_set():
            slot = own.randrange(len(choices))
            if own.randrange(8) == 0:
                try:
                    os.close(SLOTS[slot])
                except OSError:
                    pass
            else:
                os.dup2(own.choice(choices[slot]), SLOTS[slot])

    changers = [threading.Thread(target=change) for _ in range(2)]
    for one in changers:
        one.start()
    try:
        yield
    finally:
        done.set()
        for one in changers:
            one.join()
        for number in SLOTS:
            with contextlib.suppress(OSError):
                os.close(number)


def race_descriptors(seed, count):
    """Sends messages while what is behind their descriptors changes. Returns how often which answer
    came, and what is wrong."""
    rng = random.Random(seed)
    places = [os.open("/run/netns/other", os.O_RDONLY),
              os.open("/proc/self/ns/net", os.O_RDONLY)]
    keep(os.open("/dev/null", os.O_RDWR), NULL)
    bad = [*OTHERS, NULL, *restricted_numbers("bound to a port and connected")]
    choices = [[GOOD[0]] * 20 + bad, [GOOD[1]] * 20 + bad, places * 4 + [NULL]]
    answers, problems = {}, []
    with changing(seed + 1, choices):
        for _ in range(count):
            words = {"port": rng.randrange(6100, 6200), **proof(SLOTS[:2])}
            words.update(rng.choice(({}, {"netns_fd": SLOTS[2]}, {"netns_pid": 1})))
            name = nl.wg_set("wg0", **words).name
            answers[name] = answers.get(name, 0) + 1
            if name == "OK" and nl.wg_get("wg0")["port"] != words["port"]:
                problems.append(f"{words} is not what it became")
    for number in (*places, NULL):
        os.close(number)
    return answers, problems


def race_bad_ones(seed, count):
    """The same with sockets that are either elsewhere or bound, so that none is ever good: only who
    looks twice can see what is right in both."""
    bound = restricted_numbers("bound to a port and connected")
    answers = {}
    with changing(seed, list(zip(OTHERS, bound))):
        for number in range(count):
            name = nl.wg_set("wg0", netns_pid=1, port=6200 + number % 100, **proof(SLOTS[:2])).name
            answers[name] = answers.get(name, 0) + 1
    return answers


def in_one_place(who):
    """Whether the device has both its sockets in one netns and none elsewhere."""
    shown = get(who)
    pair = {(4, shown["port"]), (6, shown["port"])}
    found = [bool(ports(net) & pair) + (pair <= ports(net))
             for net in (net_of(who), "init", "other")]
    return sorted(found) == [0, 0, 2]


@scenario
def descriptors_that_change():
    """Other threads close descriptors, and put others there, while messages are handled."""
    tap.note(f"SEED={SEED}, RACES={RACES}")
    device()
    answers, problems = house.alice(race_descriptors, SEED, RACES)
    tap.note(answers)
    check(not problems, "each message is carried out as it was sent", *problems)
    check(len(answers) > 2 and not set(answers) - {
        "OK", "EBADF", "EINVAL", "ENOTSOCK", "EPERM", "EADDRINUSE"},
        "or refused for one of the reasons that there are", answers)
    check(in_one_place(house.alice), "the sockets are in one netns, both of them", state())
    answers = house.alice(race_bad_ones, SEED, RACES)
    tap.note(answers)
    check("EPERM" in answers and set(answers) <= {"EPERM", "EBADF"},
          "what is looked at once is what is judged", answers)
    house.alice(nl.wg_set, "wg0", netns_pid=1, **proof()).or_raise()
    check(pings(), "and the device works there")


def short_lives(seed, count, here):
    """Makes processes with a netns of their own that end soon; `here` is where their PID is."""
    own = random.Random(seed)
    for _ in range(count):
        read, write = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                os.unshare(os.CLONE_NEWNET)
                os.close(write)
                time.sleep(own.random() * 0.01)
            finally:
                os._exit(0)
        os.close(write)
        os.read(read, 1)  # its netns is made
        os.close(read)
        os.pwrite(here, struct.pack("=I", pid), 0)
        time.sleep(own.random() * 0.01)
        os.waitpid(pid, 0)
    os.pwrite(here, bytes(4), 0)


def move_after(here):
    """Moves the sockets to wherever the process is whose PID is there, until there is none."""
    answers = {}
    end = time.monotonic() + 300
    while time.monotonic() < end and (pid := struct.unpack("=I", os.pread(here, 4, 0))[0]):
        name = nl.wg_set("wg0", netns_pid=pid).name
        answers[name] = answers.get(name, 0) + 1
    return answers


def join(user, net):
    os.setns(user, os.CLONE_NEWUSER)
    os.setns(net, os.CLONE_NEWNET)


def second_in(who):
    """Another process in somebody's namespaces."""
    user = os.open(f"/proc/{who.pid}/ns/user", os.O_RDONLY)
    try:
        return Actor(join, user, net_of(who))
    finally:
        os.close(user)


@scenario
def namespaces_that_go():
    """Namespaces are deleted while the sockets move into them."""
    device()
    here = os.memfd_create("pid")
    # No process has it.
    os.pwrite(here, struct.pack("=I", 1 << 30), 0)
    # Forked from here, so they have the descriptor.
    maker, mover = second_in(house.alice), second_in(house.alice)
    before = maker(world.count_net_namespaces)
    maker.start(short_lives, SEED, RACES // 8, here)
    mover.start(move_after, here)
    answers = mover.result()
    maker.result()
    tap.note(answers)
    check({"OK", "ESRCH"} <= set(answers) <= {"OK", "ESRCH", "ENOENT", "EINVAL"},
          "a netns that is going is moved into, or is none any more", answers)
    # To count them takes another one, which has to end before the next count.
    check(world.until(lambda: maker(world.count_net_namespaces) <= before, 20,
                      5 if world.debugs() else 0.2),
          "the namespaces end", before, maker(world.count_net_namespaces))
    maker.end()
    mover.end()
    house.alice(nl.wg_set, "wg0", netns_pid=1, port=PORT, **proof()).or_raise()
    check(pings(), "and the device can be moved out again")
