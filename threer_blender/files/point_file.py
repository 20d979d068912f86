"""[S] Points and numbers in files without a header, which Blender and the worker hand to each other. Numpy only."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..model.arrays import Array
from .bounded import Damaged


def write(values: Array, path: Path) -> None:
    """Writes `values` to a file, as little-endian float32. Raises OSError."""
    path.write_bytes(np.ascontiguousarray(values, "<f4").data)


def read(path: Path, width: int) -> Array:
    """(N, `width`) float32, or (N,) where the width is 1: all numbers in a file, as a memory map where there are any.

    Raises Damaged where the file's size does not fit, and OSError.
    """
    count, rest = divmod(path.stat().st_size, 4 * width)
    if rest:
        raise Damaged("is cut off")
    values: Array = np.memmap(path, "<f4", "r") if count else np.zeros(0, np.float32)
    return values.reshape(count, width) if width > 1 else values
