"""[S] The content of an export in the file's world, whose axes and scale are the user's or else the format's."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..model.arrays import FloatArray
from ..model.errors import UserError
from ..model.reconstruction import Gaussians, PointCloud, Reconstruction
from ..model.reconstruction_transform import transformed
from .pictures import View
from .tracks import Track, tracks

Y_DOWN, Y_UP, Z_UP = "y-down", "y-up", "z-up"
# The rotation to a world with these axes from ours, whose y goes down.
AXES: dict[str, FloatArray] = {
    Y_DOWN: np.eye(3),
    Y_UP: np.diag([1.0, -1.0, -1.0]),
    Z_UP: np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]]),
}
LARGEST_SCALE = 1e9  # units of the file for one of the solve; the smallest is its inverse


@dataclass(frozen=True)
class Choice:
    """The user's choices for an export.

    `axes` is a key of AXES; "" for the format's own. `scale` is how many units of the file one unit of the solve
    becomes; 0 for the format's own. `first_frame` is where shots begin; None for the plates' own numbers.
    """

    axes: str = ""
    scale: float = 0.0
    first_frame: int | None = None


@dataclass(frozen=True)
class Content:
    """The input of a format's writer, all in the file's world. `file_from_ours` (4, 4) takes the solve's world to that.

    `views` are empty where the format has no pictures.
    """

    views: list[View]
    tracks: list[Track]
    cloud: PointCloud | None
    gaussians: Gaussians | None
    file_from_ours: FloatArray


def in_world(reconstruction: Reconstruction, axes: str, scale: float) -> tuple[Reconstruction, FloatArray]:
    """The result in a world with these axes and this scale, and the similarity (4, 4) that was applied to it.

    Raises UserError where there are no such axes, or the scale is 0, negative or extreme.
    """
    if axes not in AXES:
        raise UserError(f"There are no axes {axes}; there are {', '.join(AXES)}.")
    if not 1 / LARGEST_SCALE <= scale <= LARGEST_SCALE:
        raise UserError(f"The scale {scale:g} is none; it is how many units of the file one unit of the solve becomes.")
    file_from_ours = np.eye(4)
    file_from_ours[:3, :3] = scale * AXES[axes]
    return transformed(reconstruction, file_from_ours), file_from_ours


def content(reconstruction: Reconstruction, views: list[View], file_from_ours: FloatArray, choice: Choice) -> Content:
    """The content of a result that is already in the file's world. `views` and `file_from_ours` are as in Content.

    Of the `choice`, only the first frame matters here: `in_world` has applied the axes and the scale.
    """
    return Content(
        views,
        tracks(reconstruction, choice.first_frame),
        reconstruction.cloud,
        reconstruction.gaussians,
        file_from_ours,
    )


def thinned(cloud: PointCloud, most: int) -> FloatArray:
    """(N, 3) the positions of every k-th point of a cloud, with the smallest k that leaves at most `most`."""
    step = max(1, -(-len(cloud) // most))  # rounded up
    positions: FloatArray = cloud.positions[::step]
    return positions


def digits(*values: float) -> str:
    """The numbers as text, with all their digits and with spaces between."""
    return " ".join(repr(float(value)) for value in values)
