# SPDX-License-Identifier: GPL-2.0
"""Ports, and devices that are down, without a netns, or looked at (rules 11 to 14)."""

import os
import re

import house
import netlink as nl
import world
from house import (ADVICE_PROOF, PEER, WARNING, allowed, as_it_was, creds, device, encoded, free,
                   get, holder, lives_in, move, pings, refused, root_in, set_by, state)
from sockets import GOOD, OTHERS
from tap import check, scenario
from world import inside, ports, sh


@scenario
def rule_11_ports():
    """A port that the kernel picked may change; one that was asked for may not."""
    device(transit=False)
    port = get()["port"]
    move("init")
    check(lives_in("init", port) and get()["port"] == port, "a port goes along", state())
    held = holder("other", port)
    move("other")
    picked = get()["port"]
    check(picked != port and picked and (4, picked) in ports("other")
          and (6, picked) in ports("other") and pings(),
          "one that the kernel picked is picked again where it is taken", state())
    free(held)

    device(port=6050)
    held = holder("other", 6050)
    refused("one that was asked for is not", "EADDRINUSE", "taken",
            "The port of the device is taken in the transit netns: choose another listen-port",
            "transit-netns", "other", "transit-credentials", creds(OTHERS))
    allowed("unless any will do", "transit-netns", "other", "listen-port", 0,
            "transit-credentials", creds(OTHERS))
    check(get()["port"] != 6050 and lives_in("other"), "then the kernel picks", state())
    free(held)

    port = get()["port"]
    allowed("a picked port that is asked for by number", "listen-port", port)
    held = holder("init", port)
    refused("is one that was asked for", "EADDRINUSE", "taken", "taken in the transit netns",
            "transit-netns", 1, "transit-credentials", creds(GOOD))
    free(held)


@scenario
def rule_12_down():
    """A device that is down remembers, and gets its sockets when it comes up."""
    device(transit=False, up=False, port=6060)
    refused("a move without proof while it is down", "EPERM", "needs CAP_NET_ADMIN", ADVICE_PROOF,
            "transit-netns", 1, alive=False)
    check(lives_in("nowhere", 6060), "a device that is down has no sockets anywhere", state())
    move("init")
    check(lives_in("init", 6060), "but those that credentials buy, at the move", state())
    number = house.alice(nl.nsid_of, house.alice(os.open, "/run/netns/other", os.O_RDONLY))
    move("other")
    check(get()["netnsid"] == number and lives_in("other", 6060), "another move replaces them",
          get(), number)
    there = world.udp_sockets("other")
    house.alice(nl.link_up, "wg0").or_raise()
    check(world.udp_sockets("other") == there and pings(), "up, it sends by them", state())
    house.alice(nl.link_down, "wg0").or_raise()
    check(world.udp_sockets("other") == there, "and down, they stay open", state())
    held = holder("init", 6060)
    refused("a move to where the port is taken, while it is down", "EADDRINUSE", "taken",
            "taken in the transit netns", "transit-netns", 1, "transit-credentials", creds(GOOD),
            alive=False)
    root = root_in(house.her_net)
    set_by(root, netns_pid=1)
    root.end()
    check(get()["netnsid"] not in (None, number) and world.udp_sockets("other") != there,
          "moved by root it remembers its netns, and its sockets are closed", state())
    before = state()
    answer = house.alice(nl.link_up, "wg0")
    check(answer.name == "EADDRINUSE" and not as_it_was(before),
          "if the port is taken by then, it does not come up", answer, *as_it_was(before))
    free(held)
    check(house.alice(nl.link_up, "wg0").name == "OK" and pings(), "later it does")


@scenario
def rule_13_gone():
    """A device keeps no transit netns alive, and can be given another."""
    sh("ip netns add hall; ip -n hall link set lo up")
    device(port=6070)
    root = root_in(house.her_net)
    allowed("root moves the sockets to a netns that will not last", "transit-netns", "hall",
            who=root)
    check((4, 6070) in ports("hall"), "they are there")
    with inside("init"):
        sh("ip netns set hall 4711")
    sh("ip netns del hall")
    check(world.until(lambda: not nl_link()["carrier"]), "when it goes, the carrier drops",
          nl_link())
    check(world.until(lambda: "4711" not in sh("ip netns list-id")), "the netns is really gone")
    shown = get()
    check(shown["netnsid"] == -1 and lives_in("nowhere", 6070), "and the sockets with it", shown)
    out = house.alice.wg("show", "wg0")[1]
    check("transit netns: gone" in out, "wg show says so", out)
    check(house.alice.wg("show", "wg0", "transit-netns")[1].strip() == "gone", "for scripts too")
    check(not pings(timeout=0.3), "packets go nowhere")

    gone = ("ENONET", "transit netns is gone", "give it a new one in the same command")
    refused("a port then", *gone, "listen-port", 6071, alive=False)
    refused("the same port then", *gone, "listen-port", 6070, alive=False)
    refused("a mark then", *gone, "fwmark", 7, alive=False)
    refused("the mark 0 then", *gone, "fwmark", 0, alive=False)
    refused("credentials then", *gone, "transit-credentials", creds(GOOD), alive=False)
    refused("root's port then", *gone, "listen-port", 6071, who=root, alive=False)
    allowed("what is not about sockets is done", "peer", encoded(os.urandom(32)))
    house.alice(nl.link_down, "wg0").or_raise()
    answer = house.alice(nl.link_up, "wg0")
    check(answer.name == "ENONET", "ip link set up then: ENONET", answer)
    allowed("a new netns, port and mark in one command", "transit-netns", 1, "listen-port", 6072,
            "fwmark", 7, "transit-credentials", creds(GOOD), warning=WARNING)
    check(house.alice(nl.link_up, "wg0").name == "OK" and nl_link()["carrier"] and pings()
          and lives_in("init", 6072), "bring it back", nl_link(), state())

    sh("ip netns add hall; ip -n hall link set lo up")
    root.wg("set", "wg0", "transit-netns", "hall")
    sh("ip netns del hall")
    world.until(lambda: not nl_link()["carrier"])
    refused("a new netns without proof", "EPERM", "needs CAP_NET_ADMIN", ADVICE_PROOF,
            "transit-netns", 1, alive=False)
    allowed("a new netns while the device is up", "transit-netns", "other",
            "transit-credentials", creds(OTHERS), warning=WARNING)
    check(nl_link()["carrier"] and lives_in("other", 6072), "brings it back at once", nl_link(),
          state())
    check(world.reaches(house.her_net, PEER), "and packets get through")
    root.end()


def nl_link():
    with inside(house.her_net):
        return nl.link_get("wg0")


@scenario
def rule_14_visible():
    """wg show tells where the sockets are, and ip link does not."""
    device(transit=False)
    text = house.alice(sh, "ip -d link show wg0")
    out = house.alice.wg("show", "wg0")[1]
    check("link-netnsid" not in text and "transit" not in out,
          "nothing is said of a device that has not moved", text, out)
    check(house.alice.wg("show", "wg0", "transit-netns")[1].strip() == "(none)", "or (none)")
    with inside(house.her_net):
        watcher = nl.links_watched()
    move("other")
    told = nl.links_told(watcher)
    watcher.close()
    moved = house.alice(sh, "ip -d link show wg0")
    check(moved == text, "ip link shows what it showed before", text, moved)
    check(not told, "and who watches links is told nothing", told)
    with inside(house.her_net):
        unasked = nl.wg_get("wg0", transit=False)
    check(unasked["netnsid"] is None and unasked["transit_fwmark"] is None,
          "nor is a client that does not ask", unasked)
    out = house.alice.wg("show", "wg0")[1]
    check("transit netns: other\n" in out, "wg show has the name", out)
    check(house.alice.wg("show", "wg0", "transit-netns")[1] == "other\n", "for scripts too")
    move("init")
    out = house.alice.wg("show", "wg0")[1]
    check(re.search(r"transit netns: nsid (\d+) \(the one of process 1\)", out),
          "of a netns without a name it has the number", out)
    stock = house.alice(sh, "wg show wg0 && wg showconf wg0")
    check("listening port" in stock and "ListenPort" in stock,
          "the stock tool shows the device as ever", stock)
