"""A worker that behaves as the request's options say: it works, crashes, hangs, babbles or starts grandchildren.

- `steps`, `pause`: the number of steps, and the seconds that each takes.
- `deaf`: it does not listen to a cancel, nor to the end of its input.
- `delivers`: it has a result, which it delivers after a cancel. `slow`: it goes on with its steps before that.
- `grandchild`: it starts a process that sleeps.
- `made`, `place`: it copies the folder `made` to `place`.
- `crash`: it ends by a signal ("kill", "segv") or with a status ("exit").
- `babble`: it prints a line that is no message.
- `kernels`: it reports the folder of compiled kernels.
- `staging`, `marker`: it makes the folder `staging`, and writes `marker` into it to show that the folder is ours.

It always leaves a file in its folder for temporary files. It tells paths and process ids as warnings.
"""

import ctypes
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

request = json.loads(sys.stdin.readline())
options = request["options"]


def say(**message: object) -> None:
    print(json.dumps(message), flush=True)


def watch() -> None:
    for line in sys.stdin:
        if json.loads(line)["type"] != "cancel" or options.get("deaf"):
            continue
        if options.get("delivers") and not finishing.is_set():
            finishing.set()
        else:
            say(type="failed", text="cancelled", kind="cancelled")
            os._exit(3)
    if not options.get("deaf"):
        os._exit(4)


finishing = threading.Event()
threading.Thread(target=watch, daemon=True).start()
output = Path(request["output"])
staging = Path(options["staging"])
staging.mkdir()
(staging / ".threer_blender").write_text(options["marker"])
Path(tempfile.gettempdir(), "unfinished").write_text("x")
if options.get("grandchild"):
    grandchild = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    say(type="warning", text=str(grandchild.pid))
say(type="warning", text=tempfile.gettempdir(), photo="")
if options.get("kernels"):
    say(type="warning", text=os.environ["NUMBA_CACHE_DIR"])
for step in range(options.get("steps", 3)):
    delivers = bool(options.get("delivers")) and not finishing.is_set()
    say(type="progress", stage="Working", fraction=step / 10, cancel_delivers=delivers)
    if finishing.is_set() and not options.get("slow"):
        break
    time.sleep(options.get("pause", 0.01))
if options.get("made"):
    shutil.copytree(options["made"], options["place"])
if options.get("crash") == "kill":
    os.kill(os.getpid(), signal.SIGKILL)
if options.get("crash") == "segv":
    ctypes.string_at(0)
if options.get("crash") == "exit":
    sys.exit("boom")
if options.get("babble"):
    print("hello from a library", flush=True)
say(type="done", bundle=request["output"], registered=1, chosen=2, points=3)
