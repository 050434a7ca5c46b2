#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# fuzz-host.sh [TARGET…] : run the fuzz targets, or those named, for a bounded number
# of inputs each, with coverage and with AddressSanitizer. FUZZ_SEED is what the
# inputs are made from, FUZZ_TIMES multiplies how many there are.
#
# The compiler is the stable one: it has all that cargo-fuzz asks of a nightly
# one, but wants to be told that its unstable flags are meant. For libFuzzer
# there is Debian's package, which saves compiling it.

# shellcheck source=tools/kernel/lib.sh
. "$(dirname "$0")/../tools/kernel/lib.sh"
cd "$top"

# Targets and how many inputs take some seconds on a slow machine.
runs=(
	allowed_ips:20000
	cookie:10000
	gro:10000
	gso:10000
	handshake:1000
	message:100000
	replay:20000
	rootless_files:20000
	timers:200
	wg_config:20000
	wg_reply:200000
	wg_userspace:50000
)
seed=${FUZZ_SEED:-20261122}
times=${FUZZ_TIMES:-1}

triple=$(rustc -vV | sed -n 's/^host: //p')
target=$top/target/fuzz
built=$target/$triple/release

coverage=(-Cpasses=sancov-module)
for word in level=4 inline-8bit-counters pc-table trace-compares; do
	coverage+=("-Cllvm-args=-sanitizer-coverage-$word")
done

build() {
	local lib
	lib=/usr/lib/llvm-14/lib/clang/14.0.6/lib/linux/libclang_rt.fuzzer-$(uname -m).a
	need_host c++:g++
	if apt-cache show libclang-rt-14-dev >/dev/null 2>&1; then
		need_host "$lib:libclang-rt-14-dev"
	fi
	[ ! -e "$lib" ] || export CUSTOM_LIBFUZZER_PATH=$lib
	RUSTC_BOOTSTRAP=1 RUSTFLAGS="-Zsanitizer=address --cfg=fuzzing ${coverage[*]}" \
		cargo build --release --locked --manifest-path fuzz/Cargo.toml \
		--target "$triple" --target-dir "$target"
}

# run TARGET INPUTS : a line that says how it went, and of a failure all there is.
run() {
	local name=$1 inputs=$(($2 * times)) dir=$target/run/$1
	local log=$dir/log grown=$dir/corpus found=$dir/found-
	local seeds=()
	rm -rf "$dir"
	mkdir -p "$grown"
	[ ! -d "fuzz/seeds/$name" ] || seeds=("fuzz/seeds/$name")
	if "$built/$name" -seed="$seed" -runs="$inputs" -max_len=1024 -len_control=0 -timeout=60 -rss_limit_mb=4096 \
		-artifact_prefix="$found" -print_funcs=0 "$grown" "${seeds[@]}" >"$log" 2>&1; then
		printf 'ok %s: %d inputs from seed %d, %s\n' "$name" "$inputs" "$seed" \
			"$(sed -n 's/^#.*DONE *cov: \([0-9]*\).*/\1 places reached/p' "$log")"
		return
	fi
	printf 'not ok %s\n' "$name"
	sed -n '/panicked at/,$p; /ERROR: /,$p' "$log" | head -n 40 | sed 's/^/#   /'
	local input
	for input in "$found"*; do
		[ -e "$input" ] || continue
		printf '#   once more: %s %s\n' "${built#"$top/"}/$name" "${input#"$top/"}"
	done
	printf '#   from the start: FUZZ_SEED=%d FUZZ_TIMES=%d tests/fuzz-host.sh %s\n' "$seed" "$times" "$name"
	return 1
}

build

wanted=()
for pair in "${runs[@]}"; do
	[ $# -gt 0 ] && [[ " $* " != *" ${pair%:*} "* ]] || wanted+=("$pair")
done
[ ${#wanted[@]} -gt 0 ] || die "there is no such target" "there are: ${runs[*]%:*}"

# As many at a time as there are processors.
status=0
pids=()
for pair in "${wanted[@]}"; do
	while [ "$(jobs -rp | wc -l)" -ge "$(nproc)" ]; do
		wait -n || status=1
	done
	run "${pair%:*}" "${pair#*:}" &
	pids+=($!)
done
# Of those that have ended already bash still knows how.
for pid in "${pids[@]}"; do
	wait "$pid" || status=1
done
exit $status
