# SPDX-License-Identifier: GPL-2.0
"""Alice, who has no rights, and a server that she has a tunnel to: what the suite rootless is made with."""

import contextlib
import os
import subprocess
import time

from tap import check
from world import await_that, ports, sh, until

HOME = "/home/alice"
TOOL = "/wg/bin/wg-rootless"
NOT_SET_UP = 125
ENVIRONMENT = {"HOME": HOME, "USER": "alice", "LANG": "C.UTF-8", "SHELL": "/bin/sh",
               "XDG_RUNTIME_DIR": "/run/user/1000", "WG_ENDPOINT_RESOLUTION_RETRIES": "0",
               "PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin"}
# Processes of hers that belong to no test: podman keeps one, and its monitors take their time to end.
UNRELATED = {"podman", "catatonit", "conmon"}


def arrange():
    """A server beyond the initial namespace: WireGuard, a web page, names. Outside, the same names
    lead elsewhere, and the endpoint's name is known only there."""
    sh("""
        umask 022
        ip netns add server
        ip link add eth-world type veth peer name eth0 netns server
        ip addr add 198.51.100.1/24 dev eth-world
        ip link set eth-world up
        ip -n server addr add 198.51.100.2/24 dev eth0
        ip -n server link set eth0 up
        ip -n server link set lo up

        mkdir -p /tmp/server/www /run/user/1000
        cd /tmp/server
        chown alice: /run/user/1000 && chmod 700 /run/user/1000
        umask 077
        wg genkey >server.key
        wg genkey >alice.key
        ip -n server link add wg0 type wireguard
        ip netns exec server wg set wg0 private-key server.key listen-port 51820 \\
            peer "$(wg pubkey <alice.key)" allowed-ips 10.9.0.2/32,fd09::2/128
        ip -n server addr add 10.9.0.1/24 dev wg0
        # Where IPv6 is switched off the rest is of use still.
        ip -n server addr add fd09::1/64 dev wg0 || :
        ip -n server link set wg0 up
        umask 022
        head -c 300k /dev/urandom >www/file
        echo nameserver 127.0.0.1 >/etc/resolv.conf
        cp /etc/nsswitch.conf nsswitch.conf.old 2>/dev/null || :
        sed -i 's/^hosts:.*/hosts: files mymachines resolve [!UNAVAIL=return] dns/' /etc/nsswitch.conf
    """)
    # Without a file for its PID: two that start at once would fight for it, and one give up.
    config = ("--conf-file=/dev/null --pid-file= --keep-in-foreground --user=root --bind-interfaces --no-hosts "
              "--no-resolv")
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    serve = ["ip", "netns", "exec", "server"]
    subprocess.Popen([*serve, "python3", "-m", "http.server", "--directory", "/tmp/server/www",
                      "--bind", "10.9.0.1", "80"], **quiet)
    subprocess.Popen([*serve, "dnsmasq", *config.split(), "--listen-address=10.9.0.1",
                      "--address=/web.example/10.9.0.1", "--address=/web.corp.example/10.9.0.1"], **quiet)
    subprocess.Popen(["dnsmasq", *config.split(), "--listen-address=127.0.0.1",
                      "--address=/vpn.example/198.51.100.2", "--address=/web.example/192.0.2.66"], **quiet)
    await_that("the servers answer", lambda: "10.9.0.1:80 " in sh("ip netns exec server ss -tln") and
               (4, 53) in ports() and (4, 53) in ports("server"), 60)
    write("wg0.conf", tunnel_file())


def key():
    """Alice's private key."""
    with open("/tmp/server/alice.key", encoding="ascii") as file:
        return file.read().strip()


def tunnel_file(**words):
    """A file as people have it; a word that is None is left out."""
    words = {"PrivateKey": key(), "Address": "10.9.0.2/24, fd09::2/64", "DNS": "10.9.0.1, corp.example",
             **words}
    lines = [f"{word} = {value}" for word, value in words.items() if value is not None]
    server = sh("wg pubkey </tmp/server/server.key").strip()
    return "\n".join(["[Interface]", *lines, "[Peer]", f"PublicKey = {server}",
                      "Endpoint = vpn.example:51820", "AllowedIPs = 0.0.0.0/0, ::/0", ""])


def write(name, text):
    """A file of alice's that only she can read."""
    path = f"{HOME}/{name}"
    with open(path, "w", encoding="utf-8", opener=lambda p, f: os.open(p, f, 0o600)) as file:
        file.write(text)
    os.chown(path, 1000, 1000)
    return path


def alice(*words, **more):
    """Starts a program as alice, without any capability."""
    words = list(words)
    more.setdefault("stdout", subprocess.PIPE)
    more.setdefault("stderr", subprocess.STDOUT)
    more.setdefault("stdin", subprocess.DEVNULL)
    return subprocess.Popen(words, user=1000, group=1000, extra_groups=[1000], cwd=HOME, text=True,
                            env=ENVIRONMENT, **more)


def said(*words, timeout=120, **more):
    """What a program of hers printed, and how it ended."""
    process = alice(*words, **more)
    try:
        text, _ = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        text = "(it took too long)"
        # What it left may hold its output open.
        with contextlib.suppress(subprocess.TimeoutExpired):
            text = process.communicate(timeout=20)[0] + text
    return process.returncode, text


def tunneled(command, file="wg0.conf", **more):
    """The same for a line of shell behind the tunnel."""
    return said(TOOL, file, "sh", "-c", command, **more)


def processes():
    """Her processes: PIDs by name."""
    found = {}
    for entry in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            if os.stat(f"/proc/{entry}").st_uid == 1000:
                with open(f"/proc/{entry}/comm", encoding="utf-8") as file:
                    found[int(entry)] = file.read().strip()
    return {pid: name for pid, name in found.items() if not name.startswith(tuple(UNRELATED))}


def namespaces():
    """The network namespaces that there are, as far as somebody is in them."""
    found = set()
    for entry in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            found.add(os.readlink(f"/proc/{entry}/ns/net"))
    return found


def world():
    """All that a tunnel could leave behind, outside."""
    with open("/proc/self/mountinfo", encoding="utf-8") as file:
        mounts = sorted(line.split()[4] for line in file)
    return (sorted(os.listdir("/sys/class/net")), mounts, ports(), namespaces(), processes(),
            sorted(os.listdir("/tmp")))


def settled():
    """The same, when what is still going has gone."""
    before, now = None, world()
    while now != before:
        time.sleep(0.3)
        before, now = now, world()
    return now


def nothing_left(before, what):
    """Checks that there is no more than there was; the kernel may take a moment."""
    until(lambda: world() == before, 20)
    after = world()
    check(after == before, what, f"before: {before}", f"after:  {after}")


def server_handshake():
    """When the server took part in one last, in seconds."""
    return int(sh("ip netns exec server wg show wg0 latest-handshakes").split()[1])


def started(command, before=":"):
    """A command behind the tunnel, when it has begun."""
    process = alice(TOOL, "wg0.conf", "sh", "-c", f"{before}; echo begun; {command}")
    check(process.stdout.readline() == "begun\n", f"it runs: {command}")
    return process


@contextlib.contextmanager
def setting(name, value):
    """Has a sysctl otherwise for a while."""
    path = "/proc/sys/" + name.replace(".", "/")
    with open(path, encoding="ascii") as file:
        old = file.read()
    with open(path, "w", encoding="ascii") as file:
        file.write(value)
    try:
        yield
    finally:
        with open(path, "w", encoding="ascii") as file:
            file.write(old)


def refused(what, parts, file="wg0.conf", options=()):
    """Checks that it ends before the command begins, saying all of this."""
    before = settled()
    status, text = said(TOOL, *options, file, "echo", "begun")
    good = status == NOT_SET_UP and "begun\n" not in text and all(part in text for part in parts)
    check(good and key()[:20] not in text, f"refused: {what}", status, text)
    nothing_left(before, f"and nothing is left: {what}")
