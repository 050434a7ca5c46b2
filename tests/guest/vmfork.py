# SPDX-License-Identifier: GPL-2.0
"""A snapshot of the machine is started. Nothing says whether another copy of it runs somewhere, with
the same keys and counters, so no session may go on. Run by vmfork.sh."""

import glob
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import tap  # noqa: E402
import tunnel  # noqa: E402
import world  # noqa: E402
from tap import check, scenario  # noqa: E402
from world import ping  # noqa: E402


def port():
    """The serial port by which the machine asks to be cloned."""
    for name in glob.glob("/sys/class/virtio-ports/*/name"):
        with open(name, encoding="ascii") as file:
            if file.read().strip() == "fork":
                return f"/dev/{name.split('/')[-2]}"
    return None


def cloned():
    return "virtual machine fork" in subprocess.run(
        ["dmesg"], check=True, text=True, stdout=subprocess.PIPE).stdout


def sessions():
    return tunnel.handshake("left"), tunnel.handshake("right")


@scenario
def no_session_in_two_machines():
    """What was in the memory of one machine encrypts nothing in the next."""
    if not port():
        tap.skip("no session goes on", "this machine cannot be cloned")
        return
    check(tunnel.new_session(60), "there is a session")
    # Confirmed, so that both sides send by it.
    check(ping("left", tunnel.RIGHT, 8), "which both sides know")
    before = sessions()
    check(ping("left", tunnel.RIGHT, 8) and sessions() == before,
          "and which is used for what comes next", before, sessions())
    with open(port(), "wb", buffering=0) as file:
        file.write(b".")
    world.await_that("the kernel is told that it is a clone", cloned, 120)
    check(sessions() == before, "nothing was sent since", before, sessions())
    check(ping("left", tunnel.RIGHT, 20, 4, 2), "the tunnel works afterwards")
    check(all(new > old for new, old in zip(sessions(), before)),
          "with another session than before", before, sessions())


@scenario
def the_end():
    """Nothing is left of all that."""
    tunnel.demolish()


tunnel.build()
tap.run()
