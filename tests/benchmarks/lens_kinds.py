"""Lenses of every kind with known truth: right, warned of or refused. `python -m tests.benchmarks.lens_kinds`. [R]

The photos are synthetic: points, cameras and their matches, with a quarter of a pixel of noise. A result is bad
where a rotation between two photos is off by over a degree, or a focal length by over 5 %, and no note warns of it.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pycolmap

from tests.geometry.sfm.synthetic_matches import HEIGHT, WIDTH, silent, synthetic
from threer_blender.geometry.sfm.mapping import MappingSolution, solve
from threer_blender.model.arrays import Array
from threer_blender.model.errors import UserError

CENTRE = (WIDTH / 2, HEIGHT / 2)
PHOTOS = 6
NEAR, ROOM = (1.5, 1.5, 1.5), (5.0, 4.0, 2.0)  # extents of a scene: of a near object, and of a room for fisheyes
ROTATION, FOCAL = 1.0, 0.05  # the largest good errors: degrees, and a share of the focal length


@dataclass(frozen=True)
class LensKind:
    """A lens by COLMAP's name and parameters, the zoom of each photo, and the size of the scene."""

    group: str
    name: str
    model: str
    params: tuple[float, ...]
    zooms: tuple[float, ...] = (1.0,) * PHOTOS
    extent: tuple[float, float, float] = NEAR


def kinds() -> list[LensKind]:
    """All lenses of the benchmark."""
    collected = [
        LensKind("ordinary", f"{focal} px, k1 {k1:+}", "SIMPLE_RADIAL", (focal, *CENTRE, k1))
        for focal in (650.0, 900.0, 1400.0)
        for k1 in (-0.15, 0.0, 0.08)
    ]
    collected += [
        LensKind(
            "ordinary, k2 or off centre",
            f"{k1:+}, {k2:+}, {x:+} px",
            "RADIAL",
            (900.0, CENTRE[0] + x, CENTRE[1], k1, k2),
        )
        for k1, k2, x in ((-0.25, 0.08, 0.0), (0.1, -0.05, 0.0), (-0.1, 0.02, 12.0), (0.0, 0.0, -15.0))
    ]
    zooms = {
        "steps": (1.0, 1.5, 1.0, 1.25, 1.8, 1.1),
        "two": (1.0, 1.0, 1.0, 1.6, 1.6, 1.6),
        "one": (1.0, 1.0, 2.0, 1.0, 1.0, 1.0),
        "slow": (1.0, 1.05, 1.1, 1.15, 1.2, 1.25),
        "creeping": (1.0, 1.01, 1.02, 1.03, 1.04, 1.05),
    }
    collected += [LensKind("zoom", name, "SIMPLE_RADIAL", (900.0, *CENTRE, 0.0), zoom) for name, zoom in zooms.items()]
    collected += [
        LensKind(
            "fisheye",
            f"{focal:.0f} px, k1 {k1:+}",
            "OPENCV_FISHEYE",
            (focal, focal, *CENTRE, k1, 0.003, 0.0, 0.0),
            extent=ROOM,
        )
        for focal in (330.0, 360.0, 420.0, 520.0)
        for k1 in (-0.02, 0.03)
    ]
    return collected


def outcome(kind: LensKind) -> tuple[str, str]:
    """Right, warned, refused or bad; and the numbers."""
    with tempfile.TemporaryDirectory() as folder:
        matched, truth = synthetic(Path(folder), kind.model, list(kind.params), np.array(kind.zooms), kind.extent)
        try:
            solution = solve(matched, silent)
        except UserError as error:
            return "refused", str(error)
    angle, focal = _errors(solution, truth, kind)
    numbers = f"{len(solution.cameras)} cameras, {angle:.2f}°, focal {focal:.1%}, {solution.reprojection_error:.2f} px"
    if angle < ROTATION and focal < FOCAL:
        return "right", numbers
    return ("warned" if solution.notes else "bad"), f"{numbers} {solution.notes}"


def _errors(solution: MappingSolution, truth: list[Array], kind: LensKind) -> tuple[float, float]:
    """The largest errors of a rotation between two photos in degrees, and of a focal length as a share."""
    numbers = [int(camera.photo.split(".")[0]) for camera in solution.cameras]
    solved = [camera.camera_from_world[:3, :3] for camera in solution.cameras]
    worst = 0.0
    for i, first in enumerate(numbers):
        for j, second in enumerate(numbers):
            off = (solved[i] @ solved[j].T).T @ (truth[first] @ truth[second].T)
            worst = max(worst, float(np.degrees(np.arccos(np.clip((np.trace(off) - 1) / 2, -1, 1)))))
    focals = [
        camera.fx / (kind.params[0] * kind.zooms[number]) - 1
        for number, camera in zip(numbers, solution.cameras, strict=True)
    ]
    return worst, float(np.abs(focals).max())


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--verbose", action="store_true", help="a line for each lens")
    verbose = parser.parse_args().verbose
    pycolmap.logging.minloglevel = 2
    counts: dict[str, dict[str, int]] = {}
    for kind in kinds():
        result, numbers = outcome(kind)
        if verbose:
            print(kind.group, kind.name, result, numbers, flush=True)
        counts.setdefault(kind.group, {}).setdefault(result, 0)
        counts[kind.group][result] += 1
    print("| Lens | Tried | Right | Warned | Refused | Bad |\n|---|---|---|---|---|---|")
    for group, results in counts.items():
        cells = [sum(results.values()), *(results.get(name, 0) for name in ("right", "warned", "refused", "bad"))]
        print(f"| {group} | {' | '.join(map(str, cells))} |")


if __name__ == "__main__":
    main()
