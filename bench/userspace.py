#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""What programs that implement WireGuard make of this machine: one stream of TCP between two netns,
with a tunnel of theirs. Prints a line of JSON.

usage: userspace.py ROUNDS TRAFFIC WG NAME=COMMAND…

They run on the machine itself and not in User Mode Linux, where system calls are slow, of which they
need many. So what can be compared is the processor time for a packet less what the cipher would need
by itself: the cipher's is OpenSSL's here, and that of the kernel there.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SECONDS, MTU = 2.0, 1420
NETS = ("left", "right")
ADDRESSES = ("192.168.88.1", "192.168.88.2")


def sh(command):
    """Runs a line of shell that has to succeed, and returns what it printed."""
    return subprocess.run(["bash", "-ec", command], check=True, text=True,
                          stdout=subprocess.PIPE).stdout


def start(net, *command, **more):
    """Starts a program in a netns."""
    return subprocess.Popen(["ip", "netns", "exec", net, *map(str, command)], **more)


def cipher():
    """Bytes per second that OpenSSL encrypts on one CPU."""
    out = subprocess.run(["openssl", "speed", "-mr", "-evp", "ChaCha20-Poly1305", "-bytes",
                          str(MTU), "-seconds", "1"], check=True, text=True,
                         capture_output=True).stdout
    return float(re.search(r"^\+F:.*:([\d.]+)$", out, re.M).group(1))


def cpu_time(processes):
    """Seconds that these have worked, in the kernel as well."""
    total = 0
    for process in processes:
        fields = Path(f"/proc/{process.pid}/stat").read_text(encoding="ascii").rpartition(")")[2]
        total += sum(map(int, fields.split()[11:13]))
    return total / os.sysconf("SC_CLK_TCK")


def keys(wg):
    private = [subprocess.run([wg, "genkey"], check=True, text=True, capture_output=True).stdout
               for _ in NETS]
    public = [subprocess.run([wg, "pubkey"], check=True, text=True, capture_output=True,
                             input=key).stdout.strip() for key in private]
    return private, public


def measure(traffic, wg, command):
    """Bits per second, and per second that the programs worked."""
    names = [f"bench-{os.getpid()}-{net}" for net in NETS]
    # Their control sockets are named after the device, in a folder that all netns share.
    devices = [f"wgb{os.getpid() % 10000}{net[0]}" for net in NETS]
    private, public = keys(wg)
    programs = []
    try:
        for name in names:
            sh(f"ip netns add {name}; ip -n {name} link set lo up")
        sh(f"ip link add cable netns {names[0]} mtu 1500 type veth peer cable netns {names[1]}")
        for at, name in enumerate(names):
            sh(f"ip -n {name} addr add 10.1.0.{at + 1}/24 dev cable; "
               f"ip -n {name} link set cable up")
            programs.append(start(name, *command, devices[at], stdout=subprocess.DEVNULL,
                                  stderr=subprocess.DEVNULL))
        for at, name in enumerate(names):
            end = time.monotonic() + 10
            while not os.path.exists(f"/var/run/wireguard/{devices[at]}.sock"):
                if time.monotonic() > end:
                    raise RuntimeError(f"{command} does not start")
                time.sleep(0.05)
            with tempfile.NamedTemporaryFile("w") as key:
                key.write(private[at])
                key.flush()
                sh(f"{wg} set {devices[at]} listen-port {5000 + at} private-key {key.name} peer "
                   f"{public[1 - at]} allowed-ips {ADDRESSES[1 - at]}/32 "
                   f"endpoint 10.1.0.{2 - at}:{5001 - at}")
            sh(f"ip -n {name} addr add {ADDRESSES[at]}/24 dev {devices[at]}; "
               f"ip -n {name} link set {devices[at]} mtu {MTU} up")
        end = time.monotonic() + 0.5 + SECONDS
        ends = [start(names[1], traffic, "tcp-receive", ADDRESSES[1], 7000, end),
                start(names[0], traffic, "tcp-send", ADDRESSES[1], 7000)]

        def look():
            link = json.loads(sh(f"ip -n {names[1]} -s -j link show {devices[1]}"))[0]
            return (link["stats64"]["rx"]["bytes"] * 8, time.monotonic(), cpu_time(programs))
        time.sleep(0.5)
        before = look()
        time.sleep(max(0, end - 0.05 - time.monotonic()))
        bits, seconds, worked = (now - then for now, then in zip(look(), before))
        for one in ends:
            one.wait()
        return bits / seconds, bits / worked
    finally:
        for program in programs:
            program.terminate()
            program.wait()
        for name in names:
            subprocess.run(["ip", "netns", "del", name], check=False, stderr=subprocess.DEVNULL)


def main():
    rounds, traffic, wg = int(sys.argv[1]), *sys.argv[2:4]
    found = {}
    for _ in range(rounds):
        for word in sys.argv[4:]:
            name, command = word.split("=", 1)
            speed = cipher()
            rate, worked = measure(traffic, wg, command.split())
            found.setdefault(name, []).append(
                {"seconds": rate, "worked": worked, "share": worked / 8 * 2 / speed})
    print(json.dumps({"userspace": found}))


main()
