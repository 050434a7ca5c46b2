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


@scenario
def containers():
    """Rootless containers of podman's."""
    sh("mount --make-rshared /")
    sh(f"""
        mkdir -p {HOME}/image/bin {HOME}/image/etc
        cp /bin/busybox {HOME}/image/bin/
        for name in cat ip sh sleep wget; do ln -s busybox {HOME}/image/bin/$name; done
        chown -R alice: {HOME}/image
    """)
    page = sh("cat /tmp/server/www/file | sha256sum")
    status, text = said("sh", "-c", f"podman unshare {TOOL} wg0.conf podman run --network host --rootfs {HOME}/image "
                        "wget -q -O - http://web.example/file | sha256sum")
    check(text.endswith(page), "one that is started behind the tunnel uses it", text)
    before = ports()
    status, text = said("podman", "run", "--detach", "--quiet", "--name", "box", "--network", "none",
                        "--pidfile", f"{HOME}/box.pid", "--rootfs", f"{HOME}/image", "sleep", "1000")
    check(status == 0, "one without any network is started", text)
    with open(f"{HOME}/box.pid", encoding="ascii") as file:
        pid = file.read().strip()
    status, text = said(TOOL, "--netns-of", pid, "wg0.conf")
    check((status, text) == (0, ""), "it gets the tunnel without a word", text)
    status, text = said("podman", "exec", "box", "sh", "-c",
                        "ip -o link >&2; wget -q -O - http://web.example/file | sha256sum")
    check(text.endswith(page), "and uses it", text)
    check("wg0" in text and "eth" not in text, "there is no other interface", text)
    check(ports() - before, "its sockets are outside", before, ports())
    os.kill(int(pid), signal.SIGKILL)
    await_that("the container ends", lambda: int(pid) not in processes(), 30)


def elsewhere(command, *unshare):
    """A process of hers in namespaces of its own, once it has run this command in there."""
    process = alice("unshare", "--user", "--map-root-user", "--net", "--mount", *unshare, "sh", "-c",
                    f"{command}; echo ready; exec sleep 1000")
    text = process.stdout.readline()
    check(text == "ready\n", "there is a place for a tunnel", text)
    return process


NETWORK = """ip link add tap0 type dummy; ip addr add 10.0.2.100/24 dev tap0; ip link set tap0 up
             ip route add default via 10.0.2.2"""


@scenario
def containers_with_a_network():
    """A network that pasta or slirp4netns made: a dummy interface stands for theirs."""
    target = elsewhere(NETWORK)
    pid = str(target.pid)
    enter = ["nsenter", "--preserve-credentials", "-U", "-n", "-m", "-t", pid]
    before = said(*enter, "ip", "route")
    status, text = said(TOOL, "-n", pid, "wg0.conf")
    check(status == NOT_SET_UP and "already by tap0" in text and "--network none" in text
          and "--replace-default" in text, "a default route is a reason to refuse, with what to do", text)
    check(said(*enter, "ip", "route") == before and "wg0" not in said(*enter, "ip", "-br", "link")[1],
          "and nothing is left")
    status, text = said(TOOL, "--replace-default", "-n", pid, "wg0.conf")
    check(status == 0 and "around the tunnel by tap0 (10.0.2.0/24" in text, "the tunnel takes over, and says what stays",
          text)
    status, text = said(*enter, "ip", "route")
    check("default dev wg0" in text and "10.0.2.2" not in text, "its route is the only one", text)
    target.kill()
    target.wait()


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
