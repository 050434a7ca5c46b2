# SPDX-License-Identifier: GPL-2.0
"""Every order in which namespaces, devices, sockets, users and the module can end."""

import itertools
import os
import random
import time

import netlink as nl
import tap
import world
from actor import Actor, drop_user, new_namespaces
from house import (ORDERS, PORT, SEED, Net, create, ended, furnish_far, keys, load, loaded,
                   numbers, references, unload)
from tap import check, scenario
from world import inside, reaches


class Round:
    """Things that end, and what may be done to them as long as they are there."""

    def __init__(self):
        self.d, self.e, self.t, self.u = Net(), Net(), Net(True), Net(True)
        self.home = self.d
        self.deleted = False
        create(self.d, self.t)
        if not reaches(self.d.fd, "192.168.88.2"):
            raise RuntimeError("nothing gets through to begin with")

    def there(self):
        return loaded() and not self.deleted and self.home.open

    def close_d(self):
        self.d.close()

    def close_t(self):
        self.t.close()

    def close_u(self):
        self.u.close()

    def move_sockets(self):
        if self.there() and self.u.open:
            with inside(self.home.fd):
                nl.wg_set("wg0", netns_fd=self.u.fd).or_raise()
                # Moved to another netns while it had no sockets, it could not come up.
                nl.link_up("wg0").or_raise()
            # A handshake that began just before may have to wait for its second try.
            if not reaches(self.home.fd, "192.168.88.2"):
                raise RuntimeError("nothing gets through after the sockets moved")

    def move_device(self):
        if self.there():
            with inside(self.home.fd):
                nl.link_move("wg0", self.e.fd).or_raise()
            self.home = self.e
            with inside(self.e.fd):
                nl.address_add("wg0", "192.168.88.1/24")
                nl.link_up("wg0")

    def delete(self):
        if self.there():
            with inside(self.home.fd):
                nl.link_del("wg0").or_raise()
        self.deleted = True

    def unload(self):
        if not world.until(unload, 5):
            raise RuntimeError(f"the module does not unload, {references()} references")

    def finish(self):
        """What is wrong at the end."""
        problems = []
        left = [net for net in (self.t, self.u, self.d, self.e) if net.open]

        def no_ports():
            return not any({(4, PORT), (6, PORT)} & world.ports(net.fd) for net in left)

        # The end of a netns takes a moment, and the device's with it.
        if not self.there() and not world.until(no_ports, 10):
            problems.append(f"port {PORT} is left behind")
        for net in left:
            net.close()
        return problems


def every_order(what, *actions):
    """One check for all permutations of the actions, naming those that went wrong."""
    wrong = []
    nets = {}
    start = time.monotonic()
    orders = list(itertools.permutations(actions))
    if len(orders) > ORDERS:
        orders = random.Random(SEED).sample(orders, ORDERS)
        tap.note(f"SEED={SEED}, ORDERS={ORDERS}")
    for order in orders:
        name = ", ".join(order)
        problems, current = [], None
        try:
            if not loaded():
                load()
                furnish_far()
            current = Round()
            for action in order:
                getattr(current, action)()
        except Exception as error:  # the other orders are of interest too
            problems.append(repr(error))
        if current:
            problems += current.finish()
            nets.update({getattr(current, net).number: f"{net.upper()} after {name}"
                         for net in "detu"})
        if problems:
            wrong.append(f"{name}: {'; '.join(problems)}")
            if len(wrong) > 5:
                break
    # Namespaces end in the background, while the next round runs.
    if not ended(nets):
        wrong += [f"still there: {nets[number]}" for number in nl.nsids() if number in nets]
    if loaded() and references():
        wrong.append(f"{references()} references to the module")
    tap.note(f"{len(orders)} orders, {(time.monotonic() - start) / len(orders):.2f} s each")
    check(not wrong, what, *wrong)


@scenario
def namespaces_and_moves():
    """The namespaces end, sockets and device move."""
    every_order("namespaces end and device and sockets move in any order",
                "close_d", "close_t", "close_u", "move_sockets", "move_device")


@scenario
def deletion():
    """The device is deleted before or after all else."""
    every_order("the device is deleted in any order",
                "delete", "close_d", "close_t", "move_sockets")


@scenario
def unloading():
    """The module is unloaded before or after all else, and loaded again."""
    every_order("the module is unloaded and loaded in any order",
                "unload", "close_d", "close_t", "move_sockets")
    if not loaded():
        load()
        furnish_far()
    check(references() == 0, "nothing refers to the module")


@scenario
def circles():
    """Two netns with a device each, whose sockets are in the other."""
    problems = []
    for first in (0, 1):
        nets = Net(), Net()
        for own, other in (nets, nets[::-1]):
            with inside(own.fd):
                nl.link_add("wg0").or_raise()
                nl.wg_set("wg0", private_key=os.urandom(32), netns_fd=other.fd).or_raise()
                nl.link_up("wg0").or_raise()
        nets[first].close()
        time.sleep(0.1)
        nets[1 - first].close()
        if not all(net.gone() for net in nets):
            problems.append(f"circle, {first} first")
    check(not problems, "devices whose sockets are with each other end with their namespaces",
          *problems)
    problems = []
    for order in itertools.permutations(range(3)):
        nets = Net(), Net(), Net()
        for number in (0, 1):
            with inside(nets[number].fd):
                nl.link_add("wg0").or_raise()
                peers = [nl.peer(keys["nobody"], endpoint=("192.168.90.2", 1),
                                 allowed=["192.168.90.0/24"], keepalive=1)]
                nl.wg_set("wg0", private_key=os.urandom(32), netns_fd=nets[number + 1].fd,
                          peers=peers).or_raise()
                nl.address_add("wg0", "192.168.90.1/24").or_raise()
                nl.link_up("wg0").or_raise()
        for number in order:
            nets[number].close()
        if not all(net.gone() for net in nets):
            problems.append(f"order {order}")
    check(not problems, "a tunnel in a tunnel ends in every order", *problems)


def hold_and_create():
    """Makes a device as an unprivileged user, who then just goes away."""
    import socket
    drop_user()
    socks = []
    for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        sock = socket.socket(family, socket.SOCK_DGRAM)
        sock.connect((address, 9))
        socks.append(sock)
    new_namespaces()
    nl.link_up("lo").or_raise()
    nl.link_add("wg0").or_raise()
    nl.wg_set("wg0", private_key=os.urandom(32), port=PORT, netns_pid=1,
              credential4=socks[0].fileno(), credential6=socks[1].fileno()).or_raise()
    nl.link_up("wg0").or_raise()


@scenario
def users():
    """A user's namespaces end with her last process."""
    def left():
        return {(4, PORT), (6, PORT)} & world.ports("init")

    good = True
    for how in ("end", "kill"):
        user = Actor(hold_and_create)
        there = left()
        net = user.net()
        number = next(numbers)
        nl.nsid_set(net, number).or_raise()
        os.close(net)
        getattr(user, how)()
        good &= len(there) == 2 and bool(world.until(lambda: not left(), 10))
        good &= ended([number])
    check(good, "her device and its sockets elsewhere end with her", left())
