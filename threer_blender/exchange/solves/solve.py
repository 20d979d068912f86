"""[S] A solve as the readers of other programs' files return it: views with their lenses, and points.

Its conventions are ours (`model/reconstruction.py`). Every reader converts its file's axes, in one place.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, field, replace

import numpy as np

from ...files.bounded import Damaged
from ...model.arrays import Array, FloatArray
from ...model.directions import OPENCV_FROM_OPENGL
from ...model.lens import NO_DISTORTION, Distortion

LARGEST_SIDE = 10**6  # pixels
PIXEL, SIDE, WIDTH = "pixel", "larger side", "width"  # the units of a Lens: the last two are the picture's
ROWS = 1 << 15  # points that are looked at together, so few that they stay in the processor's cache
RIGID_WITHIN = 1e-3  # the largest deviation of Rᵀ R from the identity with which a matrix counts as a rotation


@dataclass(frozen=True)
class Lens:
    """The intrinsics as a file gives them.

    `width` and `height` are 0 where the file does not say them; then the lens is for pictures of any size. The focal
    lengths and the principal point are in the `unit` PIXEL, SIDE (the picture's larger side) or WIDTH. `centre` is the
    principal point from the picture's top left corner, or from its middle where it is `centred`. `note` is about a
    distortion that was fitted. Raises Damaged where no camera has such numbers.
    """

    focal_x: float
    focal_y: float
    centre: tuple[float, float] = (0.0, 0.0)
    _: KW_ONLY
    centred: bool = True
    unit: str = PIXEL
    width: int = 0
    height: int = 0
    distortion: Distortion = NO_DISTORTION
    note: str = ""

    @classmethod
    def from_matrix(cls, k: Array, width: int, height: int, distortion: Distortion = NO_DISTORTION) -> Lens:
        """The lens of a matrix `k` (3, 3) that has integer numbers at the middles of pixels."""
        centre = float(k[0, 2]) + 0.5, float(k[1, 2]) + 0.5
        return cls(
            float(k[0, 0]), float(k[1, 1]), centre,
            centred=False, width=width, height=height, distortion=distortion,
        )  # fmt: skip

    def __post_init__(self) -> None:
        sides = (self.width, self.height)
        if not all(0 <= side <= LARGEST_SIDE for side in sides) or (0 in sides) != (sides == (0, 0)):
            raise Damaged(f"gives a picture {self.width} × {self.height} pixels, which no camera has")
        values = (self.focal_x, self.focal_y, *self.centre, *self.distortion.params)
        if not (all(map(math.isfinite, values)) and self.focal_x > 0 and self.focal_y > 0):
            raise Damaged("has a lens whose numbers no lens has; export it again")

    def intrinsics(self, width: int, height: int) -> tuple[float, float, float, float]:
        """fx, fy, cx, cy in pixels of a picture of this size, which may be a copy of the solved one in another size."""
        if self.unit != PIXEL:
            across = down = float(width if self.unit == WIDTH else max(width, height))
        else:
            across, down = width / (self.width or width), height / (self.height or height)
        x, y = self.centre[0] * across, self.centre[1] * down
        if self.centred:
            x, y = x + width / 2, y + height / 2
        return self.focal_x * across, self.focal_y * down, x, y


@dataclass(frozen=True)
class View:
    """A solved photo: its file's name or path as the solve has it, its lens, and `world_from_camera` (4, 4).

    `extent` is the width and height in pixels that the picture has at least, for a lens without a size. `error` is the
    mean reprojection error of its points, in pixels of the solved picture, None where the file does not tell.
    """

    name: str
    lens: Lens
    world_from_camera: FloatArray
    extent: tuple[int, int] = (0, 0)
    error: float | None = None


@dataclass(frozen=True)
class Points:
    """Points. `positions` (N, 3) float64 are in the world of the views. `colors` (N, 3) uint8 are grey by default.

    `view` (N,) is the index of a view that saw the point, -1 where the file does not say. `observers` (N,) counts the
    views that saw it.
    """

    positions: FloatArray
    colors: Array
    view: Array
    observers: Array

    def __len__(self) -> int:
        return len(self.positions)


@dataclass(frozen=True)
class Solve:
    """The content of a file.

    `program` is the name of the program or format. `metric` is true where its unit is the metre. `unregistered` are the
    names of photos without a camera. `notes` are sentences for the artist.
    """

    program: str
    views: list[View]
    points: Points | None = None
    metric: bool = False
    unregistered: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def points(
    positions: Array, colors: Array | None = None, view: Array | None = None, observers: Array | None = None
) -> Points | None:
    """Points from arrays, without those whose positions are not finite; None where none are left.

    The arrays are as in Points, but colours of another type are rounded and clipped to uint8. By default points are
    grey, no view is known to have seen them, and each counts as seen once.
    """
    positions = np.asarray(positions, np.float64).reshape(-1, 3)
    count = len(positions)
    colors = np.full((count, 3), 128, np.uint8) if colors is None else np.asarray(colors)
    view = np.full(count, -1, np.int32) if view is None else np.asarray(view, np.int32)
    observers = np.ones(count, np.int32) if observers is None else np.asarray(observers, np.int32)
    all_finite = all(np.isfinite(positions[start : start + ROWS].reshape(-1)).all() for start in range(0, count, ROWS))
    if colors.dtype != np.uint8:
        colors = np.clip(np.nan_to_num(colors.astype(np.float64)), 0, 255).round().astype(np.uint8)
    if not all_finite:
        finite = np.isfinite(positions).all(axis=1)
        positions, colors, view, observers = (each[finite] for each in (positions, colors, view, observers))
    return Points(positions, colors, view, observers) if len(positions) else None


def pose(rotation: Array, centre: Array) -> FloatArray:
    """`world_from_camera` (4, 4) from its `rotation` (3, 3) and from the camera's `centre` (3,) in the world.

    Raises Damaged where `rotation` is no rotation, as where it mirrors or scales.
    """
    rotation, centre = np.asarray(rotation, np.float64).reshape(3, 3), np.asarray(centre, np.float64).reshape(3)
    if not (np.isfinite(rotation).all() and np.isfinite(centre).all()):
        raise Damaged("has a camera whose pose holds no numbers; export it again")
    if np.abs(rotation.T @ rotation - np.eye(3)).max() > RIGID_WITHIN:
        raise Damaged("has a camera whose rotation is none; export it again")
    if np.linalg.det(rotation) < 0:
        raise Damaged("has a camera that is mirrored: its axes are left-handed; export it with right-handed axes")
    left, _, right = np.linalg.svd(rotation)
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = left @ right, centre
    return matrix


def pose_from_extrinsics(rotation: Array, translation: Array) -> FloatArray:
    """`world_from_camera` (4, 4) from `rotation` (3, 3) and `translation` (3,), which take the world to the camera.

    Raises as `pose` does.
    """
    world_from_camera = np.asarray(rotation, np.float64).reshape(3, 3).T
    with np.errstate(all="ignore"):
        centre = -world_from_camera @ np.asarray(translation, np.float64).reshape(3)
    return pose(world_from_camera, centre)


def pose_from_opengl(matrix: Array) -> FloatArray:
    """`world_from_camera` (4, 4) from the matrix, (3, 4) or (4, 4), of a camera with OpenGL's axes.

    These are x right, y up, z backwards. A scale within the rotation, as in instant-ngp's files, is taken out. Raises
    as `pose` does.
    """
    matrix = np.asarray(matrix, np.float64)
    if matrix.shape not in ((3, 4), (4, 4)):
        raise Damaged("has a camera whose matrix is not 4 × 4; export it again")
    rotation = matrix[:3, :3]
    with np.errstate(all="ignore"):
        scale = np.cbrt(np.linalg.det(rotation)) if np.isfinite(rotation).all() else 0.0
    rotation = rotation / scale if scale > 0 else rotation
    return pose(rotation @ OPENCV_FROM_OPENGL[:3, :3], matrix[:3, 3])


def unit_quaternion(values: Sequence[float] | Array) -> FloatArray:
    """(4,) the quaternion scaled to length 1. Raises Damaged where its length is 0 or extreme."""
    quaternion = np.asarray(values, np.float64)
    length = float(np.linalg.norm(quaternion))
    if not 1e-6 < length < 1e6:
        raise Damaged("has a camera whose rotation is none; export it again")
    unit: FloatArray = quaternion / length
    return unit


def rotation_from_vector(vector: Sequence[float]) -> FloatArray:
    """(3, 3) the rotation about `vector` (3,) by its length in radians: Rodrigues' formula. Raises Damaged."""
    axis = np.asarray(vector, np.float64).reshape(3)
    angle = float(np.linalg.norm(axis))
    if not math.isfinite(angle):
        raise Damaged("has a camera whose rotation is none; export it again")
    if angle < 1e-12:
        return np.eye(3)
    x, y, z = axis / angle
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    matrix: FloatArray = np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * (cross @ cross)
    return matrix


def relative_to(origin: FloatArray, solve: Solve) -> Solve:
    """The solve with `origin` (3,) subtracted from all positions."""
    views = []
    for view in solve.views:
        matrix = view.world_from_camera.copy()
        matrix[:3, 3] -= origin
        views.append(replace(view, world_from_camera=matrix))
    cloud = None if solve.points is None else replace(solve.points, positions=solve.points.positions - origin)
    return replace(solve, views=views, points=cloud)
