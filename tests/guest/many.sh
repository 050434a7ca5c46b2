#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# vm: kernel uml-time
# VM_MEM: 6G
#
# many.sh : 1,000 devices, and a device with 10,000 peers, as stress.py has
# fewer on the stock kernel, which is emulated. Each peer has a thread, which
# takes memory. DEVICES, PEERS and MODULE as there.

set -euo pipefail
cd "$(dirname "$0")"

export DEVICES=${DEVICES:-1000} PEERS=${PEERS:-10000}
if [ $# -eq 0 ]; then
	set -- many the_end
fi
exec ./stress.sh "$@"
