#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# faults.sh [SCENARIO…] : memory runs out, at each allocation of each operation
# in turn; faults.py has them. It takes a kernel that can be told to fail.

# vm: kernel debug
# The kernel reports each slab that cannot be made, and memory that cannot be had.
# vm: tolerate __kmem_cache_create_args.* failed with error
# vm: tolerate vmalloc error: size|page allocation failure

set -euo pipefail
cd "$(dirname "$0")"

modprobe wireguard
exec python3 -B faults.py "$@"
