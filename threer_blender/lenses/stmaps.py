"""[S] STMaps: pictures whose pixels hold the place in a source picture from which their colour comes.

Nuke's STMap node and 3DE read them. Red is S = x / width and green is T = y / height of the source, with the origin at
its lower left corner and pixel centres at half pixels: the centre of the lower left pixel is (0.5 / width, 0.5 /
height). Blue is 1 where that place lies in the source, else 0; Blender's Map UV node takes it as alpha. Where the lens
shows nothing, S and T are -1.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from ..model.arrays import FloatArray
from ..model.reconstruction import Camera
from .overscan import Overscan, ideal_pixels, plate_pixels

ROWS = 128  # rows that are computed at a time
Map = npt.NDArray[np.float32]


def undistorting(camera: Camera, added: Overscan) -> Map:
    """The STMap (H', W', 3) float32 that reads the plate. It is as large as the picture without distortion."""
    shift = np.array([added.across, added.down])
    return _map(added.size(camera), (camera.width, camera.height), lambda pixels: plate_pixels(camera, pixels - shift))


def redistorting(camera: Camera, added: Overscan) -> Map:
    """The STMap (H, W, 3) float32 that reads the picture without distortion. It is as large as the plate."""
    shift = np.array([added.across, added.down])
    return _map((camera.width, camera.height), added.size(camera), lambda pixels: ideal_pixels(camera, pixels) + shift)


def _map(size: tuple[int, int], source: tuple[int, int], place: Callable[[FloatArray], FloatArray]) -> Map:
    """The STMap of `size` (width, height) for a picture of the size `source`.

    `place` takes pixels (..., 2) of the map to those of the source; both have their origin at the top left.
    """
    width, height = size
    out = np.empty((height, width, 3), np.float32)
    for top in range(0, height, ROWS):
        rows = np.arange(top, min(top + ROWS, height))
        pixels = np.stack(np.meshgrid(np.arange(width) + 0.5, rows + 0.5), axis=-1)
        s, t = np.moveaxis(place(pixels) / source, -1, 0)
        inside = (s >= 0) & (s <= 1) & (t >= 0) & (t <= 1)
        out[rows] = np.stack([s, 1 - t, inside], axis=-1)
    out[np.isnan(out[..., 0])] = (-1.0, -1.0, 0.0)
    return out
