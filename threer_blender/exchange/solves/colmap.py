"""[S] COLMAP's models, binary and text: cameras, images and points3D.

Layouts: COLMAP's documentation, "Output format". Axes and pixels are ours. From COLMAP 3.12 on, files `rigs` and
`frames` lie beside these. They are not needed: the poses of the images include them.
"""

from __future__ import annotations

import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from ...files import bounded
from ...files.bounded import Damaged
from ...model.arrays import Array
from ...model.lens import distort
from ...model.quaternions import matrices_from_wxyz
from . import lens_models
from .solve import Lens, Points, Solve, View, points, pose_of_world, unit_quaternion

BINARY, TEXT = ".bin", ".txt"
PLACES = ("", "sparse/0", "sparse", "0", "colmap/sparse/0", "model")  # of a model below a folder
POINT2D = np.dtype([("pixel", "<f8", 2), ("point", "<u8")])
Measured = dict[int, tuple[Array, Array]]  # a photo's number -> pixels (N, 2) and the numbers (N,) of their points
POINT3D = np.dtype(
    [("id", "<u8"), ("position", "<f8", 3), ("color", "u1", 3), ("error", "<f8"), ("length", "<u8"), ("image", "<u4")]
)  # the first fields of a point, with the first photo that saw it
HEAD = POINT3D.itemsize - 4  # bytes before the track
UTF8 = "utf-8"


def folder_of(path: Path) -> Path | None:
    """The folder of the COLMAP model in or around `path`, a file or a folder; None where there is none."""
    base = path if path.is_dir() else path.parent
    if path.is_file() and path.name not in [name + end for name in ("cameras", "images") for end in (BINARY, TEXT)]:
        return None
    return next((base / place for place in PLACES if any(_has(base / place, end) for end in (BINARY, TEXT))), None)


def _has(folder: Path, end: str) -> bool:
    return all((folder / f"{name}{end}").is_file() for name in ("cameras", "images"))


def read(path: Path) -> Solve:
    """The model in or around `path`; the binary one where there is a text model, too. Raises Damaged."""
    folder = folder_of(path)
    if folder is None:
        raise Damaged("holds no COLMAP model; choose the folder with cameras and images, as .bin or .txt")
    end = BINARY if _has(folder, BINARY) else TEXT
    files = {name: folder / f"{name}{end}" for name in ("cameras", "images", "points3D")}
    cameras = (_cameras if end == BINARY else _cameras_text)(files["cameras"])
    measured: Measured = {}
    views = (_images if end == BINARY else _images_text)(files["images"], cameras, measured)
    numbers = {number: index for index, number in enumerate(views)}
    if not files["points3D"].is_file():
        return Solve("COLMAP", list(views.values()))
    cloud, positions = (_points if end == BINARY else _points_text)(files["points3D"], numbers)
    return Solve("COLMAP", [_with_error(view, measured[each], positions) for each, view in views.items()], cloud)


def _with_error(view: View, measured: tuple[Array, Array], positions: tuple[Array, Array]) -> View:
    """The view with its mean reprojection error.

    `measured` are its pixels (N, 2), and the numbers (N,) of their points, 2⁶⁴ - 1 where a pixel has no point.
    `positions` are the sorted numbers (P,) of all points, and their positions (P, 3) in the world.
    """
    (pixels, wanted), (known, places) = measured, positions
    if not len(known) or not len(wanted):
        return view
    index = np.minimum(np.searchsorted(known, wanted), len(known) - 1)
    matched = known[index] == wanted
    local = (places[index[matched]] - view.world_from_camera[:3, 3]) @ view.world_from_camera[:3, :3]
    fx, fy, cx, cy = view.lens.intrinsics(view.lens.width, view.lens.height)
    with np.errstate(all="ignore"):
        ideal = local[:, :2] / np.where(local[:, 2:] > 0, local[:, 2:], np.nan)
        offset = distort(view.lens.distortion, ideal) * (fx, fy) + (cx, cy) - pixels[matched]
        distance = np.linalg.norm(offset, axis=1)
    finite = distance[np.isfinite(distance)]
    return replace(view, error=float(finite.mean())) if len(finite) else view


# ------------------------------------------------------------------ binary


def _cameras(path: Path) -> dict[int, Lens]:
    data = bounded.content(path)
    (count,), offset = struct.unpack_from("<Q", data), 8
    cameras = {}
    for _ in range(min(count, len(data))):
        number, kind, width, height = struct.unpack_from("<IiQQ", data, offset)
        model = lens_models.COLMAP_NUMBERS.get(kind)
        if model is None:
            raise Damaged(f"has a camera of the model number {kind}, which no camera with one lens has")
        focals, names = lens_models.COLMAP_MODELS[model]
        size = focals + 2 + len(names)
        params = struct.unpack_from(f"<{size}d", data, offset + 24)
        cameras[number] = lens_models.colmap_lens(model, width, height, params)
        offset += 24 + 8 * size
    return cameras


def _images(path: Path, cameras: dict[int, Lens], measured: Measured) -> dict[int, View]:
    data = bounded.content(path)
    (count,), offset = struct.unpack_from("<Q", data), 8
    views: dict[int, View] = {}
    for _ in range(min(count, len(data))):
        number, *values, camera = struct.unpack_from("<I7dI", data, offset)
        end = data.index(b"\0", offset + 64)
        _add(views, number, values, cameras, camera, data[offset + 64 : end].decode(UTF8, "replace"))
        (points2d,) = struct.unpack_from("<Q", data, end + 1)
        if points2d > len(data):
            raise EOFError
        rows = np.frombuffer(data, POINT2D, points2d, end + 9)
        measured[number] = rows["pixel"], rows["point"]
        offset = end + 9 + rows.nbytes
    return views


def _add(
    views: dict[int, View], number: int, values: list[float], cameras: dict[int, Lens], camera: int, name: str
) -> None:
    if camera not in cameras:
        raise Damaged(f"has a photo with the camera {camera}, which is not there; export the whole model again")
    if number in views:
        raise Damaged(f"has two photos with the number {number}; export it again")
    rotation = matrices_from_wxyz(unit_quaternion(values[:4]))
    views[number] = View(name, cameras[camera], pose_of_world(rotation, np.array(values[4:])))


def _points(path: Path, numbers: dict[int, int]) -> tuple[Points | None, tuple[Array, Array]]:
    """The points, and their sorted numbers (P,) with the positions (P, 3) in that order.

    `numbers` maps COLMAP's number of an image to the index of its view.
    """
    data = bounded.content(path)
    (count,) = struct.unpack_from("<Q", data)
    if count * HEAD > len(data):
        raise EOFError
    records = np.frombuffer(data + bytes(POINT3D.itemsize), np.uint8)  # zeros after it, where a last point has no track
    rows = sliding_window_view(records, POINT3D.itemsize)[_offsets(data, count)]
    table = rows.view(POINT3D)[:, 0]
    lengths = table["length"].astype(np.int64)
    cloud = points(table["position"], table["color"], _view_indices(table["image"], lengths, numbers), lengths)
    order = np.argsort(table["id"])
    return cloud, (table["id"][order], table["position"][order])


def _offsets(data: bytes, count: int) -> Array:
    """(count,) the byte at which each point begins, which is after the track of the one before."""
    length = struct.Struct("<Q").unpack_from
    offsets, offset = [], 8
    for _ in range(count):
        offsets.append(offset)
        offset += HEAD + 8 * length(data, offset + HEAD - 8)[0]
    if offset > len(data):
        raise EOFError
    return np.array(offsets, np.int64)


def _view_indices(images: Array, lengths: Array, numbers: dict[int, int]) -> Array:
    """The indices of views by the numbers of images, -1 where a track is empty or names an unknown image."""
    known = np.array(sorted(numbers), np.int64)
    if not len(known):
        return np.full(len(images), -1, np.int32)
    indices = np.array([numbers[number] for number in known.tolist()], np.int32)
    index = np.minimum(np.searchsorted(known, images), len(known) - 1)
    return np.where((known[index] == images) & (lengths > 0), indices[index], -1)


# ------------------------------------------------------------------ text


def _lines(path: Path) -> list[str]:
    return bounded.content(path).decode(UTF8, "replace").splitlines()


def _cameras_text(path: Path) -> dict[int, Lens]:
    cameras = {}
    for line in _lines(path):
        if line.strip() and not line.startswith("#"):
            number, model, width, height, *params = line.split()
            lens = lens_models.colmap_lens(model, int(width), int(height), [float(value) for value in params])
            cameras[int(number)] = lens
    return cameras


def _images_text(path: Path, cameras: dict[int, Lens], measured: Measured) -> dict[int, View]:
    views: dict[int, View] = {}
    lines = iter(_lines(path))
    for line in lines:
        if not line.strip() or line.startswith("#"):
            continue
        number, *values, camera, name = line.split(maxsplit=9)  # a name may hold spaces
        _add(views, int(number), [float(value) for value in values], cameras, int(camera), name.strip())
        rows = np.array(next(lines, "").split()).reshape(-1, 3)  # the photo's points; none in an empty line
        wanted = np.array([int(point) for point in rows[:, 2]], np.int64).astype(np.uint64)
        measured[int(number)] = rows[:, :2].astype(np.float64), wanted
    return views


def _points_text(path: Path, numbers: dict[int, int]) -> tuple[Points | None, tuple[Array, Array]]:
    rows, names, images, lengths = [], [], [], []
    for line in _lines(path):
        if not line or line.startswith("#") or line.isspace():
            continue
        fields = line.split()
        rows.append(fields[1:7])
        names.append(int(fields[0]))
        lengths.append((len(fields) - 8) // 2)
        images.append(int(fields[8]) if len(fields) > 8 else 0)
    table = np.array(rows, np.float64).reshape(-1, 6)
    known = np.array(names, np.uint64)
    length = np.array(lengths, np.int64)
    owners = _view_indices(np.array(images, np.int64), length, numbers)
    order = np.argsort(known)
    return points(table[:, :3], table[:, 3:], owners, length), (known[order], table[order, :3])
