"""[B] A scene in which nobody has worked yet: how to tell, and what a first result sets there."""

from __future__ import annotations

from functools import partial
from typing import Any

import bpy
import numpy as np

from . import look
from .changes import Changes

# The objects of a new Blender file -> location, rotation, scale; then the cube's corners, focal length (mm) or watts.
STARTUP = {
    ("Cube", "MESH"): [0.0] * 6 + [1.0] * (3 + 8 * 3),
    ("Camera", "CAMERA"): [7.358891, -6.925791, 4.958309, 1.109319, 0.0, 0.814928, 1.0, 1.0, 1.0, 50.0],
    ("Light", "LIGHT"): [4.076245, 1.005454, 5.903862, 0.650328, 0.055217, 1.866391, 1.0, 1.0, 1.0, 1000.0],
}
SETTINGS = (1, 250, 1, 1920, 1080, 1.0, 1.0, 24, 1.0)  # first, last and current frame; size, pixel aspect; frame rate
# Further settings of a new file, by the type of what they belong to. None of them may differ where nobody has worked.
UNCHANGED: dict[str, dict[str, object]] = {
    "OBJECT": {
        **dict.fromkeys(("delta_location", "delta_rotation_euler"), (0.0, 0.0, 0.0)),
        **{"delta_scale": (1.0, 1.0, 1.0), "rotation_mode": "XYZ", "instance_type": "NONE"},
        **dict.fromkeys(("hide_render", "hide_viewport", "hide_select", "show_in_front"), False),
        **dict.fromkeys(("show_wire", "show_bounds", "show_name", "show_axis"), False),
        **dict.fromkeys(("lock_location", "lock_rotation", "lock_scale"), (False, False, False)),
    },
    "CAMERA": {
        **{"type": "PERSP", "sensor_fit": "AUTO", "sensor_width": 36.0, "sensor_height": 24.0, "shift_x": 0.0},
        **{"shift_y": 0.0, "clip_start": 0.1, "clip_end": 100.0, "dof.use_dof": False},
    },
    "LIGHT": {"type": "POINT", "color": (1.0, 1.0, 1.0), "shadow_soft_size": 0.1},
    "MESH": {"shape_keys": None},
    "SCENE": {
        **{"render.resolution_percentage": 100, "view_settings.exposure": 0.0, "view_settings.gamma": 1.0},
        **{"render.image_settings.file_format": "PNG", "unit_settings.scale_length": 1.0},
        **dict.fromkeys(("render.film_transparent", "render.use_border", "use_preview_range"), False),
        **{"gravity": (0.0, 0.0, -9.81), "use_gravity": True, "render.use_simplify": False},
        **{"view_settings.view_transform": "AgX", "view_settings.look": "None"},
        **dict.fromkeys(("render.use_motion_blur", "render.use_freestyle", "view_settings.use_curve_mapping"), False),
    },
    "LAYER": {"use": True, "material_override": None},
    "COLLECTION": dict.fromkeys(("hide_viewport", "hide_render", "hide_select"), False),
}
ENGINES = ("BLENDER_EEVEE_NEXT", "BLENDER_EEVEE")  # of a new file, in Blender 4 and 5
OUTPUT = "/tmp/"  # where a new file renders to; Windows writes it with a backslash
# All data of a new file that an artist makes by hand, by its kind -> names. Less is no work of anybody's, more is.
DATA: dict[str, set[str]] = {
    **{"scenes": {"Scene"}, "worlds": {"World"}, "collections": {"Collection"}, "meshes": {"Cube"}},
    **{"objects": {"Cube", "Camera", "Light"}, "cameras": {"Camera"}, "lights": {"Light"}},
    **{"materials": {"Material", "Dots Stroke"}, "images": {"Render Result", "Viewer Node"}},
    **{kind: set() for kind in ("texts", "node_groups", "textures", "actions", "curves", "armatures", "lattices")},
    **{kind: set() for kind in ("movieclips", "masks", "sounds", "metaballs", "volumes", "pointclouds")},
}
ATTRIBUTES = {"position", "sharp_face", "UVMap", "material_index"}  # of the cube's mesh; a dot begins Blender's own
GREY, DARK = (0.8, 0.8, 0.8, 1.0), (0.05087609, 0.05087609, 0.05087609, 1.0)  # of the cube, and of the world
HIDDEN = "New file: its cube is hidden, and the view transform is Standard, for the pictures' colors."


def is_empty(scene: bpy.types.Scene) -> bool:
    """Whether the file holds nothing but the objects, settings and data that Blender starts with, or less."""
    return (
        all(_is_untouched(obj) for obj in scene.objects)
        and _has_first_settings(scene)
        and _has_first_layers(scene)
        and _has_first_world(scene)
        and not any(map(_has_more_data, DATA))
    )


def _has_more_data(kind: str) -> bool:
    """Whether the file has data of this kind that no new file has. Linked data (brushes and such) do not count."""
    return any(data.library is None and data.name not in DATA[kind] for data in getattr(bpy.data, kind))


def _has_first_layers(scene: bpy.types.Scene) -> bool:
    """Whether the scene has one view layer and one collection, in which nothing is hidden or excluded."""
    if len(scene.view_layers) != 1 or any(child.name != "Collection" for child in scene.collection.children):
        return False
    layer = scene.view_layers[0]
    first = (not part.exclude and not part.hide_viewport for part in layer.layer_collection.children)
    return (
        all(first)
        and _unchanged(layer, "LAYER")
        and all(_unchanged(child, "COLLECTION") for child in scene.collection.children)
        and not any(obj.hide_get(view_layer=layer) for obj in scene.objects)
    )


def _has_first_world(scene: bpy.types.Scene) -> bool:
    """Whether the world is that of a new file. An empty new file has none."""
    if scene.world is None:
        return not scene.objects
    tree = scene.world.node_tree
    if tree is None or scene.world.name not in DATA["worlds"] or scene.world.animation_data or tree.animation_data:
        return False
    return _has_two_nodes(tree, "ShaderNodeBackground", {"Color": DARK, "Strength": 1.0})


def _is_untouched(obj: bpy.types.Object) -> bool:
    """Whether an object is one that Blender starts with, unchanged."""
    data = obj.data
    worked_on = obj.animation_data or obj.constraints or obj.modifiers or obj.parent or obj.children
    if worked_on or data is None or data.animation_data or (obj.name, obj.type) not in STARTUP:
        return False
    now = [*obj.location, *obj.rotation_euler, *obj.scale]
    if obj.type == "MESH":
        if len(data.vertices) != 8:
            return False
        now += [abs(value) for vertex in data.vertices for value in vertex.co]
    else:
        now += [data.lens] if obj.type == "CAMERA" else [data.energy]
    return bool(np.allclose(now, STARTUP[obj.name, obj.type], atol=1e-4)) and not _has_more(obj)


def _has_more(obj: bpy.types.Object) -> bool:
    """Whether an object of a new file differs in what is no number of STARTUP: its kind, its parts, its material."""
    data = obj.data
    if (
        not _unchanged(obj, "OBJECT")
        or not _unchanged(data, obj.type)
        or obj.vertex_groups
        or [*obj.keys(), *data.keys()]
    ):
        return True
    if obj.type == "CAMERA":
        return bool(data.background_images)
    if obj.display_type != "TEXTURED":  # a new file's camera has another one
        return True
    if obj.type == "LIGHT":
        return False
    materials = [material for material in data.materials if material is not None]
    parts = (len(data.edges), len(data.polygons), len(data.uv_layers), len(data.color_attributes))
    more = {attribute.name for attribute in data.attributes if not attribute.name.startswith(".")} - ATTRIBUTES
    is_smooth = any(polygon.use_smooth for polygon in data.polygons)
    return parts != (12, 6, 1, 0) or bool(more) or is_smooth or len(materials) > 1 or not all(map(_is_grey, materials))


def _is_grey(material: bpy.types.Material) -> bool:
    """Whether a material is that of Blender's first cube."""
    return _has_two_nodes(material.node_tree, "ShaderNodeBsdfPrincipled", {"Base Color": GREY}) and np.allclose(
        material.diffuse_color, GREY, atol=1e-4
    )


def _has_two_nodes(tree: bpy.types.NodeTree | None, kind: str, values: dict[str, Any]) -> bool:
    """Whether a tree has an output and a node of this kind, whose inputs have these values. No tree counts as one."""
    if tree is None:
        return True
    shaders = [node for node in tree.nodes if node.bl_idname == kind]
    return (
        len(tree.nodes) == 2
        and len(shaders) == 1
        and all(_is(shaders[0].inputs[name].default_value, value) for name, value in values.items())
    )


def _unchanged(owner: Any, kind: str) -> bool:
    """Whether all settings of UNCHANGED for this kind have their first values."""
    return all(_is(owner.path_resolve(path), first) for path, first in UNCHANGED[kind].items())


def _is(value: Any, first: Any) -> bool:
    if isinstance(first, (tuple, float)):
        return bool(np.allclose(value, first, atol=1e-4))
    return bool(value == first)


def _has_first_settings(scene: bpy.types.Scene) -> bool:
    """Whether the scene's settings are as Blender starts with them, without markers, strips or animation."""
    render = scene.render
    frames = (scene.frame_start, scene.frame_end, scene.frame_current)
    size = (render.resolution_x, render.resolution_y, render.pixel_aspect_x, render.pixel_aspect_y)
    editor = scene.sequence_editor
    strips = editor and (editor.strips if hasattr(editor, "strips") else editor.sequences)
    comp = scene.compositing_node_group if hasattr(scene, "compositing_node_group") else scene.use_nodes
    worked_on = scene.timeline_markers or scene.animation_data or strips or comp or scene.rigidbody_world
    output = render.filepath.replace("\\", "/")
    if worked_on or render.engine not in ENGINES or output != OUTPUT or not _unchanged(scene, "SCENE"):
        return False
    return (*frames, *size, render.fps, render.fps_base) == SETTINGS


def make_room(changes: Changes, scene: bpy.types.Scene) -> str:
    """Hides the cube that Blender starts with, and shows colours as pictures have them. Returns that as a sentence.

    Without a cube it returns "". `scene` must be empty (`is_empty`). Everything is undone where `changes` are.
    """
    changes.set(scene.view_settings, **look.plain_view("Standard"))
    cube = scene.objects.get("Cube")
    if cube is None:
        return ""
    changes.set(cube, hide_render=True)
    for layer in scene.view_layers:
        changes.on_failure(partial(cube.hide_set, cube.hide_get(view_layer=layer), view_layer=layer))
        cube.hide_set(True, view_layer=layer)
    return HIDDEN
