# SPDX-License-Identifier: GPL-2.0
"""Ends, moves, link changes and dumps at the same time."""

import os
import time

import house
import netlink as nl
import world
from actor import Actor
from house import PORT, Net, create, furnish_far, keys, load, loaded, unload
from tap import check, scenario
from world import inside, reaches


def shuffle(t, u, seconds):
    """Moves the sockets of the device here for a while, whatever comes of it."""
    end = time.monotonic() + seconds
    done = 0
    while time.monotonic() < end:
        for net in (t, u):
            done += nl.wg_set("wg0", netns_fd=net).errno == 0
    return done


def flap(seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        nl.link_down("wg0")
        nl.link_up("wg0")


def renew(t, seconds):
    """Deletes and creates the device here for a while."""
    end = time.monotonic() + seconds
    done = 0
    while time.monotonic() < end:
        nl.link_del("wg0")
        if not nl.link_add("wg0").errno:
            nl.wg_set("wg0", private_key=keys["device"], port=PORT, netns_fd=t)
            nl.link_up("wg0")
            done += 1
    return done


def enter(net):
    os.setns(net, os.CLONE_NEWNET)


@scenario
def at_the_same_time():
    """Moves, link changes, dumps and the end of namespaces, all at once."""
    seconds = 4
    # The end of a transit netns while sockets are moved into it.
    d, u = Net(), Net(True)
    short = Net()
    create(d, u)
    mover = Actor(enter, d.fd)
    flapper = Actor(enter, d.fd)
    flapper.start(flap, seconds)
    ends, moved = 0, 0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        # Forked, so that it has a descriptor of this one, and takes it along.
        inner = Actor(enter, d.fd)
        inner.start(shuffle, short.fd, u.fd, 0.15)
        moved += inner.result()
        with inside(d.fd):
            nl.wg_set("wg0", netns_fd=short.fd)
        inner.end()
        old, short = short, Net()
        old.close()
        with inside(d.fd):
            nl.wg_set("wg0", netns_fd=u.fd)
        ends += 1
    flapper.result()
    mover.start(shuffle, short.fd, u.fd, 0.2)
    problem = None
    try:
        mover.result()
    except RuntimeError as error:
        problem = error
    # Neither may hold D or the others.
    flapper.end()
    mover.end()
    with inside(d.fd):
        nl.link_up("wg0")
        nl.wg_set("wg0", netns_fd=u.fd)
    check(reaches(d.fd, "192.168.88.2"), "after moves, flaps and ends at once the device works",
          problem)
    check(moved and ends, f"{moved} moves while {ends} namespaces ended")
    for net in (d, u, short):
        net.close()
    check(d.gone() and u.gone() and short.gone(), "and all of it ends")

    # The end of the module while devices come, go and move.
    d, t, u = Net(), Net(True), Net(True)
    for _ in range(4):
        create(d, t)
        busy = [Actor(enter, d.fd) for _ in range(3)]
        busy[0].start(shuffle, t.fd, u.fd, 0.6)
        busy[1].start(renew, t.fd, 0.6)
        busy[2].start(flap, 0.6)
        time.sleep(0.3)
        gone = world.until(unload, 10, 0.001)
        for actor in busy:
            try:
                actor.result()
            except (RuntimeError, OSError):
                pass  # its requests have nobody to answer them
            actor.end()
        if not gone:
            break
        # "ip link add" may have loaded it again by itself.
        if not loaded():
            load()
        with inside(d.fd):
            nl.link_del("wg0")
        with inside(house.far.fd):
            nl.link_del("wg0")
        nl.forget_family()
        furnish_far()
    check(gone, "the module unloads while its devices are in use")
    create(d, t)
    check(reaches(d.fd, "192.168.88.2"), "and works when it is loaded again")
    for net in (d, t, u):
        net.close()
    check(d.gone() and t.gone() and u.gone(), "and all of it ends")
