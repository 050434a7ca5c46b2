# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
#
# For scripts that are suites: checks by a command's status, as lines of TAP without numbers.

failed=0

# check DESCRIPTION COMMAND… : what the command said is shown if it fails, and what diagnose says, if the
# script has such a function.
check() {
	local what=$1 said
	shift
	if said=$("$@" 2>&1); then
		echo "ok $what"
	else
		echo "not ok $what"
		{
			printf '%s\n' "$said"
			! declare -F diagnose >/dev/null || diagnose
		} 2>&1 | sed 's/^/#   /'
		failed=$((failed + 1))
	fi
}
