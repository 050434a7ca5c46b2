# SPDX-License-Identifier: GPL-2.0
"""wg-rootless, as alice runs it."""

import contextlib
import os
import pty
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))

from tap import check, run, scenario  # noqa: E402
from world import await_that, ports, sh, until  # noqa: E402

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
        ip -n server addr add fd09::1/64 dev wg0
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
        text, _ = process.communicate()
        text += "\n(it took too long)"
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


@scenario
def module_is_loaded():
    """Whoever makes an interface in a namespace of her own gets the module loaded."""
    check(not os.path.exists("/sys/module/wireguard"), "the module is not loaded yet")
    write("wg0.conf", "[Interface]\nPrivateKey = " + sh("wg genkey"))
    status, text = said(TOOL, "wg0.conf", "true")
    check(status == 0 and os.path.exists("/sys/module/wireguard"), "alice's first tunnel loads it", text)
    arrange()


@scenario
def command_uses_the_tunnel():
    """A page by its name, through the tunnel."""
    before = settled()
    status, text = tunneled("curl -sS http://web.example/file | sha256sum")
    wanted = sh("sha256sum </tmp/server/www/file")
    check((status, text) == (0, wanted), "curl gets a page by a name that only the tunnel's server knows", text)
    status, text = tunneled("getent ahostsv4 web | head -n 1")
    check(text.startswith("10.9.0.1 "), "a short name is looked for in the file's domain", text)
    status, text = said("getent", "ahostsv4", "web.example")
    check(text.startswith("192.0.2.66 "), "while outside names lead elsewhere, as before", text)
    status, text = tunneled("cat /etc/resolv.conf; grep ^hosts /etc/nsswitch.conf; ls -l /etc/resolv.conf")
    check("nameserver 10.9.0.1" in text and "127.0.0.1" not in text, "the resolver has the file's server only", text)
    check("hosts: files dns" in text, "a resolver daemon outside is not asked", text)
    nothing_left(before, "and nothing is left of it")


@scenario
def command_is_alice():
    """The command is who she is, and has no more rights than she has."""
    what = ("id -un; id -u; id -g; stat -c '%U %a' wg0.conf; umask; pwd; ulimit -a; readlink /proc/self/ns/pid; "
            "grep -E '^(Cap(Eff|Prm|Inh|Amb)|Uid|Gid|SigIgn|SigBlk)' /proc/self/status")
    inside, outside = tunneled(what), said("sh", "-c", what)
    check(inside == outside and outside[0] == 0, "ids, capabilities and the like are as outside", inside, outside)
    tunneled("echo x >made")
    check(os.stat(f"{HOME}/made").st_uid == 1000, "a file that it makes is hers")
    status, text = tunneled("ip -br link; ip route; ip -6 route; ip link set wg0 down || echo refused")
    check("wg0" in text and "eth-world" not in text, "it sees the tunnel, and no other interface", text)
    check(text.count("default dev wg0") == 2, "with a default route for each family", text)
    check("refused" in text, "which it may not change", text)
    status, text = tunneled("ping -c 1 -W 5 127.0.0.1 && ping -c 3 -W 10 10.9.0.1 && ping -6 -c 3 -W 10 fd09::1")
    check(status == 0, "it can ping itself, and through the tunnel by both families", text)
    status, text = tunneled("ls /proc/self/fd")
    check(text.split() == ["0", "1", "2", "3"], "it inherits no descriptor", text)
    status, text = said("sh", "-c", "exec 7</etc/passwd; exec \"$0\" wg0.conf head -c 4 /dev/fd/7", TOOL)
    check(text == "root", "but those that she gives it", text)


@scenario
def exit_statuses():
    """What the command ends with is what the caller sees."""
    for command, wanted in (("exit 0", 0), ("exit 7", 7), ("kill -TERM $$", -signal.SIGTERM),
                            ("kill -KILL $$", -signal.SIGKILL)):
        status, text = tunneled(command)
        check(status == wanted, f"{command}: {wanted}", status, text)
    status, text = said(TOOL, "wg0.conf", "no-such-program")
    check(status == 127 and "`no-such-program'" in text, "127 for a command that is not there", status, text)
    status, text = said(TOOL, "wg0.conf", "/etc/passwd")
    check(status == 126 and "Permission denied" in text, "126 for one that is no program", status, text)
    status, text = said(TOOL, "wg0.conf", "--", "printf", "<%s>", "a b", "--help", "")
    check((status, text) == (0, "<a b><--help><>"), "arguments arrive as they are", text)
    status, text = said(TOOL, "wg0.conf", stdin=subprocess.PIPE)
    check(status == 0, "without a command it is the shell", text)


def started(command, before=":"):
    """A command behind the tunnel, when it has begun."""
    process = alice(TOOL, "wg0.conf", "sh", "-c", f"{before}; echo begun; {command}")
    check(process.stdout.readline() == "begun\n", f"it runs: {command}")
    return process


@scenario
def signals_and_crashes():
    """However it ends, nothing is left."""
    before = settled()
    pid, terminal = pty.fork()
    if pid == 0:
        # Whatever started the suite may ignore it.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.setgroups([1000])
        os.setresgid(1000, 1000, 1000)
        os.setresuid(1000, 1000, 1000)
        os.chdir(HOME)
        os.execve(TOOL, [TOOL, "wg0.conf", "sh", "-c", "echo begun; sleep 1000; echo after"], ENVIRONMENT)
    text = b""
    while b"begun" not in text:
        text += os.read(terminal, 1024)
    # A shell that is about to start a program misses it.
    await_that("the shell's command runs", lambda: "sleep" in processes().values())
    os.write(terminal, b"\x03")
    _, status = os.waitpid(pid, 0)
    os.close(terminal)
    check(os.waitstatus_to_exitcode(status) == -signal.SIGINT, "Ctrl-C at the terminal ends the command", status)
    nothing_left(before, "Ctrl-C leaves nothing")

    process = started("exec sleep 1000")
    inside = os.readlink(f"/proc/{process.pid}/ns/net")
    check(inside != os.readlink("/proc/self/ns/net") and len(ports()) > len(before[2]),
          "meanwhile the sockets are outside and the interface is not", ports())
    process.terminate()
    check(process.wait(20) == -signal.SIGTERM, "TERM ends it")
    nothing_left(before, "TERM leaves nothing")

    process = started("sleep 1000 & sleep 1001 & wait")
    await_that("three processes run", lambda: len(processes()) >= len(before[4]) + 3, 30)
    mine = processes().keys() - before[4].keys()
    check(len(mine) == 3, "it has three processes", processes())
    for victim in sorted(mine):
        os.kill(victim, signal.SIGKILL)
    process.wait(20)
    nothing_left(before, "kill -9 of all of them leaves nothing")

    process = started("while :; do sleep 0.1; done", "trap 'echo got it; exit 3' USR1")
    process.send_signal(signal.SIGUSR1)
    text, _ = process.communicate(timeout=30)
    check((process.returncode, text) == (3, "got it\n"), "other signals reach it as well", process.returncode, text)
    nothing_left(before, "which leaves nothing")


@scenario
def keys_stay_inside():
    """Nobody sees the private key."""
    os.mkfifo(f"{HOME}/pipe", 0o600)
    os.chown(f"{HOME}/pipe", 1000, 1000)
    process = alice(TOOL, "pipe", "sh", "-c", "tr '\\0' '\\n' </proc/self/environ; tr '\\0' ' ' </proc/self/cmdline")
    # It has the file open, and waits for what is in it.
    with open(f"{HOME}/pipe", "w", encoding="ascii") as pipe:
        status, text = said("cat", f"/proc/{process.pid}/environ")
        check(status != 0, "while it can hold a key, not even alice can look into it", text)
        pipe.write(tunnel_file())
    text, _ = process.communicate(timeout=60)
    check(process.returncode == 0 and "PATH=" in text, "a file can be a pipe", text)
    check(key()[:40] not in text, "the key is in no argument and no variable", text)
    os.unlink(f"{HOME}/pipe")
    # The command is an ordinary program again.
    process = started("exec sleep 1000")
    check(os.stat(f"/proc/{process.pid}/environ").st_uid == 1000, "the command itself is as open as any program", text)
    process.kill()
    process.wait()


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


@scenario
def wrong_inputs():
    """Whatever is wrong is named, with what would be right."""
    refused("no such file", ["Unable to open", "nowhere.conf", "No such file"], "nowhere.conf")
    refused("no such option", ["--help"], options=["--frob"])
    for what, words, parts in (
            ("an address", {"Address": "10.9.0.2/40"}, ["line 3", "`10.9.0.2/40'"]),
            ("a DNS server", {"DNS": "10.9.0"}, ["line 4", "`10.9.0'"]),
            ("no key", {"PrivateKey": None}, ["no PrivateKey"]),
            ("a key", {"PrivateKey": key()[1:]}, ["line 2", "43 characters"]),
            ("a transit namespace", {"TransitNetns": "1"}, ["line 5", "leave this line out"]),
            ("a port of root's", {"ListenPort": "53"}, ["Permission denied", "Port 53 is reserved"]),
            ("a port that is taken", {"ListenPort": "51999"}, ["Port 51999 is taken outside"]),
            ("an MTU", {"MTU": "500"}, ["line 5", "at least 1280"]),
    ):
        taken = subprocess.Popen(["ncat", "-u", "-l", "51999"]) if "51999" in str(words) else None
        if taken:
            await_that("the port is taken", lambda: (4, 51999) in ports(), 30)
        refused(what, parts, write("bad.conf", tunnel_file(**words)))
        if taken:
            taken.kill()
            taken.wait()
    refused("an endpoint", ["bad.conf:7", "vpn.invalid"],
            write("bad.conf", tunnel_file().replace("vpn.example", "vpn.invalid")))
    with setting("user.max_user_namespaces", "0"):
        refused("no user namespaces", ["user namespace", "user.max_user_namespaces"])
    with setting("kernel.unprivileged_userns_clone", "0"):
        refused("none for users", ["user namespace", "sysctl kernel.unprivileged_userns_clone=1"])
    with setting("user.max_net_namespaces", "0"):
        refused("no network namespaces", ["network", "user.max_net_namespaces"])
    os.rename("/etc/resolv.conf", "/etc/resolv.conf.old")
    refused("no resolv.conf", ["/etc/resolv.conf", "leave the line out"],
            write("bad.conf", tunnel_file().replace("vpn.example", "198.51.100.2")))
    os.rename("/etc/resolv.conf.old", "/etc/resolv.conf")
    status, text = tunneled("true", write("bad.conf", tunnel_file(PostUp="touch /tmp/hook", FwMark="7")))
    check(status == 0 and "PostUp is left out" in text and not os.path.exists("/tmp/hook"), "hooks are not run", text)
    check("fwmark is kept but not applied" in text, "a mark that is not applied is told", text)


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
    status, text = said(*enter, "sh", "-c", "ip link set lo up; curl -sS http://web.example/file | sha256sum")
    check(text == sh("sha256sum </tmp/server/www/file"), "and is used, with its DNS", text)
    status, text = said(TOOL, "-n", pid, "wg0.conf")
    check(status == NOT_SET_UP and "--interface" in text, "a second of that name is refused", text)
    status, text = said("sh", "-c", f"{TOOL} -n $$ wg0.conf")
    check(status == NOT_SET_UP and "this was started in" in text, "the own namespace is no target", text)
    rootly = subprocess.Popen(["unshare", "--net", "sleep", "1000"])
    await_that("it has its own netns",
               lambda: sh(f"readlink /proc/{rootly.pid}/ns/net") != sh("readlink /proc/self/ns/net"), 30)
    status, text = said(TOOL, "-n", str(rootly.pid), "wg0.conf")
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


@scenario
def other_modules():
    """Without a module that can move sockets, it says so."""
    sh("ip netns exec server ip link del wg0; use-module intree")
    refused("the in-tree module", ["cannot move its sockets"])
    sh("use-module ours; echo 'install wireguard /bin/false' >/etc/modprobe.d/no-wireguard.conf")
    refused("no module", ["no wireguard module", "modprobe wireguard"])
    os.unlink("/etc/modprobe.d/no-wireguard.conf")


run()
