"""Damaged inputs for as long as one likes: `python -m tests.fuzz.run [KIND …] [--inputs N] [--seconds S] [--first S]`.

Prints a row for each kind: how many were tried, read and refused, and how many ended in another exception (or a crash),
took over 600 MB or over 10 seconds of the processor. Bad inputs are listed with their seeds; `--inputs 1 --first S`
repeats one of them.
"""

import argparse
import json
import queue
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

from tests.fuzz import kinds
from tests.fuzz.worker import MEMORY

SECONDS = 10.0  # of the processor, for one input
PATIENCE = 300.0  # seconds after which an input counts as too slow, even if it only waits
START = 600.0  # seconds within which a process must have read its examples
BAD = ("exceptions", "memory", "time")


def main() -> int:
    parser = argparse.ArgumentParser(prog="fuzz", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="KIND", help=f"of {', '.join(kinds.KINDS)}; all of them if none")
    parser.add_argument("--inputs", type=int, default=2000, help="of each kind")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="for each kind, at most")
    parser.add_argument("--first", type=int, default=0, help="seed of the first input")
    options = parser.parse_args()
    unknown = set(options.names) - set(kinds.KINDS)
    if unknown:
        parser.error(f"there is no kind {', '.join(sorted(unknown))}")
    print(
        "| Kind | Tried | Read | Refused | Other exceptions | Over 600 MB | Over 10 s |\n|---|---|---|---|---|---|---|"
    )
    bad = 0
    for name in options.names or kinds.KINDS:
        counts = tried(name, options.first, options.inputs, options.seconds)
        row = (counts[column] for column in ("tried", "read", "refused", *BAD))
        print(f"| {name} | {' | '.join(f'{value:,}' for value in row)} |", flush=True)
        bad += sum(counts[column] for column in BAD)
    return int(bad > 0)


def tried(name: str, first: int, count: int, seconds: float) -> Counter[str]:
    """The outcomes of the inputs of a kind from the seed `first` on."""
    counts: Counter[str] = Counter()
    seed, end = first, time.monotonic() + seconds
    while seed < first + count and time.monotonic() < end:
        seed = _one_process(name, seed, first + count, end, counts)
    return counts


def _one_process(name: str, seed: int, last: int, end: float, counts: Counter[str]) -> int:
    """Counts what one process does with the seeds from `seed` to `last` - 1, until it ends or must be ended.

    Returns the next seed.
    """
    command = [sys.executable, "-m", "tests.fuzz.worker", name, str(seed), str(last)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=_root())
    lines: queue.Queue[str] = queue.Queue()
    threading.Thread(target=_collect, args=(process, lines), daemon=True).start()
    current, patience = None, START
    try:
        while time.monotonic() < end:
            try:
                line = lines.get(timeout=patience)
            except queue.Empty:
                if current is None:
                    raise SystemExit(f"The process for {name} does not start: {' '.join(command)}") from None
                _count(counts, "time", name, current, "no end")
                return seed + 1
            if not line:
                if current is None:
                    if seed < last and process.wait() != 0:
                        raise SystemExit(f"The process for {name} does not start: {' '.join(command)}")
                    return seed
                _count(counts, "exceptions", name, current, f"the process ended with {process.wait()}")
                return current + 1
            record = json.loads(line)
            if "seed" in record:
                current, patience = record["seed"], PATIENCE
                continue
            assert current is not None
            _judge(counts, name, current, record)
            seed, current = seed + 1, None
        return seed
    finally:
        process.kill()
        process.wait()


def _collect(process: "subprocess.Popen[str]", lines: "queue.Queue[str]") -> None:
    assert process.stdout is not None
    for line in process.stdout:
        lines.put(line)
    lines.put("")


def _judge(counts: Counter[str], name: str, seed: int, record: dict[str, Any]) -> None:
    outcome = record["outcome"]
    if outcome == "memory" or record["memory"] > MEMORY:
        _count(counts, "memory", name, seed, f"{record['memory']:.0f} MB")
    elif record["seconds"] > SECONDS:
        _count(counts, "time", name, seed, f"{record['seconds']:.1f} s")
    elif outcome in ("read", "refused"):
        counts.update(("tried", outcome))
    else:
        _count(counts, "exceptions", name, seed, outcome)


def _count(counts: Counter[str], column: str, name: str, seed: "int | None", reason: str) -> None:
    counts.update(("tried", column))
    print(f"{name} {seed}: {reason}", file=sys.stderr, flush=True)


def _root() -> Path:
    return Path(__file__).parents[2]


if __name__ == "__main__":
    sys.exit(main())
