#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# rootless.sh : wg-rootless, as a user without rights: commands and containers
# behind a tunnel, and what is left when they end; rootless.py does it.

set -euo pipefail
cd "$(dirname "$0")"

use-module ours
exec python3 -B rootless.py "$@"
