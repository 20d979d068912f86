"""[R] Truth with a scanned surface: ETH3D, DTU, Tanks and Temples.

Sources: the benchmarks' own pages and evaluation programs' documentation, for file formats and thresholds.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from ...exchange.solves import colmap, open3d, ply
from ...exchange.solves.solve import Lens, View, pose, pose_from_extrinsics
from ...files import bounded
from ...files.bounded import Damaged
from ...model.arrays import Array, BoolArray, FloatArray
from . import depth_files
from .sequences import listed, numbers
from .truth import METRES, TrueSurface, TrueView, Truth

CUT = "is cut off or damaged; get it again"


def _points(path: Path) -> FloatArray:
    """(N, 3) the points of a PLY. Raises Damaged."""
    points = ply.read(path)
    if points is None:
        raise Damaged("holds no points; get it again")
    return points.positions


# ------------------------------------------------------------------ ETH3D

ETH3D_FOLDERS = ("dslr_calibration_jpg", "dslr_calibration_undistorted")
ETH3D_SCANS = ("dslr_scan_eval", "scan_clean")
ETH3D_THRESHOLD = 0.02  # metres: the tolerance of the benchmark's first table


def is_eth3d(folder: Path) -> bool:
    """Whether a folder is a scene of ETH3D's high-resolution multi-view benchmark."""
    return any((folder / name / "images.txt").is_file() for name in ETH3D_FOLDERS)


def read_eth3d(folder: Path) -> Truth:
    """The photos of a scene of ETH3D, as they were taken and undistorted. Raises Damaged."""
    views = []
    for name in ETH3D_FOLDERS:
        if not (folder / name / "images.txt").is_file():
            continue
        for view in colmap.read(folder / name).views:
            path = folder / "ground_truth_depth" / view.name
            depth = partial(depth_files.raw_floats, path, view.lens.width, view.lens.height)
            views.append(TrueView(view.name, view.world_from_camera, view.lens, depth if path.is_file() else None))
    scans = next((folder / name for name in ETH3D_SCANS if (folder / name / "scan_alignment.mlp").is_file()), None)
    return Truth("ETH3D", views, METRES, None if scans is None else partial(_eth3d_surface, scans))


def _eth3d_surface(folder: Path) -> TrueSurface:
    """The scans that a project of MeshLab lists, each moved by its matrix."""
    data = bounded.content(folder / "scan_alignment.mlp")
    if b"<!ENTITY" in data:
        raise Damaged("declares entities; do not trust it")
    pieces = []
    with bounded.as_damage(CUT):
        for mesh in ElementTree.fromstring(data.replace(b"<!DOCTYPE MeshLabDocument>", b"")).iter("MLMesh"):
            matrix = np.array((mesh.findtext("MLMatrix44") or "").split(), np.float64).reshape(4, 4)
            points = _points(bounded.inside(folder, mesh.attrib["filename"]))
            pieces.append(points @ matrix[:3, :3].T + matrix[:3, 3])
    if not pieces:
        raise Damaged("names no scan; get it again")
    return TrueSurface(np.concatenate(pieces), threshold=ETH3D_THRESHOLD)


# ------------------------------------------------------------------ DTU

DTU_FARTHEST = 20.0  # mm, from which the means leave distances out
DTU_SPACING = 0.2  # mm between the points that are compared
DTU_THRESHOLD = 1.0  # mm: DTU has no F-score; this one is ours
DTU_LIGHTS = ("0", "1", "2", "3", "4", "5", "6", "max")  # in the names of a view's photos


def is_dtu(folder: Path) -> bool:
    """Whether a folder holds cameras as DTU (pos_001.txt) or MVSNet (00000000_cam.txt) writes them."""
    return any(next(folder.glob(pattern), None) is not None for pattern in ("pos_*.txt", "*_cam.txt", "cams/*_cam.txt"))


def read_dtu(folder: Path) -> Truth:
    """The cameras of DTU's robot arm, and the scan stl*.ply where it lies in the folder. Raises Damaged."""
    views = [view for file in listed(folder, "pos_*.txt") for view in _dtu_views(file)]
    for file in () if views else (*listed(folder, "*_cam.txt"), *listed(folder / "cams", "*_cam.txt")):
        views += _mvsnet_views(file)
    scans = listed(folder, "stl*.ply")
    note = (
        "DTU's observability masks are not applied, and cubes of 0.2 mm thin the points: compare these numbers with "
        "each other, not with DTU's tables."
    )
    surface = partial(_dtu_surface, scans[0]) if len(scans) == 1 else None
    return Truth("DTU", views, "mm", surface, [note] if surface else [])


def _dtu_surface(path: Path) -> TrueSurface:
    return TrueSurface(_points(path), threshold=DTU_THRESHOLD, farthest=DTU_FARTHEST, spacing=DTU_SPACING)


def _dtu_views(path: Path) -> list[TrueView]:
    """The view of a projection matrix (3, 4) under its photos' names. The first pixel's centre is at (1, 1)."""
    matrix = numbers(path, 4)
    if len(matrix) != 3:
        raise Damaged(CUT)
    intrinsics, camera_from_world = decomposed(matrix)
    fx, fy, cx, cy = intrinsics[0, 0], intrinsics[1, 1], intrinsics[0, 2] - 0.5, intrinsics[1, 2] - 0.5
    world_from_camera = pose_from_extrinsics(camera_from_world[:, :3], camera_from_world[:, 3])
    lens = Lens(fx, fy, (cx, cy), centred=False)
    return [TrueView(name, world_from_camera, lens) for name in _dtu_names(path.stem.removeprefix("pos_"))]


def _dtu_names(number: str) -> list[str]:
    return [f"rect_{number}_{light}_r5000.png" for light in DTU_LIGHTS]


def decomposed(projection: FloatArray) -> tuple[FloatArray, FloatArray]:
    """K (3, 3) with a positive diagonal and K[2, 2] = 1, and [R | t] (3, 4), whose product is a multiple of
    `projection` (3, 4): the RQ decomposition. Raises Damaged where it is no camera's."""
    left = projection[:, :3]
    if not np.isfinite(projection).all() or abs(np.linalg.det(left)) < 1e-12 * np.abs(left).max() ** 3:
        raise Damaged("is no projection of a camera; get it again")
    projection = projection * np.sign(np.linalg.det(left))
    q, r = np.linalg.qr(projection[::-1, :3].T)  # RQ by QR of the reversed rows
    intrinsics, rotation = r.T[::-1, ::-1], q.T[::-1]
    signs = np.sign(np.diag(intrinsics))
    intrinsics, rotation = intrinsics * signs, rotation * signs[:, None]
    translation = np.linalg.solve(intrinsics, projection[:, 3])
    return intrinsics / intrinsics[2, 2], np.column_stack([rotation, translation])


def _mvsnet_views(path: Path) -> list[TrueView]:
    """The view of a _cam.txt under its photos' names: MVSNet's (00000000.jpg) and DTU's (rect_001_3_r5000.png)."""
    words = bounded.content(path, 1 << 16).decode("ascii", "replace").split()
    with bounded.as_damage(CUT):
        e, k = words.index("extrinsic") + 1, words.index("intrinsic") + 1
        extrinsic = np.array(words[e : e + 16], np.float64).reshape(4, 4)
        intrinsic = np.array(words[k : k + 9], np.float64).reshape(3, 3)
        number = path.name.removesuffix("_cam.txt")
        names = [f"{number}.jpg", *_dtu_names(f"{int(number) + 1:03d}")]
    centre = (intrinsic[0, 2] + 0.5, intrinsic[1, 2] + 0.5)
    lens = Lens(intrinsic[0, 0], intrinsic[1, 1], centre, centred=False)
    matrix = pose_from_extrinsics(extrinsic[:3, :3], extrinsic[:3, 3])
    return [TrueView(name, matrix, lens) for name in names]


# ------------------------------------------------------------------ Tanks and Temples

TANKS_THRESHOLDS = {  # metres, of the training scenes, by the benchmark's evaluation program
    "Barn": 0.01,
    "Caterpillar": 0.005,
    "Church": 0.025,
    "Courthouse": 0.025,
    "Ignatius": 0.003,
    "Meetingroom": 0.01,
    "Truck": 0.005,
}
TANKS_LOG = "_COLMAP_SfM.log"


def is_tanks(folder: Path) -> bool:
    """Whether a folder is a training scene of Tanks and Temples."""
    return len(list(folder.glob(f"*{TANKS_LOG}"))) == 1


def read_tanks(folder: Path) -> Truth:
    """The cameras of a scene of Tanks and Temples, COLMAP's, in the world of its scan. Raises Damaged."""
    log = next(folder.glob(f"*{TANKS_LOG}"))
    scene = log.name.removesuffix(TANKS_LOG)
    alignment = folder / f"{scene}_trans.txt"
    matrix = numbers(alignment, 4)[:4] if alignment.is_file() else np.eye(4)
    views = [_numbered(view, number, matrix) for number, view in enumerate(open3d.read_log(log).views, 1)]
    scan, crop = folder / f"{scene}.ply", folder / f"{scene}.json"
    surface = None
    if alignment.is_file() and scan.is_file() and crop.is_file():
        surface = partial(_tanks_surface, scan, crop, TANKS_THRESHOLDS.get(scene))
    note = "The true cameras of Tanks and Temples are COLMAP's own, aligned with the scan: no judge of COLMAP engines."
    return Truth("Tanks and Temples", views, METRES if alignment.is_file() else "", surface, [note])


def _numbered(view: View, number: int, matrix: FloatArray) -> TrueView:
    """A view of the log in the world into which `matrix` (4, 4), a similarity, takes it."""
    scale = np.cbrt(max(np.linalg.det(matrix[:3, :3]), 0.0))
    if not scale > 0:
        raise Damaged("is mirrored or has no scale; get it again")
    rotation, centre = view.world_from_camera[:3, :3], view.world_from_camera[:3, 3]
    moved = pose(matrix[:3, :3] / scale @ rotation, matrix[:3, :3] @ centre + matrix[:3, 3])
    return TrueView(f"{number:06d}.jpg", moved)


def _tanks_surface(scan: Path, crop: Path, threshold: float | None) -> TrueSurface:
    """The scan inside the benchmark's prism, which Open3D calls a SelectionPolygonVolume."""
    data = bounded.parsed(bounded.content(crop))
    with bounded.as_damage(CUT):
        axis = "XYZ".index(data["orthogonal_axis"].upper())
        low, high = float(data["axis_min"]), float(data["axis_max"])
        corners = np.array(data["bounding_polygon"], np.float64).reshape(-1, 3)
    rest = [k for k in range(3) if k != axis]

    def inside(points: Array) -> BoolArray:
        between = (points[:, axis] >= low) & (points[:, axis] <= high)
        return between & in_polygon(points[:, rest], corners[:, rest])

    surface = TrueSurface(_points(scan), inside, threshold)
    return replace(surface, points=surface.points[inside(surface.points)])


def in_polygon(points: Array, corners: Array) -> BoolArray:
    """(N,) whether points (N, 2) lie in a polygon with `corners` (K, 2): a ray to the right crosses it an odd number of
    times."""
    inside = np.zeros(len(points), bool)
    for (x0, y0), (x1, y1) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        if y0 != y1:
            between = (points[:, 1] >= min(y0, y1)) & (points[:, 1] < max(y0, y1))
            inside ^= between & (points[:, 0] < x0 + (points[:, 1] - y0) * (x1 - x0) / (y1 - y0))
    return inside
