# SPDX-License-Identifier: GPL-2.0
"""What ethtool(8) shows and sets of a device in this netns: features and private flags, by name."""

import ctypes
import fcntl
import socket
import struct

SIOCETHTOOL = 0x8946
GSTRINGS, GPFLAGS, SPFLAGS, SGRO, GSSET_INFO, GFEATURES, SFEATURES = (
    0x1b, 0x27, 0x28, 0x2c, 0x37, 0x3a, 0x3b)
PRIV_FLAGS, FEATURES = 2, 4


def _ask(device, request):
    """Passes a structure to the kernel, and returns what that made of it."""
    data = ctypes.create_string_buffer(request, len(request))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        fcntl.ioctl(sock, SIOCETHTOOL, struct.pack("16sQ16x", device.encode(),
                                                   ctypes.addressof(data)))
    return data.raw


def _names(device, kind):
    mask, count = struct.unpack_from("=QI", _ask(device, struct.pack("=IIQI", GSSET_INFO, 0,
                                                                     1 << kind, 0)), 8)
    if not mask:
        return []
    data = _ask(device, struct.pack("=III", GSTRINGS, kind, count) + bytes(32 * count))
    return [data[at:at + 32].rstrip(b"\0").decode() for at in range(12, len(data), 32)]


def flags(device):
    """The private flags."""
    bits = struct.unpack("=II", _ask(device, struct.pack("=II", GPFLAGS, 0)))[1]
    return {name: bool(bits >> at & 1) for at, name in enumerate(_names(device, PRIV_FLAGS))}


def set_flag(device, name, on):
    """Sets a private flag."""
    values = flags(device) | {name: on}
    _ask(device, struct.pack("=II", SPFLAGS, sum(on << at for at, on in enumerate(values.values()))))


def set_features(device, **features):
    """Sets features, with `_' for `-' in their names; tells whether they came to be that way."""
    names = _names(device, FEATURES)
    blocks = (len(names) + 31) // 32
    words = [[0, 0] for _ in range(blocks)]
    for name, on in features.items():
        at = names.index(name.replace("_", "-"))
        words[at // 32][0] |= 1 << at % 32
        words[at // 32][1] |= on << at % 32
    _ask(device, struct.pack("=II", SFEATURES, blocks)
         + b"".join(struct.pack("=II", *pair) for pair in words))
    data = _ask(device, struct.pack("=II", GFEATURES, blocks) + bytes(16 * blocks))
    active = [struct.unpack_from("=4I", data, 8 + 16 * at)[2] for at in range(blocks)]
    return all(active[at // 32] >> at % 32 & 1 == features[name.replace("-", "_")]
               for at, name in enumerate(names) if name.replace("-", "_") in features)
