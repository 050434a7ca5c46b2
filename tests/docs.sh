#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# docs.sh : what the documentation names exists: suites, scenarios, mutants,
# files, make's targets; and so do the scenarios that mutants name.
#
# lane: guests

set -euo pipefail
cd "$(dirname "$0")/.."
exec python3 -B - <<'END'
import glob
import os
import re
import subprocess
import sys

done = failed = 0


def check(what, wrong):
    global done, failed
    done += 1
    print(f"{'not ok' if wrong else 'ok'} {done} {what}")
    for line in wrong:
        print(f"#   {line}")
    failed += bool(wrong)


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


# What there is.

def names(paths, pattern):
    return {name for path in paths for name in re.findall(pattern, read(path), re.M)}


GUESTS = {os.path.basename(path)[:-3] for path in glob.glob("tests/guest/*.sh")}
PYTHON = {suite: glob.glob(f"tests/guest/{suite.replace('-', '_')}.py")
          + glob.glob(f"tests/guest/{suite}_*.py") + glob.glob(f"tests/guest/{suite}/*.py")
          for suite in GUESTS}
# A scenario is marked as one, by `scenario` or what calls that.
SCENARIOS = {suite: names(paths, r"^@(?:scenario|with_\w+)\n(?:@.*\n)*def (\w+)")
             for suite, paths in PYTHON.items()}
# Two that are marked by nothing: both modules in turn, and what is sent in trains once more, one by one.
SCENARIOS["gso"] |= {"wire"} | {f"singly_{name}" for name in SCENARIOS["gso"]}
# Pages also name what scenarios have in common.
FUNCTIONS = {suite: names(paths, r"^ *def (\w+)") | SCENARIOS[suite] for suite, paths in PYTHON.items()}
JUDGEMENT = names(["tests/judgement.rs", *glob.glob("tests/judgement/*.rs")], r"^fn (\w+)\(")
MUTANTS = {os.path.basename(path)[:-6] for path in glob.glob("tests/mutants/*.patch")}
TARGETS = names(["Makefile"], r"^([a-z-]+):")
HOST = {os.path.basename(path)[:-3] for path in glob.glob("tests/*.sh")}
SUITES = GUESTS | HOST | {"host", "module", "lint", "guests"}
FILES = set(subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard"],
                           check=True, text=True, stdout=subprocess.PIPE).stdout.split())
FOLDERS = {path[:at] for path in FILES for at, sign in enumerate(path) if sign == "/"}


def is_scenario(suite, name):
    if suite == "judgement":
        return name in JUDGEMENT
    return name in FUNCTIONS[suite]


def is_path(path):
    path = path.rstrip("/")
    if path in FILES or path in FOLDERS:
        return True
    return "*" in path and any(glob.fnmatch.fnmatch(file, path) for file in FILES | FOLDERS)


def is_mutant(name):
    return bool(glob.fnmatch.filter(MUTANTS, name))


# What pages name. A list is `one`, `two` and `three`, or "one", "two".
ITEM = r"(?:`[\w*-]+`|\"\w+\")"
LIST = rf"{ITEM}(?:(?:,| and|, and)\s+{ITEM})*"
ROOTS = "src|tests|tools|docs|bench|benches|fuzz|uapi|.ci"


def items(text):
    return re.findall(r"[`\"]([\w*-]+)[`\"]", text)


def scenarios_of(text):
    """Pairs of a suite and a scenario: after "suite:", or in a column that is "held up by suite"."""
    known = "|".join(sorted(GUESTS | {"judgement"}, key=len, reverse=True))
    for suite, found in re.findall(rf"\b({known}): ({LIST})", text):
        for name in items(found):
            yield suite, name
    column = None
    for line in text.splitlines():
        if not line.startswith("|"):
            column = None
            continue
        head = re.search(r"\| held up by (\w+) \|$", line)
        if head:
            column = head.group(1)
        elif column:
            cell = re.sub(rf"\b({known}): {LIST}|\bmutants? {LIST}", "", line.split("|")[-2])
            for name in items(cell):
                yield column, name


def mutants_of(text):
    for found in re.findall(rf"\bmutants?\s+({LIST})", text):
        yield from items(found)


def commands_of(text):
    """The indented and the quoted commands, without their comments."""
    for line in re.findall(r"^ {4,}(.+)$", text, re.M) + re.findall(r"(?<!kernel's )`([^`\n]+)`", text):
        yield re.sub(r"\s{2,}.*|\s+#.*", "", line.strip())


def commands_wrong(text):
    for command in commands_of(text):
        words = command.split()
        words = [word for word in words if not re.match(r"[A-Z_]+=", word)]
        if not words:
            continue
        # SUITE stands for any.
        args = [word for word in words[1:] if re.fullmatch(r"[a-z0-9_*-]+", word) and word[0] != "-"]
        wrong = []
        if words[0] == "make" and not re.search(r"(^| )-\w", command):
            wrong = [arg for arg in args if arg not in TARGETS]
        elif words[0] == "tests/run":
            wrong = [arg for arg in args if arg not in SUITES]
        elif words[0] == "tests/mutants/run":
            wrong = [arg for arg in args if not is_mutant(arg)]
        elif words[0] == "tools/vm/run":
            suite = re.search(r"tests/guest/([\w-]+)\.sh(.*)", command)
            if suite and suite.group(1) in SCENARIOS:
                # A scenario is named by how it begins.
                wrong = [arg for arg in suite.group(2).split() if re.fullmatch(r"[a-z]\w+", arg)
                         and not any(name.startswith(arg) for name in SCENARIOS[suite.group(1)])]
        suites = re.search(r'SUITES="?([a-z -]+)"?', command)
        if words[0] == "make" and suites:
            wrong += [suite for suite in suites.group(1).split() if suite not in SUITES]
        for word in wrong:
            yield f"{word!r} in: {command}"


def paths_of(text):
    for path in re.findall(rf"(?<![\w./-])((?:{ROOTS})/[\w./*-]*[\w*/])", text):
        if not re.search(r"\b(SUITE|NAME|FLAVOUR|RELEASE)\b", path):
            yield path


def links_wrong(page, text):
    for to in re.findall(r"\]\(([^)#:]+)\)", text):
        if not os.path.exists(os.path.join(os.path.dirname(page), to)):
            yield to


pages = ["README.md", *sorted(glob.glob("docs/*.md")), *sorted(glob.glob("tools/*/README.md"))]
counted = 0
for page in pages:
    text = read(page)
    # Lists go on over the ends of lines.
    flat = re.sub(r"\n(?!\n|\||    |[*-] )", " ", text)
    scenarios, mutants, paths = [*scenarios_of(flat)], [*mutants_of(flat)], [*paths_of(text)]
    counted += len(scenarios) + len(mutants)
    wrong = [f"no scenario {name} in {suite}" for suite, name in scenarios
             if not is_scenario(suite, name)]
    wrong += [f"no mutant {name}" for name in mutants if not is_mutant(name)]
    wrong += [f"no file {path}" for path in paths if not is_path(path)]
    wrong += [f"no such thing: {command}" for command in commands_wrong(text)]
    wrong += [f"a link leads nowhere: {to}" for to in links_wrong(page, text)]
    check(f"{page} names what there is", sorted(set(wrong)))

# Else a change of their form would leave nothing to be checked.
check("pages name scenarios and mutants", [] if counted > 100 else [f"only {counted} were found"])

wrong = []
for path in sorted(glob.glob("tests/mutants/*.patch")):
    head = read(path).split("\n---")[0]
    suite = re.search(r"^Suite: (\S+) ?(.*)$", head, re.M)
    if not suite:
        wrong.append(f"{path}: no suite")
        continue
    suite, wanted = suite.group(1), suite.group(2).split()
    if suite == "host":
        wrong += [f"{path}: no tests/{name}.rs" for name in wanted if not is_path(f"tests/{name}.rs")]
    elif suite not in GUESTS:
        wrong.append(f"{path}: no suite {suite}")
    elif SCENARIOS[suite]:
        wrong += [f"{path}: no scenario of {suite} begins with {name}" for name in wanted
                  if not any(there.startswith(name) for there in SCENARIOS[suite])]
check("mutants name suites and scenarios that there are", wrong)
sys.exit(failed > 0)
END
