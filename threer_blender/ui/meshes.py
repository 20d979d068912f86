"""[B] The buttons that make a textured mesh of a result, show it, and export it."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import bpy

from .. import headless
from ..files import bundle_folder, point_file, whole_folder
from ..model.errors import UserError
from ..model.textured_mesh import LEAST_FACES, MOST_FACES
from ..scene import build, identity, masks, meshes
from . import summary, work
from .buttons import AsksForFolder, OfResult, registration

FORMATS = [
    (".glb", "glTF", "For the web, game engines and most programs"),
    (".usdc", "USD", "For film and for phones"),
    (".obj", "OBJ", "For old programs; textures lie beside it"),
]


def draw(layout: Any, root: bpy.types.Object) -> None:
    """Draws the buttons about the mesh of the result under a root."""
    in_scene = meshes.of(root) is not None
    row = layout.row(align=True)
    row.operator(THREER_OT_make_mesh.bl_idname, icon="MESH_ICOSPHERE")
    if in_scene:
        row.operator_menu_enum(THREER_OT_export_mesh.bl_idname, "suffix", text="", icon="EXPORT")
    elif _is_made(root):
        row.operator(THREER_OT_show_mesh.bl_idname)


def _is_made(root: bpy.types.Object) -> bool:
    """Whether the result's folder has a mesh. It is looked for in a thread, since disks may be slow."""
    path = Path(bpy.path.abspath(identity.text(root, build.BUNDLE))) / bundle_folder.MESH
    return work.seek(("mesh", str(path)), partial(_is_file, path), False)


def _is_file(path: Path) -> bool:
    """Whether there is such a file. A text of a stranger's scene may be no path at all, or one that is too long."""
    try:
        return path.is_file()
    except OSError:
        return False


class THREER_OT_make_mesh(OfResult, bpy.types.Operator):
    """Make one mesh of the photographed scene, textured from the photos. You can go on working"""

    bl_idname = "threer.make_mesh"
    bl_label = "Make Mesh…"

    faces: bpy.props.IntProperty(
        name="Faces",
        default=headless.MESH_FACES,
        min=LEAST_FACES,
        max=MOST_FACES,
        description="The mesh has at most about so many",
    )
    texture: bpy.props.EnumProperty(
        name="Texture",
        items=[(str(side), f"{side} × {side}", "The most texels") for side in (1024, 2048, 4096, 8192)],
        default=str(headless.MESH_TEXTURE),
    )

    def invoke(self, context: bpy.types.Context, _event: bpy.types.Event) -> set[str]:
        result: set[str] = context.window_manager.invoke_props_dialog(self)
        return result

    def run(self, context: bpy.types.Context) -> None:
        root = self.root(context)
        folder, uid = summary.bundle(root), root.session_uid
        request = headless.mesh_request(folder, self.faces, int(self.texture))
        masked = masks.around_surfaces(root)
        if masked is not None:
            place = Path(tempfile.mkdtemp(dir=bpy.app.tempdir)) / "masked"  # it goes with Blender
            point_file.write(masked, place)
            request = replace(request, masked=str(place))
        task = work.add(request, then=lambda: work.when_free(lambda: _deliver(uid, folder), "Make Mesh"))
        if bpy.app.background:  # where timers never run
            work.finish(task)


def _deliver(uid: int, folder: Path) -> None:
    """Shows a finished mesh under its root, where that is still there."""
    root = next((obj for obj in bpy.data.objects if obj.session_uid == uid), None)
    if root is not None:
        meshes.show(root, folder)


class THREER_OT_show_mesh(OfResult, bpy.types.Operator):
    """Put the mesh that was made of this result into the scene"""

    bl_idname = "threer.show_mesh"
    bl_label = "Show Mesh"
    bl_options = {"UNDO"}

    def run(self, context: bpy.types.Context) -> None:
        root = self.root(context)
        meshes.show(root, summary.bundle(root))


class THREER_OT_export_mesh(AsksForFolder, OfResult, bpy.types.Operator):
    """Write the mesh, as it stands in the scene, and its texture into a new folder for other programs"""

    bl_idname = "threer.export_mesh"
    bl_label = "Export Mesh"

    suffix: bpy.props.EnumProperty(name="Format", items=FORMATS)

    def run(self, context: bpy.types.Context) -> None:
        obj = meshes.of(summary.current_root(context.scene, context.object))
        if obj is None:
            raise UserError("There is no mesh in the scene; press Make Mesh first.")
        with whole_folder.replacing(self.folder) as new:
            meshes.export(obj, new.path / f"mesh{self.suffix}")
        self.report({"INFO"}, " ".join([f"Written: {new.place}", *new.sentences("the mesh and its texture")]))


register, unregister = registration((THREER_OT_make_mesh, THREER_OT_show_mesh, THREER_OT_export_mesh), {})
