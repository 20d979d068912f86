"""[B] A scene in which nobody has worked yet: how to tell, and what a first result sets there."""

from __future__ import annotations

from functools import partial

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
USUAL = "AgX"  # Blender's own view transform
HIDDEN = "New file: its cube is hidden, and the view transform is Standard, for the pictures' colors."


def is_empty(scene: bpy.types.Scene) -> bool:
    """Whether `scene` holds nothing but the objects and settings that Blender starts with, or less."""
    return all(_is_untouched(obj) for obj in scene.objects) and _has_first_settings(scene)


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
    return bool(np.allclose(now, STARTUP[obj.name, obj.type], atol=1e-4))


def _has_first_settings(scene: bpy.types.Scene) -> bool:
    """Whether the settings that a first result sets are as Blender starts with them, without markers or animation."""
    render = scene.render
    frames = (scene.frame_start, scene.frame_end, scene.frame_current)
    size = (render.resolution_x, render.resolution_y, render.pixel_aspect_x, render.pixel_aspect_y)
    worked_on = scene.timeline_markers or scene.animation_data
    return not worked_on and (*frames, *size, render.fps, render.fps_base) == SETTINGS


def make_room(changes: Changes, scene: bpy.types.Scene) -> str:
    """Hides the cube that Blender starts with, and shows colours as pictures have them. Returns that as a sentence.

    Without a cube it returns "". `scene` must be empty (`is_empty`). Everything is undone where `changes` are.
    """
    if scene.view_settings.view_transform == USUAL:
        changes.set(scene.view_settings, **look.plain_view("Standard"))
    cube = scene.objects.get("Cube")
    if cube is None:
        return ""
    changes.set(cube, hide_render=True)
    for layer in scene.view_layers:
        changes.on_failure(partial(cube.hide_set, cube.hide_get(view_layer=layer), view_layer=layer))
        cube.hide_set(True, view_layer=layer)
    return HIDDEN
