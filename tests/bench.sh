#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# bench.sh : the benchmark runs, and finds something in the same rows for both
# modules. How much says nothing: it looks for a moment only, and other suites run
# meanwhile.
#
# lane: guests

set -euo pipefail
cd "$(dirname "$0")/.."

found=target/bench/quick
rm -rf "$found"
if make -s bench-quick; then
	echo "ok the benchmark runs to its end"
else
	echo "not ok the benchmark runs to its end"
	exit 1
fi
python3 - "$found" <<'END'
import json
import sys
from pathlib import Path

folder = Path(sys.argv[1])
rows = {}
others = set()
for line in folder.joinpath("values.json").read_text(encoding="utf-8").splitlines():
    found = json.loads(line)
    if "module" in found:
        rows.setdefault(found["module"], set()).update(
            name for name, value in found["values"].items() if value is not None)
    others.update(found)
failed = False


def check(good, what, *why):
    global failed
    print("ok" if good else "not ok", what)
    for line in () if good else why:
        print("#  ", line)
    failed |= not good


check(len(rows.get("c", ())) > 50, "it measures the kernel's own module", rows.keys())
check(rows.get("c", set()) <= rows.get("ours", set()), "and ours in each of the same things",
      rows.get("c", set()) - rows.get("ours", set()))
check(any("move" in name for name in rows.get("ours", ())), "and how it moves")
check("limit" in others, "it measures what the cipher can do", others)
table = folder.joinpath("results.md").read_text(encoding="utf-8")
check(table.count("\n|") > 30, "its report is a table", table)
check(all(folder.joinpath(name).stat().st_size for name in ("traffic.svg", "the-rest.svg")),
      "with plots")
sys.exit(failed)
END
