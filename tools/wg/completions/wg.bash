# SPDX-License-Identifier: GPL-2.0
# Completion of wg(8) for bash.

# Not by compgen -W, which expands its words: whoever may name interfaces could
# have a shell run things. What is put into the line is quoted as well.
_wg_words() {
	local word words
	COMPREPLY=()
	read -r -d '' -a words <<<"$1"
	for word in "${words[@]}"; do
		[[ $word != "$2"* ]] || COMPREPLY+=("$(printf %q "$word")")
	done
}

_wg_files() {
	compopt -o filenames 2>/dev/null
	mapfile -t COMPREPLY < <(compgen -f -- "$1")
}

_wg_peers() {
	_wg_words "$(wg show "$1" peers 2>/dev/null)" "$2"
}

_wg_set() {
	local current=$1 previous=${COMP_WORDS[COMP_CWORD - 1]} device=${COMP_WORDS[2]} word
	case $previous in
	private-key | preshared-key)
		_wg_files "$current"
		return
		;;
	transit-netns)
		case $current in
		*/*) _wg_files "$current" ;;
		*) _wg_words "$(ip netns list 2>/dev/null | cut -d' ' -f1) 1" "$current" ;;
		esac
		return
		;;
	peer)
		_wg_peers "$device" "$current"
		return
		;;
	fwmark | persistent-keepalive)
		_wg_words off "$current"
		return
		;;
	listen-port | transit-credentials | endpoint | allowed-ips) return ;;
	esac
	# Behind a peer, words about the device have no place any more.
	for word in "${COMP_WORDS[@]:3:COMP_CWORD-3}"; do
		if [ "$word" = peer ]; then
			_wg_words "peer remove preshared-key endpoint persistent-keepalive allowed-ips" \
				"$current"
			return
		fi
	done
	_wg_words "listen-port fwmark private-key transit-netns transit-credentials peer" "$current"
}

_wg() {
	local current=${COMP_WORDS[COMP_CWORD]} command=${COMP_WORDS[1]} devices
	COMPREPLY=()
	if [ "$COMP_CWORD" -eq 1 ]; then
		_wg_words "show monitor showconf set setconf addconf syncconf genkey genpsk pubkey \
			help version" "$current"
		return
	fi
	if [ "$COMP_CWORD" -eq 2 ]; then
		devices=$(wg show interfaces 2>/dev/null)
		case $command in
		show) _wg_words "$devices all interfaces transit --json --metrics" "$current" ;;
		monitor) _wg_words "$devices --state --json" "$current" ;;
		showconf | set | setconf | addconf | syncconf) _wg_words "$devices" "$current" ;;
		esac
		return
	fi
	case $command in
	show)
		[ "$COMP_CWORD" -eq 3 ] && [ "${COMP_WORDS[2]}" != interfaces ] || return 0
		_wg_words "public-key private-key listen-port fwmark transit-netns peers preshared-keys \
			endpoints allowed-ips latest-handshakes transfer persistent-keepalive dump \
			--json --metrics" "$current"
		;;
	monitor) _wg_words "--state --json" "$current" ;;
	set) _wg_set "$current" ;;
	setconf | addconf | syncconf) [ "$COMP_CWORD" -ne 3 ] || _wg_files "$current" ;;
	esac
}

complete -F _wg wg
