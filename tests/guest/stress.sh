#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# stress.sh [SCENARIO…] : floods, little memory, many devices and peers, CPUs
# that go, sleep, and everything together, while two streams through a tunnel
# have to arrive as they were sent; stress.py has the scenarios. DEVICES, PEERS
# and ROUNDS are how many. MODULE=intree runs all but the moves on the kernel's
# own module.

set -euo pipefail
cd "$(dirname "$0")"

if command -v use-module >/dev/null; then
	use-module "${MODULE:-ours}"
fi
modprobe wireguard
exec python3 -B stress.py "$@"
