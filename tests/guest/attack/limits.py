# SPDX-License-Identifier: GPL-2.0
"""Marks and privileged ports, by every way to an interface that is up."""

import ctypes
import errno
import fcntl
import os
import socket
import struct

import house
import netlink as nl
from fds import OTHERS, libc
from house import device, differences, get, net_of, proof, refused, root_in, state
from races import second_in
from tap import check, scenario
from world import ports


@scenario
def marks():
    """A mark gets onto packets in no order of things."""
    root = root_in(net_of(house.alice))
    other = house.alice(os.open, "/run/netns/other", os.O_RDONLY)

    def applied():
        shown = get()
        return shown["transit_fwmark"]

    device(fwmark=0)
    for what, steps in {
            "set with the move": [{"netns_fd": other, "fwmark": 9, **proof(OTHERS)}],
            "set with the port": [{"port": 6030, "fwmark": 9, **proof()}],
            "set with another mark before": [{"fwmark": 8}, {"fwmark": 9}],
            "set twice": [{"fwmark": 9}, {"fwmark": 9}],
            "set before two moves": [{"netns_pid": house.alice.pid, "fwmark": 9},
                                     {"netns_fd": other, **proof(OTHERS)},
                                     {"netns_pid": 1, **proof()}],
            "set in a netns of hers, and again with the move":
                [{"netns_pid": house.alice.pid}, {"fwmark": 9},
                 {"netns_pid": 1, "fwmark": 9, **proof()}],
            "set, taken back and set": [{"fwmark": 9}, {"fwmark": 0}, {"fwmark": 9}]}.items():
        device(fwmark=0)
        for step in steps:
            house.alice(nl.wg_set, "wg0", **step).or_raise()
        check(get()["fwmark"] == 9 and applied() == 0, f"{what}, it is kept and not applied", get())
    # One that root has allowed does not live on through hers.
    for what, step in {"a move": {"netns_fd": other, **proof(OTHERS)},
                       "a move and the same mark": {"netns_fd": other, "fwmark": 9,
                                                    **proof(OTHERS)}}.items():
        device(fwmark=0)
        root(nl.wg_set, "wg0", fwmark=9).or_raise()
        check(applied() == 9, "root's is applied", get())
        house.alice(nl.wg_set, "wg0", **step).or_raise()
        check(applied() == 0, f"after {what} of hers it is not", get())
        house.alice(nl.wg_set, "wg0", netns_pid=1, **proof()).or_raise()
        check(applied() == 0, "nor after the move back", get())
    house.alice(os.close, other)
    root.end()


def up_by_ioctl():
    request = struct.pack("16sh22x", b"wg0", 1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        fcntl.ioctl(sock, 0x8914, request)  # SIOCSIFFLAGS


def up_by_sysfs():
    os.unshare(os.CLONE_NEWNS)
    if libc.mount(b"sysfs", b"/sys", b"sysfs", 0, None):
        raise OSError(ctypes.get_errno(), "mount")
    with open("/sys/class/net/wg0/flags", "w", encoding="ascii") as file:
        file.write("0x1")


def up_renamed():
    nl.rtnl(nl.RTM_NEWLINK, struct.pack("=BBHiII", 0, 0, 0, socket.if_nametoindex("wg0"), 1, 1),
            nl.string(3, "wg7")).or_raise()


def up_here():
    nl.link_up("wg0").or_raise()


def try_up(how):
    """Has the device up; the errno."""
    try:
        how()
    except OSError as error:
        return errno.errorcode[error.errno]
    return "OK"


@scenario
def privileged_ports():
    """No way of having a device up opens a port that its user could not."""
    device(up=False)
    root = root_in(net_of(house.alice))
    root(nl.wg_set, "wg0", port=53).or_raise()
    hers = second_in(house.alice)
    for how in (up_here, up_by_ioctl, up_by_sysfs, up_renamed):
        before = state()
        answer = hers(try_up, how)
        if how is up_renamed:
            house.alice(rename, "wg7", "wg0")
        problems = [] if answer == "EACCES" else [answer]
        problems += differences(before, state())
        check(not problems, f"{how.__name__.replace('_', ' ')}: EACCES", *problems)
    check(not {(4, 53), (6, 53)} & ports("init"), "and nobody listens there")
    refused("a privileged port with a move elsewhere", "EACCES", "CAP_NET_BIND_SERVICE", port=80,
            netns_fd=house.alice(os.open, "/run/netns/other", os.O_RDONLY), **proof(OTHERS))
    refused("a move that would keep one", "EACCES", "CAP_NET_BIND_SERVICE",
            netns_fd=house.alice(os.open, "/run/netns/other", os.O_RDONLY), **proof(OTHERS))

    # By way of a netns of hers, where all ports are.
    house.alice(nl.wg_set, "wg0", netns_pid=house.alice.pid, port=80).or_raise()
    house.alice(nl.link_up, "wg0").or_raise()
    refused("one that was allowed elsewhere", "EACCES", "CAP_NET_BIND_SERVICE", netns_pid=1,
            **proof())
    house.alice(nl.link_down, "wg0").or_raise()
    refused("and while it is down", "EACCES", "CAP_NET_BIND_SERVICE", netns_pid=1, **proof())
    hers.end()
    root.end()


def rename(old, new):
    """Gives the link its name again, if it has lost it."""
    if old in [name for _, name in socket.if_nameindex()]:
        nl.rtnl(nl.RTM_NEWLINK, struct.pack("=BBHiII", 0, 0, 0, socket.if_nametoindex(old), 0, 0),
                nl.string(3, new)).or_raise()
