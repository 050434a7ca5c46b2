#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# tools.sh : what surrounds the tools on a user's machine: completions run
# nothing, and what cannot be printed stops nothing.
#
# lane: guests

# shellcheck disable=SC2317 # much is called through check
set -euo pipefail
cd "$(dirname "$0")/.."
top=$PWD
make -s wg >/dev/null

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
# shellcheck source=tests/common/check.sh
. tests/common/check.sh

# --- completions ----------------------------------------------------------------

# A machine with an interface and a netns that are named to do harm.
mkdir "$dir/bin"
cat >"$dir/bin/wg" <<'END'
#!/bin/sh
echo '$(touch${IFS}ran) `touch${IFS}ran` wg0'
END
cat >"$dir/bin/ip" <<'END'
#!/bin/sh
echo '$(touch${IFS}ran)'
END
chmod +x "$dir"/bin/*
completed() { # WORD… : what bash offers for the last
	(
		cd "$dir"
		PATH=$dir/bin:$PATH
		# shellcheck source=/dev/null
		. "$top/tools/wg/completions/wg.bash"
		compopt() { :; }
		COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
		_wg
		printf '%s\n' "${COMPREPLY[@]}"
	)
}
offers() { # WANTED WORD…
	local wanted=$1
	shift
	grep -qFx -- "$wanted" <<<"$(completed "$@")" || { completed "$@" && false; }
}
nothing_ran() { [ ! -e "$dir/ran" ]; }
check "bash offers an interface" offers wg0 wg show ""
check "and quotes one that a shell would take apart" offers '\$\(touch\$\{IFS\}ran\)' wg show ""
check "and a netns" offers '\$\(touch\$\{IFS\}ran\)' wg set wg0 transit-netns ""
check "what begins otherwise is left out" test "$(completed wg show wg)" = wg0
check "none of it runs what is in a name" nothing_ran
if command -v zsh >/dev/null; then
	check "zsh reads its completion" zsh -n tools/wg/completions/_wg
fi

# --- what cannot be printed -------------------------------------------------------

wg=$top/target/release/wg
rootless=$top/target/release/wg-rootless
status() { # STATUS COMMAND…
	local wanted=$1 got=0
	shift
	"$@" || got=$?
	[ "$got" = "$wanted" ] || { echo "status $got" && false; }
}
mute() { "$@" 2>/dev/full; }
deaf() { "$@" 2> >(exec 2>/dev/null; exit 0); }
printf '[Peer]\nPublicKey=%s\nAllowedIPs=10.0.0.1/24\n' "$(head -c 32 /dev/zero | base64)" >"$dir/warned.conf"
# There is no such interface; what counts is that it got that far.
check "wg ends as always where errors go to a full disk" mute status 1 "$wg" setconf nosuch0 "$dir/warned.conf"
check "and where nobody reads them" deaf status 1 "$wg" setconf nosuch0 "$dir/warned.conf"
check "wg genkey warns into the void" mute status 0 sh -c "umask 0; '$wg' genkey >'$dir/key'"
check "wg-rootless ends as always, too" mute status 125 "$rootless" "$dir/nosuch.conf"
helped() { "$rootless" --help >/dev/full; }
check "its help that cannot be written is no crash" status 125 helped

# --- the cache folder ---------------------------------------------------------------

foreign() { CACHE=$dir/foreign tools/kernel/metadata "$@" 2>&1; }
mkdir -p "$dir/foreign/kernel" "$dir/foreign/root"
fails() { ! "$@"; }
says() { # TEXT COMMAND…
	local text=$1
	shift
	{ "$@" 2>&1 || :; } | grep -qF -- "$text"
}
check "a folder of something else is not used as cache" fails foreign --print
check "which says what CACHE is" says "CACHE in the environment" foreign --print
check "nor is it removed" fails foreign --remove
check "it is all there" test -d "$dir/foreign/kernel" -a -d "$dir/foreign/root"
own() { CACHE=$dir/own tools/kernel/metadata "$@"; }
mkdir "$dir/own"
check "an empty one is" says "no release is known yet" own --print
check "and can be removed" own --remove
check "as a whole" test ! -e "$dir/own"
mkdir "$dir/own"
touch "$dir/own/default-release"
check "one of an older version is recognised, and removed" own --remove
(
	exec 5>"$dir/held"
	flock 5
	until [ -e "$dir/release" ]; do sleep 0.05; done
) &
until [ -e "$dir/held" ] && ! flock -n "$dir/held" true; do sleep 0.05; done
CACHE=$dir/own bash -c '. tools/kernel/lib.sh; lock 6 "$1"; echo got it' tools/x "$dir/held" >"$dir/said" 2>&1 &
until grep -q . "$dir/said"; do sleep 0.05; done
check "a lock is waited for with a word" grep -q "waiting for another one" "$dir/said"
touch "$dir/release"
wait
check "and had in the end" grep -q "got it" "$dir/said"
via() { http_proxy=a HTTPS_PROXY=b CACHE=$dir/own bash -c '. tools/kernel/lib.sh; proxies' tools/x; }
check "proxies are passed on" test "$(via | paste -sd' ')" = "http_proxy=a HTTPS_PROXY=b"
check "a script that is not there is told as such" says "there is no script nosuch.sh" tools/vm/run nosuch.sh

# --- room ---------------------------------------------------------------------------------

room() { CACHE=$dir/own bash -c '. tools/kernel/lib.sh; need_space "$1"' tools/x "$1"; }
check "there is room for something small" room 1
check "what is too large is told before it begins" says "MB free" room 999999999
check "and does not begin" fails room 999999999
spaced() { CACHE="$dir/a b" tools/kernel/metadata --print; }
check "a folder that Kbuild would take apart is told" says "there is a space in" spaced

# --- what a suite tolerates in the kernel's log ----------------------------------------------

printf '%s\n' before 'odd thing' 'CPU: 1' 'Call Trace:' ' <TASK>' 'WARNING: in it' ' </TASK>' 'WARNING: after' >"$dir/log"
printf '%s\n' 'odd thing' without a trace 'WARNING: later' '<TASK>' '</TASK>' >"$dir/log2"
tolerated() { awk -v tolerated="$1" -f tools/vm/tolerated.awk "$2" | grep -n . | paste -sd' '; }
check "a report goes with its trace" test \
	"$(tolerated 'odd t' "$dir/log")" = "1:before 3:CPU: 1 8:WARNING: after"
check "one without a trace goes alone" test \
	"$(tolerated 'odd t' "$dir/log2")" = "2:without 3:a 4:trace 5:WARNING: later 6:<TASK> 7:</TASK>"
check "without a pattern all stays" test "$(tolerated '' "$dir/log" | tr ' ' '\n' | grep -c WARNING)" = 2

# --- installing ------------------------------------------------------------------------

module=wireguard.ko
made=
[ -e $module ] || { touch $module && made=1; }
without() { make -s module-install DESTDIR="$dir/dest" MODINFO=no-such-program 2>&1; }
check "module-install without modinfo fails" fails without
check "says why" says "kmod" without
check "and installs nothing" test ! -e "$dir/dest"
[ -z "$made" ] || rm $module

exit $((failed != 0))
