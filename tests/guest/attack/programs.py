# SPDX-License-Identifier: GPL-2.0
"""Other people's programs, with more rights than whoever uses them."""

import errno
import os
import socket
import struct
import subprocess

import actor
import house
import netlink as nl
from actor import Actor
from fds import udp
from house import CAP_NET_BIND_SERVICE, device, differences, get, net_of, proof, state
from races import join, second_in
from tap import check, scenario


def output_to(sock, message, *fds):
    """A privileged program writes what it was given to its output, which is somebody's socket. The
    errno that came back to there."""
    subprocess.run(["cat"], input=message, stdout=sock, check=True, pass_fds=fds)
    data = sock.recv(1 << 16)
    return errno.errorcode.get(-struct.unpack_from("=i", data, 16)[0], "OK")


def message(**words):
    """A request as the bytes that go over a socket."""
    body = nl.wg_set_body("wg0", **words)
    return struct.pack("=IHHIIBBH", 20 + len(body), nl.family(), 1 | nl.F_ACK, 1, 0,
                       nl.SET_DEVICE, 1, 0) + body


def open_genl():
    return socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, nl.NETLINK_GENERIC).detach()


@scenario
def privileged_programs():
    """A program with all rights has the attacker's netlink socket for its output."""
    device()
    hers = socket.socket(fileno=actor.take(house.alice, house.alice(open_genl)))
    pair = udp(socket.AF_INET), udp(socket.AF_INET6)
    for what, error, words, fds in (
            ("to move the sockets", "EPERM", {"netns_pid": house.bob.pid}, ()),
            ("to change the port", "EPERM", {"port": 6020}, ()),
            ("to take a privileged port", "EPERM", {"port": 53}, ()),
            # Its descriptors are no proof of hers.
            ("to change the port with sockets of the program's", "EPERM",
             {"port": 6020, **proof(pair)}, pair),
            ("to move with sockets of the program's", "EPERM",
             {"netns_pid": 1, "port": 6020, **proof(pair)}, pair)):
        before = state()
        answer = output_to(hers, message(**words), *fds)
        changed = differences(before, state())
        check(answer == error and not changed, f"{what}: {error}", answer, *changed)
    answer = output_to(hers, message(fwmark=9))
    check(answer == "OK" and get()["transit_fwmark"] == 0,
          "a mark that is set so is not applied", answer, get())
    # The tool gives no address either, and its caller is who she is.
    check(house.alice(nl.wg_set, "wg0", port=6021, **proof()).name == "OK",
          "she herself may with hers")
    hers.close()
    for fd in pair:
        os.close(fd)


def set_through(number, **words):
    """Sends a request by a netlink socket that somebody else may have opened."""
    with socket.socket(fileno=os.dup(number)) as sock:
        return nl.wg_set("wg0", sock=sock, **words)


def join_with_less(user, net):
    join(user, net)
    actor.drop_capabilities(CAP_NET_BIND_SERVICE)


@scenario
def other_programs():
    """Who sends is almost, and not quite, who opened the netlink socket."""
    device()
    pair = udp(socket.AF_INET), udp(socket.AF_INET6)
    first = second_in(house.alice)
    user = os.open(f"/proc/{house.alice.pid}/ns/user", os.O_RDONLY)
    weak = Actor(join_with_less, user, net_of(house.alice))
    os.close(user)
    opened = {who: actor.take(who, who(open_genl)) for who in (house.alice, first, weak)}
    # They have the descriptors from here. Both but the outsider have all rights in her namespaces.
    second = second_in(house.alice)
    outsider = Actor(actor.drop_user)
    for what, sender, opener, error in (
            ("it is another user's process", second, house.alice, "EPERM"),
            ("it has a right that the opener lacks", second, weak, "EPERM"),
            ("it is outside her user namespace", outsider, house.alice, "EPERM"),
            ("it has the same rights, where it shows what it has", second, first, "OK")):
        before = state()
        answer = sender(set_through, opened[opener], port=6025, **proof(pair))
        changed = differences(before, state()) if error != "OK" else ()
        check(answer.name == error and not changed, f"{what}: {error}", answer, *changed)
        answer = sender(set_through, opened[opener], fwmark=0)
        check(answer.name == "OK", "what takes no proof is done", answer)
    for fd in (*opened.values(), *pair):
        os.close(fd)
    for who in (first, weak, second, outsider):
        who.end()
