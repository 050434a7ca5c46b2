# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
#
# The cache folder: that it is ours, and that one script at a time works in it.
# Read by lib.sh.

# In a folder of ours. CACHE is a common name, so the one in the environment may
# be meant for something else, and "make distclean" removes the folder.
mark=made-by-wireguard-build

# claim DIR : make the folder ours, if it is empty or was made by an older version of this.
claim() {
	local f
	[ ! -e "$1/$mark" ] || return 0
	for f in default-release host-packages.lock vm/userland.ready; do
		[ ! -e "$1/$f" ] || { : >"$1/$mark" && return; }
	done
	[ -z "$(ls -A "$1")" ] || die "the folder $1 has other things in it" \
		"it is the one that CACHE in the environment names; name one that is empty," \
		"or unset CACHE to have it in the repository"
	: >"$1/$mark"
}

# unclaim DIR : remove the folder, if it is ours.
unclaim() {
	[ -e "$1/$mark" ] || die "the folder $1 was not made by this, so it is not removed"
	"${as_root[@]}" rm -rf "$1"
}

# lock FD FILE : hold a lock until the descriptor is closed, and say so if it has to be waited for.
lock() {
	eval "exec $1>\"\$2\""
	flock -n "$1" || {
		note "waiting for another one that is at work here ($2)"
		flock "$1"
	}
}

# proxies : the settings by which programs reach the network, as words for env(1).
proxies() {
	local name
	for name in http_proxy https_proxy ftp_proxy all_proxy no_proxy; do
		[ -z "${!name:-}" ] || printf '%s\n' "$name=${!name}"
		name=${name^^}
		[ -z "${!name:-}" ] || printf '%s\n' "$name=${!name}"
	done
}

# apt_settings : how apt here reaches the mirror (proxies, certificates), and whether it takes lists
# that have expired, as those of a mirror that stands still.
apt_settings() {
	apt-config dump 2>/dev/null | grep -E '^Acquire::((https?|ftp)::[^ ]|Check-(Valid-Until|Date) )' || :
}

# Read after what the root was made with.
# apt_as_here DIR : have the apt of a root folder reach the network as that of this machine does now.
apt_as_here() {
	apt_settings | "${as_root[@]}" tee "$1/etc/apt/apt.conf.d/zz-host" >/dev/null
}

# Ends if there is not that much room for what is about to be made.
need_space() { # MB
	local free
	free=$(df --output=avail -BM "$cache" | tr -dc 0-9)
	[ "$free" -ge "$1" ] || die "this takes $1 MB at $cache, and there are $free MB free" \
		"CACHE in the environment names another folder; du -s $cache/* tells what is in this one"
}
