# SPDX-License-Identifier: GPL-2.0
"""wg-rootless in units of alice's systemd and in a quadlet of podman's: those that come with it."""

import contextlib
import json
import shutil
import subprocess

from alice import ENVIRONMENT, HOME, TOOL, nothing_left, said, settled, tunnel_file, write
from rootless_containers import IMAGE, image, inside
from tap import check, scenario
from world import await_that, sh, until

WITH_IT = "/wg/tools/wg-rootless"
# What units print, since there is no journal.
LOG = f"{HOME}/units.log"
CGROUP = "/sys/fs/cgroup/alice"
UNITS = f"{HOME}/.config/systemd/user"
QUADLETS = f"{HOME}/.config/containers/systemd"
PAGE = "curl -sS -m 60 http://web.example/file | sha256sum"


def systemctl(*words):
    return said("systemctl", "--user", *words)


@contextlib.contextmanager
def manager():
    """Her systemd, with a control group that is hers, as from a login."""
    sh(f"""
        mkdir -p /run/systemd/system {CGROUP} {UNITS}/service.d {QUADLETS}
        printf '[Service]\\nStandardOutput=append:{LOG}\\nStandardError=append:{LOG}\\n' >{UNITS}/service.d/log.conf
        ln -sf {TOOL} /usr/local/bin/
        cp {WITH_IT}/systemd/* {WITH_IT}/examples/*.service {WITH_IT}/examples/*.socket {UNITS}/
        sed 's,^Image=.*,Rootfs={IMAGE}\\nExec=sleep 1000\\nPodmanArgs=--stop-timeout=0,' {WITH_IT}/examples/box.container >{QUADLETS}/box.container
        # It waits for a target of the system's manager, which there is none of.
        ln -sf /dev/null {UNITS}/podman-user-wait-network-online.service
        chown -R alice: {HOME}/.config {CGROUP}
    """)
    environment = [f"{name}={value}" for name, value in ENVIRONMENT.items()]
    hers = ["setpriv", "--reuid=1000", "--regid=1000", "--clear-groups", "env", "-i", *environment]
    process = subprocess.Popen(["sh", "-c", f"echo $$ >{CGROUP}/cgroup.procs; exec \"$@\"", "-", *hers,
                                "/usr/lib/systemd/systemd", "--user", "--log-target=null"], cwd=HOME)
    try:
        await_that("her systemd runs", lambda: systemctl("is-system-running")[1] == "running\n", 120)
        yield
    finally:
        process.terminate()
        if not until(lambda: process.poll() is not None, 120):
            sh(f"echo 1 >{CGROUP}/cgroup.kill")
        check(process.wait() == 0, "her systemd ends in order")
        shutil.rmtree("/run/systemd/system")
        await_that("its control groups can go", lambda: not sh(f"find {CGROUP} -mindepth 1 -depth -type d -exec rmdir {{}} + "
                                                              f"2>&1; rmdir {CGROUP} 2>&1 || echo busy"), 60)


@scenario
def units():
    """A tunnel, a service in it that sockets outside lead to, and what follows its endpoints."""
    image()
    sh(f"mkdir -p {HOME}/.config/wireguard && chown -R alice: {HOME}/.config && chmod 700 {HOME}/.config/wireguard")
    write(".config/wireguard/home.conf", tunnel_file())
    before = settled()
    page = sh("sha256sum </tmp/server/www/file")
    sh(f"cp /tmp/server/www/file {HOME}/file; chown alice: {HOME}/file")
    with manager():
        status, text = systemctl("start", "wg-rootless@home")
        tunnels = json.loads(said(TOOL, "list", "--json")[1])
        check(status == 0 and [tunnel["name"] for tunnel in tunnels] == ["home"], "a tunnel is up when its unit is", text)
        check(said(TOOL, "exec", "home", "sh", "-c", PAGE) == (0, page), "a command joins it")
        status, text = systemctl("start", "wg-rootless@nosuch", "--job-mode=fail")
        check(status != 0, "one without a file fails", text)
        write(".config/wireguard/home.conf", tunnel_file(Address="10.9.0.2/24, fd09::2/64, 10.9.0.77/32"))
        status, text = systemctl("reload", "wg-rootless@home")
        check(status == 0 and "10.9.0.77" in said(TOOL, "exec", "home", "ip", "-br", "addr")[1],
              "a reload has it be as the file says now", text)
        status, text = systemctl("start", "wg-rootless-endpoints@home.timer", "wg-rootless-endpoints@home.service")
        check(status == 0 and systemctl("is-active", "wg-rootless-endpoints@home.timer")[1] == "active\n",
              "endpoints are looked up by a timer", text)
        status, text = systemctl("start", "web.socket", "page.service")
        check(status == 0, "a service is started in it", text)
        await_that("it listens", lambda: "127.0.0.1:8080" in said(TOOL, "exec", "home", "ss", "-tln")[1], 60)
        check(sh("curl -sS -m 60 http://127.0.0.1:8085/file 2>&1 | sha256sum") == page,
              "to which a socket of systemd's outside leads", systemctl("status", "web", "page")[1], sh(f"tail -n 20 {LOG}"))
        check(len(json.loads(said(TOOL, "list", "--json")[1])) == 1, "all in one tunnel")
        systemctl("stop", "web.socket", "web", "page", "wg-rootless@home")
        check(systemctl("is-active", "wg-rootless-endpoints@home.timer")[1] == "inactive\n", "the timer ends with it")
        check(said(TOOL, "list", "--json")[1] == "[]\n", "and with the last of them the tunnel")
        quadlet(page)
    nothing_left(before, "nothing is left of any of it")


def quadlet(page):
    """A container that is a unit."""
    status, text = systemctl("start", "box")
    check(status == 0, "a quadlet: it is started", text, systemctl("status", "box")[1], sh(f"tail -n 20 {LOG}"))
    members = json.loads(said(TOOL, "status", "--json", "home")[1])["processes"]
    text = inside(members[0]["pid"], "wget -q -O - http://web.example/file | sha256sum")
    check(text == page, "with the tunnel", text, members)
    systemctl("stop", "box")
    check(said(TOOL, "list", "--json")[1] == "[]\n", "which ends with it")
