#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# dropin.sh [SCENARIO…] : where the sockets of a device are not moved, our module
# is to be told from the kernel's own by nothing that a client can read. Each is
# loaded in turn, dropin.py writes down all that it shows and does, and then the
# two records are compared. With arguments only scenarios whose names begin so.
#
# MODULES="intree intree" compares the kernel's own with itself, which shows
# whether what is compared stays the same where nothing differs.

set -euo pipefail
cd "$(dirname "$0")"

records=$(mktemp -d)
n=0
for module in ${MODULES:-intree ours}; do
	use-module "$module"
	modprobe wireguard
	n=$((n + 1))
	python3 -B dropin.py record "$module" "$records/$n" "$@"
	rmmod wireguard
done
status=0
python3 -B dropin.py compare "$records/1" "$records/2" || status=1
exit $status
