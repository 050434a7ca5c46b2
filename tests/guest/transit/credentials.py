# SPDX-License-Identifier: GPL-2.0
"""What counts as a credential, and as whose packets are routed (rules 6 and 7)."""

import os

import house
import netlink as nl
import tap
from house import (allowed, creds, device, lives_in, move, pings, refused, refused_raw, root_in,
                   set_by, state)
from sockets import BAD, CLOSED, FINE, GOOD, UNSUPPORTED
from tap import check, scenario
from world import inside, sh


@scenario
def rule_6_credentials():
    """What is no proof that its holder could run a tunnel there."""
    device()
    for what, (v4, v6, error, kernel, advice) in BAD.items():
        if what in UNSUPPORTED:
            tap.skip(f"{what}: {error}", "this kernel has none")
            continue
        refused(f"{what} for IPv4, for a port", error, kernel, advice,
                "listen-port", 6030, "transit-credentials", f"{v4},{GOOD[1]}")
        refused(f"{what} for IPv6, for a port", error, kernel, advice,
                "listen-port", 6030, "transit-credentials", f"{GOOD[0]},{v6}")
    refused_raw("a closed fd for IPv4", "EBADF", "not open", nl.CREDENTIAL4,
                port=6030, credential4=CLOSED, credential6=GOOD[1])
    refused_raw("a closed fd for IPv6", "EBADF", "not open", nl.CREDENTIAL6,
                port=6030, credential4=GOOD[0], credential6=CLOSED)
    refused_raw("a number that no fd has", "EBADF", "not open", nl.CREDENTIAL4,
                port=6030, credential4=0xffffffff, credential6=GOOD[1])
    status, _, err = house.alice.wg("set", "wg0", "listen-port", 6030, "transit-credentials",
                                    f"{GOOD[0]},{CLOSED}")
    check(status == 1 and "Bad file descriptor" in err and "fd 199 is not open here" in err,
          "the tool says which is not open, and how to open one", err)
    allowed("after all of these, good ones still do", "listen-port", 6030,
            "transit-credentials", creds(GOOD))
    for number, (what, pair) in enumerate(FINE.items()):
        allowed(what, "listen-port", 6032 + number, "transit-credentials", creds(pair))
        check(lives_in("init", 6032 + number), "are proof as well", state())
    for _ in range(3):
        move("other")
        move("init")
    check(pings(), "and can be shown any number of times")


@scenario
def rule_6_credentials_for_a_move():
    """The same, where the netns changes."""
    device(transit=False, port=6031)
    for what in ("TCP sockets", "no sockets", "a socket of another netns",
                 "a socket bound to a port by hand", "a socket tied to a device",
                 "a socket with a locked filter"):
        v4, v6, error, kernel, advice = BAD[what]
        refused(f"{what} for a move", error, kernel, advice, "transit-netns", 1,
                "transit-credentials", f"{v4},{v6}", alive=False)
    refused("a netns that is none, by path", "EINVAL", "no network namespace",
            "leads to no network namespace", "transit-netns", "/etc/passwd", alive=False)
    refused("a namespace of another kind", "EINVAL", "no network namespace",
            "leads to no network namespace", "transit-netns", "/proc/self/ns/uts", alive=False)
    refused("no such PID", "ESRCH", "no process", "there is no process `4000000'",
            "transit-netns", 4000000, alive=False)
    refused_raw("a netns fd that is not open", "EBADF", "not open", nl.NETNS_FD, alive=False,
                netns_fd=CLOSED, credential4=GOOD[0], credential6=GOOD[1])
    refused_raw("a netns fd that no fd can be", "EBADF", "not open", nl.NETNS_FD, alive=False,
                netns_fd=0x80000000)
    refused_raw("a socket for a netns", "EINVAL", "no network namespace", nl.NETNS_FD, alive=False,
                netns_fd=GOOD[0])
    refused_raw("PID 0", "ESRCH", "no process", nl.NETNS_PID, alive=False, netns_pid=0)
    fd = house.alice(os.open, "/run/netns/other", os.O_RDONLY)
    refused_raw("both an fd and a PID", "EINVAL", "both", alive=False, netns_fd=fd, netns_pid=1,
                credential4=GOOD[0], credential6=GOOD[1])
    refused_raw("both, though they agree", "EINVAL", "both", alive=False,
                netns_fd=house.alice(os.open, "/proc/self/ns/net", os.O_RDONLY),
                netns_pid=house.alice.pid)
    house.alice(os.close, fd)


@scenario
def rule_7_routed_as_hers():
    """Rules of routing that name users hold for what her credentials buy."""
    root = root_in(house.her_net)
    for endpoint, version in (("10.7.0.2", "-4"), ("fd07::2", "-6")):
        what = f"over IPv{version[1]}"
        device(endpoint=endpoint)
        check(pings(), f"{what} the sockets that she moved carry traffic")
        sh(f"ip {version} rule add pref 50 uidrange 1000-1000 prohibit")
        try:
            check(not pings(timeout=1), f"{what} a rule of routing against her stops it")
            with inside(house.her_net):
                nl.link_down("wg0").or_raise()
                nl.link_up("wg0").or_raise()
            check(not pings(timeout=1), f"{what} when root had the device down as well")
            set_by(root, port=6011)
            check(pings(timeout=8), f"{what} it does not concern sockets that root made", state())
            move("init", port=6012)
            check(not pings(timeout=1), f"{what} nor does it leave out those that she rebinds")
            move("own")
            set_by(root, netns_pid=1)
            check(pings(timeout=8), f"{what} nor does it concern those that root moved", state())
            move("init", port=6013)
        finally:
            sh(f"ip {version} rule del pref 50")
        check(pings(timeout=8), f"{what} it ends with the rule")
    root.end()
