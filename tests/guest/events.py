# SPDX-License-Identifier: GPL-2.0
"""Each event is told once for its cause, in order, to those who may read the device and to nobody
else; and what wg and the kernel's YNL tool make of it."""

import contextlib
import errno
import functools
import json
import os
import re
import select
import signal
import socket
import struct
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "lib"))
# What is there for YNL.
YNL = "/wg/files/ynl"
sys.path += [YNL, f"{YNL}/python"]

import actor  # noqa: E402
import events  # noqa: E402
import netlink as nl  # noqa: E402
import tunnel  # noqa: E402
import world  # noqa: E402
from actor import Actor, WG, wg  # noqa: E402
from events import ALLOWED_IPS, PRESHARED_KEY, Listener  # noqa: E402
from tap import check, run, scenario, skip  # noqa: E402
from world import inside, new_ping, open_net, sh  # noqa: E402

LEFT, RIGHT, PORT = tunnel.LEFT, tunnel.RIGHT, tunnel.PORT
KEY, OTHER, THIRD = (bytes([number]) * 32 for number in (1, 2, 3))
ROOT = os.path.dirname(os.path.dirname(HERE))


def kinds(listened):
    return [event["kind"] for event in listened]


def clear():
    """Away with what a scenario left."""
    sh("""
        for n in $(ip netns list | cut -d ' ' -f 1); do ip netns del $n; done
        for d in $(wg show interfaces); do ip link del $d; done
    """)


def device(name="wg0", **words):
    nl.link_add(name).or_raise()
    if words:
        nl.wg_set(name, **words).or_raise()


# --- configuration --------------------------------------------------------------------

@scenario
def configuration():
    """What a request changes is told, once and in order, from and to."""
    device()
    with Listener() as listener:
        def told(what, *expected, **words):
            answer = nl.wg_set("wg0", **words)
            heard = listener.forget()
            for event in heard:
                event.pop("index", None), event.pop("time", None), event.pop("name", None)
            check(not answer.errno and heard == list(expected), what, answer, heard)
            return heard

        def change(old, new):
            return {"kind": "device-change", "count": 1, "old": old, "new": new}

        def peer(kind, key, **more):
            return {"kind": kind, "count": 1, "peer": key, **more}

        secret = os.urandom(32)
        first = nl.wg_set("wg0", private_key=secret, port=5001, fwmark=7)
        heard = listener.forget()
        public = nl.wg_get("wg0")["public_key"]
        check(not first.errno and len(heard) == 1 and heard[0]["kind"] == "device-change"
              and heard[0]["old"] == {"port": 0, "fwmark": 0, "applied": 0}
              and heard[0]["new"] == {"port": 5001, "fwmark": 7, "applied": 7,
                                      "public_key": public},
              "one event tells key, port and mark of one request", first, heard)
        check(heard and heard[0].get("name") == "wg0"
              and heard[0].get("index") == socket.if_nametoindex("wg0")
              and abs(heard[0]["time"][0] - time.time()) < 60,
              "and device and time", heard)
        told("the same again is no event", private_key=secret, port=5001, fwmark=7)
        told("nothing is no event")
        told("a port alone", change({"port": 5001}, {"port": 5002}), port=5002)

        there = ("192.0.2.1", 7)
        told("a peer that is added",
             peer("peer-add", KEY, new={"endpoint": there, "keepalive": 25}),
             peers=[nl.peer(KEY, there, ["10.0.0.0/8"], 25)])
        told("the same peer again", peers=[nl.peer(KEY, there, keepalive=25)])
        told("another endpoint", peer("peer-change", KEY, old={"endpoint": there},
                                      new={"endpoint": ("2001:db8::1", 7)}),
             peers=[nl.peer(KEY, ("2001:db8::1", 7))])
        told("a keepalive", peer("peer-change", KEY, old={"keepalive": 25}, new={"keepalive": 0}),
             peers=[nl.peer(KEY, keepalive=0)])
        told("allowed IPs", peer("peer-change", KEY, flags=ALLOWED_IPS, old={}, new={}),
             peers=[nl.peer(KEY, allowed=["10.1.0.0/16"])])
        psk = os.urandom(32)
        told("a preshared key, which is not told",
             peer("peer-change", KEY, flags=PRESHARED_KEY, old={}, new={}),
             peers=[nl.nest(0, nl.attr(1, KEY), nl.attr(2, psk))])
        told("the same one again", peers=[nl.nest(0, nl.attr(1, KEY), nl.attr(2, psk))])
        told("peers one by one", peer("peer-add", OTHER, new={"keepalive": 0}),
             peer("peer-del", KEY), peer("peer-add", THIRD, new={"keepalive": 0}),
             peers=[nl.peer(OTHER), nl.peer(KEY, flags=1), nl.peer(THIRD)])
        told("all peers replaced", peer("peer-del", OTHER), peer("peer-del", THIRD),
             peer("peer-add", KEY, new={"keepalive": 0}),
             flags=nl.REPLACE_PEERS, peers=[nl.peer(KEY)])
        told("one that is not there is removed", peers=[nl.peer(OTHER, flags=1)])
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
            taken.bind(("", 5003))
            nl.link_up("wg0").or_raise()
            listener.forget()
            refused = nl.wg_set("wg0", port=5003, fwmark=9, peers=[nl.peer(OTHER)])
            heard = listener.forget()
            check(refused.name == "EADDRINUSE" and not heard,
                  "a request that is refused is no event", refused, heard)
        raw = b"".join(listener.raw)
        check(raw and secret not in raw and psk not in raw
              and not any("private_key" in event.get(side, {}) for event in listener.heard
                          for side in ("old", "new")), "no event has a secret key in it")


@scenario
def many_peers():
    """More peers than wait at a time are told one by one, and one socket's lack of room is its own."""
    device(private_key=KEY)
    count = 500
    keys = [struct.pack(">H", number) * 16 for number in range(1, count + 1)]
    with Listener() as listener, Listener(room=1 << 16) as slow:
        for first in range(0, count, 250):
            nl.wg_set("wg0", peers=[nl.peer(key) for key in keys[first:first + 250]]).or_raise()
        heard = listener.forget()
        check([event.get("peer") for event in heard] == keys
              and set(kinds(heard)) == {"peer-add"} and not listener.missed,
              f"{count} peers that are added are as many events, in order", len(heard))
        slow.take()
        check(slow.missed and 0 < len(slow.heard) < count,
              "who is too slow learns that she missed some", slow.missed, len(slow.heard))
        nl.wg_set("wg0", flags=nl.REPLACE_PEERS, peers=[nl.peer(KEY[::-1])]).or_raise()
        slow.take()
        heard = listener.forget()
        check(kinds(heard).count("peer-del") == count,
              "as many are removed by one request", len(heard))


# --- sessions, and where peers are ------------------------------------------------------

@contextlib.contextmanager
def tunnel_heard():
    """A tunnel between `left' and `right', and a listener in each."""
    keys, public = tunnel.build()
    with Listener("left") as left, Listener("right") as right:
        yield keys, public, left, right


@scenario
def sessions():
    """Sessions begin and end once."""
    with tunnel_heard() as (_, public, left, right):
        with inside("left"):
            nl.link_down("wg0").or_raise()
        check(left.wait_for("session-end") and kinds(left.heard) == ["session-end"]
              and left.heard[0]["peer"] == public["right"],
              "an interface that goes down ends its session", left.heard)
        left.forget()
        with inside("left"):
            nl.link_up("wg0").or_raise()
        check(new_ping("left", RIGHT, 8), "there is a tunnel again")
        check(left.wait_for("session-begin") and right.wait_for("session-begin"),
              "both ends tell of the new session", left.heard, right.heard)
        check(kinds(left.heard) == ["session-begin"] and left.heard[0]["count"] == 1
              and not left.heard[0].get("flags")
              and left.heard[0]["new"] == {"endpoint": ("10.1.0.2", PORT)},
              "once, and that it is the first, and with whom", left.heard)
        check(kinds(right.heard) == ["session-begin"]
              and right.heard[0].get("flags") == events.RENEWAL,
              "and the other one that it takes over from another", right.heard)
        left.forget(), right.forget()
        with inside("left"):
            nl.wg_set("wg0", peers=[nl.peer(public["right"], flags=1)]).or_raise()
        check(left.wait_for("peer-del") and kinds(left.heard) == ["peer-del"],
              "the end of a session is told by the removal of its peer", left.heard)
        with inside("right"):
            nl.wg_set("wg0", private_key=os.urandom(32)).or_raise()
        check(right.wait_for("session-end", "device-change")
              and sorted(kinds(right.heard)) == ["device-change", "session-end"],
              "another private key ends sessions", right.heard)
        right.forget()
        with inside("right"):
            nl.link_del("wg0").or_raise()
        time.sleep(0.3)
        check(not right.forget(), "a device without a session ends without an event")


@scenario
def roaming():
    """A peer that is heard elsewhere is told; with each packet elsewhere, with a count."""
    with tunnel_heard() as (_, public, left, right):
        with inside("left"):
            nl.wg_set("wg0", port=6001).or_raise()
        check(right.wait_for("peer-roam") and kinds(right.heard) == ["peer-roam"]
              and right.heard[0]["peer"] == public["left"]
              and right.heard[0]["new"] == {"endpoint": ("10.1.0.1", 6001)}
              and right.heard[0]["old"]["endpoint"][0] == "10.1.0.1",
              "another port of a peer is told, from and to", right.heard)
        check(kinds(left.forget()) == ["device-change"], "and there that it was configured",
              left.heard)
        right.forget()
        new_ping("left", RIGHT)
        time.sleep(0.2)
        check(not right.forget(), "more packets from there are no event")
        # Each packet of these comes by another port.
        ports = ", ".join(f"{number} : {20000 + number}" for number in range(64))
        rules = subprocess.run(["ip", "netns", "exec", "left", "nft", "-f", "-"], text=True, input=f"""
            table ip roam {{
                chain out {{
                    type filter hook output priority 0
                    udp dport {PORT} udp sport set numgen inc mod 64 map {{ {ports} }}
                }}
            }}
        """, check=False, stderr=subprocess.DEVNULL)
        if rules.returncode:
            skip("a peer that roams with each packet is told with a count",
                 "this kernel's nft cannot number packets")
            return
        # A rule sees packets that leave together as one.
        sh("ip netns exec left ethtool --set-priv-flags wg0 udp-gso off")
        count = 2000
        start = time.monotonic()
        with inside("left"):
            sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with sock:
            for _ in range(count):
                sock.sendto(b"x", (RIGHT, 9))
        check(right.wait(lambda heard: sum(event["count"] for event in heard) > count / 2),
              "a peer that roams with each packet is told with a count", len(right.heard))
        time.sleep(0.3)
        took = time.monotonic() - start
        heard = right.forget()
        roams = [event for event in heard if event["kind"] == "peer-roam"]
        check(0 < len(roams) <= took / 0.09 + 2,
              "but not more often than ten times a second", len(roams), took)
        check(all(one["new"] == next_["old"] for one, next_ in zip(roams, roams[1:]))
              and any(event["count"] > 1 for event in roams),
              "each from where the last one led to", [(r["old"], r["new"]) for r in roams[:5]])
        with inside("right"):
            now = nl.wg_get("wg0")["peers"][public["left"]]["endpoint"]
        check(roams[-1]["new"]["endpoint"] == events._endpoint(now),
              "and the last one to where the peer is", roams[-1])
        check(not right.missed, "nobody missed one for that")


# --- who listens ------------------------------------------------------------------------

@scenario
def slow_and_dead_listeners():
    """Listeners who do not read or are gone are no trouble for device, packets and others."""
    with tunnel_heard() as (_, _, left, _):
        with inside("left"):
            stuck = Listener(room=4096)
            dead = Actor(her_join)
            dead.kill()
            for port in range(6001, 6031):
                nl.wg_set("wg0", port=port).or_raise()
        check(new_ping("left", RIGHT), "the tunnel works beside a listener that does not read")
        heard = left.forget()
        check(kinds(heard).count("device-change") == 30, "and others hear everything", heard)
        stuck.take()
        check(stuck.missed, "who did not read learns that she missed some")
        stuck.sock.close()
        left.sock.close()
        with inside("left"):
            nl.wg_set("wg0", port=6100).or_raise()
        check(new_ping("left", RIGHT), "nobody has to listen")


class HerListener:
    """Of an actor's own, in its process."""
    listener = None


def her_join(everywhere=False):
    try:
        HerListener.listener = Listener(everywhere=everywhere, room=0)
        return 0
    except OSError as error:
        return error.errno


def her_take():
    return kinds(HerListener.listener.forget())


def without_rights():
    events.groups()
    nl.family()
    actor.drop_user()


def in_namespaces_of_her_own():
    # Sockets of the netns that she comes from are what buys sockets there.
    events.groups()
    nl.family()
    actor.drop_user()
    for number, family in ((100, socket.AF_INET), (101, socket.AF_INET6)):
        sock = socket.socket(family, socket.SOCK_DGRAM)
        os.dup2(sock.fileno(), number)
        sock.close()
    actor.new_namespaces()
    nl.link_up("lo").or_raise()


@scenario
def unprivileged_listeners():
    """Only who may read a device hears of it, and only in its netns."""
    device()
    alice, eve = Actor(without_rights), Actor(in_namespaces_of_her_own)
    check(alice(her_join) == errno.EPERM, "a user without rights cannot join")
    check(eve(her_join) == 0, "root of namespaces of her own can, there")
    eve(nl.link_add, "wg0").or_raise()
    eve(nl.wg_set, "wg0", port=7001).or_raise()
    check(eve(her_take) == ["device-change"], "and hears of her device")
    with Listener() as ours:
        nl.wg_set("wg0", port=7002).or_raise()
        check(kinds(ours.forget()) == ["device-change"] and eve(her_take) == [],
              "but not of those of others, who hear of theirs")
        eve(nl.wg_set, "wg0", port=7003).or_raise()
        check(eve(her_take) == ["device-change"] and not ours.forget(),
              "nor do these of hers")
    net = eve.net()
    with Listener(everywhere=True) as ours:
        nl.nsid_of(net)
        eve(nl.wg_set, "wg0", port=7004).or_raise()
        check(eve(her_take) == ["device-change"] and not ours.forget(),
              "not even who listens to all netns that have a number here")
    os.close(net)
    alice.end(), eve.end()


@scenario
def device_moves():
    """A device that is moved is heard of where it is."""
    sh("ip netns add other")
    device()
    other = open_net("other")
    with Listener() as here, Listener("other") as there:
        nl.wg_set("wg0", port=7001).or_raise()
        nl.link_move("wg0", other).or_raise()
        with inside(other):
            index = socket.if_nametoindex("wg0")
            nl.wg_set("wg0", port=7002).or_raise()
        heard, heard_there = here.forget(), there.forget()
        check([event["new"]["port"] for event in heard] == [7001],
              "what was before the move is heard here", heard)
        check([event["new"]["port"] for event in heard_there] == [7002]
              and heard_there[0]["index"] == index, "and what came later there", heard_there)
    os.close(other)


# --- the sockets ------------------------------------------------------------------------

@scenario
def sockets_move():
    """Sockets that move, a transit netns that goes and comes back, and a mark that is kept."""
    sh("ip netns add other; ip netns add third")
    device(private_key=KEY)
    nl.link_up("wg0").or_raise()
    other, third = open_net("other"), open_net("third")
    number, other_number = nl.nsid_of(other), nl.nsid_of(third)
    with Listener() as listener:
        nl.wg_set("wg0", netns_fd=other).or_raise()
        heard = listener.forget()
        check(kinds(heard) == ["transit-change"] and "netnsid" not in heard[0]["old"]
              and heard[0]["new"]["netnsid"] == number, "sockets that move are told", heard)
        nl.wg_set("wg0", netns_fd=third, port=7005).or_raise()
        heard = listener.forget()
        check(kinds(heard) == ["transit-change"] and heard[0]["old"]["netnsid"] == number
              and heard[0]["new"] == {"netnsid": other_number, "port": 7005},
              "and a port with them, from and to", heard)
        os.close(third)
        sh("ip netns del third")
        check(listener.wait_for("transit-gone"), "a transit netns that goes is told",
              listener.heard)
        check(kinds(listener.forget()) == ["transit-gone"], "once")
        nl.wg_set("wg0", netns_fd=other).or_raise()
        heard = listener.forget()
        check(kinds(heard) == ["transit-change"] and heard[0]["old"].get("netnsid") == -1,
              "and that there is one again", heard)
    eve = Actor(in_namespaces_of_her_own)
    eve(nl.link_add, "wg0").or_raise()
    check(eve(her_join) == 0, "who buys sockets listens")
    eve(nl.wg_set, "wg0", netns_pid=1, credential4=100, credential6=101).or_raise()
    eve(her_take)
    eve(nl.wg_set, "wg0", fwmark=9).or_raise()
    heard = eve(her_events)
    check(len(heard) == 1 and heard[0]["new"] == {"fwmark": 9, "applied": 0}
          and heard[0]["old"] == {"fwmark": 0, "applied": 0},
          "that a mark is kept but not applied is told", heard)
    eve.end()
    os.close(other)


def her_events():
    return HerListener.listener.forget()


# --- the tools --------------------------------------------------------------------------

class Monitor:
    """`wg monitor', line by line."""

    def __init__(self, *args, net=None):
        with inside(net) if net else contextlib.nullcontext():
            # pylint: disable=consider-using-with
            self.process = subprocess.Popen([WG, "monitor", *args], stdout=subprocess.PIPE,
                                            stderr=subprocess.PIPE)
        os.set_blocking(self.process.stdout.fileno(), False)
        self.text = b""

    def lines(self, count=1, seconds=20):
        """So many lines, or as many as have come by then."""
        end = time.monotonic() + seconds
        while self.text.count(b"\n") < count:
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.process.stdout], [], [], left)[0]:
                break
            data = self.process.stdout.read(1 << 16)
            if not data:
                break
            self.text += data
        lines = self.text.decode().splitlines()
        self.text = b""
        return lines

    def end(self, number=signal.SIGINT):
        """Its status and errors."""
        if number:
            self.process.send_signal(number)
        _, errors = self.process.communicate(timeout=60)
        return self.process.returncode, errors.decode()


@functools.cache
def schema_of(name):
    """A validator for a part of the schema."""
    import jsonschema  # only in machines of this suite
    with open(f"{ROOT}/tools/wg/wg.schema.json", encoding="ascii") as file:
        schema = json.load(file)
    return jsonschema.Draft202012Validator({"$ref": f"#/$defs/{name}", "$defs": schema["$defs"]})


def fits(name, document):
    """What is wrong with a document."""
    return [error.message for error in schema_of(name).iter_errors(document)]


@scenario
def monitor():
    """`wg monitor' prints a line for each event, and ends with the device."""
    device(private_key=KEY, port=7001)
    with_state = Monitor("wg0", "--state", "--json")
    first = json.loads(with_state.lines()[0])
    check(first["event"] == "state" and first["device"]["listen_port"] == 7001
          and not fits("state", first), "it begins with the state if asked", first)
    everything = Monitor("--state")
    check(everything.lines()[0] == "interface: wg0", "for people as `wg show' has it")
    everything.lines(seconds=0.2)
    nl.wg_set("wg0", port=7002, peers=[nl.peer(OTHER, ("192.0.2.1", 5), keepalive=25)]).or_raise()
    lines = [json.loads(line) for line in with_state.lines(2)]
    check([line["event"] for line in lines] == ["device-change", "peer-add"]
          and lines[0]["old"] == {"listen_port": 7001} and lines[0]["new"] == {"listen_port": 7002}
          and lines[1]["new"] == {"endpoint": "192.0.2.1:5", "persistent_keepalive": 25},
          "events follow, as JSON", lines)
    wrong = [error for line in lines for error in fits("event", line)]
    check(not wrong, "which fits the schema", wrong)
    text = everything.lines(2)
    check(len(text) == 2 and re.fullmatch(
        r"\[\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\] wg0 configured: listening port 7001 -> 7002",
        text[0]) and text[1].endswith("added: endpoint 192.0.2.1:5, persistent keepalive every 25 "
                                      "seconds"), "or as text", text)
    device("wg1", port=7003)
    check(everything.lines()[0].endswith("wg1 configured: listening port 0 -> 7003"),
          "of all devices unless one is named")
    nl.link_del("wg0").or_raise()
    last = with_state.lines(2, 5)
    check(with_state.end(None)[0] == 0 and json.loads(last[-1])["event"] == "device-gone",
          "it ends with the device", last)
    check(everything.lines()[0].endswith("wg0 gone"), "or goes on with the others")
    nl.wg_set("wg1", port=7004).or_raise()
    check(everything.lines()[0].endswith("7003 -> 7004"), "and tells of these")
    check(everything.end()[0] == -signal.SIGINT, "until it is interrupted")
    status, _, errors = wg(["monitor", "none"])
    check(status == 1 and "No such device" in errors, "a device has to be there", errors)
    status, _, errors = Actor(without_rights).wg("monitor")
    check(status == 1 and "CAP_NET_ADMIN" in errors, "and the right to listen", errors)


@scenario
def monitor_userspace():
    """A userspace device is asked once a second, and `wg monitor' says so."""
    if world.debugs():
        skip("a userspace device is monitored", "a kernel that checks itself is too slow for it")
        return
    os.makedirs("/var/run/wireguard", exist_ok=True)
    try:
        go = subprocess.run(["wireguard-go", "wgo"], check=False, timeout=60,
                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode
    except (OSError, subprocess.TimeoutExpired) as error:
        go = error
    if go:
        skip("a userspace device is monitored", f"wireguard-go does not start here: {go}")
        return
    watcher = Monitor("wgo", "--json", "--state")
    check(json.loads(watcher.lines()[0])["interface"] == "wgo", "a userspace device has a state")
    sh(f"{WG} set wgo peer {'A' * 43}= endpoint 192.0.2.1:5")
    line = json.loads(watcher.lines()[0])
    check(line["event"] == "peer-add" and line["new"]["endpoint"] == "192.0.2.1:5",
          "and what is different is told", line)
    sh("ip link del wgo")
    last = watcher.lines(seconds=20)
    status, errors = watcher.end(None)
    check(status == 0 and json.loads(last[-1])["event"] == "device-gone"
          and "asked once a second" in errors, "until it is gone", last, errors)


@scenario
def monitor_intree():
    """With the kernel's own module there are no events, and `wg monitor' says so."""
    if not os.path.exists("/wg/tools/vm/guest"):
        skip("the kernel's own module has no events", "no such machine")
        return
    clear()
    sh("rmmod wireguard; use-module intree; modprobe wireguard; ip link add wg0 type wireguard")
    status, _, errors = wg(["monitor", "wg0"])
    sh("ip link del wg0; rmmod wireguard; use-module ours; modprobe wireguard")
    nl.forget_family()
    check(status == 1 and "does not tell of any" in errors,
          "the kernel's own module is told from ours", errors)


@scenario
def show_json():
    """`wg show --json' fits the schema, and hides keys as the text does."""
    sh("ip netns add other")
    secret = os.urandom(32)
    device(private_key=secret, port=7001, fwmark=7, peers=[
        nl.peer(KEY, ("192.0.2.1", 5), ["10.0.0.0/8", "fd00::/8"], 25),
        nl.nest(0, nl.attr(1, OTHER), nl.attr(2, THIRD))])
    device("wg1")
    with inside("other"):
        other = open_net("other")
    nl.wg_set("wg1", netns_fd=other).or_raise()

    def shown(*args, **env):
        done = subprocess.run([WG, "show", *args, "--json"], check=True, stdout=subprocess.PIPE,
                              env=dict(os.environ, **env))
        return json.loads(done.stdout)
    whole = shown()
    wrong = [error for one in whole for error in fits("device", one)]
    check(not wrong and sorted(one["interface"] for one in whole) == ["wg0", "wg1"],
          "all devices fit the schema", wrong, whole)
    one = shown("wg0")
    check(one == next(one for one in whole if one["interface"] == "wg0"),
          "one of them is the same by itself", one)
    check(one["private_key"] == "(hidden)" and one["peers"][1]["preshared_key"] == "(hidden)"
          and one["fwmark"] == 7 and one["fwmark_applied"] is True
          and one["peers"][0]["allowed_ips"] == ["10.0.0.0/8", "fd00::/8"],
          "numbers are numbers, and keys are hidden", one)
    moved = shown("wg1", "transit-netns")
    check(moved["transit_netns"] == {"name": "other", "nsid": nl.nsid_of(other), "gone": False},
          "a transit netns has name and number", moved)
    open_ = shown("wg0", WG_HIDE_KEYS="never")
    check(len(open_["private_key"]) == 44 and open_["private_key"] == wg(
        ["show", "wg0", "private-key"])[1].strip(), "unless they are asked for")
    fields = ("public-key private-key listen-port fwmark transit-netns peers preshared-keys "
              "endpoints allowed-ips latest-handshakes transfer persistent-keepalive dump").split()
    wrong = [(field, error) for field in fields for error in fits("device", shown("wg0", field))]
    check(not wrong, "so does each field", wrong)
    check(not fits("interfaces", shown("interfaces")) and shown("interfaces"),
          "and the list of interfaces")
    with inside("other"):
        listed = shown("transit")
    check(listed == [] or not fits("transit", listed), "and that of sockets", listed)
    nl.link_up("wg1").or_raise()
    with inside("other"):
        listed = shown("transit")
    check(len(listed) == 1 and not fits("transit", listed) and listed[0]["uid"] == 0
          and listed[0]["user"] == "root", "with sockets in it too", listed)
    os.close(other)


@scenario
def metrics():
    """`wg show --metrics' is what Prometheus reads."""
    device(private_key=KEY, peers=[nl.peer(OTHER, allowed=["10.0.0.0/8", "fd00::/8"])])
    status, out, _ = wg(["show", "--metrics"])
    line = re.compile(r'# (HELP|TYPE) \S+ .+|[a-z_]+\{([a-z_]+="[^"]*",?)+\} -?\d+')
    wrong = [text for text in out.splitlines() if not line.fullmatch(text)]
    check(status == 0 and not wrong and out.endswith("\n"), "every line is of the text format",
          wrong)
    samples = [text.split("{")[0] for text in out.splitlines() if not text.startswith("#")]
    check(sorted(samples) == ["wireguard_device_info", "wireguard_latest_handshake_seconds",
                              "wireguard_received_bytes_total", "wireguard_sent_bytes_total"],
          "the names are those of exporters", samples)
    check('allowed_ips="10.0.0.0/8,fd00::/8"' in out, "labels too")


@scenario
def ynl():
    """The kernel's YNL tool reads the description, and asks, changes and listens by it."""
    if not os.path.isdir(f"{YNL}/pyynl"):
        skip("the kernel's YNL tool works", "there is none in this machine")
        return
    from pyynl import YnlFamily  # only in machines of this suite
    device(private_key=KEY)
    schema = f"{YNL}/genetlink-legacy.yaml"
    with YnlFamily(f"{ROOT}/uapi/wireguard.yaml", schema=schema) as family:
        check(True, "the description is a valid one")
        family.ntf_subscribe("events")
        sockaddr = struct.pack("=H", socket.AF_INET) + struct.pack(">H", 5) + bytes(
            [192, 0, 2, 1]) + bytes(8)
        family.do("set-device", {"ifname": "wg0", "listen-port": 7001, "fwmark": 7, "peers": [{
            "public-key": OTHER.hex(), "endpoint": sockaddr, "persistent-keepalive-interval": 25,
            "allowedips": [{"family": socket.AF_INET, "ipaddr": "10.0.0.0", "cidr-mask": 8}]}]})
        now = nl.wg_get("wg0")
        check(now["port"] == 7001 and now["peers"][OTHER]["allowed"] == ["10.0.0.0/8"],
              "SET by it changes the device", now)
        got = family.dump("get-device", {"ifname": "wg0", "transit-wanted": True})[0]
        peer = list(got["peers"][0].values())[0]
        check(got["listen-port"] == 7001 and got["transit-fwmark"] == 7
              and bytes.fromhex(peer["public-key"].replace(":", "").replace(" ", "")) == OTHER,
              "GET by it reads the same", got)
        stock = family.dump("get-device", {"ifindex": socket.if_nametoindex("wg0")})[0]
        check("transit-fwmark" not in stock and stock["fwmark"] == 7,
              "and the attributes of stock alone if no others are asked for", stock)
        family.check_ntf()
        heard = [family.async_msg_queue.get_nowait() for _ in range(2)]
        check([event["name"] for event in heard] == ["device-change-ntf", "peer-add-ntf"]
              and heard[0]["msg"]["device-new"]["listen-port"] == 7001
              and heard[1]["msg"]["peer-new"]["persistent-keepalive-interval"] == 25,
              "events come by it", heard)
        check(family.dump("get-transit", {}) == [], "and the list of sockets")


if __name__ == "__main__":
    run(clear)
