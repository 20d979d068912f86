"""[R] Judges a result by the truth: pairs photos, computes all measures that the two allow, and orders the photos."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..files import bounded
from ..model.arrays import FloatArray
from ..model.errors import UserError, quoted
from ..model.reconstruction import Reconstruction
from ..model.similarity import Similarity
from . import cameras, held_out, mask_measures, pairing, surfaces
from .outcome import Evaluation, Group, PhotoRow
from .pairing import Pair, Pairing
from .surfaces import JudgedDepth
from .truth.truth import TrueSurface, Truth

ROTATION, CENTRE, FOCAL, DEPTH = "Rotation, degrees", "Centre", "Focal length", "Depth, AbsRel"  # columns of photos
BY_PIXELS = "the similarity between the points of the same pixels, in the least sum of distances"
BY_CENTRES = "the similarity between the cameras' centres"


@dataclass(frozen=True)
class Judged:
    """An evaluation, and the data that its pictures show: the `pairs` of photos and true views, the similarity
    `true_from_solved` of the cameras, None where too few are registered, and the `depths`."""

    evaluation: Evaluation
    pairs: Sequence[Pair]
    true_from_solved: Similarity | None
    depths: Sequence[JudgedDepth]


def judge(result: Reconstruction, made: Path, truth: Truth, folder: Path, report: Callable[[int, int], None]) -> Judged:
    """The evaluation of the result in the bundle `made` by the truth in `folder`. `report` takes the photos done and
    their number.

    Raises UserError where the truth is not of these photos, has other axes, or holds a damaged file.
    """
    paired = pairing.pair(result, truth)
    groups: dict[str, Group] = {}
    groups["pose"], _, _ = cameras.pose_group(paired.pairs)
    trajectory = cameras.trajectory_group(paired.pairs, "sim3", truth.unit)
    similarity = None
    if trajectory is not None:
        groups["trajectory"], errors = trajectory
        similarity = errors.true_from_solved
        rigid = cameras.trajectory_group(paired.pairs, "se3", truth.unit)
        if rigid is not None and surfaces.is_metric(result, truth.unit):
            groups["trajectory_metric"] = rigid[0]
    focal = cameras.focal_group(paired.pairs)
    if focal is not None:
        groups["focal"] = focal[0]
    with bounded.as_refusal(f"The truth in {quoted(folder)}"):
        depths = surfaces.judged_depths(result, paired.pairs, report)
        surface = None if truth.surface is None else truth.surface()
        masks = mask_measures.group(made, folder, report)
    if any((depth.solved > 0).any() for depth in depths):
        groups |= surfaces.depth_groups(depths, surfaces.is_metric(result, truth.unit))
    points = _points_group(result, truth, surface, depths, similarity)
    if points is not None:
        groups["points"] = points
    pictures = held_out.group(result, paired.not_given, folder, similarity, report)
    if pictures is not None:
        groups["held_out"] = pictures
    if masks is not None:
        groups["masks"] = masks
    by_photo = _errors_by_photo(paired.pairs, similarity, {} if focal is None else focal[1], depths)
    facts = {
        "Result": made.name,
        "Engine": result.engine,
        "Truth": f"{truth.program}, {folder.name}",
        "Photos": f"{sum(pair.camera is not None for pair in paired.pairs)} of {len(paired.pairs)} registered",
    }
    evaluation = Evaluation(facts, groups, _rows(paired.pairs, by_photo), [*truth.notes, *_notes(paired, groups)])
    return Judged(evaluation, paired.pairs, similarity, depths)


def _points_group(
    result: Reconstruction,
    truth: Truth,
    surface: TrueSurface | None,
    depths: Sequence[JudgedDepth],
    by_centres: Similarity | None,
) -> Group | None:
    by_pixels = surfaces.pixel_alignment(depths)
    if by_pixels is not None:
        return surfaces.cloud_group(result, by_pixels, BY_PIXELS, surface, depths, truth.unit)
    if by_centres is not None:
        return surfaces.cloud_group(result, by_centres, BY_CENTRES, surface, depths, truth.unit)
    return None


def _errors_by_photo(
    pairs: Sequence[Pair], similarity: Similarity | None, focal: Mapping[str, float], depths: Sequence[JudgedDepth]
) -> dict[str, dict[str, float | None]]:
    """The errors of each photo, by name and column. Rotation and centre are after the alignment of all cameras."""
    depth = surfaces.photo_errors(depths)
    by_photo: dict[str, dict[str, float | None]] = {}
    for pair in pairs:
        rotation = centre = None
        if similarity is not None and pair.camera is not None:
            rotation, centre = _camera_error(similarity, pair.camera.world_from_camera, pair.view.world_from_camera)
        values = {ROTATION: rotation, CENTRE: centre, FOCAL: focal.get(pair.name), DEPTH: depth.get(pair.name)}
        by_photo[pair.name] = {label: value for label, value in values.items() if _is_column(label, focal, depth)}
    return by_photo


def _is_column(label: str, focal: Mapping[str, float], depth: Mapping[str, float]) -> bool:
    """Whether any photo has a value in a column."""
    return {FOCAL: bool(focal), DEPTH: bool(depth)}.get(label, True)


def _camera_error(similarity: Similarity, solved: FloatArray, true: FloatArray) -> tuple[float, float]:
    """Degrees, and the distance of the centres in the truth's unit."""
    from ..geometry import rotations

    remaining = similarity.rotation @ solved[:3, :3] @ true[:3, :3].T
    distance = np.linalg.norm(similarity.apply(solved[:3, 3]) - true[:3, 3])
    return float(np.degrees(rotations.angles(remaining))), float(distance)


def _rows(pairs: Sequence[Pair], by_photo: Mapping[str, Mapping[str, float | None]]) -> list[PhotoRow]:
    """A row for each photo, the unregistered ones first, then those with the largest errors.

    A photo's rank is the largest of its errors, each divided by its column's median.
    """
    rows = [PhotoRow(pair.name, pair.camera is not None, by_photo[pair.name]) for pair in pairs]
    columns = {label for row in rows for label in row.errors}
    medians = {
        label: float(np.median([v for row in rows if (v := row.errors.get(label)) is not None] or [1.0]))
        for label in columns
    }

    def rank(row: PhotoRow) -> tuple[bool, float]:
        ratios = [value / max(medians[label], 1e-12) for label, value in row.errors.items() if value is not None]
        return row.registered, -max(ratios, default=0.0)

    return sorted(rows, key=rank)


def _notes(paired: Pairing, groups: Mapping[str, Group]) -> list[str]:
    """Sentences about photos and measures that are missing."""
    notes = []
    if paired.without_truth:
        notes.append(f"{len(paired.without_truth)} photos of the result have no truth and are left out.")
    if paired.not_given:
        notes.append(f"The truth has {len(paired.not_given)} more photos, from which this result was not made.")
    if "trajectory" not in groups:
        notes.append("Fewer than three photos with a truth are registered: no trajectory can be judged.")
    return notes


def check_not_empty(judged: Judged) -> None:
    """Raises UserError where no photo with a truth is registered."""
    if all(pair.camera is None for pair in judged.pairs):
        raise UserError("None of the photos with a truth is registered: there is nothing to judge.")
