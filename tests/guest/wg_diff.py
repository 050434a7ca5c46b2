# SPDX-License-Identifier: GPL-2.0
"""wg_diff.py STOCK OURS: compares two implementations of wg(8).

Ours differs on purpose in these points, which are left out here or checked on
their own:

  - the texts of --help and --version, and all of standard error;
  - the field transit-netns, and what it adds to the other displays of a device
    that has moved;
  - a directory as configuration file is an error; the stock tool takes it for
    an empty file, and removes all peers;
  - names of interfaces longer than 15 characters are errors; `wg set' of the
    stock tool cuts them;
  - Debian's release is of 2021. Later ones have `+' and `-' before allowed IPs,
    syncconf that unsets preshared keys and keepalives, and `show all endpoints'
    with the name of the device in each line. So has ours.
"""

import base64
import os
import random
import re
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import world  # noqa: E402

STOCK, OURS = sys.argv[1:3]
SEED = int(os.environ.get("SEED", "1"))
CASES = int(os.environ.get("CASES", "60"))
rng = random.Random(SEED)
scratch = tempfile.mkdtemp()
failures = 0


def report(good, what, *details):
    """Prints one line of the test's result, and why it failed."""
    global failures
    print(("ok " if good else "not ok ") + what, flush=True)
    if not good:
        failures += 1
        for detail in details[:5]:
            print("#   " + str(detail)[:600], flush=True)


def run(tool, args, stdin=b"", env=None):
    """Exit status and standard output."""
    environment = dict(os.environ, WG_ENDPOINT_RESOLUTION_RETRIES="0", **(env or {}))
    done = subprocess.run(
        [tool, *args], input=stdin, env=environment, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, timeout=120, check=False)
    return done.returncode, done.stdout


def sh(command):
    subprocess.run(command, shell=True, check=True)


def file(name, text):
    path = os.path.join(scratch, name)
    with open(path, "wb") as f:
        f.write(text if isinstance(text, bytes) else text.encode("latin1", "replace"))
    return path


def key(clamped=False):
    raw = bytearray(rng.randbytes(32))
    if clamped:
        raw[0] &= 248
        raw[31] = raw[31] & 127 | 64
    return base64.b64encode(raw).decode()


# --- displays -------------------------------------------------------------------

FIELDS = ("public-key private-key listen-port fwmark peers preshared-keys endpoints allowed-ips "
          "latest-handshakes transfer persistent-keepalive dump bogus").split()
ENVIRONMENTS = [
    {},
    {"WG_COLOR_MODE": "always"},
    {"WG_COLOR_MODE": "never", "WG_HIDE_KEYS": "never"},
    {"WG_COLOR_MODE": "always", "WG_HIDE_KEYS": "never"},
    {"WG_COLOR_MODE": "", "WG_HIDE_KEYS": "always"},
]


def same(args, env=None, stdin=b"", order=lambda output: output, tries=12):
    """None if both do the same; times go on, so it may take some tries."""
    for _ in range(tries):
        stock = run(STOCK, args, stdin, env)
        ours = run(OURS, args, stdin, env)
        if stock[0] == ours[0] and order(stock[1]) == order(ours[1]):
            return None
    # Where each command takes a second, what is said in seconds is never the same.
    if world.debugs() and stock[0] == ours[0] \
            and order(timeless(stock[1])) == order(timeless(ours[1])):
        return None
    return (args, env, stock, ours)


def timeless(output):
    return re.sub(rb"(\d+ (\x1b\[\d+m)?(year|day|hour|minute|second)s?(\x1b\[0m)?(, )?)+",
                  b"some time", output)


def compare(what, cases, **how):
    different = [d for d in (same(*case, **how) for case in cases) if d]
    report(not different, f"{what} ({len(cases)} commands)", *different)


def displays(device):
    cases = [(["show", device], env) for env in ENVIRONMENTS]
    cases += [(["show", device, field],) for field in FIELDS]
    cases += [(["showconf", device],)]
    return cases


def compare_displays(devices):
    for device in devices:
        compare(f"{device}: show and showconf", displays(device))
    everything = [([],), (["show"],), (["show", "all"],), (["show", "interfaces"],)]
    everything += [(["show"], env) for env in ENVIRONMENTS]
    everything += [(["show", "all", field],) for field in FIELDS if field != "endpoints"]
    compare("all devices at once", everything)
    lines = [f"{device}\t{line}" for device in devices
             for line in run(STOCK, ["show", device, "endpoints"])[1].decode().splitlines()]
    shown = run(OURS, ["show", "all", "endpoints"])[1].decode().splitlines()
    report([line for line in shown if line.split("\t")[0] in devices] == lines,
           "show all endpoints")


WRONG = [
    ["bogus"], [""], ["show", "nope"], ["show", "nope", "dump"], ["show", "lo"], ["show", ""],
    ["show", "a/b"], ["show", "x" * 16], ["show", "x" * 300], ["show", "interfaces", "x"],
    ["show", "a", "b", "c"], ["show", "--help"], ["show", "-h"], ["show", "help"],
    ["showconf"], ["showconf", "nope"], ["showconf", "lo"], ["showconf", "a", "b"],
    ["showconf", "--help"],
    ["set"], ["set", "--help"], ["set", "nope"], ["set", "nope", "fwmark", "1"],
    ["set", "lo", "fwmark", "1"], ["set", "", "fwmark", "1"],
    ["setconf"], ["setconf", "--help"], ["setconf", "nope", "/dev/null"],
    ["setconf", "nope", "/nonexistent"], ["setconf", "a", "b", "c"],
    ["addconf", "nope"], ["addconf", "lo", "/dev/null"], ["syncconf", "nope", "/dev/null"],
    ["genkey", "x"], ["genpsk", "--help"], ["pubkey", "x"], ["pubkey", "--help"],
    ["--help", "x"], ["version", "x"],
]


# --- devices to look at -----------------------------------------------------------

def address():
    kind = rng.random()
    if kind < 0.5:
        return ".".join(str(rng.randrange(256)) for _ in range(4))
    words = [format(rng.getrandbits(16) if rng.random() < 0.5 else 0, "x") for _ in range(8)]
    if kind > 0.9:
        words[:6] = ["0"] * 6
    return ":".join(words)


def ranges(count):
    out = []
    for _ in range(count):
        addr = address()
        out.append(f"{addr}/{rng.randrange(129 if ':' in addr else 33)}")
    return ", ".join(out)


def endpoint():
    kind = rng.random()
    if kind < 0.2:
        return rng.choice(["[fe80::1%lo]:51820", "[fe80::2%wgd-empty]:1"])
    addr = address()
    return (f"[{addr}]" if ":" in addr else addr) + f":{rng.randrange(1, 65536)}"


def peer(count=None, options=0.5):
    lines = ["[Peer]", f"PublicKey = {key()}"]
    if rng.random() < options:
        lines.append(f"PresharedKey = {key()}")
    count = rng.choice([0, 1, 1, 2, 5, 30]) if count is None else count
    while count > 0:
        lines.append("AllowedIPs = " + ranges(min(count, 1000)))
        count -= 1000
    if rng.random() < options:
        lines.append(f"Endpoint = {endpoint()}")
    if rng.random() < options:
        lines.append(f"PersistentKeepalive = {rng.choice([0, 1, 25, 61, 3600, 65535])}")
    return "\n".join(lines)


def make_devices():
    """Devices of the kernel, with everything on and off."""
    for name in ("wgd-empty", "wgd-bare", "wgd-many", "wgd-long"):
        sh(f"ip link add {name} type wireguard")
    port, mark, private = "ListenPort = 51821", "FwMark = 0xca6c", f"PrivateKey = {key(True)}"
    bare = "\n".join(["[Interface]", port, mark, private, peer(0, 0)])
    many = "\n".join(["[Interface]", private] + [peer() for _ in range(60)])
    long = "\n".join(["[Interface]", mark, peer(3000), peer(1), peer(0), peer(2000)])
    for name, text in (("wgd-bare", bare), ("wgd-many", many), ("wgd-long", long)):
        sh(f"{STOCK} setconf {name} {file(name, text)} 2>/dev/null")


def make_tunnel():
    """Two devices that have shaken hands, for times and counters."""
    keys = {name: key(True) for name in ("wgd-left", "wgd-right")}
    public = {name: subprocess.run([STOCK, "pubkey"], input=secret.encode(), check=True,
                                   stdout=subprocess.PIPE).stdout.decode().strip()
              for name, secret in keys.items()}
    for own, other, port, remote in (("wgd-left", "wgd-right", 7001, 7002),
                                     ("wgd-right", "wgd-left", 7002, 7001)):
        sh(f"ip link add {own} type wireguard")
        sh(f"{STOCK} set {own} listen-port {port} private-key {file('key', keys[own])} "
           f"peer {public[other]} allowed-ips 10.9.0.0/24 endpoint 127.0.0.1:{remote} "
           f"persistent-keepalive 1")
        sh(f"ip link set {own} up")
    for _ in range(50):
        if not b"\t0\n" in run(STOCK, ["show", "wgd-left", "latest-handshakes"])[1]:
            # Down, so that the counters stand still.
            sh("ip link set wgd-left down; ip link set wgd-right down")
            return True
        time.sleep(0.2)
    return False


# --- changes ----------------------------------------------------------------------

class Pair:
    """Two devices of one kind that are changed by one tool each."""

    def __init__(self, stock, ours):
        self.stock, self.ours = stock, ours

    def state(self, device):
        return run(STOCK, ["showconf", device])[1]

    def change(self, args, stdin=b""):
        """None if both did the same, and both devices are the same now."""
        status = [run(tool, [device if word == "DEV" else word for word in args], stdin)
                  for tool, device in ((STOCK, self.stock), (OURS, self.ours))]
        # A port that the kernel chose is not the same on both.
        if status[0] == status[1] and self.state(self.stock) == self.state(self.ours):
            return None
        return (args, status, self.state(self.stock), self.state(self.ours))


KEYS = [key() for _ in range(4)]

NUMBERS = ["0", "1", "25", "51822", "65535", "65536", "70000", "-1", "+5", "0x10", "0xca6c",
           "0xffffffff", "0x100000000", "4294967295", "4294967296", "off", "OFF", "", "abc", "1 2",
           "0x", "0X1", "00012", "99999999999999999999999", "5s", "1.5"]
ADDRESSES = ["10.0.0.1", "10.0.0.0", "0.0.0.0", "::", "fd00::", "fd00::1", "1.2.3", "010.0.0.1",
             "256.0.0.1", "::1.2.3.4", "::ffff:1.2.3.4", "1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7::",
             "1::2::3", ":::", "", "x", "fe80::1%lo", "1.2.3.4.5", "12345::"]
PREFIXES = ["", "", "/0", "/8", "/24", "/32", "/33", "/64", "/128", "/129", "/", "/-1", "/08",
            "/24/1", "/x", "/99999999999999999999"]
ENDPOINTS = ["1.2.3.4:5", "[::1]:5", "::1:5", "[fe80::1%lo]:51820", "[fe80::1%1]:1",
             "localhost:5", "1.2.3.4:70000", "1.2.3:80", "1.2.3.4", "1.2.3.4:", "[::1]", "[::1]:",
             "[::1", "[::1]5", ":5", "", "[]:5", "[1.2.3.4]:5", "1.2.3.4:-1", "[fe80::1%nope]:5",
             "01.02.03.04:5", "[::ffff:1.2.3.4]:5"]


def some_ranges():
    if rng.random() < 0.7:
        pick = lambda: rng.choice(["10.0.0.0/8", "10.1.0.0/16", "fd00::/8", "0.0.0.0/0", "::/0",
                                   "10.0.0.1", "fd00::1", "10.0.0.1/8"])
    else:
        pick = lambda: rng.choice(ADDRESSES) + rng.choice(PREFIXES)
    return rng.choice([",", ",", " , ", ",,"]).join(pick() for _ in range(rng.randrange(4)))


def some_key():
    bad = [KEYS[0][:-1], KEYS[0] + "=", "", KEYS[0][:42] + "==", "A" * 44, "A" * 43 + "=",
           KEYS[0][:42] + "9=", KEYS[0][:20] + "-" + KEYS[0][21:]]
    return rng.choice(KEYS if rng.random() < 0.8 else bad)


def some_number():
    return rng.choice(NUMBERS)


def some_endpoint():
    return rng.choice(ENDPOINTS)


def space():
    return rng.choice(["", "", "", " ", "\t", "  ", "\r", "\v", "\f"])


def case(word):
    return rng.choice([word, word, word.lower(), word.upper(), word.swapcase()])


VALUES = {
    "PrivateKey": some_key, "ListenPort": some_number, "FwMark": some_number,
    "PublicKey": some_key, "PresharedKey": some_key, "AllowedIPs": some_ranges,
    "Endpoint": some_endpoint, "PersistentKeepalive": some_number,
}


def wild_line():
    word = rng.choice(["[Interface]", "[Peer]", "[Peer]", "#", "", "junk", "[foo]", "Address",
                       *VALUES, "PublicKey", "AllowedIPs"])
    if word.startswith("["):
        return space() + case(word) + space() + rng.choice(["", "", " # comment"])
    value = VALUES.get(word, lambda: rng.choice(["", "x", "\0", "=", "=="]))()
    if rng.random() < 0.05:
        value += rng.choice(["\0", "\0garbage", " #c", "\xe9"])
    equals = rng.choice(["="] * 12 + ["", "=="])
    return space() + case(word) + space() + equals + space() + value + space()


def config():
    if rng.random() < 0.4:
        lines = [wild_line() for _ in range(rng.randrange(7))]
    else:
        # No listen port unless it is given: the kernel's choices would differ.
        lines = ["[Interface]"]
        for word in ("PrivateKey", "ListenPort", "FwMark"):
            if rng.random() < 0.4:
                lines.append(f"{case(word)}{space()}={space()}{VALUES[word]()}")
        for _ in range(rng.randrange(4)):
            lines += [case("[Peer]"), f"PublicKey={rng.choice(KEYS)}"]
            for word in ("PresharedKey", "AllowedIPs", "Endpoint", "PersistentKeepalive"):
                if rng.random() < 0.3:
                    lines.append(f"{space()}{case(word)}={VALUES[word]()}")
    return rng.choice(["\n", "\n", "\r\n"]).join(lines) + rng.choice(["", "\n"])


def words():
    args = ["set", "DEV"]
    for _ in range(rng.randrange(1, 6)):
        word = rng.choice(["listen-port", "fwmark", "private-key", "peer", "peer", "peer", "remove",
                           "preshared-key", "endpoint", "allowed-ips", "persistent-keepalive",
                           "junk"])
        args.append(word)
        if word in ("remove", "junk") or rng.random() < 0.03:
            continue
        args.append({
            "listen-port": some_number, "fwmark": some_number, "persistent-keepalive": some_number,
            "endpoint": some_endpoint, "allowed-ips": some_ranges, "peer": some_key,
        }.get(word, lambda: rng.choice(["/dev/null", KEYFILE, "/dev/stdin", "/nope", LONGFILE,
                                        "/tmp"]))())
    return args


KEYFILE = file("keyfile", KEYS[0] + "\n")
LONGFILE = file("longfile", KEYS[0] + "\nx")


def compare_changes(what, pair):
    different = []
    for _ in range(CASES):
        path = file("conf", config())
        command = rng.choice(["setconf", "setconf", "addconf"])
        difference = pair.change([command, "DEV", path])
        if difference:
            with open(path, "rb") as f:
                different.append((f.read(), *difference))
    report(not different, f"{what}: random configuration files ({CASES})", *different)

    different = []
    for _ in range(CASES):
        stdin = rng.choice([KEYS[0] + "\n", KEYS[0], "", " " + KEYS[0], KEYS[0] + "x"]).encode()
        difference = pair.change(words(), stdin)
        if difference:
            different.append((stdin, *difference))
    report(not different, f"{what}: random words of set ({CASES})", *different)


def compare_syncconf(pair):
    """Peers are added, changed and removed; what stays must not be replaced."""
    different = []
    for _ in range(CASES // 3):
        both = {}
        for k in rng.sample(KEYS, rng.randrange(5)):
            both[k] = peer(options=0).replace("[Peer]\n", "").split("\n", 1)[1:]
        text = "[Interface]\nListenPort = 7010\n" + "".join(
            f"[Peer]\nPublicKey = {k}\n" + "\n".join(rest) + "\n" for k, rest in both.items())
        difference = pair.change(["syncconf", "DEV", file("conf", text)])
        if difference:
            different.append((text, *difference))
    report(not different, f"random files for syncconf ({CASES // 3})", *different)


def compare_large(pair):
    text = "\n".join(["[Interface]", "ListenPort = 7011"] + [peer(n % 7) for n in range(300)]
                     + [peer(4000), peer(1), peer(3000)])
    path = file("large", text)
    report(pair.change(["setconf", "DEV", path]) is None, "a file that takes many messages")
    report(pair.change(["syncconf", "DEV", path]) is None, "and again with syncconf")
    report(pair.change(["setconf", "DEV", file("none", "[Interface]\nListenPort = 7011")]) is None,
           "and all of it gone")


# --- what only ours and later releases can do -------------------------------------

def newer():
    sh("ip link add wgd-new type wireguard")
    one = KEYS[0]

    def check(what, args, expected, show=("allowed-ips",)):
        status = run(OURS, ["set", "wgd-new", "peer", one, *args])[0]
        shown = run(STOCK, ["show", "wgd-new", *show])[1].decode()
        wanted = f"{one}\t{expected}\n"
        report(status == 0 and sorted(shown.split()) == sorted(wanted.split()), what,
               (status, shown, wanted))

    check("allowed-ips replaces", ["allowed-ips", "10.0.0.0/8,11.0.0.0/8"],
          "10.0.0.0/8 11.0.0.0/8")
    check("allowed-ips with + adds", ["allowed-ips", "+12.0.0.0/8"],
          "10.0.0.0/8 11.0.0.0/8 12.0.0.0/8")
    check("allowed-ips with - removes", ["allowed-ips", "-11.0.0.0/8,+fd00::/8"],
          "10.0.0.0/8 12.0.0.0/8 fd00::/8")
    check("allowed-ips '' clears", ["allowed-ips", ""], "(none)")
    sh(f"{OURS} set wgd-new peer {one} preshared-key {KEYFILE} persistent-keepalive 5")
    path = file("conf", f"[Interface]\n[Peer]\nPublicKey={one}\n")
    status = run(OURS, ["syncconf", "wgd-new", path])[0]
    shown = run(STOCK, ["showconf", "wgd-new"])[1]
    report(status == 0 and b"PresharedKey" not in shown and b"Keepalive" not in shown,
           "syncconf unsets what the file leaves out", shown)
    status = run(OURS, ["setconf", "wgd-new", "/"])[0]
    report(status == 1 and one.encode() in run(STOCK, ["show", "wgd-new", "peers"])[1],
           "a directory is no configuration file")
    sh("ip link del wgd-new")


# --- all of it ----------------------------------------------------------------------

def keys_on_stdin():
    good = key(True)
    inputs = [good, good + "\n", good + "\0\n ", good + "x", " " + good, "", "\n", good[:-1],
              good + good, key(), "A" * 43 + "=", good[:43] + "-"]
    compare("pubkey", [(["pubkey"], None, text.encode()) for text in inputs])
    for command in ("genkey", "genpsk"):
        outputs = {run(OURS, [command])[1] for _ in range(3)}
        good = len(outputs) == 3 and all(len(output) == 45 for output in outputs)
        report(good, f"{command} makes a new key each time")
    private = run(OURS, ["genkey"])[1]
    clamped = base64.b64decode(private)
    report(clamped[0] & 7 == 0 and clamped[31] & 192 == 64, "genkey makes private keys")


def userspace():
    if subprocess.run("command -v wireguard-go", shell=True, stdout=subprocess.DEVNULL,
                      check=False).returncode or not os.path.exists("/dev/net/tun"):
        print("ok a userspace device # SKIP there is no wireguard-go, or no /dev/net/tun")
        return
    for name in ("wgu-stock", "wgu-ours"):
        sh(f"wireguard-go {name} >/dev/null 2>&1")
    pair = Pair("wgu-stock", "wgu-ours")
    port = "[Interface]\nListenPort = {}\nFwMark = 0x10\n" + f"PrivateKey = {key(True)}\n"
    rest = "\n".join(peer(3, 0.7) for _ in range(20)).replace("%wgd-empty", "%lo")
    for name, number in (("wgu-stock", 7020), ("wgu-ours", 7021)):
        sh(f"{OURS} setconf {name} {file('conf', port.format(number) + rest)} 2>/dev/null")
    # wireguard-go lists peers and their ranges in a new order each time.
    letters = lambda output: sorted(output.replace(b"\n", b" "))
    compare("wgu-ours: show and showconf of a userspace device", displays("wgu-ours"),
            order=letters)
    compare("all devices, with userspace ones",
            [(["show", "interfaces"],), (["show", "all", "dump"],), (["show"],)], order=letters)
    different = [d for d in (pair.change(args) for args in (
        ["set", "DEV", "listen-port", "0"],
        ["set", "DEV", "peer", KEYS[0], "endpoint", "[::1]:7", "allowed-ips", "10.0.0.0/8,::/0",
         "preshared-key", KEYFILE, "persistent-keepalive", "7"],
        ["set", "DEV", "peer", KEYS[0], "remove"],
        ["setconf", "DEV", file("empty", "[Interface]\n")],
    )) if d and d[1][0] != d[1][1]]
    report(not different, "changes to a userspace device", *different)
    status = run(OURS, ["set", "wgu-ours", "transit-netns", "1"])[0]
    report(status == 1, "a userspace device refuses transit words")
    # wireguard-go removes its socket, and with it the device, when told to end.
    for name in ("wgu-stock", "wgu-ours"):
        sh(f"rm -f /var/run/wireguard/{name}.sock; sleep 0.5")


def main():
    compare("no devices", [([],), (["show"],), (["show", "all", "dump"],),
                           (["show", "all", "bogus"],), (["show", "interfaces"],)])
    keys_on_stdin()
    make_devices()
    report(make_tunnel(), "two devices shake hands")
    compare_displays(["wgd-empty", "wgd-bare", "wgd-many", "wgd-long", "wgd-left"])
    compare("wrong arguments", [(args,) for args in WRONG])
    sh("ip link add wgd-stock type wireguard; ip link add wgd-ours type wireguard")
    pair = Pair("wgd-stock", "wgd-ours")
    compare_changes("devices that are down", pair)
    report(pair.change(["setconf", "DEV", file("conf", "[Interface]\nListenPort=7012")]) is None,
           "back to nothing")
    compare_syncconf(pair)
    compare_large(pair)
    newer()
    userspace()
    print(f"# {failures} failed")
    sys.exit(1 if failures else 0)


main()
