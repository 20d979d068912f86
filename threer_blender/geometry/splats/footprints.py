"""[R] Gaussians projected into a picture: the result of the projection and the kernels' input. Imports torch."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class Footprints(NamedTuple):
    """N flat Gaussians in a picture: `centres` (N, 2) in pixels; `conics` (N, 3), the elements xx, xy and yy of the
    inverse covariance, per pixel²; `extents` (N, 2), half the width and height in pixels of the box that is drawn, -1
    where nothing is; `depths` (N,), camera z."""

    centres: Tensor
    conics: Tensor
    extents: Tensor
    depths: Tensor
