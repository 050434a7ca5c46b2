#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# vm: kernel debug
#
# The kernel's netns.sh on our module, with our wg and with UDP GSO turned off on
# each device that it makes; on the debug kernel, since netns.sh has the stock one.

exec /wg/tests/guest/lib/netns-sh "netns.sh with our wg, without UDP GSO" /wg/bin/wg off
