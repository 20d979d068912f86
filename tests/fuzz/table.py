"""All kinds of faults, tried and counted: `python -m tests.fuzz.table [KIND …] [--inputs N]`.

`nox -s fuzz -- kinds` runs it. Prints the table that docs/robustness.md shows: a row for each thing that is tried, and
one for each kind of damaged file; then how many were tried of each kind. Bad outcomes are listed on stderr. A full run
takes some twenty minutes.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from tests.fuzz import kinds, run
from tests.fuzz.faults import FAULT_KINDS, FAULTS, Fault

TESTS = Path(__file__).parents[1]
DAMAGED = "C13"  # the kind that damaged files belong to


class Outcome(NamedTuple):
    """A test that ran."""

    test: str
    passed: bool
    tried: int


def main() -> int:
    """Runs what the command line asks for. Returns 1 where anything is bad."""
    parser = argparse.ArgumentParser(prog="kinds", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="KIND", help=f"of {', '.join(FAULT_KINDS)}; all of them if none")
    parser.add_argument("--inputs", type=int, default=200, help="damaged files of each format")
    options = parser.parse_args()
    unknown = set(options.names) - set(FAULT_KINDS)
    if unknown:
        parser.error(f"there is no kind {', '.join(sorted(unknown))}")
    names = options.names or list(FAULT_KINDS)
    print("| Kind | What is tried | Tried | Bad |\n|---|---|---|---|", flush=True)
    totals = Counter[str]()
    for kind, tried, count, bad in rows(names, options.inputs):
        print(f"| {kind} | {tried} | {count:,} | {bad} |", flush=True)
        totals.update({kind: count, "bad": bad})
    print("\n| Kind | | Tried |\n|---|---|---|")
    for kind in names:
        print(f"| {kind} | {FAULT_KINDS[kind]} | {totals[kind]:,} |")
    return int(totals["bad"] > 0)


def rows(names: Sequence[str], inputs: int) -> Iterator[tuple[str, str, int, int]]:
    """For each row of those kinds: its kind, what is tried, how many were, and how many of them are bad."""
    chosen = [fault for fault in FAULTS if fault.kind in names]
    outcomes = ran(list(dict.fromkeys(test for fault in chosen for test in fault.tests)))
    for fault in chosen:
        yield fault.kind, fault.tried, *counted(fault, outcomes)
    for name in kinds.KINDS if DAMAGED in names else ():
        counts = run.tried(name, 0, inputs, float("inf"))
        yield DAMAGED, f"Damaged files: {name}", counts["tried"], sum(counts[column] for column in run.BAD)


def counted(fault: Fault, outcomes: Sequence[Outcome]) -> tuple[int, int]:
    """How many things a row's tests tried, and how many of those tests failed. Raises SystemExit where none ran."""
    tried = bad = 0
    for test in fault.tests:
        outcomes_of_test = [outcome for outcome in outcomes if outcome.test.startswith(f"tests/{test}")]
        if not outcomes_of_test:
            raise SystemExit(f"No test tests/{test} ran: {fault.tried}.")
        tried += sum(outcome.tried for outcome in outcomes_of_test)
        bad += sum(not outcome.passed for outcome in outcomes_of_test)
        for outcome in outcomes_of_test:
            if not outcome.passed:
                print(f"{fault.kind}: {outcome.test}", file=sys.stderr, flush=True)
    return tried, bad


def ran(tests: Sequence[str]) -> list[Outcome]:
    """The outcomes of the files of these tests, run in a process of their own."""
    files = list(dict.fromkeys(test.partition("::")[0] for test in tests))
    whole = {test for test in tests if "::" not in test}
    prefixes = tuple(f"tests/{test}" for test in tests)
    chosen = [f"tests/{file}" for file in files if file in whole]
    chosen += [name for name in collected([file for file in files if file not in whole]) if name.startswith(prefixes)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "outcomes"
        path.touch()
        command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.fuzz.counting", "--outcomes", str(path), *chosen]
        subprocess.run(command, cwd=TESTS.parent, stdout=2, check=False)
        return [Outcome(**json.loads(line)) for line in path.read_text("utf-8").splitlines()]


def collected(files: Sequence[str]) -> list[str]:
    """The names of the tests, without parameters, that files hold."""
    if not files:
        return []
    command = [sys.executable, "-m", "pytest", "-q", "--collect-only", *(f"tests/{file}" for file in files)]
    listed = subprocess.run(command, cwd=TESTS.parent, capture_output=True, text=True, check=False).stdout
    names = (line.partition("[")[0] for line in listed.splitlines() if line.startswith("tests/"))
    return list(dict.fromkeys(names))


if __name__ == "__main__":
    sys.exit(main())
