#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# hers.sh [SCENARIO…] : what a host rules by acts on a device whose sockets were
# bought with credentials as on a UDP program that the same user runs beside it,
# over IPv4 and IPv6; hers/ has the scenarios. With arguments only those whose
# names begin so.

set -euo pipefail
cd "$(dirname "$0")"

if command -v use-module >/dev/null; then
	use-module "${MODULE:-ours}"
fi
modprobe wireguard
exec python3 -B hers.py "$@"
