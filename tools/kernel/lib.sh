# shellcheck shell=bash disable=SC2016 # single quotes: expanded elsewhere, on purpose
# SPDX-License-Identifier: GPL-2.0
#
# What the build and VM scripts share: where things are, how steps are printed,
# how packages get onto the host, and how to work inside a Debian root folder.

set -euo pipefail

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cache=${CACHE:-$top/.cache}
mkdir -p "$cache"
cache=$(cd "$cache" && pwd)
# shellcheck source=tools/kernel/cache.sh
. "$top/tools/kernel/cache.sh"

suite=trixie

# The root folder that code for the kernels of a suite is built in.
root_of() { # SUITE
	if [ "$1" = trixie ]; then echo "$cache/root"; else echo "$cache/root-$1"; fi
}
# shellcheck disable=SC2034 # used by the scripts that read this
root=$(root_of $suite)

die() {
	printf '%s: %s\n' "${0##*/}" "$1" >&2
	shift
	[ $# -eq 0 ] || printf '  %s\n' "$@" >&2
	exit 1
}

# Kbuild takes a folder's name apart.
case $top$cache in
*[[:space:]]*) die "there is a space in $top or $cache" "kernels cannot be built in such a folder" ;;
esac

# --- progress ---------------------------------------------------------------

step_n=0
step_of=0
steps() { step_of=$1; }

clock() { printf '%d:%02d' $((SECONDS / 60)) $((SECONDS % 60)); }

step() {
	step_n=$((step_n + 1))
	printf '[%d/%d %5s] %s\n' "$step_n" "$step_of" "$(clock)" "$*" >&2
}

note() { printf '            %s\n' "$*" >&2; }

# Run a command whose output matters only when it fails.
quietly() {
	local log=$1
	shift
	if ! "$@" >"$log" 2>&1; then
		tail -n 40 "$log" >&2
		die "failed: $*" "the whole log: $log"
	fi
}

# --- becoming root ----------------------------------------------------------

# A root folder holds files of many owners. Root handles them as they are;
# anyone else does it in a user namespace, with the ids of /etc/subuid.
if [ "$(id -u)" = 0 ]; then
	as_root=()
	as_root_mount=(unshare --mount --propagation private)
else
	as_root=(unshare --user --map-root-user --map-auto)
	as_root_mount=("${as_root[@]}" --mount --propagation private)
fi

# --- packages on the host ---------------------------------------------------

# need_host COMMAND:PACKAGE… : have these commands here, installing if allowed.
need_host() {
	local pair missing=()
	for pair; do
		PATH=$PATH:/usr/sbin:/sbin command -v "${pair%%:*}" >/dev/null ||
			[ -e "${pair%%:*}" ] || missing+=("${pair#*:}")
	done
	[ ${#missing[@]} -gt 0 ] || return 0

	# A fresh machine may be updating itself, which takes minutes.
	local install=(apt-get -o DPkg::Lock::Timeout=600 -o Acquire::Retries=3
		install --no-install-recommends -y "${missing[@]}")
	[ "$(id -u)" = 0 ] || die "this machine lacks: ${missing[*]}" \
		"install with: sudo ${install[*]}"
	command -v apt-get >/dev/null || die "this machine lacks: ${missing[*]}"
	note "installing on this machine: ${missing[*]}"
	export DEBIAN_FRONTEND=noninteractive
	# apt does not wait for another one of its kind.
	lock 7 "$cache/host-packages.lock"
	if ! "${install[@]}" >"$cache/host-packages.log" 2>&1; then
		# A fresh machine has no package lists, or old ones.
		quietly "$cache/host-packages.log" apt-get -o Acquire::Retries=3 update
		quietly "$cache/host-packages.log" "${install[@]}"
	fi
	exec 7>&-
}

claim "$cache"

# --- the archive ------------------------------------------------------------

# The Debian mirror that this machine's apt is set up with.
mirror() {
	if [ -n "${DEBIAN_MIRROR:-}" ]; then
		echo "$DEBIAN_MIRROR"
		return
	fi
	local uri
	# The Release file tells which of apt's sources is Debian's main archive;
	# before the first "apt-get update" only the suite's name hints at it.
	uri=$(apt-get indextargets --format '$(ORIGIN)/$(LABEL) $(COMPONENT) $(REPO_URI)' \
		"Created-By: Packages" 2>/dev/null |
		awk '$1 == "Debian/Debian" && $2 == "main" { print $3; exit }')
	# Elsewhere "main" is another archive.
	[ -n "$uri" ] || grep -qsx 'ID=debian' /etc/os-release ||
		die "this machine is not Debian, so its apt knows no Debian mirror" \
			"set DEBIAN_MIRROR to the address of one"
	[ -n "$uri" ] || uri=$(apt-get indextargets \
		--format '$(RELEASE) $(COMPONENT) $(REPO_URI)' "Created-By: Packages" 2>/dev/null |
		awk '$2 == "main" && $1 !~ /security/ { print $3; exit }')
	[ -n "$uri" ] || die "apt here names no Debian mirror" \
		"set DEBIAN_MIRROR to the address of one"
	echo "$uri"
}

# What apt has to know for a suite: experimental has no compilers of its own, and no
# kernel that sid's could not build.
sources_of() { # SUITE
	local uri part
	uri=$(mirror)
	case $1 in
	sid) set -- sid experimental ;;
	forky) ;;
	*) set -- "$1" "$1-backports" ;;
	esac
	for part; do
		echo "deb $uri $part main"
	done
}

# archive SUITE COMMAND… : apt-get or apt-cache about another suite than this machine's, for
# amd64 and arm64, with lists of its own that need no root.
archive() {
	local suite=$1 command=$2 dir=$cache/lists/$1
	shift 2
	mkdir -p "$dir"/{lists,archives}/partial
	: >>"$dir/status"
	[ -s "$dir/sources.list" ] || sources_of "$suite" |
		sed 's,^deb ,&[signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] ,' >"$dir/sources.list"
	"$command" -o Dir::State="$dir" -o Dir::State::status="$dir/status" -o Dir::Cache="$dir" \
		-o Dir::Etc::sourcelist="$dir/sources.list" -o Dir::Etc::sourceparts=/dev/null \
		-o APT::Architecture=amd64 -o APT::Architectures::=amd64 -o APT::Architectures::=arm64 \
		-o APT::Sandbox::User=root -o Acquire::Languages=none \
		-o Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false \
		-o Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled=false "$@"
}

# kernels_in SUITE : the kernels with headers that a suite has, "RELEASE VERSION" in each line.
kernels_in() {
	need_host /usr/share/keyrings/debian-archive-keyring.gpg:debian-archive-keyring
	# Lists of a day ago will do.
	if [ -z "$(find "$cache/lists/$1/updated" -mmin -1440 2>/dev/null)" ]; then
		mkdir -p "$cache/lists/$1"
		quietly "$cache/lists/$1.log" archive "$1" apt-get -o APT::Update::Error-Mode=any update
		: >"$cache/lists/$1/updated"
	fi
	archive "$1" apt-cache dumpavail | awk '
		$1 == "Package:" { name = $2 }
		$1 == "Version:" { version = $2 }
		/^$/ && name ~ /^linux-headers-[0-9].*-(amd64|arm64|arm64-16k)$/ {
			sub("linux-headers-", "", name); print name, version
		}' | sort -V
}

# The suite that a kernel is of: its name tells trixie's, the archive others.
suite_of() { # RELEASE
	local s
	if [ -s "$cache/kernel/$1/suite" ]; then
		cat "$cache/kernel/$1/suite"
		return
	fi
	case $1 in
	*+deb13-*) echo trixie && return ;;
	esac
	# Kernels of our own are built with trixie's compilers.
	[ ! -e "$cache/kernel/$1/tree" ] || { echo trixie && return; }
	for s in forky sid; do
		if kernels_in $s | grep "^$1 " >/dev/null; then
			echo $s
			return
		fi
	done
	echo trixie
}

# The architecture of a kernel, as Debian names it.
arch_of() { # RELEASE
	case $1 in
	*-arm64*) echo arm64 ;;
	*) echo amd64 ;;
	esac
}

# What emulates an architecture, as need_host wants it.
qemu_of() { # ARCH
	case $1 in
	arm64) echo qemu-system-aarch64:qemu-system-arm ;;
	*) echo qemu-system-x86_64:qemu-system-x86 ;;
	esac
}

# new_root DIR "PACKAGE…" [MORE mmdebstrap options…] : make a root folder of $suite.
# Built aside and renamed, so that what exists is whole.
new_root() {
	local dir=$1 packages=$2 sources conf=$1.apt.conf
	shift 2
	mapfile -t sources < <(sources_of "$suite")
	[ ${#sources[@]} -gt 0 ] || exit 1
	apt_settings >"$conf"
	"${as_root[@]}" rm -rf "$dir.new"
	local args=(--variant=minbase --aptopt="$conf" --include="$packages"
		--aptopt='APT::Install-Recommends "false"'
		--dpkgopt='path-exclude=/usr/share/man/*'
		--dpkgopt='path-exclude=/usr/share/locale/*'
		--dpkgopt='path-exclude=/usr/share/doc/*'
		--dpkgopt='path-exclude=/usr/share/rustc-*/doc/*' "$@")
	if [ "$(id -u)" = 0 ]; then
		# In a mount namespace, so that nothing can stay mounted in there
		# for the "rm" above to run into.
		quietly "$dir.log" "${as_root_mount[@]}" mmdebstrap --mode=root \
			"${args[@]}" "$suite" "$dir.new" "${sources[@]}"
	else
		"${as_root[@]}" true 2>/dev/null || die "a user needs a range of subordinate ids to build here" \
			"root adds one with: usermod --add-subuids 100000-165535 --add-subgids 100000-165535 $(id -un)"
		mkdir -p "$dir.new"
		quietly "$dir.log" bash -o pipefail -c '
			dir=$1; shift
			mmdebstrap --mode=unshare --format=tar "$@" |
			unshare --user --map-root-user --map-auto \
				tar -x --numeric-owner --exclude="./dev/*" -C "$dir"' \
			- "$dir.new" "${args[@]}" "$suite" - "${sources[@]}"
	fi
	"${as_root[@]}" mv "$dir.new" "$dir"
}

# in_root DIR COMMAND… : run a command inside a root folder. The repository and
# the cache are there under the paths they have here, so that messages name
# files as the caller knows them. The mounts are in a namespace of their own
# and go with the command, however it ends.
in_root() {
	local dir=$1 proxies
	shift
	mapfile -t proxies < <(proxies)
	"${as_root_mount[@]}" bash -c '
		set -euo pipefail
		dir=$1 here=$2
		shift 2
		proxies=()
		while [ "$1" != -- ]; do
			proxies+=("$1")
			shift
		done
		shift
		n=$1
		shift
		mount --rbind /proc "$dir/proc"
		mount --rbind /dev "$dir/dev"
		for ((i = 0; i < n; i++)); do
			mkdir -p "$dir$1"
			mount --rbind "$1" "$dir$1"
			shift
		done
		if [ -e /etc/resolv.conf ]; then
			[ -e "$dir/etc/resolv.conf" ] || : >"$dir/etc/resolv.conf"
			# Read-only: it is the file of the host.
			mount --bind "$(readlink -f /etc/resolv.conf)" "$dir/etc/resolv.conf"
			mount -o remount,bind,ro "$dir/etc/resolv.conf"
		fi
		exec chroot "$dir" /usr/bin/env -i HOME=/root LANG=C.UTF-8 \
			PATH=/usr/sbin:/usr/bin:/sbin:/bin TERM="${TERM:-dumb}" \
			DEBIAN_FRONTEND=noninteractive "${proxies[@]}" \
			/bin/sh -c '\''cd "$1" && shift && exec "$@"'\'' - "$here" "$@"
	' - "$dir" "$top" "${proxies[@]}" -- 2 "$top" "$cache" "$@"
}
