#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# install.sh : "make install" puts everything where it belongs, and "make
# uninstall" takes exactly that away.

# shellcheck disable=SC2317 # much is called through check
set -euo pipefail
cd "$(dirname "$0")/.."
make -s wg >/dev/null
[ -e wireguard.ko ] || make -s module >/dev/null

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
# shellcheck source=tests/common/check.sh
. tests/common/check.sh
files() { (cd "$dir" && find . -type f -printf '%m %P\n' | sort -k 2); }
wanted() { # FILE…
	diff <(printf '%s\n' "$@") <(files)
}
empty() { [ -z "$(ls -A "$dir")" ] || { find "$dir" && false; }; }
tools=(
	"755 opt/bin/wg"
	"755 opt/bin/wg-rootless"
	"644 opt/lib/systemd/user/wg-rootless-endpoints@.service"
	"644 opt/lib/systemd/user/wg-rootless-endpoints@.timer"
	"644 opt/lib/systemd/user/wg-rootless@.service"
	"644 opt/share/bash-completion/completions/wg"
	"644 opt/share/bash-completion/completions/wg-rootless"
	"644 opt/share/fish/vendor_completions.d/wg-rootless.fish"
	"644 opt/share/fish/vendor_completions.d/wg.fish"
	"644 opt/share/man/man1/wg-rootless.1"
	"644 opt/share/man/man8/wg.8"
	"644 opt/share/zsh/site-functions/_wg"
	"644 opt/share/zsh/site-functions/_wg-rootless"
)
release=$(PATH=$PATH:/usr/sbin:/sbin modinfo -F vermagic wireguard.ko | cut -d' ' -f1)
mod="644 lib/modules/$release/updates/wireguard.ko"

prefix() { make -s "$@" DESTDIR="$dir" PREFIX=/opt; }
runs() { "$dir/opt/bin/$1" --version; }
check "install" prefix install
check "puts the tools there, and what belongs to them" wanted "${tools[@]}"
check "wg runs" runs wg
check "wg-rootless runs" runs wg-rootless
check "install once more" prefix install
check "module-install" prefix module-install
check "puts the module where its kernel finds it" wanted "$mod" "${tools[@]}"
check "module-uninstall" prefix module-uninstall
check "takes the module away and nothing else" wanted "${tools[@]}"
check "module-install again" prefix module-install
fails() { ! "$@"; }
check "module-uninstall of another kernel finds nothing" fails prefix module-uninstall KERNEL=none
check "leaves what this one has" wanted "$mod" "${tools[@]}"
check "module-uninstall of this one by name" prefix module-uninstall KERNEL="$release"
check "takes this one away" wanted "${tools[@]}"
touch "$dir/opt/bin/other"
check "uninstall" prefix uninstall
check "leaves what others put there" wanted "644 opt/bin/other"
rm "$dir/opt/bin/other"
check "install again" prefix install
check "uninstall again" prefix uninstall
check "leaves nothing, nor empty folders" empty
exit $((failed != 0))
