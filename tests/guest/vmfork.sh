#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# vmfork.sh : the virtual machine is cloned, see vmfork.py. MODULE=intree runs
# it on the kernel's own module.
#
# vm: fork

set -euo pipefail
cd "$(dirname "$0")"

if command -v use-module >/dev/null; then
	use-module "${MODULE:-ours}"
fi
modprobe wireguard
exec python3 -B vmfork.py "$@"
