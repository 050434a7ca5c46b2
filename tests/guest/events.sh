#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# events.sh [SCENARIO…] : each event is told once for its cause, in order, to
# those who may read the device and to nobody else; and `wg monitor', the JSON
# of `wg show', its metrics, and the description of the family for the kernel's
# YNL tool. events.py has the scenarios.
#
# vm: ynl

set -euo pipefail
cd "$(dirname "$0")"

if command -v use-module >/dev/null; then
	use-module ours
fi
modprobe wireguard
exec python3 -B events.py "$@"
