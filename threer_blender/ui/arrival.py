"""[B] The arrival of a first result: it is framed, in its colours, and selected. The viewport follows undo."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import bpy
import numpy as np
from mathutils import Vector

from ..model.errors import UserError
from ..scene import picking
from ..scene import root as roots

AWAY = 2.8  # times the result's radius: from there a viewport shows all of it
INSIDE = 90.0  # percent of the points that the radius holds: the rest is what strayed
RAISED = 0.45  # of the cameras' distance to the result: the view is from so much higher, to see the ground

GREY = ("WIREFRAME", "SOLID")  # shadings that show no colours of points


@dataclass
class _ChangedShading:
    """A viewport whose shading was changed, to show the colours of a root.

    `viewport` is its address, `root` the root's session_uid, and `before` the shading that it had.
    """

    viewport: int
    root: int
    before: str


_changed_shadings: list[_ChangedShading] = []


def present(root: bpy.types.Object, scene: bpy.types.Scene) -> None:
    """Selects the root, and has the largest viewport of each window of `scene` show the result whole, in colours."""
    for layer in scene.view_layers:
        for obj in layer.objects:
            obj.select_set(obj == root, view_layer=layer)
        layer.objects.active = root
    for space in _viewports(scene):
        if space.shading.type in GREY:
            _changed_shadings.append(_ChangedShading(space.as_pointer(), root.session_uid, space.shading.type))
            space.shading.type = "MATERIAL"
        space.overlay.show_relationship_lines = False  # from each camera to the root
        _frame(space.region_3d, root)


def _viewports(scene: bpy.types.Scene) -> Iterator[bpy.types.SpaceView3D]:
    """The largest 3D viewport of each window that shows `scene`."""
    for window in bpy.context.window_manager.windows:
        areas = [area for area in window.screen.areas if area.type == "VIEW_3D"]
        if window.scene == scene and areas:
            yield max(areas, key=lambda area: area.width * area.height).spaces.active


def _frame(view: bpy.types.RegionView3D, root: bpy.types.Object) -> None:
    """Turns a view to the result, from where its cameras are."""
    points = picking.visible_points(root)
    if not len(points):
        return
    centre = np.median(points, axis=0)
    radius = float(np.percentile(np.linalg.norm(points - centre, axis=1), INSIDE))
    try:
        forward = centre - np.median(roots.camera_centres(root), axis=0)
    except UserError:  # no cameras
        forward = np.array((0.0, 1.0, 0.0))
    forward[2] -= RAISED * float(np.linalg.norm(forward))
    if view.view_perspective == "CAMERA":
        view.view_perspective = "PERSP"
    view.view_rotation = Vector(forward.tolist()).to_track_quat("-Z", "Y")
    view.view_location = centre.tolist()
    view.view_distance = AWAY * radius


def _follow(*_: object) -> None:
    """Called after undo and redo: a changed viewport shows materials while its root exists, else its former shading."""
    existing = {obj.session_uid for obj in bpy.data.objects}
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            space = area.spaces.active
            for changed in _changed_shadings:
                if area.type != "VIEW_3D" or space.as_pointer() != changed.viewport:
                    continue
                if changed.root not in existing and space.shading.type == "MATERIAL":
                    space.shading.type = changed.before
                elif changed.root in existing and space.shading.type == changed.before:
                    space.shading.type = "MATERIAL"


_follow = bpy.app.handlers.persistent(_follow)


def register() -> None:
    """Starts following undo and redo."""
    for handlers in (bpy.app.handlers.undo_post, bpy.app.handlers.redo_post):
        handlers.append(_follow)


def unregister() -> None:
    """Stops it."""
    for handlers in (bpy.app.handlers.undo_post, bpy.app.handlers.redo_post):
        handlers.remove(_follow)
    _changed_shadings.clear()
