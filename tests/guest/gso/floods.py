# SPDX-License-Identifier: GPL-2.0
"""Memory is back after floods of trains, wherever they end."""

import contextlib
import fcntl
import os
import socket
import struct

import house
import memory
import netlink as nl
import packets
import world
from hostile import flip, train
from house import HERE, PEER
from noise import public_key
from tap import check, scenario
from world import sh

# Datagrams of a train, and trains of a flood: what is lost of them is far more than what caches keep.
DATAGRAMS, TRAINS = 40, 120
SIZE = 1392
SIOCOUTQ = 0x5411


def is_back(what, flood):
    """Whether memory is, after a flood of trains."""
    memory.is_back(f"a flood of trains {what}", flood, DATAGRAMS * TRAINS * SIZE)


@scenario
def floods_in():
    """Trains that come in: forged, replayed, of nobody, of a sender who may not"""
    with house.peer() as peer:
        good = train(peer, range(DATAGRAMS), size=SIZE)

        def flood(messages):
            return lambda: [peer.send_train(messages) for _ in range(TRAINS)]
        is_back("that are forged", flood([flip(message) for message in good]))
        is_back("that are replayed", flood(good))
        is_back("for no session", flood([message[:4] + bytes(4) + message[8:] for message in good]))
        is_back("with one for no session", flood([*good[:-1], good[-1][:4] + bytes(4) + good[-1][8:]]))
        is_back("of no type", flood([b"\7" + message[1:] for message in good]))

        def wrong_source():
            messages = [peer.seal(packets.tcp("192.168.1.1", HERE, 0, bytes(1000)))
                        for _ in range(DATAGRAMS)]
            for _ in range(TRAINS // 12):
                peer.send_train(messages)
                messages = [peer.seal(packets.tcp("192.168.1.1", HERE, number * 1000, bytes(1000)))
                            for number in range(DATAGRAMS)]
        is_back("from an address that the peer does not have", wrong_source)
        inbox = house.Inbox()
        check(inbox.numbers(peer) == [], "and the tunnel works")
        inbox.close()


def send_trains(target, sizes=(SIZE, SIZE * DATAGRAMS)):
    """Sends trains by an inner socket, and tells what it holds in the end."""
    size, total = sizes
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for _ in range(TRAINS):
            with contextlib.suppress(OSError):
                sock.sendmsg([bytes(total)], [(socket.IPPROTO_UDP, 103, struct.pack("=H", size))], 0,
                             (target, 9))

        def held():
            data = fcntl.ioctl(sock, SIOCOUTQ, bytes(4))
            return struct.unpack("=i", data)[0]
        return world.until(lambda: held() == 0, 10) or held() == 0


@scenario
def floods_out():
    """Trains that go out: to the peer, to one without an endpoint or a session, through a full queue, to a
    device that is down"""
    second = public_key(bytes([8]) + os.urandom(31))
    third = public_key(bytes([8]) + os.urandom(31))
    nl.wg_set("wg0", peers=[nl.peer(second, allowed=["192.168.79.2/32"]), nl.peer(
        third, endpoint=("10.9.0.2", 9), allowed=["192.168.79.3/32"])]).or_raise()
    sh("ip route add 192.168.79.0/24 dev wg0")
    empty = []

    def flood(target):
        return lambda: empty.append(send_trains(target))
    try:
        with house.peer() as peer:
            is_back("to the peer", flood(PEER))
            is_back("to a peer without an endpoint", flood("192.168.79.2"))
            is_back("to a peer without a session", flood("192.168.79.3"))
            sh("ip route add blackhole 10.9.0.2/32")
            is_back("where no route leads to the peer", flood(PEER))
            sh("ip route del blackhole 10.9.0.2/32; nft add table t;"
               "nft add chain t out '{ type filter hook output priority 0; }';"
               "nft add rule t out udp sport 5000 drop")
            is_back("that a firewall drops", flood(PEER))
            sh("nft delete table t; ip link set out down")
            is_back("where the link is down", flood(PEER))
            sh("ip link set out up")
            check(all(empty), "and the inner socket's buffer is empty each time", empty)
            peer.connect()
            inbox = house.Inbox()
            check(inbox.numbers(peer) == [], "and the tunnel works")
            inbox.close()
    finally:
        nl.wg_set("wg0", peers=[nl.peer(second, flags=1), nl.peer(third, flags=1)]).or_raise()


@scenario
def removed_under_traffic():
    """A peer, its session and the interface go away while trains come in and go out"""
    with house.peer() as peer:
        messages = train(peer, range(DATAGRAMS), size=SIZE)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            def both(count):
                for _ in range(count):
                    # Refused while the port is nobody's.
                    with contextlib.suppress(OSError):
                        peer.send_train(messages)
                    with contextlib.suppress(OSError):
                        sock.sendmsg([bytes(SIZE * DATAGRAMS)], [(
                            socket.IPPROTO_UDP, 103, struct.pack("=H", SIZE))], 0, (PEER, 9))
            for _ in range(5):
                both(5)
                nl.link_down("wg0").or_raise()
                both(1)
                nl.link_up("wg0").or_raise()
            both(10)
            # Its peers and all that waits with them go as well.
            house.device()
            both(5)
    with house.peer() as peer:
        inbox = house.Inbox()
        check(inbox.numbers(peer) == [], "the tunnel that is made anew works")
        inbox.close()
