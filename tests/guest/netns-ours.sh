#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The kernel's netns.sh on our module, with our wg.

exec /wg/tests/guest/lib/netns-sh "netns.sh with our wg" /wg/bin/wg
