"""[R] Flat Gaussians: the projection's result and the kernels' input. Imports torch."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class Footprints(NamedTuple):
    """Gaussians as a camera sees them: `centres` (N, 2) pixels, `conics` (N, 3) the inverse covariance's xx, xy, yy,
    `extents` (N, 2) half width and height in pixels of what is drawn, -1 where nothing is, `depths` (N,) camera z."""

    centres: Tensor
    conics: Tensor
    extents: Tensor
    depths: Tensor
