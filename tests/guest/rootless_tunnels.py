# SPDX-License-Identifier: GPL-2.0
"""wg-rootless: tunnels by name, which commands share, that can be looked at, changed and ended."""

import json
import os
import subprocess

from alice import (HOME, NOT_SET_UP, TOOL, alice, key, nothing_left, said, server_handshake, settled, tunnel_file,
                   tunneled, write)
from tap import check, scenario
from world import await_that, sh

PING = "ping -c 1 -W 10 10.9.0.1 >/dev/null"


def running(*words, file="wg0.conf"):
    """A command that holds a tunnel open, once it is there."""
    process = alice(TOOL, *words, file, "sh", "-c", "echo begun; exec sleep 1000")
    text = process.stdout.readline()
    check(text == "begun\n", f"a tunnel is up: {' '.join(words)} {file}", text)
    return process


def end(process):
    process.kill()
    process.wait()


def net_of(process):
    return os.readlink(f"/proc/{process.pid}/ns/net")


@scenario
def a_second_command_joins():
    """One file, one tunnel: neither takes the session away from the other."""
    before = settled()
    first = running()
    status, text = said(TOOL, "wg0.conf", "sh", "-c", f"readlink /proc/self/ns/net; id -u; pwd; {PING} && cat /etc/resolv.conf")
    check(status == 0 and text.split()[0] == net_of(first), "a second command is in the tunnel of the first", text)
    check(text.split()[1:3] == ["1000", HOME] and "10.9.0.1" in text, "as the same user, there, with its names", text)
    status, text = said("sh", "-c", f"cd /tmp && {TOOL} {HOME}/wg0.conf grep CapEff /proc/self/status; ")
    check("0000000000000000" in text, "without rights, wherever it is started", text)
    status, text = said(TOOL, "exec", "wg0", "sh", "-c", "readlink /proc/self/ns/net; echo $WG_ROOTLESS")
    check(text.split() == [net_of(first), "wg0"], "so is one by the tunnel's name", text)
    second = running()
    end(first)
    status, text = tunneled("readlink /proc/self/ns/net")
    check(text.strip() == net_of(second), "it lives for as long as there is one command in it", text)
    end(second)
    nothing_left(before, "and ends with the last")
    # Both at once: one makes it, and the other waits.
    many = [alice(TOOL, "wg0.conf", "sh", "-c", "readlink /proc/self/ns/net; read x", stdin=subprocess.PIPE)
            for _ in range(4)]
    nets = []
    for process in many:
        line = process.stdout.readline()
        while line.startswith("waiting"):
            line = process.stdout.readline()
        nets.append(line.strip())
    check(len(set(nets)) == 1 and nets[0].startswith("net:"), "four that start at once are in one", nets)
    for process in many:
        process.communicate("\n")
    nothing_left(before, "of which nothing is left")


@scenario
def others_are_told_apart():
    """What is not the same tunnel does not become it."""
    first = running()
    sh(f"mkdir -p {HOME}/other && cp -p {HOME}/wg0.conf {HOME}/other/ && chown -R alice: {HOME}/other")
    status, text = tunneled("true", "other/wg0.conf")
    check(status == NOT_SET_UP and "from another file" in text and "--name" in text, "another file of that name", text)
    status, text = said(TOOL, "--name", "two", "other/wg0.conf", "readlink", "/proc/self/ns/net")
    check(status == 0 and net_of(first) not in text and "same key and peer" in text,
          "by a name of its own it is another tunnel, with a warning about the key", text)
    for option in ("--dns=10.9.0.1", "--strict", "--table=off", "--interface=x"):
        status, text = said(TOOL, option, "wg0.conf", "true")
        check(status == NOT_SET_UP and option.split("=")[0] in text and "up already" in text, f"{option} comes late", text)
    with open(f"{HOME}/wg0.conf", "a", encoding="ascii") as file:
        file.write("# changed\n")
    status, text = tunneled("true")
    check(status == 0 and "has changed" in text and "sync wg0" in text, "a file that has changed is told", text)
    end(first)
    write("wg0.conf", tunnel_file())


@scenario
def tunnels_are_seen():
    """list and status, for people and as JSON, without rights."""
    status, text = said(TOOL, "list")
    check(status == 0 and text.startswith("NAME") and len(text.splitlines()) == 1, "none is listed at first", text)
    first = running()
    said(TOOL, "exec", "wg0", "sh", "-c", PING)
    status, text = said(TOOL, "list")
    line = text.splitlines()[-1]
    check(status == 0 and line.startswith("wg0 ") and "198.51.100.2:51820" in line 
          and "never" not in line and "1420" in line, "a tunnel is listed with its handshake, traffic, endpoint and MTU", text)
    status, text = said(TOOL, "status", "wg0")
    check(status == 0 and "latest handshake" in text and f"{first.pid} (sleep)" in text and "(hidden)" in text
          and "mtu: 1420" in text and key() not in text, "its state has who is in it, and no key", text)
    status, text = said(TOOL, "status", "--json", "wg0")
    state = json.loads(text)
    peer = state["peers"][0]
    with open("/wg/tools/wg/wg.schema.json", encoding="utf-8") as file:
        names = json.load(file)["$defs"]["device"]["properties"].keys()
    check(names < state.keys(), "as JSON: all that wg show --json has of a device", names - state.keys())
    check(state["name"] == "wg0" and state["mtu"] == 1420 and state["private_key"] == "(hidden)" and peer["latest_handshake"] and peer["rx_bytes"] > 0
          and state["processes"] == [{"pid": first.pid, "command": "sleep"}] and key() not in text, "and what is the tunnel's, and no key", text)
    status, text = said(TOOL, "list", "--json")
    check([tunnel["name"] for tunnel in json.loads(text)] == ["wg0"], "and so is the list", text)
    status, text = said(TOOL, "status", "nosuch")
    check(status == NOT_SET_UP and "There are: wg0" in text, "one that is not there is told, with those that are", text)
    status, text = said(TOOL, "exec", "wg0", TOOL, "exec", "wg0", "true")
    check(status == NOT_SET_UP and "From inside" in text, "from inside no tunnel is entered", text)
    end(first)


@scenario
def tunnels_are_ended():
    """down takes the network away from those that are in it, and frees the name."""
    first = running()
    status, text = said(TOOL, "down", "wg0")
    check((status, text) == (0, ""), "down says nothing", text)
    check("wg0" not in sh(f"nsenter -t {first.pid} -n ip -br link"), "the interface is gone")
    check(first.poll() is None, "the command is not")
    status, text = said(TOOL, "down", "wg0")
    check(status == NOT_SET_UP and "no tunnel `wg0'" in text, "once", text)
    second = running()
    check(net_of(second) != net_of(first), "the name is free for another")
    end(first)
    end(second)


@scenario
def tunnels_are_changed():
    """sync takes over what the file says now; who uses the tunnel does not notice."""
    first = running()
    slow = alice(TOOL, "exec", "wg0", "curl", "-sS", "--limit-rate", "40k", "-o", "slow", "http://web.example/file")
    await_that("it has begun", lambda: os.path.exists(f"{HOME}/slow"), 30)
    session = server_handshake()
    write("wg0.conf", tunnel_file(Address="10.9.0.2/24, fd09::2/64, 10.9.0.77/32", MTU="1300", DNS="10.9.0.1, new.example",
                                  ListenPort="51833"))
    status, text = said(TOOL, "sync", "wg0")
    check((status, text) == (0, ""), "sync says nothing", text)
    status, text = tunneled("ip -br addr; ip link show dev wg0; ip route; cat /etc/resolv.conf")
    check("10.9.0.77" in text and "mtu 1300" in text and "new.example" in text and "default dev wg0" in text
          and "changed" not in text, "addresses, MTU and names are the new ones", text)
    check(server_handshake() == session, "the session goes on")
    write("wg0.conf", tunnel_file())
    status, text = said(TOOL, "sync", "wg0")
    status, text = tunneled("ip -br addr; ip link show dev wg0; cat /etc/resolv.conf")
    check("10.9.0.77" not in text and "mtu 1420" in text and "corp.example" in text, "and back", text)
    status = slow.wait(60)
    check(status == 0 and sh(f"sha256sum <{HOME}/slow") == sh("sha256sum </tmp/server/www/file"),
          "a download that runs meanwhile arrives", slow.stdout.read())
    status, text = said(TOOL, "sync", "wg0", write("bad.conf", tunnel_file(Address="x")))
    check(status == NOT_SET_UP and "line 3" in text, "a bad file is refused", text)
    status, text = tunneled(PING)
    check(status == 0, "and changes nothing", text)
    end(first)


@scenario
def handshakes_are_waited_for():
    """With a limit, and a word about what is wrong."""
    status, text = said(TOOL, "--wait", "20", "wg0.conf", "true")
    check((status, text) == (0, ""), "one that comes", text)
    before = settled()
    wrong = tunnel_file().replace("51820", "51821")
    status, text = said(TOOL, "--wait", "1", write("bad.conf", wrong), "echo", "begun")
    check(status == NOT_SET_UP and "nobody listens there" in text and "51821" in text and "begun" not in text,
          "a wrong port", text)
    wrong = tunnel_file(PrivateKey=sh("wg genkey").strip())
    status, text = said(TOOL, "--wait", "1", write("bad.conf", wrong), "echo", "begun")
    own = sh(f"sed -n 's/^PrivateKey = //p' {HOME}/bad.conf | wg pubkey").strip()
    check(status == NOT_SET_UP and "no answer" in text and own in text, "a key that the server does not know", text)
    status, text = said(TOOL, "--wait", "1", write("bad.conf", tunnel_file().replace("vpn.example", "203.0.113.1")),
                        "echo", "begun")
    check(status == NOT_SET_UP and "no way to there" in text, "an address that is nowhere", text)
    nothing_left(before, "nothing is left of those")


@scenario
def endpoints_move():
    """A name that leads elsewhere is looked up outside when the peer does not answer."""
    first = running()
    server = sh("wg pubkey </tmp/server/server.key").strip()
    sh(f"nsenter -t {first.pid} -n wg set wg0 peer {server} endpoint 198.51.100.77:51820")
    status, text = said(TOOL, "sync", "--endpoints", "wg0")
    check((status, text) == (0, "") and "198.51.100.2:51820" in sh(f"nsenter -t {first.pid} -n wg show wg0 endpoints"),
          "sync --endpoints has the new one", text)
    sh(f"nsenter -t {first.pid} -n wg set wg0 peer {server} endpoint 198.51.100.77:51820")
    status, text = tunneled(PING)
    check(status == 0, "and so has a command that joins", text)
    # It answers now, so it stays where it is.
    sh(f"nsenter -t {first.pid} -n wg set wg0 peer {server} endpoint 198.51.100.77:51820")
    said(TOOL, "sync", "--endpoints", "wg0")
    check("198.51.100.77" in sh(f"nsenter -t {first.pid} -n wg show wg0 endpoints"), "one that answered is left alone")
    end(first)
