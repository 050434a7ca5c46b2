# SPDX-License-Identifier: GPL-2.0
"""wg-rootless and what gets in: published ports, sockets of systemd, this machine's services."""

import socket
import subprocess

from alice import HOME, NOT_SET_UP, TOOL, alice, nothing_left, said, settled, write
from tap import check, scenario
from world import await_that, sh


def page(address):
    """What a web server says, or that it does not."""
    return sh(f"curl -sS -m 30 http://{address}/file 2>&1 | sha256sum")


@scenario
def ports_are_published():
    """--publish, as podman writes it."""
    sh(f"mkdir -p {HOME}/www && head -c 2M /dev/urandom >{HOME}/www/file && chown -R alice: {HOME}/www")
    wanted = sh(f"sha256sum <{HOME}/www/file")
    before = settled()
    process = alice(TOOL, "--publish", "127.0.0.1:8080:80", "-p", "8081:80", "wg0.conf",
                    "python3", "-u", "-m", "http.server", "--directory", "www", "80")
    line = process.stdout.readline()
    check("port 80" in line, "a service runs inside, at a port of root's", line)
    pages = [page(at) for at in ("127.0.0.1:8080", "127.0.0.1:8081", "[::1]:8081")]
    check(pages == [wanted] * 3, "it is reached from outside", pages)
    with socket.create_connection(("127.0.0.1", 8080), 20):
        # Also while somebody is connected.
        process.kill()
        process.wait()
        nothing_left(before, "and no more when the command ends")
    status, text = said(TOOL, "-p", "80:80", "wg0.conf", "true")
    check(status == NOT_SET_UP and ":80: Permission denied" in text and "unprivileged_port_start" in text,
          "a port that users cannot have outside is told", text)


ECHO = """
import socket
service = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
service.bind(("127.0.0.1", 53))
print("begun", flush=True)
while True:
    question, who = service.recvfrom(99)
    service.sendto(question + b" from %d" % who[1], who)
"""


def asked(family, address, question, connection=None):
    """What a UDP service says, to who takes nothing from another address; and through which socket."""
    if not connection:
        connection = socket.socket(family, socket.SOCK_DGRAM)
        connection.connect((address, 5353))
        connection.settimeout(20)
    connection.send(question)
    return connection.recv(99), connection


@scenario
def datagrams_are_published():
    """--publish PORT:PORT/udp, as podman writes it."""
    write("echo.py", ECHO)
    before = settled()
    process = alice(TOOL, "-p", "5353:53/udp", "wg0.conf", "python3", "echo.py")
    check(process.stdout.readline() == "begun\n", "a UDP service runs inside, at a port of root's")
    # Who asked one of this machine's addresses wants to hear from that one.
    places = [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET, "127.0.0.1"), (socket.AF_INET, "127.0.0.2"),
              (socket.AF_INET6, "::1")]
    first = [asked(*place, b"first %d" % number) for number, place in enumerate(places)]
    second = [asked(*place, b"second", connection)[0] for place, (_, connection) in zip(places, first)]
    answers = [answer for answer, _ in first]
    check([answer.split(b" from ")[0] for answer in answers] == [b"first %d" % number for number in range(4)],
          "it is reached from outside, at each address, and everybody gets the own answer", answers)
    ports = [answer.split(b" from ")[1] for answer in answers]
    check(len(set(ports)) == 4 and [answer.split(b" from ")[1] for answer in second] == ports,
          "it can tell who asks from others, also the next time", answers, second)
    for _, connection in first:
        connection.close()
    process.kill()
    process.wait()
    nothing_left(before, "and no more when the command ends")


@scenario
def sockets_of_systemd():
    """What systemd listens at is handed on, since it is one process."""
    script = "import socket; s = socket.fromfd(3, socket.AF_INET, socket.SOCK_STREAM); c, _ = s.accept(); c.sendall(c.recv(99))"
    process = alice("systemd-socket-activate", "-l", "127.0.0.1:8082", "-E", "HOME", "-E", "XDG_RUNTIME_DIR", TOOL, "wg0.conf", "python3", "-c", script)
    await_that("it listens", lambda: ":8082" in sh("ss -tln"), 30)
    with socket.create_connection(("127.0.0.1", 8082), 20) as connection:
        connection.sendall(b"hello")
        check(connection.recv(99) == b"hello", "a program behind the tunnel takes connections from outside")
    process.wait(20)


@scenario
def services_of_this_machine():
    """--host-port: a service outside is found inside, and no other."""
    services = [subprocess.Popen(["python3", "-m", "http.server", "--directory", "/tmp/server/www", "--bind", "127.0.0.1",
                                  str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for port in (8083, 8084)]
    await_that("they listen", lambda: all(f":{port}" in sh("ss -tln") for port in (8083, 8084)), 30)
    before = settled()
    status, text = said(TOOL, "--host-port", "8083", "wg0.conf", "sh", "-c",
                        "curl -sS -m 30 http://127.0.0.1:8083/file | sha256sum; curl -sS http://127.0.0.1:8084/")
    check(text.startswith(sh("sha256sum </tmp/server/www/file")) and status == 7, "the one that was named", status, text)
    nothing_left(before, "nothing is left of it")
    for service in services:
        service.kill()
        service.wait()
