#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# transit-view.sh [SCENARIO…] : what wg shows and reads of devices whose sockets
# have moved: the zones of link-local endpoints, `wg show transit', what it says
# of marks and of credentials that are switched off. With arguments only
# scenarios whose names begin so, and without what is held of the in-tree module.

set -euo pipefail
cd "$(dirname "$0")"

if command -v use-module >/dev/null; then
	use-module ours
fi
modprobe wireguard
exec python3 -B transit_view.py "$@"
