"""[S] A shot's camera, smoothed on the artist's word, and the cost of that in pixels. Stdlib and numpy.

Each pose is that of a parabola through its neighbours in time, which count less the farther they are: Savitzky and
Golay 1964, "Smoothing and differentiation of data by simplified least squares procedures", with Gaussian weights and
for any frame numbers. Lenses stay as they are.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ..model import quaternions
from ..model.arrays import Array, FloatArray
from ..model.reconstruction import Camera, PointCloud, Shot
from .shot_report import points_at_median_depth, report, sampled_points

REACH = 3.0  # times the width: neighbours farther away count nothing
LEAST = 4  # frames that a parabola smooths
AGREES = 4.0  # times the median error: tracks by which the cost is measured


@dataclass(frozen=True)
class SmoothingCost:
    """The cost of a smoothed camera in pixels. `moved` is the root mean square over the frames of how far the picture
    moves at the median depth, and `most` the farthest in a frame, with its number. `jitter` and the tracks' `error`
    (the median over the frames of their medians) are before and after; NaN where nothing tells them."""

    moved: float
    most: tuple[int, float]
    jitter: tuple[float, float]
    error: tuple[float, float]

    def __str__(self) -> str:
        """The cost in a sentence."""
        parts = [f"moves the picture by {self.moved:.2f} px, at most {self.most[1]:.2f} px in frame {self.most[0]}"]
        for label, (before, after) in (("median error", self.error), ("jitter", self.jitter)):
            if np.isfinite(before) and np.isfinite(after):
                parts.append(f"{label} {before:.3f} → {after:.3f} px")
        return "; ".join(parts)


def smoothed(shot: Shot, width: float) -> Shot:
    """The shot with a smooth camera. `width` is the standard deviation of the neighbours' weights in frames; 0 leaves
    the camera as it is. Frames without a camera get none."""
    numbers = np.array(sorted(shot.cameras))
    if width <= 0 or len(numbers) < LEAST:
        return shot
    poses = np.array([shot.cameras[int(number)].world_from_camera for number in numbers])
    quaternions_wxyz = np.array([quaternions.wxyz_from_matrix(pose[:3, :3]) for pose in poses])
    cameras = {}
    for index, number in enumerate(numbers):
        near = np.flatnonzero(np.abs(numbers - number) <= max(REACH * width, 2))
        share = _shares((numbers[near] - number).astype(np.float64), width)
        cameras[int(number)] = replace(
            shot.cameras[int(number)], world_from_camera=_pose(poses, quaternions_wxyz, near, share, index)
        )
    return replace(shot, cameras=cameras)


def _shares(times: FloatArray, width: float) -> FloatArray:
    """(N,) how much each neighbour counts, so that parabolas in time (N,) stay as they are; they sum up to 1."""
    weights = np.exp(-0.5 * (times / width) ** 2)
    degree = min(2, len(times) - 2)
    if degree < 0:  # alone in its reach
        return np.ones(len(times))
    columns = np.vander(times, degree + 1, increasing=True)
    weighted = columns * np.sqrt(weights)[:, None]
    shares: FloatArray = np.linalg.pinv(weighted)[0] * np.sqrt(weights)
    return shares


def _pose(poses: FloatArray, quaternions_wxyz: FloatArray, near: Array, share: FloatArray, index: int) -> FloatArray:
    """(4, 4) the smooth pose of the frame at `index`, from those `near` it with their shares."""
    pose: FloatArray = poses[index].copy()
    centres = poses[near, :3, 3] - poses[index, :3, 3]
    if centres.any():  # one that stands at a place stays there exactly
        pose[:3, 3] += share @ centres
    back = quaternions_wxyz[index] * (1, -1, -1, -1)
    relative = quaternions.product_wxyz(np.broadcast_to(back, quaternions_wxyz[near].shape), quaternions_wxyz[near])
    vector = share @ (relative[:, 1:] * np.where(relative[:, :1] < 0, -1.0, 1.0))
    rotation = np.array([np.sqrt(max(0.0, 1.0 - vector @ vector)), *vector])
    pose[:3, :3] = poses[index, :3, :3] @ quaternions.matrices_from_wxyz(rotation)
    return pose


def cost(before: Shot, after: Shot, cloud: PointCloud | None) -> SmoothingCost:
    """The cost of a shot's smoothed camera; `cloud` gives the depth at which pixels are measured."""
    positions = sampled_points(cloud)
    moved = {
        number: _displacement(camera, after.cameras[number], positions) for number, camera in before.cameras.items()
    }
    most = max(moved, key=lambda number: moved[number])
    return SmoothingCost(
        moved=float(np.sqrt(np.mean(np.square(list(moved.values()))))),
        most=(most, moved[most]),
        jitter=(report(before, cloud).jitter, report(after, cloud).jitter),
        error=(_error(before), _error(after)),
    )


def _displacement(before: Camera, after: Camera, positions: FloatArray) -> float:
    """Pixels, the median over the picture at the median depth."""
    points = points_at_median_depth(before, positions)
    return float(np.nanmedian(np.linalg.norm(after.project(points) - before.project(points), axis=1)))


def _error(shot: Shot) -> float:
    """The median over the frames of the median reprojection error of the tracks that agree; NaN without tracks."""
    tracks = shot.tracks
    if tracks is None or not np.isfinite(tracks.errors).any():
        return float("nan")
    with np.errstate(invalid="ignore"):
        agree = (tracks.weights > 0) & (tracks.errors <= AGREES * np.nanmedian(tracks.errors))
    medians = []
    for number, camera in shot.cameras.items():
        mine = np.flatnonzero((tracks.frame == number) & agree[tracks.point])
        if len(mine):
            there = camera.project(tracks.positions[tracks.point[mine]])
            medians.append(float(np.nanmedian(np.linalg.norm(there - tracks.pixels[mine], axis=1))))
    return float(np.median(medians)) if medians else float("nan")
