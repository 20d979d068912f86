"""[B] The add-on's preferences: what can run here, where files are kept, and the log."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy

from .. import doctor, results
from . import operators, work


class THREER_AP_preferences(bpy.types.AddonPreferences):  # type: ignore[misc]
    """Shown in Blender's preferences under the extension's name."""

    layout: Any

    def draw(self, _context: bpy.types.Context) -> None:
        home = work.current().home
        for engine, found in doctor.engines(home):
            self.layout.label(text=f"{engine.label}: {found}", icon="CHECKMARK" if found.ready else "ERROR")
        cache = sum(_megabytes(home / name) for name in operators.CACHES)
        row = self._folder("Cache", home, cache)
        row.operator(operators.THREER_OT_clear_cache.bl_idname)
        self._folder("Results of unsaved files", home / results.RESULTS, _megabytes(home / results.RESULTS))
        logs = sorted((home / "logs").glob("*.log"))
        if logs:
            self.layout.operator("wm.path_open", text="Open Latest Log", icon="TEXT").filepath = str(logs[-1])

    def _folder(self, name: str, folder: Path, megabytes: float) -> Any:
        """A row that says how large a folder is and opens it."""
        row = self.layout.row()
        row.label(text=f"{name}: {megabytes:.1f} MB")
        if folder.is_dir():
            row.operator("wm.path_open", text="Open Folder", icon="FILE_FOLDER").filepath = str(folder)
        return row


def _megabytes(folder: Path) -> float:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / 1e6


def register(addon_id: str) -> None:
    """Makes the preferences of the add-on known."""
    THREER_AP_preferences.bl_idname = addon_id
    bpy.utils.register_class(THREER_AP_preferences)


def unregister() -> None:
    """Takes them away again."""
    bpy.utils.unregister_class(THREER_AP_preferences)
