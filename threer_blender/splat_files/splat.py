"""[S] .splat, 32 bytes a splat without a header (github.com/antimatter15/splat): no spherical harmonics."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from .reading import Damaged, Reading, SplatFile, constant_only, gaussians

ROW = np.dtype([("mean", "<f4", 3), ("scale", "<f4", 3), ("rgba", "u1", 4), ("rotation", "u1", 4)])


def read(path: Path, _how: Reading) -> SplatFile:
    """Scales are linear, colours and opacity bytes, quaternions wxyz as bytes around 128."""
    data = path.read_bytes()
    if len(data) % ROW.itemsize:
        raise Damaged(f"is cut off or no .splat: its size is no multiple of {ROW.itemsize} bytes; get it again")
    rows = np.frombuffer(data, ROW)
    rgba = rows["rgba"] / np.float32(255)
    rotations = (rows["rotation"].astype(np.float32) - 128) / 128
    return SplatFile(
        gaussians(rows["mean"], rows["scale"], rotations, rgba[:, 3], constant_only(rgba[:, :3])), notes=[]
    )
