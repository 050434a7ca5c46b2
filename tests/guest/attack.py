# SPDX-License-Identifier: GPL-2.0
"""What somebody would try who wants more than her rights from a move. Run by attack.sh; the scenarios
are in attack/, by what they are about.

The suite transit has the rules one by one; here are the ways around them. What a refused request
looked at must not stay behind: the kernel counts open files exactly, and a netns ends only when no
socket and no device in it is held.
"""

import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "lib"), os.path.join(HERE, "attack")]
import house  # noqa: E402
import tap  # noqa: E402

# In this order.
import descriptors  # noqa: E402, F401
import races  # noqa: E402, F401
import programs  # noqa: E402, F401
import limits  # noqa: E402, F401
import devices  # noqa: E402, F401
import users  # noqa: E402, F401
import remains  # noqa: E402, F401

house.build()
tap.run()
