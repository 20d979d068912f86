"""A runtime without an engine: it says what it is told by files beside the photos, then copies the bundle from there.

It works on until there is a file `go` (or fails, where that file holds a sentence), and says nothing while there is a
file `silent`.
"""

import json
import os
import shutil
import sys
import threading
import time
from pathlib import Path

request = json.loads(sys.stdin.readline())
photos, output = Path(request["photos"][0]).parent, Path(request["output"])


def say(**message: object) -> None:
    print(json.dumps(message), flush=True)


def watch() -> None:
    if sys.stdin.readline():
        say(type="failed", text="The reconstruction was cancelled.", kind="cancelled")
    os._exit(3)


threading.Thread(target=watch, daemon=True).start()
fraction = 0.0
while not (photos / "go").exists():
    fraction += 0.001
    if not (photos / "silent").exists():
        say(type="progress", stage="Looking for features", fraction=min(1.0, fraction), seconds_left=12.0)
    time.sleep(0.02)
if sentence := (photos / "go").read_text():
    say(type="failed", text=sentence, kind="user")
    sys.exit(1)
partial = output.parent / f".{output.name}.partial"
shutil.copytree(photos / "bundle", partial)
partial.rename(output)
count = len(request["photos"])
say(type="done", bundle=str(output), registered=count, chosen=count, points=1000)
