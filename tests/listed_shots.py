"""A list of shots and a stand-in for the worker, which solves nothing but writes real bundles."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
# Solves nothing: it writes a bundle with a camera for each photo, and a line into solved.txt. It fails where a photo
# holds a sentence in place of a picture, and ends when its parent is gone.
WORKER = f"""
import json, os, sys, threading, time
from pathlib import Path
request = json.loads(sys.stdin.readline())
threading.Thread(target=lambda: (sys.stdin.read(), os._exit(4)), daemon=True).start()
for name in [name for name in sys.modules if name.partition(".")[0] == "threer_blender"]:
    del sys.modules[name]
sys.path.insert(0, {str(ROOT)!r})
import numpy as np
from threer_blender import bundle
from threer_blender.model.reconstruction import Camera, Photo, Reconstruction, Unregistered

files = [file for chosen in map(Path, request["photos"]) for file in sorted(chosen.iterdir())]
sentence = next((file.read_text() for file in files if file.stat().st_size > 8), "")
if sentence:
    print(json.dumps({{"type": "failed", "text": sentence, "kind": "user"}}), flush=True)
    os._exit(1)
time.sleep(0.1)
photos = [Photo(file.name, str(file), 64, 48, "0" * 64) for file in files]
cameras = [Camera(p.name, 64, 48, 50.0, 50.0, 32.0, 24.0, np.eye(4), reprojection_error=0.25) for p in photos]
last = [Unregistered("last.jpg", "It is dark.", "Take another.")]
output = bundle.write(Reconstruction("colmap", "test", photos, cameras, unregistered=last), request["output"],
                      run=request["run"])
with open(Path(request["output"]).parent.parent / "solved.txt", "a") as log:
    log.write(Path(request["output"]).name + "\\n")
print(json.dumps({{"type": "done", "bundle": str(output), "registered": len(cameras), "chosen": len(cameras) + 1,
                  "points": 0}}), flush=True)
os._exit(0)
"""
# A command line of our own whose worker is the stand-in: FOLDER VERB …
COMMAND_LINE = """
import sys
from pathlib import Path
from threer_blender.cli import command_line
from threer_blender.host import environment
from threer_blender.host.environment import Interpreter

folder = Path(sys.argv[1])
interpreter = Interpreter(Path(sys.executable), (folder / "fake",))
environment.this_python = lambda *_: interpreter
environment.choose = lambda *_: interpreter
sys.exit(command_line.main(sys.argv[2:], folder / "home"))
"""


def make(folder: Path, count: int = 3) -> Path:
    """A folder with the stand-in for the worker and a list of `count` shots, which is returned."""
    package = folder / "fake" / "threer_blender" / "worker"
    package.mkdir(parents=True)
    (package / "__main__.py").write_text(WORKER)
    lines = ['output = "results"', "[options]", 'quality = "preview"']
    for number in range(count):
        photos = folder / "photos" / f"shot {number}"
        photos.mkdir(parents=True)
        for name in ("a.jpg", "b.jpg"):
            (photos / name).write_bytes(f"{number}{name}".encode())
        lines += ["[[shot]]", f'name = "shot {number}"', f'photos = "photos/shot {number}"']
    (folder / "shots.toml").write_text("\n".join(lines) + "\n")
    return folder / "shots.toml"


def program(folder: Path) -> Path:
    """A program that takes the arguments of `python`, here always -m threer_blender …, with the stand-in's worker."""
    path = folder / "python"
    (folder / "command_line.py").write_text(COMMAND_LINE)
    command = f'{sys.executable} "{folder}/command_line.py" "{folder}"'
    path.write_text(f"#!/bin/sh\nshift 2\nexport PYTHONPATH='{ROOT}'\nexec {command} \"$@\"\n")
    path.chmod(0o755)
    return path
