# SPDX-License-Identifier: GPL-2.0
"""The rules of docs/transit.md: who may move the sockets of a device where, and what becomes of
it. Run by transit.sh; the scenarios are in transit/, by rule."""

import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "lib"), os.path.join(HERE, "transit")]
import house  # noqa: E402
import tap  # noqa: E402

# In this order.
import story  # noqa: E402, F401
import rights  # noqa: E402, F401
import limits  # noqa: E402, F401
import credentials  # noqa: E402, F401
import changes  # noqa: E402, F401
import states  # noqa: E402, F401

house.build()
tap.run()
