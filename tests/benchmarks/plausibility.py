"""Right and wrong lenses as the rules that refuse and warn see them: `python -m tests.benchmarks.plausibility`. [R]

The photos are those of `lens_kinds`. Zooms and fisheyes are also solved as if all photos shared an ordinary lens, which
is wrong; of each solve the model with the most photos counts.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pycolmap

from tests.benchmarks import _measure
from tests.benchmarks.lens_kinds import LensKind, kinds
from tests.geometry.sfm.synthetic_matches import synthetic
from threer_blender.geometry.sfm import mappers, model_selection
from threer_blender.geometry.sfm.plausibility import UNUSUAL_ERROR

COLUMNS = ("Lens", "Solved as", "Models", "Error, px", "Explained", "View", "Refused", "Warned of")


def row(group: str, title: str, members: list[LensKind], candidate: mappers.Candidate) -> str:
    """A row of the table: the ranges over the lenses of a group."""
    values, faults, warned = [], 0, 0
    for kind in members:
        with tempfile.TemporaryDirectory() as folder:
            zooms = np.array(kind.zooms)
            matched, _ = synthetic(Path(folder), kind.model, list(kind.params), zooms, kind.extent)
            pairs = model_selection.read_pairs(matched)
            models = mappers.run(candidate, matched, lambda _registered: None)
            scored = [model_selection.score_model(candidate.name, model, matched, pairs) for model in models]
        if not scored:
            faults += 1
            continue
        best = max(scored, key=lambda each: each.model.num_reg_images())
        error = best.model.compute_mean_reprojection_error()
        values.append((error, best.score, max(map(_view, best.model.cameras.values()))))
        faults += bool(best.fault)
        warned += not best.fault and error > UNUSUAL_ERROR
    spans = [
        f"{low:.2f} to {high:.2f}" for low, high in zip(np.min(values, axis=0), np.max(values, axis=0), strict=True)
    ]
    return f"| {group} | {title} | {len(members)} | {' | '.join(spans)} | {faults} | {warned} |"


def _view(camera: pycolmap.Camera) -> float:
    """Degrees over the width, without distortion."""
    return float(2 * np.degrees(np.arctan(camera.width / 2 / camera.mean_focal_length())))


def main() -> None:
    """Prints the table."""
    _measure.chosen(__doc__)
    pycolmap.logging.minloglevel = 2
    every: dict[str, list[LensKind]] = {}
    for kind in kinds():
        every.setdefault(kind.group, []).append(kind)
    by_name = {candidate.name: candidate for candidate in mappers.CANDIDATES}
    shared, each, fisheye = (by_name[n] for n in ("incremental", "incremental, a lens each", "global, fisheye"))
    print("| " + " | ".join(COLUMNS) + " |\n|" + "---|" * len(COLUMNS))
    for group in ("ordinary", "ordinary, k2 or off centre"):
        print(row(group, "it is", every[group], shared), flush=True)
    print(row("zoom", "it is", every["zoom"], each), flush=True)
    print(row("fisheye", "it is", every["fisheye"], fisheye), flush=True)
    print(row("zoom", "one ordinary lens", every["zoom"], shared), flush=True)
    print(row("fisheye", "an ordinary lens", every["fisheye"], by_name["global"]), flush=True)


if __name__ == "__main__":
    main()
