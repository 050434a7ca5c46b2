# SPDX-License-Identifier: GPL-2.0
# Completion of wg(8) for fish.

function __wg_words --description 'Words before the one being completed'
    commandline --tokenize --current-process --cut-at-cursor
end

function __wg_at --description 'Whether COMMAND stands, and so many words come before this one'
    set -l words (__wg_words)
    test (count $words) -eq $argv[1]; and contains -- "$words[2]" $argv[2..]
end

function __wg_setting --description 'Whether this is a word of set: device or peer, not a value'
    set -l words (__wg_words)
    test (count $words) -ge 3; and test "$words[2]" = set; or return 1
    contains -- $words[-1] listen-port fwmark private-key transit-netns transit-credentials \
        peer preshared-key endpoint persistent-keepalive allowed-ips; and return 1
    if contains -- peer $words[4..]
        test $argv[1] = peer
    else
        test $argv[1] = device
    end
end

function __wg_value_of --description 'Whether this is the value of one of these words of set'
    set -l words (__wg_words)
    test (count $words) -ge 4; and test "$words[2]" = set; and contains -- $words[-1] $argv
end

function __wg_devices
    string split -n ' ' -- (wg show interfaces 2>/dev/null)
end

complete -c wg -f

complete -c wg -n 'test (count (__wg_words)) -eq 1' -a show -d 'State of devices'
complete -c wg -n 'test (count (__wg_words)) -eq 1' -a monitor -d 'What happens to devices'
complete -c wg -n 'test (count (__wg_words)) -eq 1' -a showconf -d 'Configuration of a device'
complete -c wg -n 'test (count (__wg_words)) -eq 1' -a set -d 'Change settings of a device'
complete -c wg -n 'test (count (__wg_words)) -eq 1' -a setconf -d 'Make a device be as a file says'
complete -c wg -n 'test (count (__wg_words)) -eq 1' -a addconf -d 'Add what a file says to a device'
complete -c wg -n 'test (count (__wg_words)) -eq 1' -a syncconf -d 'Like setconf, but keep sessions'
complete -c wg -n 'test (count (__wg_words)) -eq 1' -a genkey -d 'Make a private key'
complete -c wg -n 'test (count (__wg_words)) -eq 1' -a genpsk -d 'Make a preshared key'
complete -c wg -n 'test (count (__wg_words)) -eq 1' -a pubkey -d 'Private key on stdin to public key'
complete -c wg -n 'test (count (__wg_words)) -eq 1' -a 'help version'

complete -c wg -n '__wg_at 2 show' -a '(__wg_devices) all interfaces transit'
complete -c wg -n '__wg_at 2 monitor showconf set setconf addconf syncconf' -a '(__wg_devices)'
complete -c wg -n '__wg_at 3 show; and not contains interfaces (__wg_words)' -a 'public-key
    private-key listen-port fwmark transit-netns peers preshared-keys endpoints allowed-ips
    latest-handshakes transfer persistent-keepalive dump'
complete -c wg -n '__wg_at 3 setconf addconf syncconf' -F

complete -c wg -n 'contains -- (__wg_words)[2] show monitor' -l json -d 'As JSON'
complete -c wg -n 'contains monitor (__wg_words)' -l state -d 'Begin with the state'
complete -c wg -n 'contains show (__wg_words)' -l metrics -d 'For Prometheus'

complete -c wg -n '__wg_setting device' -a listen-port -d 'UDP port to receive on'
complete -c wg -n '__wg_setting device' -a fwmark -d 'Mark for packets that leave'
complete -c wg -n '__wg_setting device' -a private-key -d 'File with the key'
complete -c wg -n '__wg_setting device' -a transit-netns -d 'Namespace for the UDP sockets'
complete -c wg -n '__wg_setting device' -a transit-credentials -d 'UDP sockets in it: FD4,FD6'
complete -c wg -n '__wg_setting device' -a peer -d 'Words about a peer'
complete -c wg -n '__wg_setting peer' -a peer -d 'Words about another peer'
complete -c wg -n '__wg_setting peer' -a remove -d 'Remove the peer'
complete -c wg -n '__wg_setting peer' -a preshared-key -d 'File with a second secret'
complete -c wg -n '__wg_setting peer' -a endpoint -d 'Where to send packets'
complete -c wg -n '__wg_setting peer' -a persistent-keepalive -d 'Seconds between empty packets'
complete -c wg -n '__wg_setting peer' -a allowed-ips -d 'Addresses inside the tunnel'

complete -c wg -n '__wg_value_of private-key preshared-key' -F
complete -c wg -n '__wg_value_of fwmark persistent-keepalive' -a off
complete -c wg -n '__wg_value_of transit-netns' -a '(ip netns list 2>/dev/null | string split -f1 " ")'
complete -c wg -n '__wg_value_of transit-netns' -F
complete -c wg -n '__wg_value_of peer' -a '(wg show (__wg_words)[3] peers 2>/dev/null)'
