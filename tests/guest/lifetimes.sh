#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# lifetimes.sh [SCENARIO…] : namespaces end, devices and sockets move, the
# module is unloaded, in every order; lifetimes/ has the scenarios. With
# arguments only those whose names begin so.

set -euo pipefail
cd "$(dirname "$0")"

if command -v use-module >/dev/null; then
	use-module "${MODULE:-ours}"
fi
modprobe wireguard
exec python3 -B lifetimes.py "$@"
