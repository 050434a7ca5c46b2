# SPDX-License-Identifier: GPL-2.0
"""The whole of a move, as a user does it by hand."""

import os
import re
import subprocess
import tempfile

import actor
from house import encoded, keys
from tap import check, scenario

STORY = r"""
exec 100<>/dev/udp/127.0.0.1/9 101<>/dev/udp/::1/9
exec unshare -Urn bash -euc '
    umask 077
    ip link add wg0 type wireguard
    echo "$HERS" >$DIR/private
    "$WG" set wg0 private-key $DIR/private peer "$FAR" endpoint 10.7.0.2:5000 allowed-ips 0.0.0.0/0
    ip address add 192.168.77.1/24 dev wg0
    ip link set wg0 up
    ! "$WG" set wg0 transit-netns 1 2>/dev/null || echo moved without credentials
    "$WG" set wg0 transit-netns 1 transit-credentials 100,101
    ping -c 1 -W 4 192.168.77.2 >/dev/null && echo through
    "$WG" show wg0 transit-netns
'
"""


@scenario
def story():
    """A user without rights does all of it by hand, with bash's sockets."""
    folder = tempfile.mkdtemp()
    os.chown(folder, 1000, 1000)
    environment = dict(os.environ, DIR=folder, WG=actor.WG,
                       HERS=encoded(keys["hers"]), FAR=encoded(keys["far public"]))
    done = subprocess.run(["setpriv", "--reuid", "1000", "--regid", "1000", "--clear-groups",
                           "bash", "-c", STORY], env=environment, text=True, check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    wanted = r"through\nnsid \d+\n"
    check(done.returncode == 0 and re.fullmatch(wanted, done.stdout),
          "an unprivileged user moves the sockets with two of bash's and gets through", done.stdout)
