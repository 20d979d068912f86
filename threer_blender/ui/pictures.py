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


def thumbnail(path: str, is_film: bool) -> int:
    """The number of the icon that shows a small picture of a file. Blender reads the file in a thread, once it draws
    the icon."""
    thumbnails = work.current().thumbnails
    if path not in thumbnails:
        thumbnails.load(path, path, "MOVIE" if is_film else "IMAGE")
    number: int = thumbnails[path].icon_id
    return number


def forget_thumbnails() -> None:
    """Has files read again: they may have changed since."""
    work.current().thumbnails.clear()


def register() -> None:
    """Makes Blender's collections of icons."""
    work.current().previews = bpy.utils.previews.new()
    work.current().thumbnails = bpy.utils.previews.new()


def unregister() -> None:
    """Frees the collections: Blender complains of pictures that outlive their add-on."""
    for collection in (work.current().previews, work.current().thumbnails):
        bpy.utils.previews.remove(collection)
    work.current().previews = work.current().thumbnails = None
