"""How a solved shot differs from the true one: numbers that a matchmover asks for. numpy only.

A solve has a world of its own. It is brought to the true one by the rotation that fits the cameras' rotations best
and, where the camera moves, by the scale and shift that fit their centres best; the path error alone uses the
similarity of the centres (Umeyama 1991), as is usual.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from threer_blender.model.lens import Distortion
from threer_blender.model.reconstruction import Camera

FloatArray = npt.NDArray[np.float64]

OFFSETS = range(-3, 4)  # frames
GRID = 5  # points of a side at which jitter is measured


@dataclass(frozen=True)
class ShotScores:
    """`ate` in % of the path's length (NaN where the camera does not move), `rotation` RMS in degrees, `focal` the
    worst frame's error in %, `slip` (median, 95th percentile, median of the worst frame) in pixels by which true
    points miss where they should be, `jitter` RMS in pixels, `offset` in frames, `travel` how far a camera that should
    stand still moved, in median depths."""

    ate: float
    rotation: float
    focal: float
    slip: tuple[float, float, float]
    jitter: float
    offset: int
    travel: float


def camera_of(entry: Mapping[str, Any]) -> Camera:
    """A Camera from a frame of a truth.json with its shot's size and distortion, or from a solve printed as JSON."""
    values = {name: entry[name] for name in ("width", "height", "fx", "fy", "cx", "cy")}
    distortion = Distortion(entry["distortion"]["model"], tuple(entry["distortion"]["params"]))
    return Camera(photo="", **values, world_from_camera=np.array(entry["world_from_camera"]), distortion=distortion)


def true_cameras(truth: Mapping[str, Any]) -> dict[int, Camera]:
    """The true camera of each frame, by its number."""
    shared = {name: truth[name] for name in ("width", "height", "distortion")}
    return {frame["number"]: camera_of({**shared, **frame}) for frame in truth["frames"]}


def scores(solved: Mapping[int, Camera], truth: Mapping[str, Any]) -> ShotScores:
    """The measures of a solve with three or more frames."""
    true = true_cameras(truth)
    numbers = sorted(set(solved) & set(true))
    translates = truth["kind"] not in ("nodal", "zoom")
    solved_poses, true_poses = (_poses(cameras, numbers) for cameras in (solved, true))
    rotation, scale, shift = _alignment(solved_poses, true_poses, translates)
    frames = {frame["number"]: frame for frame in truth["frames"]}
    slips = [
        _slip(solved[n], true[n], np.array(frames[n]["points"]), rotation, scale, shift if translates else None)
        for n in numbers
    ]
    centres = solved_poses[:, :3, 3]
    from_mean = centres - centres.mean(axis=0)
    depth = float(np.median([frames[n]["median_depth"] for n in numbers]))
    return ShotScores(
        ate=100 * _ate(solved_poses, true_poses) / _length(true_poses) if translates else np.nan,
        rotation=float(np.sqrt((_angles(rotation @ solved_poses[:, :3, :3], true_poses[:, :3, :3]) ** 2).mean())),
        focal=max(_focal_error(solved[n], true[n]) for n in numbers),
        slip=(
            float(np.median(np.concatenate(slips))),
            float(np.percentile(np.concatenate(slips), 95)),
            float(max(np.median(slip) for slip in slips)),
        ),
        jitter=_jitter(solved, true, frames, numbers, (rotation, scale, shift if translates else None)),
        offset=_offset(solved, true, translates),
        travel=np.nan if translates else float(np.linalg.norm(from_mean, axis=1).max() / depth),
    )


def _poses(cameras: Mapping[int, Camera], numbers: list[int]) -> FloatArray:
    """(F, 4, 4) world_from_camera."""
    return np.stack([cameras[number].world_from_camera for number in numbers])


def _length(poses: FloatArray) -> float:
    """The length of the path of the centres of poses (F, 4, 4)."""
    return float(np.linalg.norm(np.diff(poses[:, :3, 3], axis=0), axis=1).sum())


def _alignment(solved: FloatArray, true: FloatArray, translates: bool) -> tuple[FloatArray, float, FloatArray]:
    """Rotation (3, 3), scale and shift (3,) from the solve's world to the true one, by poses (F, 4, 4) in both."""
    u, _, v = np.linalg.svd(np.einsum("fij,fkj->ik", true[:, :3, :3], solved[:, :3, :3]))
    rotation = u @ np.diag([1, 1, np.linalg.det(u @ v)]) @ v
    a, b = solved[:, :3, 3] @ rotation.T, true[:, :3, 3]
    from_mean, true_from_mean = a - a.mean(axis=0), b - b.mean(axis=0)
    square = float((from_mean**2).sum())
    scale = float((from_mean * true_from_mean).sum()) / square if translates and square > 0 else 1.0
    return rotation, scale, b.mean(axis=0) - scale * a.mean(axis=0)


def _angles(a: FloatArray, b: FloatArray) -> FloatArray:
    """Degrees between rotations (F, 3, 3)."""
    chord = np.linalg.norm(a - b, axis=(1, 2)) / (2 * np.sqrt(2))
    angles: FloatArray = np.degrees(2 * np.arcsin(np.minimum(chord, 1)))
    return angles


def _ate(solved: FloatArray, true: FloatArray) -> float:
    """RMS distance of the centres of poses (F, 4, 4) under the similarity that fits them best (Umeyama 1991)."""
    a, b = (poses[:, :3, 3] - poses[:, :3, 3].mean(axis=0) for poses in (solved, true))
    u, values, v = np.linalg.svd(b.T @ a)
    sign = np.array([1, 1, np.linalg.det(u @ v)])
    scale = (values * sign).sum() / (a**2).sum()
    off = scale * a @ (u * sign @ v).T - b
    return float(np.sqrt((off**2).sum(axis=1).mean()))


def _focal_error(solved: Camera, true: Camera) -> float:
    """% of the true focal length, for a solve in pixels of any size of the plate."""
    return 100 * max(
        abs(solved.fx * true.width / solved.width / true.fx - 1),
        abs(solved.fy * true.height / solved.height / true.fy - 1),
    )


def _slip(
    solved: Camera, true: Camera, points: FloatArray, rotation: FloatArray, scale: float, shift: FloatArray | None
) -> FloatArray:
    """(N,) pixels of the plate between where the true and the solved camera see true points (N, 3).

    Without a `shift` the solved camera is taken to be where the true one is, and only its rotation counts.
    """
    if shift is None:
        from_camera = (points - true.world_from_camera[:3, 3]) @ rotation
        in_solve = from_camera + solved.world_from_camera[:3, 3]
    else:
        in_solve = ((points - shift) / scale) @ rotation
    to_plate = np.array([true.width / solved.width, true.height / solved.height])
    off = solved.project(in_solve) * to_plate - true.project(points)
    distance = np.linalg.norm(off, axis=1)
    slip: FloatArray = np.where(np.isfinite(distance), distance, np.inf)
    return slip


def _jitter(
    solved: Mapping[int, Camera],
    true: Mapping[int, Camera],
    frames: Mapping[int, Mapping[str, Any]],
    numbers: list[int],
    alignment: tuple[FloatArray, float, FloatArray | None],
) -> float:
    """RMS of how far the picture at median depth jumps off the mean of the frames before and after, in pixels."""
    rotation, scale, shift = alignment
    shifts = {}  # of the picture, in pixels, by frame
    for number in numbers:
        camera, depth = true[number], frames[number]["median_depth"]
        x, y = (np.linspace(0.1, 0.9, GRID) * side for side in (camera.width, camera.height))
        pixels = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
        pose = camera.world_from_camera
        points = (camera.rays(pixels) * depth) @ pose[:3, :3].T + pose[:3, 3]
        in_solve = (
            (points - pose[:3, 3]) @ rotation + solved[number].world_from_camera[:3, 3]
            if shift is None
            else ((points - shift) / scale) @ rotation
        )
        to_plate = np.array([camera.width / solved[number].width, camera.height / solved[number].height])
        shifts[number] = np.nanmedian(solved[number].project(in_solve) * to_plate - pixels, axis=0)
    triples = [n for n in numbers if n - 1 in shifts and n + 1 in shifts]
    jumps = np.array([shifts[n] - (shifts[n - 1] + shifts[n + 1]) / 2 for n in triples])
    return float(np.sqrt((jumps**2).sum(axis=1).mean())) if len(jumps) else np.nan


def _offset(solved: Mapping[int, Camera], true: Mapping[int, Camera], translates: bool) -> int:
    """The shift in time under which the solve fits the truth best: 1 where frame 6 has the true camera of frame 5."""
    errors = {}
    for offset in sorted(OFFSETS, key=abs):
        numbers = [n for n in solved if n in true and all(n + each in true for each in OFFSETS)]
        solved_poses = _poses(solved, numbers)
        true_poses = _poses(true, [number + offset for number in numbers])
        rotation, scale, shift = _alignment(solved_poses, true_poses, translates)
        off = scale * solved_poses[:, :3, 3] @ rotation.T + shift - true_poses[:, :3, 3]
        angles = _angles(rotation @ solved_poses[:, :3, :3], true_poses[:, :3, :3])
        errors[offset] = float((angles**2).mean()) + (float((off**2).mean()) * 1e4 if translates else 0.0)
    return -min(errors, key=lambda offset: errors[offset])
