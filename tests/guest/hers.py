# SPDX-License-Identifier: GPL-2.0
"""What credentials buy is hers: the table of docs/transit.md, with a plain UDP program of hers beside
the tunnel. Run by hers.sh; the scenarios are in hers/, by what they are about."""

import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "lib"), os.path.join(HERE, "hers")]
import house  # noqa: E402
import tap  # noqa: E402

# In this order.
import netfilter  # noqa: E402, F401
import programs  # noqa: E402, F401
import sandbox  # noqa: E402, F401
import who  # noqa: E402, F401
import lasting  # noqa: E402, F401
import view  # noqa: E402, F401
import amounts  # noqa: E402, F401
import trains  # noqa: E402, F401

house.build()
tap.run()
