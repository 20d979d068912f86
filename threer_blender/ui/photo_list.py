"""[B] The list of chosen photos and shots: each with its thumbnail, and what the shown result says of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import bpy

from ..files import photo_files, sequence_files
from . import operators, pictures, properties, summary, words
from .summary import PhotoState

ROWS = 5  # of the list
NAME_SHARE = 0.64  # of a row's width, for the thumbnail and the name
THUMBNAIL = 5.0  # height of the chosen row's picture, in lines of the panel
FOLDED = "threer_photo_list"  # Blender's name for whether the list is folded away


class THREER_UL_photos(bpy.types.UIList):
    """The list of what is chosen: thumbnail, name, and error in pixels or a warning sign."""

    bl_idname = "THREER_UL_photos"

    def draw_item(
        self,
        context: bpy.types.Context,
        layout: Any,
        _settings: Any,
        photo: Any,
        _icon: int,
        _active_data: Any,
        _active_property: str,
    ) -> None:
        state = state_of(photo.path, states(context))
        row = layout if state is None else layout.split(factor=NAME_SHARE)
        row.label(text=name_of(photo.path), **_icon_of(photo.path))
        if state is None:
            return
        row = row.row(align=True)
        row.alignment = "RIGHT"
        if state.camera:
            row.label(text="registered" if state.error is None else f"{state.error:.2f} px")
            button = row.operator(operators.THREER_OT_look_through.bl_idname, text="", icon="CAMERA_DATA", emboss=False)
            button.camera = state.camera
        else:
            row.label(text="", icon="ERROR")  # the text below the list says why


def _icon_of(path: str) -> dict[str, Any]:
    """The thumbnail of a file as arguments of a label; another icon where Blender makes no thumbnail of such a file."""
    suffix = path[path.rfind(".") :].lower()
    if sequence_files.is_pattern(path):
        return {"icon": "RENDER_ANIMATION"}
    if suffix in bpy.path.extensions_image or suffix in bpy.path.extensions_movie:
        return {"icon_value": pictures.thumbnail(bpy.path.abspath(path), suffix in photo_files.VIDEO_SUFFIXES)}
    return {"icon": "FILE_IMAGE"}


def name_of(path: str) -> str:
    """The file's name in a path of this computer."""
    return path.replace("\\", "/").rpartition("/")[2]


def states(context: bpy.types.Context) -> Mapping[str, PhotoState]:
    """The state of each photo in the result that the panel shows; nothing without a result."""
    root = summary.current_root(context.scene, context.object)
    return {} if root is None else summary.photo_states(root)


def state_of(path: str, known: Mapping[str, PhotoState]) -> PhotoState | None:
    """The state of a chosen file, None where the result says nothing of it.

    Results name a file after so many parent folders as distinguish files of the same name.
    """
    parts = path.replace("\\", "/").split("/")
    names = ("/".join(parts[-depth:]) for depth in range(1, len(parts) + 1))
    return next((known[name] for name in names if name in known), None)


def draw(layout: Any, context: bpy.types.Context, columns: int) -> None:
    """Draws the list, folded away at first, with buttons to add and to remove."""
    settings = properties.settings(context.scene)
    if not settings.photos:
        return
    header, body = layout.panel(FOLDED, default_closed=True)
    known = states(context)
    lost = sum(not state.camera for state in known.values())
    header.label(text=f"List: {lost} without a camera" if lost else "List")
    header.operator(operators.THREER_OT_choose_photos.bl_idname, text="", icon="ADD", emboss=False).adds = True
    if body is None:
        return
    header.operator(operators.THREER_OT_remove_photo.bl_idname, text="", icon="REMOVE", emboss=False)
    kind = THREER_UL_photos.bl_idname
    body.template_list(kind, "", settings, "photos", settings, "photo_row", rows=ROWS, maxrows=ROWS)
    if not 0 <= settings.photo_row < len(settings.photos):
        return
    photo = settings.photos[settings.photo_row]
    icon = _icon_of(photo.path).get("icon_value")
    if icon is not None:
        body.template_icon(icon, scale=THUMBNAIL)
    state = state_of(photo.path, known)
    if state is not None and not state.camera:
        words.sentence(body, state.reason, columns, "ERROR")


register, unregister = bpy.utils.register_classes_factory((THREER_UL_photos,))
