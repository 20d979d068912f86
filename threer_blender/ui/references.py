"""[B] The box of what is known before a solve: its options, and the buttons that fill them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import bpy

from ..engines.options import KNOWN_BOX
from ..jobs.messages import Calibrate
from ..model.engine import Option
from ..model.errors import UserError
from . import properties, work
from .buttons import AsksForFiles, registration

LENS_FILE = "lens.json"


class THREER_OT_lens_grid(AsksForFiles, bpy.types.Operator):
    """Solve the lens from photos of a checkerboard, tilted and all over the picture, and use it from then on"""

    bl_idname = "threer.lens_grid"
    bl_label = "From Lens Grids…"

    def run(self, context: bpy.types.Context) -> None:
        if not self.paths:
            raise UserError("No photos were chosen: choose some of a checkerboard.")
        output = str(self.paths[0].with_name(LENS_FILE))
        work.add(Calibrate([str(path) for path in self.paths], output))
        properties.options_of(context.scene, properties.engine(context.scene)).lens_file = output


def draw(layout: Any, options: Sequence[Option], values: Any) -> None:
    """The boxes that the options name, each with its options, whose `values` are properties."""
    for name in dict.fromkeys(option.box for option in options if option.box):
        box = layout.box().column()
        box.label(text=name)
        for option in options:
            if option.box == name:
                box.prop(values, option.name)
        if name == KNOWN_BOX:
            box.operator(THREER_OT_lens_grid.bl_idname, icon="MESH_GRID")


register, unregister = registration((THREER_OT_lens_grid,), {})
