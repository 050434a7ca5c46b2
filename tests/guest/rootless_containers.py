# SPDX-License-Identifier: GPL-2.0
"""wg-rootless and what runs already: processes with a network of their own, and containers."""

import os
import signal
import subprocess

from alice import HOME, NOT_SET_UP, TOOL, alice, nothing_left, processes, said, settled, tunnel_file, write
from tap import check, scenario
from world import await_that, ports, sh


@scenario
def process_gets_the_tunnel():
    """A tunnel for a process that is there already."""
    before = settled()
    target = alice("unshare", "--user", "--map-root-user", "--net", "--mount", "sleep", "1000")
    await_that("sleep runs", lambda: processes().get(target.pid) == "sleep", 30)
    pid = str(target.pid)
    status, text = said(TOOL, "-n", pid, write("port.conf", tunnel_file(ListenPort="53")))
    check(status == NOT_SET_UP and "Port 53" in text, "a failure is told", text)
    enter = ["nsenter", "--preserve-credentials", "-U", "-n", "-m", "-t", pid]
    status, text = said(*enter, "ip", "-br", "link")
    check("wg0" not in text and "port" not in text, "and leaves no interface there", text)
    status, text = said(TOOL, "-n", pid, "wg0.conf")
    check((status, text) == (0, ""), "the tunnel comes up without a word", text)
    status, text = said(*enter, "sh", "-c", "curl -sS http://web.example/file | sha256sum")
    check(text == sh("sha256sum </tmp/server/www/file"), "and is used, with its DNS", text)
    status, text = said(*enter, "ping", "-c", "1", "-W", "5", "127.0.0.1")
    check(status == 0, "the loopback interface is up", text)
    status, text = said(TOOL, "-n", pid, "wg0.conf")
    check(status == NOT_SET_UP and "--name" in text, "a second of that name is refused", text)
    status, text = said(TOOL, "wg0.conf", "true")
    check(status == NOT_SET_UP and "that of a container" in text, "nor does a command join it", text)
    status, text = said(TOOL, "status", "wg0")
    check(status == 0 and "latest handshake" in text and "(sleep)" in text, "its state can be seen", text)
    status, text = said(TOOL, "down", "wg0")
    check((status, text) == (0, "") and "wg0" not in said(*enter, "ip", "-br", "link")[1], "it can be ended", text)
    status, text = said(TOOL, "-n", pid, "wg0.conf")
    check((status, text) == (0, ""), "and made again", text)
    status, text = said(TOOL, "--name", "again", "-n", pid, "wg0.conf")
    check(status == NOT_SET_UP and "already by wg0" in text, "not twice in one place", text)
    check("same key and peer" in text, "which would be no good elsewhere either", text)
    sh(f"cp -p {HOME}/wg0.conf {HOME}/wg1.conf")
    status, text = said("sh", "-c", f"{TOOL} -n $$ wg1.conf")
    check(status == NOT_SET_UP and "this was started in" in text, "the own namespace is no target", text)
    rootly = subprocess.Popen(["unshare", "--net", "sleep", "1000"])
    await_that("it has its own netns",
               lambda: sh(f"readlink /proc/{rootly.pid}/ns/net") != sh("readlink /proc/self/ns/net"), 30)
    status, text = said(TOOL, "-n", str(rootly.pid), "wg1.conf")
    check(status == NOT_SET_UP and "user namespace of yours" in text, "nor is a process of root's", text)
    for process in (rootly, target):
        process.kill()
        process.wait()
    nothing_left(before, "with the process the tunnel goes")


IMAGE = f"{HOME}/image"


def image():
    """What containers are made from."""
    sh(f"""
        mount --make-rshared /
        mkdir -p {IMAGE}/bin {IMAGE}/etc
        cp /bin/busybox {IMAGE}/bin/
        for name in cat ip sh sleep wget; do ln -sf busybox {IMAGE}/bin/$name; done
        chown -R alice: {IMAGE}
    """)


def contained(name, network):
    """A container with such a network; its process."""
    image()
    file = f"{HOME}/{name}.pid"
    status, text = said("podman", "run", "--detach", "--quiet", "--name", name, "--network", network, "--pidfile", file,
                        "--rootfs", IMAGE, "sleep", "1000")
    check(status == 0, f"a container is started: --network {network}", text)
    with open(file, encoding="ascii") as file:
        return file.read().strip()


def inside(pid, command):
    """What a line of shell in there says; root looks."""
    return sh(f"nsenter -t {pid} -n -m sh -c '{command}' | sed 's/ *$//'")


def remove(pid):
    """Ends it."""
    os.kill(int(pid), signal.SIGKILL)
    await_that("the container ends", lambda: int(pid) not in processes(), 30)


@scenario
def containers():
    """Rootless containers of podman's."""
    image()
    page = sh("cat /tmp/server/www/file | sha256sum")
    status, text = said("sh", "-c", f"podman unshare {TOOL} wg0.conf podman run --network host --rootfs {IMAGE} "
                        "busybox wget -q -O - http://web.example/file | sha256sum")
    check(text.endswith(page), "one that is started behind the tunnel uses it", text)
    # What podman leaves to clean up is in it for a while.
    await_that("that tunnel has ended", lambda: said(TOOL, "list", "--json")[1] == "[]\n", 120)
    before = ports()
    pid = contained("box", "none")
    status, text = said(TOOL, "--netns-of", pid, "wg0.conf")
    check((status, text) == (0, ""), "it gets the tunnel without a word", text)
    status, text = said("podman", "exec", "box", "sh", "-c",
                        "ip -o link >&2; wget -q -O - http://web.example/file | sha256sum")
    check(text.endswith(page), "and uses it", text)
    check("wg0" in text and "eth" not in text, "there is no other interface", text)
    check(ports() - before, "its sockets are outside", before, ports())
    remove(pid)


def elsewhere(command, *unshare):
    """A process of hers in namespaces of its own, once it has run this command in there."""
    process = alice("unshare", "--user", "--map-root-user", "--net", "--mount", *unshare, "sh", "-c",
                    f"{command}; echo ready; exec sleep 1000")
    text = process.stdout.readline()
    check(text == "ready\n", "there is a place for a tunnel", text)
    return process


@scenario
def containers_with_a_network():
    """A network that pasta or slirp4netns made."""
    # Which copies what this machine has, and without a default route makes up one.
    sh("modprobe tun; chmod 666 /dev/net/tun; ip route add default via 198.51.100.2")
    page = sh("sha256sum </tmp/server/www/file")
    other = elsewhere("mount -t tmpfs x /run")
    box = contained("pasta", "pasta")
    slirp = alice("slirp4netns", "--configure", str(other.pid), "tap0")
    for what, pid, link, stays in (
            ("a container of podman's with pasta", box, "eth-world", "198.51.100.0/24"),
            ("a process with slirp4netns", str(other.pid), "tap0", "10.0.2.0/24")):
        await_that("it has a network", lambda: "default" in inside(pid, "ip route"), 60)
        before = inside(pid, "ip route")
        check(link in before, f"{what} has a network", before)
        status, text = said(TOOL, "-n", pid, "wg0.conf")
        check(status == NOT_SET_UP and f"already by {link}" in text and "--network none" in text
              and "--replace-default" in text, "its default route is a reason to refuse, with what to do", text)
        check(inside(pid, "ip route") == before and "wg0" not in inside(pid, "ip link"), "and nothing is left")
        status, text = said(TOOL, "--replace-default", "-n", pid, "wg0.conf")
        check(status == 0 and f"around the tunnel by {link} ({stays}" in text, "the tunnel takes over, and says what stays",
              text)
        text = inside(pid, "ip route")
        check("default dev wg0" in text and text.count("default") == 1, "its route is the only one", text)
        text = inside(pid, "busybox wget -q -O - http://web.example/file | sha256sum")
        check(text == page, "and is used, with its name servers", text)
        said(TOOL, "down", "wg0")
    for process in (other, slirp):
        process.kill()
        process.wait()
    remove(box)
    sh("ip route del default")


@scenario
def containers_that_are_odd():
    """Files in there are what their owner likes."""
    file = write("odd.conf", tunnel_file().replace("vpn.example", "198.51.100.2"))
    for what, command, good, part in (
            ("a pipe for nsswitch.conf", "mount -t tmpfs x /etc; mkfifo /etc/nsswitch.conf", False,
             "not a regular file"),
            ("a device for nsswitch.conf", "mount -t tmpfs x /etc; ln -s /dev/zero /etc/nsswitch.conf", False,
             "not a regular file"),
            ("a link for resolv.conf", "mount -t tmpfs x /etc; ln -s /tmp/made-by-link /etc/resolv.conf", True, ""),
            ("a read-only /etc", "mount -t tmpfs -o ro x /etc", True, "left alone"),
    ):
        target = elsewhere(command)
        status, text = said(TOOL, "-n", str(target.pid), file)
        check((status == 0) == good and part in text, f"{what}: {'fine' if good else 'refused'}", status, text)
        if "link" in what:
            inside = f"nsenter -t {target.pid} -U -m -n cat /etc/resolv.conf"
            check("10.9.0.1" in sh(inside) and not os.path.exists("/tmp/made-by-link"),
                  "what the link leads to is not made")
        target.kill()
        target.wait()
    target = alice("podman", "unshare", "unshare", "--user", "--map-users", "0:1000:1", "--map-groups", "0:1000:1",
                   "--setuid", "0", "--setgid", "0", "--net", "--mount", "sh", "-c",
                   "mount -t tmpfs x /etc && echo ready $$; exec sleep 1000")
    # Podman may have something to say first.
    text = next((line for line in target.stdout if line.startswith("ready")), "")
    if check(text.startswith("ready"), "there is one in which she is nobody, as with --userns=auto", text):
        inner = text.split()[1]
        status, text = said("podman", "unshare", TOOL, "-n", inner, file)
        check(status == 0 and "10.9.0.1" in sh(f"nsenter -t {inner} -m cat /etc/resolv.conf || :"),
              "it gets the tunnel, with name servers", text)
        os.kill(int(inner), signal.SIGKILL)
    target.kill()
    target.wait()
