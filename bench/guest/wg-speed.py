#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
#
# How long Debian's wg and ours take for a device with very many peers, on the
# same module, alternating. Prints its progress, then a table in Markdown and one
# line of JSON.
#
# Whatever else the machine does makes some runs longer and none shorter, so the
# table compares the fastest run of each next to the ratios of single pairs.
#
# PEERS, RANGES (of each peer) and REPEATS change the size; MODULE=intree takes
# the kernel's own module.

import base64
import json
import os
import random
import resource
import statistics
import subprocess
import sys
import time

PEERS = int(os.environ.get("PEERS", 10_000))
RANGES = int(os.environ.get("RANGES", 10))
REPEATS = int(os.environ.get("REPEATS", 15))
DEVICE = "wg-speed"
TOOLS = {"stock": "wg", "ours": "wg-ours"}
MEASURES = {"wall": "wall time", "cpu": "processor time, the kernel's included"}


def peers(seed):
    """Key, endpoint and ranges of each peer; the same for the same seed."""
    source = random.Random(seed)
    for number in range(PEERS):
        key = base64.b64encode(source.randbytes(32)).decode()
        endpoint = f"192.0.{number % 250}.{number // 250 % 250 + 1}:{1024 + number}"
        ranges = []
        for index in range(RANGES):
            bits = number * RANGES + index
            if index % 2:
                ranges.append(f"fd00:{bits >> 16:x}:{bits & 0xffff:x}::/64")
            else:
                ranges.append(f"10.{bits >> 16}.{bits >> 8 & 255}.{bits & 255}/32")
        yield key, endpoint, ",".join(ranges)


def configuration(seed):
    return "[Interface]\nListenPort = 7000\n" + "".join(
        f"[Peer]\nPublicKey = {key}\nEndpoint = {endpoint}\nAllowedIPs = {ranges}\n"
        for key, endpoint, ranges in peers(seed)
    )


def words(seed):
    out = []
    for key, endpoint, ranges in peers(seed):
        out += ["peer", key, "endpoint", endpoint, "allowed-ips", ranges]
    return out


def timed(argv, output=subprocess.DEVNULL):
    """Seconds that go by, and of processor time."""
    start = time.perf_counter()
    child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=output)
    _, status, usage = os.wait4(child.pid, 0)
    wall = time.perf_counter() - start
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode != 0:
        sys.exit(f"{argv[:3]} failed with {child.returncode}")
    return {"wall": wall, "cpu": usage.ru_utime + usage.ru_stime}


def fresh_device():
    subprocess.run(["ip", "link", "del", DEVICE], stderr=subprocess.DEVNULL, check=False)
    subprocess.run(["ip", "link", "add", DEVICE, "type", "wireguard"], check=True)


def compared(by_tool, measure):
    """Fastest and middle run of each, and how the ratios of pairs are spread."""
    seconds = {tool: [sample[measure] for sample in by_tool[tool]] for tool in TOOLS}
    # What took no tick of the clock took less than one.
    ratios = [
        ours / max(stock, 1e-3) for ours, stock in zip(seconds["ours"], seconds["stock"])
    ]
    fastest = {tool: min(seconds[tool]) for tool in TOOLS}
    return {
        "ratio_of_fastest": fastest["ours"] / max(fastest["stock"], 1e-3),
        "median_ratio": statistics.median(ratios),
        "least_ratio": min(ratios),
        "greatest_ratio": max(ratios),
        "fastest": fastest,
        "median": {tool: statistics.median(seconds[tool]) for tool in TOOLS},
    }


def cell(row):
    fastest = row["fastest"]
    return (
        f"**{row['ratio_of_fastest']:.2f}** ({fastest['ours']:.2f}/{fastest['stock']:.2f} s);"
        f" pairs {row['median_ratio']:.2f} ({row['least_ratio']:.2f}–{row['greatest_ratio']:.2f})"
    )


def main():
    if "MODULE" in os.environ:
        subprocess.run(["use-module", os.environ["MODULE"]], check=True)
    subprocess.run(["modprobe", "wireguard"], check=True)
    # All peers in one command line.
    resource.setrlimit(resource.RLIMIT_STACK, (64 << 20, resource.RLIM_INFINITY))

    file = "/tmp/wg-speed.conf"
    with open(file, "w", encoding="ascii") as out:
        out.write(configuration(1))
    all_words = words(1)
    # Each with whether it starts from a device that has nothing.
    works = {
        "setconf": (True, ["setconf", DEVICE, file]),
        "set": (True, ["set", DEVICE, *all_words]),
        "syncconf": (False, ["syncconf", DEVICE, file]),
        "show dump": (False, ["show", DEVICE, "dump"]),
        "showconf": (False, ["showconf", DEVICE]),
    }

    samples = {work: {tool: [] for tool in TOOLS} for work in works}
    for repeat in range(REPEATS):
        for work, (empty, argv) in works.items():
            # Neither is always the first.
            order = list(TOOLS) if repeat % 2 else list(reversed(TOOLS))
            for tool in order:
                if empty:
                    fresh_device()
                samples[work][tool].append(timed([TOOLS[tool], *argv]))
            took = ", ".join(
                f"{tool} {samples[work][tool][-1]['wall']:.2f} s" for tool in TOOLS
            )
            print(f"[{repeat + 1}/{REPEATS}] {work}: {took}", flush=True)

    # They did the same.
    dumps = [
        subprocess.run([TOOLS[tool], "show", DEVICE, "dump"], capture_output=True, check=True)
        for tool in TOOLS
    ]
    if dumps[0].stdout != dumps[1].stdout or dumps[0].stdout.count(b"\n") != PEERS + 1:
        sys.exit("the two do not show the same device")
    subprocess.run(["ip", "link", "del", DEVICE], check=True)

    kernel = os.uname().release
    size = f"{PEERS:,} peers, {PEERS * RANGES:,} allowed IPs"
    print(f"| {size}, {REPEATS} runs of each on {kernel}: ours/stock | {' | '.join(MEASURES.values())} |")
    print("| --- |" + " --- |" * len(MEASURES))
    result = {"kernel": kernel, "peers": PEERS, "ranges": PEERS * RANGES, "repeats": REPEATS}
    result["works"] = {
        work: {measure: compared(by_tool, measure) for measure in MEASURES}
        for work, by_tool in samples.items()
    }
    for work, row in result["works"].items():
        print(f"| {work} | {' | '.join(cell(compared) for compared in row.values())} |")
    print(json.dumps(result))


main()
