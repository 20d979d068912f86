"""A process that reads damaged inputs one by one and prints lines about each, as JSON.

`python -m tests.fuzz.worker KIND FIRST LAST` reads the inputs of the seeds from FIRST to LAST - 1. It ends early once
it has taken more than MEMORY: the system tells only the most memory that a process ever had, so later inputs could no
longer be judged.
"""

import contextlib
import json
import os
import re
import shutil
import sys
import tempfile
import time
import warnings
from collections.abc import Sequence
from pathlib import Path

from tests.fuzz import inputs, kinds

MEMORY = 600  # MB
CEILING = 6 << 30  # bytes of addresses; the system refuses the process more


def main(name: str, first: int, last: int) -> None:
    kind = kinds.KINDS[name]
    examples = kind.examples()
    warnings.simplefilter("ignore")
    for example in range(len(examples)):  # first the valid inputs, before memory is limited
        _read(kind, examples, inputs.Case(example, "", []))
    _limit()
    for seed in range(first, last):
        case = inputs.drawn(kind, examples, seed)
        print(json.dumps({"seed": seed}), flush=True)
        start = time.process_time()
        outcome = _read(kind, examples, case)
        memory = _most_memory()
        print(json.dumps({"outcome": outcome, "seconds": time.process_time() - start, "memory": memory}), flush=True)
        if memory > MEMORY:
            return


def _read(kind: inputs.Kind, examples: Sequence[inputs.Parts], case: inputs.Case) -> str:
    """The outcome of reading a case: "read", "refused", "memory", or the text of an exception that must not be."""
    folder = Path(tempfile.mkdtemp(prefix="fuzz_"))
    try:
        path = inputs.written(kind, examples, case, folder)
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):  # noqa: PTH123
            kind.read(path)
    except kind.errors as error:
        return "memory" if isinstance(error.__cause__, MemoryError) else "refused"
    except MemoryError:
        return "memory"
    except Exception as error:
        return f"{type(error).__name__}: {error}"[:200]
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return "read"


def _limit() -> None:
    with contextlib.suppress(ImportError, ValueError):
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (CEILING, CEILING))


def _most_memory() -> float:
    """MB that this process has had at most; 0 on Windows, which does not say."""
    status = Path("/proc/self/status")
    if status.exists():  # Linux's getrusage counts what the parent had when it started this process
        peak = re.search(r"^VmHWM:\s+(\d+) kB$", status.read_text(), re.MULTILINE)
        assert peak is not None
        return int(peak[1]) / 1024
    try:
        import resource
    except ImportError:
        return 0.0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
