# SPDX-License-Identifier: GPL-2.0
"""Numbers of system calls that Python has no name for."""

import os

# x86-64's are its own, of old; all others have the generic ones.
_NUMBERS = {
    "bpf": (321, 280),
    "delete_module": (176, 106),
    "epoll_create1": (291, 20),
    "finit_module": (313, 273),
    "inotify_init1": (294, 26),
    "mq_open": (240, 180),
    "mq_unlink": (241, 181),
    "signalfd4": (289, 74),
    "timerfd_create": (283, 85),
}
_GENERIC = os.uname().machine != "x86_64"


def number(name):
    """The number of a system call here."""
    return _NUMBERS[name][_GENERIC]
