#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# systemd-networkd and a device of its own whose sockets move: it is neither
# disturbed nor does it disturb, and it sees the carrier go with the namespace.

# shellcheck disable=SC2317 # much is called through check
set -uo pipefail
use-module ours
modprobe wireguard || exit 1
umask 022

# shellcheck source=tests/common/check.sh
. "$(dirname "$0")/../common/check.sh"
diagnose() {
	networkctl list --no-legend
	tail -n 20 "$log"
}
# Waits for what takes networkd a moment.
soon() {
	local _
	for _ in {1..300}; do
		! "$@" >/dev/null 2>&1 || return 0
		sleep 0.1
	done
	"$@"
}

log=/tmp/networkd.log
start() {
	# Without udev it asks nobody whether a device is ready; that there is
	# none it takes from a /sys that cannot be written to.
	unshare --mount sh -c 'mount -o remount,bind,ro /sys && exec /lib/systemd/systemd-networkd' \
		>>$log 2>&1 &
	networkd=$!
}
stop() {
	kill "$networkd"
	wait "$networkd"
}
state() { [ "$(networkctl list --no-legend | awk '$2 == "wg7" { print $4, $5 }')" = "$1 $2" ]; }
# What was set up, and which device it is.
settings() {
	cat /sys/class/net/wg7/ifindex
	wg show wg7 dump
	ip -o address show dev wg7
	ip route show dev wg7
}
as_before() { settings | diff /tmp/settings - ; }
sockets_in() { [ "$(wg-ours show wg7 transit-netns)" = "$1" ]; }
addressed() { ip -4 address show wg7 | grep -F "inet $1/"; }
# networkd has said nothing more, and in time enough to do so.
quiet() {
	sleep 3
	[ "$(wc -l <"$log")" -eq "$1" ]
}

key=$(wg genkey)
mkdir -p /etc/systemd/network /run/systemd/netif/{links,leases,lldp}
cat >/etc/systemd/network/wg7.netdev <<END
[NetDev]
Name=wg7
Kind=wireguard
[WireGuard]
PrivateKey=$key
ListenPort=51877
FirewallMark=7
[WireGuardPeer]
PublicKey=$(wg genkey | wg pubkey)
AllowedIPs=10.77.0.0/24,10.78.0.0/16
Endpoint=192.0.2.2:5
END
cat >/etc/systemd/network/wg7.network <<END
[Match]
Name=wg7
[Network]
Address=10.77.0.1/24
[Route]
Destination=10.78.0.0/16
END
chgrp systemd-network /etc/systemd/network/wg7.netdev
chmod 640 /etc/systemd/network/wg7.netdev
chown -R systemd-network: /run/systemd/netif
ip netns add blue
ip netns add green

start
check "networkd makes a device and sets it up" soon state routable configured
check "with the port of its file" [ "$(wg show wg7 listen-port)" = 51877 ]
settings >/tmp/settings
lines=$(wc -l <"$log")

check "the sockets move" wg-ours set wg7 transit-netns blue
check "they are there" sockets_in blue
check "networkd does nothing about it" quiet "$lines"
check "for networkd the device is as before" state routable configured
check "and it is" as_before

echo Address=10.77.0.9/24 >/tmp/address
sed -i '/^Address=/r /tmp/address' /etc/systemd/network/wg7.network
check "networkd can read its files again" kill -HUP "$networkd"
check "what is new there is done" soon addressed 10.77.0.9
check "and the device still set up" soon state routable configured
check "the sockets stay where they are" sockets_in blue
settings >/tmp/settings
stop
start
check "networkd takes the device over when it is started again" soon state routable configured
check "the sockets stay where they were" sockets_in blue
check "and the device as it was" as_before

ip netns del blue
check "when their namespace goes, networkd sees the carrier go" soon state no-carrier configured
check "a new one" wg-ours set wg7 transit-netns green
check "brings the device back" soon state routable configured
check "as it was" soon as_before
stop
ip link del wg7
ip netns del green
exit $((failed != 0))
