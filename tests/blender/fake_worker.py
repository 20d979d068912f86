"""A worker without an engine. Files beside the photos steer it, and in the end it copies the bundle beside them.

- `go` ends the work. The worker fails where this file holds a sentence.
- `silent` keeps the worker from sending messages while the file is there.
- `preview.png` is sent as a preview while the file is there. The worker then has a result to keep when it is cancelled.
- `nonsense` holds text that the worker sends instead of messages.
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
    """Waits for a cancel, and obeys it: the process ends, or works to its end where it has a result to keep."""
    for _ in sys.stdin:
        if (photos / "preview.png").exists():
            (photos / "go").touch()
            continue
        say(type="failed", text="The reconstruction was cancelled.", kind="cancelled")
        os._exit(3)
    os._exit(3)


threading.Thread(target=watch, daemon=True).start()
if (photos / "nonsense").exists():
    print((photos / "nonsense").read_text(), flush=True)
    time.sleep(600)
fraction = 0.0
while not (photos / "go").exists():
    fraction += 0.001
    if not (photos / "silent").exists():
        previewed = (photos / "preview.png").exists()
        if previewed:
            say(type="preview", path=str(photos / "preview.png"))
        say(type="progress", stage="Working", fraction=min(1.0, fraction), seconds_left=12.0, cancel_delivers=previewed)
    time.sleep(0.02)
if sentence := (photos / "go").read_text():
    say(type="failed", text=sentence, kind="user")
    sys.exit(1)
if request["leave_staged"]:  # the result stays in its staging folder
    (staging,) = output.parent.glob(f".*.{request['run']}.partial")
    output = staging / "new"
partial = output.parent / f".{output.name}.copying"
shutil.copytree(photos / "bundle", partial)
partial.rename(output)
count = len(request["photos"])
say(type="done", bundle=str(output), registered=count, chosen=count, points=1000)
