# SPDX-License-Identifier: GPL-2.0
# Completion of wg-rootless(1) for fish.

function __wg_rootless_words --description 'Words before the one being completed, without options'
    set -l words (commandline --tokenize --current-process --cut-at-cursor)
    set -e words[1]
    while set -q words[1]; and string match -q -- '-*' $words[1]
        contains -- $words[1] -n --netns-of -i --interface --name -w --wait --dns --table --private-key \
            -p --publish --host-port; and set -e words[1]
        set -e words[1]
    end
    printf '%s\n' $words
end

function __wg_rootless_verb --description 'Whether one of these words stands in the place of a file'
    set -l words (__wg_rootless_words)
    set -q words[1]; and contains -- $words[1] $argv
end

function __wg_rootless_rest --description 'The command line behind the file, if the file is there'
    set -l words (__wg_rootless_words)
    set -q words[1]; or return 1
    contains -- $words[1] list status sync down; and return 1
    test "$words[1]" = exec; and set -e words[1]
    set -q words[1]; or return 1
    set -e words[1]
    test "$words[1]" = --; and set -e words[1]
    string join -- ' ' (string escape -- $words) (commandline --current-token --cut-at-cursor)
end

function __wg_rootless_none
    test -z (__wg_rootless_words | string join '')
end

function __wg_rootless_tunnels
    wg-rootless list 2>/dev/null | string replace -r ' .*' '' | tail -n +2
end

complete -c wg-rootless -n __wg_rootless_none -s n -l netns-of -x -a '(__fish_complete_pids)' -d 'Process to give the tunnel to'
complete -c wg-rootless -n __wg_rootless_none -l replace-default -d 'Take away routes that are in its way there'
complete -c wg-rootless -n __wg_rootless_none -s i -l interface -x -d 'Name of the interface'
complete -c wg-rootless -n __wg_rootless_none -l name -x -d 'Name of the tunnel'
complete -c wg-rootless -n __wg_rootless_none -s w -l wait -x -d 'Seconds to wait for a handshake'
complete -c wg-rootless -n __wg_rootless_none -l dns -x -d 'Name servers and domains'
complete -c wg-rootless -n __wg_rootless_none -l table -x -a 'auto off' -d 'Where routes go'
complete -c wg-rootless -n __wg_rootless_none -l private-key -r -F -d 'File with the key'
complete -c wg-rootless -n __wg_rootless_none -s p -l publish -x -d 'Port outside that leads to one inside'
complete -c wg-rootless -n __wg_rootless_none -l host-port -x -d 'Port inside that leads to this machine'
complete -c wg-rootless -n __wg_rootless_none -l strict -d 'Hide sockets of programs outside'
complete -c wg-rootless -n __wg_rootless_none -s h -l help -d Summary
complete -c wg-rootless -n __wg_rootless_none -s V -l version -d Version
complete -c wg-rootless -n __wg_rootless_none -F
complete -c wg-rootless -n __wg_rootless_none -a 'exec list status sync down' -d 'Tunnels that are up'
complete -c wg-rootless -n '__wg_rootless_verb exec status sync down; and test (count (__wg_rootless_words)) -eq 1' -x -a '(__wg_rootless_tunnels)'
complete -c wg-rootless -n '__wg_rootless_verb list status' -f -l json -d 'As JSON'
complete -c wg-rootless -n '__wg_rootless_verb sync' -F -l endpoints -d 'Only of peers that do not answer'
complete -c wg-rootless -n __wg_rootless_rest -x -a '(complete -C (__wg_rootless_rest))'
