#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# What the DKMS package says to kernels of every kind: whether the module can be built, or for which
# reason not (tools/dkms/can-build), and that a kernel is left out, rather than failed, if not. With
# headers, compilers and packages that are made up; tests/packages/run has real ones.

set -u
cd "$(dirname "$0")/.." || exit
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
# shellcheck source=tests/common/check.sh
. tests/common/check.sh

# --- a machine ---------------------------------------------------------------------

mkdir -p "$dir"/{bin,headers,src,state,rust/lib/rustlib/src/rust/library/core/src}
: >"$dir/rust/lib/rustlib/src/rust/library/core/src/lib.rs"
rustc_text='rustc 1.85.1 (4eb161250 2025-03-15) (built from a source tarball)'
cat >"$dir/bin/rustc" <<'END'
#!/bin/sh
case $1 in --version) echo "$RUSTC" ;; --print) echo "$DIR/rust" ;; esac
END
printf '#!/bin/sh\n' >"$dir/bin/bindgen"
cat >"$dir/bin/dpkg-query" <<'END'
#!/bin/sh
case "$*" in
-S*) [ -n "$HEADERS" ] && echo "linux-headers-7.3.4: $2" ;;
*Status*) [ -n "$SOURCE" ] && [ "$4" = linux-source-7.3 ] && echo "installed $SOURCE" ;;
*) echo "$HEADERS" ;;
esac
END
chmod +x "$dir"/bin/*
config() { # LINES…
	printf '%s\n' "$@" >"$dir/headers/.config"
}
good=(CONFIG_64BIT=y CONFIG_NET=y CONFIG_RUST=y "CONFIG_RUSTC_VERSION_TEXT=\"$rustc_text\"")
ask() {
	env DIR="$dir" PATH="$dir/bin:/usr/bin:/bin" RUSTC="${RUSTC-$rustc_text}" HEADERS="${HEADERS-7.3.4-1~bpo13+1}" \
		SOURCE="${SOURCE-7.3.4-1~bpo13+1}" WIREGUARD_RS_STATE="$dir/state" WIREGUARD_RS_SRC="$dir/src" \
		tools/dkms/can-build 7.3.4-test "$dir/headers"
}
refuses() { # PATTERN
	local said
	! said=$(ask) && echo "$said" && head -n 1 <<<"$said" | grep -qE "$1"
}
accepts() { # PATTERN of what it tells the build
	local said
	said=$(ask) && echo "$said" && grep -qE "$1" <<<"$said"
}

# --- answers -----------------------------------------------------------------------

check "no headers" refuses 'headers of 7.3.4-test are not installed'
config CONFIG_NET=y CONFIG_RUST=y
check "32 bits" refuses '32-bit'
config CONFIG_64BIT=y CONFIG_NET=y '# CONFIG_RUST is not set' "CONFIG_RUSTC_VERSION=108501"
check "a kernel without Rust" refuses 'without Rust \(CONFIG_RUST\)'
config "${good[@]}"
: >"$dir/src/linux-source-7.3.tar.xz"
check "all that it takes" accepts "^tarball=$dir/src/linux-source-7.3.tar.xz"
RUSTC='rustc 1.96.1 (31fca3adb 2026-06-26)' check "another compiler" \
	refuses 'it was built with, rustc 1\.85\.1 .*; here is rustc 1\.96\.1'
SOURCE='' check "no source" refuses 'its source.* is not installed: linux-source-7.3 7.3.4-1~bpo13\+1'
SOURCE=7.3.3-1 check "the source of another version" refuses 'of another version than the kernel: linux-source-7.3 7.3.3-1, not 7.3.4-1'
HEADERS='' check "headers of no package" refuses 'without Rust metadata, and are of no package'
HEADERS='7.3~rc7-1~exp1' SOURCE='7.3~rc7-1~exp1' check "a release candidate's source" accepts '^tarball=.*/linux-source-7.3.tar.xz'
mv "$dir/src/linux-source-7.3.tar.xz" "$dir/src/x"
check "a package without its file" refuses 'lacks its file'
rm -r "$dir/rust"
mv "$dir/src/x" "$dir/src/linux-source-7.3.tar.xz"
check "no source of the core library" refuses 'core library of Rust is not installed'
mv "$dir/bin/bindgen" "$dir/"
check "no bindgen" eval '[ -e /usr/bin/bindgen ] || refuses "bindgen is not installed"'
mv "$dir/bindgen" "$dir/bin/"
mkdir "$dir/headers/rust"
: >"$dir/headers/rust/libkernel.rmeta"
printf 'rust\0\0%s\0' "$rustc_text" >"$dir/headers/rust/libcore.rmeta"
SOURCE='' check "metadata that comes with the headers" accepts "^tarball=''"
printf 'rust\0\0rustc 1.84.0 (9fc6b4312 2025-01-07)\0' >"$dir/headers/rust/libcore.rmeta"
check "metadata of another compiler" refuses 'of another compiler, rustc 1.84.0'
rm -r "$dir/headers/rust"
mkdir -p "$dir/rust/lib/rustlib/src/rust/library/core/src"
: >"$dir/rust/lib/rustlib/src/rust/library/core/src/lib.rs"
eval "$(ask)"
echo "$parts" >"$dir/state/7.3.4-test.failed"
check "a build that failed before is not tried again" refuses 'the build for 7.3.4-test failed'
config "${good[@]}" CONFIG_OTHER=y
check "but is with another configuration" accepts '^tarball='

# --- and DKMS ------------------------------------------------------------------------

# As DKMS does: sourced by bash, with the kernel in variables.
mkdir -p "$dir/package/tools/dkms"
cp tools/dkms/can-build "$dir/package/tools/dkms/"
sed "s,/usr/src/wireguard-rs-@VERSION@,$dir/package,; s,@VERSION@,1," tools/dkms/dkms.conf >"$dir/package/dkms.conf"
exclusion() { # RELEASE
	env -i PATH="$PATH" kernelver="$1" kernel_source_dir="$dir/none" \
		bash -c ". '$dir/package/dkms.conf'"' && echo "${BUILD_EXCLUSIVE_KERNEL:-all}"'
}
check "DKMS leaves out a kernel that it cannot be built for" eval '[[ ! 7.3.4-test =~ $(exclusion 7.3.4-test) ]]'
check "and reads the rest without one" eval '[ "$(exclusion "")" = all ]'

# --- what is said when a module is built ------------------------------------------------

mkdir "$dir/update"
cp tools/dkms/update "$dir/update/"
echo 1 >"$dir/update/version"
printf '#!/bin/sh\necho "parts=x"\n' >"$dir/update/can-build"
printf '#!/bin/sh\n[ "$1" != install ] || exit "${DKMS_EXIT:-0}"\n' >"$dir/bin/dkms"
printf '#!/bin/sh\necho "$2 is ${MOK:-not} enrolled"\n' >"$dir/bin/mokutil"
chmod +x "$dir/update/can-build" "$dir/bin/dkms" "$dir/bin/mokutil"
echo N >"$dir/enforced"
echo '[none] integrity confidentiality' >"$dir/lockdown"
update() {
	env PATH="$dir/bin:$PATH" WIREGUARD_RS_STATE="$dir/state" WIREGUARD_RS_ENFORCED="$dir/enforced" \
		WIREGUARD_RS_LOCKDOWN="$dir/lockdown" WIREGUARD_RS_KEY=/key.pub "$dir/update/update" 7.3.4-test
}
[ -e /etc/dkms/no-autoinstall ] || {
	check "a module that is built is told of" eval 'update | grep -q "7.3.4-test: the module is installed"'
	check "nothing about keys where no signature is asked for" eval '! update | grep -q enrol'
	echo 'none [integrity] confidentiality' >"$dir/lockdown"
	check "what to enrol in a kernel that is locked down" eval 'update | grep -q "mokutil --import /key.pub"'
	check "nothing once that is enrolled" eval 'export MOK=already; ! update | grep -q enrol'
	echo none >"$dir/lockdown"
	echo Y >"$dir/enforced"
	check "what to enrol with module.sig_enforce=1" eval 'update | grep -q "mokutil --import /key.pub"'
	check "a build that fails ends well" eval 'export DKMS_EXIT=10; update && grep -q "build for 7.3.4-test failed" "$dir/state/7.3.4-test"'
	check "and is no reason to enrol a key" eval 'export DKMS_EXIT=10; ! update | grep -q enrol'
}

[ $failed -eq 0 ]
