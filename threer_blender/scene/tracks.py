"""[B] The tracked points of a shot as vertices that an artist can select, with their numbers, errors and weights."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import bpy
import numpy as np
from mathutils.kdtree import KDTree

from ..model.arrays import Array
from ..model.reconstruction import PointCloud, Reconstruction, Shot
from . import identity, points
from .changes import Changes

NUMBER, ERROR, WEIGHT = "track", "error", "weight"  # attributes of the vertices
WORST = 2.0  # px: tracks with this error or more are red, and tracks with error 0 are green
GREY = 90  # of points that are left out, in sRGB
PIXELS = 3.0  # radius of a point in the shot's pictures
HEAVY = 10.0  # the weight that Hold gives to a track
HEAVIEST = 100.0  # the largest weight
BAD = "threer_bad"  # on a shot's camera: the ranges of bad frames, as first, last, first, last …


def role(shot: Shot) -> str:
    """The role of a shot's points among the objects of a solve, see `identity`."""
    return f"tracks {shot.video}"


def of(camera: bpy.types.Object) -> bpy.types.Object | None:
    """The object with the tracked points of a camera's shot; None where there is none."""
    root, filmed = camera.parent, identity.text(camera, identity.ROLE)
    wanted = f"tracks {filmed.removeprefix('shot ')}"
    children = () if root is None or not filmed.startswith("shot ") else root.children
    return next((child for child in children if identity.text(child, identity.ROLE) == wanted), None)


@contextmanager
def in_object_mode(obj: bpy.types.Object) -> Iterator[None]:
    """Within, the object is not in Edit Mode, in which its attributes cannot be read."""
    edited = obj.mode == "EDIT"
    if edited:
        _set_mode(obj, "OBJECT")
    try:
        yield
    finally:
        if edited:
            _set_mode(obj, "EDIT")


def _set_mode(obj: bpy.types.Object, mode: str) -> None:
    """Blender's operator is for the active object, which may be another one while this one is edited."""
    objects = bpy.context.view_layer.objects
    active, objects.active = objects.active, obj
    try:
        bpy.ops.object.mode_set(mode=mode)
    finally:
        objects.active = active


def show(changes: Changes, obj: bpy.types.Object | None, shot: Shot) -> bpy.types.Object:
    """A new object with the tracked points of a shot, or `obj` with these points. The shot must have tracks."""
    geometry = _geometry(shot)
    if obj is None:
        obj = points.new_object(f"{shot.video} tracks", geometry, 0.0)
        obj.hide_render = True  # they are a tool, and no CG
        return obj
    changes.release(obj.data)
    changes.set(obj, data=geometry)
    return obj


def renewed(changes: Changes, reconstruction: Reconstruction, existing: dict[str, Any]) -> dict[str, bpy.types.Object]:
    """Role -> object with new points, for the shots whose points the scene shows already."""
    return {
        role(shot): show(changes, existing[role(shot)], shot)
        for shot in reconstruction.shots
        if shot.tracks is not None and role(shot) in existing
    }


def _geometry(shot: Shot) -> bpy.types.Mesh:
    """A mesh whose vertices are the shot's tracks that have a point, with their attributes."""
    tracks = shot.tracks
    assert tracks is not None
    numbers = np.flatnonzero(np.isfinite(tracks.positions).all(axis=1))  # of the tracks that have a point
    errors = tracks.errors[numbers]
    colors = _colors(errors, tracks.weights[numbers])
    centres = np.array([camera.world_from_camera[:3, 3] for camera in shot.cameras.values()])
    focal = float(np.median([camera.fx for camera in shot.cameras.values()]))
    positions = np.ascontiguousarray(tracks.positions[numbers])
    radius = PIXELS / focal * np.linalg.norm(positions - np.median(centres, axis=0), axis=1)
    zeros = np.zeros_like(positions)
    cloud = PointCloud(positions, zeros, colors, np.ones(len(numbers), np.float32), np.zeros(len(numbers), np.int32))
    mesh = points.new_geometry(f"{shot.video} tracks", cloud, radius.astype(np.float32), as_mesh=True)
    points.write_attribute(mesh, NUMBER, points.INT, numbers)
    points.write_attribute(mesh, ERROR, points.FLOAT, errors)
    points.write_attribute(mesh, WEIGHT, points.FLOAT, tracks.weights[numbers])
    return mesh


def _colors(errors: Array, weights: Array) -> Array:
    """(N, 3) uint8 sRGB: from green to red by the errors, grey where a track is left out."""
    red = np.clip(errors / WORST, 0, 1)
    colors: Array = (255 * np.stack([red, 1 - red, np.zeros_like(red)], axis=1)).astype(np.uint8)
    colors[weights == 0] = GREY
    return colors


def changed_weights(obj: bpy.types.Object | None, shot: Shot) -> dict[str, float]:
    """Number of a track -> its new weight, for the tracks whose weight the artist changed, or that were deleted (0)."""
    tracks = shot.tracks
    if obj is None or tracks is None:
        return {}
    with in_object_mode(obj):
        numbers, weights = values(obj, NUMBER).astype(int), values(obj, WEIGHT)
    now = np.where(np.isfinite(tracks.positions).all(axis=1), np.float32(0), tracks.weights)
    inside = (numbers >= 0) & (numbers < len(now))
    now[numbers[inside]] = np.clip(weights[inside], 0, None)
    return {str(number): float(now[number]) for number in np.flatnonzero(now != tracks.weights)}


def values(obj: bpy.types.Object, name: str) -> Array:
    """(N,) an attribute of the vertices, whole numbers or floats; empty where the artist removed it."""
    attribute = obj.data.attributes.get(name)
    if attribute is None or attribute.domain != "POINT" or attribute.data_type not in ("INT", "FLOAT"):
        return np.zeros(0, np.float32)
    kind = points.INT if attribute.data_type == "INT" else points.FLOAT
    read = np.empty(len(attribute.data), kind.dtype)
    attribute.data.foreach_get("value", read)
    return read


def weigh(obj: bpy.types.Object, weight: float) -> int:
    """Sets the weight of the selected vertices. Returns their number. The object must not be in Edit Mode."""
    selected = np.empty(len(obj.data.vertices), np.bool_)
    obj.data.vertices.foreach_get("select", selected)
    weights = values(obj, WEIGHT)
    if len(weights) == len(selected):
        weights[selected] = weight
        points.write_attribute(obj.data, WEIGHT, points.FLOAT, weights)
        errors = values(obj, ERROR)
        if len(errors) == len(weights):
            rgba = np.ones((len(weights), 4), np.float32)
            rgba[:, :3] = _colors(errors, weights) / np.float32(255)
            points.write_attribute(obj.data, "color", points.COLOR, rgba)
    return int(selected.sum())


def excluded(obj: bpy.types.Object) -> int:
    """The number of vertices that are left out; 0 in Edit Mode, in which nothing tells."""
    return 0 if obj.mode == "EDIT" else int((values(obj, WEIGHT) == 0).sum())


def select_worst(obj: bpy.types.Object, least: float) -> int:
    """Selects the vertices with an error above `least` pixels, and no others. Returns their number.

    The object must not be in Edit Mode.
    """
    worst = values(obj, ERROR) > least
    if len(worst) == len(obj.data.vertices):
        obj.data.vertices.foreach_set("select", worst)
        obj.data.update()
    return int(worst.sum())


def selected_places(obj: bpy.types.Object) -> Array:
    """(N, 3) the places in Blender's world of an object's selected points: vertices, or points of a point cloud.

    The object is not in Edit Mode. (0, 3) where nothing is selected, or it has no points.
    """
    positions = None if obj.data is None else getattr(obj.data, "attributes", {}).get("position")
    if positions is None:
        return np.zeros((0, 3), np.float32)
    local, selected = np.empty((len(positions.data), 3), np.float32), np.zeros(len(positions.data), np.bool_)
    positions.data.foreach_get("vector", local.reshape(-1))
    if obj.type == "MESH":
        obj.data.vertices.foreach_get("select", selected)
    elif ".selection" in obj.data.attributes and obj.data.attributes[".selection"].data_type == "BOOLEAN":
        obj.data.attributes[".selection"].data.foreach_get("value", selected)
    matrix = np.array(obj.matrix_world, np.float32)
    places: Array = local[selected] @ matrix[:3, :3].T + matrix[:3, 3]
    return places


def select_near(obj: bpy.types.Object, places: Array, distance: float) -> int:
    """Selects the vertices that lie within a `distance` of any of the places (N, 3), and no others. Returns how many.

    `obj` holds a shot's points, and is not in Edit Mode. Places and distance are in Blender's world.
    """
    tree = KDTree(len(places))
    for index, place in enumerate(places):
        tree.insert(place, index)
    tree.balance()
    near = [tree.find(obj.matrix_world @ vertex.co)[2] for vertex in obj.data.vertices]
    chosen = [each is not None and each <= distance for each in near]
    obj.data.vertices.foreach_set("select", chosen)
    obj.data.update()
    return sum(chosen)


def bad_ranges(camera: bpy.types.Object) -> list[tuple[int, int]]:
    """The ranges (first, last) of frames that the artist marked as bad."""
    entry = camera.get(BAD)
    numbers = list(entry) if hasattr(entry, "to_list") else []
    if not all(isinstance(number, int) for number in numbers):
        return []
    return list(zip(numbers[::2], numbers[1::2], strict=False))


def set_bad_ranges(changes: Changes, camera: bpy.types.Object, ranges: list[tuple[int, int]]) -> None:
    """Stores the ranges (first, last) of bad frames on a shot's camera."""
    flat = [number for entry in sorted(ranges) for number in entry]
    changes.mark(camera, **{BAD: flat or None})
