#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# no-ipv6.sh : a kernel whose IPv6 is off asks for no credential for it. Needs a
# guest that was booted so, else it has nothing to test:
# VM_APPEND: ipv6.disable=1

set -euo pipefail
cd "$(dirname "$0")"

if command -v use-module >/dev/null; then
	use-module "${MODULE:-ours}"
fi
modprobe wireguard
exec python3 -B no-ipv6.py
