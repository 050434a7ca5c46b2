#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# churn.sh : a device's sockets move back and forth a thousand times under a
# running TCP stream; churn.py does it. MOVES is another number of times.

set -euo pipefail
cd "$(dirname "$0")"

if command -v use-module >/dev/null; then
	use-module "${MODULE:-ours}"
fi
modprobe wireguard
exec python3 -B churn.py
