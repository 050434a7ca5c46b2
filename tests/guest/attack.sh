#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# attack.sh [SCENARIO…] : what somebody would try to get more than her rights
# out of a move, or to leave something behind with it; attack/ has the
# scenarios. With arguments only those whose names begin so. SEED and RACES say
# how descriptors and namespaces change while messages are handled, and how often.

set -euo pipefail
cd "$(dirname "$0")"

if command -v use-module >/dev/null; then
	use-module "${MODULE:-ours}"
fi
modprobe wireguard
exec python3 -B attack.py "$@"
