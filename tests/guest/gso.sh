#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# gso.sh [SCENARIO…] : packets that leave and come in as UDP GSO packets, or as
# what is such a packet on the link, are on the wire what the in-tree module would
# have sent, arrive as they were sent, and who is hostile costs nobody else
# anything; gso/ has the scenarios. With arguments only those whose names begin
# so. Some packets are drawn at random: SEED draws others than each run has, SERIES is how many
# series of them there are.

set -euo pipefail
cd "$(dirname "$0")"

modprobe tun
export SEED=${SEED:-1}
status=0
case $(uname -r) in
# The tap keeps its socket there for good, whichever module is loaded, and kmemleak says so.
*-debug | *-debug-rt) wire= ;;
*) wire=1 ;;
esac
if [ "$wire" ] && { [ $# -eq 0 ] || [ "$1" = wire ]; }; then
	# Each module is loaded in turn, and writes down what it sends.
	records=$(mktemp -d)
	for module in intree ours; do
		use-module "$module"
		modprobe wireguard
		python3 -B gso.py wire "$records/$module"
		ip link del wg0
		ip link del out
		ip netns del far
		until rmmod wireguard 2>/dev/null; do sleep 0.1; done
	done
	python3 -B gso.py compare "$records"/{intree,ours} || status=1
	[ $# -eq 0 ] || exit $status
fi
use-module "${MODULE:-ours}"
modprobe wireguard
python3 -B gso.py "$@" || status=1
exit $status
