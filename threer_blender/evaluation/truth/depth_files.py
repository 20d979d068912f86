"""[R] Depth maps of benchmarks: PNGs of 16 bits, raw floats, and Sintel's .dpt."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image

from ...files import bounded
from ...files.bounded import Damaged
from ...files.photo_files import MOST_PIXELS
from ...model.arrays import Array, FloatArray

DPT = struct.Struct("<fii")  # a tag, the width and the height
TAG = 202021.25  # by which Sintel's files are known


@contextmanager
def png(path: Path) -> Iterator[Image.Image]:
    """The picture in a PNG, whose pixels are read within the block. Raises Damaged, there too."""
    try:
        with bounded.open_regular(path) as file, bounded.as_damage(), Image.open(file, formats=("PNG",)) as image:
            if image.width * image.height > MOST_PIXELS:
                raise Damaged("has too many pixels; make it smaller")
            bounded.check(2 * image.width * image.height, os.fstat(file.fileno()).st_size)
            yield image
    except OSError as error:
        if error.errno is not None:  # the system's
            raise
        raise Damaged("is cut off or no PNG; get it again") from error  # Pillow's


def sixteen_bits(path: Path) -> Array:
    """(H, W) uint16 the numbers in a PNG of one channel with 16 bits. Raises Damaged."""
    with png(path) as image:
        if image.mode not in ("I", "I;16"):
            raise Damaged("is no depth map: a PNG of one channel with 16 bits")
        return np.asarray(image).astype(np.uint16)


def scaled(path: Path, scale: float, none: int = 0) -> FloatArray:
    """(H, W) the numbers in a PNG times `scale`, 0 where the number is `none`. Raises Damaged."""
    numbers = sixteen_bits(path)
    return np.where(numbers == none, 0.0, numbers * scale)


def half_floats(path: Path, scale: float) -> FloatArray:
    """(H, W) the half floats in the bits of a PNG, times `scale`, as CO3D has them. Raises Damaged."""
    return np.ascontiguousarray(sixteen_bits(path)).view(np.float16).astype(np.float64) * scale


def raw_floats(path: Path, width: int, height: int) -> FloatArray:
    """(H, W) the single floats that a file holds row by row, as ETH3D has them. Raises Damaged."""
    data = bounded.content(path, 4 * width * height)
    if len(data) != 4 * width * height:
        raise Damaged(f"does not hold {width} × {height} numbers; get it again")
    return np.frombuffer(data, "<f4").reshape(height, width).astype(np.float64)


def dpt(path: Path) -> FloatArray:
    """(H, W) the depth of a .dpt of MPI Sintel. Raises Damaged."""
    data = bounded.content(path)
    with bounded.as_damage():
        tag, width, height = DPT.unpack_from(data)
        if tag != TAG or width < 1 or height < 1 or len(data) != DPT.size + 4 * width * height:
            raise Damaged("is no depth map of Sintel; get it again")
        return np.frombuffer(data, "<f4", offset=DPT.size).reshape(height, width).astype(np.float64)
