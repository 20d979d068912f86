"""Solved panoramas of a painted room against their true cameras: `python -m tests.benchmarks.panoramas`. [R]"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np
import pycolmap

from tests import painted_room
from tests.benchmarks import _measure
from tests.geometry.features.test_panorama_features import errors, panorama, pose
from tests.geometry.sfm.synthetic_matches import silent
from threer_blender.geometry.features import features
from threer_blender.geometry.features.database import Search
from threer_blender.geometry.sfm import mapping
from threer_blender.model.reconstruction import Photo


def row(width: int, panoramas: int, photos: int) -> str:
    """A row of the table: of panoramas `width` pixels wide with any heading, and of photos of 480×360.

    Nobody knows the photos' lens.
    """
    random = np.random.default_rng(1)
    places = [(-1.2 + 0.45 * i, random.uniform(-0.2, 0.2), random.uniform(-0.6, 0.3)) for i in range(panoramas)]
    poses = [pose(random.uniform(-3, 3), place) for place in places]
    chosen = [panorama(i, width) for i in range(panoramas)]
    pictures = {photo.name: painted_room.panorama(matrix, width) for photo, matrix in zip(chosen, poses, strict=True)}
    for i in range(photos):
        poses.append(pose(0.1 * i, (-1 + 0.3 * i, 0.0, -0.5)))
        chosen.append(Photo(f"flat {i}", "", 480, 360, ""))
        pictures[f"flat {i}"] = painted_room.photo(poses[-1], 480, 360, 400.0)
    started = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        settings = features.QUALITIES["preview"]
        path = Path(folder)
        matched = features.extract_and_match(
            Search(chosen, lambda each, _side: pictures[each.name], path, settings, silent)
        )
        solution = mapping.solve(matched, silent)
    centre, angle = errors(solution, poses)
    cells = (f"{panoramas} of {width}×{width // 2}", photos, len(solution.cameras), f"{1000 * centre:.2f} mm")
    return f"| {' | '.join(map(str, cells))} | {angle:.3f}° | {time.process_time() - started:.0f} |"


def main() -> None:
    """Prints the table."""
    _measure.chosen(__doc__)  # reads the command line, which knows --help only
    pycolmap.logging.minloglevel = 2
    print("| Panoramas | Photos | Registered | Centres | Rotations | CPU-s |\n|---|---|---|---|---|---|")
    print(row(1024, 5, 0), flush=True)
    print(row(768, 4, 4), flush=True)


if __name__ == "__main__":
    main()
