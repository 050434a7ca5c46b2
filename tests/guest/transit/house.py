# SPDX-License-Identifier: GPL-2.0
"""The world of the suite, and what its scenarios have in common.

Alice (uid 1000) has a user and a network namespace of her own, with the device wg0 in it. Packets
can leave from the initial netns and from the netns `other'; both lead to the netns `far', where the
device's peer is, at an address that both have a route to.
"""

import base64
import errno
import os
import re
import socket

import actor
import netlink as nl
import world
from actor import Actor
from sockets import GOOD, OTHERS, UNSUPPORTED, become_alice, bound
from tap import check
from world import inside, new_ping, ports, sh

PORT = 5000
PEER = "192.168.77.2"
ADVICE_PROOF = "pass transit-credentials FD4,FD6, two UDP sockets that were opened there"
ADVICE_V6 = "The credential for IPv6 is missing: pass transit-credentials FD4,FD6"
WARNING = "fwmark is kept but not applied"
MARK_IS_ON = "fwmark is on the packets"
ADVICE_MARK = "fwmark: the device may keep the mark that it has"

alice = None
her_net = None
keys = {}


def encoded(key):
    return base64.b64encode(key).decode()


def public_key(net, name):
    with inside(net):
        return nl.wg_get(name)["public_key"]


def build():
    global alice, her_net
    sh("""
        sysctl -qw net.ipv4.ping_group_range='0 2147483647'
        ip netns add other
        ip netns add far
        ip -batch - <<-'END'
		link add out type veth peer name in netns far
		link add out netns other type veth peer name in2 netns far
		addr add 10.9.0.1/24 dev out
		addr add fd09::1/64 dev out nodad
		link set out up
		route add 10.7.0.2 via 10.9.0.2
		route add fd07::2 via fd09::2
		END
        ip -n other -batch - <<-'END'
		link set lo up
		addr add 10.8.0.1/24 dev out
		addr add fd08::1/64 dev out nodad
		link set out up
		route add 10.7.0.2 via 10.8.0.2
		route add fd07::2 via fd08::2
		END
        ip -n far -batch - <<-'END'
		link set lo up
		addr add 10.9.0.2/24 dev in
		addr add 10.8.0.2/24 dev in2
		addr add fd09::2/64 dev in nodad
		addr add fd08::2/64 dev in2 nodad
		addr add 10.7.0.2/32 dev lo
		addr add fd07::2/128 dev lo nodad
		link set in up
		link set in2 up
		link add wg0 type wireguard
		addr add 192.168.77.2/24 dev wg0
		END
        for n in '' 'ip netns exec other'; do
            $n nft -f - <<-'END'
		table inet watch {
			counter none { }
			counter seven { }
			counter eight { }
			chain out {
				type filter hook output priority 0
				udp dport 5000 meta mark 0 counter name none
				udp dport 5000 meta mark 7 counter name seven
				udp dport 5000 meta mark 8 counter name eight
			}
		}
		END
        done
    """)
    keys["far"], keys["hers"] = os.urandom(32), os.urandom(32)
    with inside("far"):
        nl.wg_set("wg0", private_key=keys["far"], port=PORT).or_raise()
    keys["far public"] = public_key("far", "wg0")
    # She knows what is known by now.
    alice = Actor()
    UNSUPPORTED.update(alice(become_alice, "other"))
    her_net = alice.net()
    with inside(her_net):
        nl.link_add("wg0").or_raise()
        nl.wg_set("wg0", private_key=keys["hers"]).or_raise()
    keys["her public"] = public_key(her_net, "wg0")
    with inside("far"):
        nl.wg_set("wg0", peers=[nl.peer(keys["her public"],
                                        allowed=["192.168.77.1/32"])]).or_raise()
        nl.link_up("wg0").or_raise()
    # What neighbours need at first is nobody's concern later.
    for net in ("init", "other"):
        with inside(net):
            sh("ping -c 1 -W 5 10.7.0.2; ping -c 1 -W 5 fd07::2")


def make_device(words, transit, up, endpoint="10.7.0.2", credentials=GOOD):
    """A new wg0, in the netns of whoever calls."""
    nl.link_del("wg0")
    nl.link_add("wg0").or_raise()
    peers = [nl.peer(keys["far public"], endpoint=(endpoint, PORT), allowed=["0.0.0.0/0"])]
    nl.wg_set("wg0", private_key=keys["hers"], peers=peers, **words).or_raise()
    nl.address_add("wg0", "192.168.77.1/24").or_raise()
    if transit:
        nl.wg_set("wg0", netns_pid=1, credential4=credentials[0],
                  credential6=credentials[1]).or_raise()
    if up:
        nl.link_up("wg0").or_raise()


def device(transit=True, up=True, endpoint="10.7.0.2", **words):
    """Gives alice a new wg0, whose sockets she has moved to the initial netns already."""
    # The timers of the peer's last session would begin a handshake in the midst of the next.
    with inside("far"):
        nl.wg_set("wg0", flags=nl.REPLACE_PEERS,
                  peers=[nl.peer(keys["her public"], allowed=["192.168.77.1/32"])]).or_raise()
    alice(make_device, words, transit, up, endpoint)


def set_by(who, **words):
    """A change that has to succeed; the kernel's warning."""
    return who(nl.wg_set, "wg0", **words).or_raise().message


def move(where, **more):
    """Alice moves the sockets, with the credentials that this takes."""
    if where == "own":
        return set_by(alice, netns_pid=alice.pid, **more)
    if where == "other":
        with_fd = alice(os.open, "/run/netns/other", os.O_RDONLY)
        try:
            return set_by(alice, netns_fd=with_fd, credential4=OTHERS[0],
                          credential6=OTHERS[1], **more)
        finally:
            alice(os.close, with_fd)
    return set_by(alice, netns_pid=1, credential4=GOOD[0], credential6=GOOD[1], **more)


def state():
    """Everything that a refused request might have changed."""
    with inside(her_net):
        shown = nl.wg_get("wg0")
        for one in shown["peers"].values():
            for changing in ("rx", "tx", "handshake"):
                one.pop(changing)
        return {
            "device": shown,
            "link": nl.link_get("wg0"),
            "sockets in hers": world.udp_sockets(),
            "sockets in init": world.udp_sockets("init"),
            "sockets in other": world.udp_sockets("other"),
        }


def get():
    with inside(her_net):
        return nl.wg_get("wg0")


def handshake(net=None):
    with inside(her_net if net is None else net):
        return [one["handshake"] for one in nl.wg_get("wg0")["peers"].values()]


def pings(**more):
    return new_ping(her_net, PEER, **more)


def lives_in(net, port=None):
    """Whether the device has both its sockets in that netns, and none in the others."""
    port = port or get()["port"]
    here = {(4, port), (6, port)}
    nets = {"own": her_net, "init": "init", "other": "other"}
    return all((ports(fd) & here) == (here if name == net else set())
               for name, fd in nets.items())


def as_it_was(before):
    """What has changed, if something has."""
    return list(changes("", before, state()))


def changes(where, before, after):
    if isinstance(before, dict) and isinstance(after, dict):
        for part in before.keys() | after.keys():
            yield from changes(f"{where} {part}", before.get(part), after.get(part))
    elif before != after:
        yield f"{where[1:]}: {before} became {after}"


def refused(what, error, kernel, advice, *words, who=None, alive=True):
    """The tool is refused: it says why and what to do, and nothing has changed."""
    before = state()
    status, out, err = (who or alice).wg("set", "wg0", *words)
    problems = as_it_was(before)
    if status != 1:
        problems.append(f"exit status {status}")
    first, *rest = err.splitlines() or [""]
    said = [line for line in rest if line.startswith("The kernel says: ")]
    advised = [line for line in rest if line not in said]
    if not first.endswith(os.strerror(getattr(errno, error))):
        problems.append(f"the error is not {error}")
    if kernel and not any(re.search(kernel, line) for line in said):
        problems.append(f"the kernel does not say {kernel!r}")
    if not any(re.search(advice, line) for line in advised):
        problems.append(f"the tool does not advise {advice!r}")
    if alive and not pings():
        problems.append("packets do not get through any more")
    check(not problems, f"{what}: {error}", *problems, f"wg set wg0 {words}:", err or out)


def refused_raw(what, error, kernel, attribute=None, who=None, alive=True, **words):
    """The same for what the tool cannot send."""
    before = state()
    answer = (who or alice)(nl.wg_set, "wg0", **words)
    problems = as_it_was(before)
    if answer.name != error:
        problems.append(f"the error is not {error}")
    if not re.search(kernel, answer.message):
        problems.append(f"the kernel does not say {kernel!r}")
    if attribute and answer.attribute != attribute:
        problems.append(f"it points at attribute {answer.attribute}, not {attribute}")
    if alive and not pings():
        problems.append("packets do not get through any more")
    check(not problems, f"{what}: {error}", *problems, answer)


def allowed(what, *words, who=None, warning=None):
    """The tool does it, with a warning or none."""
    status, _, err = (who or alice).wg("set", "wg0", *words)
    good = status == 0 and bool(re.search(warning, err) if warning else not err)
    check(good, what, f"wg set wg0 {words}: exit status {status}", err)


def creds(pair):
    return f"{pair[0]},{pair[1]}"


def counters(net="init"):
    with inside(net):
        return nl.counters("watch")


def marks_seen(net="init"):
    """The marks that packets carry which leave from that netns."""
    before = counters(net)
    through = pings()
    after = counters(net)
    seen = [name for name in after if after[name] != before[name]]
    return ",".join(seen) + ("" if through else " and nothing gets through")


def holder(net, port, families=(4, 6)):
    """Sockets that hold a port in a netns."""
    socks = []
    with inside(net):
        for family in families:
            socks.append(bound(port)(socket.AF_INET if family == 4 else socket.AF_INET6))
    return socks


def free(socks):
    for sock in socks:
        sock.close()


def enter(net):
    os.setns(net, os.CLONE_NEWNET)


def root_in(net, *without):
    """An actor that is root in another netns, without some capabilities."""
    return Actor(become_root_in, net if isinstance(net, int) else world.open_net(net), without)


def become_root_in(net, without):
    enter(net)
    if without:
        actor.drop_capabilities(*without)
