# SPDX-License-Identifier: GPL-2.0
"""Nothing outlives what it belongs to, in whatever order things end. Run by lifetimes.sh; the
scenarios are in lifetimes/.

A round makes a netns for a device (D) and two for its sockets (T and U), all of them without a
name, so that closing a descriptor ends one. T and U lead to the netns `far', where the device has
a peer. The device has another peer that never answers, and sends keepalives to both, so that
timers, routes, handshakes and sessions are there when things end.

That a netns has ended is seen in two ways. The initial netns gives each a number, which is taken
back when nothing holds the netns any more. And the kernel counts namespaces, up to when the last
trace of one is gone; in the end that count has to be what it was.
"""

import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "lib"), os.path.join(HERE, "lifetimes")]
import house  # noqa: E402
import tap  # noqa: E402

# In this order.
import orders  # noqa: E402, F401
import at_once  # noqa: E402, F401
import waiting  # noqa: E402, F401
import remains  # noqa: E402, F401

house.build()
tap.run()
