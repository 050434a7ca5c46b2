#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# cfi.sh : in a kernel with CONFIG_CFI ndo_start_xmit has the type that its caller asks for. clang and
# rustc tell a function's type id, as those kernels have them compile, for the declaration in
# include/linux/netdevice.h and for the one in src/kernel/mod.rs. Needs clang in the build root, which
# the debug kernel brings there.

set -euo pipefail
cd "$(dirname "$0")/.."
what='ndo_start_xmit has the type id of C'
why='no clang in the build root; tools/kernel/build debug brings it'
if ! tools/kernel/enter sh -c 'command -v clang-19' >/dev/null 2>&1; then
	echo "ok $what # SKIP $why"
	exit
fi

mkdir -p target
dir=$(mktemp -d "$PWD/target/cfi.XXXXXX")
trap 'rm -rf "$dir"' EXIT
cat >"$dir/c.c" <<'END'
struct sk_buff;
struct net_device;
enum netdev_tx { NETDEV_TX_OK = 0x00, NETDEV_TX_BUSY = 0x10 };
typedef enum netdev_tx netdev_tx_t;
netdev_tx_t xmit(struct sk_buff *skb, struct net_device *dev) { return NETDEV_TX_OK; }
END
{
	echo '#![no_std]'
	echo '#![allow(non_camel_case_types, unexpected_cfgs)]'
	echo '#[repr(C)] pub struct sk_buff([u8; 0]);'
	echo '#[repr(C)] pub struct net_device([u8; 0]);'
	sed -n '/^    #\[cfg_attr(CONFIG_CFI/,/^    pub struct netdev_tx/s/::kernel::ffi/core::ffi/p
		/^    #\[cfg_attr(.*CONFIG_CFI/p' src/kernel/mod.rs
	cat <<-'END'
	#[no_mangle]
	pub unsafe extern "C" fn xmit(_: *mut sk_buff, _: *mut net_device) -> netdev_tx {
	    netdev_tx(0)
	}
	END
} >"$dir/r.rs"
# id FILE : the type id of xmit in LLVM's code
id() { sed -n 's/^define .*@xmit(.*!kcfi_type !\([0-9]*\).*/\1/p' "$1" | while read -r n; do
	sed -n "s/^!$n = !{i32 \(.*\)}/\1/p" "$1"
done; }
tools/kernel/enter sh -ec '
	cd "$1"
	clang-19 -O2 -S -emit-llvm -fsanitize=kcfi -fsanitize-cfi-icall-experimental-normalize-integers \
		c.c -o c.ll
	for option in "--cfg CONFIG_CFI" ""; do
		RUSTC_BOOTSTRAP=1 rustc --edition 2021 --crate-type lib -O -Cpanic=abort -Zsanitizer=kcfi \
			-Zsanitizer-cfi-normalize-integers $option --emit=llvm-ir r.rs -o "rust${option##* }.ll"
	done' - "$dir"
c=$(id "$dir/c.ll")
with=$(id "$dir/rustCONFIG_CFI.ll")
without=$(id "$dir/rust.ll")
failed=0
if [ -n "$c" ] && [ "$c" = "$with" ]; then
	echo "ok $what"
else
	echo "not ok $what"
	echo "#   C: $c, Rust: $with"
	failed=1
fi
# Else it would say so of everything.
if [ -n "$without" ] && [ "$c" != "$without" ]; then
	echo "ok a number in place of the enum has another"
else
	echo "not ok a number in place of the enum has another"
	failed=1
fi
exit $failed
