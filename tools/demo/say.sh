# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
#
# How the demo tells its story.

say() {
	printf '\n# %s\n' "${1//$'\n'/$'\n'# }"
}

# Shows a command and runs it, here, so that it may open descriptors.
run() {
	printf '\n$ %s\n' "$1"
	eval "$1"
}
