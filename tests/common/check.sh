# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
#
# For scripts that are suites: checks by a command's status, as lines of TAP without numbers.

failed=0

# check DESCRIPTION COMMAND… : what the command said is shown if it fails.
check() {
	local what=$1 said
	shift
	if said=$("$@" 2>&1); then
		echo "ok $what"
	else
		echo "not ok $what"
		printf '%s\n' "$said" | sed 's/^/#   /'
		failed=$((failed + 1))
	fi
}
