"""[B] The button that makes proxy meshes of the reconstruction in the panel, or of the active object's splats."""

from __future__ import annotations

import bpy

from .. import bundle
from ..scene import proxies, world
from ..scene.splats import splats
from . import summary
from .buttons import Button

PURPOSES = (
    (proxies.HOLDOUT, "Holdout", "CG is cut where the scene is in front of it"),
    (proxies.SHADOWS, "Shadows", "The scene catches CG's shadows, in Cycles"),
)


class THREER_OT_proxy_meshes(Button, bpy.types.Operator):
    """Make meshes of the photographed scene. They cut CG where they are in front of it, or catch its shadows"""

    bl_idname = "threer.proxy_meshes"
    bl_label = "Proxy Meshes"
    bl_options = {"REGISTER", "UNDO"}

    purpose: bpy.props.EnumProperty(name="For", items=PURPOSES)
    each_photo: bpy.props.BoolProperty(
        name="One for Each Photo",
        description="The finest depth, right through each photo's own camera; off: one mesh of all photos",
        default=False,
    )

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return splats.is_splats(context.object) or summary.current_root(context.scene, context.object) is not None

    def run(self, context: bpy.types.Context) -> None:
        root = summary.current_root(context.scene, context.object)
        if root is None or (splats.is_splats(context.object) and context.object.parent != root):
            proxies.of_splats(context.object, self.purpose)
            return
        reconstruction = world.under(root, bundle.read(summary.bundle(root)))
        if not reconstruction.pointmaps and reconstruction.gaussians is not None:
            proxies.of_splats(next(child for child in root.children if splats.is_splats(child)), self.purpose)
        elif self.each_photo:
            proxies.of_photos(root, reconstruction, self.purpose)
        else:
            proxies.fused(root, reconstruction, self.purpose)


register, unregister = bpy.utils.register_classes_factory((THREER_OT_proxy_meshes,))
