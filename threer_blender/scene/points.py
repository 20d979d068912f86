"""[B] PointCloud -> Blender: a PointCloud from Blender 5.2 on, before that a mesh of vertices, with a modifier."""

from __future__ import annotations

import ctypes
from typing import Any, NamedTuple

import bpy
import numpy as np

from ..model.arrays import Array
from ..model.reconstruction import PointCloud, Reconstruction
from . import look

Geometry = Any  # bpy.types.Mesh or bpy.types.PointCloud, which share their attributes' interface

# Radius of a point, in steps of its depth map's grid. Neighbouring discs must cover the corners of the grid's cells,
# √½ away, and more than that, since EEVEE draws points as small pyramids.
COVERING_RADIUS = 0.85


class Kind(NamedTuple):
    """A type of attribute: Blender's name for it, the property that holds its values, and the dtype of these."""

    name: str
    property: str
    dtype: type[np.generic]


VECTOR = Kind("FLOAT_VECTOR", "vector", np.float32)
FLOAT = Kind("FLOAT", "value", np.float32)
INT = Kind("INT", "value", np.int32)
COLOR = Kind("BYTE_COLOR", "color_srgb", np.float32)


def write_attribute(geometry: Geometry, name: str, kind: Kind, values: Array) -> None:
    """Writes `values` (N, …) to the point attribute `name`, which is made where it is missing."""
    attribute = geometry.attributes.get(name) or geometry.attributes.new(name, kind.name, "POINT")
    attribute.data.foreach_set(kind.property, np.ascontiguousarray(values, kind.dtype).reshape(-1))


def write_colors(geometry: Geometry, name: str, colors: Array) -> None:
    """Writes sRGB `colors` (N, 3) uint8, opaque, to a new byte colour attribute.

    `foreach_set` takes floats and rounds them to bytes, which would be half of the whole import's time. Where Blender
    stores colours as four bytes each, as all versions so far do, they are written into its memory instead.
    """
    attribute = geometry.attributes.new(name, COLOR.name, "POINT")
    count = len(colors)
    if count > 1 and attribute.data[1].as_pointer() - attribute.data[0].as_pointer() == 4:
        memory = (ctypes.c_uint8 * (4 * count)).from_address(attribute.data[0].as_pointer())
        rgba: Array = np.ctypeslib.as_array(memory).reshape(count, 4)
        rgba[:, 3] = 255
        for channel in range(3):  # faster than all three at once
            rgba[:, channel] = colors[:, channel]
    else:
        rgba = np.ones((count, 4), np.float32)
        rgba[:, :3] = colors / np.float32(255)
        attribute.data.foreach_set(COLOR.property, rgba.reshape(-1))


def grid_steps(reconstruction: Reconstruction) -> Array:
    """(photos,) the distance in photo pixels between neighbouring points that belong to a photo.

    It is the step of the photo's depth map. Where a photo with points has no depth map, the cloud is not made of the
    maps' pixels: then it is the same for all photos, as if the points were spread evenly over them.
    """
    cloud = reconstruction.cloud
    assert cloud is not None
    pixels = sum(camera.width * camera.height for camera in reconstruction.cameras)
    even = np.sqrt(pixels / max(1, len(cloud)))  # as if the points were spread evenly over all photos
    steps = {pointmap.photo: pointmap.photo_from_map.scale_x for pointmap in reconstruction.pointmaps}
    with_points = np.flatnonzero(np.bincount(cloud.photo, minlength=len(reconstruction.photos)))
    if any(reconstruction.photos[index].name not in steps for index in with_points):
        steps = {}
    return np.array([steps.get(photo.name, even) for photo in reconstruction.photos], np.float32)


def radii(reconstruction: Reconstruction) -> Array:
    """(N,) float32 the radii, in the reconstruction's units, with which the cloud has no gaps as the photos see it."""
    cloud = reconstruction.cloud
    assert cloud is not None
    rows = np.zeros((len(reconstruction.photos), 4), np.float32)  # radius = rows[:3] · position + rows[3]
    steps = grid_steps(reconstruction)
    for index, photo in enumerate(reconstruction.photos):
        camera = reconstruction.camera(photo.name)
        if camera is not None:
            if camera.distortion.is_panorama:
                continue
            rows[index] = camera.camera_from_world[2] * steps[index] / camera.fx * COVERING_RADIUS
    radius = np.empty(len(cloud), np.float32)
    chunk = 1 << 14  # points at a time, so few that they stay in the processor's cache
    for start in range(0, len(cloud), chunk):
        part = slice(start, start + chunk)
        row = np.take(rows, cloud.photo[part], axis=0)
        along = np.einsum("ij,ij->i", row[:, :3], cloud.positions[part])
        np.maximum(along + row[:, 3], 0, out=radius[part])
    for index, photo in enumerate(reconstruction.photos):
        camera = reconstruction.camera(photo.name)
        if camera is not None and camera.distortion.is_panorama:
            mine = cloud.photo == index
            radius[mine] = camera.depths(cloud.positions[mine]) * steps[index] / camera.fx * COVERING_RADIUS
    return radius


def new_geometry(name: str, cloud: PointCloud, radius: Array, as_mesh: bool) -> Geometry:
    """A new data-block with the cloud's points and attributes, a mesh or a PointCloud. `radius` (N,) is their radii."""
    geometry = blank(name, len(cloud), as_mesh)
    write_attribute(geometry, "position", VECTOR, cloud.positions)
    write_attribute(geometry, "radius", FLOAT, radius)
    write_colors(geometry, "color", cloud.colors)
    write_attribute(geometry, "confidence", FLOAT, cloud.confidence)
    write_attribute(geometry, "photo", INT, cloud.photo)
    write_attribute(geometry, "normal", VECTOR, cloud.normals)
    if as_mesh:
        geometry.attributes.active_color_name = "color"
        geometry.update()
    return geometry


def blank(name: str, count: int, as_mesh: bool) -> Geometry:
    """A new data-block of `count` points without attributes: a mesh of vertices, else a PointCloud."""
    if as_mesh:
        geometry: Geometry = bpy.data.meshes.new(name)
        geometry.vertices.add(count)
    else:
        geometry = bpy.data.pointclouds.new(name)
        geometry.resize(count)
    return geometry


def has_point_clouds() -> bool:
    """Whether this Blender's Python can make a PointCloud of a given size (5.2 and later)."""
    return "resize" in bpy.types.PointCloud.bl_rna.functions


def new_object(name: str, geometry: Geometry, threshold: float) -> bpy.types.Object:
    """A new object that shows `geometry`, not yet in any collection. `threshold` is its Confidence Threshold."""
    obj = bpy.data.objects.new(name, geometry)
    modifier = obj.modifiers.new("3R Points", "NODES")
    modifier.node_group = look.node_group(from_mesh=isinstance(geometry, bpy.types.Mesh))
    set_input(modifier, look.RADIUS, 1.0)
    set_input(modifier, look.THRESHOLD, threshold)
    set_input(modifier, look.MATERIAL, look.material())
    return obj


def input_value(modifier: bpy.types.Modifier, name: str) -> Any:
    """The value of an input of a geometry-nodes modifier, by the input's name; None where it has no such input."""
    identifier = _identifier(modifier, name)
    if identifier is None:
        return None
    if hasattr(modifier, "properties"):  # Blender 5.2 and later
        return getattr(modifier.properties.inputs, identifier).value
    return modifier.get(identifier)


def draw_input(layout: Any, modifier: bpy.types.Modifier, name: str, label: str) -> None:
    """Draws an input of a geometry-nodes modifier under another label; nothing where it has no such input."""
    identifier = _identifier(modifier, name)
    if identifier is None:
        return
    if hasattr(modifier, "properties"):  # Blender 5.2 and later
        layout.prop(getattr(modifier.properties.inputs, identifier), "value", text=label)
    elif identifier in modifier:
        layout.prop(modifier, f'["{identifier}"]', text=label)


def _identifier(modifier: bpy.types.Modifier, name: str) -> str | None:
    """Blender's identifier of an input of a modifier's node group, by its name; None without such an input."""
    sockets = modifier.node_group.interface.items_tree
    return next((str(s.identifier) for s in sockets if s.name == name and s.in_out == "INPUT"), None)


def set_input(modifier: bpy.types.Modifier, name: str, value: Any) -> None:
    """Sets an input of a geometry-nodes modifier, by the input's name, which must exist."""
    identifier = _identifier(modifier, name)
    assert identifier is not None
    if hasattr(modifier, "properties"):  # Blender 5.2 and later
        getattr(modifier.properties.inputs, identifier).value = value
    else:
        modifier[identifier] = value
    modifier.id_data.update_tag()


def copy_inputs(modifier: bpy.types.Modifier, other: bpy.types.Modifier) -> None:
    """Gives `other` the values of the inputs of `modifier` that both have, by their names."""
    for socket in other.node_group.interface.items_tree:
        if socket.in_out == "INPUT" and hasattr(socket, "default_value"):
            value = input_value(modifier, socket.name)
            if value is not None:
                set_input(other, socket.name, value)
