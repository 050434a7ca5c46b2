#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# booted.sh [prebuilt | enforced | unknown | enrolled] : in a machine that was booted from a root folder in which the
# packages are installed (tests/packages/run): the module is DKMS's, or with "prebuilt" that of the
# package for one kernel, the tools are those of the package, and the demo's story works with them.
# With "enforced" the kernel wants signatures of modules and does not know DKMS's key: the module is
# refused, and nothing of it is left. With "unknown" so does one with Secure Boot, and the key is left for
# MokManager with the password "password"; with "enrolled" it knows the key.

set -u
# shellcheck source=tests/common/check.sh
. "$(dirname "$0")/../common/check.sh"
release=$(uname -r)
as_alice() {
	setpriv --reuid alice --regid alice --clear-groups --inh-caps=-all --bounding-set=-all \
		env -i HOME=/tmp/alice USER=alice PATH=/usr/bin:/bin:/usr/sbin:/sbin "$@"
}
# The story, told with what is installed.
story() {
	local said
	said=$(bash /wg/tools/demo/demo.sh 2>&1)
	local status=$?
	echo "$said"
	[ $status -eq 0 ] && grep -q 'the file has arrived unharmed' <<<"$said" &&
		grep -q 'transit netns: nsid 0 (the one of process 1)' <<<"$said" &&
		grep -q 'The kernel says: needs CAP_NET_ADMIN over the transit netns' <<<"$said"
}

if [ "${1:-}" = prebuilt ]; then
	check "the package's module is there for $release" eval "modinfo -n wireguard | grep '/$release/updates/wireguard.ko'"
else
	check "DKMS's module is there for $release" eval "modinfo -n wireguard | grep '/$release/updates/dkms/'"
	check "signed by its key" eval 'modinfo -F signer wireguard | grep -i dkms'
fi
case ${1:-} in
unknown | enrolled)
	modprobe efivarfs
	mount -t efivarfs efivarfs /sys/firmware/efi/efivars
	mount -t securityfs securityfs /sys/kernel/security
	check "Secure Boot is enabled" eval 'mokutil --sb-state | grep "SecureBoot enabled"'
	check "the kernel is locked down" grep -F '[integrity]' /sys/kernel/security/lockdown
	;;
esac
case ${1:-} in
enforced | unknown)
	check "the module is refused, for its key" eval 'said=$(modprobe wireguard 2>&1); [ $? -ne 0 ] && echo "$said" &&
		echo "$said" | grep -q "Key was rejected by service"'
	check "the log says that its key is not known" eval 'dmesg | grep "Loading of module with unavailable key is rejected"'
	check "nothing of it is left" eval '[ ! -d /sys/module/wireguard ] && ! ip link add wg0 type wireguard'
	;;
*)
	check "adding a link loads a module" ip link add wg0 type wireguard
	check "it is that one" eval '[ "$(cat /sys/module/wireguard/version)" = "$(modinfo -F version wireguard)" ] &&
		grep O /sys/module/wireguard/taint'
	[ "${1:-}" = prebuilt ] ||
		check "its version is not that of the kernel's own" grep '^1.0.0+rs' /sys/module/wireguard/version
	check "the device goes" ip link del wg0
	check "wg is of the package" eval 'dpkg -S "$(readlink -f "$(command -v wg)")" | grep wireguard-rs-tools'
	useradd --create-home --uid 1000 --shell /bin/bash alice
	check "the demo's story works" story
	check "wg-rootless gives a command a tunnel" eval 'as_alice wg-rootless /tmp/alice/wg0.conf ip -brief address | grep "^wg0.*10.9.0.2/24"'
	;;
esac
if [ "${1:-}" = unknown ]; then
	check "the kernel's own module can still be loaded" eval 'insmod /lib/modules/$release/kernel/drivers/net/wireguard/wireguard.ko*'
	check "mokutil takes DKMS's key" eval 'mokutil --generate-hash=password >/tmp/hash &&
		mokutil --import /var/lib/dkms/mok.pub --hash-file /tmp/hash && mokutil --list-new | grep -i dkms'
fi

[ $failed -eq 0 ]
