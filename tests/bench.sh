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

rm -rf target/bench/quick
# On its own kernel, whichever the other suites run on.
if make -s bench-quick KERNEL=; then
	echo "ok the benchmark runs to its end"
else
	echo "not ok the benchmark runs to its end"
	exit 1
fi
exec python3 -B - <<'END'
import json
import sys
from pathlib import Path

sys.path.insert(0, "tests/guest/lib")
import tap  # noqa: E402
from tap import check, scenario  # noqa: E402


@scenario
def results():
    """What it has written."""
    folder = Path("target/bench/quick")
    rows = {}
    others = set()
    for line in folder.joinpath("values.json").read_text(encoding="utf-8").splitlines():
        found = json.loads(line)
        if "module" in found:
            rows.setdefault(found["module"], set()).update(
                name for name, value in found["values"].items() if value is not None)
        others.update(found)
    theirs, ours = rows.get("c", set()), rows.get("ours", set())
    check(len(theirs) > 50, "it measures the kernel's own module", rows.keys())
    check(theirs <= ours, "and ours in each of the same things", theirs - ours)
    for group in ("link/", "interop/", "forwarded/", "trains"):
        check(any(name.startswith(group) for name in theirs), f"{group.rstrip('/')} among them")
    check(any("move" in name for name in ours), "and how it moves")
    check(any("bought" in name for name in ours), "and with sockets that credentials bought")
    check("limit" in others, "it measures what the cipher can do", others)
    table = folder.joinpath("results.md").read_text(encoding="utf-8")
    check(table.count("\n|") > 30, "its report is a table", table)
    check(all(folder.joinpath(name).stat().st_size for name in ("traffic.svg", "the-rest.svg")),
          "with plots")


tap.run()
END
