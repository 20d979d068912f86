"""[B] Places of an object's points: in its own axes, in Blender's world, and in a camera's picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import bpy
import numpy as np

from ..model.arrays import Array, BoolArray, FloatArray
from ..model.errors import UserError
from . import cameras

CHUNK = 1 << 20  # points that are projected at a time
IN_A_CELL = 4.0  # points, on average, in a cell of the picture in which the nearest surface is looked for
MOST_CELLS = 1024  # along the picture's longer side
SURFACE = 0.05  # of its depth: points that are no farther behind the nearest one of their cell are on its surface


def local(data: Any) -> Array:
    """(N, 3) float32 the points of a geometry in its own axes; none where it has no positions."""
    attribute = data.attributes.get("position")
    count = 0 if attribute is None else len(attribute.data)
    places = np.empty((count, 3), np.float32)
    if count:
        attribute.data.foreach_get("vector", places.reshape(-1))
    return places


def positions(obj: bpy.types.Object) -> Array:
    """(N, 3) float32 the points of an object in Blender's world."""
    matrix = np.array(obj.matrix_world, np.float32)
    places: Array = local(obj.data) @ matrix[:3, :3].T + matrix[:3, 3]
    return places


class PictureView(NamedTuple):
    """A solved camera as plain numbers, for threads: `camera_from_world` (4, 4) in Blender's axes, focal length, width,
    height and principal point, in units of a pixel's width."""

    camera_from_world: Array
    focal: float
    width: float
    height: float
    centre_x: float
    centre_y: float


def view(obj: bpy.types.Object) -> PictureView:
    """The view of a solved camera. Raises UserError where it is none any more, or sees all around."""
    if obj.data.type != "PERSP":
        raise UserError(f"{obj.name} sees all around: choose a camera of a photo.")
    keys = (cameras.WIDTH, cameras.HEIGHT, cameras.PIXEL_ASPECT)
    width, height, aspect = (cameras.solved_number(obj, key) for key in keys)
    height *= aspect
    data, horizontal = obj.data, obj.data.sensor_fit == "HORIZONTAL"
    fitted = width if horizontal else height
    focal = data.lens * fitted / (data.sensor_width if horizontal else data.sensor_height)
    matrix = np.array(obj.matrix_world.normalized().inverted(), np.float32)
    return PictureView(
        matrix, focal, width, height, width / 2 - data.shift_x * fitted, height / 2 + data.shift_y * fitted
    )


def projected(camera: PictureView, places: Array) -> tuple[Array, Array]:
    """Shares (N, 2) of the picture's width from the left and height from the top, and depths (N,), of `places` (N, 3).

    Where a depth is not above 0, the shares mean nothing.
    """
    matrix = camera.camera_from_world
    local_places = places @ matrix[:3, :3].T + matrix[:3, 3]
    depths: Array = -local_places[:, 2]
    with np.errstate(divide="ignore", invalid="ignore"):
        x = (local_places[:, 0] / depths * camera.focal + camera.centre_x) / camera.width
        y = (-local_places[:, 1] / depths * camera.focal + camera.centre_y) / camera.height
    return np.stack([x, y], axis=1), depths


def visible(camera: PictureView, places: Array, counted: BoolArray) -> BoolArray:
    """(N,) the points `places` (N, 3) that a camera sees, behind none of those that are `counted` (N,).

    In each cell of a grid over the picture, the points near the nearest one are visible.
    """
    shares, depths = projected(camera, places)
    with np.errstate(invalid="ignore"):
        index = np.flatnonzero((depths > 0) & (shares >= 0).all(1) & (shares < 1).all(1) & counted)
    result = np.zeros(len(places), bool)
    if not len(index):
        return result
    side = int(np.clip(np.sqrt(len(index) / IN_A_CELL), 1, MOST_CELLS))
    cells = (shares[index, 1] * side).astype(np.int64) * side + (shares[index, 0] * side).astype(np.int64)
    nearest = np.full(side * side, np.inf, np.float32)
    order = np.argsort(-depths[index])  # the nearest of a cell is written last
    nearest[cells[order]] = depths[index][order]
    result[index] = depths[index] <= nearest[cells] * (1 + SURFACE)
    return result


def in_lasso(
    places: Array, perspective: FloatArray, size: tuple[int, int], outline: Sequence[Sequence[float]]
) -> BoolArray:
    """(N,) the points `places` (N, 3), in Blender's world, that are within an `outline` drawn over a region.

    `perspective` and `size` are as in `picking.pick`; the outline's places are pixels from the lower left corner.
    """
    area = _area(np.asarray(outline, np.float64).reshape(-1, 2), size)
    to_clip = np.asarray(perspective, np.float32)
    inside = np.zeros(len(places), bool)
    for start in range(0, len(places), CHUNK):
        # Columns by themselves are several times as fast as rows of two.
        clip = to_clip[:, :3] @ places[start : start + CHUNK].T + to_clip[:, 3:]
        with np.errstate(divide="ignore", invalid="ignore"):
            x, y = ((clip[axis] / clip[3] + 1) * np.float32(size[axis] / 2) for axis in (0, 1))
            there = np.flatnonzero((clip[3] > 0) & (x >= 0) & (x < size[0]) & (y >= 0) & (y < size[1]))
        inside[start + there] = area[y[there].astype(np.int64), x[there].astype(np.int64)]
    return inside


def _area(outline: FloatArray, size: tuple[int, int]) -> BoolArray:
    """(height, width) the pixels whose centres are within a closed outline, by the even-odd rule."""
    width, height = size
    area = np.zeros((height, width), bool)
    ends = np.roll(outline, -1, axis=0)
    for row in range(max(0, int(outline[:, 1].min(initial=0))), min(height, int(outline[:, 1].max(initial=0)) + 1)):
        y = row + 0.5
        crossing = (outline[:, 1] <= y) != (ends[:, 1] <= y)
        start, end = outline[crossing], ends[crossing]
        x = np.sort(start[:, 0] + (y - start[:, 1]) / (end[:, 1] - start[:, 1]) * (end[:, 0] - start[:, 0]))
        for left, right in zip(x[::2], x[1::2], strict=False):
            area[row, max(0, round(left)) : max(0, round(right))] = True
    return area
