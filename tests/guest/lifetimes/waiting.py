# SPDX-License-Identifier: GPL-2.0
"""Requests that wait for RTNL while the device goes, and devices that never come to be."""

import errno
import os
import select
import subprocess
import time

import netlink as nl
import tap
import world
from actor import Actor
from at_once import enter
from house import Net
from tap import check, scenario
from world import inside


def seek(net, seconds):
    """Asks for devices that should not be there. What was said to that."""
    enter(net)
    heard = set()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for name in ("default", "all"):
            heard.add(nl.wg_set(name, port=7, peers=[nl.peer(os.urandom(32))]).name)
    return heard


def keep_marking(net, stop):
    """Sets the mark of the device that is in a netns now and then, until told to stop. What was said
    to that."""
    enter(net)
    heard = set()
    while not select.select([stop], [], [], 0)[0]:
        heard.add(nl.wg_set("wg0", fwmark=1).name)
    return heard


def mark(net):
    enter(net)
    return nl.wg_set("wg0", fwmark=1).name


def look(net):
    enter(net)
    try:
        return nl.wg_get("wg0") and "OK"
    except OSError as error:
        return errno.errorcode[error.errno]


def leave(net, where):
    enter(net)
    nl.link_move("wg0", where).or_raise()


def sleeps(actor):
    """Whether it waits for a lock. Who has ended does not."""
    try:
        with open(f"/proc/{actor.pid}/stat", encoding="ascii") as file:
            return file.read().rsplit(")", 1)[1].split()[0] == "D"
    except (FileNotFoundError, ProcessLookupError):
        return False


def slow_link(name):
    """A process that has RTNL for a while: so many queues take the kernel half a second."""
    return subprocess.Popen(["ip", "link", "add", name, "numtxqueues", "4096",
                             "numrxqueues", "4096", "type", "dummy"])


def waits_behind(slow, actor):
    """Has an actor take RTNL again and again, until it waits for what another process does with it.
    Whether it came to that before that process ended."""
    while slow.poll() is None:
        actor.start(nl.link_up, "lo")
        waits = 0
        while not actor.has_answered():
            time.sleep(0.01)
            waits = waits + 1 if sleeps(actor) else 0
            # Who has RTNL for no more than his own change does not have it for so long.
            if waits > 10:
                return True
        actor.result()
    return False


@scenario
def requests_in_a_queue():
    """A request for a device that waits for RTNL behind another, which takes the device away"""
    here, there = Net(), Net()
    with inside(here.fd):
        nl.link_add("wg0").or_raise()
    first, mover, asker = Actor(enter, here.fd), Actor(), Actor()
    heard, changed = [], 0
    for _ in range(10):
        # While the first waits, those who come later wait in the order in which they came.
        with slow_link("queues") as slow:
            in_line = waits_behind(slow, first)
            if in_line:
                for who, what in ((mover, (leave, here.fd, there.fd)),
                                  (asker, (look if heard else mark, here.fd))):
                    who.start(*what)
                    world.until(lambda: sleeps(who) or who.has_answered(), 2, 0.01)
                    in_line &= sleeps(who)
                in_line &= not first.has_answered()
                first.result()
                mover.result()
                answer = asker.result()
                with inside(there.fd):
                    if in_line:
                        heard.append(answer)
                        changed += nl.wg_get("wg0")["fwmark"] != 0
                    nl.wg_set("wg0", fwmark=0).or_raise()
                    nl.link_move("wg0", here.fd).or_raise()
        nl.link_del("queues").or_raise()
        if len(heard) == 2:
            break
    first.end()
    mover.end()
    asker.end()
    check(heard[:1] == ["ENODEV"] and not changed,
          "who was to change it is told that it is gone, and changes nothing", heard, changed)
    check(heard[1:] == ["ENODEV"], "who was to be shown it is told so, too", heard)
    here.close()
    there.close()
    check(here.gone() and there.gone(), "and both netns end")


@scenario
def end_of_both():
    """The transit netns ends when nobody is found to hold the device any more, and before it has gone"""
    # No other is slow enough for this order, nor would it see what is wrong with it.
    if not world.debugs():
        tap.skip("both end, whichever is first", "this takes the debug kernel")
        return
    in_line = False
    for _ in range(5):
        d = Net()
        first, deleter = Actor(enter, d.fd), Actor(enter, d.fd)
        # After these, which would hold it.
        t = Net()
        with inside(d.fd):
            nl.link_add("wg0").or_raise()
            nl.wg_set("wg0", private_key=os.urandom(32), netns_fd=t.fd).or_raise()
            nl.link_up("wg0").or_raise()
        links = [slow_link("queues0")]
        waits = waits_behind(links[0], first)
        # Behind these: the device's deletion, another link, the end of T.
        deleter.start(nl.link_del, "wg0")
        world.until(lambda: sleeps(deleter) or deleter.has_answered(), 2, 0.01)
        links.append(slow_link("queues1"))
        world.until(lambda: sleeps(links[1]) or links[1].poll() is not None, 2, 0.01)
        t.close()
        time.sleep(0.6)
        if waits:
            in_line = not first.has_answered()
            first.result()
        links[0].wait()
        # While the second link is made, the rest of the deletion comes to wait too. It gets its turn
        # after the end of T, and goes on while a third link keeps away those who were told of that.
        world.until(lambda: not sleeps(links[1]), 5, 0.01)
        time.sleep(0.6)
        links.append(slow_link("queues2"))
        world.until(lambda: sleeps(links[2]) or links[2].poll() is not None, 2, 0.01)
        in_line &= links[1].poll() is None and not deleter.has_answered()
        deleter.result().or_raise()
        for number, link in enumerate(links):
            link.wait()
            nl.link_del(f"queues{number}").or_raise()
        first.end()
        deleter.end()
        d.close()
        gone = d.gone() and t.gone()
        if in_line or not gone:
            break
    if in_line or not gone:
        check(gone, "both end, whichever is first")
    else:
        tap.skip("both end, whichever is first", "this machine is too fast, or too slow, to see it")


@scenario
def requests_that_wait():
    """Requests for a device that are not dealt with before it has moved away"""
    here, there = Net(), Net()
    with inside(here.fd):
        nl.link_add("wg0").or_raise()
    stop, enough = os.pipe()
    askers = [Actor() for _ in range(4)]
    for asker in askers:
        asker.start(keep_marking, here.fd, stop)
    end = time.monotonic() + 3
    moves = changed = 0
    while time.monotonic() < end or moves < 10:
        with inside(here.fd):
            nl.link_move("wg0", there.fd).or_raise()
        with inside(there.fd):
            nl.wg_set("wg0", fwmark=7).or_raise()
            time.sleep(0.01)
            changed += nl.wg_get("wg0")["fwmark"] != 7
            nl.link_move("wg0", here.fd).or_raise()
        moves += 1
    os.write(enough, b".")
    heard = [asker.result() for asker in askers]
    for asker in askers:
        asker.end()
    os.close(stop)
    os.close(enough)
    check(all(one == {"OK", "ENODEV"} for one in heard), f"a device comes and goes, {moves} times",
          heard)
    check(not changed, "elsewhere nobody has a say in it who found it here", changed)
    here.close()
    there.close()
    check(here.gone() and there.gone(), "and both netns end")


@scenario
def vetoed():
    """Devices of names that the kernel refuses when they can be found already"""
    net = Net()
    seeker = Actor()
    seeker.start(seek, net.fd, 2)
    made = set()
    end = time.monotonic() + 2
    with inside(net.fd):
        while time.monotonic() < end:
            made |= {nl.link_add(name).name for name in ("default", "all")}
    heard = seeker.result()
    seeker.end()
    net.close()
    tap.note(f"who looked for them heard {heard}")
    check(made == {"EINVAL"} and heard <= {"ENODEV", "OK"} and net.gone(),
          "a device that is refused late goes, whoever has found it", made, heard)
