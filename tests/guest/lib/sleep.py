# SPDX-License-Identifier: GPL-2.0
"""A machine that is about to sleep. (An emulated one does not wake up from more.)"""

import subprocess

MODULE = "pm-notifier-error-inject"
ACTIONS = "/sys/kernel/debug/notifier-error-inject/pm/actions"


def prepare():
    """Loads what stops the machine in time; whether this kernel has it."""
    return subprocess.run(["modprobe", MODULE], check=False, stderr=subprocess.DEVNULL).returncode == 0


def done():
    """Removes it."""
    subprocess.run(["rmmod", MODULE], check=True)


def almost(state, event):
    """Has the machine go to sleep, which it gives up when everybody has been told; the errno."""
    with open(f"{ACTIONS}/{event}/error", "w", encoding="ascii") as file:
        file.write("-16")
    try:
        with open("/sys/power/state", "w", encoding="ascii") as file:
            file.write(state)
    except OSError as error:
        return error.errno
    finally:
        with open(f"{ACTIONS}/{event}/error", "w", encoding="ascii") as file:
            file.write("0")
    return 0
