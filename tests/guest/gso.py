# SPDX-License-Identifier: GPL-2.0
"""UDP GSO and GRO in the tunnel. gso.py wire FILE writes down what one module sends, gso.py compare
FILE FILE compares what two do; otherwise scenarios are run. Run by gso.sh; the scenarios are in gso/,
by what they are about."""

import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "lib"), os.path.join(HERE, "gso")]
import house  # noqa: E402
import tap  # noqa: E402
import sent  # noqa: E402

if sys.argv[1:2] == ["compare"]:
    sent.compare(*sys.argv[2:])
    tap.end()

house.build()
if sys.argv[1:2] == ["wire"]:
    sent.record(*sys.argv[2:])
    sys.exit()

# In this order.
import hostile  # noqa: E402, F401
import singly  # noqa: E402, F401
import drawn  # noqa: E402, F401
import streams  # noqa: E402, F401
import floods  # noqa: E402, F401

tap.run()
