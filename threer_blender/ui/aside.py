"""[B] Other cameras step aside while a viewport looks through one of ours: their lines would cross the picture.

They are hidden in the viewport alone, and marked. Once no viewport looks through a camera any more, they are back.
"""

from __future__ import annotations

import bpy

from ..scene import identity

MARK = "threer_aside"  # on a camera that is hidden while a viewport looks through another: its view layers, as lines
INTERVAL = 0.5  # seconds between two looks at the viewports


def hide_others(scene: bpy.types.Scene, layer: bpy.types.ViewLayer, chosen: bpy.types.Object) -> None:
    """Hides all visible cameras of a view layer but the `chosen` one, until no viewport looks through a camera."""
    for camera in [obj for obj in scene.objects if obj.type == "CAMERA" and obj.library is None]:
        if camera == chosen:
            _show(camera)
        elif camera.visible_get(view_layer=layer):
            camera.hide_set(True, view_layer=layer)
            camera[MARK] = "\n".join(filter(None, [identity.text(camera, MARK), layer.name]))
    _watch()


def _show(camera: bpy.types.Object) -> None:
    """Shows a camera in the view layers in which it had stepped aside, and takes its mark off."""
    names = identity.text(camera, MARK).splitlines()
    if MARK in camera:
        del camera[MARK]
    for scene in bpy.data.scenes:
        for layer in scene.view_layers:
            if layer.name in names and camera.name in layer.objects:
                camera.hide_set(False, view_layer=layer)


def come_back() -> float | None:
    """A timer's function: shows the cameras again once no viewport looks through one. Returns the seconds to its next
    call, None where nothing is aside any more."""
    windows = bpy.context.window_manager.windows
    aside = [obj for obj in bpy.data.objects if MARK in obj]
    if not aside:
        return None
    if any(_is_in_camera(window) for window in windows):
        return INTERVAL
    for camera in aside:
        _show(camera)
    return None


def _is_in_camera(window: bpy.types.Window) -> bool:
    """Whether a viewport of a window looks through its camera."""
    spaces = (area.spaces.active for area in window.screen.areas if area.type == "VIEW_3D")
    return any(space.region_3d is not None and space.region_3d.view_perspective == "CAMERA" for space in spaces)


def _watch(*_: object) -> None:
    """Starts looking at the viewports; also after undo and redo, which may bring cameras back that are aside."""
    if not bpy.app.background and not bpy.app.timers.is_registered(come_back):
        bpy.app.timers.register(come_back, first_interval=INTERVAL, persistent=True)


_watch = bpy.app.handlers.persistent(_watch)
_HANDLERS = ("undo_post", "redo_post", "load_post")


def register() -> None:
    """Starts following undo, redo and loading."""
    for name in _HANDLERS:
        getattr(bpy.app.handlers, name).append(_watch)


def unregister() -> None:
    """Stops it; cameras that are aside come back."""
    for name in _HANDLERS:
        getattr(bpy.app.handlers, name).remove(_watch)
    if bpy.app.timers.is_registered(come_back):
        bpy.app.timers.unregister(come_back)
    for camera in [obj for obj in bpy.data.objects if MARK in obj]:
        _show(camera)
