"""A real Blender window on a virtual screen, inside a Debian of its own, with a mouse; for root on Debian only."""

from __future__ import annotations

import itertools
import re
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

SIZE = (1600, 900)
SHARED = "/mnt/shared"  # where the window's side sees the folder that both sides share
F12 = "96"  # its code, since xdotool holds Alt down for its name: Blender renders the sequencer for Alt F12, or nothing
PRIVATE_MOUNTS = f"""
set -e
mkdir -p "$0/proc" "$0/dev/shm" "$0{SHARED}"
mount -t proc proc "$0/proc"
mount -t tmpfs tmpfs "$0/dev/shm"
mount --bind "$1" "$0{SHARED}"
root=$0; shift; exec chroot "$root" "$@"
"""


class Window:
    """Blender's window, to be used in `with`. `shared` is a folder that Blender sees as SHARED."""

    def __init__(self, chroot: Path, shared: Path) -> None:
        self.chroot, self.shared = chroot, shared
        self._environment = [
            "HOME=/root", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8", "LIBGL_ALWAYS_SOFTWARE=1",
            f"BLENDER_USER_RESOURCES={SHARED}/blender", f"CONTROL={SHARED}/control",
        ]  # fmt: skip
        self._numbers = itertools.count()

    def __enter__(self) -> Window:
        for name in ("control", "blender"):
            (self.shared / name).mkdir()
        for name in ("control.py", "drag_source.py"):
            shutil.copy(Path(__file__).with_name(name), self.shared)
        screen = f"{SIZE[0]}x{SIZE[1]}x24"
        # Xvfb takes a free display and prints its number.
        self._screen = self._start("Xvfb", "-displayfd", "1", "-screen", "0", screen, "+extension", "GLX", log="xvfb")
        display = self.shared / "xvfb.log"
        while not (number := re.search(r"^(\d+)$", display.read_text(), re.MULTILINE)):
            assert self._screen.poll() is None, display.read_text()
            time.sleep(0.1)
        self._environment.append(f"DISPLAY=:{number[1]}")
        return self

    def __exit__(self, *_: object) -> None:
        for process in (getattr(self, "blender", None), self._screen):
            if process is not None:
                process.terminate()
                process.wait(30)

    def install(self, zipped: Path) -> None:
        """Installs and enables the extension."""
        shutil.copy(zipped, self.shared)
        arguments = ("--command", "extension", "install-file", "-r", "user_default", "-e", f"{SHARED}/{zipped.name}")
        done = self.run("blender", *arguments)
        assert done.returncode == 0, done.stdout + done.stderr

    def open(self) -> None:
        """Opens Blender on the whole screen."""
        geometry = ("--window-geometry", "0", "0", *map(str, SIZE))
        self.blender = self._start("blender", *geometry, "--python", f"{SHARED}/control.py", log="blender")
        self.ask("preferences = bpy.context.preferences; preferences.view.show_splash = False")
        self.ask("window, area, regions = viewport(); area.spaces.active.show_region_ui = True")
        time.sleep(1)

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Runs a command beside Blender and waits for it."""
        return subprocess.run(self._inside(*command), capture_output=True, text=True, check=False)

    def ask(self, code: str, seconds: float = 120) -> str:
        """The output of `code` inside Blender; see control.py for the names that it may use."""
        answer = self.say(code)
        self.wait(answer.exists, seconds)
        text = answer.read_text()
        assert "Traceback" not in text, text
        return text.strip()

    def say(self, code: str) -> Path:
        """Has `code` run inside Blender; returns the file that will hold what it printed."""
        asked = self.shared / "control" / f"{next(self._numbers):06}.part"
        asked.write_text(code)
        asked.rename(asked.with_suffix(".py"))
        return asked.with_suffix(".out")

    def wait(self, done: Callable[[], Any], seconds: float = 300) -> None:
        """Waits until `done()`; fails where Blender ends or it takes too long."""
        deadline = time.monotonic() + seconds
        while not done():
            assert self.blender.poll() is None, "Blender has ended; see blender.log"
            assert time.monotonic() < deadline, "it takes too long"
            time.sleep(0.2)

    def click(self, x: float, y: float, button: int = 1) -> None:
        """A click of the mouse. Blender's buttons wake up when the pointer moves over them."""
        self.hover(x, y)
        self._mouse("mousedown", button)
        time.sleep(0.15)
        self._mouse("mouseup", button)
        time.sleep(0.5)

    def key(self, name: str) -> None:
        """Presses a key, by X's name for it, where the pointer is."""
        self.run("xdotool", "key", name.replace("F12", F12))
        time.sleep(0.5)

    def hover(self, x: float, y: float) -> None:
        """Moves the pointer there, in pixels from the top left."""
        self._mouse("mousemove", int(x) - 5, int(y))
        time.sleep(0.15)
        self._mouse("mousemove", int(x), int(y))
        time.sleep(0.3)

    def drag(
        self,
        start: tuple[int, int],
        *others: tuple[int, int],
        button: int,
        before_release: Callable[[], object] = lambda: None,
    ) -> None:
        """Drags from `start` to the others, one after the other, with a button held."""
        self.hover(*start)
        self._mouse("mousedown", button)
        for here, there in itertools.pairwise((start, *others)):
            for step in range(1, 11):
                at = (int(a + (b - a) * step / 10) for a, b in zip(here, there, strict=True))
                self._mouse("mousemove", *at)
                time.sleep(0.05)
        before_release()
        self._mouse("mouseup", button)
        time.sleep(0.5)

    def drop(self, files: list[str], at: tuple[int, int]) -> None:
        """Drags files, as a file manager does, from the lower left corner and drops them there."""
        left, top = 20, SIZE[1] - 80
        names = [f"{SHARED}/{name}" for name in files]
        source = self._start("python3", f"{SHARED}/drag_source.py", str(left), str(top), *names, log="drag_source")
        time.sleep(3)
        self.drag((left + 60, top + 30), at, button=1)
        time.sleep(1)
        source.terminate()
        source.wait(30)

    def picture(self, path: Path) -> None:
        """Writes what is on the screen."""
        time.sleep(1)
        done = self.run("import", "-window", "root", f"{SHARED}/screen.png")
        assert done.returncode == 0, done.stderr
        shutil.move(self.shared / "screen.png", path)

    def region(self, kind: str) -> tuple[int, int, int, int]:
        """Left, top, width, height of a region of the viewport, in pixels from the top left of the screen."""
        x, y, width, height = map(
            int, self.ask(f"r = viewport()[2]['{kind}']; print(r.x, r.y, r.width, r.height)").split()
        )
        return x, SIZE[1] - y - height, width, height

    def _mouse(self, *arguments: Any) -> None:
        self.run("xdotool", *map(str, arguments))

    def _inside(self, *command: str) -> list[str]:
        entering = ["unshare", "--mount", "sh", "-c", PRIVATE_MOUNTS, str(self.chroot), str(self.shared)]
        return [*entering, "/usr/bin/env", "-i", *self._environment, *command]

    def _start(self, *command: str, log: str) -> subprocess.Popen[bytes]:
        with (self.shared / f"{log}.log").open("wb") as answer:
            return subprocess.Popen(self._inside(*command), stdout=answer, stderr=subprocess.STDOUT)
