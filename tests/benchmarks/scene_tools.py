"""The direction of up: its error against true gravity on every set that knows it, as a Markdown table. [R]

    python -m tests.benchmarks.scene_tools [--results FOLDER] [SET ...]

Sets are solved by the classical engine at preview quality. `--results` names a folder that keeps a bundle for each set
and is filled where one is missing. Photos come from THREER_DATA (default: ../shared/data beside the checkout), the
sample from this repository. True gravity: the rendered sample's z, the z of motion capture (tum_fr1_rpy), the y of
HoloLens's tracking. The other sets have none.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks._measure import DATA, REPOSITORY, SAMPLE, table, true_frames
from threer_blender import bundle
from threer_blender.geometry import upright
from threer_blender.geometry.upright import angle
from threer_blender.model.reconstruction import Reconstruction
from threer_blender.pipelines.upright import levelled

UP = {"sample": (0.0, 0.0, 1.0), "hololens_office": (0.0, 1.0, 0.0), "tum_fr1_rpy": (0.0, 0.0, 1.0)}
HEAD = ["Set", "Cameras", "Error of cameras alone", "Error", "Spread as reported", "By", "Against"]


def photos(name: str) -> Path:
    return SAMPLE / "photos" if name == "sample" else DATA / name / "images"


def rotations(name: str) -> dict[str, Any]:
    """Photo -> true world_from_camera rotation (3, 3)."""
    if name == "sample":
        cameras = json.loads((SAMPLE / "truth.json").read_text())["cameras"]
        return {camera["photo"]: np.array(camera["world_from_camera"])[:3, :3] for camera in cameras}
    return {photo: np.array(frame["w2c"])[:3, :3].T for photo, frame in true_frames(name)[1].items()}


def solved(name: str, folder: Path) -> Reconstruction:
    """The set's reconstruction, from `folder` or put there now."""
    result = folder / name
    if not result.is_dir():
        options = ["--option", "quality=preview", "--output", str(result)]
        command = [sys.executable, "-m", "threer_blender", "reconstruct", str(photos(name)), *options]
        subprocess.run(command, cwd=REPOSITORY, check=True, stdout=sys.stderr)
    return bundle.read(result)


def true_up(name: str, reconstruction: Reconstruction) -> Any:
    """Up (3,) in the reconstruction's world: the truth, brought there by the cameras' rotations (chordal mean)."""
    truth = rotations(name)
    pairs = [(truth[each.photo], each.world_from_camera[:3, :3]) for each in reconstruction.cameras]
    left, _, right = np.linalg.svd(sum(there @ here.T for there, here in pairs))
    return (left @ np.diag((1, 1, np.linalg.det(left @ right))) @ right).T @ UP[name]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", nargs="*", default=list(UP))
    parser.add_argument("--results", type=Path)
    arguments = parser.parse_args()
    errors = []

    def rows(folder: Path) -> Any:
        for name in arguments.sets:
            if not photos(name).is_dir():
                print(f"{name} is absent; name the folder with the data sets in THREER_DATA.", file=sys.stderr)
                continue
            reconstruction = levelled(solved(name, folder), lambda _done, _all: None)
            verdict, true = reconstruction.upright, true_up(name, reconstruction)
            assert verdict is not None
            errors.append(angle(verdict.up, true))
            alone = angle(upright.horizons(reconstruction.cameras).up, true)
            shares = (", ".join(verdict.agreeing), ", ".join(verdict.disagreeing))
            numbers = (f"{alone:.2f}°", f"{errors[-1]:.2f}°", f"{verdict.spread:.1f}°")
            yield [name, len(reconstruction.cameras), *numbers, *shares]

    with tempfile.TemporaryDirectory() as temporary:
        table(HEAD, rows(arguments.results or Path(temporary)))
    if errors:
        print(f"\nMedian {statistics.median(errors):.2f}°, worst {max(errors):.2f}°")


if __name__ == "__main__":
    main()
