"""Right and wrong solves as the rules that refuse and warn see them: `python -m tests.benchmarks.plausibility`. [R]

    python -m tests.benchmarks.plausibility [SET ...]

Every model that a mapper makes of a set of photos is a row: the truth tells whether it is right. Sets come from
THREER_DATA (default: ../shared/data beside the checkout).
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pycolmap

from threer_blender.engines.colmap import ENGINE, matching_passes
from threer_blender.files.photo_files import find
from threer_blender.geometry.features.database import Matched
from threer_blender.geometry.sfm import mappers, model_selection
from threer_blender.model import lens
from threer_blender.model.reconstruction import Photo
from threer_blender.pictures.photos import read

ROOT = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("THREER_DATA", ROOT.parent / "shared" / "data"))
SETS = ("rmvd_board", "hololens_office", "alicevision_buddha", "vesta_dawn", "banana", "tum_fr1_rpy")
COLUMNS = ("Set", "Mapper", "Photos", "AUC@30", "View", "Corner", "Error", "Explained", "Refused because")


def rows(name: str, photos: Sequence[Photo], truth: dict[str, Any], metrics: Any) -> list[list[str]]:
    """A row for every model of the photos."""
    table = []
    with tempfile.TemporaryDirectory() as folder:
        first = matching_passes(photos, ENGINE.checked_options({"quality": "preview"}))[0]
        matched = first.match(Path(folder), None, range(len(photos)), lambda *_: None)
        pairs = model_selection.read_pairs(matched)
        for candidate in mappers.CANDIDATES[:5]:
            for model in mappers.run(candidate, matched, lambda _registered: None):
                scored = model_selection.score_model(candidate.name, model, matched, pairs)
                if len(scored.registered) > 1:
                    table.append([name, candidate.name, *_values(scored, matched, truth, metrics)])
    return table


def _values(scored: model_selection.ScoredModel, matched: Matched, truth: dict[str, Any], metrics: Any) -> list[str]:
    model, names = scored.model, {index: matched.photos[index].name for index in sorted(scored.registered)}
    cameras = [model.camera(model.image(index + 1).camera_id) for index in names]
    corners = np.array([[0.0, 0.0]])
    views, moved = [], []
    for camera in cameras:
        longer, focal = max(camera.width, camera.height), camera.mean_focal_length()
        views.append(2 * np.degrees(np.arctan(longer / 2 / focal)))
        centre = np.array([camera.principal_point_x, camera.principal_point_y])
        distorted = (corners - centre) / focal
        terms = tuple(float(camera.params[i]) for i in camera.extra_params_idxs())
        ideal = lens.undistort(lens.Distortion(camera.model_name, terms), distorted)
        moved.append(float(np.linalg.norm(distorted) / np.linalg.norm(ideal) - 1))
    auc = "–"
    known = [index for index, photo in names.items() if truth.get(photo) is not None]
    if len(known) > 2:
        poses = [np.vstack([model.image(i + 1).cam_from_world().matrix(), [0, 0, 0, 1]]) for i in known]
        auc = f"{metrics.pose_scores(poses, [truth[names[i]] for i in known])['AUC@30']:.2f}"
    return [
        f"{len(names)}/{len(matched.photos)}",
        auc,
        f"{max(views, key=lambda view: abs(view - 50)):.0f}°",
        f"{100 * max(moved, key=abs):+.1f} %",
        f"{model.compute_mean_reprojection_error():.2f} px",
        f"{scored.score:.2f}",
        scored.fault,
    ]


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", nargs="*", default=SETS)
    arguments = parser.parse_args()
    if not DATA.is_dir():
        sys.exit(f"{DATA} is absent; name the folder with the data sets in THREER_DATA.")
    spec = importlib.util.spec_from_file_location("metrics", DATA.parent / "metrics.py")
    assert spec is not None
    assert spec.loader is not None
    metrics = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(metrics)
    pycolmap.logging.minloglevel = 2
    print("| " + " | ".join(COLUMNS) + " |\n|" + "---|" * len(COLUMNS))
    for name in arguments.sets:
        photos = read(find([DATA / name / "images"]).files, lambda _text, _photo: None).accepted
        file = DATA / name / "cameras.json"
        frames = json.loads(file.read_text())["frames"] if file.exists() else []
        truth = {Path(frame["file"]).name: np.array(frame["w2c"]) for frame in frames}
        for row in rows(name, photos, truth, metrics):
            print("| " + " | ".join(row) + " |", flush=True)


if __name__ == "__main__":
    main()
