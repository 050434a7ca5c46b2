#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Makes a table and a plot of what bench/run has measured.

usage: report.py FOLDER

values.json has a line for each time that something was measured. What counts is the ratio of two
values that were measured one after the other: better is greater than 1, whether more or less of it
is better. Of these ratios there is the median, and the range of 95 % for it by resampling.

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


class Row(NamedTuple):
    """How a value is shown."""
    key: str
    title: str
    unit: str
    factor: float = 1.0
    more_is_better: bool = True


WAYS = (("forth", "one way"), ("back", "the other way"), ("both", "both ways"))
MTUS = (("1420", "MTU 1420"), ("jumbo", "MTU 8920"))


def rows():
    """All rows, in the order of the table."""
    for mtu, mtu_title in MTUS:
        for streams in (1, 2, 4):
            for way, way_title in WAYS:
                title = f"TCP, {mtu_title}, {streams} stream{'s' * (streams > 1)} {way_title}"
                yield from over(f"tcp/{mtu}/{streams}/{way}", title, "Mbit", 1e-6)
    for size in (64, 512, 1400):
        yield from over(f"udp/{size}", f"UDP, packets of {size} bytes", "k", 1e-3)
        yield Row(f"udp/{size}/lost", f"UDP, {size} bytes, lost when flooded", "%", 100, False)
    for count in (1, 1_000, 100_000):
        yield from over(f"ranges/{count}", f"packets of 64 bytes, {count:,} allowed IPs", "k", 1e-3)
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


def over(key, title, unit, factor=1.0):
    """A rate by the clock, and one by the processor time that it took."""
    yield Row(key, title, f"{unit}/s" if unit else "1/s", factor)
    yield Row(f"{key}/worked", f"{title}, for processor time", f"{unit}/s" if unit else "1/s",
              factor)
    yield Row(f"one/{key}/worked", f"{title}, the same on one CPU",
              f"{unit}/s" if unit else "1/s", factor)


class Result(NamedTuple):
    """What came out for a row."""
    row: Row
    c: float
    ours: float
    ratio: float | None
    low: float | None
    high: float | None
    count: int


def interval(ratios):
    """The range in which the median is, of so many samples, with 95 %."""
    source = random.Random(1)
    medians = sorted(statistics.median(source.choices(ratios, k=len(ratios)))
                     for _ in range(2000))
    return medians[50], medians[1949]


def evaluate(row, by_module):
    """Pairs what was measured in the same round."""
    c, ours = by_module["c"], by_module["ours"]
    rounds = sorted(set(c) & set(ours))
    pairs = [(ours[at], c[at]) if row.more_is_better else (c[at], ours[at]) for at in rounds]
    ratios = [one / other for one, other in pairs if one > 0 and other > 0]
    middle = [statistics.median(of[at] for at in rounds) * row.factor for of in (c, ours)]
    if not ratios:
        return Result(row, *middle, None, None, None, len(rounds))
    return Result(row, *middle, statistics.median(ratios), *interval(ratios), len(ratios))


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


def table(results, noise):
    """`noise` is by row; there may be none."""
    more = ("| C to itself ", "| :--- ") if noise else ("", "")
    yield f"| what | | C | ours | ratio (over 1: ours is better) {more[0]}|"
    yield f"| --- | --- | ---: | ---: | :--- {more[1]}|"
    for one in results:
        itself = f"| {shown_ratio(noise.get(one.row))} " if noise else ""
        yield (f"| {one.row.title} | {one.row.unit} | {figure(one.c)} | {figure(one.ours)} "
               f"| {shown_ratio(one)} {itself}|")


def limit_table(limits, results):
    """The share of what the cipher alone would allow, of processor time."""
    of = {one.row.key: one for one in results}
    shown = (("udp/64/worked", "64", 1e3), ("udp/512/worked", "512", 1e3),
             ("udp/1400/worked", "1408", 1e3), ("tcp/1420/1/forth/worked", "1420", 1e6 / 1420 / 8),
             ("tcp/jumbo/1/forth/worked", "8920", 1e6 / 8920 / 8))
    yield "| packets of | cipher alone, there and back | C | ours |"
    yield "| --- | ---: | ---: | ---: |"
    for key, size, factor in shown:
        if key not in of:
            continue
        there_and_back = statistics.median(one[size][1] for one in limits)
        shares = [rate * factor * there_and_back * 1e-9 for rate in (of[key].c, of[key].ours)]
        what = "UDP" if key.startswith("udp") else "TCP"
        yield (f"| {size} bytes, {what} | {there_and_back:,.0f} ns | {shares[0]:.1%} "
               f"| {shares[1]:.1%} |")


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
                ratios = [hers / root for root, hers in pairs]
                low, high = interval(ratios)
                root, hers = (statistics.median(of) * 1e-6 for of in zip(*pairs))
                yield (f"| {mtu_title}, {way_title} | {title} | {figure(root)} | {figure(hers)} "
                       f"| {statistics.median(ratios):.2f} ({low:.2f} to {high:.2f}) |")


def userspace_table(programs):
    yield "| program | Mbit/s | for processor time | cipher alone takes |"
    yield "| --- | ---: | ---: | ---: |"
    for name, values in programs.items():
        rate, worked, share = (statistics.median(one[of] for one in values)
                               for of in ("seconds", "worked", "share"))
        yield f"| {name} | {rate * 1e-6:,.0f} | {worked * 1e-6:,.0f} | {share:.0%} |"


# --- the plot ---------------------------------------------------------------------------------

LEFT, WIDTH, LINE, TOP = 430, 420, 20, 40
LOWEST, HIGHEST = 0.5, 2.0


def plot(results, title):
    """Ratios with their ranges, on a logarithmic scale from half to twice."""
    shown = [one for one in results if one.ratio is not None]
    height = TOP + LINE * len(shown) + 40

    def x(ratio):
        inside = min(max(ratio, LOWEST), HIGHEST)
        return LEFT + WIDTH * log(inside / LOWEST) / log(HIGHEST / LOWEST)

    yield (f'<svg xmlns="http://www.w3.org/2000/svg" width="{LEFT + WIDTH + 90}" '
           f'height="{height}" font-family="sans-serif" font-size="12">')
    yield '<rect width="100%" height="100%" fill="white"/>'
    yield f'<text x="10" y="20" font-size="14" font-weight="bold">{escape(title)}</text>'
    for mark in (0.5, 0.67, 0.8, 1, 1.25, 1.5, 2):
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
          ("tcp/", "udp/", "ranges/", "rtt/", "one/")),
         ("the-rest", "Ours to C, the rest (right of 1: ours is better)",
          ("handshakes", "config/", "memory/", "module/")))


class Values:
    """What is in a file."""

    def __init__(self, path):
        self.limits, self.moves, self.programs, self.head = [], {}, {}, {}
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
            self.limits.append(one["limit"])
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

    def results(self):
        """What came out, in the order of the table."""
        return [evaluate(row, self.rows[row.key]) for row in rows() if row.key in self.rows]


def main():
    folder = Path(sys.argv[1])
    values = Values(folder / "values.json")
    results, head = values.results(), values.head
    noise = {}
    if (folder / "noise.json").exists():
        noise = {one.row: one for one in Values(folder / "noise.json").results()}
    text = [f"{head['kernel']}, {head['cpus']} CPUs, {head['rounds']} rounds. Ratios: the median of "
            "those of neighbouring measurements, and its range of 95 %.", "", *table(results, noise)]
    if values.limits and results:
        text += ["", "Of the processor time, the cipher alone takes this share:", "",
                 *limit_table(values.limits, results)]
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
