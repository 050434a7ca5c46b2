# SPDX-License-Identifier: GPL-2.0
"""wg-rootless and the networks where people are."""

import os
import signal

import sleep
from alice import HOME, TOOL, alice, processes, said, server_handshake, tunnel_file, tunneled, write
from tap import check, scenario, skip
from world import await_that, sh


@scenario
def small_links():
    """The MTU fits through a link of 1400 where fragments are dropped."""
    drop = "ip netns exec server nft"
    sh(f"ip link set eth-world mtu 1400; {drop} 'table inet fr {{ chain p {{ type filter hook prerouting priority -450; "
       "ip frag-off & 0x3fff != 0 counter drop; }; }'")
    status, text = tunneled("ip -o link show dev wg0 | grep -o 'mtu [0-9]*'; curl -sS -m 60 http://web.example/file | sha256sum")
    check(text == "mtu 1320\n" + sh("sha256sum </tmp/server/www/file"), "it is 80 less than the way has, and a page arrives",
          text)
    status, text = tunneled("ip -o link show dev mtu", write("mtu.conf", tunnel_file(MTU="1380")))
    check("mtu 1380" in text, "unless the file says", text)
    sh(f"ip link set eth-world mtu 1500; {drop} delete table inet fr")


@scenario
def without_ipv6():
    """IPv6 that is switched off: what is left out is told, and IPv4 works."""
    target = alice("unshare", "-Urnm", "sh", "-c", "echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6; "
                   "echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6; echo ready; exec sleep 1000")
    target.stdout.readline()
    status, text = said(TOOL, "-n", str(target.pid), "wg0.conf")
    check(status == 0 and "fd09::2/64" in text and "::/0" in text and "switched off" in text, "in a container", text)
    text = sh(f"nsenter -t {target.pid} -n -U -m sh -c 'curl -sS -m 60 http://web.example/file | sha256sum'")
    check(text == sh("sha256sum </tmp/server/www/file"), "which has IPv4", text)
    target.kill()
    target.wait()


@scenario
def a_day_of_a_laptop():
    """It sleeps, and wakes up at a link with another address and another resolv.conf."""
    before = processes()
    slow = alice(TOOL, "wg0.conf", "sh", "-c", "curl -sS --limit-rate 60k -o day http://web.example/file && "
                 "ping -c 1 -W 30 10.9.0.1 && getent ahostsv4 web.example")
    await_that("it has begun", lambda: os.path.exists(f"{HOME}/day"), 30)
    session = server_handshake()
    hers = processes().keys() - before.keys()
    for pid in hers:
        os.kill(pid, signal.SIGSTOP)
    slept = sleep.prepare()
    if slept:
        check(sleep.almost("freeze", "PM_SUSPEND_PREPARE") == 16, "everybody is told that the machine goes to sleep")
        sleep.done()
    else:
        skip("the machine goes to sleep", "this kernel has no module that stops it in time")
    sh("ip link set eth-world down; cp /etc/resolv.conf /etc/r; mv /etc/r /etc/resolv.conf; "
       "ip addr del 198.51.100.1/24 dev eth-world; ip addr add 198.51.100.9/24 dev eth-world; ip link set eth-world up")
    for pid in hers:
        os.kill(pid, signal.SIGCONT)
    status = slow.wait(90)
    text = slow.stdout.read()
    check(sh(f"sha256sum <{HOME}/day") == sh("sha256sum </tmp/server/www/file"), "a download goes on", status, text)
    check(status == 0 and "10.9.0.1 " in text, "and names are found", status, text)
    if slept:
        check(server_handshake() > session, "with another session: the keys did not outlive the sleep", session)
    endpoints = sh("ip netns exec server wg show wg0 endpoints")
    check("198.51.100.9:" in endpoints, "from the new address", endpoints)
    sh("ip addr del 198.51.100.9/24 dev eth-world; ip addr add 198.51.100.1/24 dev eth-world")
