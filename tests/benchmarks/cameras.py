"""Cameras against truth: our sparse stage beside pycolmap at its own defaults, as a Markdown table. [R]

    python -m tests.benchmarks.cameras [--quality standard] [--matching sift] [SET ...]

Both sides solve the same folder in processes of their own, one after the other. Sets and truth come from THREER_DATA
(default: ../shared/data beside the checkout), metrics from the folder above it.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("THREER_DATA", ROOT.parent / "shared" / "data"))
TRUE = ("rmvd_board", "hololens_office", "alicevision_buddha", "vesta_dawn", "tum_fr1_rpy")  # with true cameras
PSEUDO = ("banana", "plush_snowmiku")  # their cameras are COLMAP's own
UNKNOWN = ("opensfm_lund",)  # only the number of photos can be compared
COLUMNS = ("Set (photos)", "Side", "Cameras", "AUC@5", "AUC@30", "ATE", "ATE, common photos", "CPU-s")
Poses = dict[str, list[list[float]]]


def defaults(folder: Path, work: Path) -> Poses:
    """camera_from_world (4, 4) by file name, by pycolmap with every setting at its default."""
    import pycolmap

    pycolmap.logging.minloglevel = 2
    database = work / "database.db"
    pycolmap.extract_features(database, folder)
    pycolmap.match_exhaustive(database)
    models = pycolmap.incremental_mapping(database, folder, work)
    if not models:
        return {}
    best = max(models.values(), key=lambda model: model.num_reg_images())
    return {
        image.name: [*image.cam_from_world().matrix().tolist(), [0, 0, 0, 1]]
        for image in best.images.values()
        if image.has_pose
    }


def ours(folder: Path, _work: Path, quality: str, matching: str) -> Poses:
    """camera_from_world (4, 4) by file name, by the classical engine's sparse stage."""
    from threer_blender.engines.colmap import ENGINE, solve_cameras
    from threer_blender.files.photo_files import find
    from threer_blender.model.errors import UserError
    from threer_blender.pictures.photos import read
    from threer_blender.runtime.report import MessageReport

    photos = read(find([folder]).files, lambda _text, _photo: None).accepted
    try:
        options = ENGINE.checked_options({"quality": quality, "matching": matching})
        solution = solve_cameras(photos, options, MessageReport(lambda _: None), ())
    except UserError as error:
        print(error, file=sys.stderr)
        return {}
    print(solution.candidate, *solution.unregistered, sep="\n  ", file=sys.stderr)
    return {camera.photo: camera.camera_from_world.tolist() for camera in solution.cameras}


def measure(name: str, side: str, settings: list[str]) -> dict[str, Any]:
    """Poses and CPU-seconds of one side on one set, in a fresh process."""
    command = [sys.executable, "-m", "tests.benchmarks.cameras", "--side", side, *settings, name]
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, stdout=subprocess.PIPE, env=env, check=True, text=True)
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def rows(name: str, settings: list[str], metrics: ModuleType) -> list[str]:
    """Two rows of the table."""
    results = {side: measure(name, side, settings) for side in ("defaults", "ours")}
    files = sorted(p.name for p in (DATA / name / "images").iterdir() if p.suffix.lower() in (".jpg", ".png"))
    truth: dict[str, Any] = dict.fromkeys(files)
    if (DATA / name / "cameras.json").exists():
        frames = json.loads((DATA / name / "cameras.json").read_text())["frames"]
        truth = {Path(frame["file"]).name: np.array(frame["w2c"]) for frame in frames}
    common = [n for n in truth if all(n in results[side]["poses"] for side in results)]
    table = []
    for side, result in results.items():
        poses = {file: np.array(pose) for file, pose in result["poses"].items()}
        cells = [f"{name} ({len(files)})", side, f"{len(poses)}/{len(files)}", "", "", "", "", f"{result['cpu']:.0f}"]
        if all(pose is not None for pose in truth.values()):
            scores = metrics.pose_scores([poses.get(n) for n in truth], list(truth.values()))
            cells[3:6] = [f"{scores['AUC@5']:.3f}", f"{scores['AUC@30']:.3f}", f"{scores['ate_rmse']:.4g}"]
        if len(common) > 2 and name not in UNKNOWN:
            same = metrics.pose_scores([poses[n] for n in common], [truth[n] for n in common])
            cells[6] = f"{same['ate_rmse']:.4g}"
        table.append("| " + " | ".join(cells) + " |")
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", nargs="*", default=[*TRUE, *PSEUDO, *UNKNOWN])
    parser.add_argument("--quality", default="standard")
    parser.add_argument("--matching", default="sift")
    parser.add_argument("--side", choices=("defaults", "ours"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.side:
        folder = DATA / arguments.sets[0] / "images"
        with tempfile.TemporaryDirectory() as work:
            started = time.process_time()
            if arguments.side == "defaults":
                poses = defaults(folder, Path(work))
            else:
                poses = ours(folder, Path(work), arguments.quality, arguments.matching)
            print(json.dumps({"poses": poses, "cpu": time.process_time() - started}))
        return
    if not DATA.is_dir():
        sys.exit(f"{DATA} is absent; name the folder with the data sets in THREER_DATA.")
    spec = importlib.util.spec_from_file_location("metrics", DATA.parent / "metrics.py")
    assert spec is not None
    assert spec.loader is not None
    metrics = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(metrics)
    print("| " + " | ".join(COLUMNS) + " |\n|" + "---|" * len(COLUMNS))
    settings = ["--quality", arguments.quality, "--matching", arguments.matching]
    for name in arguments.sets:
        print(*rows(name, settings, metrics), sep="\n", flush=True)


if __name__ == "__main__":
    main()
