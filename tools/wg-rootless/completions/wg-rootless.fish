# SPDX-License-Identifier: GPL-2.0
# Completion of wg-rootless(1) for fish.

function __wg_rootless_rest --description 'The command line behind the file, if the file is there'
    set -l words (commandline --tokenize --current-process --cut-at-cursor)
    set -e words[1]
    while set -q words[1]; and string match -q -- '-*' $words[1]
        contains -- $words[1] -n --netns-of -i --interface; and set -e words[1]
        set -e words[1]
    end
    set -q words[1]; or return 1
    set -e words[1]
    test "$words[1]" = --; and set -e words[1]
    string join -- ' ' (string escape -- $words) (commandline --current-token --cut-at-cursor)
end

complete -c wg-rootless -n 'not __wg_rootless_rest' -s n -l netns-of -x -a '(__fish_complete_pids)' -d 'Process to give the tunnel to'
complete -c wg-rootless -n 'not __wg_rootless_rest' -s i -l interface -x -d 'Name of the interface'
complete -c wg-rootless -n 'not __wg_rootless_rest' -s h -l help -d Summary
complete -c wg-rootless -n 'not __wg_rootless_rest' -s V -l version -d Version
complete -c wg-rootless -n 'not __wg_rootless_rest' -F
complete -c wg-rootless -n __wg_rootless_rest -x -a '(complete -C (__wg_rootless_rest))'
