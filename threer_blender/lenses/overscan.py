"""[S] Overscan: how much larger than the plate the picture without distortion must be to hold all of the plate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..model import lens
from ..model.arrays import FloatArray
from ..model.errors import UserError, quoted
from ..model.reconstruction import Camera

MARGIN = 2  # pixels beyond the outermost point, for filters that read neighbouring pixels
LARGEST = 3.0  # times the plate's side; a lens that needs more is too wide for a picture without distortion
EDGE_STEP = 4  # pixels between the examined points of the plate's edge


@dataclass(frozen=True)
class Overscan:
    """Pixels added to the plate: `across` on the left and on the right, `down` above and below."""

    across: int = 0
    down: int = 0

    def size(self, camera: Camera) -> tuple[int, int]:
        """Width and height of the picture without distortion."""
        return camera.width + 2 * self.across, camera.height + 2 * self.down


def overscan(cameras: Sequence[Camera]) -> Overscan:
    """The overscan that suffices for all `cameras`, which have plates of one size.

    Raises UserError where the lens is too wide for a picture without distortion to hold the plate.
    """
    across = down = 0.0
    for camera in {(c.fx, c.fy, c.cx, c.cy, c.distortion): c for c in cameras}.values():
        pixels = ideal_pixels(camera, _edge(camera))
        pixels = pixels[np.isfinite(pixels).all(axis=-1)]  # without points for which the lens model has no ideal point
        size = np.array([camera.width, camera.height])
        if not len(pixels) or (np.ptp(pixels, axis=0) > LARGEST * size).any():
            raise UserError(
                f"The lens of {quoted(camera.photo)} is too wide for a picture without distortion to hold its whole "
                "plate; render with a fisheye (panoramic) camera, or crop the plate first."
            )
        beyond = np.maximum(-pixels.min(axis=0), pixels.max(axis=0) - size)
        across, down = max(across, beyond[0]), max(down, beyond[1])
    return Overscan(*(int(np.ceil(side)) + MARGIN if side > 1e-6 else 0 for side in (across, down)))


def without_distortion(camera: Camera, added: Overscan) -> Camera:
    """The ideal camera, with the focal lengths of `camera`, whose picture is the plate and the overscan `added`."""
    width, height = added.size(camera)
    return replace(
        camera,
        width=width,
        height=height,
        cx=camera.cx + added.across,
        cy=camera.cy + added.down,
        distortion=lens.NO_DISTORTION,
        undistorted="",
    )


def ideal_pixels(camera: Camera, pixels: FloatArray) -> FloatArray:
    """Plate pixels (..., 2) -> pixels (..., 2) of an ideal camera with the same intrinsics; NaN where it has none."""
    focal, centre = np.array([camera.fx, camera.fy]), np.array([camera.cx, camera.cy])
    ideal: FloatArray = lens.undistort(camera.distortion, (pixels - centre) / focal) * focal + centre
    return ideal


def plate_pixels(camera: Camera, pixels: FloatArray) -> FloatArray:
    """The inverse of `ideal_pixels`. NaN beyond the radius up to which the lens model is one-to-one."""
    focal, centre = np.array([camera.fx, camera.fy]), np.array([camera.cx, camera.cy])
    ideal = (pixels - centre) / focal
    inside = np.linalg.norm(ideal, axis=-1, keepdims=True) < lens.valid_radius(camera.distortion)
    distorted = lens.distort(camera.distortion, np.where(inside, ideal, np.nan))
    plate: FloatArray = distorted * focal + centre
    return plate


def _edge(camera: Camera) -> FloatArray:
    """(N, 2) pixels along the plate's edge."""
    x = np.linspace(0, camera.width, camera.width // EDGE_STEP + 2)
    y = np.linspace(0, camera.height, camera.height // EDGE_STEP + 2)
    sides = [
        np.stack(np.broadcast_arrays(*side), axis=-1)
        for side in ((x, 0), (x, camera.height), (0, y), (camera.width, y))
    ]
    return np.concatenate(sides)
