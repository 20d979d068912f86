"""[B] The choice of an engine: which there are, on what terms, what they make, and whether they are ready here."""

from __future__ import annotations

from typing import Any

import bpy

from .. import doctor
from ..engines import registry
from ..model.engine import Engine
from . import choices, properties, readiness, words

# A name in `Engine.produces` -> the artists' word for it.
MAKES = {"cameras": "cameras", "pointmaps": "depth", "cloud": "points", "gaussians": "splats"}
WIDTH, COLUMNS = 16, 44  # of the list, in Blender's units and in letters


class THREER_PT_engine(bpy.types.Panel):
    """The list of engines, its filter, and facts about the chosen engine."""

    bl_label = "Engine"
    bl_description = "Choose what computes cameras and points; a check mark stands before those that can run now"
    bl_space_type = "VIEW_3D"
    bl_region_type = "HEADER"  # where panels are drawn only when a button opens them
    bl_ui_units_x = WIDTH

    layout: Any

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        settings = properties.settings(context.scene)
        layout.prop(choices.current(), "commercial_only")
        column = layout.column(align=True)
        for engine, state in listed():
            _, icon = readiness.described(state)
            column.prop_enum(settings, "engine", engine.id, text=engine.label, icon=icon)
        _about(layout, properties.engine(context.scene))


def listed() -> list[tuple[Engine, doctor.Readiness]]:
    """The engines that the filter lets through, those first that can run now."""
    states = [(engine, readiness.of(engine)) for engine in registry.engines().values() if choices.allows(engine)]
    return sorted(states, key=lambda each: not each[1].ready)


def draw_choice(layout: Any, engine: Engine) -> None:
    """Draws a button with the chosen engine, which opens the list, beside a label like those of the options."""
    row = layout.split(factor=0.4)
    name = row.row()
    name.alignment = "RIGHT"
    name.label(text="Engine")
    row.popover(THREER_PT_engine.__name__, text=engine.label)


def _about(layout: Any, engine: Engine) -> None:
    """Draws the chosen engine: its summary, its results and its terms."""
    box = layout.box().column()
    words.sentence(box, engine.summary, COLUMNS, "NONE")
    words.quiet(box, f"Makes {', '.join(word for name, word in MAKES.items() if name in engine.produces)}")
    use = "Commercial use is allowed" if engine.commercial else "No commercial use"
    words.sentence(box, f"{use}: {engine.licence}", COLUMNS, "NONE")
    total = sum(weights.size for weights in engine.weights)
    if total:
        words.quiet(box, f"Weights of {words.size(total)}")


register, unregister = bpy.utils.register_classes_factory((THREER_PT_engine,))
