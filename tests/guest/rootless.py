# SPDX-License-Identifier: GPL-2.0
"""wg-rootless, as alice runs it."""

import importlib
import os
import pty
import signal
import subprocess
import sys

# The scenarios of one matter are in a file of their own: rootless_*.py.
HERE = os.path.join(os.environ.get("WG_ROOT", "/wg"), "tests/guest")
sys.path[1:1] = [HERE, os.path.join(HERE, "lib")]

from alice import (ENVIRONMENT, HOME, TOOL, alice, arrange, key, nothing_left, processes,  # noqa: E402
                   refused, said, setting, settled, started, tunnel_file, tunneled, write)
from tap import check, run, scenario  # noqa: E402
from world import await_that, ports, sh  # noqa: E402


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
    status, text = tunneled("true", write("bad.conf", tunnel_file(PostUp="touch /tmp/hook", FwMark="7")))
    check(status == 0 and "PostUp is left out" in text and not os.path.exists("/tmp/hook"), "hooks are not run", text)
    check("fwmark is kept but not applied" in text, "a mark that is not applied is told", text)


for part in ("tunnels", "names", "network", "files", "ports", "containers", "units"):
    importlib.import_module(f"rootless_{part}")


@scenario
def other_modules():
    """Without a module that can move sockets, it says so."""
    sh("ip netns exec server ip link del wg0; use-module intree")
    refused("the in-tree module", ["cannot move its sockets"])
    sh("use-module ours; echo 'install wireguard /bin/false' >/etc/modprobe.d/no-wireguard.conf")
    refused("no module", ["no wireguard module", "modprobe wireguard"])
    os.unlink("/etc/modprobe.d/no-wireguard.conf")


run()
