# SPDX-License-Identifier: GPL-2.0
"""Everything that a client can read of a wireguard device, as lines of text that can be compared.

All of it is read from the netns that the calling process is in, which needs that netns's own /sys.
What differs from one run to the next though nothing else does is masked: indexes of interfaces
(but not whether two of them are the same), times, and numbers of sockets.
"""

import json
import os
import re
import socket
import struct
import subprocess

import netlink as nl

WANTED = 70  # asks a GET for what only our module has

ALLOWED_IP = {1: "family", 2: "address", 3: "cidr-mask", 4: "flags"}
PEER = {1: "public-key", 2: "preshared-key", 3: "flags", 4: "endpoint", 5: "keepalive",
        6: "last-handshake", 7: "rx-bytes", 8: "tx-bytes",
        9: ("allowed-ips", {None: ("allowed-ip", ALLOWED_IP)}), 10: "protocol-version"}
DEVICE = {1: "ifindex", 2: "ifname", 3: "private-key", 4: "public-key", 5: "flags",
          6: "listen-port", 7: "fwmark", 8: ("peers", {None: ("peer", PEER)}),
          68: "transit-netnsid", 69: "transit-fwmark"}
INET = {1: "conf"}
INET6 = {1: "flags", 2: "conf", 3: "stats", 5: "cacheinfo", 6: "icmp6stats", 7: "token",
         8: "addr-gen-mode"}
LINK = {3: "ifname", 5: "link", 16: "operstate", 18: ("linkinfo", {1: "kind", 2: "data"}),
        26: ("af-spec", {2: ("inet", INET), 10: ("inet6", INET6)}), 33: "carrier",
        35: "carrier-changes", 37: "link-netnsid", 43: ("xdp", {2: "attached"}), 44: "event",
        45: "new-netnsid", 49: "new-ifindex", 54: "perm-address"}


def mask_of(name, payload):
    """What is shown in place of a value; None if that is the value itself."""
    if name in ("ifindex", "new-ifindex"):
        return "some"
    if name == "last-handshake" and any(payload):
        return "some time"
    if name == "cacheinfo":  # has the time of the last change
        return f"{len(payload)} bytes"
    return None


def value(payload):
    if len(payload) > 40 and not len(payload) % 4:
        return " ".join(str(word) for word in struct.unpack(f"={len(payload) // 4}I", payload))
    text = payload[:-1]
    if payload[-1:] == b"\0" and len(text) > 1 and all(32 < byte < 127 for byte in text):
        return repr(text.decode())
    return payload.hex() or "empty"


def tree(data, shape, index=None, indent=0):
    """The attributes in a list, one a line, in their order. `index` is the interface's own."""
    lines = []
    at = 0
    while at + 4 <= len(data):
        length, kind = struct.unpack_from("=HH", data, at)
        payload = data[at + 4:at + length]
        at += max(length, 4) + 3 & ~3
        name = shape.get(kind & 0x3fff, shape.get(None, str(kind & 0x3fff)))
        name, inner = name if isinstance(name, tuple) else (name, None)
        shown = name + (" (nested)" if kind & nl.NESTED else "")
        if inner is not None:
            lines.append("  " * indent + shown)
            lines += tree(payload, inner, index, indent + 1)
        elif name == "link" and struct.unpack("=I", payload)[0] == index:
            lines.append("  " * indent + f"{shown} = its own")
        else:
            lines.append("  " * indent + f"{shown} = {mask_of(name, payload) or value(payload)}")
    return lines


def exchange(protocol, kind, header, body, flags):
    """All messages of an answer, as (type, flags, payload), the end's too."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, protocol) as sock:
        sock.settimeout(5)
        size = 16 + len(header) + len(body)
        sock.send(struct.pack("=IHHII", size, kind, flags | nl.F_REQUEST, 1, 0) + header + body)
        found = []
        while True:
            data = sock.recv(1 << 17)
            at = 0
            while at + 16 <= len(data):
                length, reply, rflags = struct.unpack_from("=IHH", data, at)
                found.append((reply, rflags, data[at + 16:at + length]))
                at += length + 3 & ~3
                if reply in (nl.NLMSG_ERROR, nl.NLMSG_DONE) or not rflags & nl.F_MULTI:
                    return found


def get_device(which, *more):
    """The answer to GET_DEVICE: which message has which attributes."""
    by = nl.u32(1, which) if isinstance(which, int) else nl.string(nl.IFNAME, which)
    lines = []
    for reply, flags, payload in exchange(
            nl.NETLINK_GENERIC, nl.family(), struct.pack("=BBH", nl.GET_DEVICE, 1, 0),
            by + b"".join(more), nl.F_DUMP):
        if reply in (nl.NLMSG_ERROR, nl.NLMSG_DONE):
            code = -struct.unpack_from("=i", payload)[0]
            lines.append(f"end, flags {flags:#x}: {nl.Answer(code).name}")
        else:
            lines.append(f"message, flags {flags:#x}, command {payload[0]}, version {payload[1]}")
            lines += tree(payload[4:], DEVICE, indent=1)
    return lines


def get_link(name):
    """The answer to RTM_GETLINK."""
    index = socket.if_nametoindex(name)
    lines = []
    for reply, flags, payload in exchange(
            socket.NETLINK_ROUTE, nl.RTM_GETLINK, struct.pack("=BBHiII", 0, 0, 0, 0, 0, 0),
            nl.string(3, name), 0):
        family, _, kind, _, iff, change = struct.unpack_from("=BBHiII", payload)
        lines.append(f"message {reply}, flags {flags:#x}: family {family}, type {kind}, "
                     f"IFF {iff:#x}, change {change:#x}")
        lines += tree(payload[16:], LINK, index, 1)
    return lines


def read(path):
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return file.read().rstrip("\n").replace("\n", " / ")
    except OSError as error:
        return f"{type(error).__name__}: {os.strerror(error.errno)}"


def folder(path, mask=lambda name, text: text):
    """All files below a folder."""
    lines = []
    for where, folders, files in os.walk(path):
        folders.sort()
        for name in sorted(files):
            at = os.path.join(where, name)
            short = os.path.relpath(at, path)
            lines.append(f"{short} = {mask(short, read(at))}" if os.access(at, os.R_OK)
                         else f"{short} cannot be read")
        lines += [f"{name} in {os.path.relpath(where, path)} is a link" for name in folders
                  if os.path.islink(os.path.join(where, name))]
    return lines


def sysfs(name):
    index = str(socket.if_nametoindex(name))

    def mask(file, text):
        if file == "ifindex":
            return "some"
        if file == "iflink" and text == index:
            return "its own"
        return re.sub(r"IFINDEX=\d+", "IFINDEX=some", text) if file == "uevent" else text
    return folder(f"/sys/class/net/{name}", mask)


def procfs(name):
    lines = [" ".join(line.split()) for line in open("/proc/self/net/dev", encoding="ascii")
             if line.split(":")[0].strip() == name]
    lines += [" ".join(line.split()[:1] + line.split()[2:])
              for line in open("/proc/self/net/if_inet6", encoding="ascii")
              if line.split()[-1] == name]
    for what in ("ipv4/conf", "ipv6/conf", "ipv4/neigh", "ipv6/neigh"):
        lines += [f"{what}: {line}" for line in folder(f"/proc/sys/net/{what}/{name}")]
    lines += [f"ipv4/conf/all: {line}" for line in folder("/proc/sys/net/ipv4/conf/all")]
    return lines


def laid_out(text):
    """What a command printed, with JSON as one value a line."""
    try:
        parsed = json.loads(text)
    except ValueError:
        return re.sub(r"^\d+: ", "N: ", text, flags=re.M).splitlines()
    for one in parsed if isinstance(parsed, list) else []:
        one.pop("ifindex", None)
    return json.dumps(parsed, indent=1).splitlines()


def told(commands):
    """What commands print, by command. One shell for all: a process takes long to begin."""
    script = "\n".join(f"{command} 2>&1; printf '# %s\\0' $?" for command in commands)
    done = subprocess.run(["bash", "-c", script], text=True, stdout=subprocess.PIPE, check=True)
    lines = {}
    for command, text in zip(commands, done.stdout.split("\0")):
        text, _, status = text.rpartition("# ")
        lines[command] = [f"$ {command} # {status}"] + laid_out(text)
    return lines


def flat(commands):
    return [line for lines in told(commands).values() for line in lines]


def sockets(port):
    """The UDP sockets of a port, as /proc and ss(8) show them."""
    lines = []
    for path in ("udp", "udp6"):
        with open(f"/proc/self/net/{path}", encoding="ascii") as file:
            for line in list(file)[1:]:
                fields = line.split()
                if int(fields[1].rsplit(":", 1)[1], 16) == port:
                    inode = "no inode" if fields[9] == "0" else "an inode"
                    lines.append(f"{path}: {fields[1]} {fields[2]} state {fields[3]} uid {fields[7]}, "
                                 f"{inode}, references {fields[10]} drops {fields[12]}")
    return lines


def raw(name, port=0):
    """What there is without a program to read it."""
    return {
        "GET_DEVICE": get_device(name),
        "GET_DEVICE by index": get_device(socket.if_nametoindex(name)),
        "RTM_GETLINK": get_link(name),
        "sysfs": sysfs(name),
        "procfs": procfs(name),
        "nsids": sorted(nl.nsids()),
        **({"sockets": sockets(port)} if port else {}),
    }


def everything(name, port):
    """All there is, by what it was read with."""
    programs = {
        "ip": [f"ip -d link show {name}", f"ip -d -j -s link show {name}",
               f"ip -brief address show dev {name}", "ip -o link show type wireguard"],
        "ethtool": [f"ethtool -i {name}", f"ethtool -k {name}", f"ethtool {name}"],
        "wg": [f"wg show {name} dump", f"wg showconf {name}", f"wg show {name}"],
        "ss": [f"ss -aunemH sport = :{port}"],
    }
    found = told([command for commands in programs.values() for command in commands])
    shown = {what: [line for command in commands for line in found[command]]
             for what, commands in programs.items()}
    looked = raw(name, port)
    looked["sockets"] += [re.sub(r"sk:\w+", "sk:some", re.sub(r"ino:[1-9]\d*", "ino:some", line))
                          for line in shown.pop("ss")]
    return {**looked, **shown}


# --- what is announced ------------------------------------------------------------------

# Links, addresses, routes, what IPv6 says of interfaces, netconf and nsids.
GROUPS = (1, 5, 7, 9, 11, 12, 24, 25, 28)
KINDS = {16: "NEWLINK", 17: "DELLINK", 20: "NEWADDR", 21: "DELADDR", 24: "NEWROUTE",
         25: "DELROUTE", 80: "NEWNETCONF", 81: "DELNETCONF", 88: "NEWNSID", 89: "DELNSID"}
# Values of a link's announcement that are worth a look; of the rest it is told that they are there.
TOLD = ("operstate", "carrier", "carrier-changes", "event", "link", "link-netnsid", "new-netnsid")


class Watch:
    """Hears what is announced in the netns where it was made, by rtnetlink and to udev."""

    def __init__(self):
        self.route = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
        self.route.bind((0, 0))
        for group in GROUPS:
            self.route.setsockopt(nl.SOL_NETLINK, 1, group)
        self.uevents = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 15)
        self.uevents.bind((0, 1))

    def heard(self):
        """What it has heard up to now."""
        return self._all(self.route, self._route) + self._all(self.uevents, self._udev)

    @staticmethod
    def _all(sock, line):
        sock.setblocking(False)
        lines = []
        try:
            while True:
                lines += line(sock.recv(1 << 17))
        except BlockingIOError:
            return lines

    @staticmethod
    def _udev(data):
        words = [word for word in data.decode().split("\0")[1:]
                 if not word.startswith(("SEQNUM=", "IFINDEX="))]
        return ["uevent " + " ".join(word for word in words if word)]

    @staticmethod
    def _route(data):
        lines = []
        at = 0
        while at + 16 <= len(data):
            length, kind, flags = struct.unpack_from("=IHH", data, at)
            payload = data[at + 16:at + length]
            at += length + 3 & ~3
            name = KINDS.get(kind, str(kind))
            line = f"{name}, flags {flags:#x}"
            if name.endswith("LINK"):
                family, _, _, index, iff, change = struct.unpack_from("=BBHiII", payload)
                found = [one.strip() for one in tree(payload[16:], LINK, index)]
                lines.append(line + f", family {family}, IFF {iff:#x}, change {change:#x}")
                lines += ["  " + one for one in found if one.split(" =")[0] in TOLD]
                lines.append("  and " + " ".join(one.split(" =")[0] for one in found
                                                 if one.split(" =")[0] not in TOLD))
            else:
                header = {"ADDR": 8, "ROUT": 12, "NETC": 1, "NSID": 1}.get(name[3:7], 0)
                rest = payload[(header + 3) & ~3:]
                lines.append(line + ": " + " ".join(str(kind) for _, kind, _ in nl.attrs(rest)))
        return lines
