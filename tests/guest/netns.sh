#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The kernel's netns.sh on our module, with stock wg.

exec /wg/tests/guest/lib/netns-sh "netns.sh with stock wg" /usr/bin/wg
