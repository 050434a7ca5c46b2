# SPDX-License-Identifier: GPL-2.0
"""The rules of docs/transit.md: who may move the sockets of a device where, and what becomes of
it. Run by transit.sh.

The world: alice (uid 1000) has a user and a network namespace of her own, with the device wg0 in
it. Packets can leave from the initial netns and from the netns `other'; both lead to the netns
`far', where the device's peer is, at an address that both have a route to.

There she holds UDP sockets under fixed numbers: see GOOD, OTHERS and BAD.
"""

import base64
import ctypes
import errno
import os
import re
import socket
import struct
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import actor  # noqa: E402
import netlink as nl  # noqa: E402
import tap  # noqa: E402
import world  # noqa: E402
from actor import Actor  # noqa: E402
from tap import check, scenario  # noqa: E402
from world import inside, new_ping, ping, ports, sh  # noqa: E402

GOOD = (100, 101)  # sockets in the initial netns, their ports picked by connect()
OTHERS = (102, 103)  # the same in `other'
OWN = (104, 105)  # the same in her own
NULL = 190  # /dev/null
CLOSED = 199

# What proves nothing: its numbers for IPv4 and IPv6, errno, the kernel's words and the tool's.
WANTED = "The first is an IPv4 UDP socket, the second an IPv6 one"
BAD = {
    "TCP sockets": (110, 111, "EINVAL", "not an IPv. UDP socket", WANTED),
    "ping sockets": (112, 113, "EINVAL", "not an IPv. UDP socket", WANTED),
    "raw sockets for UDP": (114, 115, "EINVAL", "not an IPv. UDP socket", WANTED),
    "unix sockets": (116, 117, "EINVAL", "not an IPv. UDP socket", WANTED),
    "UDP-Lite sockets": (118, 119, "EINVAL", "not an IPv. UDP socket", WANTED),
    "the other family's socket": (101, 100, "EINVAL", "not an IPv. UDP socket", WANTED),
    "no sockets": (NULL, NULL, "ENOTSOCK", "not a socket", "is no socket. " + WANTED),
    "a socket of another netns": (*OTHERS, "EPERM", "not in the transit netns",
                                  "must have been opened in it"),
    "a socket of her own netns": (*OWN, "EPERM", "not in the transit netns",
                                  "must have been opened in it"),
    "a socket bound to a port by hand": (120, 121, "EPERM", "bound to an address or port",
                                         "be bound to no port, address or device"),
    "a socket bound to an address by hand": (122, 123, "EPERM", "bound to an address or port",
                                             "be bound to no port, address or device"),
    "a socket tied to a device": (124, 125, "EPERM", "tied to a device",
                                  "be bound to no port, address or device"),
    "a socket with a locked filter": (126, 127, "EPERM", "locked filter",
                                      "no locked filter"),
}
UNSUPPORTED = set()
# What is proof all the same.
FINE = {
    "sockets that were never used": (140, 141),
    "sockets whose port bind() picked": (142, 143),
    "sockets with a filter that can be taken off": (144, 145),
    "sockets that were tied to a device once": (146, 147),
}

PORT = 5000
PEER = "192.168.77.2"
ADVICE_PROOF = "pass transit-credentials FD4,FD6, two UDP sockets that were opened there"
ADVICE_V6 = "The credential for IPv6 is missing: pass transit-credentials FD4,FD6"
WARNING = "fwmark is kept but not applied"
MARK_IS_ON = "fwmark is on the packets"
ADVICE_MARK = "fwmark: the device may keep the mark that it has"

alice = None
her_net = None
keys = {}


# --- the world ----------------------------------------------------------------------

def keep(sock, number):
    """Puts a socket (or file) where everybody expects it."""
    os.dup2(sock if isinstance(sock, int) else sock.fileno(), number, inheritable=True)
    if not isinstance(sock, int):
        sock.close()


def udp(family):
    """A UDP socket whose port connect() picked, as bash's /dev/udp has it."""
    sock = socket.socket(family, socket.SOCK_DGRAM)
    sock.connect(("127.0.0.1" if family == socket.AF_INET else "::1", 9))
    return sock


def both(make, v4, v6):
    keep(make(socket.AF_INET), v4)
    keep(make(socket.AF_INET6), v6)


def bound(port):
    def make(family):
        sock = socket.socket(family, socket.SOCK_DGRAM)
        any_address = "0.0.0.0" if family == socket.AF_INET else "::"
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        loopback = "127.0.0.1" if family == socket.AF_INET else "::1"
        sock.bind((any_address if port else loopback, port))
        return sock
    return make


def with_option(level, option, value):
    def make(family):
        sock = socket.socket(family, socket.SOCK_DGRAM)
        sock.setsockopt(level, option, value)
        return sock
    return make


def of_type(kind, protocol4, protocol6):
    def make(family):
        return socket.socket(family, kind, protocol4 if family == socket.AF_INET else protocol6)
    return make


def anywhere(family):
    sock = socket.socket(family, socket.SOCK_DGRAM)
    sock.bind(("", 0))
    return sock


def filtered(family):
    sock = socket.socket(family, socket.SOCK_DGRAM)
    program = ctypes.create_string_buffer(struct.pack("=HBBI", 6, 0, 0, 0xffff))  # take all
    sock.setsockopt(socket.SOL_SOCKET, 26,  # SO_ATTACH_FILTER
                    struct.pack("@HP", 1, ctypes.addressof(program)))
    return sock


def untied(family):
    sock = with_option(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo")(family)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"")
    return sock


def become_alice(other):
    with inside(other):
        both(udp, *OTHERS)
    # Raw ones she could not open herself: they are more than she has, and still no proof. Nor could
    # she take its device from a socket.
    both(of_type(socket.SOCK_RAW, 17, 17), 114, 115)
    both(untied, 146, 147)
    actor.drop_user()
    both(udp, *GOOD)
    both(of_type(socket.SOCK_STREAM, 0, 0), 110, 111)
    both(of_type(socket.SOCK_DGRAM, 1, 58), 112, 113)
    both(lambda _: socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM), 116, 117)
    try:
        both(of_type(socket.SOCK_DGRAM, 136, 136), 118, 119)
    except OSError:
        UNSUPPORTED.add("UDP-Lite sockets")
    both(bound(40123), 120, 121)
    both(bound(0), 122, 123)
    both(with_option(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo"), 124, 125)
    both(with_option(socket.SOL_SOCKET, 44, 1), 126, 127)  # SO_LOCK_FILTER
    both(of_type(socket.SOCK_DGRAM, 17, 17), 140, 141)
    both(anywhere, 142, 143)
    both(filtered, 144, 145)
    keep(os.open("/dev/null", os.O_RDWR), NULL)
    actor.new_namespaces()
    nl.link_up("lo").or_raise()
    both(udp, *OWN)
    return UNSUPPORTED


def encoded(key):
    return base64.b64encode(key).decode()


def public_key(net, name):
    with inside(net):
        return nl.wg_get(name)["public_key"]


def build():
    global alice, her_net
    sh("""
        sysctl -qw net.ipv4.ping_group_range='0 2147483647'
        ip netns add other
        ip netns add far
        ip -batch - <<-'END'
		link add out type veth peer name in netns far
		link add out netns other type veth peer name in2 netns far
		addr add 10.9.0.1/24 dev out
		addr add fd09::1/64 dev out nodad
		link set out up
		route add 10.7.0.2 via 10.9.0.2
		route add fd07::2 via fd09::2
		END
        ip -n other -batch - <<-'END'
		link set lo up
		addr add 10.8.0.1/24 dev out
		addr add fd08::1/64 dev out nodad
		link set out up
		route add 10.7.0.2 via 10.8.0.2
		route add fd07::2 via fd08::2
		END
        ip -n far -batch - <<-'END'
		link set lo up
		addr add 10.9.0.2/24 dev in
		addr add 10.8.0.2/24 dev in2
		addr add fd09::2/64 dev in nodad
		addr add fd08::2/64 dev in2 nodad
		addr add 10.7.0.2/32 dev lo
		addr add fd07::2/128 dev lo nodad
		link set in up
		link set in2 up
		link add wg0 type wireguard
		addr add 192.168.77.2/24 dev wg0
		END
        for n in '' 'ip netns exec other'; do
            $n nft -f - <<-'END'
		table inet watch {
			counter none { }
			counter seven { }
			counter eight { }
			chain out {
				type filter hook output priority 0
				udp dport 5000 meta mark 0 counter name none
				udp dport 5000 meta mark 7 counter name seven
				udp dport 5000 meta mark 8 counter name eight
			}
		}
		END
        done
    """)
    keys["far"], keys["hers"] = os.urandom(32), os.urandom(32)
    with inside("far"):
        nl.wg_set("wg0", private_key=keys["far"], port=PORT).or_raise()
    keys["far public"] = public_key("far", "wg0")
    # She knows what is known by now.
    alice = Actor()
    UNSUPPORTED.update(alice(become_alice, "other"))
    her_net = alice.net()
    with inside(her_net):
        nl.link_add("wg0").or_raise()
        nl.wg_set("wg0", private_key=keys["hers"]).or_raise()
    keys["her public"] = public_key(her_net, "wg0")
    with inside("far"):
        nl.wg_set("wg0", peers=[nl.peer(keys["her public"],
                                        allowed=["192.168.77.1/32"])]).or_raise()
        nl.link_up("wg0").or_raise()
    # What neighbours need at first is nobody's concern later.
    for net in ("init", "other"):
        with inside(net):
            sh("ping -c 1 -W 5 10.7.0.2; ping -c 1 -W 5 fd07::2")


def make_device(words, transit, up, endpoint="10.7.0.2", credentials=GOOD):
    """A new wg0, in the netns of whoever calls."""
    nl.link_del("wg0")
    nl.link_add("wg0").or_raise()
    peers = [nl.peer(keys["far public"], endpoint=(endpoint, PORT), allowed=["0.0.0.0/0"])]
    nl.wg_set("wg0", private_key=keys["hers"], peers=peers, **words).or_raise()
    nl.address_add("wg0", "192.168.77.1/24").or_raise()
    if transit:
        nl.wg_set("wg0", netns_pid=1, credential4=credentials[0],
                  credential6=credentials[1]).or_raise()
    if up:
        nl.link_up("wg0").or_raise()


def device(transit=True, up=True, endpoint="10.7.0.2", **words):
    """Gives alice a new wg0, whose sockets she has moved to the initial netns already."""
    # The timers of the peer's last session would begin a handshake in the midst of the next.
    with inside("far"):
        nl.wg_set("wg0", flags=nl.REPLACE_PEERS,
                  peers=[nl.peer(keys["her public"], allowed=["192.168.77.1/32"])]).or_raise()
    alice(make_device, words, transit, up, endpoint)


def set_by(who, **words):
    """A change that has to succeed; the kernel's warning."""
    return who(nl.wg_set, "wg0", **words).or_raise().message


def move(where, **more):
    """Alice moves the sockets, with the credentials that this takes."""
    if where == "own":
        return set_by(alice, netns_pid=alice.pid, **more)
    if where == "other":
        with_fd = alice(os.open, "/run/netns/other", os.O_RDONLY)
        try:
            return set_by(alice, netns_fd=with_fd, credential4=OTHERS[0],
                          credential6=OTHERS[1], **more)
        finally:
            alice(os.close, with_fd)
    return set_by(alice, netns_pid=1, credential4=GOOD[0], credential6=GOOD[1], **more)


def state():
    """Everything that a refused request might have changed."""
    with inside(her_net):
        shown = nl.wg_get("wg0")
        for one in shown["peers"].values():
            for changing in ("rx", "tx", "handshake"):
                one.pop(changing)
        return {
            "device": shown,
            "link": nl.link_get("wg0"),
            "sockets in hers": world.udp_sockets(),
            "sockets in init": world.udp_sockets("init"),
            "sockets in other": world.udp_sockets("other"),
        }


def get():
    with inside(her_net):
        return nl.wg_get("wg0")


def handshake(net=None):
    with inside(her_net if net is None else net):
        return [one["handshake"] for one in nl.wg_get("wg0")["peers"].values()]


def pings(**more):
    return new_ping(her_net, PEER, **more)


def lives_in(net, port=None):
    """Whether the device has both its sockets in that netns, and none in the others."""
    port = port or get()["port"]
    here = {(4, port), (6, port)}
    nets = {"own": her_net, "init": "init", "other": "other"}
    return all((ports(fd) & here) == (here if name == net else set())
               for name, fd in nets.items())


def as_it_was(before):
    after = state()
    return [f"{part}: {before[part]} became {after[part]}"
            for part in before if before[part] != after[part]]


def refused(what, error, kernel, advice, *words, who=None, alive=True):
    """The tool is refused: it says why and what to do, and nothing has changed."""
    before = state()
    status, out, err = (who or alice).wg("set", "wg0", *words)
    problems = as_it_was(before)
    if status != 1:
        problems.append(f"exit status {status}")
    first, *rest = err.splitlines() or [""]
    said = [line for line in rest if line.startswith("The kernel says: ")]
    advised = [line for line in rest if line not in said]
    if not first.endswith(os.strerror(getattr(errno, error))):
        problems.append(f"the error is not {error}")
    if kernel and not any(re.search(kernel, line) for line in said):
        problems.append(f"the kernel does not say {kernel!r}")
    if not any(re.search(advice, line) for line in advised):
        problems.append(f"the tool does not advise {advice!r}")
    if alive and not pings():
        problems.append("packets do not get through any more")
    check(not problems, f"{what}: {error}", *problems, f"wg set wg0 {words}:", err or out)


def refused_raw(what, error, kernel, attribute=None, who=None, alive=True, **words):
    """The same for what the tool cannot send."""
    before = state()
    answer = (who or alice)(nl.wg_set, "wg0", **words)
    problems = as_it_was(before)
    if answer.name != error:
        problems.append(f"the error is not {error}")
    if not re.search(kernel, answer.message):
        problems.append(f"the kernel does not say {kernel!r}")
    if attribute and answer.attribute != attribute:
        problems.append(f"it points at attribute {answer.attribute}, not {attribute}")
    if alive and not pings():
        problems.append("packets do not get through any more")
    check(not problems, f"{what}: {error}", *problems, answer)


def allowed(what, *words, who=None, warning=None):
    """The tool does it, with a warning or none."""
    status, _, err = (who or alice).wg("set", "wg0", *words)
    good = status == 0 and bool(re.search(warning, err) if warning else not err)
    check(good, what, f"wg set wg0 {words}: exit status {status}", err)


def creds(pair):
    return f"{pair[0]},{pair[1]}"


def counters(net="init"):
    with inside(net):
        return nl.counters("watch")


def marks_seen(net="init"):
    """The marks that packets carry which leave from that netns."""
    before = counters(net)
    through = pings()
    after = counters(net)
    seen = [name for name in after if after[name] != before[name]]
    return ",".join(seen) + ("" if through else " and nothing gets through")


def holder(net, port, families=(4, 6)):
    """Sockets that hold a port in a netns."""
    socks = []
    with inside(net):
        for family in families:
            socks.append(bound(port)(socket.AF_INET if family == 4 else socket.AF_INET6))
    return socks


def free(socks):
    for sock in socks:
        sock.close()


def enter(net):
    os.setns(net, os.CLONE_NEWNET)


def root_in(net, *without):
    """An actor that is root in another netns, without some capabilities."""
    return Actor(become_root_in, net if isinstance(net, int) else world.open_net(net), without)


def become_root_in(net, without):
    enter(net)
    if without:
        actor.drop_capabilities(*without)


# --- the story -----------------------------------------------------------------------

STORY = r"""
exec 100<>/dev/udp/127.0.0.1/9 101<>/dev/udp/::1/9
exec unshare -Urn bash -euc '
    umask 077
    ip link add wg0 type wireguard
    echo "$HERS" >$DIR/private
    "$WG" set wg0 private-key $DIR/private peer "$FAR" endpoint 10.7.0.2:5000 allowed-ips 0.0.0.0/0
    ip address add 192.168.77.1/24 dev wg0
    ip link set wg0 up
    ! "$WG" set wg0 transit-netns 1 2>/dev/null || echo moved without credentials
    "$WG" set wg0 transit-netns 1 transit-credentials 100,101
    ping -c 1 -W 4 192.168.77.2 >/dev/null && echo through
    "$WG" show wg0 transit-netns
'
"""


@scenario
def story():
    """A user without rights does all of it by hand, with bash's sockets."""
    folder = tempfile.mkdtemp()
    os.chown(folder, 1000, 1000)
    environment = dict(os.environ, DIR=folder, WG=actor.WG,
                       HERS=encoded(keys["hers"]), FAR=encoded(keys["far public"]))
    done = subprocess.run(["setpriv", "--reuid", "1000", "--regid", "1000", "--clear-groups",
                           "bash", "-c", STORY], env=environment, text=True, check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    wanted = r"through\nnsid \d+\n"
    check(done.returncode == 0 and re.fullmatch(wanted, done.stdout),
          "an unprivileged user moves the sockets with two of bash's and gets through", done.stdout)


# --- rules ------------------------------------------------------------------------------

@scenario
def rule_1_creation():
    """At creation the transit netns is where the device was created."""
    device(transit=False)
    check(get()["netnsid"] is None and lives_in("own"),
          "a device's sockets are where it was created", state())
    with inside("other"):
        nl.link_add("wg1").or_raise()
        nl.wg_set("wg1", port=7001).or_raise()
        nl.link_move("wg1", her_net).or_raise()
    with inside(her_net):
        nl.link_up("wg1").or_raise()
        shown, link = nl.wg_get("wg1"), nl.link_get("wg1")
        number = nl.nsid_of(world.open_net("other"))
    check(shown["netnsid"] == number and (4, 7001) in ports("other")
          and (4, 7001) not in ports(her_net), "and stay there when the device moves", shown)
    check(link["netnsid"] is None, "which rtnetlink does not show, as ever", link)
    with inside(her_net):
        nl.link_del("wg1").or_raise()
    check((4, 7001) not in ports("other"), "and go with the device")

    with inside("other"):
        nl.link_add("wg1", netns_fd=her_net).or_raise()
    with inside(her_net):
        nl.wg_set("wg1", port=7002).or_raise()
        nl.link_up("wg1").or_raise()
    check((6, 7002) in ports("other") and (6, 7002) not in ports(her_net),
          "created into another netns, they are where the command was")
    with inside(her_net):
        nl.link_del("wg1").or_raise()
        nl.link_add("wg1", link_netns_fd=world.open_net("other")).or_raise()
        nl.wg_set("wg1", port=7003).or_raise()
        nl.link_up("wg1").or_raise()
    check((4, 7003) in ports("other") and (4, 7003) not in ports(her_net),
          "with link-netns they are there")
    with inside(her_net):
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
    status, _, err = alice.wg("setconf", "wg0", "/dev/stdin", stdin=text)
    check(status == 0 and not err and lives_in("init", 6009) and pings(),
          "setconf moves the sockets", err, state())
    status, _, err = alice.wg("addconf", "wg0", "/dev/stdin", stdin=(
        f"[Interface]\nTransitNetns = other\nTransitCredentials = {creds(OTHERS)}\n"))
    check(status == 0 and not err and lives_in("other", 6009) and pings(), "so does addconf",
          err, state())


@scenario
def rule_2_with_rights():
    """CAP_NET_ADMIN counts over the transit netns that results."""
    device(port=6003)
    allowed("back into a netns of her own, without proof", "transit-netns", alice.pid)
    check(lives_in("own", 6003), "leads there", state())
    second = Actor(enter_user, os.open(f"/proc/{alice.pid}/ns/user", os.O_RDONLY), her_net)
    second(os.unshare, os.CLONE_NEWNET)
    allowed("into another netns of her own, without proof", "transit-netns", second.pid)
    check((4, 6003) in ports(second.net()) and lives_in("nowhere", 6003), "leads there")
    second.end()

    device(port=6003)
    root = root_in(her_net)
    allowed("root may without proof", "transit-netns", "other", who=root)
    check(lives_in("other", 6003) and pings(), "and the device works there")
    allowed("root may back by PID", "transit-netns", 1, who=root)
    check(lives_in("init", 6003) and pings(), "and the device works there")
    allowed("root may by path", "transit-netns", "/run/netns/other", who=root)
    check(lives_in("other", 6003), "and the sockets are there")
    root.end()

    limited = root_in(her_net, 12)
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
    done = subprocess.run(["nsenter", f"--net=/proc/{alice.pid}/ns/net", "unshare", "-pf", "bash",
                           "-c", "exec 3< <(exec ip netns exec other sh -c 'echo; exec sleep 60'); "
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

    with inside(her_net):
        roots = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, nl.NETLINK_GENERIC)
    before = state()
    alice_takes(roots)
    answer = alice(set_on, 180, "wg0", port=6008)
    check(answer.name == "EPERM" and not as_it_was(before),
          "she who writes to root's netlink socket has no more right than hers", answer)
    answer = nl.wg_set("wg0", sock=roots.dup(), port=6008)
    check(answer.name == "OK" and lives_in("init", 6008), "root on its own socket may", answer)
    roots.close()


def alice_socket():
    """A generic netlink socket that alice has opened in her netns."""
    return socket.socket(fileno=actor.take(alice, alice(open_genl)))


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
    alice.start(take_fd, path)
    sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    for _ in range(500):
        try:
            sender.connect(path)
            break
        except OSError:
            time.sleep(0.01)
    socket.send_fds(sender, [b"x"], [sock.fileno()])
    sender.close()
    alice.result()
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


@scenario
def rule_3_marks():
    """A mark is on packets only while it is authorised."""
    root = root_in(her_net)
    device(transit=False, fwmark=7)
    check(get()["transit_fwmark"] == 7, "in a netns of her own she may set marks", get())
    status, _, err = alice.wg("set", "wg0", "transit-netns", 1, "transit-credentials", creds(GOOD))
    check(status == 0 and WARNING in err, "a move that leaves a mark behind warns", err)
    shown = get()
    check(shown["fwmark"] == 7 and shown["transit_fwmark"] == 0, "the mark is kept", shown)
    check(marks_seen() == "none", "and packets leave without", counters())
    out = alice.wg("show", "wg0")[1]
    check(re.search(r"fwmark: 0x7 \(kept, but not applied", out), "wg show says so", out)
    allowed("credentials do not buy a mark", "fwmark", 8, "transit-credentials", creds(GOOD),
            warning=WARNING)
    check(get()["fwmark"] == 8 and marks_seen() == "none", "which is kept and not applied", get())

    allowed("a mark that is not on the packets may go", "fwmark", 0)
    check(get()["fwmark"] == 0 and marks_seen() == "none", "and is 0", get())

    allowed("a mark that root sets", "fwmark", 7, who=root)
    check(get()["transit_fwmark"] == 7 and marks_seen() == "seven", "is on the packets", get())
    allowed("the same mark from her is no change", "fwmark", 7)
    check(marks_seen() == "seven", "and stays on the packets", get())
    allowed("a port from her", "listen-port", 6010, "transit-credentials", creds(GOOD))
    check(marks_seen() == "seven", "leaves the mark authorised", get())
    for mark, what in ((8, "another mark"), (0, "the mark 0")):
        refused(f"{what} from her, where one is on the packets", "EPERM", MARK_IS_ON, ADVICE_MARK,
                "fwmark", mark)
        refused(f"{what} from her, with credentials", "EPERM", MARK_IS_ON, ADVICE_MARK,
                "fwmark", mark, "listen-port", 6011, "transit-credentials", creds(GOOD))
    check(marks_seen() == "seven", "leaves the mark where it is", get())
    allowed("another mark from root", "fwmark", 8, who=root)
    check(marks_seen() == "eight", "is on the packets", get())

    check(WARNING in move("other"), "her move takes the authority away")
    check(marks_seen("other") == "none" and get()["fwmark"] == 8, "so packets leave without")
    allowed("the same mark from root authorises it", "fwmark", 8, who=root)
    check(marks_seen("other") == "eight", "and it is on the packets", get())
    allowed("a move by root gives it as well", "transit-netns", 1, who=root)
    check(marks_seen() == "eight", "so packets carry it", get())
    move("own")
    check(get()["transit_fwmark"] == 8, "in a netns of her own a move by her gives it", get())
    set_by(alice, fwmark=7)
    check(get()["transit_fwmark"] == 7, "and there she may set another", get())
    check(WARNING in move("init", fwmark=8), "which a move leaves behind, for one that is kept")
    check(marks_seen() == "none" and get()["fwmark"] == 8, "and not applied", get())

    device(up=False)
    set_by(alice, fwmark=7)
    alice(nl.link_up, "wg0").or_raise()
    check(marks_seen() == "none", "a mark set while the device is down is no other", get())
    root(nl.link_down, "wg0").or_raise()
    root(nl.link_up, "wg0").or_raise()
    check(marks_seen() == "none", "nor is it after root has it up", get())
    set_by(root, fwmark=7)
    alice(nl.link_down, "wg0").or_raise()
    alice(nl.link_up, "wg0").or_raise()
    check(marks_seen() == "seven", "an authorised one stays so across down and up", get())
    root.end()


@scenario
def rule_4_privileged_ports():
    """Ports below the first unprivileged one take CAP_NET_BIND_SERVICE."""
    root = root_in(her_net)
    no_bind = root_in(her_net, 10)
    device()
    refused("a privileged port, with credentials", "EACCES", "CAP_NET_BIND_SERVICE",
            "Port 1023 is reserved in the transit netns", "listen-port", 1023,
            "transit-credentials", creds(GOOD))
    refused("a privileged port, with CAP_NET_ADMIN alone", "EACCES", "CAP_NET_BIND_SERVICE",
            "Port 53 is reserved in the transit netns", "listen-port", 53, who=no_bind)
    allowed("the first unprivileged port", "listen-port", 1024, "transit-credentials", creds(GOOD))
    allowed("a privileged port from root", "listen-port", 53, who=root)
    check(lives_in("init", 53) and pings(), "is bound", state())
    refused("her move with a privileged port", "EACCES", "CAP_NET_BIND_SERVICE",
            "The port of the device is reserved", "transit-netns", "other",
            "transit-credentials", creds(OTHERS))
    allowed("and with another port in the same command", "transit-netns", "other",
            "listen-port", 5353, "transit-credentials", creds(OTHERS))
    check(lives_in("other", 5353), "goes through", state())

    device(transit=False, port=53)
    check(lives_in("own", 53), "in a netns of her own she may have it")
    refused("her first move with it", "EACCES", "CAP_NET_BIND_SERVICE",
            "The port of the device is reserved", "transit-netns", 1,
            "transit-credentials", creds(GOOD), alive=False)

    device(up=False)
    refused("a privileged port while the device is down", "EACCES", "CAP_NET_BIND_SERVICE",
            "reserved in the transit netns", "listen-port", 53,
            "transit-credentials", creds(GOOD), alive=False)
    set_by(root, port=53)
    before = state()
    answer = alice(nl.link_up, "wg0")
    check(answer.name == "EACCES" and not as_it_was(before),
          "her ip link set up with it: EACCES", answer, *as_it_was(before))
    check(no_bind(nl.link_up, "wg0").name == "EACCES", "and that of root without the capability")
    check(root(nl.link_up, "wg0").name == "OK" and lives_in("init", 53), "root may")

    device(port=2000)
    with open("/proc/sys/net/ipv4/ip_unprivileged_port_start", "r+", encoding="ascii") as file:
        file.write("3000")
    try:
        refused("the limit is the transit netns's own", "EACCES", "CAP_NET_BIND_SERVICE",
                "Port 2999 is reserved", "listen-port", 2999, "transit-credentials", creds(GOOD))
        alice(nl.link_down, "wg0").or_raise()
        check(alice(nl.link_up, "wg0").name == "OK" and lives_in("init", 2000),
              "and does not concern sockets that are open", state())
        set_by(root, netns_pid=alice.pid)
        set_by(root, netns_pid=1)
        check(lives_in("init", 2000), "or that root has moved")
        alice(nl.link_down, "wg0").or_raise()
        check(alice(nl.link_up, "wg0").name == "EACCES", "but those that go up with it")
        move("other")
        check(alice(nl.link_up, "wg0").name == "OK" and lives_in("other", 2000),
              "but not for another netns", state())
    finally:
        with open("/proc/sys/net/ipv4/ip_unprivileged_port_start", "w", encoding="ascii") as file:
            file.write("1024")
    root.end()
    no_bind.end()


@scenario
def rule_5_no_change():
    """What the device has already takes no right, and changes nothing."""
    root = root_in(her_net)
    device(port=6020)
    set_by(root, fwmark=7)
    before = state()
    allowed("the same netns", "transit-netns", 1)
    allowed("the same port", "listen-port", 6020)
    allowed("the same mark", "fwmark", 7)
    allowed("all three", "transit-netns", 1, "listen-port", 6020, "fwmark", 7)
    check(not as_it_was(before) and marks_seen() == "seven", "the sockets are the same ones",
          *as_it_was(before))
    refused("credentials that nothing needs are checked", "EPERM", "not in the transit netns",
            "must have been opened in it", "transit-netns", 1, "transit-credentials",
            creds(OTHERS))
    refused("root's too", "ENOTSOCK", "not a socket", "no socket", "transit-netns", "other",
            "transit-credentials", "0,0", who=root)
    device(up=False)
    allowed("the same netns while the device is down", "transit-netns", 1)
    root.end()


@scenario
def rule_6_credentials():
    """What is no proof that its holder could run a tunnel there."""
    device()
    for what, (v4, v6, error, kernel, advice) in BAD.items():
        if what in UNSUPPORTED:
            tap.skip(f"{what}: {error}", "this kernel has none")
            continue
        refused(f"{what} for IPv4, for a port", error, kernel, advice,
                "listen-port", 6030, "transit-credentials", f"{v4},{GOOD[1]}")
        refused(f"{what} for IPv6, for a port", error, kernel, advice,
                "listen-port", 6030, "transit-credentials", f"{GOOD[0]},{v6}")
    refused_raw("a closed fd for IPv4", "EBADF", "not open", nl.CREDENTIAL4,
                port=6030, credential4=CLOSED, credential6=GOOD[1])
    refused_raw("a closed fd for IPv6", "EBADF", "not open", nl.CREDENTIAL6,
                port=6030, credential4=GOOD[0], credential6=CLOSED)
    refused_raw("a number that no fd has", "EBADF", "not open", nl.CREDENTIAL4,
                port=6030, credential4=0xffffffff, credential6=GOOD[1])
    status, _, err = alice.wg("set", "wg0", "listen-port", 6030, "transit-credentials",
                              f"{GOOD[0]},{CLOSED}")
    check(status == 1 and "Bad file descriptor" in err and "fd 199 is not open here" in err,
          "the tool says which is not open, and how to open one", err)
    allowed("after all of these, good ones still do", "listen-port", 6030,
            "transit-credentials", creds(GOOD))
    for number, (what, pair) in enumerate(FINE.items()):
        allowed(what, "listen-port", 6032 + number, "transit-credentials", creds(pair))
        check(lives_in("init", 6032 + number), "are proof as well", state())
    for _ in range(3):
        move("other")
        move("init")
    check(pings(), "and can be shown any number of times")


@scenario
def rule_6_credentials_for_a_move():
    """The same, where the netns changes."""
    device(transit=False, port=6031)
    for what in ("TCP sockets", "no sockets", "a socket of another netns",
                 "a socket bound to a port by hand", "a socket tied to a device",
                 "a socket with a locked filter"):
        v4, v6, error, kernel, advice = BAD[what]
        refused(f"{what} for a move", error, kernel, advice, "transit-netns", 1,
                "transit-credentials", f"{v4},{v6}", alive=False)
    refused("a netns that is none, by path", "EINVAL", "no network namespace",
            "leads to no network namespace", "transit-netns", "/dev/null", alive=False)
    refused("a namespace of another kind", "EINVAL", "no network namespace",
            "leads to no network namespace", "transit-netns", "/proc/self/ns/uts", alive=False)
    refused("no such PID", "ESRCH", "no process", "there is no process `4000000'",
            "transit-netns", 4000000, alive=False)
    refused_raw("a netns fd that is not open", "EBADF", "not open", nl.NETNS_FD, alive=False,
                netns_fd=CLOSED, credential4=GOOD[0], credential6=GOOD[1])
    refused_raw("a netns fd that no fd can be", "EBADF", "not open", nl.NETNS_FD, alive=False,
                netns_fd=0x80000000)
    refused_raw("a socket for a netns", "EINVAL", "no network namespace", nl.NETNS_FD, alive=False,
                netns_fd=GOOD[0])
    refused_raw("PID 0", "ESRCH", "no process", nl.NETNS_PID, alive=False, netns_pid=0)
    fd = alice(os.open, "/run/netns/other", os.O_RDONLY)
    refused_raw("both an fd and a PID", "EINVAL", "both", alive=False, netns_fd=fd, netns_pid=1,
                credential4=GOOD[0], credential6=GOOD[1])
    refused_raw("both, though they agree", "EINVAL", "both", alive=False,
                netns_fd=alice(os.open, "/proc/self/ns/net", os.O_RDONLY), netns_pid=alice.pid)
    alice(os.close, fd)


@scenario
def rule_7_routed_as_hers():
    """Rules of routing that name users hold for what her credentials buy."""
    root = root_in(her_net)
    for endpoint, version in (("10.7.0.2", "-4"), ("fd07::2", "-6")):
        what = f"over IPv{version[1]}"
        device(endpoint=endpoint)
        check(pings(), f"{what} the sockets that she moved carry traffic")
        sh(f"ip {version} rule add pref 50 uidrange 1000-1000 prohibit")
        try:
            check(not pings(timeout=1), f"{what} a rule of routing against her stops it")
            with inside(her_net):
                nl.link_down("wg0").or_raise()
                nl.link_up("wg0").or_raise()
            check(not pings(timeout=1), f"{what} when root had the device down as well")
            set_by(root, port=6011)
            check(pings(timeout=8), f"{what} it does not concern sockets that root made", state())
            move("init", port=6012)
            check(not pings(timeout=1), f"{what} nor does it leave out those that she rebinds")
            move("own")
            set_by(root, netns_pid=1)
            check(pings(timeout=8), f"{what} nor does it concern those that root moved", state())
            move("init", port=6013)
        finally:
            sh(f"ip {version} rule del pref 50")
        check(pings(timeout=8), f"{what} it ends with the rule")
    root.end()


@scenario
def rule_9_all_or_nothing():
    """netns, port, mark and credentials are judged together, on what they lead to."""
    device(port=6040, fwmark=0)
    held = holder("other", 6041)
    refused("a port that is taken where the message leads", "EADDRINUSE", "taken",
            "Port 6041 is taken in the transit netns", "transit-netns", "other",
            "listen-port", 6041, "fwmark", 9, "transit-credentials", creds(OTHERS),
            "peer", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", "allowed-ips", "10.99.0.0/16")
    status, _, err = alice.wg("setconf", "wg0", "/dev/stdin", stdin=(
        "[Interface]\nListenPort = 6041\nFwMark = 9\nTransitNetns = other\n"
        f"TransitCredentials = {creds(OTHERS)}\n"))
    check(status == 1 and "Address already in use" in err and get()["port"] == 6040
          and lives_in("init", 6040) and pings(),
          "a configuration whose port is taken takes no peers away", err)
    free(held)
    held = holder("other", 6041, (6,))
    refused("a port that is taken for IPv6 only", "EADDRINUSE", "taken", "Port 6041 is taken",
            "transit-netns", "other", "listen-port", 6041, "transit-credentials", creds(OTHERS))
    check((4, 6041) not in ports("other"), "no socket for IPv4 is left behind")
    free(held)
    held = holder("init", 6042)
    refused("a port that is taken where the sockets are", "EADDRINUSE", "taken",
            "Port 6042 is taken", "listen-port", 6042, "transit-credentials", creds(GOOD))
    allowed("but free where the message leads", "transit-netns", "other", "listen-port", 6042,
            "fwmark", 8, "transit-credentials", creds(OTHERS), warning=WARNING)
    check(lives_in("other", 6042) is False and (4, 6042) in ports("other") and pings(),
          "all of it is done", state())
    free(held)
    refused("credentials of which one is good", "EPERM", "not in the transit netns",
            "must have been opened in it", "transit-netns", 1, "listen-port", 6043, "fwmark", 9,
            "transit-credentials", f"{GOOD[0]},{OTHERS[1]}")
    # What is wrong comes last: a known peer's range is to move to a new peer, the one after is of
    # another version of the protocol.
    other = nl.attr(1, os.urandom(32)) + nl.u32(10, 2)
    refused_raw("a move with a peer that is malformed", "EPFNOSUPPORT", "",
                private_key=os.urandom(32), netns_pid=1, credential4=GOOD[0],
                credential6=GOOD[1], port=6044,
                peers=[nl.peer(os.urandom(32), allowed=["0.0.0.0/0", "10.98.0.0/16"]),
                       nl.nest(0, other)])
    refused_raw("a new key with bad credentials", "EPERM", "not in the transit netns",
                private_key=os.urandom(32), flags=nl.REPLACE_PEERS, netns_pid=1,
                credential4=OTHERS[0], credential6=OTHERS[1])


@scenario
def rule_9_in_order():
    """What a message says of one peer twice is done in that order."""
    device()
    key = os.urandom(32)
    set_by(alice, peers=[nl.peer(key, allowed=["10.50.0.0/16"], keepalive=7)])
    set_by(alice, peers=[nl.peer(key, flags=1), nl.peer(key, allowed=["10.51.0.0/16"])])
    found = get()["peers"].get(key, {})
    check(found.get("allowed") == ["10.51.0.0/16"] and not any(found["keepalive"]),
          "a peer that is removed and added again is another one", found)
    set_by(alice, peers=[nl.peer(key, allowed=["10.52.0.0/16"]), nl.peer(key, flags=1)])
    check(key not in get()["peers"], "one that is changed and removed is gone", get())
    other = os.urandom(32)
    set_by(alice, peers=[nl.peer(key), nl.peer(key, flags=1), nl.peer(key), nl.peer(other),
                         nl.peer(other, flags=1)])
    check(key in get()["peers"] and other not in get()["peers"], "the last word counts", get())
    check(pings(), "the other peer is there all the time")


@scenario
def rule_10_make_before_break():
    """Sessions survive, traffic goes on, and what was received is not lost."""
    device()
    check(pings(), "a session is there")
    before = handshake(), handshake("far")
    for where in ("other", "init", "own", "other", "init"):
        move(where)
        if where != "own":
            check(pings(), f"after a move to {where} packets get through")
    check((handshake(), handshake("far")) == before and before[0][0][0] > 0,
          "with no handshake but the first", before, handshake())

    move("other")
    check(is_found(), "the peer finds the device at once, though that has nothing to send")
    move("init", port=6080)
    check(is_found(), "and after a change of port", get())

    root = root_in(her_net)
    other = root(os.open, "/run/netns/other", os.O_RDONLY)
    receiver, sender = one_way("far", PEER, her_net, 300)
    for number in range(300):
        sender.send(struct.pack("=I", number))
        if number % 30 == 15:
            set_by(root, **({"netns_fd": other} if number // 30 % 2 else {"netns_pid": 1}))
        time.sleep(0.002)
    got = drain(receiver, 300)
    check(len(got) == 300, "nothing that is sent across ten moves is lost", f"{len(got)} of 300")

    # Towards the device what has reached the old socket counts; so it is waited for.
    set_by(root, netns_pid=1)
    pings()
    receiver, sender = one_way(her_net, "192.168.77.1", "far", 200)
    start = received_by("init", "out")
    for number in range(200):
        sender.send(struct.pack("=I", number))
    arrived = world.until(lambda: received_by("init", "out") >= start + 200, 5, 0)
    set_by(root, netns_fd=other)
    got = drain(receiver, 200)
    check(arrived and len(got) == 200, "nothing that the old socket had received is lost",
          f"{len(got)} of 200")
    check(handshake() == before[0], "still with the first handshake")
    root.end()


def is_found():
    """Whether the peer's packets reach the device; what tells it where that is may be on its way."""
    return world.until(lambda: ping("far", "192.168.77.1", 0.3), 2)


def one_way(to, address, source, count):
    """A receiver in one netns and a sender to it in another."""
    with inside(to):
        receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        receiver.setsockopt(socket.SOL_SOCKET, 33, count * 4096)  # SO_RCVBUFFORCE
        receiver.bind((address, 0))
    with inside(source):
        sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sender.connect(receiver.getsockname())
    return receiver, sender


def drain(receiver, count):
    """What arrives, until all has or nothing more comes."""
    receiver.settimeout(1.5)
    got = set()
    try:
        while len(got) < count:
            got.add(receiver.recv(100))
    except TimeoutError:
        pass
    return got


def received_by(net, name):
    with inside(net), open("/proc/self/net/dev", encoding="ascii") as file:
        for line in file:
            if line.strip().startswith(name + ":"):
                return int(line.split(":")[1].split()[1])
    return 0


@scenario
def rule_10_pending_handshake():
    """A handshake that waits for its next try is sent again at once."""
    device(transit=False)
    check(not pings(timeout=0.5), "where packets cannot leave, no handshake completes")
    start = time.monotonic()
    move("init")
    good = pings(timeout=3.5)
    check(good, "the first ping after the move gets through",
          f"{time.monotonic() - start:.1f} s")
    device()
    sh("nft add rule inet watch out udp dport 5000 drop")
    try:
        check(not pings(timeout=0.5), "where packets are dropped, no handshake completes")
        move("other")
        check(pings(timeout=3.5), "the first ping after that move gets through")
    finally:
        sh("nft flush chain inet watch out")
        sh("nft 'add rule inet watch out udp dport 5000 meta mark 0 counter name none; "
           "add rule inet watch out udp dport 5000 meta mark 7 counter name seven; "
           "add rule inet watch out udp dport 5000 meta mark 8 counter name eight'")


@scenario
def rule_10_cached_source():
    """Cached sources and routes are dropped."""
    sh("ip -n far link set wg0 down; ip -n far link set wg0 up")
    device()
    check(pings(), "a session is there")
    endpoint = next(iter(get()["peers"].values()))["endpoint"]
    check(socket.inet_ntoa(endpoint[4:8]) == "10.7.0.2",
          "answers leave from the address that was asked", endpoint)
    device()
    pings()
    # Here the old source is an address too, but none that an answer would find.
    sh("ip -n other addr add 10.9.0.1/32 dev lo")
    try:
        move("other")
        check(pings(), "after the move answers find the way")
        with inside("far"):
            seen = next(iter(nl.wg_get("wg0")["peers"].values()))["endpoint"]
        check(socket.inet_ntoa(seen[4:8]) == "10.8.0.1", "the source is one of the new netns",
              seen)
    finally:
        sh("ip -n other addr del 10.9.0.1/32 dev lo")
    device(endpoint="fd07::2")
    check(pings(), "over IPv6 there is a session")
    move("other")
    check(pings(), "which survives a move")
    move("init")
    check(pings(), "and the move back")


@scenario
def rule_11_ports():
    """A port that the kernel picked may change; one that was asked for may not."""
    device(transit=False)
    port = get()["port"]
    move("init")
    check(lives_in("init", port) and get()["port"] == port, "a port goes along", state())
    held = holder("other", port)
    move("other")
    picked = get()["port"]
    check(picked != port and picked and (4, picked) in ports("other")
          and (6, picked) in ports("other") and pings(),
          "one that the kernel picked is picked again where it is taken", state())
    free(held)

    device(port=6050)
    held = holder("other", 6050)
    refused("one that was asked for is not", "EADDRINUSE", "taken",
            "The port of the device is taken in the transit netns: choose another listen-port",
            "transit-netns", "other", "transit-credentials", creds(OTHERS))
    allowed("unless any will do", "transit-netns", "other", "listen-port", 0,
            "transit-credentials", creds(OTHERS))
    check(get()["port"] != 6050 and lives_in("other"), "then the kernel picks", state())
    free(held)

    port = get()["port"]
    allowed("a picked port that is asked for by number", "listen-port", port)
    held = holder("init", port)
    refused("is one that was asked for", "EADDRINUSE", "taken", "taken in the transit netns",
            "transit-netns", 1, "transit-credentials", creds(GOOD))
    free(held)


@scenario
def rule_12_down():
    """A device that is down remembers, and gets its sockets when it comes up."""
    device(transit=False, up=False, port=6060)
    refused("a move without proof while it is down", "EPERM", "needs CAP_NET_ADMIN", ADVICE_PROOF,
            "transit-netns", 1, alive=False)
    check(lives_in("nowhere", 6060), "a device that is down has no sockets anywhere", state())
    move("init")
    check(lives_in("init", 6060), "but those that credentials buy, at the move", state())
    number = alice(nl.nsid_of, alice(os.open, "/run/netns/other", os.O_RDONLY))
    move("other")
    check(get()["netnsid"] == number and lives_in("other", 6060), "another move replaces them",
          get(), number)
    there = world.udp_sockets("other")
    alice(nl.link_up, "wg0").or_raise()
    check(world.udp_sockets("other") == there and pings(), "up, it sends by them", state())
    alice(nl.link_down, "wg0").or_raise()
    check(world.udp_sockets("other") == there, "and down, they stay open", state())
    held = holder("init", 6060)
    refused("a move to where the port is taken, while it is down", "EADDRINUSE", "taken",
            "taken in the transit netns", "transit-netns", 1, "transit-credentials", creds(GOOD),
            alive=False)
    root = root_in(her_net)
    set_by(root, netns_pid=1)
    root.end()
    check(get()["netnsid"] not in (None, number) and world.udp_sockets("other") != there,
          "moved by root it remembers its netns, and its sockets are closed", state())
    before = state()
    answer = alice(nl.link_up, "wg0")
    check(answer.name == "EADDRINUSE" and not as_it_was(before),
          "if the port is taken by then, it does not come up", answer, *as_it_was(before))
    free(held)
    check(alice(nl.link_up, "wg0").name == "OK" and pings(), "later it does")


@scenario
def rule_13_gone():
    """A device keeps no transit netns alive, and can be given another."""
    sh("ip netns add hall; ip -n hall link set lo up")
    device(port=6070)
    root = root_in(her_net)
    allowed("root moves the sockets to a netns that will not last", "transit-netns", "hall",
            who=root)
    check((4, 6070) in ports("hall"), "they are there")
    with inside("init"):
        sh("ip netns set hall 4711")
    sh("ip netns del hall")
    check(world.until(lambda: not nl_link()["carrier"]), "when it goes, the carrier drops",
          nl_link())
    check(world.until(lambda: "4711" not in sh("ip netns list-id")), "the netns is really gone")
    shown = get()
    check(shown["netnsid"] == -1 and lives_in("nowhere", 6070), "and the sockets with it", shown)
    out = alice.wg("show", "wg0")[1]
    check("transit netns: gone" in out, "wg show says so", out)
    check(alice.wg("show", "wg0", "transit-netns")[1].strip() == "gone", "for scripts too")
    check(not pings(timeout=0.3), "packets go nowhere")

    gone = ("ENONET", "transit netns is gone", "give it a new one in the same command")
    refused("a port then", *gone, "listen-port", 6071, alive=False)
    refused("the same port then", *gone, "listen-port", 6070, alive=False)
    refused("a mark then", *gone, "fwmark", 7, alive=False)
    refused("the mark 0 then", *gone, "fwmark", 0, alive=False)
    refused("credentials then", *gone, "transit-credentials", creds(GOOD), alive=False)
    refused("root's port then", *gone, "listen-port", 6071, who=root, alive=False)
    allowed("what is not about sockets is done", "peer", encoded(os.urandom(32)))
    alice(nl.link_down, "wg0").or_raise()
    answer = alice(nl.link_up, "wg0")
    check(answer.name == "ENONET", "ip link set up then: ENONET", answer)
    allowed("a new netns, port and mark in one command", "transit-netns", 1, "listen-port", 6072,
            "fwmark", 7, "transit-credentials", creds(GOOD), warning=WARNING)
    check(alice(nl.link_up, "wg0").name == "OK" and nl_link()["carrier"] and pings()
          and lives_in("init", 6072), "bring it back", nl_link(), state())

    sh("ip netns add hall; ip -n hall link set lo up")
    root.wg("set", "wg0", "transit-netns", "hall")
    sh("ip netns del hall")
    world.until(lambda: not nl_link()["carrier"])
    refused("a new netns without proof", "EPERM", "needs CAP_NET_ADMIN", ADVICE_PROOF,
            "transit-netns", 1, alive=False)
    allowed("a new netns while the device is up", "transit-netns", "other",
            "transit-credentials", creds(OTHERS), warning=WARNING)
    check(nl_link()["carrier"] and lives_in("other", 6072), "brings it back at once", nl_link(),
          state())
    check(world.reaches(her_net, PEER), "and packets get through")
    root.end()


def nl_link():
    with inside(her_net):
        return nl.link_get("wg0")


@scenario
def rule_14_visible():
    """wg show tells where the sockets are, and ip link does not."""
    device(transit=False)
    text = alice(sh, "ip -d link show wg0")
    out = alice.wg("show", "wg0")[1]
    check("link-netnsid" not in text and "transit" not in out,
          "nothing is said of a device that has not moved", text, out)
    check(alice.wg("show", "wg0", "transit-netns")[1].strip() == "(none)", "or (none)")
    with inside(her_net):
        watcher = nl.links_watched()
    move("other")
    told = nl.links_told(watcher)
    watcher.close()
    moved = alice(sh, "ip -d link show wg0")
    check(moved == text, "ip link shows what it showed before", text, moved)
    check(not told, "and who watches links is told nothing", told)
    with inside(her_net):
        unasked = nl.wg_get("wg0", transit=False)
    check(unasked["netnsid"] is None and unasked["transit_fwmark"] is None,
          "nor is a client that does not ask", unasked)
    out = alice.wg("show", "wg0")[1]
    check("transit netns: other\n" in out, "wg show has the name", out)
    check(alice.wg("show", "wg0", "transit-netns")[1] == "other\n", "for scripts too")
    move("init")
    out = alice.wg("show", "wg0")[1]
    check(re.search(r"transit netns: nsid (\d+) \(the one of process 1\)", out),
          "of a netns without a name it has the number", out)
    stock = alice(sh, "wg show wg0 && wg showconf wg0")
    check("listening port" in stock and "ListenPort" in stock,
          "the stock tool shows the device as ever", stock)


build()
tap.run()
