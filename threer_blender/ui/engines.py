"""[B] The choice of an engine: which there are, on what terms, what they make, and whether they are ready here."""

from __future__ import annotations

from typing import Any

import bpy

from .. import doctor
from ..engines import registry
from ..model.engine import GROUPS, Engine
from . import choices, properties, readiness, words

# A name in `Engine.produces` -> the artists' word for it.
MAKES = {"cameras": "cameras", "pointmaps": "depth", "cloud": "points", "gaussians": "splats"}
WIDTH, COLUMNS = 26, 74  # of the list, in Blender's units and in letters
# Shares of a row's width: of the engine's name; of what follows, the facts; of what follows these, the download.
NAME, FACTS, DOWNLOAD = 0.36, 0.52, 0.48


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
        for number, (group, engines) in enumerate(grouped().items()):
            column = layout.column(align=True)
            facts, download, use = _cells(words.dimmed(column), lambda row, text=group: row.label(text=text))
            if number == 0:
                facts.label(text="Makes")
                download.label(text="Weights")
                use.label(text="Commercial")
            for engine, state in engines:
                _row(column, settings, engine, state)
        _about(layout, properties.engine(context.scene))


def grouped() -> dict[str, list[tuple[Engine, doctor.Readiness]]]:
    """The engines that the filter lets through by group, in each group those first that can run now."""
    states = [(engine, readiness.of(engine)) for engine in registry.engines().values() if choices.allows(engine)]
    ordered = sorted(states, key=lambda each: not each[1].ready)
    groups = {group: [each for each in ordered if each[0].group == group] for group in GROUPS}
    return {group: engines for group, engines in groups.items() if engines}


def _cells(layout: Any, draw_name: Any) -> tuple[Any, Any, Any]:
    """A row of the list: draws the name by `draw_name`, and returns the cells for facts, download and use."""
    row = layout.split(factor=NAME, align=True)
    draw_name(row)
    row = row.split(factor=FACTS)
    facts = row.row()
    row = row.split(factor=DOWNLOAD)
    return facts, row.row(), row.row()


def _row(layout: Any, settings: Any, engine: Engine, state: doctor.Readiness) -> None:
    """Draws the button that chooses an engine, and beside it facts about the engine."""
    _, icon = readiness.described(state)
    facts, download, use = _cells(
        layout, lambda row: row.prop_enum(settings, "engine", engine.id, text=engine.label, icon=icon)
    )
    facts.label(text=made(engine))
    size = sum(weights.size for weights in engine.weights)
    download.label(text=words.size(size) if size else "some" if engine.weights else "none")
    use.label(text="yes" if engine.commercial else "no")


def made(engine: Engine) -> str:
    """The result of an engine in a few words: splats or points, in metres or not, of one photo too or not."""
    kind = MAKES["gaussians" if "gaussians" in engine.produces else "cloud"]
    # Whether an engine that starts from another one makes do with one photo depends on that one.
    of_one = not engine.one_photo and "start" not in {option.name for option in engine.options}
    return ", ".join([kind, *(["metres"] if engine.metric else []), *(["1 photo too"] if of_one else [])])


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


register, unregister = bpy.utils.register_classes_factory((THREER_PT_engine,))
