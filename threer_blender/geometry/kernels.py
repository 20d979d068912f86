"""[R] How numba compiles this project's kernels, and how they run on all cores. numba and numpy only."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise
from typing import Any, TypeVar

import numba
import numpy as np

Function = TypeVar("Function", bound=Callable[..., Any])

_BANDS_PER_CORE = 4  # bands are not equally long, and cores not equally free


def compiled(fastmath: bool | set[str] = False) -> Callable[[Function], Function]:
    """The decorator of a kernel: compiled at its first call, kept on disk, free of the interpreter's lock.

    Division by zero gives infinity or NaN, as in numpy. `fastmath` (or a set of LLVM's flags) lets sums be reordered
    and takes every number for finite: not for kernels that meet NaN or infinity.
    """
    decorator: Callable[[Function], Function] = numba.njit(
        cache=True, nogil=True, error_model="numpy", fastmath=fastmath
    )
    return decorator


def in_bands(work: Callable[[int, int], object], first: int, last: int) -> None:
    """Calls `work(low, high)` for bands that cover range(first, last), on all cores at a time.

    `work` calls one kernel, which lets go of the interpreter's lock; it must not call `in_bands` itself. What one band
    raises is raised when the bands before it are done.
    """
    edges = np.linspace(first, last, min(_BANDS_PER_CORE * cores(), max(last - first, 1)) + 1).astype(int).tolist()
    for band in [_threads().submit(work, low, high) for low, high in pairwise(edges)]:
        band.result()


def cores() -> int:
    """How many kernels run at a time."""
    return os.cpu_count() or 1


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(cores(), thread_name_prefix="kernels")
