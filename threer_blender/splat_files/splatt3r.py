"""[S] The PLY that Splatt3R's own export writes: its faults, and their repair.

The export (`utils/export.py`) factors a covariance as U S Uᵀ with orthogonal U. But it writes the product
U U as the rotation instead of U, as xyzw where 3DGS expects wxyz, and the opacity itself instead of its logit. Scales
are sorted, as the SVD returns them.
"""

from __future__ import annotations

import numpy as np

from ..model.arrays import Array
from ..model.errors import quoted
from ..model.reconstruction import Gaussians
from .ply_tables import CONSTANT, MEAN, OPACITY, ROTATION, SCALE, columns
from .reading import gaussians, wxyz


def recognises(rows: Array) -> bool:
    """Whether `rows` look like Splatt3R's export: sorted scales, opacities in [0, 1], no higher harmonics."""
    if any(name.startswith("f_rest_") for name in rows.dtype.names or ()) or len(rows) < 2:
        return False
    opacity, scale = columns(rows, OPACITY), columns(rows, SCALE)
    with np.errstate(invalid="ignore"):
        sorted_scales = (np.diff(scale, axis=1) <= 0).all()
        return bool(
            sorted_scales and (opacity >= 0).all() and (opacity <= 1).all() and (scale[:, 0] > scale[:, 2]).any()
        )


def read(rows: Array, name: str, repair: bool) -> tuple[Gaussians, list[str]]:
    """The splats, with rotations mended where `repair`, and a note that says so, or else offers the repair."""
    rotation = columns(rows, ROTATION)
    if repair:
        rotation = _half(wxyz(rotation))
        mended = "opacities and rotations were mended, rotations as far as the file tells them"
        note = f"{quoted(name)} is Splatt3R's own export: {mended}."
    else:
        note = (
            f"{quoted(name)} looks like Splatt3R's own export, whose rotations are wrong; "
            "import it again with 'Repair Splatt3R Export' to mend them."
        )
    splats = gaussians(
        columns(rows, MEAN),
        np.exp(columns(rows, SCALE)),
        rotation,
        columns(rows, OPACITY)[:, 0],
        columns(rows, CONSTANT)[:, None],
    )
    return splats, [note]


def _half(squared: Array) -> Array:
    """Rotations (N, 4) wxyz whose squares are `squared` (N, 4): of the two possible ones, that by more than 90 degrees.

    Their covariances differ, and nothing in the file decides. The U that LAPACK returns rotates by more than 90 degrees
    for 97 % of random covariances.
    """
    squared = np.where(squared[:, :1] < 0, -squared, squared)  # rotations by at most 180 degrees
    half = squared + (1, 0, 0, 0)  # half-way from no rotation to `squared`
    half = half / np.linalg.norm(half, axis=1, keepdims=True)
    # 180 degrees more about the same axis: (cos a, n sin a) becomes (-sin a, n cos a).
    sine = np.linalg.norm(half[:, 1:], axis=1, keepdims=True)
    axis = np.where(sine > 1e-6, half[:, 1:] / np.maximum(sine, 1e-6), (1.0, 0.0, 0.0))
    return np.concatenate([-sine, axis * half[:, :1]], axis=1)
