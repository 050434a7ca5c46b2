# SPDX-License-Identifier: GPL-2.0
"""Marks, privileged ports, and requests that change nothing (rules 3 to 5)."""

import re

import house
import netlink as nl
from house import (ADVICE_MARK, MARK_IS_ON, WARNING, allowed, as_it_was, counters, creds, device,
                   get, lives_in, marks_seen, move, pings, refused, root_in, set_by, state)
from sockets import GOOD, OTHERS
from tap import check, scenario


@scenario
def rule_3_marks():
    """A mark is on packets only while it is authorised."""
    root = root_in(house.her_net)
    device(transit=False, fwmark=7)
    check(get()["transit_fwmark"] == 7, "in a netns of her own she may set marks", get())
    status, _, err = house.alice.wg("set", "wg0", "transit-netns", 1,
                                    "transit-credentials", creds(GOOD))
    check(status == 0 and WARNING in err, "a move that leaves a mark behind warns", err)
    shown = get()
    check(shown["fwmark"] == 7 and shown["transit_fwmark"] == 0, "the mark is kept", shown)
    check(marks_seen() == "none", "and packets leave without", counters())
    out = house.alice.wg("show", "wg0")[1]
    check(re.search(r"fwmark: 0x7 \(kept, but not applied", out), "wg show says so", out)
    allowed("credentials do not buy a mark", "fwmark", 8, "transit-credentials", creds(GOOD),
            warning=WARNING)
    check(get()["fwmark"] == 8 and marks_seen() == "none", "which is kept and not applied", get())

    allowed("a mark that is not on the packets may go", "fwmark", 0)
    check(get()["fwmark"] == 0 and marks_seen() == "none", "and is 0", get())

    allowed("a mark that root sets", "fwmark", 7, who=root)
    check(get()["transit_fwmark"] == 7 and marks_seen() == "seven", "is on the packets", get())
    allowed("the same mark from her is no change", "fwmark", 7)
    check(marks_seen() == "seven", "and stays on the packets", get())
    allowed("a port from her", "listen-port", 6010, "transit-credentials", creds(GOOD))
    check(marks_seen() == "seven", "leaves the mark authorised", get())
    for mark, what in ((8, "another mark"), (0, "the mark 0")):
        refused(f"{what} from her, where one is on the packets", "EPERM", MARK_IS_ON, ADVICE_MARK,
                "fwmark", mark)
        refused(f"{what} from her, with credentials", "EPERM", MARK_IS_ON, ADVICE_MARK,
                "fwmark", mark, "listen-port", 6011, "transit-credentials", creds(GOOD))
    check(marks_seen() == "seven", "leaves the mark where it is", get())
    allowed("another mark from root", "fwmark", 8, who=root)
    check(marks_seen() == "eight", "is on the packets", get())

    check(WARNING in move("other"), "her move takes the authority away")
    check(marks_seen("other") == "none" and get()["fwmark"] == 8, "so packets leave without")
    allowed("the same mark from root authorises it", "fwmark", 8, who=root)
    check(marks_seen("other") == "eight", "and it is on the packets", get())
    allowed("a move by root gives it as well", "transit-netns", 1, who=root)
    check(marks_seen() == "eight", "so packets carry it", get())
    move("own")
    check(get()["transit_fwmark"] == 8, "in a netns of her own a move by her gives it", get())
    set_by(house.alice, fwmark=7)
    check(get()["transit_fwmark"] == 7, "and there she may set another", get())
    check(WARNING in move("init", fwmark=8), "which a move leaves behind, for one that is kept")
    check(marks_seen() == "none" and get()["fwmark"] == 8, "and not applied", get())

    device(up=False)
    set_by(house.alice, fwmark=7)
    house.alice(nl.link_up, "wg0").or_raise()
    check(marks_seen() == "none", "a mark set while the device is down is no other", get())
    root(nl.link_down, "wg0").or_raise()
    root(nl.link_up, "wg0").or_raise()
    check(marks_seen() == "none", "nor is it after root has it up", get())
    set_by(root, fwmark=7)
    house.alice(nl.link_down, "wg0").or_raise()
    house.alice(nl.link_up, "wg0").or_raise()
    check(marks_seen() == "seven", "an authorised one stays so across down and up", get())
    root.end()


@scenario
def rule_4_privileged_ports():
    """Ports below the first unprivileged one take CAP_NET_BIND_SERVICE."""
    root = root_in(house.her_net)
    no_bind = root_in(house.her_net, 10)
    device()
    refused("a privileged port, with credentials", "EACCES", "CAP_NET_BIND_SERVICE",
            "Port 1023 is reserved in the transit netns", "listen-port", 1023,
            "transit-credentials", creds(GOOD))
    refused("a privileged port, with CAP_NET_ADMIN alone", "EACCES", "CAP_NET_BIND_SERVICE",
            "Port 53 is reserved in the transit netns", "listen-port", 53, who=no_bind)
    allowed("the first unprivileged port", "listen-port", 1024, "transit-credentials", creds(GOOD))
    allowed("a privileged port from root", "listen-port", 53, who=root)
    check(lives_in("init", 53) and pings(), "is bound", state())
    refused("her move with a privileged port", "EACCES", "CAP_NET_BIND_SERVICE",
            "The port of the device is reserved", "transit-netns", "other",
            "transit-credentials", creds(OTHERS))
    allowed("and with another port in the same command", "transit-netns", "other",
            "listen-port", 5353, "transit-credentials", creds(OTHERS))
    check(lives_in("other", 5353), "goes through", state())

    device(transit=False, port=53)
    check(lives_in("own", 53), "in a netns of her own she may have it")
    refused("her first move with it", "EACCES", "CAP_NET_BIND_SERVICE",
            "The port of the device is reserved", "transit-netns", 1,
            "transit-credentials", creds(GOOD), alive=False)

    device(up=False)
    refused("a privileged port while the device is down", "EACCES", "CAP_NET_BIND_SERVICE",
            "reserved in the transit netns", "listen-port", 53,
            "transit-credentials", creds(GOOD), alive=False)
    set_by(root, port=53)
    before = state()
    answer = house.alice(nl.link_up, "wg0")
    check(answer.name == "EACCES" and not as_it_was(before),
          "her ip link set up with it: EACCES", answer, *as_it_was(before))
    check(no_bind(nl.link_up, "wg0").name == "EACCES", "and that of root without the capability")
    check(root(nl.link_up, "wg0").name == "OK" and lives_in("init", 53), "root may")

    device(port=2000)
    with open("/proc/sys/net/ipv4/ip_unprivileged_port_start", "r+", encoding="ascii") as file:
        file.write("3000")
    try:
        refused("the limit is the transit netns's own", "EACCES", "CAP_NET_BIND_SERVICE",
                "Port 2999 is reserved", "listen-port", 2999, "transit-credentials", creds(GOOD))
        house.alice(nl.link_down, "wg0").or_raise()
        check(house.alice(nl.link_up, "wg0").name == "OK" and lives_in("init", 2000),
              "and does not concern sockets that are open", state())
        set_by(root, netns_pid=house.alice.pid)
        set_by(root, netns_pid=1)
        check(lives_in("init", 2000), "or that root has moved")
        house.alice(nl.link_down, "wg0").or_raise()
        check(house.alice(nl.link_up, "wg0").name == "EACCES", "but those that go up with it")
        move("other")
        check(house.alice(nl.link_up, "wg0").name == "OK" and lives_in("other", 2000),
              "but not for another netns", state())
    finally:
        with open("/proc/sys/net/ipv4/ip_unprivileged_port_start", "w", encoding="ascii") as file:
            file.write("1024")
    root.end()
    no_bind.end()


@scenario
def rule_5_no_change():
    """What the device has already takes no right, and changes nothing."""
    root = root_in(house.her_net)
    device(port=6020)
    set_by(root, fwmark=7)
    before = state()
    allowed("the same netns", "transit-netns", 1)
    allowed("the same port", "listen-port", 6020)
    allowed("the same mark", "fwmark", 7)
    allowed("all three", "transit-netns", 1, "listen-port", 6020, "fwmark", 7)
    check(not as_it_was(before) and marks_seen() == "seven", "the sockets are the same ones",
          *as_it_was(before))
    refused("credentials that nothing needs are checked", "EPERM", "not in the transit netns",
            "must have been opened in it", "transit-netns", 1, "transit-credentials",
            creds(OTHERS))
    refused("root's too", "ENOTSOCK", "not a socket", "no socket", "transit-netns", "other",
            "transit-credentials", "0,0", who=root)
    device(up=False)
    allowed("the same netns while the device is down", "transit-netns", 1)
    root.end()
