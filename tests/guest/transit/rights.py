# SPDX-License-Identifier: GPL-2.0
"""Where the sockets are at first, and who may move them (rules 1 and 2)."""

import errno
import os
import socket
import subprocess
import time

import actor
import house
import netlink as nl
import world
from actor import Actor
from house import (ADVICE_PROOF, ADVICE_V6, PORT, WARNING, allowed, as_it_was, creds, device,
                   encoded, get, keys, lives_in, marks_seen, move, pings, refused, refused_raw,
                   root_in, state)
from sockets import GOOD, OTHERS, both, udp
from tap import check, scenario
from world import inside, ports


@scenario
def rule_1_creation():
    """At creation the transit netns is where the device was created."""
    device(transit=False)
    check(get()["netnsid"] is None and lives_in("own"),
          "a device's sockets are where it was created", state())
    with inside("other"):
        nl.link_add("wg1").or_raise()
        nl.wg_set("wg1", port=7001).or_raise()
        nl.link_move("wg1", house.her_net).or_raise()
    with inside(house.her_net):
        nl.link_up("wg1").or_raise()
        shown, link = nl.wg_get("wg1"), nl.link_get("wg1")
        number = nl.nsid_of(world.open_net("other"))
    check(shown["netnsid"] == number and (4, 7001) in ports("other")
          and (4, 7001) not in ports(house.her_net), "and stay there when the device moves", shown)
    check(link["netnsid"] is None, "which rtnetlink does not show, as ever", link)
    with inside(house.her_net):
        nl.link_del("wg1").or_raise()
    check((4, 7001) not in ports("other"), "and go with the device")

    with inside("other"):
        nl.link_add("wg1", netns_fd=house.her_net).or_raise()
    with inside(house.her_net):
        nl.wg_set("wg1", port=7002).or_raise()
        nl.link_up("wg1").or_raise()
    check((6, 7002) in ports("other") and (6, 7002) not in ports(house.her_net),
          "created into another netns, they are where the command was")
    with inside(house.her_net):
        nl.link_del("wg1").or_raise()
        nl.link_add("wg1", link_netns_fd=world.open_net("other")).or_raise()
        nl.wg_set("wg1", port=7003).or_raise()
        nl.link_up("wg1").or_raise()
    check((4, 7003) in ports("other") and (4, 7003) not in ports(house.her_net),
          "with link-netns they are there")
    with inside(house.her_net):
        nl.link_del("wg1").or_raise()


@scenario
def rule_2_without_rights():
    """Moving, and changing the port, takes CAP_NET_ADMIN or credentials."""
    device()
    check(lives_in("init") and pings(), "sockets moved with credentials carry traffic", state())
    refused("a move without a right or proof", "EPERM", "needs CAP_NET_ADMIN", ADVICE_PROOF,
            "transit-netns", "other")
    refused("a port without a right or proof", "EPERM", "needs CAP_NET_ADMIN", ADVICE_PROOF,
            "listen-port", 6001)
    refused("a port picked anew without a right or proof", "EPERM", "needs CAP_NET_ADMIN",
            ADVICE_PROOF, "listen-port", 0)
    refused("a port with no credential for IPv6", "EPERM", "for IPv6 is missing", ADVICE_V6,
            "listen-port", 6001, "transit-credentials", GOOD[0])
    refused("a move with no credential for IPv6", "EPERM", "for IPv6 is missing", ADVICE_V6,
            "transit-netns", "other", "transit-credentials", OTHERS[0])
    refused_raw("a port with no credential for IPv4", "EPERM", "for IPv4 is missing",
                port=6001, credential6=GOOD[1])
    refused("credentials for the netns that is left", "EPERM", "not in the transit netns",
            "must have been opened in it",
            "transit-netns", "other", "transit-credentials", creds(GOOD))
    allowed("a port with credentials", "listen-port", 6001, "transit-credentials", creds(GOOD))
    check(lives_in("init", 6001) and pings(), "is bound where the sockets are", state())
    allowed("a move with credentials, by name", "transit-netns", "other",
            "transit-credentials", creds(OTHERS))
    check(lives_in("other", 6001) and pings(), "leads there", state())

    device(transit=False)
    refused("a first move without a right or proof", "EPERM", "needs CAP_NET_ADMIN", ADVICE_PROOF,
            "transit-netns", 1, alive=False)
    allowed("the port in a netns of her own, without proof", "listen-port", 6002)
    check(lives_in("own", 6002), "is bound there")


@scenario
def rule_2_configuration_file():
    """A file says it as well, and wg-quick passes it on."""
    device(transit=False)
    text = f"""
        [Interface]
        PrivateKey = {encoded(keys["hers"])}
        ListenPort = 6009
        TransitNetns = 1
        TransitCredentials = {creds(GOOD)}
        [Peer]
        PublicKey = {encoded(keys["far public"])}
        Endpoint = 10.7.0.2:{PORT}
        AllowedIPs = 192.168.77.0/24
    """
    status, _, err = house.alice.wg("setconf", "wg0", "/dev/stdin", stdin=text)
    check(status == 0 and not err and lives_in("init", 6009) and pings(),
          "setconf moves the sockets", err, state())
    status, _, err = house.alice.wg("addconf", "wg0", "/dev/stdin", stdin=(
        f"[Interface]\nTransitNetns = other\nTransitCredentials = {creds(OTHERS)}\n"))
    check(status == 0 and not err and lives_in("other", 6009) and pings(), "so does addconf",
          err, state())


@scenario
def rule_2_with_rights():
    """CAP_NET_ADMIN counts over the transit netns that results."""
    device(port=6003)
    allowed("back into a netns of her own, without proof", "transit-netns", house.alice.pid)
    check(lives_in("own", 6003), "leads there", state())
    user = os.open(f"/proc/{house.alice.pid}/ns/user", os.O_RDONLY)
    second = Actor(enter_user, user, house.her_net)
    second(os.unshare, os.CLONE_NEWNET)
    allowed("into another netns of her own, without proof", "transit-netns", second.pid)
    check((4, 6003) in ports(second.net()) and lives_in("nowhere", 6003), "leads there")
    second.end()

    device(port=6003)
    root = root_in(house.her_net)
    allowed("root may without proof", "transit-netns", "other", who=root)
    check(lives_in("other", 6003) and pings(), "and the device works there")
    allowed("root may back by PID", "transit-netns", 1, who=root)
    check(lives_in("init", 6003) and pings(), "and the device works there")
    allowed("root may by path", "transit-netns", "/run/netns/other", who=root)
    check(lives_in("other", 6003), "and the sockets are there")
    root.end()

    limited = root_in(house.her_net, 12)
    device()
    refused("root without CAP_NET_ADMIN", "EPERM", None,
            "CAP_NET_ADMIN over the network namespace of the interface",
            "transit-netns", "other", who=limited)
    limited.end()


def enter_user(user, net):
    os.setns(user, os.CLONE_NEWUSER)
    os.setns(net, os.CLONE_NEWNET)


@scenario
def rule_2_not_her_device():
    """Credentials are no right over the device."""
    with inside("init"):
        nl.link_add("wg9").or_raise()
    stranger = Actor(actor.drop_user)
    try:
        stranger(keep_udp)
        answers = [stranger(nl.wg_set, "wg9", port=6004),
                   stranger(nl.wg_set, "wg9", port=6004, netns_pid=1, credential4=GOOD[0],
                            credential6=GOOD[1])]
        check([a.name for a in answers] == ["EPERM", "EPERM"],
              "a stranger changes no device, with or without credentials", *answers)
        status, _, err = stranger.wg("set", "wg9", "listen-port", 6004)
        check(status == 1 and "Operation not permitted" in err
              and "CAP_NET_ADMIN over the network namespace of the interface" in err,
              "and is told why", err)
        status, out, _ = stranger.wg("show", "wg9")
        check(stranger(reads, "wg9") == "EPERM" and status == 1 and not out,
              "nor is a device read by one", out)
        with inside("init"):
            check(nl.wg_get("wg9")["port"] == 0, "the device is as it was")
    finally:
        stranger.end()
        with inside("init"):
            nl.link_del("wg9")


def reads(name):
    """What becomes of an attempt to read a device."""
    try:
        nl.wg_get(name)
        return "OK"
    except OSError as error:
        return errno.errorcode[error.errno]


def keep_udp():
    both(udp, *GOOD)


@scenario
def rule_2_pid_namespace():
    """A PID is one of the caller's PID namespace."""
    device(port=6005)
    # Its netns is the other one when it says something.
    net = f"--net=/proc/{house.alice.pid}/ns/net"
    done = subprocess.run(["nsenter", net, "unshare", "-pf", "bash", "-c",
                           "exec 3< <(exec ip netns exec other sh -c 'echo; exec sleep 60'); "
                           f"p=$!; read -ru 3; {actor.WG} set wg0 transit-netns $p; kill $p"],
                          check=False, text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT)
    check(lives_in("other", 6005),
          "a process is looked up by the number that it has for the caller", done.stdout, state())


@scenario
def rule_2_handed_socket():
    """Both count: the task that sends, and whoever opened its netlink socket."""
    device(transit=False, port=6006)
    hers = alice_socket()
    answer = nl.wg_set("wg0", sock=hers.dup(), netns_pid=1)
    check(answer.name == "EPERM" and lives_in("own", 6006),
          "root that writes to her netlink socket lends no right to move", answer, state())
    move("init")
    pair = [udp(socket.AF_INET), udp(socket.AF_INET6)]
    before = state()
    answer = nl.wg_set("wg0", sock=hers.dup(), port=6007)
    check(answer.name == "EPERM" and not as_it_was(before), "nor to change the port", answer,
          *as_it_was(before))
    answer = nl.wg_set("wg0", sock=hers.dup(), port=80, credential4=pair[0].fileno(),
                       credential6=pair[1].fileno())
    check(answer.name == "EPERM" and not as_it_was(before), "nor for a privileged port", answer,
          *as_it_was(before))
    answer = nl.wg_set("wg0", sock=hers.dup(), fwmark=7)
    check(answer.name == "OK" and WARNING in answer.message and marks_seen() == "none",
          "nor for a mark", answer)
    hers.close()

    with inside(house.her_net):
        roots = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, nl.NETLINK_GENERIC)
    before = state()
    alice_takes(roots)
    answer = house.alice(set_on, 180, "wg0", port=6008)
    check(answer.name == "EPERM" and not as_it_was(before),
          "she who writes to root's netlink socket has no more right than hers", answer)
    answer = nl.wg_set("wg0", sock=roots.dup(), port=6008)
    check(answer.name == "OK" and lives_in("init", 6008), "root on its own socket may", answer)
    roots.close()


def alice_socket():
    """A generic netlink socket that alice has opened in her netns."""
    return socket.socket(fileno=actor.take(house.alice, house.alice(open_genl)))


def open_genl():
    sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, nl.NETLINK_GENERIC)
    return sock.detach()


def alice_takes(sock):
    """Hands a socket to alice, as number 180."""
    path = "/tmp/handed"
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    listener.bind(path)
    os.chmod(path, 0o777)
    listener.close()
    os.unlink(path)
    house.alice.start(take_fd, path)
    sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    for _ in range(500):
        try:
            sender.connect(path)
            break
        except OSError:
            time.sleep(0.01)
    socket.send_fds(sender, [b"x"], [sock.fileno()])
    sender.close()
    house.alice.result()
    os.unlink(path)


def take_fd(path):
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    listener.bind(path)
    fds = socket.recv_fds(listener, 1, 1)[1]
    os.dup2(fds[0], 180)
    os.close(fds[0])
    listener.close()


def set_on(number, name, **words):
    return nl.wg_set(name, sock=socket.socket(fileno=os.dup(number)), **words)
