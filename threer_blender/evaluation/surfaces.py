"""[R] The groups of measures that judge depth and points. numpy and the k-d tree."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ..files import bounded
from ..geometry import similarities
from ..geometry.clouds import cleaning
from ..model.arrays import Array, FloatArray
from ..model.reconstruction import Camera, PointMap, Reconstruction
from ..model.similarity import Similarity
from . import cameras, cloud_measures, depth_measures
from .cloud_measures import Surface
from .depth_measures import MEDIAN, NONE, SCALE_SHIFT
from .outcome import HIGHER, SHARE, Group, Measure
from .pairing import Pair
from .truth.truth import METRES, TrueSurface

MOST_PIXELS = 12_000_000  # of all depth maps together that are judged; of more, every second or third one is
FEWEST_POINTS, MOST_POINTS = 100, 100_000  # that align clouds
THRESHOLD = 0.01  # of the median true depth: the F-score's distance, where the benchmark has none
ALIGNMENTS = {
    "scale_per_photo": (MEDIAN, True, "scale per photo"),
    "scale": (MEDIAN, False, "one scale for all photos"),
    "scale_shift_per_photo": (SCALE_SHIFT, True, "scale and shift per photo"),
    "scale_shift": (SCALE_SHIFT, False, "one scale and shift for all photos"),
    "metric": (NONE, False, "no alignment"),
}
WAYS = {
    MEDIAN: "by the ratio of the medians",
    SCALE_SHIFT: "by least squares",
    NONE: "as it is, in metres",
}
CLOUD = (
    "Points against the true surface: accuracy is the mean distance from solved points to true ones, completeness from "
    "true to solved, overall their mean, as DTU (Jensen et al. 2014) defines them. F-score: of Tanks and Temples "
    "(Knapitsch et al. 2017), at {threshold:.4g} {unit}."
)


@dataclass(frozen=True)
class JudgedDepth:
    """A photo's depths at the pixels of its true depth map: camera z, 0 where there is none.

    `solved` (H, W) is in the solve's unit, `true` (H, W) in the truth's. `solved_points` and `true_points` (H, W, 3)
    are in the two worlds, NaN where there is none; `true_normals` (H, W, 3) are unit or zero.
    """

    photo: str
    solved: FloatArray
    true: FloatArray
    solved_points: Array
    true_points: Array
    true_normals: Array


def judged_depths(
    result: Reconstruction, pairs: Sequence[Pair], report: Callable[[int, int], None]
) -> list[JudgedDepth]:
    """The depths of all photos whose true depth and lens are known. `report` takes the photos done and their number.

    A registered photo without a pointmap has no depth at any pixel. Raises bounded.Damaged where a depth map is
    damaged.
    """
    maps = {pointmap.photo: pointmap for pointmap in result.pointmaps}
    chosen = [pair for pair in pairs if pair.view.depth is not None and pair.camera is not None]
    depths, step = [], 1
    for number, pair in enumerate(chosen):
        report(number, len(chosen))
        assert pair.view.depth is not None
        with bounded.as_damage():
            true = pair.view.depth()
        if not number:
            step = max(1, math.ceil(math.sqrt(true.size * len(chosen) / MOST_PIXELS)))
        camera = cameras.true_camera(pair)
        if camera is not None and pair.camera is not None:
            depths.append(_judged(pair.camera, camera, maps.get(pair.name), true, step))
    return depths


def _judged(solved: Camera, true: Camera, pointmap: PointMap | None, depth: FloatArray, step: int) -> JudgedDepth:
    height, width = depth.shape
    start = step // 2
    rows, columns = np.arange(start, height, step), np.arange(start, width, step)
    depth = np.where(depth_measures.judged(depth), depth, 0)[np.ix_(rows, columns)]
    x, y = (columns + 0.5) * true.width / width, (rows + 0.5) * true.height / height
    rays = true.rays(np.stack(np.meshgrid(x, y), -1))
    local = rays * np.where(depth > 0, depth, np.nan)[..., None]
    centre = true.world_from_camera[:3, 3]
    points = local @ true.world_from_camera[:3, :3].T + centre
    solved_points = np.full((*depth.shape, 3), np.nan)
    if pointmap is not None:
        scale_x, scale_y, offset_x, offset_y = pointmap.photo_from_map
        column = np.floor((x - offset_x) / scale_x).astype(int)
        row = np.floor((y - offset_y) / scale_y).astype(int)
        map_height, map_width = pointmap.mask.shape
        inside = np.ix_((row >= 0) & (row < map_height), (column >= 0) & (column < map_width))
        sampled = np.ix_(row[inside[0].ravel()], column[inside[1].ravel()])
        solved_points[inside] = np.where(pointmap.mask[sampled][..., None], pointmap.points[sampled], np.nan)
    z = solved_points @ solved.camera_from_world[2, :3] + solved.camera_from_world[2, 3]
    with np.errstate(invalid="ignore"):
        normals = cleaning.normals(points, centre)
    return JudgedDepth(true.photo, np.nan_to_num(z), depth, solved_points, points, np.nan_to_num(normals))


def depth_groups(depths: Sequence[JudgedDepth], metric: bool) -> dict[str, Group]:
    """A group of measures for each alignment; without alignment where solve and truth are `metric`."""
    groups = {}
    for name, (align, per_photo, words) in ALIGNMENTS.items():
        if align == NONE and not metric:
            continue
        if per_photo:
            each = [depth_measures.scores(depth.solved, depth.true, align) for depth in depths]
            with_depth = [scores for scores in each if scores.count]
            abs_rel = float(np.mean([scores.abs_rel for scores in with_depth])) if with_depth else None
            delta = float(np.mean([scores.delta for scores in each if np.isfinite(scores.delta)] or [np.nan]))
            missing = float(np.mean([scores.missing for scores in each if np.isfinite(scores.missing)] or [np.nan]))
        else:
            solved = np.concatenate([depth.solved.ravel() for depth in depths])
            whole = depth_measures.scores(solved, np.concatenate([depth.true.ravel() for depth in depths]), align)
            abs_rel, delta, missing = whole.abs_rel, whole.delta, whole.missing
        mean = "the mean over the photos" if per_photo else "over all pixels together"
        protocol = (
            f"Depth along the cameras' axes with {words}, {WAYS[align]}: AbsRel and δ < 1.25, {mean}. A true "
            "pixel without a trusted depth counts as a failure of δ, and not for AbsRel."
        )
        measures = {
            "abs_rel": Measure("AbsRel", abs_rel, SHARE),
            "delta_1.25": Measure("δ < 1.25", delta, SHARE, HIGHER),
            "missing": Measure("Pixels without depth", missing, SHARE),
        }
        groups[f"depth_{name}"] = Group(f"Depth, {words}", protocol, measures)
    return groups


def photo_errors(depths: Sequence[JudgedDepth]) -> dict[str, float]:
    """AbsRel by photo, with the scale of all photos together; NaN where a photo has no depth."""
    scale = common_scale(depths)
    scores = {d.photo: depth_measures.scores(scale * d.solved, d.true, NONE) for d in depths}
    return {photo: each.abs_rel for photo, each in scores.items()}


def common_scale(depths: Sequence[JudgedDepth]) -> float:
    """The ratio of the medians of true and solved depth, over the pixels of all photos that have both; 1 if none."""
    both = [(d.solved > 0) & (d.true > 0) for d in depths]
    if not any(each.any() for each in both):
        return 1.0
    solved = np.concatenate([d.solved[each] for d, each in zip(depths, both, strict=True)])
    true = np.concatenate([d.true[each] for d, each in zip(depths, both, strict=True)])
    return depth_measures.fitted(solved, true, MEDIAN)[0]


# ------------------------------------------------------------------ points


def pixel_alignment(depths: Sequence[JudgedDepth]) -> Similarity | None:
    """The similarity from the solve's world to the true one between the points of the same pixels, in the least sum of
    distances; None where too few pixels have both."""
    solved_pieces, true_pieces = [np.zeros((0, 3))], [np.zeros((0, 3))]
    for depth in depths:
        both = np.isfinite(depth.solved_points[..., 0]) & np.isfinite(depth.true_points[..., 0])
        solved_pieces.append(depth.solved_points[both])
        true_pieces.append(depth.true_points[both])
    solved, true = np.concatenate(solved_pieces), np.concatenate(true_pieces)
    if len(solved) < FEWEST_POINTS:
        return None
    step = max(1, len(solved) // MOST_POINTS)
    solved, true = solved[::step], true[::step]
    fitted = similarities.fit_robust(solved[None], true[None], np.ones((1, len(solved))))
    return Similarity(float(fitted.scale[0]), fitted.rotation[0], fitted.translation[0])


def cloud_group(
    result: Reconstruction,
    true_from_solved: Similarity,
    alignment: str,
    surface: TrueSurface | None,
    depths: Sequence[JudgedDepth],
    unit: str,
) -> Group | None:
    """The measures of the result's trusted points against the benchmark's surface, or else that of the depth maps.

    `alignment` says in words how `true_from_solved` was made. None where one side has no points.
    """
    solved = solved_surface(result, true_from_solved)
    true = Surface(surface.points) if surface else _depth_surface(depths)
    if solved is None or not len(true.points):
        return None
    if surface is not None:
        inside = surface.inside(solved.points)
        solved = Surface(solved.points[inside], None if solved.normals is None else solved.normals[inside])
    threshold = surface.threshold if surface else None
    threshold = threshold or THRESHOLD * _size(true.points, depths)
    farthest = (surface.farthest if surface else None) or np.inf
    spacing = (surface.spacing if surface else None) or threshold / 2
    scores = cloud_measures.scores(
        cloud_measures.thinned(solved, spacing), cloud_measures.thinned(true, spacing), threshold, farthest
    )
    if scores is None:
        return None
    measures = {
        "accuracy": Measure("Accuracy", scores.accuracy, unit),
        "completeness": Measure("Completeness", scores.completeness, unit),
        "overall": Measure("Overall", scores.overall, unit),
        "accuracy_median": Measure("Accuracy, median", scores.accuracy_median, unit),
        "completeness_median": Measure("Completeness, median", scores.completeness_median, unit),
        "precision": Measure("Precision", scores.precision, SHARE, HIGHER),
        "recall": Measure("Recall", scores.recall, SHARE, HIGHER),
        "fscore": Measure("F-score", scores.fscore, SHARE, HIGHER),
    }
    protocol = CLOUD.format(threshold=threshold, unit=unit).replace(" .", ".")
    if np.isfinite(farthest):
        protocol += f" Distances from {farthest:g} {unit} on are left out of the means."
    if np.isfinite(scores.normal_consistency):
        measures["normals"] = Measure("Normal consistency", scores.normal_consistency, SHARE, HIGHER)
        protocol += " Normal consistency: the mean of |n · n'| of nearest points, both ways."
    protocol += f" One point for each cube of {spacing:.4g} {unit}. Aligned by {alignment}."
    return Group("Points", protocol.replace(" .", "."), measures)


def solved_surface(result: Reconstruction, true_from_solved: Similarity) -> Surface | None:
    """The trusted points of the result in the true world, with their normals; None where it has no points."""
    cloud = result.cloud
    if cloud is None or not len(cloud):
        return None
    trusted = cloud.confidence >= result.trusted_confidence
    trusted = trusted if trusted.any() else np.ones(len(cloud), bool)
    normals = cloud.normals[trusted].astype(np.float64) @ true_from_solved.rotation.T
    known = bool((np.abs(np.linalg.norm(normals, axis=1) - 1) < 0.01).mean() > 0.9)
    return Surface(true_from_solved.apply(cloud.positions[trusted]), normals if known else None)


def _depth_surface(depths: Sequence[JudgedDepth]) -> Surface:
    if not depths:
        return Surface(np.zeros((0, 3)))
    visible = [np.isfinite(depth.true_points[..., 0]) for depth in depths]
    pairs = list(zip(depths, visible, strict=True))
    points = np.concatenate([depth.true_points[each] for depth, each in pairs])
    return Surface(points, np.concatenate([depth.true_normals[each] for depth, each in pairs]).astype(np.float64))


def _size(points: FloatArray, depths: Sequence[JudgedDepth]) -> float:
    """The median true depth; without depth maps, the points' median distance from their middle."""
    values = [depth.true[depth.true > 0] for depth in depths]
    if values and any(len(each) for each in values):
        return float(np.median(np.concatenate(values)))
    return float(np.median(np.linalg.norm(points - np.median(points, axis=0), axis=1)))


def is_metric(result: Reconstruction, unit: str) -> bool:
    """Whether both the result and the truth are in metres."""
    return result.metric and unit == METRES
