"""[B] The choice of an engine: which there are, on what terms, what they make, and whether they are ready here."""

from __future__ import annotations

from typing import Any

import bpy

from .. import catalog, doctor
from ..catalog import Engine
from . import choices, properties, words, work
from .panel import Sidebar

# What an engine produces -> what an artist calls it.
MAKES = {"cameras": "cameras", "pointmaps": "depth", "cloud": "points", "gaussians": "splats"}


class THREER_PT_engine(Sidebar, bpy.types.Panel):  # type: ignore[misc]
    """Folded away: the engine that is chosen at first runs everywhere."""

    bl_label = "Engine"
    bl_parent_id = "THREER_PT_main"
    bl_options = {"DEFAULT_CLOSED"}

    @classmethod
    def poll(cls, _context: bpy.types.Context) -> bool:
        return len(catalog.engines()) > 1

    def draw(self, context: bpy.types.Context) -> None:
        layout, width = self.layout, words.columns(context)
        settings, home = properties.settings(context.scene), work.current().home
        layout.prop(choices.current(), "commercial_only")
        column = layout.column(align=True)
        for engine, found in doctor.engines(home):
            if choices.allows(engine):
                icon = "CHECKMARK" if found.ready else "IMPORT"
                column.prop_enum(settings, "engine", engine.id, text=engine.label, icon=icon)
        _about(layout, properties.engine(context.scene), width)


def _about(layout: Any, engine: Engine, width: int) -> None:
    """What the chosen engine is and makes, and on what terms."""
    box = layout.box().column()
    words.sentence(box, engine.summary, width - 2, "NONE")
    words.quiet(box, f"Makes {', '.join(word for name, word in MAKES.items() if name in engine.produces)}")
    use = "Commercial use is allowed" if engine.commercial else "No commercial use"
    words.sentence(box, f"{use}: {engine.licence}", width - 2, "NONE")
    total = sum(weights.size for weights in engine.weights)
    if total:
        words.quiet(box, f"Weights of {words.size(total)}")


def register() -> None:
    """Adds the panel to the sidebar."""
    bpy.utils.register_class(THREER_PT_engine)


def unregister() -> None:
    """Takes it away again."""
    bpy.utils.unregister_class(THREER_PT_engine)
