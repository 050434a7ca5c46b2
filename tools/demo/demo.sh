#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The demo's stage, set up by root in the guest: a server to talk to, with a
# stock WireGuard configuration, on a network that only the initial namespace
# reaches. Then the user comes on, without any rights: see user.sh.

set -euo pipefail
here=$(dirname "$(readlink -f "$0")")

modprobe wireguard

# The world: a router behind eth-world, with a WireGuard server and a web page.
ip netns add server
ip link add eth-world type veth peer name eth0 netns server
ip addr add 198.51.100.1/24 dev eth-world
ip link set eth-world up
ip -n server addr add 198.51.100.2/24 dev eth0
ip -n server link set eth0 up
ip -n server link set lo up

umask 077
mkdir -p /tmp/demo
cd /tmp/demo
wg genkey >server.key
wg genkey >user.key
ip -n server link add wg0 type wireguard
ip netns exec server wg set wg0 private-key server.key listen-port 51820 \
	peer "$(wg pubkey <user.key)" allowed-ips 10.9.0.2/32,fd09::2/128
ip -n server addr add 10.9.0.1/24 dev wg0
ip -n server addr add fd09::1/64 dev wg0
ip -n server link set wg0 up

mkdir -p www
head -c 1M /dev/urandom >www/file
sha256sum <www/file >www/file.sha256
ip netns exec server python3 -m http.server --directory www --bind 10.9.0.1 80 >/dev/null 2>&1 &
server=$!
trap 'kill "$server"; ip netns del server; ip link del eth-world 2>/dev/null || :' EXIT

# Her home, and in it the configuration that somebody gave her.
home=/tmp/alice
mkdir -p "$home"
cat >"$home/wg0.conf" <<END
[Interface]
PrivateKey = $(<user.key)
Address = 10.9.0.2/24, fd09::2/64

[Peer]
PublicKey = $(wg pubkey <server.key)
Endpoint = 198.51.100.2:51820
AllowedIPs = 0.0.0.0/0, ::/0
END
chown -R alice: "$home"
cp www/file.sha256 "$home/" && chmod 644 "$home/file.sha256"

cd "$home"
setpriv --reuid alice --regid alice --clear-groups --inh-caps=-all --bounding-set=-all \
	env -i HOME="$home" USER=alice TERM="$TERM" \
	PATH="/wg/bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin" \
	bash "$here/user.sh" &
alice=$!

# While her tunnel is up, a look from here.
until [ -e "$home/up" ] || ! kill -0 "$alice" 2>/dev/null; do
	sleep 0.1
done
if [ -e "$home/up" ]; then
	# shellcheck source=tools/demo/say.sh
	. "$here/say.sh"
	say "Meanwhile, root on the host sees two sockets more, and no interface:"
	run "ss -uln"
	run "ip link show type wireguard"
	touch "$home/seen"
fi
wait "$alice"
