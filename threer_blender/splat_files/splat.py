"""[S] .splat (github.com/antimatter15/splat): 32 bytes per splat, no header, no spherical harmonics."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..files import bounded
from ..files.bounded import Damaged
from .reading import Reading, SplatFile, constant_only, gaussians

ROW = np.dtype([("mean", "<f4", 3), ("scale", "<f4", 3), ("rgba", "u1", 4), ("rotation", "u1", 4)])
ROUNDED = 0.05  # the largest difference from 1 of the length of a quaternion of bytes


def recognises(head: bytes, size: int) -> bool:
    """Whether `head` consists of rows whose quaternions have unit length and whose scales are plausible."""
    rows = np.frombuffer(head, ROW, len(head) // ROW.itemsize)
    length = np.linalg.norm((rows["rotation"].astype(np.float32) - 128) / 128, axis=1)
    plausible = np.isfinite(rows["scale"]).all() and (rows["scale"] >= 0).all()
    return bool(size and size % ROW.itemsize == 0 and plausible and (np.abs(length - 1) < ROUNDED).all())


def read(path: Path, _how: Reading) -> SplatFile:
    """The splats of the file. Raises OSError and Damaged.

    Scales are stored as they are, colours and opacity as bytes, and quaternions as bytes wxyz around 128.
    """
    data = bounded.content(path)
    if len(data) % ROW.itemsize:
        raise Damaged(f"is cut off or no .splat: its size is no multiple of {ROW.itemsize} bytes; get it again")
    rows = np.frombuffer(data, ROW)
    rgba = rows["rgba"] / np.float32(255)
    rotations = (rows["rotation"].astype(np.float32) - 128) / 128
    return SplatFile(
        gaussians(rows["mean"], rows["scale"], rotations, rgba[:, 3], constant_only(rgba[:, :3])), notes=[]
    )
