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
from .solve import Lens, Points, Solve, View, points, pose_from_extrinsics, unit_quaternion

BINARY, TEXT = ".bin", ".txt"
PLACES = ("", "sparse/0", "sparse", "0", "colmap/sparse/0", "model")  # of a model below a folder
POINT2D = np.dtype([("pixel", "<f8", 2), ("point", "<u8")])
# An image's id -> pixels (N, 2), and the ids (N,) of their points, which are 2⁶⁴ - 1 where a pixel has no point.
Measured = dict[int, tuple[Array, Array]]
# The fields of a point up to the length of its track, and the first image of the track.
POINT3D = np.dtype(
    [("id", "<u8"), ("position", "<f8", 3), ("color", "u1", 3), ("error", "<f8"), ("length", "<u8"), ("image", "<u4")]
)
HEAD = POINT3D.itemsize - 4  # bytes before the track
TRACK_ELEMENT = 8  # bytes: an image's id, and the index of a pixel in it
IMAGE_HEAD = 64  # bytes of an image before its name: id, quaternion, translation, the camera's id
CAMERA_HEAD = 24  # bytes of a camera before its parameters: id, model, width, height
UTF8 = "utf-8"


def folder_of(path: Path) -> Path | None:
    """The folder of the COLMAP model in or around `path`, a file or a folder; None where there is none."""
    base = path if path.is_dir() else path.parent
    if path.is_file() and path.name not in [
        name + ending for name in ("cameras", "images") for ending in (BINARY, TEXT)
    ]:
        return None
    return next((base / place for place in PLACES if any(_has(base / place, each) for each in (BINARY, TEXT))), None)


def _has(folder: Path, ending: str) -> bool:
    """Whether a folder holds a model, BINARY or TEXT by its `ending`."""
    return all((folder / f"{name}{ending}").is_file() for name in ("cameras", "images"))


def read(path: Path) -> Solve:
    """The model in or around `path`; the binary one where there is a text model, too. Raises Damaged."""
    folder = folder_of(path)
    if folder is None:
        raise Damaged("holds no COLMAP model; choose the folder with cameras and images, as .bin or .txt")
    binary = _has(folder, BINARY)
    files = {name: folder / f"{name}{BINARY if binary else TEXT}" for name in ("cameras", "images", "points3D")}
    cameras = (_cameras if binary else _cameras_text)(files["cameras"])
    measured: Measured = {}
    views = (_images if binary else _images_text)(files["images"], cameras, measured)
    view_of = {image: index for index, image in enumerate(views)}
    if not files["points3D"].is_file():
        return Solve("COLMAP", list(views.values()))
    cloud, positions = (_points if binary else _points_text)(files["points3D"], view_of)
    return Solve("COLMAP", [_with_error(view, measured[image], positions) for image, view in views.items()], cloud)


def _with_error(view: View, measured: tuple[Array, Array], positions: tuple[Array, Array]) -> View:
    """The view with its mean reprojection error.

    `measured` are its pixels and the ids of their points, as in Measured. `positions` are the sorted ids (P,) of all
    points, and their positions (P, 3) in the world.
    """
    (pixels, pixel_ids), (point_ids, places) = measured, positions
    if not len(point_ids) or not len(pixel_ids):
        return view
    index = np.minimum(np.searchsorted(point_ids, pixel_ids), len(point_ids) - 1)
    matched = point_ids[index] == pixel_ids
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
    """Id of a camera -> its lens."""
    data = bounded.content(path)
    (count,), offset = struct.unpack_from("<Q", data), 8
    cameras = {}
    for _ in range(min(count, len(data))):
        camera, kind, width, height = struct.unpack_from("<IiQQ", data, offset)
        model = lens_models.COLMAP_NUMBERS.get(kind)
        if model is None:
            raise Damaged(f"has a camera of the model number {kind}, which no camera with one lens has")
        focals, names = lens_models.COLMAP_MODELS[model]
        size = focals + 2 + len(names)
        params = struct.unpack_from(f"<{size}d", data, offset + CAMERA_HEAD)
        cameras[camera] = lens_models.colmap_lens(model, width, height, params)
        offset += CAMERA_HEAD + 8 * size
    return cameras


def _images(path: Path, cameras: dict[int, Lens], measured: Measured) -> dict[int, View]:
    """Id of an image -> its view. Adds the pixels of each image to `measured`."""
    data = bounded.content(path)
    (count,), offset = struct.unpack_from("<Q", data), 8
    views: dict[int, View] = {}
    for _ in range(min(count, len(data))):
        image, *pose, camera = struct.unpack_from("<I7dI", data, offset)
        end = data.index(b"\0", offset + IMAGE_HEAD)  # of the name
        _add(views, image, pose, cameras, camera, data[offset + IMAGE_HEAD : end].decode(UTF8, "replace"))
        (pixel_count,) = struct.unpack_from("<Q", data, end + 1)
        if pixel_count > len(data):
            raise EOFError
        rows = np.frombuffer(data, POINT2D, pixel_count, end + 9)
        measured[image] = rows["pixel"], rows["point"]
        offset = end + 9 + rows.nbytes
    return views


def _add(
    views: dict[int, View], image: int, pose: list[float], cameras: dict[int, Lens], camera: int, name: str
) -> None:
    """Adds the view of an image. `pose` is a quaternion wxyz and a translation, which take the world to the camera."""
    if camera not in cameras:
        raise Damaged(f"has a photo with the camera {camera}, which is not there; export the whole model again")
    if image in views:
        raise Damaged(f"has two photos with the number {image}; export it again")
    rotation = matrices_from_wxyz(unit_quaternion(pose[:4]))
    views[image] = View(name, cameras[camera], pose_from_extrinsics(rotation, np.array(pose[4:])))


def _points(path: Path, view_of: dict[int, int]) -> tuple[Points | None, tuple[Array, Array]]:
    """The points, and their sorted ids (P,) with the positions (P, 3) in that order.

    `view_of` maps the id of an image to the index of its view.
    """
    data = bounded.content(path)
    (count,) = struct.unpack_from("<Q", data)
    if count * HEAD > len(data):
        raise EOFError
    records = np.frombuffer(data + bytes(POINT3D.itemsize), np.uint8)  # zeros after it, where a last point has no track
    rows = sliding_window_view(records, POINT3D.itemsize)[_offsets(data, count)]
    table = rows.view(POINT3D)[:, 0]
    lengths = table["length"].astype(np.int64)
    cloud = points(table["position"], table["color"], _view_indices(table["image"], lengths, view_of), lengths)
    order = np.argsort(table["id"])
    return cloud, (table["id"][order], table["position"][order])


def _offsets(data: bytes, count: int) -> Array:
    """(count,) the byte at which each point begins, which is after the track of the one before."""
    length = struct.Struct("<Q").unpack_from
    offsets, offset = [], 8
    for _ in range(count):
        offsets.append(offset)
        offset += HEAD + TRACK_ELEMENT * length(data, offset + HEAD - 8)[0]
    if offset > len(data):
        raise EOFError
    return np.array(offsets, np.int64)


def _view_indices(images: Array, lengths: Array, view_of: dict[int, int]) -> Array:
    """(P,) the indices of the views of `images` (P,), the first ones of tracks with these `lengths` (P,).

    An index is -1 where the track is empty or names an unknown image.
    """
    known = np.array(sorted(view_of), np.int64)
    if not len(known):
        return np.full(len(images), -1, np.int32)
    indices = np.array([view_of[image] for image in known.tolist()], np.int32)
    index = np.minimum(np.searchsorted(known, images), len(known) - 1)
    return np.where((known[index] == images) & (lengths > 0), indices[index], -1)


# ------------------------------------------------------------------ text


def _lines(path: Path) -> list[str]:
    return bounded.content(path).decode(UTF8, "replace").splitlines()


def _cameras_text(path: Path) -> dict[int, Lens]:
    """As `_cameras`. A line is: id, model, width, height, parameters."""
    cameras = {}
    for line in _lines(path):
        if line.strip() and not line.startswith("#"):
            camera, model, width, height, *params = line.split()
            lens = lens_models.colmap_lens(model, int(width), int(height), [float(value) for value in params])
            cameras[int(camera)] = lens
    return cameras


def _images_text(path: Path, cameras: dict[int, Lens], measured: Measured) -> dict[int, View]:
    """As `_images`. Each image has two lines: its pose, camera and name, then its pixels."""
    views: dict[int, View] = {}
    lines = iter(_lines(path))
    for line in lines:
        if not line.strip() or line.startswith("#"):
            continue
        image, *pose, camera, name = line.split(maxsplit=9)  # a name may hold spaces
        _add(views, int(image), [float(value) for value in pose], cameras, int(camera), name.strip())
        rows = np.array(next(lines, "").split()).reshape(-1, 3)  # x, y, id of the point; none in an empty line
        ids = np.array([int(point) for point in rows[:, 2]], np.int64).astype(np.uint64)  # -1, no point, is 2⁶⁴ - 1
        measured[int(image)] = rows[:, :2].astype(np.float64), ids
    return views


def _points_text(path: Path, view_of: dict[int, int]) -> tuple[Points | None, tuple[Array, Array]]:
    """As `_points`. A line is: id, position (3), colour (3), error, and for each image of the track two numbers."""
    ids, rows, images, lengths = [], [], [], []
    for line in _lines(path):
        if not line or line.startswith("#") or line.isspace():
            continue
        fields = line.split()
        rows.append(fields[1:7])
        ids.append(int(fields[0]))
        lengths.append((len(fields) - 8) // 2)
        images.append(int(fields[8]) if len(fields) > 8 else 0)
    table = np.array(rows, np.float64).reshape(-1, 6)
    point_ids = np.array(ids, np.uint64)
    counts = np.array(lengths, np.int64)
    owners = _view_indices(np.array(images, np.int64), counts, view_of)
    order = np.argsort(point_ids)
    return points(table[:, :3], table[:, 3:], owners, counts), (point_ids[order], table[order, :3])
