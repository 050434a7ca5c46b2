#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Debian's wg and ours, side by side: the same commands about the same devices
# must print the same on standard output and exit with the same status. Where
# ours differs on purpose is said in wg_diff.py.
#
# WG_STOCK and WG_OURS name the two programs, MODULE=intree tries them with the
# kernel's own module.

set -euo pipefail
cd "$(dirname "$0")"

if command -v use-module >/dev/null; then
	use-module "${MODULE:-ours}"
fi
modprobe wireguard
# For wireguard-go.
modprobe tun || :
exec python3 wg_diff.py "${WG_STOCK:-wg}" "${WG_OURS:-wg-ours}"
