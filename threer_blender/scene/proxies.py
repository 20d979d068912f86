"""[B] Proxy meshes in the scene. They cut CG where the photographed scene is in front of it, or catch its shadows."""

from __future__ import annotations

import bpy
import numpy as np

from ..model.errors import UserError
from ..model.proxy_mesh import Mesh, from_depth, from_pointmaps, from_splats
from ..model.reconstruction import Reconstruction
from . import masks
from .changes import Changes
from .identity import PROXY, ROLE

HOLDOUT, SHADOWS = "HOLDOUT", "SHADOWS"  # the purposes of a proxy


def of_photos(root: bpy.types.Object, reconstruction: Reconstruction, purpose: str) -> list[bpy.types.Object]:
    """Makes a mesh of each photo's depth map, cut where the depth jumps. They replace earlier proxies under `root`.

    `purpose` is HOLDOUT or SHADOWS. Returns the objects. Raises UserError where there is no depth.
    """
    meshes = []
    for pointmap in reconstruction.pointmaps:
        camera = reconstruction.camera(pointmap.photo)
        if camera is not None and pointmap.mask.any():
            meshes.append((f"{pointmap.photo} depth", from_depth(pointmap, camera)))
    if not meshes:
        raise UserError("There are no depth maps to make meshes of: reconstruct with an engine that has dense depth.")
    return _masked(_place(meshes, root, purpose), root)


def fused(root: bpy.types.Object, reconstruction: Reconstruction, purpose: str) -> list[bpy.types.Object]:
    """Makes one mesh of all depth maps, which replaces earlier proxies. Returns a list with its object.

    `purpose` is HOLDOUT or SHADOWS. Raises UserError without depth.
    """
    return _masked(_place([(f"{root.name} proxy", from_pointmaps(reconstruction))], root, purpose), root)


def of_splats(obj: bpy.types.Object, purpose: str) -> list[bpy.types.Object]:
    """Makes one mesh of an object's splats, parented to the object, which replaces an earlier one.

    `purpose` is HOLDOUT or SHADOWS. Returns a list with the mesh's object.
    """
    return _place([(f"{obj.name} proxy", from_splats(masks.unmasked_splats(obj)))], obj, purpose)


def _masked(made: list[bpy.types.Object], root: bpy.types.Object) -> list[bpy.types.Object]:
    """Cuts the proxies where most points of the result are masked, and at its crop boxes. Returns them."""
    for cloud in masks.targets(root, None)[:1]:
        for obj in made:
            masks.onto(obj, cloud)
    return made


def _place(meshes: list[tuple[str, Mesh]], parent: bpy.types.Object, purpose: str) -> list[bpy.types.Object]:
    """Makes objects of named meshes under `parent`, in place of its earlier proxies. Returns the objects."""
    made = []
    with Changes() as changes:
        for earlier in [child for child in parent.children if child.get(ROLE) == PROXY]:
            changes.release(earlier.data)
            changes.remove(earlier)
        for name, mesh in meshes:
            obj = bpy.data.objects.new(name, new_data(name, mesh))
            obj[ROLE] = PROXY
            obj.parent = parent
            obj.display_type = "WIRE"
            obj.is_holdout = purpose == HOLDOUT
            obj.is_shadow_catcher = purpose == SHADOWS
            for collection in parent.users_collection:
                collection.objects.link(obj)
            made.append(obj)
    bpy.context.view_layer.update()
    return made


def new_data(name: str, mesh: Mesh) -> bpy.types.Mesh:
    """A new data-block: a mesh of triangles."""
    data = bpy.data.meshes.new(name)
    count = len(mesh.faces)
    data.vertices.add(len(mesh.vertices))
    data.attributes["position"].data.foreach_set("vector", np.ascontiguousarray(mesh.vertices).reshape(-1))
    data.loops.add(3 * count)
    data.loops.foreach_set("vertex_index", np.ascontiguousarray(mesh.faces).reshape(-1))
    data.polygons.add(count)
    data.polygons.foreach_set("loop_start", np.arange(0, 3 * count, 3, dtype=np.int32))
    data.update(calc_edges=True)
    return data
