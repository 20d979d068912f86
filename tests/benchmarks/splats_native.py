"""Blender's own splats (5.3 and later) beside ours: PSNR against the reference rasteriser, and CPU-seconds. [B]

    python -m tests.benchmarks.splats_native [SET …]      # train-1000.ply, guitar.compressed.ply

Each row is one engine and one number of samples, at 480×320. Blender's own splats blend as light and ours as display
values: PSNR is that of the picture as it is, or with sRGB's curve, whichever is better, over the pixels that are not
black. Pictures go to splats_native_SET_ENGINE_WHO_SAMPLES.png in the current folder.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bpy
import numpy as np

from tests.benchmarks import _measure
from tests.benchmarks.splats_render import EEVEE, SIZE, save, scene_of
from tests.reference_rasteriser import psnr, render
from tests.scene.splats.test_splats import look_through, place, rendered
from threer_blender.model.arrays import Array
from threer_blender.scene.splats import native

SETS = ("train-1000.ply", "guitar.compressed.ply")
# Engine -> who draws -> the numbers of samples.
WAYS = {"CYCLES": {"ours": (1,), "Blender": (1, 16, 128)}, EEVEE: {"ours": (1,), "Blender": (1, 16)}}


def as_display(picture: Array) -> Array:
    """Linear light as sRGB's display values."""
    light = np.clip(picture, 0, 1)
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


def rows(name: str) -> Iterator[list[Any]]:
    gaussians, camera = scene_of(name)
    expected = render(gaussians, camera)
    not_black = expected.max(axis=-1) > 1 / 255

    def quality(picture: Array) -> float:
        return psnr(np.clip(picture, 0, 1)[not_black], expected[not_black])

    for engine, ways in WAYS.items():
        for who, counts in ways.items():
            for samples in counts:
                bpy.ops.wm.read_factory_settings()
                obj = place(gaussians)
                look_through(camera)
                if who == "Blender":
                    native.to_native(obj, renders=True)
                started, wall = time.process_time(), time.perf_counter()
                with tempfile.TemporaryDirectory() as folder:
                    raw = rendered(Path(folder) / "picture.exr", engine, samples)
                seconds, wall = time.process_time() - started, time.perf_counter() - wall
                picture = max((raw, as_display(raw)), key=quality)
                stem = f"splats_native_{name.partition('.')[0]}_{engine.lower()}_{who.lower()}_{samples}"
                save(np.concatenate([picture, expected], axis=1), Path(f"{stem}.png"))
                curve = "" if picture is raw else "sRGB"
                yield [name, engine, who, samples, quality(picture), curve, seconds, wall]


def main() -> None:
    names = _measure.chosen(__doc__, SETS)
    if not native.available():
        print(f"Blender {bpy.app.version_string} has no splats of its own; this takes 5.3 or later.")
        return
    print(f"Blender {bpy.app.version_string}, {SIZE[0]}×{SIZE[1]}; {_measure.machine()}")
    head = ["Set", "Engine", "Drawn by", "Samples", "PSNR dB", "Curve", "CPU-s", "Seconds"]
    every = (row for name in names for row in rows(name))
    _measure.table(head, every, lambda cell: f"{cell:.1f}" if isinstance(cell, float) else str(cell))


if __name__ == "__main__":
    main()
