#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# transit.sh [SCENARIO…] : the rules of docs/transit.md and its table of
# refusals, one scenario for each; transit/ has them. With arguments only
# those whose names begin so.

set -euo pipefail
cd "$(dirname "$0")"

if command -v use-module >/dev/null; then
	use-module "${MODULE:-ours}"
fi
modprobe wireguard
exec python3 -B transit.py "$@"
