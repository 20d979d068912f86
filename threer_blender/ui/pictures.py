"""[B] Pictures on the panel that are no part of the .blend file. Blender shows them as icons."""

from __future__ import annotations

from pathlib import Path

import bpy
import bpy.utils.previews

from . import work


def icon(path: Path) -> int:
    """The number of the icon that shows the picture at `path`. Only the latest picture is kept."""
    previews, name = work.current().previews, str(path)
    if name not in previews:
        previews.clear()
        previews.load(name, name, "IMAGE")
    number: int = previews[name].icon_id
    return number


def register() -> None:
    """Makes Blender's collection of icons."""
    work.current().previews = bpy.utils.previews.new()


def unregister() -> None:
    """Frees the collection: Blender complains of pictures that outlive their add-on."""
    bpy.utils.previews.remove(work.current().previews)
    work.current().previews = None
