"""[S] How well a shot's camera sticks to its plate: errors, jitter, and frames to look at. Stdlib and numpy."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..model.arrays import Array, FloatArray
from ..model.reconstruction import Camera, PointCloud, Reconstruction, Shot

GENERATOR = "threer_blender camera tracking report"
SPREADS = ("position_spread", "rotation_spread", "focal_spread")
MEASURES = ("median_error", "p95_error", "worst_error", "inliers", "coverage", *SPREADS)
"""The names of the Shot's arrays, one value per frame, that the report shows. `jump` is computed here."""

NOTABLE = 0.3  # px: errors and jumps that are smaller are never suspicious
WORSE = 2.0  # times the shot's median error, from which a frame's error is suspicious
SCARCE = 0.2  # share of the picture: a frame whose tracks cover less is suspicious
FEWEST = 24  # tracks: a frame with fewer is suspicious
JUMPS = 5.0  # times the shot's median jump, from which a jump is suspicious
GRID = 5  # points along each side of the lattice at which jumps are measured
SAMPLED = 4000  # points of the cloud by which the depth is measured

# The weights of five frames in the fourth difference, which cancels smooth movement. With this scale, errors that are
# independent in each frame keep their RMS.
FOURTH_DIFFERENCE = np.array([1.0, -4.0, 6.0, -4.0, 1.0]) / np.sqrt(70.0)


@dataclass(frozen=True)
class ShotReport:
    """A shot in numbers.

    `numbers` (F,) are its frames, of which `solved` have a camera. `values` holds (F,) float64 for each of MEASURES and
    for `jump`, NaN where a frame has no value. `suspicious` has the reasons to look at a frame, by frame number.

    `median`, `p95` and `worst_frame` (frame, its median) are reprojection errors in pixels: the medians of the frames'
    medians and of their 95th percentiles, and the largest median of a frame; NaN or None where they are unknown.
    `jitter` is the RMS of `jump`: the pixels by which a point at the median depth shakes from frame to frame. It
    includes real shaking of the camera that is faster than four frames. `focal` is fx, in pixels, of the first and of
    the last frame with a camera.

    `missing` frames have no picture. `interpolated` ones have a picture and no camera, and lie between frames with one.
    """

    name: str
    motion: str
    motion_reason: str
    numbers: Array
    solved: int
    missing: int
    interpolated: int
    values: Mapping[str, FloatArray]
    median: float
    p95: float
    worst_frame: tuple[int, float] | None
    jitter: float
    focal: tuple[float, float]
    suspicious: Mapping[int, list[str]]

    @property
    def frames(self) -> str:
        """In words how many frames have a camera: 38 of 40 frames, 2 interpolated."""
        also = {"interpolated": self.interpolated, "missing": self.missing}
        parts = [f"{self.solved} of {len(self.numbers) - self.missing} frames"]
        return ", ".join([*parts, *(f"{count} {word}" for word, count in also.items() if count)])


def report(shot: Shot, cloud: PointCloud | None) -> ShotReport:
    """The report on a shot with at least one solved camera. `cloud` gives the depth at which jitter is measured."""
    numbers = np.arange(shot.first_frame, shot.last_frame + 1)
    values = {
        name: np.full(len(numbers), np.nan) if array is None else np.asarray(array, np.float64)
        for name, array in ((name, getattr(shot, name)) for name in MEASURES)
    }
    values["jump"] = _jumps(shot, sampled_points(cloud))
    medians = values["median_error"]
    first, last = min(shot.cameras), max(shot.cameras)
    jumps = values["jump"][np.isfinite(values["jump"])]
    return ShotReport(
        name=shot.video,
        motion=shot.motion,
        motion_reason=shot.motion_reason,
        numbers=numbers,
        solved=len(shot.cameras),
        missing=len(shot.missing),
        interpolated=len(_interpolated(shot)),
        values=values,
        median=_median(medians),
        p95=_median(values["p95_error"]),
        worst_frame=(int(numbers[np.nanargmax(medians)]), float(np.nanmax(medians)))
        if np.isfinite(medians).any()
        else None,
        jitter=float(np.sqrt((jumps**2).mean())) if len(jumps) else np.nan,
        focal=(shot.cameras[first].fx, shot.cameras[last].fx),
        suspicious=_suspicious(shot, values),
    )


def _interpolated(shot: Shot) -> list[int]:
    """The numbers of the frames that have a picture and no camera, between the first and the last with a camera."""
    inside = range(min(shot.cameras), max(shot.cameras) + 1) if shot.cameras else range(0)
    return [number for number in inside if number not in shot.cameras and number not in shot.missing]


def _median(values: FloatArray) -> float:
    """The median of the finite values; NaN where there are none."""
    finite = values[np.isfinite(values)]
    return float(np.median(finite)) if len(finite) else np.nan


def sampled_points(cloud: PointCloud | None) -> FloatArray:
    """(N, 3) about SAMPLED of the cloud's points; none where there is no cloud."""
    if cloud is None:
        return np.zeros((0, 3))
    return np.asarray(cloud.positions[:: max(1, len(cloud) // SAMPLED)], np.float64)


def _jumps(shot: Shot, positions: FloatArray) -> FloatArray:
    """(F,) the pixels by which points at the median depth leave a smooth path through the two frames before and after.

    NaN where one of the five frames has no camera.
    """
    jumps = np.full(shot.frame_count, np.nan)
    for index in range(shot.frame_count):
        number = shot.first_frame + index
        five = [shot.cameras.get(number + step) for step in range(-2, 3)]
        cameras = [camera for camera in five if camera is not None]
        if len(cameras) == len(five):
            points = points_at_median_depth(cameras[2], positions)
            pixels = np.stack([camera.project(points) for camera in cameras])  # (frame, point, x or y)
            distances = np.linalg.norm(np.einsum("f,fnk->nk", FOURTH_DIFFERENCE, pixels), axis=1)
            jumps[index] = _median(distances)
    return jumps


def points_at_median_depth(camera: Camera, positions: FloatArray) -> FloatArray:
    """(GRID², 3) world points on a lattice over the picture, at the median depth of the points before the camera."""
    depths = positions @ camera.camera_from_world[2, :3] + camera.camera_from_world[2, 3]
    depth = float(np.median(depths[depths > 0])) if (depths > 0).any() else 1.0
    x, y = (np.linspace(0.2, 0.8, GRID) * side for side in (camera.width, camera.height))
    rays = camera.rays(np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2))
    points: FloatArray = depth * rays @ camera.world_from_camera[:3, :3].T + camera.world_from_camera[:3, 3]
    return points


def _suspicious(shot: Shot, values: Mapping[str, FloatArray]) -> dict[int, list[str]]:
    """The frames to look at, by number, each with short reasons."""
    error, jump = _median(values["median_error"]), _median(values["jump"])
    checks: list[tuple[Array, str, FloatArray]] = [  # frames that fail, the reason, and the values in it
        (values["median_error"] > max(NOTABLE, WORSE * error), "error {:.2f} px", values["median_error"]),
        (values["jump"] > max(NOTABLE, JUMPS * jump), "jumps by {:.2f} px", values["jump"]),
        (values["inliers"] < FEWEST, "{:.0f} tracks", values["inliers"]),
        (values["coverage"] < SCARCE, "tracks cover {:.0%} of the picture", values["coverage"]),
    ]
    suspicious: dict[int, list[str]] = {}
    for index in range(shot.frame_count):
        number = shot.first_frame + index
        reasons = [text.format(value[index]) for fails, text, value in checks if fails[index]]
        if number not in shot.cameras and number not in shot.missing:
            reasons = ["no camera"]
        if reasons:
            suspicious[number] = reasons
    return suspicious


def as_json(reconstruction: Reconstruction) -> str:
    """The reports of all shots as JSON text; unknown numbers are null."""

    def plain(value: float) -> float | None:
        return round(float(value), 5) if np.isfinite(value) else None

    def shot(entry: ShotReport) -> dict[str, Any]:
        columns = {name: values for name, values in entry.values.items() if np.isfinite(values).any()}
        return {
            "shot": entry.name,
            "move": entry.motion,
            "move_reason": entry.motion_reason,
            "frames": len(entry.numbers),
            "solved": entry.solved,
            "interpolated": entry.interpolated,
            "missing": entry.missing,
            "reprojection_error_px": {
                "median": plain(entry.median),
                "p95": plain(entry.p95),
                "worst_frame": None
                if entry.worst_frame is None
                else {"frame": entry.worst_frame[0], "median": plain(entry.worst_frame[1])},
            },
            "jitter_px": plain(entry.jitter),
            "focal_px": {"first": plain(entry.focal[0]), "last": plain(entry.focal[1])},
            "suspicious": {str(number): reasons for number, reasons in entry.suspicious.items()},
            "by_frame": [
                {"frame": int(number), **{name: plain(values[index]) for name, values in columns.items()}}
                for index, number in enumerate(entry.numbers)
            ],
        }

    entries = [shot(report(each, reconstruction.cloud)) for each in reconstruction.shots]
    return json.dumps({"generator": GENERATOR, "engine": reconstruction.engine, "shots": entries}, indent=1) + "\n"
