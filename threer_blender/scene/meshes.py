"""[B] The textured mesh of a result as an object under its root, with a material and its texture inside the .blend."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import bpy
import numpy as np

from ..files import bundle_folder, mesh_file
from ..model.errors import UserError, cause, quoted
from ..model.proxy_mesh import Mesh
from ..model.textured_mesh import TexturedMesh
from . import identity, masks, proxies, world
from .changes import Changes
from .identity import MESH, ROLE


def show(root: bpy.types.Object, folder: Path) -> bpy.types.Object:
    """Puts the mesh of the bundle `folder` under the `root` of its result, and returns its object.

    An earlier mesh's object keeps its name, its place and its modifiers, and gets the new data. Raises UserError where
    the mesh cannot be read; then the scene is as before.
    """
    mesh = mesh_file.read(folder / bundle_folder.MESH)
    name = f"{root.name.removeprefix('3R ')} mesh"
    with Changes() as changes:
        data = _data(name, mesh, root)
        obj = of(root)
        if obj is None:
            obj = bpy.data.objects.new(name, data)
            obj.parent = root
            for collection in root.users_collection:
                collection.objects.link(obj)
        else:
            changes.release(obj.data)
            for material in filter(None, obj.data.materials):
                changes.release(material)
                for node in material.node_tree.nodes if material.node_tree else ():
                    changes.release(getattr(node, "image", None))
            changes.set(obj, data=data)
        changes.mark(obj, **{ROLE: MESH})
    bpy.context.view_layer.update()
    for cloud in masks.targets(root, None)[:1]:
        masks.onto(obj, cloud)
    return obj


def of(root: bpy.types.Object) -> bpy.types.Object | None:
    """The object of the textured mesh under a root; None where there is none."""
    return next((child for child in root.children if identity.text(child, ROLE) == MESH), None)


def _data(name: str, mesh: TexturedMesh, root: bpy.types.Object) -> bpy.types.Mesh:
    data = proxies.new_data(name, Mesh(world.points_under(root, mesh.vertices), mesh.faces))
    places = np.stack([mesh.corners[..., 0], 1 - mesh.corners[..., 1]], axis=-1)
    layer = data.uv_layers.new(name="UVMap")
    layer.uv.foreach_set("vector", np.ascontiguousarray(places, np.float32).ravel())
    data.materials.append(_material(name, mesh.texture))
    return data


def _material(name: str, texture: bytes) -> bpy.types.Material:
    """A rough material in the colours of a JPEG file, which becomes a part of the .blend."""
    image = bpy.data.images.new(name, 1, 1)
    image.source = "FILE"
    image.filepath = f"//{bpy.path.clean_name(name)}.jpg"
    image.pack(data=texture, data_len=len(texture))
    material = bpy.data.materials.new(name)
    if material.node_tree is None:  # before Blender 5.0
        material.use_nodes = True
    tree = material.node_tree
    surface = next(node for node in tree.nodes if node.type == "BSDF_PRINCIPLED")
    surface.inputs["Roughness"].default_value = 1.0
    surface.inputs["Specular IOR Level"].default_value = 0.0
    colors = tree.nodes.new("ShaderNodeTexImage")
    colors.image = image
    colors.extension = "EXTEND"
    colors.location = (surface.location.x - 320, surface.location.y)
    tree.links.new(colors.outputs["Color"], surface.inputs["Base Color"])
    return material


def export(obj: bpy.types.Object, path: Path) -> None:
    """Writes one mesh object, as it stands in the scene, by Blender's own exporter for the file's suffix.

    The folder of `path` must be new: textures are written beside it under names of their own. Raises UserError where
    Blender has none, or where it fails.
    """
    selected, active = list(bpy.context.selected_objects), bpy.context.view_layer.objects.active
    hidden = obj.hide_get()
    try:
        for other in selected:
            other.select_set(False)
        obj.hide_set(False)
        obj.select_set(True)
        bpy.context.view_layer.objects.active = obj
        _write(path)
    except (RuntimeError, AttributeError) as error:  # a refusal of Blender's; its exporter of glTF may be off
        raise UserError(f"Blender could not write {quoted(path)}: {cause(error)}.") from error
    finally:
        obj.select_set(False)
        obj.hide_set(hidden)
        for other in selected:
            other.select_set(True)
        bpy.context.view_layer.objects.active = active


def convert(glb: Path, path: Path) -> None:
    """Writes the mesh of a binary glTF file to `path`, as `export` does. The open .blend is afterwards as before."""
    blocks = (bpy.data.objects, bpy.data.meshes, bpy.data.materials, bpy.data.images, bpy.data.collections)
    before = [set(each) for each in blocks]
    try:
        bpy.ops.import_scene.gltf(filepath=str(glb))
        export(next(obj for obj in bpy.data.objects if obj not in before[0] and obj.type == "MESH"), path)
    except RuntimeError as error:
        raise UserError(f"Blender could not read {quoted(glb)}: {cause(error)}.") from error
    finally:
        bpy.data.batch_remove([new for each, old in zip(blocks, before, strict=True) for new in each if new not in old])


@contextlib.contextmanager
def _beside(path: Path) -> Iterator[None]:
    """Writes the textures of the active object beside the file `path`, and has them count as those while it lasts.

    The exporter of OBJ names files, and takes none out of the .blend.
    """
    nodes = [node for each in bpy.context.object.data.materials if each for node in each.node_tree.nodes]
    images = {node.image for node in nodes if getattr(node, "image", None) and node.image.packed_file}
    before = {image: image.filepath for image in images}
    try:
        for number, image in enumerate(before):
            file = path.with_name(f"{path.stem}{number or ''}.jpg")
            file.write_bytes(image.packed_file.data)
            image.filepath = str(file)
        yield
    finally:
        for image, filepath in before.items():
            image.filepath = filepath


def _write(path: Path) -> None:
    """Writes the selected objects."""
    suffix = path.suffix.lower()
    if suffix in (".glb", ".gltf"):
        kind = "GLB" if suffix == ".glb" else "GLTF_SEPARATE"
        bpy.ops.export_scene.gltf(
            filepath=str(path), use_selection=True, export_format=kind, export_yup=True, export_apply=True
        )
    elif suffix in (".usd", ".usda", ".usdc", ".usdz"):
        bpy.ops.wm.usd_export(filepath=str(path), selected_objects_only=True, export_animation=False)
    elif suffix == ".obj":
        with _beside(path):
            bpy.ops.wm.obj_export(filepath=str(path), export_selected_objects=True, path_mode="RELATIVE")
    else:
        raise UserError(f"Blender writes no mesh as {quoted(path.name)}; choose glTF, USD or OBJ.")
