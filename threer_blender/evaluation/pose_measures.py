"""[R] How well camera poses agree with the true ones, as papers measure it. numpy only.

A pose is `world_from_camera` (4, 4). A solved pose is None for an unregistered photo.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..geometry import rotations, similarities
from ..model.arrays import Array, FloatArray
from ..model.similarity import IDENTITY, Similarity

Poses = Sequence[FloatArray | None]

UNREGISTERED = 180.0  # degrees: the errors of a pair of which a photo is unregistered
LEAST_BASELINE = 1e-6  # of the largest true baseline: a pair with a smaller one has no direction of translation
FEWEST = 3  # cameras that determine a similarity


def relative_errors(
    solved: Poses, true: Sequence[FloatArray], sign_ambiguity: bool = True
) -> tuple[FloatArray, FloatArray]:
    """The errors in degrees (P,) of the relative rotation and of the direction of the relative translation, for each
    of the P = N (N - 1) / 2 pairs of photos.

    With `sign_ambiguity`, the angle between two directions is at most 90 degrees, as in the evaluation of PoseDiffusion
    (Wang et al. 2023), which that of DUSt3R, MASt3R and VGGT follows. A pair without a true baseline has its rotation's
    error for both.
    """
    first, second = np.triu_indices(len(true), 1)
    relative = _relative(np.stack(true), first, second) if len(true) else np.zeros((0, 4, 4))
    baseline = np.linalg.norm(relative[:, :3, 3], axis=-1)
    registered = np.array([pose is not None for pose in solved], bool)
    filled = np.stack([np.eye(4) if pose is None else pose for pose in solved]) if len(solved) else np.zeros((0, 4, 4))
    solved_relative = _relative(filled, first, second)
    rotation = np.degrees(rotations.angles(solved_relative[:, :3, :3] @ relative[:, :3, :3].transpose(0, 2, 1)))
    translation = _direction_errors(solved_relative[:, :3, 3], relative[:, :3, 3], sign_ambiguity)
    still = baseline <= LEAST_BASELINE * baseline.max(initial=0.0)
    translation = np.where(still, rotation, translation)
    judged = registered[first] & registered[second]
    return np.where(judged, rotation, UNREGISTERED), np.where(judged, translation, UNREGISTERED)


def _relative(poses: FloatArray, first: Array, second: Array) -> FloatArray:
    """(P, 4, 4) the poses of the cameras `second` (P,) in the frames of the cameras `first` (P,)."""
    a, b = poses[first], poses[second]
    back = a[:, :3, :3].transpose(0, 2, 1)
    relative = np.zeros((len(a), 4, 4))
    relative[:, 3, 3] = 1
    relative[:, :3, :3] = back @ b[:, :3, :3]
    relative[:, :3, 3] = (back @ (b[:, :3, 3] - a[:, :3, 3])[..., None])[..., 0]
    return relative


def _direction_errors(solved: FloatArray, true: FloatArray, sign_ambiguity: bool) -> FloatArray:
    """(P,) degrees between vectors (P, 3). A solved vector of length 0 has the largest possible error."""
    angle = np.degrees(np.arctan2(np.linalg.norm(np.cross(solved, true), axis=-1), (solved * true).sum(-1)))
    angle = np.minimum(angle, 180 - angle) if sign_ambiguity else angle
    return np.where(np.linalg.norm(solved, axis=-1) == 0, 90.0 if sign_ambiguity else 180.0, angle)


def share_below(errors: FloatArray, degrees: float) -> float:
    """The share of errors (P,) below a threshold: RRA and RTA of relative rotations and translations."""
    return float((errors < degrees).mean()) if len(errors) else np.nan


def auc(rotation: FloatArray, translation: FloatArray, degrees: int) -> float:
    """The area under the curve of the share of pairs with both errors (P,) below 1, 2, … `degrees`, in bins of one
    degree, as PoseDiffusion and VGGT compute it."""
    worse = np.maximum(rotation, translation)
    if not len(worse):
        return np.nan
    counts, _ = np.histogram(worse, bins=np.arange(degrees + 1))
    return float(np.cumsum(counts / len(worse)).mean())


def mean_average_accuracy(rotation: FloatArray, translation: FloatArray, degrees: int = 30) -> float:
    """The mAA of DUSt3R and MASt3R: the mean over 1, 2, … `degrees` of the smaller of RRA and RTA."""
    thresholds = range(1, degrees + 1)
    return float(np.mean([min(share_below(rotation, t), share_below(translation, t)) for t in thresholds]))


@dataclass(frozen=True)
class TrajectoryErrors:
    """Errors of camera centres after the alignment `true_from_solved`.

    `distances` (N,) in the truth's unit and `angles` (N,) in degrees are of the registered photos, in their order;
    `extent` is the largest distance of a true centre from their mean.
    """

    true_from_solved: Similarity
    distances: FloatArray
    angles: FloatArray
    extent: float

    @property
    def rmse(self) -> float:
        """The absolute trajectory error: the root of the mean of the squared distances."""
        return float(np.sqrt((self.distances**2).mean()))


def alignment(solved: FloatArray, true: FloatArray, scales: bool) -> Similarity:
    """The similarity, or where it must not scale the rigid motion, that fits centres (N, 3) best (Umeyama 1991)."""
    fitted = similarities.fit(solved[None], true[None], np.ones((1, len(solved))))
    rotation = fitted.rotation[0]
    scale = float(fitted.scale[0]) if scales else 1.0
    return Similarity(scale, rotation, true.mean(0) - scale * rotation @ solved.mean(0))


def trajectory_errors(solved: Poses, true: Sequence[FloatArray], align: str = "sim3") -> TrajectoryErrors | None:
    """The absolute errors of the registered cameras. `align` is "sim3", "se3" or "none". None with fewer than three."""
    pairs = [(pose, other) for pose, other in zip(solved, true, strict=True) if pose is not None]
    if len(pairs) < FEWEST:
        return None
    poses, others = np.stack([pose for pose, _ in pairs]), np.stack([other for _, other in pairs])
    centres, true_centres = poses[:, :3, 3], others[:, :3, 3]
    similarity = IDENTITY if align == "none" else alignment(centres, true_centres, align == "sim3")
    remaining = similarity.rotation @ poses[:, :3, :3] @ others[:, :3, :3].transpose(0, 2, 1)
    return TrajectoryErrors(
        similarity,
        np.linalg.norm(similarity.apply(centres) - true_centres, axis=1),
        np.degrees(rotations.angles(remaining)),
        float(np.linalg.norm(true_centres - true_centres.mean(0), axis=1).max()),
    )


def step_errors(solved: Poses, true: Sequence[FloatArray], scale: float) -> tuple[FloatArray, FloatArray]:
    """The relative pose errors of Sturm et al. (IROS 2012) between neighbouring photos that are both registered: in
    the truth's unit and in degrees, each (S,). `scale` takes the solve's lengths to the truth's."""
    indices = [i for i in range(len(true) - 1) if solved[i] is not None and solved[i + 1] is not None]
    lengths, angles = [], []
    for i in indices:
        first, second = (np.array(solved[k], np.float64) for k in (i, i + 1))
        solved_step, true_step = _inverse(first) @ second, _inverse(true[i]) @ true[i + 1]
        solved_step[:3, 3] *= scale
        error = _inverse(true_step) @ solved_step
        lengths.append(float(np.linalg.norm(error[:3, 3])))
        angles.append(float(np.degrees(rotations.angles(error[:3, :3]))))
    return np.array(lengths), np.array(angles)


def _inverse(pose: FloatArray) -> FloatArray:
    inverse = np.eye(4)
    inverse[:3, :3] = pose[:3, :3].T
    inverse[:3, 3] = -pose[:3, :3].T @ pose[:3, 3]
    return inverse
