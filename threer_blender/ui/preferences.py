"""[B] The add-on's preferences.

They show which engines can run here, the private environment, the folders of files, the token and the log.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import bpy

from .. import doctor
from ..engines import registry
from ..host import environment
from ..jobs import process
from . import choices, operators, readiness, upkeep, words, work

# Drawn until a background thread has found the real ones.
NO_LOGS: list[Path] = []
NO_LINES: list[str] = []


class THREER_AP_preferences(bpy.types.AddonPreferences):
    """Shown in Blender's preferences under the extension's name."""

    weights_folder: bpy.props.StringProperty(
        name="Weights Folder",
        description="Where downloaded weights are kept, for all engines; empty for the extension's own folder",
        subtype="DIR_PATH",
        update=choices.use_weights_folder,
    )
    token: bpy.props.StringProperty(
        name="Access Token",
        description="Your own token, sent only to the site of weights that ask for one; "
        "empty for the one that you gave to Hugging Face's tools",
        subtype="PASSWORD",
    )
    commercial_only: bpy.props.BoolProperty(
        name="Commercial Use Only", description="Show only engines whose results may be used commercially"
    )

    layout: Any

    def draw(self, _context: bpy.types.Context) -> None:
        layout, data_folder = self.layout, work.current().data_folder
        layout.label(
            text=f"The panel is in the sidebar of the 3D viewport: press N there, tab {operators.TAB}", icon="INFO"
        )
        _engines(layout.box())
        _environment(layout.box(), data_folder)
        box = layout.box()
        box.prop(self, "weights_folder")
        box.prop(self, "token")
        upkeep.draw_weights(box, data_folder)
        cache = work.seek("cache", partial(_cache, data_folder), 0)
        _folder(layout, "Cache", data_folder, cache).operator(operators.THREER_OT_clear_cache.bl_idname)
        logs = work.seek("logs", partial(process.logs, data_folder / process.LOGS), NO_LOGS)
        if logs:
            layout.operator("wm.path_open", text="Open Latest Log", icon="TEXT").filepath = str(logs[-1])


def _engines(layout: Any) -> None:
    """Draws a line for each engine: whether it is ready, and its licence."""
    layout.prop(choices.current(), "commercial_only")
    for engine in registry.engines().values():
        if choices.allows(engine):
            text, icon = readiness.described(readiness.of(engine))
            row = layout.row()
            row.label(text=f"{engine.label}: {text}", icon=icon)
            words.quiet(row, engine.licence)


def _environment(layout: Any, data_folder: Path) -> None:
    """Draws the facts about this computer, and the private environment's state and buttons."""
    for line in work.seek("lines", partial(doctor.lines, data_folder), NO_LINES):
        layout.label(text=line)
    row = layout.row()
    row.operator(upkeep.THREER_OT_set_up.bl_idname, text="Set Up for All Engines")
    if work.seek("private", partial(environment.private, data_folder), None) is not None:
        row.operator(upkeep.THREER_OT_remove_environment.bl_idname)


def _folder(layout: Any, name: str, folder: Path, size: int) -> Any:
    """Draws a row with the name and size (bytes) of a folder, and a button that opens it. Returns the row."""
    row = layout.row()
    row.label(text=f"{name}: {words.size(size)}")
    if work.seek(("folder", str(folder)), folder.is_dir, False):
        row.operator("wm.path_open", text="Open Folder", icon="FILE_FOLDER").filepath = str(folder)
    return row


def _cache(data_folder: Path) -> int:
    """The bytes that compiled code and logs take."""
    folders = (data_folder / process.KERNELS, data_folder / process.LOGS)
    return sum(file.stat().st_size for folder in folders for file in folder.rglob("*") if file.is_file())


def register() -> None:
    """Registers the preferences with Blender."""
    THREER_AP_preferences.bl_idname = work.current().addon_id
    bpy.utils.register_class(THREER_AP_preferences)
    choices.begin()


def unregister() -> None:
    """Removes the preferences from Blender."""
    choices.end()
    bpy.utils.unregister_class(THREER_AP_preferences)
