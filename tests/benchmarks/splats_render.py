"""Splats rendered by Blender beside the numpy reference rasteriser: PSNR and seconds, in Cycles and EEVEE. [B]

    python -m tests.benchmarks.splats_render [SET …]      # random, train-1000.ply, guitar.compressed.ply, biker.…

The picture of each, Blender's left and the reference's right, goes to splats_SET_ENGINE.png in the current folder.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import bpy
import numpy as np

from tests.benchmarks import _measure
from tests.blender.world import looking_at
from tests.reference_rasteriser import psnr, render
from tests.scene.splats.test_splats import CAMERA, look_through, place, rendered
from tests.splats import DATA, random_gaussians
from threer_blender import splat_files
from threer_blender.model.arrays import Array
from threer_blender.model.reconstruction import Camera, Gaussians

SIZE = (480, 320)
SETS = ("random", "train-1000.ply", "guitar.compressed.ply", "biker.compressed.ply")
EEVEE = "BLENDER_EEVEE_NEXT" if bpy.app.version < (5, 0) else "BLENDER_EEVEE"


def around(gaussians: Gaussians) -> Camera:
    """A camera that sees all the Gaussians, from a place where none is right in front of it."""
    middle = np.median(gaussians.means, axis=0)
    reach = np.percentile(np.linalg.norm(gaussians.means - middle, axis=1), 90)
    pose = looking_at(middle + reach * np.array((1.5, -0.8, -1.8)), middle)
    return Camera("view", *SIZE, 448.0, 448.0, 240.0, 160.0, pose)


def scene_of(name: str) -> tuple[Gaussians, Camera]:
    """A set's splats and a camera that sees them."""
    if name == "random":
        wide = Camera("view", *SIZE, 448.0, 448.0, 240.0, 160.0, CAMERA.world_from_camera)
        return random_gaussians(4000), wide
    gaussians = splat_files.read(DATA / name).gaussians
    return gaussians, around(gaussians)


def save(picture: Array, path: Path) -> None:
    """(height, width, 3) of display values, as a PNG."""
    height, width, _ = picture.shape
    image = bpy.data.images.new("picture", width, height)
    rgba = np.ones((height, width, 4), np.float32)
    rgba[..., :3] = np.clip(picture[::-1], 0, 1)
    image.pixels.foreach_set(rgba.reshape(-1))
    image.filepath_raw, image.file_format = str(path), "PNG"
    image.save()


def main() -> None:
    names = _measure.chosen(__doc__, SETS)
    print(f"Blender {bpy.app.version_string}, {SIZE[0]}×{SIZE[1]}, one sample; {_measure.machine()}")

    def rows() -> Iterator[list[object]]:
        for name in names:
            gaussians, camera = scene_of(name)
            start = time.perf_counter()
            expected = render(gaussians, camera)
            not_black = expected.max(axis=-1) > 1 / 255
            reference = time.perf_counter() - start
            for engine in ("CYCLES", EEVEE):
                bpy.ops.wm.read_factory_settings()
                place(gaussians)
                look_through(camera)
                start = time.perf_counter()
                with tempfile.TemporaryDirectory() as folder:
                    actual = rendered(Path(folder) / "picture.exr", engine)
                taken = time.perf_counter() - start
                both = np.concatenate([actual, expected], axis=1)
                save(both, Path(f"splats_{name.partition('.')[0]}_{engine.lower()}.png"))
                degree = int(gaussians.sh.shape[1] ** 0.5) - 1
                yield [
                    name,
                    len(gaussians),
                    degree,
                    engine,
                    psnr(actual, expected),
                    psnr(actual[not_black], expected[not_black]),
                    taken,
                    reference,
                ]

    head = ["Set", "Splats", "SH degree", "Engine", "PSNR dB", "of what is not black", "Blender s", "Reference s"]
    _measure.table(head, rows(), lambda cell: f"{cell:.1f}" if isinstance(cell, float) else str(cell))


if __name__ == "__main__":
    main()
