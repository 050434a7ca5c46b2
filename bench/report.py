#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Makes a table and a plot of what bench/run has measured.

usage: report.py FOLDER

values.json has a line for each time that something was measured. What counts is the ratio of two
values that were measured one after the other: better is greater than 1, whether more or less of it
is better. Of these ratios there is the median, and the range of 95 % for it by resampling.

What a packet costs besides the cipher is the processor time that it took, both ends and all that runs
there, less what the cipher alone takes to encrypt and decrypt it (bench/limit, before each group).

noise.json has the same for one module measured against itself.
"""

import json
import random
import statistics
import sys
from math import log
from pathlib import Path
from typing import NamedTuple
from xml.sax.saxutils import escape


class Packet(NamedTuple):
    """What a rate is made of: packets that are as long when they are encrypted, of so many bits where
    bits are counted, else 1."""
    size: str
    bits: int = 1


class Row(NamedTuple):
    """How a value is shown."""
    key: str
    title: str
    unit: str
    factor: float = 1.0
    more_is_better: bool = True
    packet: Packet | None = None


# A device counts the messages that it receives, which are longer than the packets in them.
HEADER = 32
TCP_PACKETS = {mtu: Packet(size, 8 * (int(size) + HEADER))
               for mtu, size in (("1420", "1420"), ("jumbo", "8920"))}
WAYS = (("forth", "one way"), ("back", "the other way"), ("both", "both ways"))
MTUS = (("1420", "MTU 1420"), ("jumbo", "MTU 8920"))


def rows():
    """All rows, in the order of the table."""
    for mtu, mtu_title in MTUS:
        for streams in (1, 2, 4):
            for way, way_title in WAYS:
                title = f"TCP, {mtu_title}, {streams} stream{'s' * (streams > 1)} {way_title}"
                yield from over(f"tcp/{mtu}/{streams}/{way}", title, "Mbit", 1e-6, TCP_PACKETS[mtu])
    for group, title, ways in (
            ("firewall", "behind a stateful firewall", WAYS),
            ("link", "link without UDP segmentation, GRO at its far end", WAYS),
            ("interop", "the right end is C", (("forth", "to C"), ("back", "from C"))),
            ("forwarded", "forwarded from a third netns", WAYS)):
        for way, way_title in ways[:2]:
            yield from over(f"{group}/{way}", f"TCP, MTU 1420, {title}, {way_title}", "Mbit", 1e-6,
                            TCP_PACKETS["1420"])
    for size in (64, 512, 1400):
        packet = Packet(str(-(-size // 16) * 16))
        yield from over(f"udp/{size}", f"UDP, packets of {size} bytes", "k", 1e-3, packet)
        yield Row(f"udp/{size}/lost", f"UDP, {size} bytes, lost when flooded", "%", 100, False)
    yield from over("trains", "UDP in trains, packets of 1400 bytes", "k", 1e-3, Packet("1408"))
    yield Row("trains/lost", "UDP in trains, lost when flooded", "%", 100, False)
    for count in (1, 1_000, 100_000):
        yield from over(f"ranges/{count}", f"packets of 64 bytes, {count:,} allowed IPs", "k", 1e-3,
                        Packet("64"))
    for what, title in (("idle", "idle"), ("load", "beside a TCP stream")):
        for which, which_title in (("median", "median"), ("p99", "99th percentile")):
            yield Row(f"rtt/{what}/{which}", f"round trip, {title}, {which_title}", "µs", 1e6,
                      False)
    yield from over("handshakes", "handshakes", "")
    yield Row("config/peers", "set 10,000 peers", "ms", 1e3, False)
    yield Row("config/ranges", "set 100,000 allowed IPs", "ms", 1e3, False)
    yield Row("config/dump", "dump them all", "ms", 1e3, False)
    yield Row("config/remove", "remove them all", "ms", 1e3, False)
    yield Row("memory/device", "memory of a device that is up", "KiB", 1 / 1024, False)
    yield Row("memory/peer", "memory of a peer", "bytes", 1, False)
    yield Row("memory/range", "memory of an allowed IP", "bytes", 1, False)
    yield Row("module/size", "the module in memory", "KiB", 1 / 1024, False)
    yield Row("module/load", "loading it", "ms", 1e3, False)


def over(key, title, unit, factor=1.0, packet=None):
    """A rate by the clock, and those by the processor time that it took."""
    unit = f"{unit}/s" if unit else "1/s"
    yield Row(key, title, unit, factor)
    for prefix, what in (("", "for processor time"), ("one/", "the same on one CPU"),
                         ("generic/", "the same on one CPU, generic cipher")):
        yield Row(f"{prefix}{key}/worked", f"{title}, {what}", unit, factor, packet=packet)


class Cost(NamedTuple):
    """Nanoseconds for a packet, both ends, that are not the cipher's, and ours to C's."""
    c: float
    ours: float
    ratio: float
    low: float
    high: float


class Result(NamedTuple):
    """What came out for a row."""
    row: Row
    c: float
    ours: float
    ratio: float | None
    low: float | None
    high: float | None
    cost: Cost | None = None


def interval(ratios):
    """The range in which the median is, of so many samples, with 95 %."""
    source = random.Random(1)
    medians = sorted(statistics.median(source.choices(ratios, k=len(ratios)))
                     for _ in range(2000))
    return medians[50], medians[1949]


def cost(row, by_module, rounds, cipher):
    """What a packet costs besides the cipher; None where no packets are counted."""
    if not row.packet or row.packet.size not in cipher:
        return None
    alone = cipher[row.packet.size][1]
    rounds = [at for at in rounds if all(by_module[of][at] > 0 for of in ("c", "ours"))]
    c, ours = ([row.packet.bits * 1e9 / by_module[of][at] - alone for at in rounds]
               for of in ("c", "ours"))
    ratios = [one / other for one, other in zip(ours, c) if other > 0]
    if not ratios:
        return None
    return Cost(statistics.median(c), statistics.median(ours), statistics.median(ratios),
                *interval(ratios))


def evaluate(row, by_module, cipher):
    """Pairs what was measured in the same round. `cipher` is what the limit was then, by size."""
    c, ours = by_module["c"], by_module["ours"]
    rounds = sorted(set(c) & set(ours))
    pairs = [(ours[at], c[at]) if row.more_is_better else (c[at], ours[at]) for at in rounds]
    ratios = [one / other for one, other in pairs if one > 0 and other > 0]
    middle = [statistics.median(of[at] for at in rounds) * row.factor for of in (c, ours)]
    if not ratios:
        return Result(row, *middle, None, None, None)
    return Result(row, *middle, statistics.median(ratios), *interval(ratios),
                  cost(row, by_module, rounds, cipher))


def figure(value):
    """Three digits that mean something."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def shown_ratio(one):
    """The ratio with its range."""
    if one is None or one.ratio is None:
        return ""
    return f"{one.ratio:.2f} ({one.low:.2f} to {one.high:.2f})"


def table(results, noise, programs):
    """`noise` is by row; there may be none."""
    more = ("| C to itself ", "| :--- ") if noise else ("", "")
    yield (f"| what | | C | ours | ratio (over 1: ours is better) {more[0]}"
           "| a packet besides the cipher, ns: C | ours | ours to C |")
    yield f"| --- | --- | ---: | ---: | :--- {more[1]}| ---: | ---: | :--- |"
    for one in results:
        itself = f"| {shown_ratio(noise.get(one.row))} " if noise else ""
        of = one.cost
        besides = (f"{of.c:,.0f} | {of.ours:,.0f} | {shown_ratio(of)}" if of else "| |")
        yield (f"| {one.row.title} | {one.row.unit} | {figure(one.c)} | {figure(one.ours)} "
               f"| {shown_ratio(one)} {itself}| {besides} |")
    for name, values in programs.items():
        _, worked, _, besides = program(values)
        yield (f"| {name} in place of ours, TCP, MTU 1420, 1 stream, on the machine itself | Mbit/s "
               f"| | {figure(worked * 1e-6)} | {'| ' if noise else ''}| | {besides:,.0f} | |")


def limit_table(values, results):
    """The share of what the cipher alone would allow, of processor time."""
    of = {one.row.key: one for one in results}
    yield "| packets of | cipher alone, there and back | C | ours |"
    yield "| --- | ---: | ---: | ---: |"
    for prefix, where in (("", ""), ("one/", ", one CPU"), ("generic/", ", one CPU, generic cipher")):
        for key in ("udp/64", "udp/512", "udp/1400", "tcp/1420/1/forth", "tcp/jumbo/1/forth"):
            one = of.get(f"{prefix}{key}/worked")
            if not one:
                continue
            size, bits = one.row.packet
            there_and_back = values.cipher(one.row.key)[size][1]
            shares = [rate / one.row.factor / bits * there_and_back * 1e-9
                      for rate in (one.c, one.ours)]
            yield (f"| {size} bytes, {key[:3].upper()}{where} | {there_and_back:,.0f} ns "
                   f"| {shares[0]:.1%} | {shares[1]:.1%} |")


def moves_table(moves):
    yield "| sockets move | lost on the way out | in | silence out | in |"
    yield "| --- | ---: | ---: | ---: | ---: |"
    for what, title in (("none", "no move"), ("there", "to another netns"), ("back", "and back")):
        def middle(which, factor, what=what):
            return figure(statistics.median(moves[f"move/{what}/{which}"]) * factor)
        yield (f"| {title} | {middle('out/lost', 1)} | {middle('in/lost', 1)} "
               f"| {middle('out/silence', 1e3)} ms | {middle('in/silence', 1e3)} ms |")


def bought_table(bought):
    """Of sockets that credentials bought to root's, one measured after the other."""
    yield "| TCP, one stream | Mbit/s | root's | bought | ratio |"
    yield "| --- | --- | ---: | ---: | :--- |"
    for mtu, mtu_title in MTUS:
        for way, way_title in WAYS[:2]:
            for what, title in ((("seconds",), "by the clock"), (("worked",), "for processor time"),
                                (("worked", "one"), "the same on one CPU")):
                pairs = bought.get((mtu, way, *what))
                if not pairs:
                    continue
                ratios = [hers / root for root, hers in pairs if root > 0]
                # A machine that is busy may have had no time for any of them.
                if not ratios:
                    continue
                low, high = interval(ratios)
                root, hers = (statistics.median(of) * 1e-6 for of in zip(*pairs))
                yield (f"| {mtu_title}, {way_title} | {title} | {figure(root)} | {figure(hers)} "
                       f"| {statistics.median(ratios):.2f} ({low:.2f} to {high:.2f}) |")


def program(values):
    """Bits, bits for processor time, the cipher's share of that, and what is left of it for a packet,
    in nanoseconds."""
    # The programs' devices count packets as they are.
    return (*(statistics.median(one[of] for one in values) for of in ("seconds", "worked", "share")),
            statistics.median(8 * 1420 * 1e9 / one["worked"] * (1 - one["share"]) for one in values))


def userspace_table(programs):
    yield "| program | Mbit/s | for processor time | cipher alone takes | a packet besides that, ns |"
    yield "| --- | ---: | ---: | ---: | ---: |"
    for name, values in programs.items():
        rate, worked, share, besides = program(values)
        yield f"| {name} | {rate * 1e-6:,.0f} | {worked * 1e-6:,.0f} | {share:.0%} | {besides:,.0f} |"


# --- the plot ---------------------------------------------------------------------------------

LEFT, WIDTH, LINE, TOP = 430, 420, 20, 40
LOWEST, HIGHEST = 0.5, 3.0


def plot(results, title):
    """Ratios with their ranges, on a logarithmic scale from half to three times."""
    shown = [one for one in results if one.ratio is not None]
    height = TOP + LINE * len(shown) + 40

    def x(ratio):
        inside = min(max(ratio, LOWEST), HIGHEST)
        return LEFT + WIDTH * log(inside / LOWEST) / log(HIGHEST / LOWEST)

    yield (f'<svg xmlns="http://www.w3.org/2000/svg" width="{LEFT + WIDTH + 90}" '
           f'height="{height}" font-family="sans-serif" font-size="12">')
    yield '<rect width="100%" height="100%" fill="white"/>'
    yield f'<text x="10" y="20" font-size="14" font-weight="bold">{escape(title)}</text>'
    for mark in (0.5, 0.67, 0.8, 1, 1.25, 1.5, 2, 2.5, 3):
        colour, width = ("#444", 1.5) if mark == 1 else ("#ddd", 1)
        yield (f'<line x1="{x(mark):.1f}" x2="{x(mark):.1f}" y1="{TOP - 8}" y2="{height - 28}" '
               f'stroke="{colour}" stroke-width="{width}"/>')
        yield (f'<text x="{x(mark):.1f}" y="{height - 12}" text-anchor="middle">{mark:g}</text>')
    for at, one in enumerate(shown):
        y = TOP + LINE * at + 6
        colour = "#c0392b" if one.high < 1 else "#1e8449" if one.low > 1 else "#34495e"
        yield f'<text x="{LEFT - 12}" y="{y + 4}" text-anchor="end">{escape(one.row.title)}</text>'
        yield (f'<line x1="{x(one.low):.1f}" x2="{x(one.high):.1f}" y1="{y}" y2="{y}" '
               f'stroke="{colour}" stroke-width="3" stroke-opacity="0.45"/>')
        yield f'<circle cx="{x(one.ratio):.1f}" cy="{y}" r="4" fill="{colour}"/>'
        yield f'<text x="{LEFT + WIDTH + 12}" y="{y + 4}">{one.ratio:.2f}</text>'
    yield "</svg>"


PLOTS = (("traffic", "Ours to C, traffic (right of 1: ours is better)",
          ("tcp/", "firewall/", "link/", "interop/", "forwarded/", "udp/", "trains", "ranges/", "rtt/",
           "one/", "generic/")),
         ("the-rest", "Ours to C, the rest (right of 1: ours is better)",
          ("handshakes", "config/", "memory/", "module/")))


class Values:
    """What is in a file."""

    def __init__(self, path):
        self.limit, self.moves, self.programs, self.head = {}, {}, {}, {}
        # By row, what the cipher alone took before it was measured.
        self.limits = {}
        # Pairs of root's and hers by MTU, way and what is counted.
        self.bought = {}
        # By row, module and round.
        self.rows = {}
        for line in path.read_text(encoding="utf-8").splitlines():
            self.take(json.loads(line))

    def take(self, one):
        """One line."""
        if "kernel" in one:
            self.head = self.head or one
        elif "userspace" in one:
            self.programs = one["userspace"]
        elif "limit" in one:
            self.limit = one["limit"]
        else:
            for key, value in one["values"].items():
                if key.startswith("move/"):
                    self.moves.setdefault(key, []).append(value)
                elif key.startswith(("bought/", "one/bought/")):
                    *cpus, _, mtu, way, over_what, _, who = key.split("/")
                    if who == "root":
                        pair = (value, one["values"][key.removesuffix("root") + "hers"])
                        self.bought.setdefault((mtu, way, over_what, *cpus), []).append(pair)
                else:
                    by_module = self.rows.setdefault(key, {"c": {}, "ours": {}})
                    by_module[one["module"]][one["round"]] = value
                    self.limits[key] = self.limit

    def cipher(self, key):
        """What the cipher alone took for packets of each size: one way, and there and back."""
        return self.limits.get(key, {})

    def results(self):
        """What came out, in the order of the table."""
        return [evaluate(row, self.rows[row.key], self.cipher(row.key)) for row in rows()
                if row.key in self.rows]


def main():
    folder = Path(sys.argv[1])
    values = Values(folder / "values.json")
    results, head = values.results(), values.head
    noise = {}
    if (folder / "noise.json").exists():
        noise = {one.row: one for one in Values(folder / "noise.json").results()}
    text = [f"{head['kernel']}, {head['cpus']} CPU{'s' * (head['cpus'] > 1)}, {head['rounds']} rounds. "
            "Ratios: the median of those of neighbouring measurements, and its range of 95 %.", "",
            *table(results, noise, values.programs)]
    if head.get("noise"):
        text[:0] = ["Both are the kernel's own module: what is not 1 is noise.", ""]
    shares = list(limit_table(values, results))
    if len(shares) > 2:
        text += ["", "Of the processor time, the cipher alone takes this share:", "", *shares]
    if values.moves:
        text += ["", "1,000 packets a second each way, while sockets move (ours only):", "",
                 *moves_table(values.moves)]
    if values.bought:
        text += ["", "Sockets that credentials bought, next to root's (ours only):", "",
                 *bought_table(values.bought)]
    if values.programs:
        text += ["", "Programs on the machine itself, one stream of TCP, MTU 1420 (see "
                 "docs/benchmarks.md for what compares):", "", *userspace_table(values.programs)]
    (folder / "results.md").write_text("\n".join(text) + "\n", encoding="utf-8")
    for name, title, keys in PLOTS:
        shown = [one for one in results if one.row.key.startswith(keys)]
        if shown:
            (folder / f"{name}.svg").write_text("\n".join(plot(shown, title)) + "\n",
                                                encoding="utf-8")
    print(folder / "results.md")


main()
