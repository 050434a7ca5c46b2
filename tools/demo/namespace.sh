#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The demo's second act: root in her own namespaces, nobody outside.

set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
# shellcheck source=tools/demo/say.sh
. "$here/say.sh"

# wg-quick writes to these.
mount -t tmpfs tmpfs /run
mkdir -p /run/resolvconf

ip link set lo up
run "ip -brief link"
run "cat wg0.conf | sed 's/^\\(PrivateKey\\) = .*/\\1 = (hidden)/'"

say "wg-quick brings the tunnel up as on any machine. Because of the default
route it sets a firewall mark as well."
run "wg-quick up ./wg0.conf"

say "But the tunnel's sockets are in this namespace, from where nothing leaves:"
run "ping -c 1 -W 1 10.9.0.1" || :

say "She cannot just move them to the initial namespace, whose process 1 this is:"
run "wg set wg0 transit-netns 1" || :

say "With her two sockets she can."
run "wg set wg0 transit-netns 1 transit-credentials 100,101"

say "And the tunnel works:"
run "ping -c 3 10.9.0.1"
run "ping -c 1 fd09::1"
run "curl -sS http://10.9.0.1/file -o file"
run "sha256sum < file | diff - file.sha256 && echo the file has arrived unharmed"

say "What it looks like. The mark is kept for wg-quick, but no packet carries it
outside, where she may not set marks."
run "wg show"
run "ip -details link show wg0"

# The host has a look.
touch up
until [ -e seen ]; do sleep 0.1; done

say "Done. Had she just left, the namespaces and all in them would be gone too."
run "wg-quick down ./wg0.conf"
