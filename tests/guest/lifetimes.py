# SPDX-License-Identifier: GPL-2.0
"""Nothing outlives what it belongs to, in whatever order things end. Run by lifetimes.sh.

A round makes a netns for a device (D) and two for its sockets (T and U), all of them without a
name, so that closing a descriptor ends one. T and U lead to the netns `far', where the device has
a peer. The device has another peer that never answers, and sends keepalives to both, so that
timers, routes, handshakes and sessions are there when things end.

That a netns has ended is seen in two ways. The initial netns gives each a number, which is taken
back when nothing holds the netns any more. And the kernel counts namespaces, up to when the last
trace of one is gone; in the end that count has to be what it was.
"""

import errno
import itertools
import os
import random
import select
import struct
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import netlink as nl  # noqa: E402
import tap  # noqa: E402
import world  # noqa: E402
from actor import Actor, drop_user, new_namespaces  # noqa: E402
from tap import check, scenario  # noqa: E402
from world import inside, ping, reaches  # noqa: E402

PORT = 7000
LIMIT = "/proc/sys/user/max_net_namespaces"
SEED = int(os.environ.get("SEED") or random.randrange(1 << 32))
# How many orders are tried; a kernel that looks for leaks takes ten times as long for each.
ORDERS = int(os.environ.get("ORDERS") or (16 if world.debugs() else 120))

keys = {}
far = None
numbers = itertools.count(1000)


# --- the module ---------------------------------------------------------------------------

def unload():
    """Unloads the module; whether that was possible at once."""
    return not world.unload_module()


def load():
    nl.forget_family()
    error = world.load_module()
    if error:
        raise OSError(error, "finit_module")


def loaded():
    return os.path.exists("/sys/module/wireguard")


def references():
    with open("/sys/module/wireguard/refcnt", encoding="ascii") as file:
        return int(file.read())


# --- namespaces ----------------------------------------------------------------------------

class Net:
    """A netns that lives as long as this holds it."""

    def __init__(self, connected=False):
        self.number = next(numbers)
        here = os.open("/proc/self/ns/net", os.O_RDONLY)
        try:
            os.unshare(os.CLONE_NEWNET)
            self.fd = os.open("/proc/self/ns/net", os.O_RDONLY)
            nl.link_up("lo").or_raise()
            if connected:
                self._connect(self.number)
        finally:
            os.setns(here, os.CLONE_NEWNET)
            os.close(here)
        nl.nsid_set(self.fd, self.number).or_raise()

    @staticmethod
    def _connect(number):
        """A way to `far', by addresses that were not there lately."""
        network = f"10.{number // 100 % 100}.{number % 100}"
        nl.veth_add("out", f"in{number}", far.fd).or_raise()
        nl.address_add("out", f"{network}.1/24").or_raise()
        with inside(far.fd):
            nl.address_add(f"in{number}", f"{network}.2/24").or_raise()
            nl.link_up(f"in{number}").or_raise()
        nl.link_up("out").or_raise()
        nl.route_add("10.100.0.0/16", f"{network}.2").or_raise()

    @property
    def open(self):
        return self.fd is not None

    def close(self):
        os.close(self.fd)
        self.fd = None

    def gone(self):
        """Whether nothing in the kernel holds it, soon."""
        return not self.open and ended([self.number])


def ended(wanted, seconds=10):
    """Whether the netns with these numbers end within a while."""
    return bool(world.until(lambda: not nl.nsids().intersection(wanted), seconds))


def build_far():
    global far
    far = Net()
    with inside(far.fd):
        nl.address_add("lo", "10.100.0.2/32").or_raise()


def furnish_far():
    """The peer, which goes with the module."""
    with inside(far.fd):
        nl.link_add("wg0").or_raise()
        nl.wg_set("wg0", private_key=keys["far"], port=5000).or_raise()
        keys["far public"] = nl.wg_get("wg0")["public_key"]
        nl.link_add("wg1").or_raise()
        nl.wg_set("wg1", private_key=keys["device"]).or_raise()
        public = nl.wg_get("wg1")["public_key"]
        nl.link_del("wg1").or_raise()
        nl.wg_set("wg0", peers=[nl.peer(public, allowed=["192.168.88.1/32"])]).or_raise()
        nl.address_add("wg0", "192.168.88.2/24").or_raise()
        nl.link_up("wg0").or_raise()


def create(net, transit):
    """A device with a session and a handshake that never ends."""
    with inside(net.fd):
        nl.link_add("wg0").or_raise()
        nl.wg_set("wg0", private_key=keys["device"], port=PORT, netns_fd=transit.fd, peers=[
            nl.peer(keys["far public"], endpoint=("10.100.0.2", 5000),
                    allowed=["192.168.88.0/24"], keepalive=1),
            nl.peer(keys["nobody"], endpoint=("10.100.9.9", 5000), allowed=["192.168.89.0/24"],
                    keepalive=1)]).or_raise()
        nl.address_add("wg0", "192.168.88.1/24").or_raise()
        nl.link_up("wg0").or_raise()


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
        with inside(far.fd):
            nl.link_del("wg0")
        nl.forget_family()
        furnish_far()
    check(gone, "the module unloads while its devices are in use")
    create(d, t)
    check(reaches(d.fd, "192.168.88.2"), "and works when it is loaded again")
    for net in (d, t, u):
        net.close()
    check(d.gone() and t.gone() and u.gone(), "and all of it ends")


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


@scenario
def unread_dumps():
    """Dumps that are not read to their end when the device moves away"""
    here, there = Net(), Net()
    request = nl.string(nl.IFNAME, "wg0")
    with inside(here.fd):
        nl.link_add("wg0").or_raise()
        nl.wg_set("wg0", private_key=keys["device"], peers=[
            nl.peer(os.urandom(32)) for _ in range(600)]).or_raise()
        asked = nl.Netlink(nl.NETLINK_GENERIC)
        asked.sock.send(struct.pack("=IHHIIBBH", 20 + len(request), nl.family(),
                                    nl.F_REQUEST | nl.F_DUMP, 1, 0, nl.GET_DEVICE, 1, 0) + request)
        nl.link_move("wg0", there.fd).or_raise()
        first = asked.sock.recv(1 << 17)
        then = struct.unpack_from("=IHHIIi", asked.sock.recv(1 << 17))
    check(len(first) > 1000 and (then[1], then[5]) == (nl.NLMSG_DONE, -errno.ENODEV),
          "the reader is told no more of a device that has gone elsewhere", len(first), then)
    there.close()
    check(there.gone(), "and does not keep it from going with its netns")
    asked.sock.close()
    here.close()
    check(here.gone(), "nor the netns that it was in")


@scenario
def routes_of_the_old():
    """An IPv6 route to a peer that nobody sends to any more when the sockets move"""
    device, one, two = Net(), Net(), Net()
    with inside(device.fd):
        nl.link_add("wg0").or_raise()
        nl.wg_set("wg0", private_key=keys["device"], port=PORT, netns_fd=one.fd, peers=[
            nl.peer(os.urandom(32), endpoint=("::1", 9), allowed=["192.168.99.0/24"])]).or_raise()
        nl.address_add("wg0", "192.168.99.1/24").or_raise()
        nl.link_up("wg0").or_raise()
    ping(device.fd, "192.168.99.2", timeout=0.2)
    with inside(device.fd):
        nl.link_down("wg0").or_raise()
        nl.wg_set("wg0", netns_fd=two.fd).or_raise()
    one.close()
    good = one.gone()
    # What is left of a netns is freed when the next one ends.
    other = Net()
    other.close()
    good &= other.gone()
    with inside(device.fd):
        nl.link_up("wg0").or_raise()
    ping(device.fd, "192.168.99.2", timeout=0.2)
    with inside(device.fd):
        nl.link_del("wg0").or_raise()
    device.close()
    two.close()
    check(good and device.gone() and two.gone(), "it ends with the netns that it belongs to")


@scenario
def the_end():
    """Nothing is left of all the namespaces, and of the module."""
    far.close()
    check(world.until(unload, 10), "the module unloads")
    check(far.gone(), "the last netns ends")
    # One more than there were at the start: as many as were then can be made, and no more.
    with open(LIMIT, "w", encoding="ascii") as file:
        file.write(str(before + 2))
    made = []

    def fill():
        try:
            while len(made) < 3:
                made.append(Net())
        except OSError:
            pass
        return len(made) >= 2

    world.until(fill, 10, 0.1)
    check(len(made) == 2, "the kernel counts no namespaces but those that are there", len(made))
    load()
    check(loaded(), "the module loads")


before = world.count_net_namespaces()
keys.update({name: os.urandom(32) for name in ("far", "device", "nobody")})
time.sleep(0.5)
build_far()
furnish_far()
tap.run()
