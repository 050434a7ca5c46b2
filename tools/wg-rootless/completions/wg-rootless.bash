# SPDX-License-Identifier: GPL-2.0
# Completion of wg-rootless(1) for bash.

_wg_rootless() {
	local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} i=1
	COMPREPLY=()
	# Where the file is: behind the options.
	while [ $i -lt "$COMP_CWORD" ]; do
		case ${COMP_WORDS[i]} in
		-n | --netns-of | -i | --interface) i=$((i + 2)) ;;
		-*) i=$((i + 1)) ;;
		*) break ;;
		esac
	done
	if [ $i -lt "$COMP_CWORD" ]; then
		# All behind it is a command line of its own.
		i=$((i + 1))
		[ "${COMP_WORDS[i]}" != -- ] || [ $i -eq "$COMP_CWORD" ] || i=$((i + 1))
		if declare -F _comp_command_offset >/dev/null; then
			_comp_command_offset $i
		elif declare -F _command_offset >/dev/null; then
			_command_offset $i
		fi
		return
	fi
	case $previous in
	-n | --netns-of) mapfile -t COMPREPLY < <(compgen -W "$(pgrep -u "$UID")" -- "$current") ;;
	-i | --interface) ;;
	*)
		if [[ $current == -* ]]; then
			mapfile -t COMPREPLY < <(compgen -W "--netns-of --interface --help --version" -- "$current")
		else
			compopt -o filenames 2>/dev/null
			mapfile -t COMPREPLY < <(compgen -f -- "$current")
		fi
		;;
	esac
}

complete -F _wg_rootless wg-rootless
