#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Debian's wg-quick, unchanged, on our wg: up, down, save and strip of a tunnel
# with a default route, whose file names a transit namespace.

set -uo pipefail

# wg-quick looks for wg in its own folder first.
if [ -z "${WG_QUICK_INSIDE:-}" ]; then
	export WG_QUICK_INSIDE=1
	exec unshare --mount "$BASH" "$0" "$@"
fi
mount --bind "$(command -v wg-ours)" "$(command -v wg)" || exit 1
use-module ours
modprobe wireguard || exit 1

failed=0
# shellcheck disable=SC2317 # called through check
check() {
	local what=$1
	shift
	if "$@" >/tmp/check.out 2>&1; then
		echo "ok $what"
	else
		echo "not ok $what"
		sed 's/^/#   /' /tmp/check.out
		failed=$((failed + 1))
	fi
}
# shellcheck disable=SC2317
shows() { grep -qF -- "$1" <<<"$(eval "$2" 2>&1 || :)" || { eval "$2"; false; }; }
# shellcheck disable=SC2317
hides() { ! grep -F -- "$1" <<<"$(eval "$2" || echo "$1: it failed")"; }

for ns in inside blue peer; do
	ip netns add $ns
	ip -n $ns link set lo up
done
# The peer is reached from blue only.
ip -n blue link add to-peer type veth peer name to-blue netns peer
ip -n blue address add 192.0.2.1/24 dev to-peer
ip -n peer address add 192.0.2.2/24 dev to-blue
ip -n blue link set to-peer up
ip -n peer link set to-blue up

umask 077
key=$(wg genkey)
peer_key=$(wg genkey)
ip -n peer link add wgp type wireguard
ip netns exec peer wg set wgp listen-port 51820 private-key <(echo "$peer_key") \
	peer "$(wg pubkey <<<"$key")" allowed-ips 10.7.0.1/32,fd00:7::1/128
ip -n peer address add 10.7.0.2/24 dev wgp
ip -n peer link set wgp up

conf=/etc/wireguard/wgq.conf
mkdir -p /etc/wireguard
cat >$conf <<END
# A comment
[Interface]
Address = 10.7.0.1/24, fd00:7::1/64
PrivateKey = $key
ListenPort = 51821
TransitNetns = blue
PostUp = echo up %i

[Peer]
PublicKey = $(wg pubkey <<<"$peer_key")
AllowedIPs = 0.0.0.0/0, ::/0
Endpoint = 192.0.2.2:51820
PersistentKeepalive = 25
END

inside() { ip netns exec inside "$@"; }
export -f inside shows

check "strip leaves what is for wg" shows "TransitNetns = blue" "wg-quick strip wgq"
check "and takes out the rest" hides "PostUp" "wg-quick strip wgq"
check "up" inside wg-quick up wgq
check "the sockets are where the file says" shows blue "inside wg show wgq transit-netns"
check "there is a mark" shows "fwmark: " "inside wg show wgq"
check "it is applied, since root may" hides "not applied" "inside wg show wgq"
check "a rule leads to the tunnel" shows "lookup 51820" "inside ip rule"
check "ping through the default route" inside ping -c 2 -W 5 10.7.0.2
inside wg set wgq peer "$(wg genpsk)" allowed-ips 10.8.0.0/16
check "save" inside wg-quick save wgq
check "the file has the new peer" shows "10.8.0.0/16" "cat $conf"
check "and the transit namespace" shows "TransitNetns = blue" "cat $conf"
check "and the addresses" shows "Address = 10.7.0.1/24" "cat $conf"
check "of both families" shows "Address = fd00:7::1/64" "cat $conf"
check "down" inside wg-quick down wgq
check "the device is gone" hides wgq "inside ip link"
check "its rules are, too" hides 51820 "inside ip rule"
check "up from the saved file" inside wg-quick up wgq
check "with sockets where it says" shows blue "inside wg show wgq transit-netns"
check "ping again" inside ping -c 2 -W 5 10.7.0.2
check "down again" inside wg-quick down wgq

sed -i 's/^TransitNetns.*/TransitNetns = nowhere/' $conf
check "a namespace that is not there is named" shows "nowhere" "inside wg-quick up wgq"
check "and nothing stays behind" hides wgq "inside ip link"

for ns in inside blue peer; do
	ip netns del $ns
done
exit $((failed != 0))
