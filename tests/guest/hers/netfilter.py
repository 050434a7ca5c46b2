# SPDX-License-Identifier: GPL-2.0
"""Rules of the host's packet filter, and of its routing, that are about users and cgroups."""

import contextlib
import os
import struct
import subprocess

import house
import netlink as nl
from house import CGROUPS, HERS, User, acts, all_go_on, has_module, nft, spares
from tap import check, scenario, skip
from world import sh


@contextlib.contextmanager
def iptables(rule):
    """A rule for what leaves the initial netns, in both families."""
    sh(f"iptables -A OUTPUT {rule} & ip6tables -A OUTPUT {rule}; wait $!")
    try:
        yield
    finally:
        sh(f"iptables -D OUTPUT {rule} & ip6tables -D OUTPUT {rule}; wait $!")


@scenario
def owner():
    """nft's skuid and skgid, and iptables' owner."""
    house.alice.device()
    acts("a rule for her uid", nft("meta skuid 1000 drop"))
    acts("a rule for her gid", nft("meta skgid 1000 drop"))
    acts("a rule for her uid and IPv4 only", nft("meta nfproto ipv4 meta skuid 1000 drop"), (4,))
    if has_module("nft_reject_inet"):
        acts("a rule for her uid that rejects", nft("meta skuid 1000 reject"))
    acts("a rule for her uid after routing", nft("meta skuid 1000 drop", hook="postrouting"))
    spares("a rule for another's uid", nft("meta skuid 1001 drop", "meta skgid 1001 drop"))
    # Those are users' packets: of root's there are none here but the ordinary device's, which have
    # no socket at all.
    spares("a rule for root's uid and gid", nft("meta skuid 0 udp dport { 5000, 5001, 7000 } drop",
                                                "meta skgid 0 udp dport { 5000, 5001, 7000 } drop"))


@scenario
def owner_iptables():
    """The same by iptables."""
    if not has_module("xt_owner"):
        skip("iptables' owner", "this kernel has none")
        return
    house.alice.device()
    acts("iptables' owner match for her uid", iptables("-m owner --uid-owner 1000 -j DROP"))
    acts("iptables' match of any socket's file",
         iptables("-p udp -m owner --socket-exists -j DROP"))
    spares("iptables' owner match for another", iptables("-m owner --uid-owner 1001 -j DROP"))


@scenario
def owner_accepts():
    """A host that lets only her send lets the tunnel through too."""
    house.alice.device()
    with nft("udp dport 5000-7000 meta skuid 1000 accept", "udp dport 5000-7000 drop"):
        found = all_go_on(house.alice, 3, {"program": {4, 6}, "tunnel": {4, 6}})
        check(found["program"] == {4, 6}, "a rule that lets only her send lets her program", found)
        check(found["tunnel"] == {4, 6}, "and the tunnel", found)
        check(not found["ordinary"], "and not root's device", found)
    all_go_on(house.alice)


@scenario
def cgroup():
    """nft's socket cgroupv2."""
    if not has_module("nft_socket"):
        skip("nft's socket cgroupv2", "this kernel has none")
        return
    house.alice.device()
    acts("a rule for her cgroup, on the way out", nft(f'socket cgroupv2 level 2 "{HERS}" drop'))
    acts("a rule for her cgroup, on the way in",
         nft(f'socket cgroupv2 level 2 "{HERS}" drop', hook="input"))
    acts("a rule for a cgroup that hers is in", nft('socket cgroupv2 level 1 "users" drop'))
    spares("a rule for the cgroup beside hers", nft('socket cgroupv2 level 2 "users/bob" drop'))
    spares("such a rule, on the way in",
           nft('socket cgroupv2 level 2 "users/bob" drop', hook="input"))


@scenario
def cgroup_iptables():
    """The same by iptables."""
    if not has_module("xt_cgroup"):
        skip("iptables' cgroup", "this kernel has none")
        return
    house.alice.device()
    acts("iptables' cgroup match for hers", iptables(f"-m cgroup --path {HERS} -j DROP"))
    spares("iptables' cgroup match for another", iptables("-m cgroup --path users/bob -j DROP"))


@scenario
def cgroup_class():
    """nft's meta cgroup, which is of the first version's net_cls."""
    folder = "/run/net_cls"
    os.makedirs(folder, exist_ok=True)
    if subprocess.run(["mount", "-t", "cgroup", "-o", "net_cls", "net_cls", folder], check=False,
                      stderr=subprocess.DEVNULL).returncode:
        skip("nft's meta cgroup", "this kernel has no net_cls")
        return
    os.makedirs(f"{folder}/alice")
    with open(f"{folder}/alice/net_cls.classid", "w", encoding="ascii") as file:
        file.write("0x100001")
    with User(cgroups=(f"{CGROUPS}/{HERS}", f"{folder}/alice")) as her:
        her.device()
        acts("a rule for her class", nft("meta cgroup 0x100001 drop"), her=her)
        spares("a rule for another class", nft("meta cgroup 0x100002 drop"), her=her)


RTM_NEWRULE, RTM_DELRULE = 32, 33
LOOKUP, UNREACHABLE = 1, 7  # what a rule does


@contextlib.contextmanager
def uid_rule(first, last, action, table=0):
    """A rule for routing in the initial netns, for a range of uids, in both families."""
    def both(kind, flags):
        for family in house.AF.values():
            header = struct.pack("=BBBBBBBBI", family, 0, 0, 0, table, 0, 0, action, 0)
            nl.rtnl(kind, header, nl.u32(6, 100), nl.attr(20, struct.pack("=II", first, last)),
                    flags=nl.F_ACK | flags).or_raise()
    both(RTM_NEWRULE, nl.F_CREATE | nl.F_EXCL)
    try:
        yield
    finally:
        both(RTM_DELRULE, 0)


@scenario
def uid_routes():
    """Routes by the uid of who sends."""
    house.alice.device()
    acts("a route of her uid that leads nowhere", uid_rule(1000, 1000, UNREACHABLE))
    sh("ip route add blackhole default table 77; ip -6 route add blackhole default table 77")
    acts("another table for her uid", uid_rule(1000, 1000, LOOKUP, 77))
    spares("a route of other uids", uid_rule(1001, 2000, UNREACHABLE))
    with uid_rule(1000, 1000, UNREACHABLE):
        house.alice.anew()
        house.stopped_alike("a route that was there before the move",
                            house.what_goes_on(house.alice))
    house.alice.anew()
    found = all_go_on(house.alice)
    check(found == house.EVERYTHING, "after it all goes on again", found)
