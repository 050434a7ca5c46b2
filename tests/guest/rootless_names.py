# SPDX-License-Identifier: GPL-2.0
"""wg-rootless and names: who is asked, whatever happens outside."""

import contextlib
import os
import socket
import subprocess
import threading

from alice import TOOL, alice, said, tunnel_file, tunneled, write
from tap import check, scenario
from world import await_that, sh

# No name in it, so that wg-rootless itself has none to look up.
NUMBER = ("vpn.example", "198.51.100.2")
QUIET = "getent ahostsv4 web.example | head -n 1"


@scenario
def files_outside_are_replaced():
    """A rename over /etc/resolv.conf, as at each change of the network, changes nothing inside."""
    process = alice(TOOL, "wg0.conf", "sh", "-c", "echo begun; read x; cat /etc/resolv.conf; grep hosts: /etc/nsswitch.conf; "
                    f"{QUIET}; cat /etc/hostname; ls -A /etc | wc -l", stdin=-1)
    check(process.stdout.readline() == "begun\n", "a command runs")
    sh("cp -a /etc/resolv.conf /tmp/resolv.conf.old; cp -a /etc/nsswitch.conf /tmp/nsswitch.conf.old; "
       "echo nameserver 127.0.0.1 >/etc/resolv.conf.new; mv /etc/resolv.conf.new /etc/resolv.conf; "
       "cp /etc/nsswitch.conf /etc/nsswitch.conf.new; mv /etc/nsswitch.conf.new /etc/nsswitch.conf; "
       "echo renamed >/etc/hostname.new; mv /etc/hostname.new /etc/hostname")
    text, _ = process.communicate("\n", timeout=60)
    check("nameserver 10.9.0.1" in text and "127.0.0.1" not in text and "hosts: files dns" in text
          and "10.9.0.1 " in text, "it goes on asking the tunnel's server", text)
    check("renamed" in text, "other files are those of outside, also when they are replaced", text)
    sh("mv /tmp/resolv.conf.old /etc/resolv.conf; mv /tmp/nsswitch.conf.old /etc/nsswitch.conf; echo wg >/etc/hostname")
    what = "for f in /etc/* /etc/ssl/certs/*; do [ -e $f ] || echo $f; done; ls /etc | grep -v -e ^resolv.conf -e ^nsswitch"
    inside, outside = tunneled(what), said("sh", "-c", what)
    check(inside == outside and inside[0] == 0, "/etc has the same files, and no link leads nowhere that did not", inside,
          outside)


@scenario
def links_and_nothing():
    """resolv.conf as systemd has it, or not at all."""
    sh("mkdir -p /run/systemd/resolve; mv /etc/resolv.conf /tmp/resolv.conf.old; "
       "cp /tmp/resolv.conf.old /run/systemd/resolve/stub-resolv.conf; ln -s /run/systemd/resolve/stub-resolv.conf /etc/resolv.conf")
    status, text = tunneled(f"{QUIET}; cat /run/systemd/resolve/stub-resolv.conf")
    check("10.9.0.1 " in text and "nameserver 10.9.0.1" in text, "a link to a file of resolved's", text)
    sh("rm -r /etc/resolv.conf /run/systemd/resolve")
    status, text = tunneled(QUIET, write("names.conf", tunnel_file().replace(*NUMBER)))
    check(status == 0 and "10.9.0.1 " in text, "no file at all", text)
    sh("mv /tmp/resolv.conf.old /etc/resolv.conf")


@contextlib.contextmanager
def resolved():
    """A real systemd-resolved, which asks the name server outside, and what has the C library ask it."""
    root = "/opt/resolved/usr/lib"
    sh(f"""
        mkdir -p /run/systemd /etc/systemd/resolved.conf.d
        id systemd-resolve 2>/dev/null || useradd --system --user-group systemd-resolve
        cp {root}/*/libnss_resolve.so.2 "$(dirname "$(ldconfig -p | sed -n 's/.*=> //p' | grep '/libc.so.6$')")"
        printf '[Resolve]\\nDNS=127.0.0.1\\nCache=no\\n' >/etc/systemd/resolved.conf.d/outside.conf
    """)
    process = subprocess.Popen([f"{root}/systemd/systemd-resolved"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        await_that("resolved answers",
                   lambda: "192.0.2.66" in said("getent", "-s", "resolve", "ahostsv4", "web.example")[1], 60)
        yield
    finally:
        process.terminate()
        process.wait()
        sh("rm -rf /run/systemd/resolve")


def daemon(path):
    """Something outside that would answer; the list of what it was asked."""
    asked = []
    os.makedirs(os.path.dirname(path), exist_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    os.chmod(path, 0o666)
    listener.listen(9)

    def serve():
        while True:
            connection, _ = listener.accept()
            asked.append(path)
            # What asks a cache that ends the connection goes on without it.
            connection.close()
    threading.Thread(target=serve, daemon=True).start()
    return asked


@scenario
def daemons_outside():
    """A resolved that runs outside; sockets in its place for other daemons that look names up."""
    with resolved():
        daemons_answer()
    status, text = tunneled("true", write("names.conf", tunnel_file(DNS=None)))
    check(status == 0 and "127.0.0.1 of /etc/resolv.conf is not reached" in text and "--dns" in text,
          "where nobody can be asked, that is told", text)


def daemons_answer():
    """What is asked while they run."""
    paths = ["/run/systemd/resolve/io.systemd.Resolve", "/run/nscd/socket", "/run/avahi-daemon/socket"]
    asked = [daemon(path) for path in paths[1:]]
    write("connect.py", "import socket, sys\nfor path in sys.argv[1:]:\n    try: socket.socket(socket.AF_UNIX).connect(path)\n"
          "    except OSError as error: print(error.strerror)\n    else: print('connected')\n")
    # wg-rootless may ask them, but there is no name for it to ask about.
    status, text = tunneled(f"python3 connect.py {' '.join(paths)}", write("names.conf", tunnel_file().replace(*NUMBER)))
    # The name service cache is asked by programs outside as well.
    check(text.splitlines() == ["Connection refused"] * 3 and not asked[1], "with `DNS =' none can be asked",
          text, asked)
    for words, what in (({"DNS": None}, "no line"), ({"DNS": ""}, "an empty line")):
        status, text = tunneled(f"cat /etc/resolv.conf; {QUIET}", write("names.conf", tunnel_file(**words).replace(*NUMBER)))
        check(status == 0 and "outside of the tunnel, by systemd-resolved" in text and "--dns" in text
              and "192.0.2.66 " in text, f"{what}: names are looked up outside, with a word", text)
        check("127.0.0.1" in text, "and the resolver is as it was", text)
    status, text = tunneled("cat /etc/resolv.conf", write("names.conf", tunnel_file(DNS="corp.example").replace(*NUMBER)))
    check("search corp.example" in text and "nameserver 127.0.0.1" in text, "domains only: they are added", text)
    status, text = said(TOOL, "--dns", "10.9.0.1", write("names.conf", tunnel_file(DNS=None).replace(*NUMBER)), "sh", "-c", QUIET)
    check((status, text[:9]) == (0, "10.9.0.1 "), "--dns has the tunnel's server asked", text)
    status, text = tunneled(f"{QUIET}; cat /etc/resolv.conf", write("names.conf", tunnel_file(DNS="10.9.0.1 10.9.0.1").replace(*NUMBER)))
    check(status == 0 and text.count("nameserver") == 2, "servers with a space between them", text)
    status, text = tunneled(QUIET)
    check((status, text[:9]) == (0, "10.9.0.1 "), "while with `DNS =' in the file names are those of the tunnel", text)
    sh("rm -r /run/nscd /run/avahi-daemon")


@scenario
def nsswitch_files():
    """nsswitch.conf as it may be."""
    sh("mv /etc/nsswitch.conf /tmp/nsswitch.conf.old")
    with open("/etc/nsswitch.conf", "wb") as file:
        file.write(b"# gr\xf6\xdfe\nhosts: files resolve dns\n")
    status, text = tunneled("grep -a ^hosts /etc/nsswitch.conf")
    check("hosts: files dns" in text, "not UTF-8", text)
    sh("mkdir -p /usr/etc; mv /etc/nsswitch.conf /usr/etc/nsswitch.conf")
    status, text = tunneled("grep -a ^hosts /usr/etc/nsswitch.conf /etc/nsswitch.conf")
    check("/etc/nsswitch.conf:hosts: files dns" in text, "in openSUSE's place", text)
    sh("rm /usr/etc/nsswitch.conf")
    sh("mv /tmp/nsswitch.conf.old /etc/nsswitch.conf")


@scenario
def sockets_are_hidden():
    """--strict: D-Bus and the like cannot be asked for anything."""
    paths = ["/run/user/1000/bus", "/run/dbus/system_bus_socket", "/tmp/.X11-unix/X0"]
    for path in paths:
        daemon(path)
    sh("chown alice /run/user/1000/bus")
    connect = f"python3 connect.py {' '.join(paths)}"
    status, text = tunneled(connect)
    check(text.split() == ["connected"] * 3, "they are there without it", text)
    status, text = said(TOOL, "--strict", "wg0.conf", "sh", "-c", f"{connect}; {QUIET}; touch $XDG_RUNTIME_DIR/mine /tmp/mine && "
                        "stat -c %a $XDG_RUNTIME_DIR")
    check("connected" not in text and "10.9.0.1 " in text and text.endswith("700\n"),
          "and not with it, but room for her own files", text)
    check(not os.path.exists("/tmp/mine"), "which nobody outside sees")
    sh("rm -rf /run/user/1000/bus /run/dbus /tmp/.X11-unix")
