# SPDX-License-Identifier: GPL-2.0
# Completion of wg-rootless(1) for bash.

_wg_rootless_words() {
	local word words
	COMPREPLY=()
	read -r -d '' -a words <<<"$1"
	for word in "${words[@]}"; do
		[[ $word != "$2"* ]] || COMPREPLY+=("$word")
	done
}

_wg_rootless_tunnels() {
	_wg_rootless_words "$(wg-rootless list 2>/dev/null | sed '1d; s/ .*//')" "$1"
}

_wg_rootless_files() {
	compopt -o filenames 2>/dev/null
	mapfile -t COMPREPLY < <(compgen -f -- "$1")
}

# A command line of its own from the word with this number on.
_wg_rootless_command() {
	local i=$1
	[ "${COMP_WORDS[i]}" != -- ] || [ "$i" -eq "$COMP_CWORD" ] || i=$((i + 1))
	if declare -F _comp_command_offset >/dev/null; then
		_comp_command_offset "$i"
	elif declare -F _command_offset >/dev/null; then
		_command_offset "$i"
	fi
}

_wg_rootless() {
	local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} i=1
	COMPREPLY=()
	# Where the file is: behind the options.
	while [ $i -lt "$COMP_CWORD" ]; do
		case ${COMP_WORDS[i]} in
		-n | --netns-of | -i | --interface | --name | -w | --wait | --dns | --table | --private-key | \
			-p | --publish | --host-port) i=$((i + 2)) ;;
		-*) i=$((i + 1)) ;;
		*) break ;;
		esac
	done
	if [ $i -lt "$COMP_CWORD" ]; then
		case ${COMP_WORDS[i]} in
		list) _wg_rootless_words --json "$current" ;;
		status | down | sync)
			case ${COMP_WORDS[i]}:$current in
			status:-*) _wg_rootless_words --json "$current" ;;
			sync:-*) _wg_rootless_words --endpoints "$current" ;;
			sync:*) [ $((i + 1)) -eq "$COMP_CWORD" ] && _wg_rootless_tunnels "$current" || _wg_rootless_files "$current" ;;
			*) _wg_rootless_tunnels "$current" ;;
			esac
			;;
		exec)
			if [ $((i + 1)) -eq "$COMP_CWORD" ]; then
				_wg_rootless_tunnels "$current"
			else
				_wg_rootless_command $((i + 2))
			fi
			;;
		*) _wg_rootless_command $((i + 1)) ;;
		esac
		return
	fi
	case $previous in
	-n | --netns-of) _wg_rootless_words "$(pgrep -u "$UID")" "$current" ;;
	--table) _wg_rootless_words "auto off" "$current" ;;
	--private-key) _wg_rootless_files "$current" ;;
	-i | --interface | --name | -w | --wait | --dns | -p | --publish | --host-port) ;;
	*)
		if [[ $current == -* ]]; then
			_wg_rootless_words "--netns-of --replace-default --interface --name --wait --dns --table \
				--private-key --publish --host-port --strict --help --version" "$current"
		else
			_wg_rootless_files "$current"
			if [ "$COMP_CWORD" -eq 1 ]; then
				local files=("${COMPREPLY[@]}")
				_wg_rootless_words "exec list status sync down" "$current"
				COMPREPLY+=("${files[@]}")
			fi
		fi
		;;
	esac
}

complete -F _wg_rootless wg-rootless
