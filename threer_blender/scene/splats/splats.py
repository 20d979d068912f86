"""[B] Gaussians <-> Blender: a mesh of vertices or a PointCloud with attributes, and the modifier that shows it.

The attributes are those of Blender 5.3's own splats: `position`; `scale`, linear standard deviations; `rotation`, a
quaternion wxyz; `radiance:base`, four floats, the constant harmonic and the opacity; `radiance:sh_0` and on, a vector
for each further harmonic.
"""

from __future__ import annotations

from typing import Any

import bpy
import numpy as np

from ...model.arrays import Array
from ...model.reconstruction import Gaussians
from .. import points
from ..points import FLOAT, INT, VECTOR, Geometry, Kind, write_attribute
from . import look, nodes
from .nodes import BASE, HARMONICS, ROTATION, SCALE

QUATERNION = Kind("QUATERNION", "value", np.float32)
FLOAT4 = Kind("FLOAT4", "vector", np.float32)  # Blender 5.2 and later; before, its colours hold any four floats too
COLOR = Kind("FLOAT_COLOR", "color", np.float32)
MODIFIER = "3R Splats"
NO_DEFAULT = {"NodeSocketObject", "NodeSocketMaterial"}  # inputs of the modifier that start without a value


def new_geometry(name: str, gaussians: Gaussians, as_mesh: bool) -> Geometry:
    """A new data-block with the splats' attributes: a mesh of vertices, else a PointCloud."""
    geometry = points.blank(name, len(gaussians), as_mesh)
    write(geometry, gaussians)
    return geometry


def has_float4() -> bool:
    """Whether this Blender has attributes of four floats."""
    return FLOAT4.name in bpy.types.Attribute.bl_rna.properties["data_type"].enum_items


def write(geometry: Geometry, gaussians: Gaussians) -> None:
    """Writes the attributes of Gaussians to a geometry that has as many points."""
    write_attribute(geometry, "position", VECTOR, gaussians.means)
    write_attribute(geometry, SCALE, VECTOR, gaussians.scales)
    write_attribute(geometry, ROTATION, QUATERNION, gaussians.rotations)
    base = np.empty((len(gaussians), 4), np.float32)
    base[:, :3], base[:, 3] = gaussians.sh[:, 0], gaussians.opacities
    write_attribute(geometry, BASE, FLOAT4 if has_float4() else COLOR, base)
    for index, harmonic in enumerate(_planes(gaussians.sh[:, 1:])):
        write_attribute(geometry, HARMONICS.format(index), VECTOR, harmonic)
    if gaussians.confidence is not None:
        write_attribute(geometry, "confidence", FLOAT, gaussians.confidence)
    if gaussians.photo is not None:
        write_attribute(geometry, "photo", INT, gaussians.photo)
    if isinstance(geometry, bpy.types.Mesh):
        geometry.update()


def _planes(sh: Array) -> Array:
    """(K, N, 3) from harmonics (N, K, 3), in parts that fit into the processor's cache."""
    planes = np.empty((sh.shape[1], len(sh), 3), np.float32)
    part = 4096
    for start in range(0, len(sh), part):
        planes[:, start : start + part] = sh[start : start + part].swapaxes(0, 1)
    return planes


def read(geometry: Geometry) -> Gaussians:
    """The Gaussians that a geometry's attributes hold, in its own coordinates."""

    def values(name: str, kind: Kind, width: int) -> Array:
        data = geometry.attributes[name].data
        values = np.empty(len(data) * width, kind.dtype)
        data.foreach_get(kind.property, values)
        return values.reshape(-1, width)

    base = values(BASE, FLOAT4 if geometry.attributes[BASE].data_type == FLOAT4.name else COLOR, 4)
    names = [HARMONICS.format(index) for index in range(nodes.COUNT_HARMONICS)]
    rest = [values(name, VECTOR, 3) for name in names if name in geometry.attributes]
    known = {name: kind for name, kind in (("confidence", FLOAT), ("photo", INT)) if name in geometry.attributes}
    return Gaussians(
        means=values("position", VECTOR, 3),
        scales=values(SCALE, VECTOR, 3),
        rotations=values(ROTATION, QUATERNION, 4),
        opacities=base[:, 3],
        sh=np.stack([base[:, :3], *rest], axis=1),
        **{name: values(name, kind, 1)[:, 0] for name, kind in known.items()},
    )


def opacities(geometry: Geometry) -> Array:
    """(N,) the splats' opacities in [0, 1]."""
    attribute = geometry.attributes[BASE]
    kind = FLOAT4 if attribute.data_type == FLOAT4.name else COLOR
    base = np.empty((len(attribute.data), 4), kind.dtype)
    attribute.data.foreach_get(kind.property, base.reshape(-1))
    return base[:, 3]


def is_splats(obj: bpy.types.Object | None) -> bool:
    """Whether an object holds splats."""
    attributes: Any = getattr(obj.data, "attributes", {}) if obj is not None else {}
    return all(name in attributes for name in (SCALE, ROTATION, BASE))


def new_object(name: str, geometry: Geometry) -> bpy.types.Object:
    """A new object that shows `geometry`, not yet in any collection."""
    obj = bpy.data.objects.new(name, geometry)
    show(obj)
    return obj


def show(obj: bpy.types.Object) -> None:
    """Gives an object the modifier that makes its splats visible."""
    modifier = obj.modifiers.new(MODIFIER, "NODES")
    modifier.node_group = nodes.node_group(from_mesh=obj.type == "MESH")
    for socket in modifier.node_group.interface.items_tree:
        if socket.in_out == "INPUT" and hasattr(socket, "default_value") and socket.socket_type not in NO_DEFAULT:
            points.set_input(modifier, socket.name, socket.default_value)
    points.set_input(modifier, nodes.MATERIAL, look.material())
    points.set_input(modifier, nodes.POINT_MATERIAL, look.point_material())
