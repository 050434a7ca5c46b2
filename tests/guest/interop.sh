#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# vm: peers
#
# Our module against other implementations: wireguard-go and boringtun-cli, each
# as the far end of tunnels of its own.
#
#   a  we start the handshake, over IPv4: traffic, roaming, keepalives
#   b  they do, over IPv6, with a preshared key, at first with different ones
#   c  one side is flooded with handshakes, so that it asks for cookies
#   r  tunnels that just answer pings, from the start to past REKEY_AFTER_TIME
#
# The kernel's own C module is not among the others, since one kernel has but
# one "wireguard". MODULE=intree runs the same tests on it instead of on ours:
# what fails then as well is not ours to mend.

set -u
cd "$(dirname "$0")" || exit

# How long the pings of r take: REKEY_AFTER_TIME, a handshake, and some more.
ping_time=${PING_TIME:-134}
kinds=${KINDS:-go bt}
peers=${WG_ROOT:-/wg}/files/peers
work=/tmp/interop
mkdir -p $work

# --- the report ------------------------------------------------------------------

n=0
failed=0

result() { # STATUS DESCRIPTION
	n=$((n + 1))
	if [ "$1" -eq 0 ]; then
		echo "ok $n $2"
	else
		echo "not ok $n $2"
		failed=$((failed + 1))
	fi
	return "$1"
}

check() { # DESCRIPTION COMMAND…
	local what=$1
	shift
	"$@" >$work/check.log 2>&1
	if ! result $? "${t:+$t: }$what"; then
		echo "# it was: $*"
		sed 's/^/# /' $work/check.log
		# The first failure tells most; the others are often its effects.
		[ $failed -gt 3 ] || diagnose | sed 's/^/# /'
		return 1
	fi
}

diagnose() {
	[ -z "$t" ] || {
		us ip -o addr show
		us wg show wg0
		them ip -o addr show
		them wg show "$t"
		us nft list counters
		tail -n 15 "$work/$t.log"
	}
	dmesg | tail -n 25
}

skip() { # NAME WHY
	n=$((n + 1))
	echo "ok $n ${t:+$t: }$1 # SKIP $2"
}

# Wait for a condition, a few times a second.
within() { # SECONDS COMMAND…
	local end=$((SECONDS + $1))
	shift
	until "$@"; do
		[ $SECONDS -lt $end ] || return 1
		sleep 0.2
	done
}

not() { ! "$@"; }

# --- tunnels -----------------------------------------------------------------------

# $t names the tunnel that everything below is about. It has two namespaces with
# a cable between them; our device is wg0 in one of them, and theirs has the name
# of the tunnel, since all the sockets to configure them with share a folder.
t=
us() { ip netns exec "us-$t" "$@"; }
them() { ip netns exec "them-$t" "$@"; }

our_port=1000 their_port=2000

# Counts what goes over the cable, by the first byte of a message, its length
# and, of initiations, whether the last 16 bytes say something; and UDP GSO packets,
# which are longer than the cable takes. Floods (see cookie) do not count.
count_messages() { # to a file for nft
	local hook dev name
	echo "table inet seen {"
	for name in {initiation,mac2,response,cookie,keepalive,train}_{in,out}; do
		echo "counter $name { }"
	done
	for hook in in out; do
		dev=${hook:0:1}ifname
		cat <<-END
			chain $hook {
				type filter hook ${hook}put priority 0
				$dev != veth accept
				ip saddr 10.0.0.77 accept
				ip daddr 10.0.0.77 accept
				udp length 156 @th,64,8 1 counter name initiation_$hook
				udp length 156 @th,64,8 1 @th,1120,128 != 0 counter name mac2_$hook
				udp length 100 @th,64,8 2 counter name response_$hook
				udp length 72 @th,64,8 3 counter name cookie_$hook
				udp length 40 @th,64,8 4 counter name keepalive_$hook
				udp length > 2000 counter name train_$hook
			}
		END
	done
	echo "}"
}

counters() { # us|them : "NAME NUMBER" in lines
	"$1" nft list counters | awk '$1 == "counter" { name = $2 } $1 == "packets" { print name, $2 }'
}
seen() { # us|them COUNTER : how many
	counters "$1" | awk -v name="$2" '$1 == name { print $2 }'
}
forget() {
	us nft reset counters >/dev/null
	them nft reset counters >/dev/null
}
at_least() { # NUMBER us|them COUNTER
	[ "$(seen "$2" "$3")" -ge "$1" ]
}

tunnel() { # NAME : both ends, with keys and addresses, but without peers
	local end daemon
	t=$1
	for end in us them; do
		ip netns add "$end-$t"
	done
	ip link add veth netns "us-$t" type veth peer name veth netns "them-$t"
	us nft -f $work/seen.nft
	them nft -f $work/seen.nft

	ip -n "us-$t" link add wg0 type wireguard
	case ${t%%-*} in
	go) daemon=(env "LOG_LEVEL=${log_level:-verbose}" wireguard-go -f) ;;
	# With several threads packets of one stream overtake each other.
	bt) daemon=("$peers/boringtun-cli" -f -v debug -t 1 --disable-drop-privileges) ;;
	esac
	ip netns exec "them-$t" "${daemon[@]}" "$t" >"$work/$t.log" 2>&1 &
	daemons[$t]=$!
	within 20 test -S "/run/wireguard/$t.sock" || return

	us wg set wg0 private-key $work/us.key listen-port $our_port || return
	them wg set "$t" private-key $work/them.key listen-port $their_port || return
	address us 1 wg0
	address them 2 "$t"
}

remove_tunnel() {
	kill "${daemons[$t]}"
	wait "${daemons[$t]}"
	unset "daemons[$t]"
	ip netns del "us-$t"
	ip netns del "them-$t"
	t=
} 2>/dev/null

address() { # us|them LAST DEVICE
	ip -n "$1-$t" -batch - <<-END
		link set lo up
		addr add 10.0.0.$2/24 dev veth
		addr add fd00::$2/64 dev veth nodad
		link set veth up
		addr add 192.168.9.$2/24 dev $3
		addr add fd09::$2/64 dev $3 nodad
		link set $3 mtu 1420 up
	END
}

# A new outer address and port in place of those that were. The address goes
# first, so that nothing can be sent from it any more.
move() { # us|them LAST PORT
	local device=wg0
	[ "$1" = us ] || device=$t
	ip -n "$1-$t" addr flush dev veth scope global
	ip -n "$1-$t" addr add "10.0.0.$2/24" dev veth
	ip -n "$1-$t" addr add "fd00::$2/64" dev veth nodad
	"$1" wg set "$device" listen-port "$3"
}

# Peers are made anew every time: boringtun cannot change one, and what was agreed
# on before has to be forgotten.
our_peer() { # [SETTING…]
	us wg set wg0 peer "$their_key" remove
	us wg set wg0 peer "$their_key" allowed-ips 192.168.9.2/32,fd09::2/128 "$@"
}
their_peer() {
	them wg set "$t" peer "$our_key" remove
	them wg set "$t" peer "$our_key" allowed-ips 192.168.9.1/32,fd09::1/128 "$@"
}

ping_them() { us ping -q -c "${2:-2}" -i 0.2 -W "${3:-8}" "$1"; }
ping_us() { them ping -q -c "${2:-2}" -i 0.2 -W "${3:-8}" "$1"; }

our_handshake() { us wg show wg0 latest-handshakes | cut -f 2; }
no_handshake() { [ "$(our_handshake)" = 0 ]; }
our_received() { us wg show wg0 transfer | cut -f 2; }

endpoint_is() { # us|them ENDPOINT
	local device=wg0
	[ "$1" = us ] || device=$t
	"$1" wg show "$device" endpoints | cut -f 2
	[ "$("$1" wg show "$device" endpoints | cut -f 2)" = "$2" ]
}

# Who started it, and that nobody else did: as our end of the cable saw it.
started_by() { # us|them
	counters us >$work/counters
	started "$1" 1 $work/counters
}
started() { # us|them TIMES COUNTERS
	local want=out wrong=in
	[ "$1" = us ] || want=in wrong=out
	cat "$3"
	awk -v times="$2" -v want="_$want" -v wrong="_$wrong" '
		{ n[$1] = $2 }
		END {
			exit !(n["initiation" want] >= times && n["response" wrong] >= times &&
				!n["initiation" wrong])
		}' "$3"
}

# A megabyte by TCP, compared at the other end.
carry() { # us|them 4|6 : from, IP version
	local to=us last=1 from=$1 v=$2 host listener status=0 seconds=30
	[ "$from" = them ] || to=them last=2
	host=192.168.9.$last
	[ "$v" = 4 ] || host="[fd09::$last]"
	rm -f $work/got
	[ ! -e /sys/kernel/debug/kmemleak ] || seconds=120
	timeout $seconds ip netns exec "$to-$t" socat -u "TCP$v-LISTEN:5000,reuseaddr" \
		OPEN:$work/got,creat,trunc &
	listener=$!
	timeout $seconds ip netns exec "$from-$t" socat -u OPEN:$work/data \
		"TCP$v:$host:5000,retry=50,interval=0.2" || status=$?
	wait $listener || status=$?
	cmp $work/data $work/got || status=$?
	return $status
}

# Packets of every length modulo 16, which is what they are padded to, and the
# largest that fits.
every_length() {
	# shellcheck disable=SC2016 # for the other bash
	us bash -ec '
		for i in {0..16} 1391 1392; do
			ping -q -c 1 -W 5 -M "do" -s $i 192.168.9.2
		done
		ping -q -c 1 -W 5 -M "do" -s 1372 fd09::2'
}

traffic() {
	check "1 MB from us to them, IPv4" carry us 4
	check "1 MB from them to us, IPv4" carry them 4
	check "1 MB from us to them, IPv6" carry us 6
	check "1 MB from them to us, IPv6" carry them 6
	# The in-tree module sends none, and neither does boringtun.
	[ "${MODULE:-ours}" != ours ] ||
		check "we sent UDP GSO packets" at_least 1 us train_out
	[ "${t%%-*}" != go ] ||
		check "they sent UDP GSO packets" at_least 1 us train_in
}

# --- a: over IPv4 --------------------------------------------------------------------

# What arrives is authentic only if the device says that it received it.
keepalives_arrive() { # BYTES-RECEIVED-BEFORE
	local now
	now=$(our_received)
	[ $((now - $1)) -ge $((3 * 32)) ] && at_least 3 us keepalive_in
}

scenario_a() {
	local before
	check "there is a device" tunnel "$1-a" || return
	our_peer endpoint 10.0.0.2:$their_port
	their_peer
	check "pings go through" ping_them 192.168.9.2
	check "we started the handshake" started_by us
	check "wg shows the handshake" not no_handshake
	check "packets of all lengths" every_length
	traffic

	# They move; what they send says where to.
	move them 12 2012
	check "they move: their pings arrive" ping_us 192.168.9.1
	check "they move: we know the new endpoint" endpoint_is us 10.0.0.12:2012
	check "they move: our pings arrive there" ping_them fd09::2

	# We do, and send nothing but keepalives.
	us wg set wg0 peer "$their_key" persistent-keepalive 1
	forget
	check "our persistent keepalives arrive" within 6 at_least 3 them keepalive_in
	move us 11 1011
	check "we move: they learn it from keepalives" within 6 endpoint_is them 10.0.0.11:1011
	check "we move: their pings arrive there" ping_us 192.168.9.1
	check "we move: our pings arrive" ping_them 192.168.9.2
	us wg set wg0 peer "$their_key" persistent-keepalive 0

	# They go on by IPv6. Not wireguard-go: once it has sent by IPv4, its IPv6
	# addresses may lose all but their first four bytes.
	if [ "$1" = go ]; then
		their_peer endpoint 10.0.0.11:1011 persistent-keepalive 1
	else
		their_peer endpoint '[fd00::11]:1011' persistent-keepalive 1
		check "they change to IPv6: we do too" within 10 endpoint_is us '[fd00::12]:2012'
		check "they change to IPv6: our pings arrive" ping_them 192.168.9.2
	fi
	forget
	before=$(our_received)
	check "their persistent keepalives arrive" within 10 keepalives_arrive "$before"
	remove_tunnel
}

# --- b: over IPv6, with a preshared key ------------------------------------------------

scenario_b() {
	check "there is a device" tunnel "$1-b" || return

	our_peer preshared-key $work/wrong.psk
	their_peer preshared-key $work/right.psk endpoint "[fd00::1]:$our_port"
	check "other preshared key, they start: no ping arrives" not ping_us fd09::1 1 2
	check "other preshared key, they start: we answered" at_least 1 us response_out
	check "other preshared key, they start: no session" no_handshake
	their_peer preshared-key $work/right.psk
	our_peer preshared-key $work/wrong.psk endpoint "[fd00::2]:$their_port"
	check "other preshared key, we start: no ping arrives" not ping_them fd09::2 1 2
	check "other preshared key, we start: they answered" at_least 1 them response_out
	check "other preshared key, we start: no session" no_handshake

	our_peer preshared-key $work/right.psk
	forget
	their_peer preshared-key $work/right.psk endpoint "[fd00::1]:$our_port"
	check "same preshared key: their pings go through" ping_us fd09::1
	check "they started the handshake" started_by them
	check "wg shows the handshake" not no_handshake
	check "we learned their endpoint" endpoint_is us "[fd00::2]:$their_port"
	traffic
	their_peer preshared-key $work/right.psk
	our_peer preshared-key $work/right.psk endpoint "[fd00::2]:$their_port"
	forget
	check "same preshared key: our pings go through" ping_them fd09::2
	check "we started the handshake" started_by us
	remove_tunnel
}

# --- c: cookies --------------------------------------------------------------------------

# The first initiation gets a cookie in answer, the next, 5 seconds later, has a
# MAC2 and gets a session. But a flood has gaps, where an initiation may slip
# through as it is; then it is done again.
cookie() { # us|them : who is flooded
	local from=them to=us target=1 port=$our_port key=$our_key burst=2000 pause=0.2
	local flood status=1
	if [ "$1" = them ]; then
		from=us to=them target=2 port=$their_port key=$their_key burst=400 pause=0.5
		# The others are busy until a second has passed, boringtun is only
		# while there are more than 100 messages in one.
		[ "${t%%-*}" != bt ] || pause=0.1
	fi
	ip -n "$from-$t" addr add 10.0.0.77/24 dev veth
	ip netns exec "$from-$t" python3 lib/interop-flood.py 10.0.0.77 "10.0.0.$target" \
		"$port" "$key" $burst $pause &
	flood=$!
	sleep 2
	for _ in {1..8}; do
		if [ "$1" = them ]; then
			their_peer
			our_peer endpoint 10.0.0.2:$their_port
		else
			our_peer
			their_peer endpoint 10.0.0.1:$our_port
		fi
		forget
		# Until one is answered, for a flood takes others' room in the sockets.
		"$from" ping -q -c 1 -i 0.5 -w 40 "192.168.9.$target" || break
		echo "cookies: $(seen "$from" cookie_in), initiations with MAC2: $(seen "$to" mac2_in)"
		at_least 1 "$from" cookie_in || continue
		at_least 1 "$to" mac2_in && status=0
		break
	done
	kill $flood
	wait $flood
	ip -n "$from-$t" addr del 10.0.0.77/24 dev veth
	return $status
}

scenario_c() {
	# No line in wireguard-go's log for each message of a flood.
	log_level=error check "there is a device" tunnel "$1-c" || return
	if [ -e /sys/kernel/debug/kmemleak ]; then
		# They would get nothing else done, and we would not be busy.
		skip "cookies" "a kernel that looks for mistakes is too slow to send floods"
	else
		check "they are busy: we come back with their cookie" cookie them
		check "we are busy: they come back with our cookie" cookie us
	fi
	remove_tunnel
}

# --- r: a session grows old -------------------------------------------------------------

declare -A pinging

start_r() { # KIND us|them 4|6
	local kind=$1 who=$2 v=$3 last=1 ip
	check "there is a device" tunnel "$kind-r-$who" || return
	[ "$who" = them ] || last=2
	ip=10.0.0.$last
	[ "$v" = 4 ] || ip="[fd00::$last]"
	if [ "$who" = us ]; then
		our_peer endpoint "$ip:$their_port"
		their_peer
	else
		our_peer
		their_peer endpoint "$ip:$our_port"
	fi
	grow_old "$who" 192.168.9.$last &
	pinging[$t]=$!
	within 10 not no_handshake
	our_handshake >"$work/$t.first"
}

# In the background, so that nothing that happens after the last ping counts.
grow_old() {
	"$1" ping -q -i 1 -w "$ping_time" "$2" >"$work/$t.ping" 2>&1
	our_handshake >"$work/$t.last"
	counters us >"$work/$t.counters"
}

few_lost() {
	cat "$work/$t.ping"
	awk -v time="$ping_time" '/packets transmitted/ { sent = $1; lost = $1 - $4 }
		END { exit !(sent >= time / 2 && lost <= 3) }' "$work/$t.ping"
}

renewed() {
	local age=$(($(<"$work/$t.last") - $(<"$work/$t.first")))
	echo "the last handshake was $age s after the first"
	[ $age -ge 119 ]
}

end_r() { # KIND us|them
	t=$1-r-$2
	[ -n "${pinging[$t]:-}" ] || return
	wait "${pinging[$t]}"
	check "a ping a second for $ping_time s, hardly one lost" few_lost
	check "the session was renewed after 120 s" renewed
	check "who had started it renewed it" started "$2" 2 "$work/$t.counters"
	remove_tunnel
}

# --- all of it --------------------------------------------------------------------------

use-module "${MODULE:-ours}"
modprobe wireguard || exit
modprobe tun
echo 'module wireguard +p' >/sys/kernel/debug/dynamic_debug/control 2>/dev/null

umask 077
for k in us them; do
	wg genkey >$work/$k.key
done
our_key=$(wg pubkey <$work/us.key)
their_key=$(wg pubkey <$work/them.key)
wg genpsk >$work/right.psk
wg genpsk >$work/wrong.psk
head -c 1M /dev/urandom >$work/data
count_messages >$work/seen.nft
declare -A daemons

if ! "$peers/boringtun-cli" --version; then
	echo "boringtun-cli does not run here (tools/vm/peers builds it)"
	exit 1
fi
wireguard-go --version | head -n 1

for kind in $kinds; do
	start_r "$kind" us 6
	start_r "$kind" them 4
done
for kind in $kinds; do
	scenario_a "$kind"
	scenario_b "$kind"
done
for kind in $kinds; do
	end_r "$kind" us
	end_r "$kind" them
done
# Last, because a flood might cost the pings above their answers.
for kind in $kinds; do
	scenario_c "$kind"
done

t=
check "the module can be unloaded" within 10 rmmod wireguard

echo "1..$n"
[ $failed -eq 0 ]
