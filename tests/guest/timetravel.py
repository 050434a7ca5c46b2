# SPDX-License-Identifier: GPL-2.0
"""The protocol's timers over days, by the numbers in section 6 of the WireGuard paper. Run by
timetravel.sh, in a kernel where time passes only while everything waits; the scenarios are in
timetravel/.

A scenario has a device in `left' and one in `right', datagrams that both say to each other at times
that it chooses, and a wire in between which keeps record of each packet and its time. Nothing takes
any time on the wire, so what follows from an event has the same time as the event. Timers are the
kernel's: they fire late by up to the step of their level of the timer wheel, which at 100 Hz is
0.64 s for those of 5 to 40 s.
"""

import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "lib"), os.path.join(HERE, "timetravel")]
import tap  # noqa: E402

# In this order.
import sessions  # noqa: E402, F401
import keepalives  # noqa: E402, F401
import silence  # noqa: E402, F401
import secrets_end  # noqa: E402, F401
import load  # noqa: E402, F401
import moves  # noqa: E402, F401
import told  # noqa: E402, F401
import model  # noqa: E402, F401

tap.run()
