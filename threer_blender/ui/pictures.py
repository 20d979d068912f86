"""[B] Pictures on the panel that are no part of the file: Blender shows them as icons."""

from __future__ import annotations

from pathlib import Path

import bpy
import bpy.utils.previews

_pictures: bpy.utils.previews.ImagePreviewCollection | None = None


def icon(path: Path) -> int:
    """The icon that shows the picture at `path`; the one asked for before is forgotten."""
    assert _pictures is not None
    name = str(path)
    if name not in _pictures:
        _pictures.clear()
        _pictures.load(name, name, "IMAGE")
    number: int = _pictures[name].icon_id
    return number


def register() -> None:
    """Makes the collection."""
    global _pictures
    _pictures = bpy.utils.previews.new()


def unregister() -> None:
    """Frees it: Blender complains of pictures that outlive their add-on."""
    global _pictures
    bpy.utils.previews.remove(_pictures)
    _pictures = None
