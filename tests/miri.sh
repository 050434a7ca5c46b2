#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# miri.sh [TEST…] : the tests of the protocol in Miri, those that it can finish in
# seconds. The core has no unsafe code, so what Miri can find there is little:
# races between those who look up allowed IPs and those who change them, most
# of all.
#
# Miri belongs to a nightly toolchain. MIRI_TOOLCHAIN names one; if it has no Miri,
# or is not there, rustup is asked for it.
#
# lane: guests

set -euo pipefail
cd "$(dirname "$0")/.."

toolchain=${MIRI_TOOLCHAIN:-nightly}
# Random tests ask for the time and for files.
export MIRIFLAGS=${MIRIFLAGS:--Zmiri-disable-isolation -Zmiri-strict-provenance}
# One of each.
export PROPTEST_CASES=${PROPTEST_CASES:-1} PROPTEST_DISABLE_FAILURE_PERSISTENCE=true

# Also builds the libraries that it interprets, once.
set_up() {
	cargo "+$toolchain" miri setup
}

# Adds what a toolchain lacks and leaves its version alone, or installs it.
fetch() {
	if rustc "+$toolchain" --version; then
		timeout 300 rustup component add --toolchain "$toolchain" miri rust-src
	else
		timeout 300 rustup toolchain install "$toolchain" --profile minimal \
			--component miri --component rust-src
	fi
}

if ! { set_up || { fetch && set_up; }; } >/dev/null 2>&1; then
	cat <<-END
		ok the protocol in Miri # SKIP rustup has no toolchain $toolchain with one that works
		# Miri is a component of nightly toolchains, but not of each night's:
		#   rustup toolchain install nightly --component miri --component rust-src
		# and MIRI_TOOLCHAIN=NAME takes another one that has it.
	END
	exit
fi

# The others do thousands of rounds, or compute Diffie-Hellman.
if [ $# -eq 0 ]; then
	set -- aead allowed_ips cookie gro gso message ratelimit replay timers
fi
tests=()
for test; do
	tests+=(--test "$test")
done
# Each binary is one job.
cargo "+$toolchain" miri test --no-fail-fast --locked --target-dir target/miri -p wireguard-protocol \
	"${tests[@]}" 2>&1 |
	sed -uE 's/^test (.*) \.\.\. ok$/ok \1/; s/^test (.*) \.\.\. FAILED$/not ok \1/; /^test .*ignored,/d'
