"""[B] One button that makes a scene ready for a first test object. A dialog lists every step before it is done."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import bpy

from ..scene import ready
from . import lenses, summary, words
from .buttons import OfResult

WIDTH = 460  # pixels of the dialog, at Blender's interface scale 1
COLUMNS = 64  # letters on its lines


class THREER_OT_scene_ready(OfResult, bpy.types.Operator):
    """Set render, camera, plate, ground, sun and compositor up for CG in this result; says what it will do first"""

    bl_idname = "threer.scene_ready"
    bl_label = "Scene Ready"
    bl_options = {"UNDO"}

    _steps: Sequence[ready.Step] = ()  # planned once, since the dialog is drawn at each move of the mouse

    def invoke(self, context: bpy.types.Context, _event: Any) -> set[str]:
        if self.attempt(self.plan, context) == {"CANCELLED"}:
            return {"CANCELLED"}
        return set(context.window_manager.invoke_props_dialog(self, width=WIDTH))

    def plan(self, context: bpy.types.Context) -> None:
        """Plans the steps that the dialog lists."""
        root = summary.current_root(context.scene, context.object)
        assert root is not None  # poll has looked
        self._steps = ready.plan(context.scene, root)

    def draw(self, _context: bpy.types.Context) -> None:
        for step in self._steps:
            words.sentence(self.layout, step.text, COLUMNS, "CHECKMARK")
            if step.replaces:
                words.sentence(self.layout, f"in place of: {step.replaces}", COLUMNS, "ERROR")

    def run(self, context: bpy.types.Context) -> None:
        root = summary.current_root(context.scene, context.object)
        assert root is not None  # poll has looked
        ready.set_up(context.scene, root, partial(lenses.comp_over_plate, context.scene, root))
