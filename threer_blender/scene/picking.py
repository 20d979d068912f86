"""[B] Picking with the mouse: the visible points of a result, and the point among them that a click means."""

from __future__ import annotations

from collections.abc import Sequence

import bpy
import numpy as np

from ..model.arrays import Array, FloatArray
from . import identity, look, masks, picture_points, points
from .splats.splats import is_splats, opacities

RADIUS = 14.0  # pixels around the mouse, at Blender's interface scale 1
CLOSE = 1 / 3  # of the radius: where points are that near to the mouse, those farther from it do not count
# The largest gap in depth within a surface, as a share of the frontmost point's depth or an orthographic view's width.
SURFACE = 0.03
CHUNK = 1 << 20  # points that are projected at a time
OPAQUE = 0.3  # the least opacity of a splat that is picked


def pick(places: Array, perspective: FloatArray, size: tuple[int, int], mouse: Sequence[float], radius: float) -> int:
    """The index of the point among `places` (N, 3), in Blender's world, that a click means; -1 where there is none.

    `perspective` (4, 4) is the region's perspective matrix: clip space from Blender's world. `mouse` and `radius` are
    in pixels of a region of this `size` (width, height), from its lower left corner.

    The points within a third of the radius count, or where there are none, those within the radius. Of these, only the
    frontmost surface is kept: the points in front of the first gap in depth. So a floor that is seen at a low angle is
    one surface, however deep. Of the points that are left, the one nearest to the mouse in the picture is picked.
    """
    to_clip = np.asarray(perspective, np.float32)
    is_perspective = bool(to_clip[3, :3].any())
    row = to_clip[3] if is_perspective else to_clip[2] / np.linalg.norm(to_clip[2, :3])  # depth in world units
    candidates: list[tuple[Array, Array, Array]] = []
    for start in range(0, len(places), CHUNK):
        part = np.asarray(places[start : start + CHUNK], np.float32)
        clip = part @ to_clip[:, :3].T + to_clip[:, 3]
        with np.errstate(divide="ignore", invalid="ignore"):
            distance = np.hypot(*((clip[:, :2] / clip[:, 3:] + 1) / 2 * size - mouse).T)
            inside = np.flatnonzero((clip[:, 3] > 0) & (np.abs(clip[:, 2]) <= clip[:, 3]) & (distance <= radius))
        candidates.append((inside + start, distance[inside], part[inside] @ row[:3] + row[3]))
    if not any(len(index) for index, _, _ in candidates):
        return -1
    index, distance, depth = (np.concatenate(each) for each in zip(*candidates, strict=True))
    if (close := distance <= CLOSE * radius).any():
        index, distance, depth = index[close], distance[close], depth[close]
    depths = np.sort(depth)
    widest = SURFACE * (float(depths[0]) if is_perspective else 2 / float(np.linalg.norm(to_clip[0, :3])))
    back = depths[np.append(np.diff(depths) > widest, True).argmax()]
    return int(index[np.where(depth > back, np.inf, distance).argmin()])


def on_ray(perspective: FloatArray, size: tuple[int, int], mouse: Sequence[float]) -> FloatArray:
    """(3,) in Blender's world: a point that is seen at the place `mouse`. The arguments are those of `pick`."""
    clip = np.array((*(2 * np.asarray(mouse, np.float64) / size - 1), 0.0, 1.0))
    homogeneous = np.linalg.solve(np.asarray(perspective, np.float64), clip)
    place: FloatArray = homogeneous[:3] / homogeneous[3]
    return place


def visible_points(root: bpy.types.Object) -> FloatArray:
    """(N, 3) float32 in Blender's world: the points, the splats and the vertices of meshes under `root`.

    Hidden objects, the ground, masked points, points below the modifier's Confidence Threshold and splats that are
    hardly opaque are left out; the last two only where that leaves any of the object's points. The cloud counts even
    where it is hidden: splats may show the same surfaces in its place, and its points are finer.
    """
    parts = [_points_of(child) for child in root.children_recursive if _counts(child)]
    return np.concatenate(parts) if parts else np.zeros((0, 3), np.float32)


def _counts(obj: bpy.types.Object) -> bool:
    """Whether an object's points can be picked."""
    if obj.type not in ("MESH", "POINTCLOUD"):
        return False
    role = identity.text(obj, identity.ROLE)
    return role == identity.CLOUD or (obj.visible_get() and role != identity.GROUND)


def _points_of(obj: bpy.types.Object) -> FloatArray:
    """(N, 3) float32 in Blender's world: those points of an object that can be picked."""
    local = picture_points.local(obj.data)
    if is_splats(obj):
        visible = opacities(obj.data) >= OPAQUE
    elif identity.text(obj, identity.ROLE) == identity.CLOUD:
        visible = _values(obj, "confidence") >= _threshold(obj)
    else:
        visible = np.ones(len(local), bool)
    # All points count where none would be left, or where the attribute is not of the points.
    visible = visible if len(visible) == len(local) and visible.any() else np.ones(len(local), bool)
    if len(local):
        visible &= ~masks.masked(obj)
    matrix = np.array(obj.matrix_world, np.float32)
    places: FloatArray = local[visible] @ matrix[:3, :3].T + matrix[:3, 3]
    return places


def _values(obj: bpy.types.Object, name: str) -> Array:
    """A float attribute of an object's points; empty where there is none."""
    attribute = obj.data.attributes.get(name)
    if attribute is None or attribute.data_type != "FLOAT":
        return np.zeros(0, np.float32)
    values = np.empty(len(attribute.data), np.float32)
    attribute.data.foreach_get("value", values)
    return values


def _threshold(obj: bpy.types.Object) -> float:
    """The confidence below which an object's points are hidden."""
    modifiers = (each for each in obj.modifiers if each.type == "NODES" and each.node_group)
    values = (points.input_value(each, look.THRESHOLD) for each in modifiers)
    value = next((each for each in values if each is not None), None)
    return float(value) if isinstance(value, int | float) else -np.inf
