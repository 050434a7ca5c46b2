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
status=0
python3 wg_diff.py "${WG_STOCK:-wg}" "${WG_OURS:-wg-ours}" || status=1

# What ours says where the feature is missing.
for device in $(wg show interfaces); do
	ip link del "$device" 2>/dev/null || :
done
rmmod wireguard
use-module intree
modprobe wireguard
ip link add wgd-intree type wireguard
said=$(wg-ours set wgd-intree listen-port 7030 transit-netns 1 2>&1) && said="success: $said"
if [[ $said == *"This kernel's wireguard module cannot move its sockets."* ]] &&
	[ "$(wg show wgd-intree listen-port)" = 0 ]; then
	echo "ok the kernel's own module is told from ours, and nothing is changed"
else
	echo "not ok the kernel's own module is told from ours, and nothing is changed"
	echo "#   $said"
	status=1
fi
said=$(wg-ours set wgd-intree listen-port 7030 2>&1) || said="failure: $said"
if [ -z "$said" ] && [ "$(wg-ours show wgd-intree transit-netns)" = "(none)" ]; then
	echo "ok all else works with it"
else
	echo "not ok all else works with it"
	echo "#   $said"
	status=1
fi
exit $status
