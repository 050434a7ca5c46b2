# SPDX-License-Identifier: GPL-2.0
"""Requests to a wireguard device that are wrong in one point each, or just right, and what the
kernel says to them: an errno and the attribute that it points at. Its words are each module's own.

Numbers that only our module gives a meaning are left out: attributes 64 to 70, command 64.
"""

import struct

import looks
import netlink as nl

KEY = bytes(range(1, 33))
UNKNOWN = (0, 9, 10, 63, 71, 200)
LENGTHS = (0, 1, 2, 3, 4, 5, 8, 15, 16, 31, 32, 33, 64)


def ask(command, body, flags=nl.F_ACK, version=1, reserved=0):
    with nl.Netlink(nl.NETLINK_GENERIC) as genl:
        genl.sock.settimeout(5)
        return genl.ask(nl.family(), struct.pack("=BBH", command, version, reserved), body, flags)


def said(answer):
    at = "" if answer.attribute is None else f" at attribute {answer.attribute}"
    return answer.name + at


def get(body, **more):
    return ask(nl.GET_DEVICE, body, nl.F_ACK | nl.F_DUMP, **more)


def put(*parts, name="wg0", **more):
    return ask(nl.SET_DEVICE, nl.string(nl.IFNAME, name) + b"".join(parts), **more)


def with_peer(*parts, key=KEY, peer_kind=nl.NESTED):
    return put(nl.nest(nl.PEERS, nl.attr(peer_kind, (nl.attr(1, key) if key else b"")
                                         + b"".join(parts))))


def with_allowed(*parts, kind=nl.NESTED):
    return with_peer(nl.nest(9, nl.attr(kind, b"".join(parts))))


def allowed(family, address, bits, flags=None):
    return (nl.u16(1, family), nl.attr(2, address), nl.attr(3, bytes([bits])),
            *((nl.u32(4, flags),) if flags is not None else ()))


def sockaddr(family, length):
    return struct.pack("=H", family) + bytes(length - 2)


def naming(index, other):
    """How a device is named; `index` is its index and `other' that of another kind of device."""
    name, number = nl.string(2, "wg0"), nl.u32(1, index)
    ways = {
        "by nothing": b"", "by name": name, "by index": number, "by both": number + name,
        "by name and a zero index": nl.u32(1, 0) + name,
        "by the name of none": nl.string(2, "none"), "by an empty name": nl.string(2, ""),
        "by no bytes for a name": nl.attr(2, b""), "by a name without an end": nl.attr(2, b"wg0"),
        "by a name with more behind its end": nl.attr(2, b"wg0\0wg0\0"),
        "by a name of 15": nl.string(2, "x" * 15), "by a name of 16": nl.string(2, "x" * 16),
        "by a name of 15 without an end": nl.attr(2, b"x" * 15),
        "by a name of 16 without an end": nl.attr(2, b"x" * 16),
        "by a name of 100": nl.string(2, "x" * 100),
        "by index 0": nl.u32(1, 0), "by an index of none": nl.u32(1, 999),
        "by a negative index": nl.u32(1, 0xffffffff),
        "by another kind of device": nl.string(2, "lo"), "by that one's index": nl.u32(1, other),
        "by name twice": nl.string(2, "none") + name, "by name as a nest": nl.attr(2 | nl.NESTED,
                                                                                  b"wg0\0"),
        "by an index in network byte order": nl.attr(1 | 0x4000, struct.pack("=I", index)),
        "by name and with rests behind": name + b"\1\0", "by name and with an attribute too long":
        name + struct.pack("=HH", 40, 1) + bytes(4), "by name and one too short":
        name + struct.pack("=HH", 2, 1),
    }
    for way, body in ways.items():
        yield f"GET {way}", get(body)
        yield f"SET {way}", ask(nl.SET_DEVICE, body)


def headers():
    name = nl.string(2, "wg0")
    for number in (2, 3, 63, 65, 255):
        for flags in (nl.F_ACK, nl.F_ACK | nl.F_DUMP):
            yield f"command {number}, flags {flags:#x}", ask(number, name, flags)
    for command, how in ((nl.GET_DEVICE, nl.F_DUMP), (nl.SET_DEVICE, 0)):
        for version in (0, 2, 255):
            yield (f"command {command}, version {version}",
                   ask(command, name, nl.F_ACK | how, version))
        yield f"command {command} with reserved bits", ask(command, name, nl.F_ACK | how, 1, 7)
        for flags in (0x8, 0x10, 0x100, 0x200, 0x300, 0x400, 0x800):
            yield (f"command {command} with flags {flags:#x}",
                   ask(command, name, nl.F_ACK | how | flags))
    yield "GET of one, not all", ask(nl.GET_DEVICE, name)
    yield "SET of all", ask(nl.SET_DEVICE, name, nl.F_ACK | nl.F_DUMP)


def device_attributes():
    """Every attribute in every length, to both commands, marked as a nest and not."""
    name = nl.string(2, "wg0")
    for kind in (*range(1, 9), *UNKNOWN):
        for length in LENGTHS:
            for mark in (0, nl.NESTED):
                one = nl.attr(kind | mark, bytes(length))
                marked = " as a nest" if mark else ""
                yield f"GET with {length} zeroes for {kind}{marked}", get(name + one)
                yield f"SET with {length} zeroes for {kind}{marked}", put(one)
    for flags in (1, 2, 3, 0x80000000):
        yield f"SET with flags {flags:#x}", put(nl.u32(nl.FLAGS, flags))
    yield "SET with a public key", put(nl.attr(nl.PUBLIC_KEY, KEY))
    yield "SET with a private key", put(nl.attr(nl.PRIVATE_KEY, KEY))
    yield "SET with nothing", put()


def peer_attributes():
    # What is refused later leaves the peer as it is: in-tree, a new one would stay.
    yield "nothing but a key", with_peer()
    for kind in (*range(2, 9), *range(10, 14), 0, 200):
        for length in LENGTHS:
            yield f"{length} zeroes for {kind}", with_peer(nl.attr(kind, bytes(length)))
    for length in LENGTHS:
        yield f"a key of {length}", with_peer(key=bytes(length))
        yield f"allowed IPs of {length} zeroes", with_peer(nl.attr(9 | nl.NESTED, bytes(length)))
    for flags in (1, 2, 3, 4, 5, 6, 7, 8, 0x80000000):
        yield f"flags {flags}", with_peer(nl.u32(3, flags))
    for version in (0, 1, 2, 0xffffffff):
        yield f"version {version}", with_peer(nl.u32(10, version))
    for family in (0, 2, 10, 77):
        for length in (16, 17, 20, 24, 28, 29, 128):
            yield (f"an endpoint of family {family} and {length} bytes",
                   with_peer(nl.attr(4, sockaddr(family, length))))
    yield "no key", with_peer(key=None)
    yield "a peer that is no nest", with_peer(peer_kind=0)
    yield "a peer of another number", with_peer(peer_kind=5 | nl.NESTED)
    yield "a key that is no point", with_peer(key=bytes(32))
    yield "a key of ones", with_peer(key=b"\xff" * 32)
    yield "a list that is no nest", put(nl.attr(nl.PEERS, nl.nest(0, nl.attr(1, KEY))))
    yield "an empty list", put(nl.nest(nl.PEERS))
    yield "an empty peer", put(nl.nest(nl.PEERS, nl.nest(0)))
    yield "a peer twice", put(nl.nest(nl.PEERS, nl.peer(KEY), nl.peer(KEY)))
    yield ("removed and added again",
           put(nl.nest(nl.PEERS, nl.peer(KEY, flags=1), nl.peer(KEY, allowed=["10.0.0.0/8"]))))


def allowed_attributes():
    yield "nothing but a key", with_peer()
    for kind in (1, 2, 3, 4, 0, 5, 200):
        for length in LENGTHS[:10]:
            good = dict(enumerate(allowed(2, b"\n\0\0\0", 8), 1))
            good[kind] = nl.attr(kind, bytes(length))
            yield f"{length} zeroes for {kind}", with_allowed(*good.values())
    for missing in (1, 2, 3):
        good = dict(enumerate(allowed(2, b"\n\0\0\0", 8), 1))
        del good[missing]
        yield f"without {missing}", with_allowed(*good.values())
    for family, size, most in ((2, 4, 32), (10, 16, 128), (2, 16, 32), (10, 4, 128), (77, 4, 32)):
        for bits in (0, 1, most, most + 1, 255):
            yield (f"family {family}, {size} bytes, {bits} bits",
                   with_allowed(*allowed(family, b"\xfe" * size, bits)))
    for flags in (0, 1, 2, 0x80000000):
        yield f"flags {flags}", with_allowed(*allowed(2, b"\n\0\0\0", 8, flags))
    yield "no nest", with_allowed(*allowed(2, b"\n\0\0\0", 8), kind=0)
    yield "an empty one", with_allowed()
    yield "given to another", put(nl.nest(nl.PEERS, nl.peer(KEY[::-1], allowed=["10.0.0.0/8"])))
    yield "taken from who does not have it", with_allowed(*allowed(2, b"\n\0\0\0", 8, 1))


def answers(requests, name="wg0"):
    """What is said to each of some requests, and whether the device is another one after it."""
    lines = []
    before = looks.get_device(name)
    for what, answer in requests:
        after = looks.get_device(name)
        changed = "" if after == before else ", and the device is changed"
        lines.append(f"{what}: {said(answer)}{changed}")
        before = after
    return lines + ["in the end"] + before


# --- what the family says of itself ------------------------------------------------------

def family():
    """Its description, but for what only our module has."""
    lines = []
    for _, _, payload in looks.exchange(nl.NETLINK_GENERIC, 16, struct.pack("=BBH", 3, 1, 0),
                                        nl.string(2, "wireguard"), 0):
        for _, kind, value in nl.attrs(payload[4:]):
            if kind in (1, 7):
                continue  # its number, and the group of events
            if kind != 6:
                lines.append(f"attribute {kind} = {value.hex()}")
                continue
            for _, _, command in nl.attrs(value):
                known = dict((k, v.hex()) for _, k, v in nl.attrs(command))
                if struct.unpack("=I", bytes.fromhex(known[1]))[0] < 64:
                    lines.append(f"command {known}")
    return lines


def policies():
    """What it says that its commands take."""
    found, commands = {}, {}
    for _, _, payload in looks.exchange(nl.NETLINK_GENERIC, 16, struct.pack("=BBH", 10, 1, 0),
                                        nl.string(2, "wireguard"), nl.F_DUMP):
        for _, kind, value in nl.attrs(payload[4:]):
            for _, number, inner in nl.attrs(value):
                if kind == 9:
                    commands[number] = {k: struct.unpack("=I", v)[0] for _, k, v in nl.attrs(inner)}
                elif kind == 8:
                    for _, attribute, what in nl.attrs(inner):
                        found.setdefault(number, {})[attribute] = {
                            k: v.hex() for _, k, v in nl.attrs(what)}

    def show(number, indent):
        lines = []
        for attribute, what in sorted(found.get(number, {}).items()):
            if attribute >= 64:
                continue
            # Which policy a nest has is a number in this answer, 8; and 9 its highest attribute.
            inner = what.pop(8, None)
            lines.append("  " * indent + f"{attribute}: {what}")
            if inner:
                lines += show(struct.unpack("=I", bytes.fromhex(inner))[0], indent + 1)
        return lines

    lines = []
    for command, ways in sorted(commands.items()):
        for way, number in sorted(ways.items()):
            if command < 64:
                lines += [f"command {command}, way {way}"] + show(number, 1)
    return lines
