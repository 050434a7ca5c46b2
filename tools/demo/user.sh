#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The demo's first act, as a user without rights: she opens sockets where she
# is, and enters namespaces of her own, where the second act plays.

set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
# shellcheck source=tools/demo/say.sh
. "$here/say.sh"

say "This is Alice, with no rights at all:"
run "id"
run "grep CapEff /proc/self/status"
run "ip link add wg0 type wireguard" || :

say "She opens one UDP socket for IPv4 and one for IPv6, as every program may.
They are her proof that she could run WireGuard here, in userspace."
# To the machine's own addresses: nothing is ever sent.
run "exec 100<>/dev/udp/127.0.0.1/9"
run "exec 101<>/dev/udp/::1/9"
run "readlink /proc/self/fd/100 /proc/self/fd/101"

say "Then she enters a user and a network namespace of her own.
In there she is root; there is nothing in there but a loopback device."
printf '\n$ %s\n' "unshare --map-root-user --net --mount bash"
exec unshare --map-root-user --net --mount bash "$here/namespace.sh"
