"""[B] The button that writes a mask drawn in Blender as pictures, and chooses them as masks of a reconstruction."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import bpy

from ..files import bundle_folder
from ..jobs import results
from ..model.errors import UserError
from ..scene import clip_masks
from . import properties, words
from .buttons import Button, registration

LONGEST = 30  # letters of the mask's and of the clip's name in the folder's name


class THREER_OT_use_drawn_mask(Button, bpy.types.Operator):
    """Write a mask that you drew in Blender as pictures, one for each frame, and leave out what is inside it"""

    bl_idname = "threer.use_drawn_mask"
    bl_label = "Use Blender Mask…"

    mask: bpy.props.StringProperty(name="Mask", options={"SKIP_SAVE"})
    clip: bpy.props.StringProperty(name="Clip", options={"SKIP_SAVE"})

    @classmethod
    def poll(cls, _context: bpy.types.Context) -> bool:
        if bpy.data.masks and bpy.data.movieclips:
            return True
        cls.poll_message_set("Draw a mask over the clip in the Movie Clip Editor first")
        return False

    def invoke(self, context: bpy.types.Context, _event: bpy.types.Event) -> set[str]:
        self.mask, self.clip = bpy.data.masks[0].name, bpy.data.movieclips[0].name
        return set(context.window_manager.invoke_props_dialog(self))

    def draw(self, _context: bpy.types.Context) -> None:
        layout: Any = self.layout
        layout.prop_search(self, "mask", bpy.data, "masks")
        layout.prop_search(self, "clip", bpy.data, "movieclips")

    def run(self, context: bpy.types.Context) -> None:
        mask, clip = bpy.data.masks.get(self.mask), bpy.data.movieclips.get(self.clip)
        if mask is None or clip is None:
            raise UserError("Choose a mask, and the clip that it was drawn over.")
        folder = _folder(mask, clip)
        folder.parent.mkdir(parents=True, exist_ok=True)
        count = clip_masks.write(mask, clip, folder)
        options = properties.options_of(context.scene, properties.engine(context.scene))
        options.masks, options.masked = str(folder), "white"
        self.report({"INFO"}, f"{words.count(count, 'mask')} written")


def _folder(mask: bpy.types.Mask, clip: bpy.types.MovieClip) -> Path:
    """The folder for pictures of this mask over this clip in this .blend file.

    The same mask gets the same folder again, except in an unsaved file: that cannot be told from other unsaved files.
    """
    blend, file = bpy.data.filepath, bpy.path.abspath(clip.filepath)
    digest = hashlib.sha256("\n".join((mask.name, clip.name, file, blend)).encode("utf-8", "surrogateescape"))
    names = " ".join(bpy.path.clean_name(name)[:LONGEST] for name in (mask.name, clip.name))
    folder = results.results_folder(file, blend) / f"{names} {digest.hexdigest()[:8]} masks"
    return folder if blend else bundle_folder.unused_name(folder)


def draw(layout: Any, scene: bpy.types.Scene, columns: int) -> None:
    """Draws the button on a line of so many letters, where the engine takes masks."""
    if any(option.name == "masks" for option in properties.engine(scene).options):
        text = words.fitting(THREER_OT_use_drawn_mask.bl_label, "Blender Mask…", columns)
        layout.operator(THREER_OT_use_drawn_mask.bl_idname, text=text, icon="MOD_MASK")


register, unregister = registration((THREER_OT_use_drawn_mask,), {})
