"""How exactly other programs use a solved lens: `python -m tests.benchmarks.lenses`. It takes half a minute.

The program prints three tables of errors, in pixels of the plate. The first is of STMaps there and back, read as a
compositor reads them. The second is of every model that is fitted to each lens. The third is of CG that Blender's
compositor redistorts over the plate, where bpy is installed.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from tests.benchmarks._measure import chosen
from tests.lensed import centres
from tests.lenses.test_stmaps import LENSES, places, read
from threer_blender.lenses import export, fits, stmaps
from threer_blender.lenses.overscan import overscan
from threer_blender.model.lens import Distortion
from threer_blender.model.reconstruction import Camera

SIZES = {(640, 360): 500.0, (1920, 1080): 1500.0}


def there_and_back(camera: Camera) -> tuple[float, float, float]:
    """The largest errors in pixels, of three kinds: plate to plate, the frame, and the ring around the frame.

    The first way goes from the plate to the picture without distortion and back. The other two start in that picture.
    """
    added, size = overscan([camera]), (camera.width, camera.height)
    wide = added.size(camera)
    undistort, redistort = stmaps.undistorting(camera, added), stmaps.redistorting(camera, added)
    known = redistort[..., 2] == 1
    back = places(read(undistort, places(redistort, *wide)), *size)
    first = np.linalg.norm(back - centres(*size), axis=-1)[known].max()
    plate = places(undistort, *size)
    inside = (undistort[..., 2] == 1) & (plate > 0.5).all(axis=-1) & (plate < np.subtract(size, 0.5)).all(axis=-1)
    error = np.linalg.norm(places(read(redistort, plate), *wide) - centres(*wide), axis=-1)
    middle = np.abs(centres(*wide) - np.divide(wide, 2))
    frame = (middle < np.divide(size, 2)).all(axis=-1)
    ring = error[inside & ~frame].max(initial=0.0)
    return float(first), float(error[inside & frame].max()), float(ring)


def redistorted(distortion: Distortion) -> tuple[float, float]:
    """RMS and worst distance in pixels between small lights in the comp and where the lens shows them."""
    import bpy

    from tests.blender.world import camera
    from tests.scene import test_redistortion as scene_test
    from tests.scene.test_shots import moving
    from threer_blender.scene import redistortion

    bpy.ops.wm.read_factory_settings()
    solved = replace(camera("plate 1001", *scene_test.SIZE, 200, cx=124, cy=77), distortion=distortion)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        root, shot, photo = scene_test.filmed(folder, {1001: solved})
        obj = moving(root)
        redistortion.set_up(bpy.context.scene, obj, shot, photo, folder / "lens", folder / "comp")
        expected = scene_test.lights(solved, root)
        error = scene_test.distances(scene_test.comped(1001, folder / "comp"), expected)
    return float(np.sqrt((error**2).mean())), float(error.max())


def main() -> None:
    """Prints the tables."""
    chosen(__doc__)
    print("| Lens | plate | plate to plate | frame | ring |\n|---|---|---|---|---|")
    for (width, height), focal in SIZES.items():
        for distortion in LENSES:
            camera = Camera("plate", width, height, focal, focal, width / 2, height / 2, np.eye(4), distortion)
            errors = " | ".join(f"{error:.4f}" for error in there_and_back(camera))
            print(f"| {distortion.model} | {width} × {height} | {errors} |")
    print("\n| Lens | " + " | ".join(export.MODELS) + " |\n|---" + "|---" * len(export.MODELS) + "|")
    for distortion in LENSES:
        camera = Camera("plate", 640, 360, 500, 500, 322, 178, np.eye(4), distortion)
        row = [fits.fit(camera, model) for model in export.MODELS]
        print(f"| {distortion.model} | " + " | ".join(f"{one.rms:.3f} / {one.worst:.3f}" for one in row) + " |")
    if find_spec("bpy") is None:
        return
    print("\n| Redistorted CG | RMS | worst |\n|---|---|---|")
    for distortion in (LENSES[1], LENSES[2], LENSES[3]):
        rms, worst = redistorted(distortion)
        print(f"| {distortion.model} | {rms:.3f} | {worst:.3f} |")


if __name__ == "__main__":
    main()
