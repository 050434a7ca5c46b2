#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# vm: storm
#
# fuzz.sh [SCENARIO…] : netlink messages and packets of all sorts, most of them
# wrong, at devices that are in use; fuzz.py has the scenarios, tools/storm makes
# the messages. SEED repeats a run; MESSAGES and PACKETS are how many.

set -euo pipefail
cd "$(dirname "$0")"

if command -v use-module >/dev/null; then
	use-module "${MODULE:-ours}"
fi
modprobe wireguard
exec python3 -B fuzz.py "$@"
