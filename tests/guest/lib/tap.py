# SPDX-License-Identifier: GPL-2.0
"""What a suite prints: one line for each thing that was checked."""

import os
import sys
import time
import traceback

_done = 0
_failed = 0
_scenarios = []


def check(good, what, *details):
    """Prints the line of one check, and if it failed, why."""
    global _done, _failed
    _done += 1
    print(f"{'ok' if good else 'not ok'} {_done} {what}", flush=True)
    if not good:
        _failed += 1
        for detail in details:
            for line in str(detail).splitlines()[:40]:
                print(f"#   {line[:600]}", flush=True)
    return bool(good)


def skip(what, why):
    """Prints the line of a check that this machine cannot make."""
    global _done
    _done += 1
    print(f"ok {_done} {what} # SKIP {why}", flush=True)


def note(text):
    """Says something that is no check."""
    print(f"# {text}", flush=True)


def scenario(function):
    """Marks a function as one of the suite's, to be run in the order of the file."""
    _scenarios.append(function)
    return function


def run(before_each=None):
    """Runs all scenarios, or those whose names begin with one of the arguments, and exits."""
    wanted = tuple(sys.argv[1:])
    for function in _scenarios:
        if wanted and not function.__name__.startswith(wanted):
            continue
        note(f"{function.__name__}: {(function.__doc__ or '').split(chr(10))[0]}")
        start = time.monotonic()
        try:
            if before_each:
                before_each()
            function()
        except Exception:  # the next scenario may still have something to tell
            check(False, f"{function.__name__} runs to its end", traceback.format_exc())
        note(f"({time.monotonic() - start:.1f} s)")
    end()


def end():
    """Says how it went, and exits."""
    if not _done:
        check(False, "there is something to do")
    note(f"{_done - _failed} of {_done} as they should be")
    sys.stdout.flush()
    # Not sys.exit: actors that still live are none of the interpreter's business.
    os._exit(1 if _failed else 0)
