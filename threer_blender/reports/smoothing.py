"""[S] Smooths a shot's camera, and measures the cost of that in pixels. Stdlib and numpy.

Each pose is taken from a parabola fitted to its neighbours in time, which count less the farther they are: Savitzky and
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

REACH = 3.0  # times the width: neighbours farther away do not count
FEWEST_FRAMES = 4  # a parabola through fewer smooths nothing
MOST_ERROR = 4.0  # times the median error: tracks with a larger error are ignored when the cost is measured


@dataclass(frozen=True)
class SmoothingCost:
    """The cost of a smoothed camera.

    In each frame, the picture moves by some pixels at the median depth: `moved` is their root mean square over the
    frames, and `most` is the number of the frame with the most, and its pixels. `jitter` and the tracks' `error` (the
    median over the frames of their medians) are pairs, before and after, in pixels; NaN where they are unknown.
    """

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
    """The shot with a smooth camera. Frames without a camera get none.

    `width` is the standard deviation of the neighbours' weights in frames; 0 leaves the camera as it is.
    """
    numbers = np.array(sorted(shot.cameras))
    if width <= 0 or len(numbers) < FEWEST_FRAMES:
        return shot
    poses = np.array([shot.cameras[int(number)].world_from_camera for number in numbers])
    quaternions_wxyz = np.array([quaternions.wxyz_from_matrix(pose[:3, :3]) for pose in poses])
    cameras = {}
    for index, number in enumerate(numbers):
        # Two frames to either side at least: a parabola passes through three points exactly and smooths nothing.
        near = np.flatnonzero(np.abs(numbers - number) <= max(REACH * width, 2))
        shares = _shares((numbers[near] - number).astype(np.float64), width)
        cameras[int(number)] = replace(
            shot.cameras[int(number)], world_from_camera=_pose(poses, quaternions_wxyz, near, shares, index)
        )
    return replace(shot, cameras=cameras)


def _shares(times: FloatArray, width: float) -> FloatArray:
    """(N,) how much each neighbour counts, so that parabolas stay as they are; the shares sum up to 1.

    `times` (N,) are frames from the smoothed one to each neighbour, itself among them.
    """
    weights = np.exp(-0.5 * (times / width) ** 2)
    degree = min(2, len(times) - 2)
    if degree < 0:  # the frame has no neighbour
        return np.ones(len(times))
    columns = np.vander(times, degree + 1, increasing=True)
    weighted = columns * np.sqrt(weights)[:, None]
    # The first row of the pseudo-inverse gives the parabola's constant term: its value at time 0.
    shares: FloatArray = np.linalg.pinv(weighted)[0] * np.sqrt(weights)
    return shares


def _pose(poses: FloatArray, quaternions_wxyz: FloatArray, near: Array, shares: FloatArray, index: int) -> FloatArray:
    """(4, 4) the smooth pose of the frame at `index`, from those at the indices `near` it with their shares.

    Rotations are averaged as the vectors of their quaternions, relative to the frame's own rotation.
    """
    pose: FloatArray = poses[index].copy()
    centres = poses[near, :3, 3] - poses[index, :3, 3]
    if centres.any():  # a camera that rests stays exactly where it is
        pose[:3, 3] += shares @ centres
    inverse = quaternions_wxyz[index] * (1, -1, -1, -1)
    relative = quaternions.product_wxyz(np.broadcast_to(inverse, quaternions_wxyz[near].shape), quaternions_wxyz[near])
    vector = shares @ (relative[:, 1:] * np.where(relative[:, :1] < 0, -1.0, 1.0))
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
    """The pixels by which points at the median depth move: the median over the picture."""
    points = points_at_median_depth(before, positions)
    return float(np.nanmedian(np.linalg.norm(after.project(points) - before.project(points), axis=1)))


def _error(shot: Shot) -> float:
    """The median over the frames of the median reprojection error of the tracks that agree; NaN without tracks."""
    tracks = shot.tracks
    if tracks is None or not np.isfinite(tracks.errors).any():
        return float("nan")
    with np.errstate(invalid="ignore"):
        agree = (tracks.weights > 0) & (tracks.errors <= MOST_ERROR * np.nanmedian(tracks.errors))
    medians = []
    for number, camera in shot.cameras.items():
        rows = np.flatnonzero((tracks.frame == number) & agree[tracks.point])
        if len(rows):
            projected = camera.project(tracks.positions[tracks.point[rows]])
            medians.append(float(np.nanmedian(np.linalg.norm(projected - tracks.pixels[rows], axis=1))))
    return float(np.median(medians)) if medians else float("nan")
