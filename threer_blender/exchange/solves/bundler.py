"""[S] Bundler's bundle.out (v0.3) with its list of photos, and VisualSFM's NVM.

Sources: Bundler's User's Manual, sections 5.4 and 5.6 (a camera looks along -z, y goes up, and the radial terms
distort); VisualSFM's documentation of NVM_V3 (our axes, and one radial term that takes distorted points to ideal ones,
both divided by the focal length). Neither file says how large the photos are: the principal point is their middle.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np

from ...files import bounded
from ...files.bounded import Damaged
from ...model.arrays import Array, FloatArray
from ...model.directions import OPENCV_FROM_OPENGL
from ...model.quaternions import matrices_from_wxyz
from . import lens_models
from .solve import Lens, Points, Solve, View, points, pose, pose_from_extrinsics, unit_quaternion

CAMERA_NUMBERS = 15  # of a camera in bundle.out: focal length, two radial terms, rotation (9), translation (3)
BUNDLER = re.compile(rb"\s*#\s*Bundle file v0\.[0-9]+")
NVM = b"NVM_V3"
LISTS = ("list.txt", "list.rd.txt", "../list.txt", "image_list.txt")  # of the photos, beside bundle.out
CUT = "is cut off, or not what it says it is; get it again"


def read_bundler(path: Path) -> Solve:
    """The cameras and points of bundle.out. Cameras whose focal length is 0 are unregistered. Raises Damaged."""
    tokens = _numbers(bounded.content(path), BUNDLER)
    count, point_count = (int(value) for value in tokens[:2])
    if not 0 <= CAMERA_NUMBERS * count <= len(tokens) or not 0 <= point_count <= len(tokens):
        raise Damaged(CUT)
    rows = tokens[2 : 2 + CAMERA_NUMBERS * count].reshape(count, CAMERA_NUMBERS)
    cloud, extents = _bundler_points(tokens[2 + CAMERA_NUMBERS * count :], point_count, count)
    names, notes = _photos_of(path, count)
    views: list[View] = []
    unregistered, view_of = [], np.full(count + 1, -1, np.int32)  # index -1, no camera, reads the last element: -1
    for number, row in enumerate(rows):
        if not row[0] > 0:
            unregistered.append(names[number])
            continue
        view_of[number] = len(views)
        lens = Lens(row[0], row[0], distortion=lens_models.brown(row[1:3]))
        camera_from_world = OPENCV_FROM_OPENGL[:3, :3] @ np.column_stack([row[3:12].reshape(3, 3), row[12:15]])
        matrix = pose_from_extrinsics(camera_from_world[:, :3], camera_from_world[:, 3])
        views.append(View(names[number], lens, matrix, _extent(extents[number])))
    if cloud is not None:
        cloud = replace(cloud, view=view_of[cloud.view])
    return Solve("Bundler", views, cloud, unregistered=unregistered, notes=notes)


def _numbers(data: bytes, head: re.Pattern[bytes]) -> FloatArray:
    """(N,) all numbers of a file after its beginning, which `head` matches, and outside of comments."""
    begin = head.match(data)
    assert begin is not None
    text = re.sub(rb"#[^\n]*", b"", data[begin.end() :])
    return np.array(text.split(), np.float64)


def _bundler_points(tokens: FloatArray, count: int, cameras: int) -> tuple[Points | None, FloatArray]:
    """The `count` points, each with the number of a camera that saw it as its view, and each camera's extent.

    In `tokens`, a point is its position (3), its colour (3), the length of its track, and four numbers for each camera
    that saw it: the camera, the feature, x and y. The extents (cameras, 2) are the largest coordinates that a camera
    measured from its picture's middle, in pixels.
    """
    rows = np.empty((count, 6))
    owners = np.zeros(count, np.int64)
    lengths = np.empty(count, np.int64)
    extents = np.zeros((cameras, 2))
    offset = 0
    for row in range(count):
        rows[row] = tokens[offset : offset + 6]
        lengths[row] = length = int(tokens[offset + 6])
        track = tokens[offset + 7 : offset + 7 + 4 * length].reshape(length, 4)
        observers = track[:, 0].astype(np.int64)
        if length and not 0 <= observers.min() <= observers.max() < cameras:
            raise Damaged(CUT)
        np.maximum.at(extents, observers, np.abs(track[:, 2:]))
        owners[row] = observers[0] if length else -1
        offset += 7 + 4 * length
    return points(rows[:, :3], rows[:, 3:], owners, lengths), extents


def _extent(largest: Array) -> tuple[int, int]:
    """The width and height that a picture has at least, from the largest coordinates about its middle."""
    return int(2 * np.ceil(largest[0])), int(2 * np.ceil(largest[1]))


def _photos_of(path: Path, count: int) -> tuple[list[str], list[str]]:
    """The names of the cameras' photos, and sentences about them."""
    for name in LISTS:
        listed = path.parent / name
        if listed.is_file():
            lines = [line for line in bounded.content(listed).decode("utf-8", "replace").splitlines() if line.strip()]
            names = [_listed_name(line) for line in lines]
            if len(names) == count:
                return names, []
            return _numbered(count), [f"{listed.name} beside it names {len(names)} photos, not {count}."]
    return _numbered(count), ["No list of its photos (list.txt) lies beside it: its cameras are numbered instead."]


def _listed_name(line: str) -> str:
    """The photo's name in a line of a list, which may go on with a 0 and the focal length in pixels."""
    name, *numbers = line.strip().rsplit(maxsplit=2)
    if len(numbers) == 2 and numbers[0].isdecimal() and re.fullmatch(r"[-+.\deE]+", numbers[1]):
        return name
    return line.strip()


def _numbered(count: int) -> list[str]:
    """Names for cameras whose photos are unknown."""
    return [f"camera {number:04d}" for number in range(count)]


def read_nvm(path: Path) -> Solve:
    """The first model of an NVM file. Raises Damaged."""
    lines = bounded.content(path).decode("utf-8", "replace").splitlines()
    head = lines[0].split()
    shared = head[head.index("FixedK") + 1 :] if "FixedK" in head else []
    rest = (line for line in lines[1:] if line.strip())
    views = [_nvm_view(next(rest), shared) for _ in range(int(next(rest)))]
    if not views:
        raise Damaged("holds no camera; export it again")
    point_count = int(next(rest, "0"))
    rows, owners, lengths = [], [], []
    highest, lowest = np.zeros((len(views), 2)), np.zeros((len(views), 2))
    for _ in range(point_count):
        fields = next(rest).split()
        length = int(fields[6])
        track = np.array(fields[7 : 7 + 4 * length], np.float64).reshape(length, 4)
        observers = track[:, 0].astype(np.int64)
        if length and not 0 <= observers.min() <= observers.max() < len(views):
            raise Damaged(CUT)
        np.maximum.at(highest, observers, track[:, 2:])
        np.minimum.at(lowest, observers, track[:, 2:])
        rows.append(fields[:6])
        owners.append(int(observers[0]) if length else -1)
        lengths.append(length)
    table = np.array(rows, np.float64).reshape(-1, 6)
    cloud = points(table[:, :3], table[:, 3:], np.array(owners, np.int32), np.array(lengths, np.int32))
    return Solve("NVM", _with_extents(views, highest, lowest), cloud)


def _with_extents(views: list[View], highest: FloatArray, lowest: FloatArray) -> list[View]:
    """The views with the width and height that their pictures have at least, from the measurements.

    VisualSFM's measurements count from the picture's middle. Those of other programs count from its corner, and are
    positive.
    """
    centred = lowest.min() < 0
    reached = np.maximum(highest, -lowest) * 2 if centred else highest
    return [
        View(view.name, view.lens, view.world_from_camera, (int(np.ceil(x)), int(np.ceil(y))))
        for view, (x, y) in zip(views, reached, strict=True)
    ]


def _nvm_view(line: str, shared: list[str]) -> View:
    """The view in a line of NVM: name, focal length, quaternion wxyz (world to camera), centre, radial term, 0.

    `shared` are the numbers of the one lens of all photos, empty where each has its own.
    """
    name, *fields = line.rsplit(maxsplit=10)
    values = [float(field) for field in fields]
    if len(values) != 10:
        raise Damaged(CUT)
    lens = Lens(values[0], values[0])
    if shared:
        fx, cx, fy, cy = (float(value) for value in shared[:4])  # in this order
        lens = Lens(fx, fy, (cx, cy), centred=False)
    radial = values[8]
    if radial:
        lens = lens_models.fitted(
            lens,
            "NVM",
            lambda distorted: distorted * (1 + radial * (distorted**2).sum(axis=1, keepdims=True)),
            undistorts=True,
        )
    rotation = matrices_from_wxyz(unit_quaternion(values[1:5])).T
    return View(name.replace('"', " ").strip(), lens, pose(rotation, np.array(values[5:8])))
