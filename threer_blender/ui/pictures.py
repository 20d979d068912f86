"""[B] Pictures on the panel that are no part of the file: Blender shows them as icons."""

from __future__ import annotations

from pathlib import Path

import bpy
import bpy.utils.previews

from . import work


def icon(path: Path) -> int:
    """The icon that shows the picture at `path`; the one asked for before is forgotten."""
    previews, name = work.current().previews, str(path)
    if name not in previews:
        previews.clear()
        previews.load(name, name, "IMAGE")
    number: int = previews[name].icon_id
    return number


def register() -> None:
    """Makes the collection."""
    work.current().previews = bpy.utils.previews.new()


def unregister() -> None:
    """Frees it: Blender complains of pictures that outlive their add-on."""
    bpy.utils.previews.remove(work.current().previews)
    work.current().previews = None
