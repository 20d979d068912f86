"""[R] numba's settings for all kernels, and kernels run in bands on all cores. numba and numpy only."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise
from typing import Any

import numba
import numpy as np

Function = Callable[..., Any]  # numba checks a kernel's types at its call

_BANDS_PER_CORE = 4  # more than one, since some bands take longer, and some cores are busy


def compiled(fastmath: bool | set[str] = False) -> Callable[[Function], Function]:
    """The decorator of a kernel, which is compiled at its first call, cached on disk, and runs without the
    interpreter's lock.

    Division by zero gives infinity or NaN, as in numpy. `fastmath` (True, or a set of LLVM's flags) lets the compiler
    reorder sums and assume that every number is finite: not for kernels that meet NaN or infinity.

    numba notices changes in a kernel's own file only. After a change to a kernel that kernels in other files call,
    delete the cache: in `__pycache__`, or in the folder that NUMBA_CACHE_DIR names.
    """
    return numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=fastmath)


def in_bands(kernel: Function, first: int, last: int, *arguments: Any) -> None:
    """Calls `kernel(low, high, *arguments)` for bands that together cover range(first, last), in parallel on all cores.

    The kernel should release the interpreter's lock, as compiled ones do, and must not call `in_bands` itself. An
    exception in one band is raised once the bands before it are done.
    """
    edges = np.linspace(first, last, min(_BANDS_PER_CORE * cores(), last - first) + 1).astype(int).tolist()
    for band in [_threads().submit(kernel, low, high, *arguments) for low, high in pairwise(edges)]:
        band.result()


def cores() -> int:
    """The number of bands that run at the same time."""
    return os.cpu_count() or 1


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(cores(), thread_name_prefix="kernels")
