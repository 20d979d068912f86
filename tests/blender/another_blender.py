"""A Blender of its own for test_faults, in the profile that BLENDER_USER_RESOURCES names.

`python another_blender.py [FOLDER]` enables the add-on there. It says which results nobody imported, and reconstructs
the photos of the folder as the panel would. It says one JSON object a line, and then waits to be killed.
"""

import importlib
import json
import sys
import time
from pathlib import Path

import bpy

PACKAGE = "bl_ext.user_default.threer_blender"


def say(**values: object) -> None:
    print("said", json.dumps(values), flush=True)  # the first word tells it from the lines that Blender prints


bpy.ops.preferences.addon_enable(module=PACKAGE)
work = importlib.import_module(f"{PACKAGE}.threer_blender.ui.work")
properties = importlib.import_module(f"{PACKAGE}.threer_blender.ui.properties")
say(offered=[str(folder) for folder in work.current().offered])
for folder in sys.argv[1:]:
    scene = bpy.context.scene
    bpy.ops.threer.choose_photos(directory=folder)
    photos = [path for path in properties.chosen_paths(scene) if Path(path).suffix == ".jpg"]
    task = work.start(photos, "colmap", {"quality": "preview", "points": False}, scene)
    bpy.ops.wm.read_homefile(use_factory_startup=True)  # its scene is gone, so the result is offered, not imported
    while task.job is None and task.ended is None:  # it starts on a thread
        work.tick()
        time.sleep(0.01)
    known = {"worker": task.job.pid, "output": str(task.output)}
    while task.ended is None:
        say(fraction=task.progress.fraction, **known)
        work.tick()
        time.sleep(0.05)
    work.tick()
    say(fraction=1.0, failed=getattr(task.ended, "text", ""), **known)
time.sleep(600)
