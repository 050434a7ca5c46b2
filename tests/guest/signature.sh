#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# A kernel that enforces signatures of modules refuses ours, which has none here, and says so; the
# in-tree one, which Debian has signed, serves.
#
# VM_APPEND: module.sig_enforce=1

set -u
# shellcheck source=tests/common/check.sh
. "$(dirname "$0")/../common/check.sh"

if ! grep -qx Y /sys/module/module/parameters/sig_enforce; then
	echo "ok 1 signatures are enforced # SKIP this kernel cannot"
	exit 0
fi
check "the module is refused, for its key" eval 'said=$(modprobe wireguard 2>&1); [ $? -ne 0 ] && echo "$said" &&
	echo "$said" | grep -q "Key was rejected by service"'
check "the log says that it has no signature" eval 'dmesg | grep "Loading of unsigned module is rejected"'
check "nothing of it is left" eval '[ ! -d /sys/module/wireguard ] && ! ip link add wg0 type wireguard'
use-module intree
check "the in-tree module loads" eval 'modprobe wireguard && ip link add wg0 type wireguard'
check "and is the in-tree one" eval '! grep -q O /sys/module/wireguard/taint'
# It cannot move sockets: wg tells that, and why ours is not there, as the package would have kept it.
mkdir -p /var/lib/wireguard-rs
printf 'the reason is this\nDo that.\n' >"/var/lib/wireguard-rs/$(uname -r)"
check "wg tells why ours is not there" eval 'said=$(wg-ours set wg0 transit-netns 1 2>&1); [ $? -ne 0 ] && echo "$said" &&
	echo "$said" | grep -q "cannot move its sockets" && echo "$said" | grep -q "It was not built: the reason is this." &&
	echo "$said" | grep -q "Do that."'

[ $failed -eq 0 ]
