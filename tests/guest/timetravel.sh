#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# vm: kernel uml-time
# VM_APPEND: time-travel=inf-cpu
#
# timetravel.sh [SCENARIO…] : days of simulated time with the real module;
# timetravel/ has the scenarios. With arguments only those whose names begin
# so. MODULE=intree shows what the kernel's own module makes of those that do
# without moves.

set -euo pipefail
cd "$(dirname "$0")"

use-module "${MODULE:-ours}"
modprobe wireguard
# What it says of keys goes to the kernel's log.
echo "module wireguard +p" >/proc/dynamic_debug/control
# Booting takes no time here, and the kernel's own module refuses handshakes in
# the first 20 ms of all time.
sleep 1
exec python3 -B timetravel.py "$@"
