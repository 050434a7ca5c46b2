# SPDX-License-Identifier: GPL-2.0
"""What is said of trains holds of packets that come in one by one and are decrypted together, and some
of them are as well not together."""

import socket

import hostile
import house
import netlink as nl
import packets
from house import HERE, PEER
from tap import check, scenario
from world import inside, until


def singly(function):
    """Makes a scenario of one that sends trains."""
    def run():
        house.Sender.singly = True
        try:
            with house.one_cpu():
                function()
        finally:
            house.Sender.singly = False
    run.__name__ = f"singly_{function.__name__}"
    run.__doc__ = f"{function.__doc__.splitlines()[0]} (one by one)"
    scenario(run)


for one in (hostile.forged, hostile.replayed, hostile.out_of_order, hostile.foreign,
            hostile.short_last, hostile.keepalives, hostile.sizes, hostile.over_ipv6, hostile.merged,
            hostile.not_merged):
    singly(one)


def port():
    """The port from which wg0 takes the peer to send."""
    public = house.public_key(house.own_private)
    return int.from_bytes(nl.wg_get("wg0")["peers"][public]["endpoint"][2:4], "big")


@scenario
def endpoints():
    """Packets that come from elsewhere at the same time move the peer if they are authentic, and else not"""
    with inside("far"):
        elsewhere = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    elsewhere.connect((house.CABLE[4][0], house.PORT))
    with hostile.talk() as (peer, inbox), house.one_cpu():
        home, other = peer.sock.getsockname()[1], elsewhere.getsockname()[1]
        for what, bad in (("the first", {0}), ("one in the middle", {7}), ("the last", {19}),
                          ("every other", set(range(0, 20, 2)))):
            messages = hostile.train(peer, range(20))
            with house.before_all_work():
                for number, message in enumerate(messages):
                    if number in bad:
                        elsewhere.send(hostile.flip(message))
                    else:
                        peer.sock.send(message)
            hostile.arrives(peer, inbox, f"all others arrive where {what} is forged, from elsewhere",
                            [number for number in range(20) if number not in bad])
            check(port() == home, "and the peer is where it was", port())
        messages = hostile.train(peer, range(20))
        with house.before_all_work():
            for number, message in enumerate(messages):
                (elsewhere if number >= 10 else peer.sock).send(message)
        check(until(lambda: port() == other), "authentic ones move it",
              port())
        hostile.arrives(peer, inbox, "and all of them arrive", list(range(20)))
        check(port() == home, "as what comes behind them moves it back", port())
    elsewhere.close()


@scenario
def congestion():
    """A mark of congestion is that of the packet which it came with"""
    with hostile.talk() as (peer, inbox), house.one_cpu(), \
            house.capture("wg0", ethernet=False) as watch:
        marked = {0, 4, 5, 19}
        messages = [peer.seal(packets.udp(PEER, HERE, number.to_bytes(4, "big") + bytes(196), tos=2,
                                          ports=(40000, 7777))) for number in range(20)]
        with house.before_all_work():
            for number, message in enumerate(messages):
                peer.sock.setsockopt(socket.IPPROTO_IP, socket.IP_TOS,
                                     3 if number in marked else 2)
                peer.sock.send(message)
        peer.sock.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, 0)
        hostile.arrives(peer, inbox, "all arrive", list(range(20)))
        seen = {int.from_bytes(one.payload[:4], "big"): one.tos & 3
                for one in watch.collect(lambda found: len(found) >= 20,
                                         wanted=lambda one: one.protocol == 17)}
        check({number for number, ecn in seen.items() if ecn == 3} == marked,
              "those that were marked on the way are, and no others", seen)
