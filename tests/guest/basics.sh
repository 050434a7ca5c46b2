#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# What an administrator sees of the module before any packet: it is loaded when
# it is asked for, says what it is, looks like the one it replaces, and goes.

set -u
# shellcheck source=tests/common/check.sh
. "$(dirname "$0")/../common/check.sh"
loaded() { [ -d /sys/module/wireguard ]; }
ours() { grep -q O /sys/module/wireguard/taint && modinfo -n wireguard | grep -q /updates/; }
unload() { rmmod wireguard && ! loaded; }
features() { # of a device, as users see them
	ethtool -k wg0 | grep -E '^(rx-checksumming|tx-checksum-ip-generic|tx-scatter-gather|scatter-gather|generic-segmentation-offload|generic-receive-offload|tcp-segmentation-offload):'
	ip -d link show wg0 | grep -oE 'mtu [0-9]+|POINTOPOINT|NOARP|link/none|minmtu [0-9]+|maxmtu [0-9]+|wireguard|tso_max_size [0-9]+|gso_max_size [0-9]+'
	ip -d link show wg0 | grep -o 'link-netnsid [0-9]*'
	cat /sys/class/net/wg0/{type,addr_len,tx_queue_len}
	grep -v IFINDEX /sys/class/net/wg0/uevent
}

check "it is not loaded at first" eval '! loaded'
check "adding a link loads it" ip link add wg0 type wireguard
check "and it is ours" ours
features >/tmp/features.ours
check "a device can be deleted" ip link del wg0
check "it can be unloaded" unload
check "asking for the netlink family loads it" eval 'wg set nothing fwmark 1 2>&1 | grep -q "No such device" && loaded'
check "it has the version of the in-tree one" eval '[ "$(cat /sys/module/wireguard/version)" = 1.0.0 ]'
check "unloading it takes devices along" eval 'ip link add wg0 type wireguard && rmmod wireguard && ! loaded'
good=0
for _ in {1..10}; do
	ip link add wg0 type wireguard && ip link set wg0 up && rmmod wireguard || break
	good=$((good + 1))
done
check "ten times loaded, used and unloaded" eval '[ $good -eq 10 ] && ! loaded'

use-module intree
check "the in-tree module is there for comparison" eval 'ip link add wg0 type wireguard && ! ours'
features >/tmp/features.intree
check "a device looks like one of the in-tree module" diff /tmp/features.intree /tmp/features.ours
check "the in-tree module can be unloaded" unload
use-module ours
check "and ours comes back" eval 'modprobe wireguard && ours && unload'

[ $failed -eq 0 ]
