# SPDX-License-Identifier: GPL-2.0
"""Many moves under a running TCP stream. Run by churn.sh.

The device is in a netns of its own, its sockets move between the netns `red' and `blue', which both
lead to the netns `far' with the peer. Meanwhile one stream goes from the device to the peer, and
one the other way, and both have to arrive as they were sent. No move may cause a handshake: the
session is there before the first one, and is renewed only when its time has come.

What the peer has sent to the old sockets, and what has not arrived when they close, is lost as it
would be with any roaming peer. So that TCP gets somewhere there is a pause between two moves.
"""

import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import actor  # noqa: E402
import netlink as nl  # noqa: E402
import tap  # noqa: E402
import world  # noqa: E402
from stream import Stream  # noqa: E402
from tap import check, scenario  # noqa: E402
from world import inside, ping, sh  # noqa: E402

MOVES = int(os.environ.get("MOVES") or (200 if world.debugs() else 1000))
PAUSE = 0.025
REKEY_AFTER_TIME = 120
DEVICE_PORT = 7000
# Every so often the tool does it, else its netlink message alone.
TOOL_EVERY = 25


def build():
    sh("""
        for n in device red blue far; do
            ip netns add $n
            ip -n $n link set lo up
        done
        ip link add out netns red type veth peer name red netns far
        ip link add out netns blue type veth peer name blue netns far
        ip -n far -batch - <<-'END'
		link set red up
		link set blue up
		addr add 10.1.0.2/24 dev red
		addr add 10.2.0.2/24 dev blue
		addr add 10.100.0.2/32 dev lo
		link add wg0 type wireguard
		addr add 192.168.88.2/24 dev wg0
		link set wg0 up
		END
        for n in 1.red 2.blue; do
            ip -n ${n#*.} -batch - <<-END
		link set out up
		addr add 10.${n%.*}.0.1/24 dev out
		route add 10.100.0.2 via 10.${n%.*}.0.2
		END
        done
        ip -n device -batch - <<-'END'
		link add wg0 type wireguard
		addr add 192.168.88.1/24 dev wg0
		link set wg0 up
		END
    """)
    for name in ("red", "blue"):
        with inside(name):
            sh("ping -c 1 -W 5 10.100.0.2")
    for name in ("device", "far"):
        with inside(name):
            nl.wg_set("wg0", private_key=os.urandom(32)).or_raise()
    with inside("device"):
        hers = nl.wg_get("wg0")["public_key"]
    with inside("far"):
        theirs = nl.wg_get("wg0")["public_key"]
        nl.wg_set("wg0", port=5000,
                  peers=[nl.peer(hers, allowed=["192.168.88.1/32"])]).or_raise()
    red = world.open_net("red")
    with inside("device"):
        nl.wg_set("wg0", port=DEVICE_PORT, netns_fd=red, peers=[
            nl.peer(theirs, endpoint=("10.100.0.2", 5000),
                    allowed=["192.168.88.2/32"])]).or_raise()


def state(name):
    with inside(name):
        return next(iter(nl.wg_get("wg0")["peers"].values()))


def udp_memory():
    """How many UDP sockets the kernel has memory for, in all namespaces, more or less."""
    with open("/proc/slabinfo", encoding="ascii") as file:
        return sum(int(line.split()[1]) for line in file if line.split()[0] in ("UDP", "UDPv6"))


@scenario
def churn():
    """A thousand moves under a running stream."""
    build()
    check(ping("device", "192.168.88.2", 8), "a session is there")
    handshakes = state("device")["handshake"], state("far")["handshake"]
    check(handshakes[0][0] > 0, "with its handshake")

    nets = [world.open_net(name) for name in ("blue", "red")]
    before = udp_memory()
    streams = (Stream("from the device", "device", "far", "192.168.88.2"),
               Stream("to the device", "far", "device", "192.168.88.1"))
    for stream in streams:
        check(world.until(lambda stream=stream: stream.count() > 1 << 20, 20),
              f"the stream {stream.what} runs")

    start = time.monotonic()
    failed, stuck, seen = [], [], {handshakes[0]}
    first = last = [stream.count() for stream in streams]
    with inside("device"):
        for number in range(MOVES):
            if number % TOOL_EVERY == TOOL_EVERY - 1:
                name = ("blue", "red")[number % 2]
                answer = actor.wg(["set", "wg0", "transit-netns", name])
                good = answer[0] == 0
            else:
                answer = nl.wg_set("wg0", netns_fd=nets[number % 2])
                good = not answer.errno
            if not good:
                failed.append(f"move {number}: {answer}")
            seen.add(next(iter(nl.wg_get("wg0")["peers"].values()))["handshake"])
            time.sleep(PAUSE)
            if number % 100 == 99:
                now = [stream.count() for stream in streams]
                tap.note(f"{number + 1} moves in {time.monotonic() - start:.1f} s, meanwhile " +
                         ", ".join(f"{new - old >> 10} KiB {stream.what}"
                                   for new, old, stream in zip(now, last, streams)))
                stuck += [f"{stream.what} up to {number + 1}"
                          for new, old, stream in zip(now, last, streams) if new == old]
                last = now
    check(not failed, f"{MOVES} moves", *failed[:5])
    check(all(new > old for new, old in zip(last, first)) and len(stuck) <= MOVES // 500,
          "both streams go on meanwhile", *stuck)
    for stream in streams:
        stream.finish()
    # A session is renewed when its time has come.
    age = time.time() - handshakes[0][0]
    due = int(age / REKEY_AFTER_TIME)
    if age < REKEY_AFTER_TIME - 10:
        check(seen == {handshakes[0]} and state("far")["handshake"] == handshakes[1],
              "no move caused a handshake", seen)
    else:
        check(len(seen) <= 1 + due, "no more handshakes than were due", seen)

    with inside("device"):
        nl.link_down("wg0").or_raise()
    left = world.ports("red") | world.ports("blue")
    check(not left, "no socket is left behind", left)
    if world.debugs():
        tap.skip("nor is the memory of any", "KASAN keeps what is freed")
    else:
        check(world.until(lambda: udp_memory() < before + MOVES // 10), "nor is the memory of any",
              before, udp_memory())
    check(ping("device", "192.168.88.2", 0.2) == 0, "down, the device sends nothing")
    with inside("device"):
        nl.link_up("wg0").or_raise()
    check(ping("device", "192.168.88.2", 8), "after all of it the device comes up again")
    for name in ("device", "far", "red", "blue"):
        sh(f"ip netns del {name}")


tap.run()
