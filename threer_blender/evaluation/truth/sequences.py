"""[R] Truth of sequences with a file of poses: TUM RGB-D, 7-Scenes, KITTI odometry, ScanNet.

Sources: the benchmarks' own pages on their file formats. Axes are ours.
"""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

import numpy as np

from ...exchange.solves import lens_models
from ...exchange.solves.solve import Lens, pose, unit_quaternion
from ...files import bounded
from ...files.bounded import Damaged
from ...files.photo_files import MOST_ENTRIES
from ...model.arrays import FloatArray
from ...model.quaternions import matrices_from_wxyz
from . import depth_files
from .truth import METRES, TrueView, Truth

CUT = "is cut off or damaged; get it again"


def numbers(path: Path, columns: int) -> FloatArray:
    """(N, columns) the numbers in a text file whose comments begin with #. Raises Damaged."""
    lines = bounded.content(path).decode("ascii", "replace").splitlines()
    words = [word for line in lines for word in line.partition("#")[0].replace(",", " ").split()]
    with bounded.as_damage(CUT):
        return np.array(words, np.float64).reshape(-1, columns)


def listed(folder: Path, pattern: str) -> list[Path]:
    """The files in a folder whose names match, in their order. Raises Damaged where there are too many."""
    files = sorted(folder.glob(pattern))
    if len(files) > MOST_ENTRIES:
        raise Damaged("holds too many files; choose the folder of one sequence")
    return files


# ------------------------------------------------------------------ TUM RGB-D

TUM_DEPTH = 1 / 5000  # metres per unit of a depth map
TUM_DIFFERENCE = 0.02  # seconds between a photo and its pose or depth, at most, as in the benchmark's associate.py
# The benchmark's lenses: fx, fy, cx, cy (first pixel's centre at 0), k1, k2, p1, p2, k3.
TUM_LENSES = {
    "freiburg1": (517.3, 516.5, 318.6, 255.3, 0.2624, -0.9531, -0.0054, 0.0026, 1.1633),
    "freiburg2": (520.9, 521.0, 325.1, 249.7, 0.2312, -0.7849, -0.0033, -0.0001, 0.9172),
    "freiburg3": (535.4, 539.2, 320.1, 247.6, 0.0, 0.0, 0.0, 0.0, 0.0),
}


def is_tum(folder: Path) -> bool:
    """Whether a folder is a sequence of TUM RGB-D."""
    return all((folder / name).is_file() for name in ("groundtruth.txt", "rgb.txt"))


def read_tum(folder: Path) -> Truth:
    """The photos of a sequence of TUM RGB-D, each with the pose nearest in time. Raises Damaged."""
    table = numbers(folder / "groundtruth.txt", 8)
    table = table[np.argsort(table[:, 0])]
    depths = _timed_files(folder / "depth.txt") if (folder / "depth.txt").is_file() else []
    depth_times = np.array([time for time, _ in depths])
    name = next((each for each in TUM_LENSES if each in folder.resolve().name), None)
    lens = None if name is None else _tum_lens(*TUM_LENSES[name])
    views = []
    for time, file in _timed_files(folder / "rgb.txt"):
        row = _nearest(table[:, 0], time)
        if row is None:
            continue
        x, y, z, w = unit_quaternion(table[row, 4:])
        world_from_camera = pose(matrices_from_wxyz(np.array([w, x, y, z])), table[row, 1:4])
        index = _nearest(depth_times, time)
        path = None if index is None else bounded.inside(folder, depths[index][1])
        depth = partial(depth_files.scaled, path, TUM_DEPTH) if path is not None and path.is_file() else None
        views.append(TrueView(file, world_from_camera, lens, depth))
    return Truth("TUM RGB-D", views, METRES)


def _tum_lens(fx: float, fy: float, cx: float, cy: float, *distortion: float) -> Lens:
    k1, k2, p1, p2, k3 = distortion
    brown = lens_models.brown((k1, k2, k3), p1, p2)
    return Lens(fx, fy, (cx + 0.5, cy + 0.5), centred=False, width=640, height=480, distortion=brown)


def _timed_files(path: Path) -> list[tuple[float, str]]:
    """The times and the files that a list names."""
    rows = []
    for line in bounded.content(path).decode("utf-8", "replace").splitlines():
        words = line.partition("#")[0].split()
        if len(words) >= 2:
            with bounded.as_damage(CUT):
                rows.append((float(words[0]), words[1]))
    return rows


def _nearest(times: FloatArray, time: float) -> int | None:
    if not len(times):
        return None
    index = int(np.abs(times - time).argmin())
    return index if abs(times[index] - time) <= TUM_DIFFERENCE else None


# ------------------------------------------------------------------ 7-Scenes

SEVEN_FOCAL, SEVEN_SIZE = 585.0, (640, 480)  # pixels, by the benchmark's page
SEVEN_NONE = 65535  # of a depth map


def is_seven_scenes(folder: Path) -> bool:
    """Whether a folder is a sequence of 7-Scenes."""
    return next(folder.glob("frame-*.pose.txt"), None) is not None


def read_seven_scenes(folder: Path) -> Truth:
    """The frames of a sequence of 7-Scenes. Raises Damaged."""
    width, height = SEVEN_SIZE
    lens = Lens(SEVEN_FOCAL, SEVEN_FOCAL, width=width, height=height)
    views = []
    for file in listed(folder, "frame-*.pose.txt"):
        stem = file.name.removesuffix(".pose.txt")
        matrix = numbers(file, 4)[:4]
        if not np.isfinite(matrix).all():
            continue
        path = folder / f"{stem}.depth.png"
        depth = partial(_depth_from_millimetres, path, SEVEN_NONE) if path.is_file() else None
        views.append(TrueView(f"{stem}.color.png", pose(matrix[:3, :3], matrix[:3, 3]), lens, depth))
    note = "7-Scenes' depth is its depth camera's, a few pixels off the photos; its lens is the nominal one."
    return Truth("7-Scenes", views, METRES, notes=[note])


def _depth_from_millimetres(path: Path, none: int = 0) -> FloatArray:
    """(H, W) the depth in metres from a PNG of millimetres; 0 where the number is `none` or SEVEN_NONE."""
    depth = depth_files.scaled(path, 0.001, none)
    return np.where(depth < SEVEN_NONE * 0.001, depth, 0)


# ------------------------------------------------------------------ KITTI odometry


def _kitti_poses(folder: Path) -> Path | None:
    """The file of poses of the sequence in a folder: `poses/07.txt` for `sequences/07`, or one in the folder."""
    name = f"{folder.resolve().name}.txt"
    places = (folder.resolve().parent.parent / "poses" / name, folder / name, folder / "poses.txt")
    return next((place for place in places if place.is_file()), None)


def is_kitti(folder: Path) -> bool:
    """Whether a folder is a sequence of KITTI's odometry benchmark, with its poses."""
    return (folder / "calib.txt").is_file() and _kitti_poses(folder) is not None


def read_kitti(folder: Path) -> Truth:
    """The frames of a sequence of KITTI's odometry benchmark, for each of its cameras. Raises Damaged."""
    poses = _kitti_poses(folder)
    assert poses is not None
    projections = _kitti_projections(folder / "calib.txt")
    present = [camera for camera in projections if (folder / f"image_{camera}").is_dir()]
    views = []
    for camera in present or [min(projections, default=0)]:
        if camera not in projections:
            raise Damaged("has no projection in its calib.txt; get it again")
        matrix = projections[camera]
        offset = np.linalg.solve(matrix[:, :3], matrix[:, 3])  # of camera 0's centre, in this camera's frame
        lens = Lens(matrix[0, 0], matrix[1, 1], (matrix[0, 2] + 0.5, matrix[1, 2] + 0.5), centred=False)
        for number, row in enumerate(numbers(poses, 12)):
            world_from_first = row.reshape(3, 4)
            rotation = world_from_first[:, :3]
            views.append(
                TrueView(
                    f"image_{camera}/{number:06d}.png", pose(rotation, world_from_first[:, 3] - rotation @ offset), lens
                )
            )
    return Truth("KITTI odometry", views, METRES)


def _kitti_projections(path: Path) -> dict[int, FloatArray]:
    """The number of a camera -> its matrix (3, 4)."""
    text = bounded.content(path).decode("ascii", "replace")
    with bounded.as_damage(CUT):
        return {
            int(number): np.array(row.split(), np.float64).reshape(3, 4)
            for number, row in re.findall(r"^P(\d):\s*(.+)$", text, re.MULTILINE)
        }


# ------------------------------------------------------------------ ScanNet


def is_scannet(folder: Path) -> bool:
    """Whether a folder is a scan of ScanNet, as its SensReader exports it."""
    return (folder / "pose").is_dir() and (folder / "intrinsic" / "intrinsic_color.txt").is_file()


def read_scannet(folder: Path) -> Truth:
    """The frames of a scan of ScanNet; those without a pose are left out. Raises Damaged."""
    k = numbers(folder / "intrinsic" / "intrinsic_color.txt", 4)
    lens = Lens(k[0, 0], k[1, 1], (k[0, 2] + 0.5, k[1, 2] + 0.5), centred=False)
    views = []
    for file in listed(folder / "pose", "*.txt"):
        matrix = numbers(file, 4)[:4]
        if not np.isfinite(matrix).all():
            continue
        path = folder / "depth" / f"{file.stem}.png"
        depth = partial(_depth_from_millimetres, path) if path.is_file() else None
        views.append(TrueView(f"color/{file.stem}.jpg", pose(matrix[:3, :3], matrix[:3, 3]), lens, depth))
    return Truth("ScanNet", views, METRES)
