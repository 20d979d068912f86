"""[R] The groups of measures that judge cameras: poses, trajectory and lens. numpy only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ..model.arrays import FloatArray
from ..model.reconstruction import Camera
from . import pose_measures
from .outcome import DEGREES, HIGHER, SHARE, Group, Measure
from .pairing import Pair
from .pose_measures import TrajectoryErrors

THRESHOLDS = (3, 5, 10, 30)  # degrees, of AUC
RECALLS = (5, 15, 30)  # degrees, of RRA and RTA
POSE = (
    "Relative poses of all pairs of photos. AUC: of PoseDiffusion and VGGT, bins of one degree over the larger of the "
    "errors of rotation and direction of translation. mAA(30): of DUSt3R and MASt3R. The sign of the direction is "
    "ambiguous there, and a pair with an unregistered photo counts as wrong."
)
SIM3 = (
    "Absolute trajectory error of the registered cameras' centres after the similarity that fits them best (Umeyama "
    "1991; Sturm et al. 2012). RPE: relative pose error from each photo to the next by name, with the same scale."
)
SE3 = "As before, after the rigid motion that fits the centres best: the scale of a metric result counts."
LENS = "Focal lengths, fx and fy, against the true ones in pixels of the same photo: |f / f* - 1|."


def true_camera(pair: Pair) -> Camera | None:
    """The true camera in pixels of the photo, None where the truth knows no lens."""
    lens = pair.view.lens
    if lens is None:
        return None
    solved = pair.camera
    width, height = (solved.width, solved.height) if solved else (lens.width, lens.height)
    if not width or not height:
        return None
    intrinsics = lens.intrinsics(width, height)
    return Camera(pair.name, width, height, *intrinsics, pair.view.world_from_camera, lens.distortion)


def solved_poses(pairs: Sequence[Pair]) -> list[FloatArray | None]:
    """The solved poses of the pairs; None for unregistered photos."""
    return [None if pair.camera is None else pair.camera.world_from_camera for pair in pairs]


def pose_group(pairs: Sequence[Pair]) -> tuple[Group, FloatArray, FloatArray]:
    """The measures of relative poses, and the errors of rotation and translation of all pairs, in degrees."""
    rotation, translation = pose_measures.relative_errors(
        solved_poses(pairs), [p.view.world_from_camera for p in pairs]
    )
    registered = sum(pair.camera is not None for pair in pairs) / len(pairs)
    measures = {"registered": Measure("Registered photos", registered, SHARE, HIGHER)}
    for degrees in THRESHOLDS:
        area = pose_measures.auc(rotation, translation, degrees)
        measures[f"auc_{degrees}"] = Measure(f"AUC@{degrees}", area, SHARE, HIGHER)
    accuracy = pose_measures.mean_average_accuracy(rotation, translation)
    measures["maa_30"] = Measure("mAA(30)", accuracy, SHARE, HIGHER)
    for degrees in RECALLS:
        for key, errors in (("rra", rotation), ("rta", translation)):
            share = pose_measures.share_below(errors, degrees)
            measures[f"{key}_{degrees}"] = Measure(f"{key.upper()}@{degrees}", share, SHARE, HIGHER)
    for key, label, errors in (("rotation", "Rotation", rotation), ("translation", "Translation", translation)):
        median = float(np.median(errors)) if len(errors) else None
        measures[f"{key}_median"] = Measure(f"{label}, median", median, DEGREES)
    return Group("Relative poses", POSE, measures), rotation, translation


def trajectory_group(pairs: Sequence[Pair], align: str, unit: str) -> tuple[Group, TrajectoryErrors] | None:
    """The measures of camera centres after an alignment, "sim3" or "se3", and the errors of the registered photos.

    None with fewer than three registered photos.
    """
    solved, true = solved_poses(pairs), [pair.view.world_from_camera for pair in pairs]
    errors = pose_measures.trajectory_errors(solved, true, align)
    if errors is None:
        return None
    distances, scale = errors.distances, errors.true_from_solved.scale
    relative = errors.rmse / errors.extent if errors.extent > 0 else None
    measures = {
        "ate_rmse": Measure("ATE, RMSE", errors.rmse, unit),
        "ate_mean": Measure("ATE, mean", float(distances.mean()), unit),
        "ate_median": Measure("ATE, median", float(np.median(distances)), unit),
        "ate_max": Measure("ATE, largest", float(distances.max()), unit),
        "ate_relative": Measure("ATE, RMSE, of the cameras' extent", relative, SHARE),
        "rotation": Measure("Rotation after alignment, median", float(np.median(errors.angles)), DEGREES),
    }
    lengths, angles = pose_measures.step_errors(solved, true, scale)
    if len(lengths):
        measures["rpe_translation"] = Measure("RPE, translation, RMSE", _rms(lengths), unit)
        measures["rpe_rotation"] = Measure("RPE, rotation, RMSE", _rms(angles), DEGREES)
    title, protocol = ("Trajectory, Sim(3)", SIM3) if align == "sim3" else ("Trajectory, SE(3)", SE3)
    return Group(title, protocol, measures), errors


def _rms(values: FloatArray) -> float:
    return float(np.sqrt((values**2).mean()))


def focal_group(pairs: Sequence[Pair]) -> tuple[Group, Mapping[str, float]] | None:
    """The measures of focal lengths, and the error of each photo by name. None where no lens is known."""
    errors = {}
    for pair in pairs:
        true = true_camera(pair)
        if pair.camera is not None and true is not None:
            ratios = pair.camera.fx / true.fx, pair.camera.fy / true.fy
            errors[pair.name] = float(np.mean(np.abs(np.array(ratios) - 1)))
    if not errors:
        return None
    values = list(errors.values())
    measures = {
        "median": Measure("Focal length, median", float(np.median(values)), SHARE),
        "largest": Measure("Focal length, largest", max(values), SHARE),
    }
    return Group("Focal length", LENS, measures), errors
