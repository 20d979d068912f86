"""How long Blender's window waits for the add-on: drawing its panels, and looking at the queue while a job runs.

    python -m tests.benchmarks.window

It draws with stand-ins for Blender's layouts, and the graphics driver takes a second to answer. Times are milliseconds.
"""

import statistics
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import bpy
import pytest

from tests.benchmarks._measure import chosen
from tests.blender.drawn import engines, panel, preferences
from tests.blender.extension import part, start
from tests.blender.world import CAMERAS, reconstruct, write_photos

pytest_plugins = ["tests.blender.extension", "tests.blender.world"]


@pytest.fixture
def slow_driver(addon: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ARG001
    # As in Blender with a window: values are computed in a thread, and facts of the scene are kept.
    work = part("ui.work").current()
    monkeypatch.setattr(work, "known", part("ui.known").Known(at_once=False))
    monkeypatch.setattr(work, "scene_facts", part("ui.scene_facts").SceneFacts(keeps=True))

    def graphics_cards() -> tuple[()]:
        time.sleep(1)
        return ()

    monkeypatch.setattr(part("host.hardware"), "graphics_cards", graphics_cards)


def print_time(label: str, seconds: list[float]) -> None:
    middle, worst = 1000 * statistics.median(seconds), 1000 * max(seconds)
    print(f"{label:<24} median {middle:7.2f} ms, slowest {worst:7.2f} ms, {len(seconds)} times")


def timed(draw: Any, name: str) -> None:
    seconds = []
    for _ in range(200):
        began = time.perf_counter()
        draw()
        seconds.append(time.perf_counter() - began)
        time.sleep(0.002)
    print_time(f"drawing: {name}", seconds)


@pytest.mark.usefixtures("slow_driver")
def test_drawing(photo_folder: Path) -> None:
    bpy.ops.threer.choose_photos(directory=str(photo_folder))
    for draw in (panel, engines, preferences):
        timed(draw, draw.__name__)


@pytest.mark.usefixtures("slow_driver")
def test_drawing_a_large_result(tmp_path: Path) -> None:
    cameras = [replace(camera, photo=f"{copy} {camera.photo}") for copy in range(60) for camera in CAMERAS]
    photos = write_photos(tmp_path / "shot", cameras[:1])
    photos = [replace(photos[0], name=camera.photo, sha256=f"{index:064x}") for index, camera in enumerate(cameras)]
    result = reconstruct(photos, cameras, step=16, notes=[f"Sentence {number} about it." for number in range(500)])
    part("scene.build").build(result, tmp_path)
    chosen = part("ui.properties").settings(bpy.context.scene).photos
    for _ in cameras:
        chosen.add().megabytes = 4
    timed(panel, f"panel, {len(cameras)} photos")


def test_polling(work: ModuleType, photo_folder: Path) -> None:
    (photo_folder / "go").touch()  # the worker, a stand-in, waits for this file before it ends
    running: list[float] = []
    ending: list[float] = []
    for _ in range(10):
        task = start(work, photo_folder)
        while task.ended is None:
            began = time.perf_counter()
            work.current().queue.poll()
            (running if task.ended is None else ending).append(time.perf_counter() - began)
            time.sleep(0.002)
        work.current().queue.tasks.clear()
    print_time("poll while a job runs", running)
    print_time("poll that ends a job", ending)


def main() -> None:
    chosen(__doc__)  # reads the command line, which knows --help only
    sys.exit(pytest.main(["-q", "-s", "-p", "no:cacheprovider", "--rootdir", tempfile.gettempdir(), __file__]))


if __name__ == "__main__":
    main()
