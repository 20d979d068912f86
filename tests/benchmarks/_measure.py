"""The common part of the benchmarks: folders of real photos, tables, metrics, and child processes that are measured."""

import argparse
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

REPOSITORY = Path(__file__).parents[2]
DATA = Path(os.environ.get("THREER_DATA", REPOSITORY.parent / "shared" / "data"))
SAMPLE = REPOSITORY / "tests" / "data" / "sample"


def chosen(description: str | None, names: Iterable[str] = ()) -> list[str]:
    """The `names` that the command line asks for; all where it names none. Explains the benchmark where asked to."""
    known = list(names)
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(known) or argparse.SUPPRESS)
    asked: list[str] = parser.parse_args().names
    for name in asked:
        if name not in known:
            parser.error(f"there is no {name}")
    return asked or known


def metrics() -> ModuleType:
    """The shared measures, metrics.py beside the data."""
    spec = importlib.util.spec_from_file_location("metrics", DATA.parent / "metrics.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def true_frames(name: str) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """A set's cameras.json, and its frames by photo name."""
    document = json.loads((DATA / name / "cameras.json").read_text())
    return document, {Path(frame["file"]).name: frame for frame in document["frames"]}


def measured(code: str, *arguments: str) -> dict[str, Any]:
    """The results of Python `code` that runs in a child process, with `cpu` and `wall` in seconds, and `peak_gib`.

    `code` has json, resource, sys and time, and ends with a call `end(NAME=RESULT, …)`. `arguments` are the rest of its
    sys.argv. Children of the child are counted, too.
    """
    wrapper = (
        "import json, resource, sys, time\n"
        "started = time.monotonic()\n"
        "def end(**results):\n"
        "    parent, children = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))\n"
        "    cpu = sum(u.ru_utime + u.ru_stime for u in (parent, children))\n"
        "    status = open('/proc/self/status').read()\n"  # ru_maxrss begins at the parent's size
        "    peak = max(int(status.split('VmHWM:')[1].split()[0]), children.ru_maxrss) / 2**20\n"
        "    print('\\n' + json.dumps({**results, 'cpu': cpu, 'wall': time.monotonic() - started, 'peak_gib': peak}))\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(
        [sys.executable, "-c", wrapper + code, *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    actual: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return actual


def table(head: list[str], rows: Iterable[list[Any]], form: Callable[[Any], str] = str) -> None:
    """Prints a Markdown table, each row as it comes."""
    print("| " + " | ".join(head) + " |")
    print("|" + "---|" * len(head))
    for row in rows:
        print("| " + " | ".join(form(cell) for cell in row) + " |", flush=True)


def machine() -> str:
    """One line on where this was measured."""
    model = next(
        (line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line),
        "?",
    )
    return f"{os.cpu_count()} cores of {model}"
