"""Runs inside Blender's window: executes each Python file that appears in the folder CONTROL and writes its output."""

import contextlib
import io
import os
import traceback
from pathlib import Path

import bpy

folder = Path(os.environ["CONTROL"])
names = {"bpy": bpy, "ADDON": "bl_ext.user_default.threer_blender"}

exec(
    """
import sys
def viewport():
    "The window, its 3D viewport and the regions of that by type."
    window = bpy.context.window_manager.windows[0]
    area = next(area for area in window.screen.areas if area.type == "VIEW_3D")
    return window, area, {region.type: region for region in area.regions}
def part(name):
    "A module of the add-on."
    return sys.modules[ADDON + ".threer_blender." + name]
def work():
    return part("ui.work").current()
def summary():
    root = part("ui.summary").current_root(bpy.context.scene, None)
    return root and part("ui.summary").summary(root)
""",
    names,
)


def tick() -> float:
    """Executes the files that have appeared; returns the seconds until Blender calls it again."""
    for asked in sorted(folder.glob("*.py")):
        code = asked.read_text()
        asked.unlink()
        answer = io.StringIO()
        with contextlib.redirect_stdout(answer):
            try:
                exec(code, names)
            except Exception:
                traceback.print_exc(file=answer)
        unfinished = asked.with_suffix(".part")
        unfinished.write_text(answer.getvalue())
        unfinished.rename(asked.with_suffix(".out"))
    return 0.05


bpy.context.preferences.view.show_splash = False
bpy.app.timers.register(tick, first_interval=1.0, persistent=True)
