"""[B] Splats and CG in one picture: splats get a view layer of their own, which is made linear after they have blended.

Splats blend as display values, and CG blends as light. Rendered together, one of the two is wrong. So each gets a
layer, and the compositor puts CG over the splats. Where splats should hide CG, their proxy meshes (`scene/proxies.py`)
cut it.
"""

from __future__ import annotations

from typing import Any

import bpy

from ...model.errors import UserError, quoted
from .. import look
from ..changes import Changes
from ..identity import ROLE, SPLATS
from . import look as splat_look
from . import native, splats

LAYER = "3R Splats"
RENDERED = {"MESH", "CURVE", "CURVES", "SURFACE", "META", "FONT", "POINTCLOUD", "VOLUME", "GREASEPENCIL"}
# The custom property that marks the compositor tree that we made, or before Blender 5.0 the scene of that tree.
COMPOSITE = "threer_composite"


def use_separate_layer(scene: bpy.types.Scene) -> None:
    """Has the scene's splats rendered on a view layer of their own, and CG put over them. Only on request.

    The splats move to a collection of their own, which the other layers exclude. Splats that Blender itself draws in
    renders stay where they are. The film becomes transparent, and the view transform becomes Standard. Raises UserError
    where there are no splats, an object is in the Scene Collection itself, or the artist uses the compositor.
    """
    ours = [obj for obj in scene.objects if splats.is_splats(obj) and not native.is_native_in_renders(obj)]
    if not ours:
        raise UserError("There are no splats in this scene to give a layer to; import or reconstruct some.")
    loose = next((o for o in scene.collection.objects if o not in ours and o.type in RENDERED), None)
    if loose is not None:
        raise UserError(
            f"Move {quoted(loose.name)} from the Scene Collection into another: what is in it is on every layer."
        )
    if _is_composited(scene):
        raise UserError("This scene's compositor is in use: put the layer in by hand, or turn it off and try again.")
    with Changes() as changes:
        layer = scene.view_layers.get(LAYER) or scene.view_layers.new(LAYER)
        changes.on_failure(lambda: scene.view_layers.remove(layer))
        collection = _collection(scene)
        for obj in ours:
            for former in obj.users_collection:
                if former != collection:
                    former.objects.unlink(obj)
                    changes.on_failure(lambda former=former, obj=obj: former.objects.link(obj))  # type: ignore[misc]
            if obj.name not in collection.objects:
                collection.objects.link(obj)
        for other in scene.view_layers:
            for child in other.layer_collection.children:
                holds_splats = child.collection == collection
                if other == layer:
                    changes.set(child, exclude=not holds_splats)
                elif holds_splats:
                    changes.set(child, exclude=True)
        splat_look.let_rays_through(scene)
        look.match_photo_colors(scene)
        changes.set(scene.render, film_transparent=True)
        _composite(scene, next(other.name for other in scene.view_layers if other != layer))


def _collection(scene: bpy.types.Scene) -> bpy.types.Collection:
    """The scene's collection for splats alone, made where there is none."""
    collection = next((child for child in scene.collection.children if child.get(ROLE) == SPLATS), None)
    if collection is None:
        collection = bpy.data.collections.new(LAYER)
        collection[ROLE] = SPLATS
        scene.collection.children.link(collection)
    return collection


def _is_composited(scene: bpy.types.Scene) -> bool:
    """Whether the artist has nodes in the compositor that do something."""
    if hasattr(scene, "compositing_node_group"):  # Blender 5.0 and later
        tree = scene.compositing_node_group
        return tree is not None and COMPOSITE not in tree
    tree = scene.node_tree
    return bool(scene.use_nodes and tree is not None and tree.nodes and COMPOSITE not in scene)


def _composite(scene: bpy.types.Scene, cg: str) -> None:
    """Makes compositor nodes that put the view layer `cg` over the splats' layer in linear light."""
    if hasattr(scene, "compositing_node_group"):
        tree = bpy.data.node_groups.new(LAYER, "CompositorNodeTree")
        tree.interface.new_socket("Image", in_out="OUTPUT", socket_type="NodeSocketColor")
        tree[COMPOSITE] = True
        scene.compositing_node_group = tree
        output = "NodeGroupOutput"
    else:
        scene.use_nodes = True
        tree = scene.node_tree
        tree.nodes.clear()
        scene[COMPOSITE] = True
        output = "CompositorNodeComposite"
    columns = iter(range(10))

    def node(kind: str, **settings: Any) -> Any:
        made = tree.nodes.new(kind)
        made.location = (220 * next(columns), 0)
        for name, value in settings.items():
            setattr(made, name, value)
        return made

    layer = node("CompositorNodeRLayers", scene=scene, layer=LAYER)
    linear = node("CompositorNodeConvertColorSpace", from_color_space="sRGB", to_color_space="Linear Rec.709")
    objects = node("CompositorNodeRLayers", scene=scene, layer=cg)
    over = node("CompositorNodeAlphaOver")
    images = [socket for socket in over.inputs if socket.type == "RGBA"]
    tree.links.new(layer.outputs["Image"], linear.inputs[0])
    tree.links.new(linear.outputs[0], images[0])
    tree.links.new(objects.outputs["Image"], images[1])
    tree.links.new(over.outputs[0], node(output).inputs[0])
